"""Reading traces and evidence logs: plain, .gz or .zst, a file, several, or a folder of them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import zstandard

from monitor.errors import MonitorError
from monitor.evidence.lines import ORDER, AnyLine, decode, millis

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
#: A line of the log is short; only an `opened` line holds the state of every check.
LONGEST_LINE = 256 << 20


class Read(NamedTuple):
    """A line, where it stands, and how far (bytes of the plain text) its file has been read with it."""

    line: AnyLine
    at: int
    file: str
    end: int


def plain_name(path: Path) -> str:
    """The name without what compression added: how cuts call the file."""
    return path.name.removesuffix(".gz").removesuffix(".zst")


def trace_files(paths: Iterable[Path]) -> list[Path]:
    """Files as given, folders as the logs in them by name. Raises MonitorError where there is nothing to read."""
    result: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = {plain_name(p): p for p in sorted(path.iterdir()) if p.name.endswith(SUFFIXES)}
            if not found:
                raise MonitorError(f"{path}: no evidence logs (*.jsonl, *.jsonl.gz, *.jsonl.zst) in this folder")
            result += [found[name] for name in sorted(found)]
        elif path.exists():
            result.append(path)
        else:
            raise MonitorError(f"{path}: no such trace")
    return result


@contextmanager
def open_log(path: Path) -> Iterator[IO[bytes]]:
    """The plain bytes of a log."""
    with path.open("rb") as raw:
        if path.name.endswith(".gz"):
            with gzip.GzipFile(fileobj=raw) as stream:
                yield io.BufferedReader(stream, 1 << 20)
        elif path.name.endswith(".zst"):
            with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as stream:
                yield io.BufferedReader(stream, 1 << 20)
        else:
            yield raw


def read_lines(path: Path, *, torn_end: bool = False) -> Iterator[Read]:
    """The lines of one file. A last line without its end was never cut: left out if `torn_end`, else refused.

    Raises MonitorError that names file and line.
    """
    name = plain_name(path)
    end = 0
    with open_log(path) as stream:
        for number, data in enumerate(iter(lambda: stream.readline(LONGEST_LINE), b""), 1):
            end += len(data)
            where = f"{name}:{number}"
            if not data.endswith(b"\n") and torn_end:
                return
            if not data.strip():
                continue
            line = decode(data, where)
            yield Read(line, millis(line.at), name, end)


def in_order(reads: Iterable[Read]) -> Iterator[Read]:
    """The same, refusing what is out of order: a trace runs by `at` and, at equal times, by the table of §7."""
    last = (-(1 << 62), 0)
    for read in reads:
        place = (read.at, ORDER[type(read.line)])
        if place < last:
            raise MonitorError(
                f"{read.file}: the line that ends at byte {read.end} is out of order ({read.line.at.isoformat()})"
            )
        last = place
        yield read

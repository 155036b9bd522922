"""Reading traces and evidence logs: plain, .gz or .zst, a file, several, or a folder of them."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

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
    number: int

    @property
    def where(self) -> str:
        """File and line, for a person."""
        return f"{self.file}:{self.number}"


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
    try:
        with path.open("rb") as raw:
            if path.name.endswith(".gz"):
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield io.BufferedReader(stream, 1 << 20)
            elif path.name.endswith(".zst"):
                yield io.BufferedReader(_Unfolded(raw), 1 << 20)
            else:
                yield raw
    except (zstandard.ZstdError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise MonitorError(f"{path.name}: the compressed file is damaged or cut short: {error}") from None


class _Unfolded(io.RawIOBase):
    """What a .zst holds. zstandard's own reader takes a file that was cut short for one that ends there."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._left = b""
        self._begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            data = self._raw.read(1 << 17)
            if not data:
                if self._begun and not self._frame.eof:
                    raise EOFError("it ends in the middle")
                return 0
            while data:
                if self._frame.eof:
                    self._frame = zstandard.ZstdDecompressor().decompressobj()
                self._begun = True
                self._left += self._frame.decompress(data)
                data = self._frame.unused_data if self._frame.eof else b""
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def read_lines(path: Path, *, torn_end: bool = False) -> Iterator[Read]:
    """The lines of one file. A torn end (part of a line, zeros, rubbish) was never cut: left out if `torn_end`.

    Raises MonitorError that names file and line; also where whole lines follow the damage: that is no torn end.
    """
    name = plain_name(path)
    end = 0
    with open_log(path) as stream:
        lines = iter(lambda: stream.readline(LONGEST_LINE), b"")
        for number, data in enumerate(lines, 1):
            end += len(data)
            where = f"{name}:{number}"
            if not data.endswith(b"\n") and torn_end:
                return
            if not data.strip():
                continue
            try:
                line = decode(data, where)
            except MonitorError:
                if torn_end and not any(map(_is_line, lines)):
                    return
                raise
            try:
                yield Read(line, millis(line.at), name, end, number)
            except MonitorError as error:
                raise MonitorError(f"{where}: {error}") from None


def _is_line(data: bytes) -> bool:
    try:
        decode(data, "")
    except MonitorError:
        return False
    return data.endswith(b"\n")


def in_order(reads: Iterable[Read]) -> Iterator[Read]:
    """The same, refusing what is out of order: a trace runs by `at` and, at equal times, by the table of §7."""
    last = (-(1 << 62), 0)
    for read in reads:
        place = (read.at, ORDER[type(read.line)])
        if place < last:
            raise MonitorError(f"{read.where}: out of order ({read.line.at.isoformat()}); expected lines by time")
        last = place
        yield read

"""The evidence log: one file a local day, appended in memory, made durable at every cut.

What is appended is safe only after the next cut; the database and everybody else are told of nothing later than that.
A closed day is compressed. The owner calls `cut` about once a second; between cuts a bounded amount is held in memory,
so a disk that is full or slow ends in refusals that are seen, never in growth.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from monitor.errors import MonitorError
from monitor.evidence.lines import ORDER, AnyLine, OpenedLine, encode, moment
from monitor.evidence.reading import plain_name, read_lines

#: How much may wait for a cut.
LIMIT_BYTES = 64 << 20


class Cut(NamedTuple):
    """Up to `offset` bytes of `file` (its plain text) is durable; `at` is the instant of the last line in it."""

    file: str
    offset: int
    at: int


class EvidenceLog:
    """The writer. `day_of` gives (name, start, end) of the local day that holds an instant."""

    def __init__(self, folder: Path, observer: str, day_of: Callable[[int], tuple[str, int, int]]) -> None:
        self.folder = folder
        self.observer = observer
        self.at = -(1 << 60)  # of the last line
        self._day_of = day_of
        self._day_end = -(1 << 60)
        self._order = 0
        self._path: Path | None = None
        self._file: int | None = None
        self._written = 0
        self._waiting: list[bytes] = []
        self._size = 0
        self._ending: list[tuple[Path, list[bytes]]] = []

    def stamp(self, now: int, kind: type[AnyLine]) -> int:
        """The instant for a line that came in at `now`: never before the last one, and in §7's order at equal ones."""
        at = max(now, self.at)
        return at + 1 if at == self.at and ORDER[kind] < self._order else at

    def starts_day(self, at: int) -> bool:
        """Is a line at `at` the first of a day? Then the owner must call `begin_day` before it appends."""
        return at >= self._day_end

    def begin_day(self, at: int, version: str, inventory: str, state: dict[str, Any]) -> None:
        """Open the day's file with what judging needs from the past; what waits for the old one goes there."""
        if self._path is not None:
            self._ending.append((self._path, self._waiting))
        day, _, self._day_end = self._day_of(at)
        self._path = self.folder / f"{self.observer}-{day}.jsonl"
        self._waiting, self._size = [], 0
        self.append(OpenedLine(moment(at), self.observer, version, inventory=inventory, state=state), at)

    def resume_day(self, path: Path, at: int) -> None:
        """Go on in a day's file after a restart. Whatever stands in it has been read, up to `at`."""
        self._path = path
        self.at = at
        _, _, self._day_end = self._day_of(at)

    @property
    def is_full(self) -> bool:
        """Has the disk taken nothing for so long that nothing more can be kept?"""
        return self._size > LIMIT_BYTES

    def append(self, line: AnyLine, at: int) -> None:
        """Take a line, with the instant that `stamp` gave. Ask `is_full` first."""
        data = encode(line)
        self._waiting.append(data)
        self._size += len(data)
        self.at = at
        self._order = ORDER[type(line)]

    def take(self) -> Callable[[], Cut]:
        """What waits, as a job for a thread: it writes, makes durable and returns the cut.

        A job that fails (OSError) gives its lines back, to be written by the next one; one job at a time.
        """
        ending, self._ending = self._ending, []
        waiting, self._waiting = self._waiting, []
        self._size = 0
        path, at = self._path, self.at
        if path is None:
            raise MonitorError("the evidence log has no day yet")

        def job() -> Cut:
            try:
                while ending:
                    self._write(*ending[0])
                    self._close()
                    compress(ending.pop(0)[0])
                self._write(path, waiting)
            except OSError:
                self._ending[:0] = ending
                self._give_back(path, waiting)
                raise
            return Cut(path.name, self._written, at)

        return job

    def _give_back(self, path: Path, lines: list[bytes]) -> None:
        if path == self._path:
            self._waiting[:0] = lines
            self._size += sum(map(len, lines))
        else:
            self._ending.append((path, lines))

    def _write(self, path: Path, lines: list[bytes]) -> None:
        """Append and make durable. After a failure the file is cut back to what was durable before."""
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
            self._written = os.fstat(self._file).st_size
            _sync_folder(self.folder)
        if not lines:
            return
        data = b"".join(lines)
        try:
            done = 0
            while done < len(data):
                done += os.write(self._file, data[done:])
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._written)
            raise
        self._written += len(data)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def close(self) -> None:
        """Let go of the file; `take` first."""
        self._close()


def mend(path: Path) -> None:
    """Cut off a torn last line: it was never part of a cut. Only for a plain file, before it is written again."""
    if path.exists() and path.suffix == ".jsonl":
        end = 0
        for read in read_lines(path, torn_end=True):
            end = read.end
        if end < path.stat().st_size:
            os.truncate(path, end)


def compress(path: Path) -> None:
    """Replace a closed day's file by its .zst, durable before the plain one goes."""
    target = path.with_name(plain_name(path) + ".zst")
    part = target.with_suffix(".part")
    with path.open("rb") as source, part.open("wb") as sink:
        zstandard.ZstdCompressor(level=9).copy_stream(source, sink)
        sink.flush()
        os.fsync(sink.fileno())
    part.replace(target)
    _sync_folder(path.parent)
    path.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

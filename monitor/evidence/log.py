"""The evidence log: one file a local day, appended in memory, made durable at every cut.

What is appended is safe only after the next cut; the database and everybody else are told of nothing later than that.
A closed day is compressed. The owner calls `cut` about once a second; between cuts a bounded amount is held in memory,
so a disk that is full or slow ends in refusals that are seen, never in growth.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from monitor.errors import MonitorError
from monitor.evidence.lines import ORDER, AnyLine, InventoryLine, OpenedLine, WrittenBeat, encode_all, moment
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
        self._lock: int | None = None
        self._written = 0
        self._waiting: list[bytes] = []
        self._size = 0
        self._head = 0  # of it, what the head of the newest day takes
        self._ending: list[_Lines] = []

    def lock(self) -> None:
        """Be the only writer, until `close` or death. Raises MonitorError where another process writes already."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder / f"{self.observer}.lock", os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise MonitorError(f"another zhdj-monitor writes the evidence log in {self.folder}; stop it") from None
        self._lock = lock

    def stamp(self, now: int, kind: type[AnyLine]) -> int:
        """The instant for a line that came in at `now`: never before the last one, and in §7's order at equal ones."""
        at = max(now, self.at)
        return at + 1 if at == self.at and ORDER[kind] < self._order else at

    def starts_day(self, at: int) -> bool:
        """Is a line at `at` the first of a day? Then the owner must call `begin_day` before it appends."""
        return at >= self._day_end

    def begin_day(
        self, at: int, version: str, inventory: str, state: dict[str, Any], versions: Sequence[InventoryLine] = ()
    ) -> None:
        """Open the day's file with what judging needs from the past; what waits for the old one goes there."""
        if self._path is not None:
            self._ending.append(_Lines(self._path, self._waiting))
        day, _, self._day_end = self._day_of(at)
        self._path = self.folder / f"{self.observer}-{day}.jsonl"
        self._waiting = []
        before = self._size
        line = OpenedLine(moment(at), self.observer, version, inventory=inventory, state=state)
        line.versions = list(versions) or None
        self.append([line], at)
        self._head = self._size - before

    def resume_day(self, path: Path, at: int) -> None:
        """Go on in a day's file after a restart. Whatever stands in it has been read, up to `at`."""
        self._path = path
        self.at = at
        self._order = max(ORDER.values())  # whatever stood there: a clock that was set back may bring us here
        _, _, self._day_end = self._day_of(at)

    @property
    def waiting_bytes(self) -> int:
        """What the disk has not taken yet."""
        return self._size

    @property
    def is_full(self) -> bool:
        """Has the disk taken nothing for so long that nothing more can be kept? A day's head alone is no sign of it."""
        return self._size - self._head > LIMIT_BYTES

    def append(self, lines: Sequence[AnyLine | WrittenBeat], at: int) -> None:
        """Take lines of one kind, all of the instant that `stamp` gave. Ask `is_full` first."""
        data = encode_all(lines)
        self._waiting.append(data)
        self._size += len(data)
        self.at = at
        self._order = ORDER[type(lines[0])]

    def take(self) -> Job:
        """What waits, as a job: `run` it in a thread, then hand it to `taken`, or to `give_back` if it failed.

        One job at a time. Its lines count as waiting until it is taken.
        """
        if self._path is None:
            raise MonitorError("the evidence log has no day yet")
        job = Job(self, [*self._ending, _Lines(self._path, self._waiting)], self._size, self.at)
        self._ending, self._waiting = [], []
        return job

    def taken(self, job: Job) -> None:
        """What a job held is durable."""
        self._size -= job.size
        if job.days[-1].path == self._path:
            self._head = 0

    def give_back(self, job: Job) -> None:
        """What a job did not write waits again, before what came since: also where a day ended meanwhile."""
        *ended, last = job.days
        if last.path == self._path:
            self._waiting[:0] = last.lines
        elif self._ending and self._ending[0].path == last.path:
            self._ending[0].lines[:0] = last.lines
        self._ending[:0] = ended
        self._size -= job.written

    def write(self, path: Path, lines: list[bytes]) -> int:
        """Append and make durable. How long the file is then. A failure cuts it back to what was durable."""
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
            self._written = os.fstat(self._file).st_size
            _sync_folder(self.folder)
        if not lines:
            return self._written
        data = b"".join(lines)
        if os.fstat(self._file).st_size != self._written:
            os.ftruncate(self._file, self._written)  # a failure before could not even do that
        try:
            done = 0
            while done < len(data):
                done += os.write(self._file, data[done:])
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._written)
            raise
        self._written += len(data)
        return self._written

    def end_file(self) -> None:
        """The next line goes into another file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def close(self) -> None:
        """Let go of the file and of the lock; `take` first."""
        self.end_file()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class _Lines(NamedTuple):
    """What waits for a day's file."""

    path: Path
    lines: list[bytes]


class Job:
    """Lines on their way to the disk: those of days that ended, each file then closed, and of the day that goes on."""

    def __init__(self, log: EvidenceLog, days: list[_Lines], size: int, at: int) -> None:
        self.days = days
        self.size = size
        self.written = 0
        self._log = log
        self._at = at

    def run(self) -> Cut:
        """Write and make durable. Raises OSError; `days` then holds what is left."""
        ended = []
        while len(self.days) > 1:
            self._write()
            self._log.end_file()
            ended.append(self.days.pop(0).path)
        cut = Cut(self.days[0].path.name, self._write(), self._at)
        for path in ended:  # takes seconds: after what came in since midnight is safe
            compress(path)
        return cut

    def _write(self) -> int:
        path, lines = self.days[0]
        offset = self._log.write(path, lines)
        self.written += sum(map(len, lines))
        lines.clear()
        return offset


def mend(path: Path, cut: int = 0) -> None:
    """Cut off a torn end: it was never part of a cut. Only for a plain file, before it is written again.

    A file of which nothing is left was never part of one either, and goes: its day begins anew. `cut`: so many
    bytes are known to be durable. Raises MonitorError, and touches nothing, where the damage lies before that.
    """
    if path.exists() and path.suffix == ".jsonl":
        end = 0
        for read in read_lines(path, torn_end=True):
            end = read.end
        if end < cut:
            raise MonitorError(
                f"{path.name}: damaged from byte {end} on, and the database follows it for {cut} bytes;"
                " put the file back from a backup, or give it an empty database to go on with what is left"
            )
        if end == 0:
            path.unlink()
        elif end < path.stat().st_size:
            os.truncate(path, end)


def compress(path: Path) -> None:
    """Replace a closed day's file by its .zst, durable before the plain one goes."""
    target = path.with_name(plain_name(path) + ".zst")
    part = target.with_suffix(".part")
    try:
        with path.open("rb") as source, open(part, "wb", opener=_private) as sink:
            zstandard.ZstdCompressor(level=9).copy_stream(source, sink)
            sink.flush()
            os.fsync(sink.fileno())
    except OSError:
        part.unlink(missing_ok=True)  # what is on a full disk for nothing; the next start tries again
        raise
    part.replace(target)
    _sync_folder(path.parent)
    path.unlink()


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o640)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

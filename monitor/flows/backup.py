"""A backup 备份: everything that the service keeps, in one file, while it goes on running (docs/backup.md).

The order matters. Anchors first: of a chain they may know less than the database, never more. Then the database. Then
the log, which holds at least what the database follows; and papers, whose files are there before their rows.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from monitor import __version__
from monitor.clock import to_iso
from monitor.errors import MonitorError
from monitor.evidence.reading import SUFFIXES, plain_name
from monitor.flows.outputs import demand_place
from monitor.inventory.load import Loaded
from monitor.publish.reports.template_files import OWN_FOLDER
from monitor.store import snapshot
from monitor.store.bundle import Bundle, Progress, silent, writing

#: The configuration's files that go along, by how they end: without them the log cannot be judged as it was, and
#: without the county's own templates (`reports/`) its years would be scored by other targets and weights.
CONFIG_SUFFIXES = (".toml", ".csv", ".xlsx")
_TAIL = 1 << 16


@dataclass(frozen=True, slots=True)
class Made:
    """What went into a backup, by folder of its file: how many files, and how many bytes before compression."""

    files: dict[str, int]
    bytes: int
    size: int  # of the backup itself


async def backup(loaded: Loaded, config: Path, out: Path, at_ms: int, progress: Progress = silent) -> Made:
    """Write `out` (mode 0600). Raises MonitorError; then there is no such file, or the one that was there before."""
    url = loaded.settings.database.url.get_secret_value()
    try:
        await asyncio.to_thread(demand_place, out)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as aside:
            return await _backup(loaded, config, out, at_ms, Path(aside), url, progress)
    except OSError as error:
        raise MonitorError(f"{error.filename or out}: {error.strerror or error}") from None


async def _backup(
    loaded: Loaded, config: Path, out: Path, at_ms: int, aside: Path, url: str, progress: Progress
) -> Made:
    settings = loaded.settings
    anchors = await asyncio.to_thread(_content, Path(settings.anchors.file))
    sqlite = snapshot.is_sqlite(url)
    name = "database/monitor.db" if sqlite else "database/dump"
    database = aside / "database"
    if sqlite:
        revision: str | None = await asyncio.to_thread(snapshot.copy_sqlite, url, database, progress)
    else:
        revision = await snapshot.revision_of(url)
        if revision is None:
            raise MonitorError("the database has no tables of zhdj-monitor")
        await snapshot.dump_postgres(url, database)
    about: dict[str, Any] = {
        "product": "zhdj-monitor",
        "version": __version__,
        "made_at": to_iso(at_ms),
        "observer": settings.observer,
        "database": "sqlite" if sqlite else "postgresql",
        "revision": revision,
    }

    def write() -> Made:
        with writing(out, about, progress) as bundle:
            bundle.add_file(name, database)
            _add_log(bundle, Path(settings.evidence.folder))
            for paper in _papers(Path(settings.papers.folder)):
                bundle.add_file(f"papers/{paper.parent.name}/{paper.name}", paper)
            if anchors:
                (aside / "anchors").write_bytes(anchors)
                bundle.add_file("anchors/anchors.jsonl", aside / "anchors")
            for one in sorted([*config.iterdir(), *(config / OWN_FOLDER).glob("*.toml")]):
                if one.suffix in CONFIG_SUFFIXES and one.is_file() and not one.name.startswith((".", "~")):
                    bundle.add_file(f"config/{one.relative_to(config)}", one)
            files: dict[str, int] = {}
            for entry in bundle.entries:
                folder = entry.name.partition("/")[0]
                files[folder] = files.get(folder, 0) + 1
            total = sum(entry.bytes for entry in bundle.entries)
        return Made(files, total, out.stat().st_size)

    return await asyncio.to_thread(write)


def _content(path: Path) -> bytes:
    """All whole lines of a file to which lines are added; nothing where there is none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]


def _add_log(bundle: Bundle, folder: Path) -> None:
    """Closed days whole, the day that goes on up to its last whole line."""
    for name in _days(folder):
        opened = _open(folder, name)
        if opened is None:
            raise MonitorError(f"{folder / name} went away while the backup was made; make it again")
        path, file = opened
        with file:
            size = _whole_lines(file) if path.suffix == ".jsonl" else os.fstat(file.fileno()).st_size
            bundle.add(f"evidence/{path.name}", file, size)


def _days(folder: Path) -> list[str]:
    """The days' files by their plain names: one that is being compressed is there twice."""
    if not folder.is_dir():
        return []
    return sorted({plain_name(path) for path in folder.iterdir() if path.name.endswith(SUFFIXES)})


def _open(folder: Path, name: str) -> tuple[Path, IO[bytes]] | None:
    """The compressed one where there is one. A day may be compressed between two looks: then look again."""
    for path in (folder / f"{name}.zst", folder / f"{name}.gz", folder / name, folder / f"{name}.zst"):
        try:
            return path, path.open("rb")
        except FileNotFoundError:
            continue
    return None


def _whole_lines(file: IO[bytes]) -> int:
    """How long the file is up to the end of its last whole line; what comes after was never part of a cut."""
    end = os.fstat(file.fileno()).st_size
    while end:
        start = max(0, end - _TAIL)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            file.seek(0)
            return start + found + 1
        end = start
    file.seek(0)
    return 0


def _papers(folder: Path) -> Iterator[Path]:
    """Papers by their content's names; what is still being written is none yet."""
    if folder.is_dir():
        for path in sorted(folder.glob("[0-9a-f][0-9a-f]/*")):
            if len(path.name) == 64 and path.is_file():
                yield path

"""A restore 恢复: a backup unpacked, checked to the last byte, and only then put in place (docs/backup.md).

Nothing that is there is deleted: with `force` it is put aside, under a name with the instant of the restore.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.clock import to_iso
from monitor.core.access import SYSTEM
from monitor.core.days import local_days
from monitor.errors import MonitorError
from monitor.evidence.log import EvidenceLog
from monitor.evidence.reading import SUFFIXES
from monitor.settings import Settings, load_settings
from monitor.store import audit, snapshot
from monitor.store.bundle import Progress, silent, unpack
from monitor.store.database import opened, writing


@dataclass(slots=True)
class Restored:
    """What was put in place: of when the backup is, how many files by kind, and what was put aside, where."""

    made_at: str
    files: dict[str, int] = field(default_factory=dict)
    aside: list[str] = field(default_factory=list)
    config_written: bool = False


async def restore(
    file: Path, config: Path, at_ms: int, *, force: bool = False, progress: Progress = silent
) -> Restored:
    """Put a backup in the places that `config` names. Where there is no such folder, it comes out of the backup too.

    Raises MonitorError where the backup is damaged or of a newer version, something is in the way and not `force`,
    or a service runs there; then nothing was changed.
    """
    try:
        near = await asyncio.to_thread(_near, config)
        with tempfile.TemporaryDirectory(prefix=".zhdj-restore-", dir=near) as aside:
            folder = Path(aside)
            manifest = await asyncio.to_thread(unpack, file, folder, progress)
            written = await asyncio.to_thread(_config, folder, config)
            try:
                return await _restore(folder, manifest, load_settings(config), file, at_ms, force, written)
            except BaseException:
                if written:
                    await asyncio.to_thread(shutil.rmtree, config)
                raise
    except OSError as error:
        raise MonitorError(f"{error.filename or file}: {error.strerror or error}") from None


def _near(config: Path) -> Path:
    """Where there is room to unpack: beside the log, if the configuration says where that is."""
    target = Path(load_settings(config).evidence.folder) if config.exists() else config
    return next(path for path in target.absolute().parents if path.is_dir())


def _config(folder: Path, config: Path) -> bool:
    """Where there is no configuration, the backup's."""
    if config.exists():
        return False
    if not (folder / "config" / "monitor.toml").is_file():
        raise MonitorError(f"{config}: no such folder, and the backup holds no configuration")
    config.mkdir(parents=True, mode=0o750)
    for path in sorted(path for path in (folder / "config").rglob("*") if path.is_file()):
        target = config / path.relative_to(folder / "config")
        target.parent.mkdir(exist_ok=True, mode=0o750)
        shutil.copy(path, target)  # modes go along: 0600, there may be passwords in it
    return True


async def _restore(
    folder: Path, manifest: dict[str, Any], settings: Settings, file: Path, at_ms: int, force: bool, written: bool
) -> Restored:
    url = settings.database.url.get_secret_value()
    log = EvidenceLog(Path(settings.evidence.folder), settings.observer, local_days(settings.zone))
    await asyncio.to_thread(_check, folder, manifest, url)
    log.lock()  # a service that runs there holds it
    try:
        busy = await snapshot.has_tables(url)
        in_the_way = ["the database"] if busy else []
        in_the_way += [str(log.folder)] if _logs(log.folder) else []
        if in_the_way and not force:
            raise MonitorError(f"{' and '.join(in_the_way)} is not empty; --force puts aside what is there")
        stamp = to_iso(at_ms).replace("-", "").replace(":", "").replace(".", "").lower()
        done = Restored(str(manifest.get("made_at")), config_written=written)
        await _database(folder, url, busy, stamp, done)
        await asyncio.to_thread(_files, folder, settings, stamp, done)
    finally:
        log.close()
    what = f"{file.name} made at {done.made_at}"
    async with opened(url) as engine, writing(engine) as connection:
        await audit.write(connection, at_ms, SYSTEM.name, "db.restore", what, "done")
    return done


def _check(folder: Path, manifest: dict[str, Any], url: str) -> None:
    """Does the backup fit the target and this program? Raises MonitorError."""
    kind = "sqlite" if snapshot.is_sqlite(url) else "postgresql"
    if manifest.get("database") != kind:
        raise MonitorError(
            f"the backup holds a database of {manifest.get('database')}, and database.url is of {kind}; restore it into"
            f" {manifest.get('database')}, or write another one from the evidence log alone (db rebuild)"
        )
    if manifest.get("revision") not in snapshot.known_revisions():
        raise MonitorError(
            f"the backup was made by a newer version ({manifest.get('version')}); install that one first"
        )
    if kind == "sqlite":
        with closing(sqlite3.connect(folder / "database" / "monitor.db")) as connection:
            snapshot.check_sqlite(connection)


def _logs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES)) if folder.is_dir() else []


async def _database(folder: Path, url: str, busy: bool, stamp: str, done: Restored) -> None:
    if busy:
        done.aside.append(await snapshot.put_aside(url, stamp))
    try:
        if snapshot.is_sqlite(url):
            await asyncio.to_thread(_move, folder / "database" / "monitor.db", snapshot.sqlite_file(url))
        else:
            await snapshot.restore_postgres(url, folder / "database" / "dump")
    except BaseException:
        if busy:
            await snapshot.put_back(url, stamp)
        raise
    done.files["database"] = 1


def _files(folder: Path, settings: Settings, stamp: str, done: Restored) -> None:
    evidence = Path(settings.evidence.folder)
    if there := _logs(evidence):
        aside = evidence.with_name(f"{evidence.name}.before_restore_{stamp}")
        aside.mkdir(mode=0o750)
        for path in there:
            path.rename(aside / path.name)
        done.aside.append(str(aside))
    done.files["evidence"] = _move_all(folder / "evidence", lambda path: evidence / path.name)
    papers = Path(settings.papers.folder)
    done.files["papers"] = _move_all(folder / "papers", lambda path: papers / path.parent.name / path.name)
    if (folder / "anchors" / "anchors.jsonl").exists():
        _anchors(folder / "anchors" / "anchors.jsonl", Path(settings.anchors.file), stamp, done)


def _move_all(source: Path, place: Callable[[Path], Path]) -> int:
    found = [path for path in sorted(source.rglob("*")) if path.is_file()] if source.is_dir() else []
    for path in found:
        _move(path, place(path))
    return len(found)


def _anchors(source: Path, target: Path, stamp: str, done: Restored) -> None:
    """Anchors that go on from those of the backup stay: they tell that the database is older than it was."""
    done.files["anchors"] = 1
    if target.exists():
        if target.read_bytes().startswith(source.read_bytes()):
            return
        aside = target.with_name(f"{target.name}.before_restore_{stamp}")
        target.rename(aside)
        done.aside.append(str(aside))
    _move(source, target)


def _move(source: Path, target: Path) -> None:
    """Durably, on another file system too."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    part = target.with_name(f".{target.name}.part")
    shutil.move(source, part)
    part.chmod(0o640)
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

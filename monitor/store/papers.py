"""Papers (photos, invoices, acceptance sheets) by their content: the same content is kept once."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.errors import MonitorError
from monitor.store.database import insert_into
from monitor.store.tables import entry_paper, paper

#: The largest that is taken.
LIMIT_BYTES = 32 << 20


async def keep(connection: AsyncConnection, folder: Path, path: Path, actor: str, at_ms: int) -> str:
    """Copy a file into `folder`, durably, and its row into the caller's transaction; returns its SHA-256 (hex).

    Raises MonitorError for what is no file, is empty, or is larger than 32 MiB.
    """
    digest, size = await asyncio.to_thread(_store, folder, path)
    values = {"sha256": digest, "name": path.name[:255], "bytes": size, "kept_by": actor, "at_ms": at_ms}
    await connection.execute(insert_into(connection, paper).values(values).on_conflict_do_nothing())
    return digest


def place(folder: Path, sha256: str) -> Path:
    """Where a paper lies."""
    return folder / sha256[:2] / sha256


async def named(connection: AsyncConnection) -> list[tuple[str, str]]:
    """SHA-256 and name of every paper that was kept, and of every one that an entry of the ledger names."""
    names = union(select(paper.c.sha256), select(entry_paper.c.sha256)).subquery()
    query = select(names.c.sha256, paper.c.name).outerjoin(paper, paper.c.sha256 == names.c.sha256)
    return [(sha256, name or "") for sha256, name in await connection.execute(query.order_by(names.c.sha256))]


def digest_of(path: Path) -> str:
    """SHA-256 (hex) of what lies there. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _store(folder: Path, path: Path) -> tuple[str, int]:
    try:
        with path.open("rb") as source:
            content = source.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise MonitorError(f"{path}: cannot be read: {error.strerror}") from None
    if not content or len(content) > LIMIT_BYTES:
        raise MonitorError(f"{path}: expected a file of 1 byte to {LIMIT_BYTES >> 20} MiB")
    digest = hashlib.sha256(content).hexdigest()
    target = place(folder, digest)
    with suppress(OSError):
        if digest_of(target) == digest:
            return digest, len(content)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    descriptor, aside = tempfile.mkstemp(dir=target.parent)
    try:
        with open(descriptor, "wb") as sink:
            sink.write(content)
            sink.flush()
            os.fchmod(sink.fileno(), 0o640)
            os.fsync(sink.fileno())
        os.replace(aside, target)
    except OSError as error:
        Path(aside).unlink(missing_ok=True)
        raise MonitorError(f"{target}: cannot be written: {error.strerror}") from None
    for durable in (target.parent, folder):  # the second: its folder may be new
        directory = os.open(durable, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    return digest, len(content)

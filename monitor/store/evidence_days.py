"""Closed days of the evidence log, as a chain for each observer (tag `evidence/OBSERVER`)."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.chain import Link, Record
from monitor.store import chains
from monitor.store.tables import cut, digest, evidence_day

TAG = "evidence"


class Day(NamedTuple):
    """`day` as 20261001; bytes and SHA-256 of the day's log as plain text; SHA-256 of the day's `digest` row, "" where
    there is none."""

    observer: str
    day: int
    bytes: int
    sha256: str
    digest: str


def tag_of(observer: str) -> str:
    """Which chain an observer's days stand in."""
    return f"{TAG}/{observer}"


async def append(connection: AsyncConnection, day: Day, at_ms: int) -> Link:
    """The next day, in the caller's transaction."""
    values = {**day._asdict(), "at_ms": at_ms}
    tag = tag_of(day.observer)
    made = await chains.append(connection, tag, {"v": 1, "tag": tag, **values})
    await connection.execute(insert(evidence_day).values(**values, n=made.n, hash=made.hash))
    return made


def body(row: Row[Any]) -> dict[str, Any]:
    """What the hash of a row covers."""
    return {
        "v": 1,
        "tag": tag_of(row.observer),
        "at_ms": row.at_ms,
        "observer": row.observer,
        "day": row.day,
        "bytes": row.bytes,
        "sha256": row.sha256,
        "digest": row.digest,
    }


async def records(connection: AsyncConnection, tag: str, after: int, limit: int) -> list[Record]:
    """Up to `limit` records with a number greater than `after`, by number."""
    mine = (evidence_day.c.observer == tag.removeprefix(f"{TAG}/")) & (evidence_day.c.n > after)
    found = await connection.execute(select(evidence_day).where(mine).order_by(evidence_day.c.n).limit(limit))
    return [Record(row.n, body(row), row.hash) for row in found]


async def days(connection: AsyncConnection, observer: str) -> dict[int, Day]:
    """An observer's days that stand in the chain."""
    wanted = [evidence_day.c[name] for name in Day._fields]
    found = await connection.execute(select(*wanted).where(evidence_day.c.observer == observer))
    return {row.day: Day(*row) for row in found}


async def digest_hash(connection: AsyncConnection, observer: str, day: int) -> str:
    """SHA-256 (hex) of the day's row in `digest`, "" where there is none."""
    key = (digest.c.observer == observer) & (digest.c.day == day)
    packed = (await connection.execute(select(digest.c.body).where(key))).scalar()
    return "" if packed is None else hashlib.sha256(packed).hexdigest()


async def followed(connection: AsyncConnection, observer: str) -> str:
    """The name of the log's file that the database follows, "" if it follows none: all before it is written down."""
    return (await connection.execute(select(cut.c.file).where(cut.c.observer == observer))).scalar() or ""

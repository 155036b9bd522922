"""The audit log: what people did, when, and what became of it. A chain (tag `audit`)."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.chain import Record
from monitor.store import chains
from monitor.store.tables import audit

TAG = "audit"
Outcome = Literal["done", "refused", "failed"]
#: What is kept of a text, characters: a name or a sentence from outside may be of any length.
LONGEST = 2_000
_APPEND = insert(audit)  # made once, as the statements of chains.py


async def write(
    connection: AsyncConnection, at_ms: int, who: str, action: str, what: str, outcome: Outcome, reason: str = ""
) -> None:
    """Append a record, in the caller's transaction, as the last thing in it."""
    values = {
        "at_ms": at_ms,
        "who": storable(who)[:64],
        "action": action,
        "what": storable(what),
        "outcome": outcome,
        "reason": storable(reason),
    }
    made = await chains.append(connection, TAG, {"v": 1, "tag": TAG, **values})
    await connection.execute(_APPEND, {**values, "n": made.n, "hash": made.hash})


def storable(text: str) -> str:
    """What every database takes: no NUL, no half surrogate pairs."""
    return text[:LONGEST].replace("\0", "�").encode("utf-8", "replace").decode()


async def records(connection: AsyncConnection, tag: str, after: int, limit: int) -> list[Record]:
    """Up to `limit` records with a number greater than `after`, by number; what the hash covers, made from the rows."""
    found = await connection.execute(_columns.where(audit.c.n > after).order_by(audit.c.n).limit(limit))
    return [
        Record(n, {"v": 1, "tag": tag, "at_ms": at, "who": who, "action": action, "what": what,
                   "outcome": outcome, "reason": reason}, stored)
        for n, at, who, action, what, outcome, reason, stored in found
    ]  # fmt: skip


_columns = select(*(audit.c[c] for c in ("n", "at_ms", "who", "action", "what", "outcome", "reason", "hash")))


async def rows(
    connection: AsyncConnection, *, start_ms: int | None = None, end_ms: int | None = None, who: str | None = None
) -> list[dict[str, Any]]:
    """Records of `[start_ms, end_ms)` and of somebody, oldest first."""
    wanted = select(audit).order_by(audit.c.n)
    if start_ms is not None:
        wanted = wanted.where(audit.c.at_ms >= start_ms)
    if end_ms is not None:
        wanted = wanted.where(audit.c.at_ms < end_ms)
    if who is not None:
        wanted = wanted.where(audit.c.who == who)
    return [dict(row._mapping) for row in await connection.execute(wanted)]


async def newest(connection: AsyncConnection, action: str) -> Row[Any] | None:
    """The newest record of something that was done."""
    done = select(audit).where(audit.c.action == action, audit.c.outcome == "done")
    return (await connection.execute(done.order_by(audit.c.n.desc()).limit(1))).one_or_none()


async def whats(connection: AsyncConnection, who: str, action: str) -> list[str]:
    """On what somebody did something."""
    mine = (audit.c.who == who) & (audit.c.action == action)
    return list((await connection.execute(select(audit.c.what).where(mine))).scalars())

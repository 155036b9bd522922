"""Tokens of devices, relays and pings: hashes only; what was issued is told once and never again.

Changes are part of the caller's transaction, which has the audit record as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Update, case, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.token import RELAY, RELAY_MARK, hash_token
from monitor.store.tables import token


class Issued(NamedTuple):
    """A token to keep: `mosquitto` is what follows `user:` in mosquitto's password file, "" for other kinds."""

    kind: str
    hash: str
    terminals: Sequence[str]  # site/terminal
    label: str = ""
    mosquitto: str = ""


async def rows(engine: AsyncEngine) -> list[dict[str, Any]]:
    """Every token with its times (ms), oldest first."""
    async with engine.connect() as connection:
        return await rows_of(connection)


async def rows_of(connection: AsyncConnection) -> list[dict[str, Any]]:
    """The same, in the caller's transaction."""
    found = await connection.execute(select(token).order_by(token.c.id))
    return [
        {
            "id": r.id,
            "kind": r.kind,
            "hash": r.hash,
            "label": r.label,
            "terminals": r.terminals,
            "mosquitto": r.mosquitto,
            "created_at": r.created_ms,
            "expires_at": r.expires_ms,
            "revoked_at": r.revoked_ms,
        }
        for r in found
    ]


async def keep(connection: AsyncConnection, issued: Iterable[Issued], at: int) -> None:
    """Add tokens, created at `at` (ms); one that is known already is put anew."""
    values = [_row(i, at) for i in issued]
    if not values:
        return
    for start in range(0, len(values), 500):
        some = values[start : start + 500]
        await connection.execute(delete(token).where(token.c.hash.in_([v["hash"] for v in some])))
    await connection.execute(insert(token), values)


async def revoke(connection: AsyncConnection, who: str, at: int) -> int:
    """Revoke every valid token of `who` (see `_of`) from `at` (ms) on; returns how many."""
    condition = _of(who) & _valid(at)
    return (await connection.execute(update(token).where(condition).values(revoked_ms=at))).rowcount


async def expire(connection: AsyncConnection, who: str, at: int, end: int) -> int:
    """Every token of `who` that is valid at `at` (ms) holds until `end` and no longer; returns how many."""
    return (await connection.execute(_ending(_of(who) & _valid(at), end))).rowcount


async def rotate(connection: AsyncConnection, issued: Sequence[Issued], at: int, end: int) -> int:
    """Keep new tokens; older ones of the same kind for the same terminals (relays: of the same label) hold until
    `end` (ms), and no longer. All of it or nothing. Returns how many older ones there were."""
    count = 0
    if not issued:
        return count
    for new in issued:
        who = f"{RELAY_MARK}{new.label}" if new.kind == RELAY else new.terminals[0]
        condition = _of(who) & _valid(at) & (token.c.kind == new.kind)
        count += (await connection.execute(_ending(condition, end))).rowcount
    await connection.execute(insert(token), [_row(new, at) for new in issued])
    return count


def _of(who: str) -> ColumnElement[bool]:
    """`site/terminal`: device and ping tokens that speak for it alone. `@label`: those of that relay."""
    if who.startswith(RELAY_MARK):
        return (token.c.kind == RELAY) & (token.c.label == who.removeprefix(RELAY_MARK))
    return (token.c.kind != RELAY) & (token.c.terminals == json.dumps([who]))


def _valid(at: int) -> ColumnElement[bool]:
    return token.c.revoked_ms.is_(None) & (token.c.expires_ms.is_(None) | (token.c.expires_ms > at))


def _ending(condition: ColumnElement[bool], end: int) -> Update:
    """One that ends before `end` anyway is left as it is."""
    longer = token.c.expires_ms.is_(None) | (token.c.expires_ms > end)
    return update(token).where(condition).values(expires_ms=case((longer, end), else_=token.c.expires_ms))


def _row(issued: Issued, at: int) -> dict[str, Any]:
    return {
        "kind": issued.kind,
        "hash": issued.hash,
        "label": issued.label,
        "terminals": json.dumps(list(issued.terminals)),
        "mosquitto": issued.mosquitto,
        "created_ms": at,
    }


def of_devices(plain: Mapping[str, str]) -> list[Issued]:
    """Device tokens from `{"site/terminal": token}`: only their hashes are kept."""
    return [Issued("device", hash_token(text), [terminal]) for terminal, text in plain.items()]

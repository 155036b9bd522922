"""Tokens of devices, relays and pings: hashes only; what was issued is told once and never again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.token import hash_token
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


async def keep(engine: AsyncEngine, issued: Iterable[Issued], at: int) -> None:
    """Add tokens, created at `at` (ms); one that is known already is put anew."""
    values = [
        {
            "kind": i.kind,
            "hash": i.hash,
            "label": i.label,
            "terminals": json.dumps(list(i.terminals)),
            "mosquitto": i.mosquitto,
            "created_ms": at,
        }
        for i in issued
    ]
    if not values:
        return
    async with engine.begin() as connection:
        for start in range(0, len(values), 500):
            some = values[start : start + 500]
            await connection.execute(delete(token).where(token.c.hash.in_([v["hash"] for v in some])))
        await connection.execute(insert(token), values)


async def revoke(engine: AsyncEngine, terminal: str, at: int) -> int:
    """Revoke every valid token that speaks for `site/terminal` alone, from `at` (ms) on; returns how many."""
    condition = (token.c.terminals == json.dumps([terminal])) & token.c.revoked_ms.is_(None)
    async with engine.begin() as connection:
        return (await connection.execute(update(token).where(condition).values(revoked_ms=at))).rowcount


def of_devices(plain: Mapping[str, str]) -> list[Issued]:
    """Device tokens from `{"site/terminal": token}`: only their hashes are kept."""
    return [Issued("device", hash_token(text), [terminal]) for terminal, text in plain.items()]

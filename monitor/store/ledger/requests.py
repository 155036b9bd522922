"""Keys of requests: the same one twice is carried out once and gets the same answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.errors import MonitorError
from monitor.store.database import INSERTS
from monitor.store.tables import request

# Made once: building them anew for every entry would take a good part of the time that registering takes.
_CLAIM = {name: into(request).on_conflict_do_nothing().returning(request.c.key) for name, into in INSERTS.items()}
_SETTLE = update(request).where(request.c.key == bindparam("of"))


async def claim(
    connection: AsyncConnection, key: str, what: str, asked: Mapping[str, Any], at_ms: int
) -> dict[str, Any] | None:
    """None where the request is new, and then is ours to carry out; else the answer that it got.

    Another transaction that holds the key is waited for. Raises MonitorError where the key stands for something else.
    """
    text = json.dumps([what, asked], ensure_ascii=False, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()
    row = {"key": key, "what": what, "digest": digest, "answer": "", "at_ms": at_ms}
    if (await connection.execute(_CLAIM[connection.dialect.name], row)).first() is not None:
        return None
    known = (await connection.execute(select(request).where(request.c.key == key))).one()
    if known.digest != digest:
        raise MonitorError(f"请求号 {key} 已用于另一笔业务（{known.what}），未作任何更改")
    answer: dict[str, Any] = json.loads(known.answer)
    return answer


async def settle(connection: AsyncConnection, key: str, answer: Mapping[str, Any]) -> None:
    """What the request was answered, in the transaction that carries it out."""
    text = json.dumps(answer, ensure_ascii=False)
    await connection.execute(_SETTLE, {"of": key, "answer": text})


async def known(connection: AsyncConnection, keys: Sequence[str]) -> set[str]:
    """Which of these keys were carried out."""
    found: set[str] = set()
    for start in range(0, len(keys), 5_000):
        some = select(request.c.key).where(request.c.key.in_(keys[start : start + 5_000]))
        found |= set((await connection.execute(some)).scalars())
    return found

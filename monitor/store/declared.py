"""Rows of declared values 申报值 and of their confirmations; both are only added."""

from __future__ import annotations

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.declared import Declared
from monitor.store.numbering import as_list, of_list
from monitor.store.tables import declared_confirmation, declared_value

_JOINED = declared_value.outerjoin(declared_confirmation, declared_confirmation.c.n == declared_value.c.n)
_ROWS = select(
    declared_value,
    declared_confirmation.c.made_by.label("confirmed_by"),
    declared_confirmation.c.made_ms.label("confirmed_ms"),
).select_from(_JOINED)


async def of_year(connection: AsyncConnection, year: int) -> list[Declared]:
    """Everything that was declared of a year, by number."""
    rows = await connection.execute(_ROWS.where(declared_value.c.year == year).order_by(declared_value.c.n))
    return [
        Declared(
            r.n, r.year, r.key, r.text, r.reason, of_list(r.papers), r.made_by, r.made_ms,
            r.confirmed_by or "", r.confirmed_ms,
        )
        for r in rows
    ]  # fmt: skip


async def add(connection: AsyncConnection, new: Declared) -> None:
    values = {
        "n": new.n,
        "year": new.year,
        "key": new.key,
        "text": new.text,
        "reason": new.reason,
        "papers": as_list(new.papers),
        "made_by": new.by,
        "made_ms": new.at_ms,
    }
    await connection.execute(insert(declared_value).values(values))


async def confirm(connection: AsyncConnection, n: int, by: str, at_ms: int) -> None:
    await connection.execute(insert(declared_confirmation).values(n=n, made_by=by, made_ms=at_ms))

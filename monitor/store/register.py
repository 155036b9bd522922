"""Rows of the register of positions and of its stock-takes; they are only added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Row, insert, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.register import Act, Device, Mark, Position, Record
from monitor.core.stocktake import Count, Outcome
from monitor.store.numbering import as_list, of_list
from monitor.store.tables import position_record, stock_count


async def records(connection: AsyncConnection, of: Iterable[Position] | None = None) -> list[Record]:
    """All records, or those of some positions, by number."""
    c = position_record.c
    wanted = select(position_record).order_by(c.n)
    if of is not None:
        wanted = wanted.where(tuple_(c.site, c.terminal).in_(list(of)))
    return [_record(row) for row in await connection.execute(wanted)]


async def bearing(connection: AsyncConnection, marks: Iterable[Mark]) -> set[Position]:
    """Positions where a device with one of these marks was ever recorded."""
    c = position_record.c
    any_of = [c[mark.name] == mark.value for mark in marks]
    if not any_of:
        return set()
    rows = await connection.execute(select(c.site, c.terminal).where(or_(*any_of)).distinct())
    return {(row.site, row.terminal) for row in rows}


async def add(connection: AsyncConnection, new: Sequence[Record]) -> None:
    """Their numbers must come from `numbering.next_number` in this transaction."""
    if new:
        await connection.execute(insert(position_record), [_row(record) for record in new])


async def counts(connection: AsyncConnection, year: int) -> list[Count]:
    """A year's counts, by number."""
    rows = await connection.execute(select(stock_count).where(stock_count.c.year == year).order_by(stock_count.c.n))
    return [
        Count(
            r.n, r.year, r.site, r.terminal, date.fromisoformat(r.on_day), Outcome(r.outcome), r.card, r.seen, r.note,
            r.made_by, r.made_ms, of_list(r.papers),
        )
        for r in rows
    ]  # fmt: skip


async def add_counts(connection: AsyncConnection, new: Sequence[Count]) -> None:
    """Numbered as `add`'s."""
    values = [
        {
            "n": c.n,
            "year": c.year,
            "site": c.site,
            "terminal": c.terminal,
            "on_day": c.on.isoformat(),
            "outcome": c.outcome,
            "card": c.card,
            "seen": c.seen,
            "note": c.note,
            "papers": as_list(c.papers),
            "made_by": c.by,
            "made_ms": c.at_ms,
        }
        for c in new
    ]
    if values:
        await connection.execute(insert(stock_count), values)


def _record(r: Row[Any]) -> Record:
    device = None if r.model is None else Device(r.model, r.serial, r.mac, r.asset)
    return Record(
        r.n, r.site, r.terminal, Act(r.act), date.fromisoformat(r.on_day), device, r.why, r.made_by, r.made_ms,
        r.corrects, of_list(r.papers),
    )  # fmt: skip


def _row(record: Record) -> dict[str, Any]:
    thing = record.device
    return {
        "n": record.n,
        "site": record.site,
        "terminal": record.terminal,
        "act": record.act,
        "on_day": record.on.isoformat(),
        "model": thing.model if thing else None,
        "serial": thing.serial if thing else "",
        "mac": thing.mac if thing else "",
        "asset": thing.asset if thing else "",
        "why": record.why,
        "corrects": record.corrects,
        "papers": as_list(record.papers),
        "made_by": record.by,
        "made_ms": record.at_ms,
    }

"""Planned windows in the database: what people declare, and what the log tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Row, and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.window import Window
from monitor.errors import MonitorError
from monitor.store.tables import window

State = Literal["counts", "proposed", "rejected", "cancelled"]
_COUNTS = and_(window.c.rejected_ms.is_(None), or_(~window.c.retroactive, window.c.approved_ms.is_not(None)))


@dataclass(frozen=True, slots=True)
class Declared:
    """A window with its number, and what has become of it. `series`: the number of the first of its series."""

    id: int
    window: Window
    state: State
    series: int | None
    rejected: int | None
    rejected_by: str
    cancelled_by: str
    note: str


async def follow(connection: AsyncConnection, told: Window) -> None:
    """What the log tells of a window: a row where there is none, as after a rebuild, else what became of it."""
    here = _is(told)
    known = (await connection.execute(select(window.c.id).where(here))).scalar()
    if known is None:
        await connection.execute(insert(window).values(**_values(told)))
        return
    if told.approved is not None:
        unsaid = update(window).where(here, window.c.approved_ms.is_(None))
        await connection.execute(unsaid.values(approved_ms=told.approved, approved_by=told.approved_by))
    if told.cancelled is not None:
        unsaid = update(window).where(here, window.c.cancelled_ms.is_(None))
        await connection.execute(unsaid.values(cancelled_ms=told.cancelled))


async def declare(connection: AsyncConnection, windows: Sequence[Window]) -> list[int]:
    """Write down windows that were declared together; several are a series. Answers their numbers."""
    numbers: list[int] = []
    for one in windows:
        try:
            done = await connection.execute(
                insert(window).values(**_values(one), series=numbers[0] if numbers else None)
            )
        except IntegrityError:
            raise MonitorError(f"{one.scope}：同一计划检修在同一时刻已登记过") from None
        assert done.inserted_primary_key is not None  # noqa: S101  # an insert of one row has one
        numbers.append(int(done.inserted_primary_key[0]))
    if len(numbers) > 1:
        await connection.execute(update(window).where(window.c.id == numbers[0]).values(series=numbers[0]))
    return numbers


async def approve(connection: AsyncConnection, number: int, who: str, at_ms: int) -> bool:
    """From here on it counts. False where it does not wait for that."""
    return await _decide(connection, number, approved_by=who, approved_ms=at_ms)


async def reject(connection: AsyncConnection, number: int, who: str, at_ms: int, note: str) -> bool:
    """It never counts. False where it does not wait for that."""
    return await _decide(connection, number, rejected_by=who, rejected_ms=at_ms, note=note)


async def cancel(connection: AsyncConnection, numbers: Sequence[int], who: str, at_ms: int, note: str) -> int:
    """Call off what is not over yet, from `at_ms` on. How many it was."""
    goes_on = and_(window.c.cancelled_ms.is_(None), window.c.rejected_ms.is_(None), window.c.end_ms > at_ms)
    done = await connection.execute(
        update(window).where(window.c.id.in_(numbers), goes_on).values(cancelled_by=who, cancelled_ms=at_ms, note=note)
    )
    return done.rowcount


async def in_force(connection: AsyncConnection) -> list[Window]:
    """Those that count, or did until they were called off, in the order in which they were declared."""
    rows = await connection.execute(select(window).where(_COUNTS).order_by(window.c.declared_ms, window.c.id))
    return [_window(row) for row in rows]


async def counted_at(connection: AsyncConnection, at_ms: int) -> list[Window]:
    """Those that counted at an instant, as they counted then: what was approved or called off later did not."""
    known = [w for w in await in_force(connection) if w.at <= at_ms and (w.approved is None or w.approved <= at_ms)]
    then = [replace(w, cancelled=None) if w.cancelled is not None and w.cancelled > at_ms else w for w in known]
    return [w for window in then if (w := window.counted()) is not None]


async def get(connection: AsyncConnection, number: int) -> Declared:
    """Raises MonitorError where there is none of this number."""
    row = (await connection.execute(select(window).where(window.c.id == number))).first()
    if row is None:
        raise MonitorError(f"没有编号为 {number} 的计划检修")
    return _declared(row)


async def listed(connection: AsyncConnection, *, since: int | None = None, series: int | None = None) -> list[Declared]:
    """All that ended after `since` (ms), or all of a series, by when they begin."""
    query = select(window).order_by(window.c.start_ms, window.c.id)
    if since is not None:
        query = query.where(window.c.end_ms > since)
    if series is not None:
        query = query.where(window.c.series == series)
    return [_declared(row) for row in await connection.execute(query)]


async def _decide(connection: AsyncConnection, number: int, **values: Any) -> bool:
    waits = and_(
        window.c.retroactive,
        window.c.approved_ms.is_(None),
        window.c.rejected_ms.is_(None),
        window.c.cancelled_ms.is_(None),
    )
    done = await connection.execute(update(window).where(window.c.id == number, waits).values(**values))
    return done.rowcount == 1


def _is(told: Window) -> Any:
    columns = (window.c.scope, window.c.start_ms, window.c.end_ms, window.c.declared_ms)
    return and_(*(column == value for column, value in zip(columns, told.identity, strict=True)))


def _values(one: Window) -> dict[str, Any]:
    return {
        "scope": one.scope,
        "start_ms": one.start,
        "end_ms": one.end,
        "reason": one.reason,
        "declared_ms": one.at,
        "declared_by": one.by,
        "retroactive": one.retroactive,
        "approved_ms": one.approved,
        "approved_by": one.approved_by,
        "cancelled_ms": one.cancelled,
    }


def _window(r: Row[Any]) -> Window:
    return Window(
        r.scope, r.start_ms, r.end_ms, r.reason, r.declared_ms, r.declared_by,
        r.retroactive, r.approved_ms, r.approved_by, r.cancelled_ms,
    )  # fmt: skip


def _declared(r: Row[Any]) -> Declared:
    state: State = "counts"
    if r.rejected_ms is not None:
        state = "rejected"
    elif r.cancelled_ms is not None:
        state = "cancelled"
    elif r.retroactive and r.approved_ms is None:
        state = "proposed"
    return Declared(r.id, _window(r), state, r.series, r.rejected_ms, r.rejected_by, r.cancelled_by, r.note)

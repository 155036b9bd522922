"""Work orders in the database: orders, the outages that they list, and their history, which is only appended to."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, and_, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.outage import ALIVE
from monitor.core.sites import Level
from monitor.core.timeline import Interval
from monitor.core.workorder import FROM, OrderState, Root
from monitor.errors import MonitorError
from monitor.store.tables import outage, work_order, work_order_event, work_order_outage, work_order_paper

_CLOSED = OrderState.CLOSED
#: One spelling of a number, and no greater than the column's type takes.
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_NOT_CLOSED = work_order.c.state.in_([state for state in OrderState if state != _CLOSED])
#: Keys in one statement: SQLite takes 32,766 values, asyncpg 32,767.
_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Listed:
    """An outage of an order, as the database knows it now. `start`, `end`, `over`: ms (core/outage.py)."""

    key: str
    site: str
    terminal: str
    start: int
    end: int | None
    over: int | None
    state: str
    successor: str
    overdue: int | None

    @property
    def goes_on(self) -> bool:
        return self.state == "open"


@dataclass(frozen=True, slots=True)
class Order:
    """A work order; every `*_ms` an instant or None. `outages` by when they began."""

    id: int
    kind: str
    site: str
    township: str
    level: str
    fault: str
    state: str
    responsible: str
    opened_ms: int
    opened_by: str
    dispatched_ms: int | None
    assignee: str
    repaired_ms: int | None
    restored_ms: int | None
    closed_ms: int | None
    closed_by: str
    close_reason: str
    forced: bool
    cause: str
    work: str
    reopened: int
    outages: tuple[Listed, ...] = ()

    @property
    def goes_on(self) -> bool:
        """Does one of its outages?"""
        return any(o.goes_on for o in self.outages)

    @property
    def overdue(self) -> int | None:
        """Since when (ms) one of its outages adds to the overdue seconds; None: none does."""
        return min((o.overdue for o in self.outages if o.overdue is not None), default=None)

    @property
    def root(self) -> Root:
        return Root("line", self.township) if self.kind == "line" else Root("site", self.site)


# --- reading ----------------------------------------------------------------------------------------------------------


async def get(connection: AsyncConnection, number: int) -> Order:
    """Raises MonitorError where there is none of this number. Locks it against others (PostgreSQL) until the end."""
    query = select(work_order).where(work_order.c.id == number).with_for_update()
    found = await _orders(connection, query)
    if not found:
        raise MonitorError(f"没有编号为 {number} 的工单")
    return found[0]


async def unknown(connection: AsyncConnection, numbers: Collection[str]) -> set[str]:
    """Which of these texts are no order's number. A number has one spelling: digits, without zeros before them."""
    wanted = {text: int(text) for text in numbers if _NUMBER.fullmatch(text)}
    found: set[int] = set()
    ids = sorted(wanted.values())
    for start in range(0, len(ids), _AT_ONCE):
        some = work_order.c.id.in_(ids[start : start + _AT_ONCE])
        found |= set((await connection.execute(select(work_order.c.id).where(some))).scalars())
    return {text for text in numbers if wanted.get(text) not in found}


async def open_or_since(connection: AsyncConnection, since: int) -> list[Order]:
    """Those that are not closed, and those that were closed at `since` (ms) or later."""
    fresh = or_(_NOT_CLOSED, and_(work_order.c.state == _CLOSED, work_order.c.closed_ms >= since))
    return await _orders(connection, select(work_order).where(fresh).order_by(work_order.c.id))


async def listed(
    connection: AsyncConnection,
    *,
    closed: bool = True,
    opened: Interval | None = None,
    site: str | None = None,
    township: str | None = None,
) -> list[Order]:
    """Orders by their number; `closed` False: only those that are not. `opened`: `[from, to)`, ms."""
    query = select(work_order).order_by(work_order.c.id)
    if not closed:
        query = query.where(_NOT_CLOSED)
    if opened is not None:
        query = query.where(work_order.c.opened_ms >= opened[0], work_order.c.opened_ms < opened[1])
    if site is not None:
        named = exists().where(
            work_order_outage.c.order_id == work_order.c.id,
            work_order_outage.c.key == outage.c.key,
            outage.c.site == site,
        )
        query = query.where(or_(work_order.c.site == site, named))
    if township is not None:
        query = query.where(work_order.c.township == township)
    return await _orders(connection, query)


async def open_in(connection: AsyncConnection, period: Interval) -> list[Order]:
    """Orders that were opened before the end of `[from, to)`, ms, and not closed before its beginning."""
    fresh = or_(work_order.c.closed_ms.is_(None), work_order.c.closed_ms > period[0])
    query = select(work_order).where(work_order.c.opened_ms < period[1], fresh)
    return await _orders(connection, query.order_by(work_order.c.id))


async def restored_in(connection: AsyncConnection, period: Interval) -> list[Order]:
    """Orders that list an outage which was over in `[from, to)`, ms."""
    over = exists().where(
        work_order_outage.c.order_id == work_order.c.id,
        work_order_outage.c.key == outage.c.key,
        outage.c.over_ms >= period[0],
        outage.c.over_ms < period[1],
    )
    return await _orders(connection, select(work_order).where(over).order_by(work_order.c.id))


async def failures(connection: AsyncConnection, period: Interval) -> list[Listed]:
    """The outages that lie in `[from, to)` or reach into it, whether an order lists them or not."""
    inside = and_(outage.c.start_ms < period[1], or_(outage.c.over_ms.is_(None), outage.c.over_ms > period[0]))
    query = select(outage).where(inside, outage.c.state.in_(ALIVE)).order_by(outage.c.start_ms, outage.c.key)
    return [_listed(r, None) for r in await connection.execute(query)]


async def orders_of(connection: AsyncConnection, keys: Iterable[str]) -> dict[str, int]:
    """Outage -> the order that lists it, of these keys."""
    wanted = list(keys)
    result: dict[str, int] = {}
    for i in range(0, len(wanted), _AT_ONCE):
        columns = select(work_order_outage.c.key, work_order_outage.c.order_id)
        rows = await connection.execute(columns.where(work_order_outage.c.key.in_(wanted[i : i + _AT_ONCE])))
        result |= {r.key: r.order_id for r in rows}
    return result


async def heir(connection: AsyncConnection, key: str) -> str:
    """The outage that this one is part of now: itself, or what it was merged into."""
    seen = {key}
    while True:
        row = (await connection.execute(select(outage).where(outage.c.key == key))).first()
        if row is None or row.state != "merged" or row.successor in seen:
            return key
        key = row.successor
        seen.add(key)


async def unlisted(connection: AsyncConnection, since: int) -> list[Listed]:
    """Outages that no order lists: those that go on, and those that were over at `since` (ms) or later."""
    free = ~exists().where(work_order_outage.c.key == outage.c.key)
    # Two selects, each answered by the index on (over_ms, start_ms): there are years of outages.
    going_on = select(outage).where(outage.c.over_ms.is_(None), outage.c.state == "open", free)
    ended = select(outage).where(outage.c.over_ms >= since, outage.c.state == "ended", free)
    rows = [*await connection.execute(going_on), *await connection.execute(ended)]
    return [_listed(r, None) for r in sorted(rows, key=lambda r: (r.start_ms, r.key))]


async def last_repair(
    connection: AsyncConnection, root: Root, terminals: Collection[tuple[str, str]], before: int
) -> tuple[Order, Listed] | None:
    """The order of this root, and of its outages the one at these terminals that was over last before `before` (ms)."""
    is_root = work_order.c.township == root.which if root.kind == "line" else work_order.c.site == root.which
    query = (
        select(outage.c.key, work_order_outage.c.order_id)
        .join(work_order_outage, work_order_outage.c.key == outage.c.key)
        .join(work_order, work_order.c.id == work_order_outage.c.order_id)
        .where(work_order.c.kind == root.kind, is_root, outage.c.state.in_(ALIVE), outage.c.over_ms <= before)
        .where(or_(*(and_(outage.c.site == s, outage.c.terminal == t) for s, t in sorted(terminals)[:200])))
        .order_by(outage.c.over_ms.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).first()
    if row is None:
        return None
    order = await get(connection, row.order_id)
    return order, next(o for o in order.outages if o.key == row.key)


async def of_root(connection: AsyncConnection, root: Root) -> list[Order]:
    """Orders of a root that are not closed."""
    is_root = work_order.c.township == root.which if root.kind == "line" else work_order.c.site == root.which
    query = select(work_order).where(work_order.c.kind == root.kind, is_root, _NOT_CLOSED)
    return await _orders(connection, query.order_by(work_order.c.id.desc()))


async def history(connection: AsyncConnection, number: int) -> list[dict[str, Any]]:
    """What happened to an order, oldest first."""
    query = select(work_order_event).where(work_order_event.c.order_id == number).order_by(work_order_event.c.id)
    return [
        {"at_ms": r.at_ms, "who": r.who, "what": r.what, **json.loads(r.detail)}
        for r in await connection.execute(query)
    ]


async def papers(connection: AsyncConnection, number: int) -> list[dict[str, Any]]:
    """The papers of an order, as they came."""
    query = select(work_order_paper).where(work_order_paper.c.order_id == number).order_by(work_order_paper.c.at_ms)
    return [
        {"sha256": r.sha256, "note": r.note, "at_ms": r.at_ms, "who": r.who} for r in await connection.execute(query)
    ]


async def counts(connection: AsyncConnection, townships: Collection[str]) -> dict[str, tuple[int, int]]:
    """Level -> orders of these townships (codes) that are not closed, and how many of these are overdue."""
    late = exists().where(work_order_outage.c.order_id == work_order.c.id, work_order_outage.c.overdue_ms.is_not(None))
    query = (
        select(work_order.c.level, func.count(), func.count().filter(late))
        .where(_NOT_CLOSED, work_order.c.township.in_(townships))
        .group_by(work_order.c.level)
    )
    found = {level: (total, overdue) for level, total, overdue in await connection.execute(query)}
    return {str(level): found.get(str(level), (0, 0)) for level in Level}


# --- writing ----------------------------------------------------------------------------------------------------------


async def add(connection: AsyncConnection, **values: Any) -> int:
    """A new order; answers its number."""
    done = await connection.execute(insert(work_order).values(state=OrderState.OPEN, **values))
    assert done.inserted_primary_key is not None  # noqa: S101  # an insert of one row has one
    return int(done.inserted_primary_key[0])


async def move(connection: AsyncConnection, order: Order, to: OrderState, **values: Any) -> None:
    """Take an order to a state, if it is still where it may come from. Raises MonitorError."""
    allowed = update(work_order).where(work_order.c.id == order.id, work_order.c.state.in_(FROM[to]))
    if (await connection.execute(allowed.values(state=to, **values))).rowcount != 1:
        raise MonitorError(f"工单 {order.id} 的状态不允许此操作")


async def change(connection: AsyncConnection, number: int, **values: Any) -> None:
    """Other columns of an order."""
    await connection.execute(update(work_order).where(work_order.c.id == number).values(**values))


async def event(connection: AsyncConnection, number: int, at_ms: int, who: str, what: str, **detail: Any) -> None:
    """Append to the history of an order."""
    text = json.dumps(detail, ensure_ascii=False, sort_keys=True)
    row = {"order_id": number, "at_ms": at_ms, "who": who, "what": what, "detail": text}
    await connection.execute(insert(work_order_event).values(**row))


async def list_outages(connection: AsyncConnection, number: int, keys: Sequence[str], at_ms: int) -> None:
    """The order lists these too. Raises IntegrityError where another order does already."""
    await connection.execute(
        insert(work_order_outage), [{"key": key, "order_id": number, "added_ms": at_ms} for key in keys]
    )


async def move_outages(connection: AsyncConnection, keys: Sequence[str], to: int) -> None:
    """Another order lists these from now on."""
    await connection.execute(update(work_order_outage).where(work_order_outage.c.key.in_(keys)).values(order_id=to))


async def rename_outage(connection: AsyncConnection, key: str, to: str | None) -> None:
    """Evidence revised it: it is part of the outage `to` now (None: which the database lists already)."""
    here = work_order_outage.c.key == key
    if to is None:
        await connection.execute(work_order_outage.delete().where(here))
    else:
        await connection.execute(update(work_order_outage).where(here).values(key=to))


async def set_overdue(connection: AsyncConnection, key: str, since: int | None) -> None:
    await connection.execute(update(work_order_outage).where(work_order_outage.c.key == key).values(overdue_ms=since))


async def add_paper(connection: AsyncConnection, number: int, sha256: str, note: str, who: str, at_ms: int) -> bool:
    """False where the order has it already."""
    known = select(work_order_paper.c.sha256).where(
        work_order_paper.c.order_id == number, work_order_paper.c.sha256 == sha256
    )
    if (await connection.execute(known)).first() is not None:
        return False
    row = {"order_id": number, "sha256": sha256, "note": note, "at_ms": at_ms, "who": who}
    await connection.execute(insert(work_order_paper).values(**row))
    return True


async def _orders(connection: AsyncConnection, query: Select[Any]) -> list[Order]:
    rows = (await connection.execute(query)).all()
    mine: dict[int, list[Listed]] = {r.id: [] for r in rows}
    numbers = list(mine)
    for i in range(0, len(numbers), _AT_ONCE):
        outages = (
            select(outage, work_order_outage.c.order_id, work_order_outage.c.overdue_ms)
            .join(work_order_outage, work_order_outage.c.key == outage.c.key)
            .where(work_order_outage.c.order_id.in_(numbers[i : i + _AT_ONCE]))
            .order_by(outage.c.start_ms, outage.c.key)
        )
        for r in await connection.execute(outages):
            mine[r.order_id].append(_listed(r, r.overdue_ms))
    return [_order(r, mine[r.id]) for r in rows]


def _order(r: Row[Any], outages: list[Listed]) -> Order:
    return Order(
        r.id, r.kind, r.site, r.township, r.level, r.fault, r.state, r.responsible, r.opened_ms, r.opened_by,
        r.dispatched_ms, r.assignee, r.repaired_ms, r.restored_ms, r.closed_ms, r.closed_by, r.close_reason, r.forced,
        r.cause, r.work, r.reopened, tuple(outages),
    )  # fmt: skip


def _listed(r: Row[Any], overdue: int | None) -> Listed:
    return Listed(r.key, r.site, r.terminal, r.start_ms, r.end_ms, r.over_ms, r.state, r.successor, overdue)

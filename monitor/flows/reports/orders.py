"""The work orders of a period, what they cost, and the exemptions that were approved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.figures import Counter, Key
from monitor.core.ledger import State
from monitor.core.report import ExemptionFacts, OrderFacts
from monitor.core.timeline import Interval, Timeline
from monitor.store import orders, reading
from monitor.store.exemptions import Exemption, covers
from monitor.store.orders import Order
from monitor.store.tables import entry, exemption, outage, work_order_outage

#: Keys in one statement (store/orders.py).
_AT_ONCE = 10_000


class Found(NamedTuple):
    """Orders by number, the fen registered for each, approved exemptions, and the timelines of their outages."""

    orders: list[Order]
    cost: Mapping[str, int]
    exemptions: list[Exemption]
    checks: Mapping[Key, Timeline]

    @property
    def exempted(self) -> frozenset[int]:
        return frozenset(e.order_id for e in self.exemptions)


async def find(connection: AsyncConnection, period: Interval) -> Found:
    """Those opened in the period, and those that were open as it began."""
    mine = await orders.open_in(connection, period)
    since: dict[tuple[str, str], int] = {}
    for order in mine:
        for o in order.outages:
            since[o.site, o.terminal] = min(o.start, since.get((o.site, o.terminal), o.start))
    checks = await reading.some_timelines(connection, since) if since else {}
    return Found(mine, await _cost(connection, mine), await _exemptions(connection, period), checks)


async def _cost(connection: AsyncConnection, mine: list[Order]) -> dict[str, int]:
    """What is registered for each of these orders, ever, fen."""
    numbers = [str(order.id) for order in mine]
    found: dict[str, int] = {}
    for i in range(0, len(numbers), _AT_ONCE):
        query = select(entry.c.work_order, func.sum(entry.c.amount_fen))
        query = query.where(entry.c.state == State.REGISTERED.value, entry.c.work_order.in_(numbers[i : i + _AT_ONCE]))
        rows = await connection.execute(query.group_by(entry.c.work_order))
        found |= {order: int(fen) for order, fen in rows}
    return found


async def _exemptions(connection: AsyncConnection, period: Interval) -> list[Exemption]:
    """The approved ones whose outages lie in the period or reach into it."""
    over = or_(outage.c.over_ms.is_(None), outage.c.over_ms > period[0])
    query = (
        select(exemption)
        .join(work_order_outage, work_order_outage.c.order_id == exemption.c.order_id)
        .join(outage, and_(outage.c.key == work_order_outage.c.key, outage.c.start_ms < period[1], over))
        .where(covers())
        .distinct()
        .order_by(exemption.c.id)
    )
    return [Exemption(**row._mapping) for row in await connection.execute(query)]


def facts(found: Found, counter: Counter, period: Interval) -> tuple[list[OrderFacts], list[ExemptionFacts]]:
    """Of both, by their numbers."""
    limits = counter.minima(period).repair_limit_ms
    exempted = found.exempted
    result = []
    for order in found.orders:
        counted = [
            _counted(counter, found.checks, o.site, o.terminal, o.start, min(o.over or period[1], period[1]))
            for o in order.outages
        ]
        # A line's order is of the township, also where the township has no site of its own.
        site = order.site or (f"township:{order.township}" if order.kind == "line" else "")
        result.append(
            OrderFacts(
                number=str(order.id),
                site=site,
                level=order.level,
                state=order.state,
                cause=order.cause,
                opened=order.opened_ms,
                closed=order.closed_ms,
                counted=max(counted, default=0),
                limit=limits.get(order.level, 0),
                overdue=order.overdue is not None and order.overdue < period[1],
                outages=[o.key for o in order.outages],
                cost_fen=found.cost.get(str(order.id), 0),
                exempted=order.id in exempted,
                restored=order.restored_ms,
                work=order.work,
            )
        )
    exemptions = [
        ExemptionFacts(str(e.order_id), e.cause, e.reason, e.proposed_by, e.decided_by, e.decided_ms or 0)
        for e in found.exemptions
    ]
    return result, exemptions


def _counted(
    counter: Counter, checks: Mapping[Key, Timeline], site_id: str, terminal: str, start: int, end: int
) -> int:
    if counter.site(site_id) is None or end <= start:
        return 0
    timeline = counter.terminal_timeline(site_id, terminal, checks)
    return counter.course(site_id, terminal).counted_down_ms(timeline, (start, end))

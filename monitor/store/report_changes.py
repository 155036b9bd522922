"""Did people do anything after an instant that changes a period's figures? Cheap, so that it can be asked every minute.

Yes may be said for nothing (a window that covers nobody): whoever asked counts, and knows.
"""

from __future__ import annotations

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.timeline import BEGINNING, FOREVER, Interval
from monitor.store.tables import entry, exemption, fund_change, inventory_version, outage, window, work_order_outage


async def anything(connection: AsyncConnection, at_ms: int) -> bool:
    """Of any period."""
    return await since(connection, (BEGINNING, FOREVER), ("0000-00-00", "9999-99-99"), at_ms)


async def since(connection: AsyncConnection, period: Interval, days: tuple[str, str], at_ms: int) -> bool:
    """`period`: `[start, end)` ms; `days`: its first and last, as 2026-10-01."""
    for query in _queries(period, days, at_ms):
        if (await connection.execute(query.limit(1))).first() is not None:
            return True
    return False


def _queries(period: Interval, days: tuple[str, str], at_ms: int) -> list[Select[tuple[int]]]:
    w, x, o = window.c, exemption.c, outage.c
    decided = or_(w.declared_ms > at_ms, w.approved_ms > at_ms, w.rejected_ms > at_ms, w.cancelled_ms > at_ms)
    reaches = (o.start_ms < period[1]) & or_(o.over_ms.is_(None), o.over_ms > period[0])
    exempted = (
        select(x.id)
        .join(work_order_outage, work_order_outage.c.order_id == x.order_id)
        .join(outage, outage.c.key == work_order_outage.c.key)
    )
    return [
        select(w.id).where(w.start_ms < period[1], decided),
        exempted.where(x.decided_ms > at_ms, reaches),
        select(entry.c.id).where(entry.c.registered_ms > at_ms, entry.c.paid_on.between(*days)),
        select(fund_change.c.id).where(fund_change.c.made_ms > at_ms, fund_change.c.dated <= days[1]),
        select(inventory_version.c.number).where(
            inventory_version.c.held_ms > at_ms, inventory_version.c.held_ms < period[1]
        ),
    ]

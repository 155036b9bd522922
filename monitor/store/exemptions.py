"""Exemptions 免责 in the database: proposed with cause and paper, decided by another person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, and_, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.outage import ALIVE
from monitor.core.window import Window
from monitor.errors import MonitorError
from monitor.store.tables import exemption, outage, work_order_outage

State = Literal["proposed", "approved", "rejected"]
#: An outage that goes on is exempted up to here: for ever, until it ends.
_FOR_EVER = 1 << 60


@dataclass(frozen=True, slots=True)
class Exemption:
    """Of all outages of an order. `paper`: SHA-256 of what proves it."""

    id: int
    order_id: int
    cause: str
    reason: str
    paper: str
    state: State
    proposed_ms: int
    proposed_by: str
    decided_ms: int | None
    decided_by: str
    note: str


async def propose(
    connection: AsyncConnection, order: int, cause: str, reason: str, paper: str, who: str, at_ms: int
) -> int:
    """Answers its number."""
    row = {
        "order_id": order, "cause": cause, "reason": reason, "paper": paper,
        "state": "proposed", "proposed_by": who, "proposed_ms": at_ms,
    }  # fmt: skip
    done = await connection.execute(insert(exemption).values(**row))
    assert done.inserted_primary_key is not None  # noqa: S101  # an insert of one row has one
    return int(done.inserted_primary_key[0])


async def decide(
    connection: AsyncConnection, number: int, state: Literal["approved", "rejected"], who: str, at_ms: int, note: str
) -> bool:
    """False where it does not wait for that."""
    waits = update(exemption).where(exemption.c.id == number, exemption.c.state == "proposed")
    done = await connection.execute(waits.values(state=state, decided_by=who, decided_ms=at_ms, note=note))
    return done.rowcount == 1


async def get(connection: AsyncConnection, number: int) -> Exemption:
    """Raises MonitorError where there is none of this number."""
    row = (await connection.execute(select(exemption).where(exemption.c.id == number))).first()
    if row is None:
        raise MonitorError(f"没有编号为 {number} 的免责申请")
    return _exemption(row)


async def of_order(connection: AsyncConnection, order: int) -> list[Exemption]:
    """All of an order, as they were proposed."""
    query = select(exemption).where(exemption.c.order_id == order).order_by(exemption.c.id)
    return [_exemption(row) for row in await connection.execute(query)]


def covers() -> ColumnElement[bool]:
    """Of an exemption and an outage of its order: it was approved, and the outage had begun by then. An order may be
    open again after its exemption: what began since was in front of nobody."""
    return and_(exemption.c.state == "approved", outage.c.start_ms <= exemption.c.decided_ms)


async def approved(connection: AsyncConnection, as_of: int | None = None) -> list[Window]:
    """The outages whose exemption was approved (up to `as_of`, ms), as windows of their terminals: what is counted
    without them."""
    query = (
        select(outage.c.site, outage.c.terminal, outage.c.start_ms, outage.c.over_ms, exemption.c.cause)
        .join(work_order_outage, work_order_outage.c.key == outage.c.key)
        .join(exemption, exemption.c.order_id == work_order_outage.c.order_id)
        .where(covers(), outage.c.state.in_(ALIVE))
        .where(true() if as_of is None else exemption.c.decided_ms <= as_of)
        .distinct()
        .order_by(outage.c.start_ms, outage.c.site, outage.c.terminal)
    )
    return [
        Window(f"terminal:{r.site}/{r.terminal}", r.start_ms, _FOR_EVER if r.over_ms is None else r.over_ms, r.cause)
        for r in await connection.execute(query)
    ]


def _exemption(r: Row[Any]) -> Exemption:
    return Exemption(
        r.id, r.order_id, r.cause, r.reason, r.paper, r.state,
        r.proposed_ms, r.proposed_by, r.decided_ms, r.decided_by, r.note,
    )  # fmt: skip

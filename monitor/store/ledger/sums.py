"""Sums of what is registered, and what is approved and not paid yet; fen throughout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Integer, String, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.ledger import State
from monitor.store.tables import contract, entry, fund_sum, stage, work_order

#: What the sums by month, class, township and site can be asked by: the name -> the column.
BY = {
    "month": fund_sum.c.month,
    "econ_class": fund_sum.c.econ_class,
    "township": fund_sum.c.township,
    "site": fund_sum.c.site,
}


def _which(fund_id: int, first: str, last: str) -> ColumnElement[bool]:
    return (fund_sum.c.fund_id == fund_id) & fund_sum.c.month.between(first, last)


async def spent(
    connection: AsyncConnection, fund_id: int, by: str, first: str = "0000-00", last: str = "9999-99"
) -> dict[str, int]:
    """What is registered by one of BY, paid in the months `first` to `last` (2026-10, both included)."""
    column = BY[by]
    query = select(column.label("key"), func.sum(fund_sum.c.spent_fen).label("fen"))
    rows = await connection.execute(query.where(_which(fund_id, first, last)).group_by(column).order_by(column))
    return {r.key: int(r.fen) for r in rows}


async def pending(connection: AsyncConnection, fund_id: int) -> tuple[int, int]:
    """已批未付: how many entries are approved and not registered, and their sum."""
    query = select(func.count(), func.coalesce(func.sum(entry.c.amount_fen), 0))
    approved = (entry.c.fund_id == fund_id) & (entry.c.state == State.APPROVED.value)
    count, fen = (await connection.execute(query.where(approved))).one()
    return int(count), int(fen)


async def by_work_order(
    connection: AsyncConnection, fund_id: int, first: str = "0000-00", last: str = "9999-99"
) -> dict[str, int]:
    """What is registered for each work order; "" for what stands on no order."""
    order = func.coalesce(entry.c.work_order, "")
    query = select(order.label("key"), func.sum(entry.c.amount_fen).label("fen"))
    query = query.where(*_paid(fund_id, first, last))
    return {r.key: int(r.fen) for r in await connection.execute(query.group_by(order).order_by(order))}


async def by_cause(
    connection: AsyncConnection, fund_id: int, first: str = "0000-00", last: str = "9999-99"
) -> dict[str, int]:
    """What is registered by the cause 原因 of its work order; "" for what has none, or stands on no order."""
    return await by_cause_on_days(connection, fund_id, f"{first}-01", f"{last}-31")


async def by_cause_on_days(connection: AsyncConnection, fund_id: int, first: str, last: str) -> dict[str, int]:
    """The same of days, `2026-10-01`, both included."""
    # First by order, so that each order is looked up once: half of the time.
    paid = select(entry.c.work_order, func.sum(entry.c.amount_fen).label("fen")).where(*_paid_on(fund_id, first, last))
    of = paid.group_by(entry.c.work_order).subquery()
    # The number as a text is what an entry names; SQLite finds it by its key only as a number.
    on = cast(work_order.c.id, String) == of.c.work_order
    if connection.dialect.name == "sqlite":
        on &= work_order.c.id == cast(of.c.work_order, Integer)
    cause = func.coalesce(work_order.c.cause, "")
    query = select(cause.label("key"), func.sum(of.c.fen).label("fen")).select_from(of.outerjoin(work_order, on))
    return {r.key: int(r.fen) for r in await connection.execute(query.group_by(cause).order_by(cause))}


def _paid(fund_id: int, first: str, last: str) -> list[ColumnElement[bool]]:
    """The registered entries of a fund that were paid in these months."""
    return _paid_on(fund_id, f"{first}-01", f"{last}-31")


def _paid_on(fund_id: int, first: str, last: str) -> list[ColumnElement[bool]]:
    paid_on = entry.c.paid_on.between(first, last)
    return [entry.c.fund_id == fund_id, entry.c.state == State.REGISTERED.value, paid_on]


class Contracted(NamedTuple):
    """Of a fund's contracts: paid, and still to be paid (stages without deductions and without what is paid)."""

    paid_fen: int
    open_fen: int


async def contracted(connection: AsyncConnection, fund_id: int) -> Contracted:
    left = stage.c.amount_fen - stage.c.deduction_fen - stage.c.paid_fen
    query = select(
        func.coalesce(func.sum(stage.c.paid_fen), 0).label("paid"), func.coalesce(func.sum(left), 0).label("open")
    ).join(contract, contract.c.id == stage.c.contract_id)
    row = (await connection.execute(query.where(contract.c.fund_id == fund_id))).one()
    return Contracted(int(row.paid), int(row.open))


async def of_entries(connection: AsyncConnection, fund_id: int) -> Mapping[str, int]:
    """The same figures from the entries themselves, to be held against what is kept: sum, how many, last number."""
    query = select(
        func.coalesce(func.sum(entry.c.amount_fen), 0).label("spent_fen"),
        func.count().label("registered"),
        func.coalesce(func.max(entry.c.number), 0).label("last_number"),
    ).where(entry.c.fund_id == fund_id, entry.c.state == State.REGISTERED.value)
    row = (await connection.execute(query)).one()
    return {"spent_fen": int(row.spent_fen), "registered": int(row.registered), "last_number": int(row.last_number)}


async def cube(connection: AsyncConnection, fund_id: int) -> list[tuple[str, str, str, int]]:
    """Every sum that is kept of a fund: month, economic class, site, fen."""
    query = select(fund_sum.c.month, fund_sum.c.econ_class, fund_sum.c.site, fund_sum.c.spent_fen)
    rows = await connection.execute(query.where(fund_sum.c.fund_id == fund_id))
    return sorted((r.month, r.econ_class, r.site, r.spent_fen) for r in rows)

"""Funds 专项资金, their changes, their economic classes and their closings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Row, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.ledger import ECON_CLASSES, ECON_YEARS, Fund
from monitor.errors import MonitorError
from monitor.store.tables import closing, econ_class, entry, fund, fund_change

# Made once: building them anew for every entry would take a good part of the time that registering takes.
# An entry never changes its fund, so that a lock may follow from it.
_LOCK_OF_ENTRY = (
    select(fund)
    .where(fund.c.id == select(entry.c.fund_id).where(entry.c.id == bindparam("entry")).scalar_subquery())
    .with_for_update()
)
_TAKE = (
    update(fund)
    .where(fund.c.id == bindparam("of"), fund.c.spent_fen + bindparam("amount", type_=BigInteger) <= fund.c.budget_fen)
    .values(spent_fen=fund.c.spent_fen + bindparam("amount", type_=BigInteger), last_number=fund.c.last_number + 1)
    .returning(fund.c.last_number)
)
_CLASSES = select(econ_class).where(econ_class.c.year == bindparam("of")).order_by(econ_class.c.code)


async def find(connection: AsyncConnection, year: int, name: str) -> int:
    """The id of a fund; "" where the year has one only. Raises MonitorError, in Chinese."""
    rows = (await connection.execute(select(fund.c.id, fund.c.name).where(fund.c.year == year))).all()
    found = [r.id for r in rows if not name or r.name == name]
    if len(found) == 1:
        return int(found[0])
    known = "、".join(r.name for r in rows) or "无"
    raise MonitorError(f"{year} 年度没有专项资金“{name}”" if name else f"{year} 年度应指明专项资金，现有：{known}")


async def load(connection: AsyncConnection, fund_id: int, *, lock: bool = False) -> Fund:
    """A fund as it stands. `lock`: whoever else wants to write to this fund waits until the transaction ends."""
    query = select(fund).where(fund.c.id == fund_id)
    # SQLite knows no row locks: there the transaction itself is the only one that writes.
    return _fund((await connection.execute(query.with_for_update() if lock else query)).one())


async def lock_of_entry(connection: AsyncConnection, entry_id: int) -> Fund:
    """The fund of an entry, locked. Raises MonitorError where there is no such entry."""
    row = (await connection.execute(_LOCK_OF_ENTRY, {"entry": entry_id})).one_or_none()
    if row is None:
        raise MonitorError(f"没有编号为 {entry_id} 的分录")
    return _fund(row)


def _fund(row: Row[Any]) -> Fund:
    return Fund(
        fund_id=row.id,
        year=row.year,
        name=row.name,
        account=row.account,
        purposes=tuple(json.loads(row.purposes)),
        classes=tuple(json.loads(row.classes)),
        budget_fen=row.budget_fen,
        spent_fen=row.spent_fen,
        last_number=row.last_number,
        closed_month=row.closed_month,
        year_closed=row.year_closed,
    )


async def of_year(connection: AsyncConnection, year: int | None = None) -> list[Fund]:
    """The funds of a year, or all of them."""
    query = select(fund).order_by(fund.c.year, fund.c.id)
    rows = await connection.execute(query if year is None else query.where(fund.c.year == year))
    return [_fund(row) for row in rows]


async def add(connection: AsyncConnection, new: Mapping[str, Any]) -> int:
    """A fund without money yet; its changes bring that. Answers its id."""
    values = {
        **new,
        "purposes": json.dumps(list(new["purposes"]), ensure_ascii=False),
        "classes": json.dumps(list(new["classes"])),
        "budget_fen": 0,
        "spent_fen": 0,
        "last_number": 0,
        "closed_month": 0,
        "year_closed": False,
    }
    return int((await connection.execute(insert(fund).values(values).returning(fund.c.id))).scalar_one())


async def change(connection: AsyncConnection, fund_id: int, row: Mapping[str, Any]) -> None:
    """Write an initial budget, an adjustment or a carry-over, and the budget that follows from it."""
    await connection.execute(insert(fund_change).values(fund_id=fund_id, **row))
    budget = fund.c.budget_fen + row["amount_fen"]
    await connection.execute(update(fund).where(fund.c.id == fund_id).values(budget_fen=budget))


async def changes(connection: AsyncConnection, fund_id: int) -> Sequence[Mapping[str, Any]]:
    """Every change of a fund, in order of writing."""
    query = select(fund_change).where(fund_change.c.fund_id == fund_id).order_by(fund_change.c.id)
    return [dict(r._mapping) for r in await connection.execute(query)]


async def number_next(connection: AsyncConnection, fund_id: int, amount_fen: int) -> int | None:
    """Take the amount from the fund and the next number 台账序号; None where the balance is too small."""
    number: int | None = (await connection.execute(_TAKE, {"of": fund_id, "amount": amount_fen})).scalar()
    return number


async def close(connection: AsyncConnection, row: Mapping[str, Any]) -> None:
    """Write a closing; `period` is a month (2026-10) or the year (2026)."""
    await connection.execute(insert(closing).values(row))
    period = row["period"]
    values = {"closed_month": int(period[5:])} if len(period) > 4 else {"year_closed": True}
    await connection.execute(update(fund).where(fund.c.id == row["fund_id"]).values(values))


async def closings(connection: AsyncConnection, fund_id: int) -> Sequence[Mapping[str, Any]]:
    """The closings of a fund, months before the year."""
    query = select(closing).where(closing.c.fund_id == fund_id).order_by(func.length(closing.c.period).desc())
    return [dict(r._mapping) for r in await connection.execute(query.order_by(closing.c.period))]


async def classes(connection: AsyncConnection, year: int) -> dict[str, str]:
    """The economic classes of a fiscal year: code -> name. Those that are shipped, until the year has its own."""
    own = {code: name for _, code, name in await connection.execute(_CLASSES, {"of": year})}
    return own or (dict(ECON_CLASSES) if year in ECON_YEARS else {})


async def put_classes(connection: AsyncConnection, year: int, all_of_them: Mapping[str, str]) -> None:
    """The year's own table, in place of what it had."""
    await connection.execute(delete(econ_class).where(econ_class.c.year == year))
    rows = [{"year": year, "code": code, "name": name} for code, name in all_of_them.items()]
    if rows:
        await connection.execute(insert(econ_class), rows)

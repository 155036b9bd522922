"""The money of a period, from the ledger: funds, and what was registered by class, township, site, cause, month."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.ledger import Fund, State
from monitor.core.period import Period
from monitor.core.report import FundFacts, MoneyFacts
from monitor.store.ledger import funds, sums
from monitor.store.tables import entry, entry_site


async def facts(connection: AsyncConnection, period: Period, until: date) -> MoneyFacts:
    """Of the funds of the years that the period lies in. What is approved and not paid is as of now. `until`: the last
    day of the period that has begun: later months have no sums yet."""
    found: list[FundFacts] = []
    by: dict[str, dict[str, int]] = {name: {} for name in ("econ_class", "township", "site", "cause", "month")}
    names: dict[str, str] = {}
    for year in range(period.first.year, period.last.year + 1):
        of_year = await funds.of_year(connection, year)
        if of_year:
            names |= await funds.classes(connection, year)
        for fund in of_year:
            spent = await _spent(connection, fund.fund_id, period)
            for name, amounts in spent.items():
                _add(by[name], amounts)
            _add(by["month"], await sums.spent(connection, fund.fund_id, "month", "0000-00", period.months[-1]))
            found.append(await _fund(connection, fund, period, sum(spent["econ_class"].values())))
    return MoneyFacts(
        found,
        by["econ_class"],
        by["township"],
        by["site"],
        by["cause"],
        _cumulated(by["month"], period.first.year, until),
        {code: name for code, name in sorted(names.items()) if code in by["econ_class"]},
    )


async def _fund(connection: AsyncConnection, fund: Fund, period: Period, spent_here: int) -> FundFacts:
    """Budget by the days of its changes, registered by the days of payment, both up to the period's last day."""
    last = period.last.isoformat()
    changes = await funds.changes(connection, fund.fund_id)
    initial = [change for change in changes if change["kind"] == "initial"]
    _, unpaid = await sums.pending(connection, fund.fund_id)
    registered = select(func.coalesce(func.sum(entry.c.amount_fen), 0)).where(
        entry.c.fund_id == fund.fund_id, entry.c.state == State.REGISTERED.value, entry.c.paid_on <= last
    )
    return FundFacts(
        id=str(fund.fund_id),
        name=fund.name,
        source=str(next((change["source"] for change in (*initial, *changes)), "")),
        initial=sum(change["amount_fen"] for change in initial),
        budget=sum(change["amount_fen"] for change in changes if change["dated"] <= last),
        registered=int((await connection.execute(registered)).scalar_one()),
        approved_unpaid=unpaid,
        spent_here=spent_here,
    )


async def _spent(connection: AsyncConnection, fund_id: int, period: Period) -> dict[str, dict[str, int]]:
    """What was paid in the period: of whole months as it was summed when it was registered, of days by entry."""
    if period.form != "days":
        first, last = period.months[0], period.months[-1]
        of_months = {
            name: await sums.spent(connection, fund_id, name, first, last)
            for name in ("econ_class", "township", "site")
        }
        return {**of_months, "cause": await sums.by_cause(connection, fund_id, first, last)}
    first, last = period.first.isoformat(), period.last.isoformat()
    paid = (
        entry.c.fund_id == fund_id,
        entry.c.state == State.REGISTERED.value,
        entry.c.paid_on.between(first, last),
    )
    classes = select(entry.c.econ_class, func.sum(entry.c.amount_fen)).where(*paid).group_by(entry.c.econ_class)
    result = {"econ_class": {code: int(fen) for code, fen in await connection.execute(classes)}}
    for name, column in (("township", entry_site.c.township), ("site", entry_site.c.site)):
        shares = select(column, func.sum(entry_site.c.share_fen)).join(entry, entry.c.id == entry_site.c.entry_id)
        rows = await connection.execute(shares.where(*paid).group_by(column))
        result[name] = {key: int(fen) for key, fen in rows}
    return {**result, "cause": await sums.by_cause_on_days(connection, fund_id, first, last)}


def _add(to: dict[str, int], amounts: Mapping[str, int]) -> None:
    for key, fen in amounts.items():
        to[key] = to.get(key, 0) + fen


def _cumulated(by_month: Mapping[str, int], first: int, until: date) -> dict[str, int]:
    """Of each month of the years from `first` on: what was registered in its year until then."""
    result: dict[str, int] = {}
    for year in range(first, until.year + 1):
        so_far = 0
        for month in range(1, 13 if year < until.year else until.month + 1):
            name = f"{year:04d}-{month:02d}"
            so_far += by_month.get(name, 0)
            result[name] = so_far
    return result

"""The ledger's figures: execution rate, balance, 已批未付, spent by class, township, site, cause, month; forecast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.ledger import SOURCE_NAMES, Fund
from monitor.core.ledger_rules import forecast_fen
from monitor.core.money import in_percent
from monitor.core.sites import Inventory
from monitor.core.workorder import CAUSES
from monitor.flows.ledger.asking import Where
from monitor.publish.views import MoneyFigures
from monitor.store.ledger import funds, sums

#: What a sum can be broken down by, as commands name it and as people do.
BREAKDOWNS: Mapping[str, str] = {
    "econ_class": "支出经济分类", "month": "月份", "township": "乡镇", "cause": "原因", "site": "站点",
    "work_order": "工单",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one fund, in fen. `by`: for each of BREAKDOWNS, what was paid in the months asked for, by key.

    `initial_fen` and `adjusted_fen` make the budget; `sources`: the budget by source. `spent_fen`: registered in the
    whole year, `period_fen` in the months asked for. `execution_rate`: percent, cut; None without a budget.
    """

    fund: Fund
    initial_fen: int
    adjusted_fen: int
    sources: Mapping[str, int]
    period_fen: int
    pending: int
    pending_fen: int
    carried_fen: int
    forecast_fen: int
    by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def execution_rate(self) -> str | None:
        """预算执行率: registered ÷ adjusted budget."""
        return in_percent(self.fund.spent_fen, self.fund.budget_fen)


async def figures(
    connection: AsyncConnection,
    inventory: Inventory,
    where: Where,
    today: date,
    first: str = "0000-00",
    last: str = "9999-99",
    *,
    orders: bool = False,
) -> Figures:
    """A fund's figures; `first` and `last` (2026-10, both included) narrow what the breakdowns and `period_fen` sum.

    `orders`: by work order, too, of which there may be many.
    """
    fund = await funds.load(connection, await funds.find(connection, where.year, where.fund))
    by = {name: await sums.spent(connection, fund.fund_id, name, first, last) for name in sums.BY}
    by["cause"] = await sums.by_cause(connection, fund.fund_id, first, last)
    if orders:
        by["work_order"] = await sums.by_work_order(connection, fund.fund_id, first, last)
    changes = await funds.changes(connection, fund.fund_id)
    sources = {source: sum(c["amount_fen"] for c in changes if c["source"] == source) for source in SOURCE_NAMES}
    initial = sum(c["amount_fen"] for c in changes if c["kind"] == "initial")
    pending, pending_fen = await sums.pending(connection, fund.fund_id)
    contracted = await sums.contracted(connection, fund.fund_id)
    sites = inventory.sites
    return Figures(
        fund=fund,
        initial_fen=initial,
        adjusted_fen=fund.budget_fen - initial,
        sources=sources,
        period_fen=sum(by["month"].values()),
        pending=pending,
        pending_fen=pending_fen,
        carried_fen=sum(c["carried_fen"] for c in await funds.closings(connection, fund.fund_id)),
        forecast_fen=forecast_fen(fund, pending_fen, contracted.paid_fen, contracted.open_fen, today),
        by=by,
        names={
            "econ_class": await funds.classes(connection, fund.year),
            "township": {site.township_code: site.township_name for site in sites.values()},
            "site": {site.site_id: site.name for site in sites.values()},
            "cause": {kept: name for name, kept in CAUSES.items()},
        },
    )


async def money_so_far(connection: AsyncConnection, zone: tzinfo, now: int) -> MoneyFigures | None:
    """All funds of the local year together, for metrics; None where there is none. `now`: ms UTC."""
    today = datetime.fromtimestamp(now / 1000, zone).date()
    known = await funds.of_year(connection, today.year)
    if not known:
        return None
    spent = Counter({code: 0 for fund in known for code in fund.classes})
    townships, sites, causes = Counter[str](), Counter[str](), Counter[str]()
    unpaid = forecast = 0
    for fund in known:
        spent.update(await sums.spent(connection, fund.fund_id, "econ_class"))
        townships.update(await sums.spent(connection, fund.fund_id, "township"))
        sites.update(await sums.spent(connection, fund.fund_id, "site"))
        causes.update(await sums.by_cause(connection, fund.fund_id))
        _, pending_fen = await sums.pending(connection, fund.fund_id)
        contracted = await sums.contracted(connection, fund.fund_id)
        unpaid += pending_fen
        forecast += forecast_fen(fund, pending_fen, contracted.paid_fen, contracted.open_fen, today)
    return MoneyFigures(sum(fund.budget_fen for fund in known), spent, unpaid, forecast, townships, sites, causes)

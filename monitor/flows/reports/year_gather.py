"""What a year's documents need of the database: its months, its money, its work orders and meetings, what was declared.

A month that was sealed says what its sealed report says; any other is counted as it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor import __version__
from monitor.core.access import SYSTEM
from monitor.core.eras import Era
from monitor.core.figures import Counter
from monitor.core.indicators import Meetings, Repairs, Service
from monitor.core.ledger import SOURCE_NAMES, Fund, State
from monitor.core.period import Period, parse, settles_at
from monitor.core.report import ReportFacts, Sum
from monitor.core.timeline import Interval
from monitor.core.year import Month, month_of
from monitor.core.year_facts import FundYear, MonthFacts, SourceMoney, YearFacts
from monitor.errors import MonitorError
from monitor.flows import meetings as meeting_flow
from monitor.flows.collecting import no_search_for_cycles
from monitor.flows.history import eras_in
from monitor.flows.reports import facts_json
from monitor.flows.reports.facts import METHOD, gather
from monitor.flows.reports.figures import sum_of
from monitor.flows.reports.kept import sealed
from monitor.flows.reports.year import Known, Names, assemble, split_by_source
from monitor.inventory.load import Loaded
from monitor.publish.reports.template_files import Templates
from monitor.store import declared as declared_rows
from monitor.store import orders, reading
from monitor.store.chains import heads
from monitor.store.database import snapshot
from monitor.store.ledger import funds, sums
from monitor.store.tables import entry

Progress = Callable[[str], None]


async def gather_year(
    engine: AsyncEngine,
    loaded: Loaded,
    templates: Templates,
    year: int,
    now: int,
    *,
    progress: Progress | None = None,
) -> YearFacts:
    """The facts of a local year as of `now` (ms), from one moment of the database. Raises MonitorError for a year that
    has not begun."""
    whole = parse(f"{year:04d}").interval(loaded.settings.zone)
    if now <= whole[0]:
        raise MonitorError(f"{year} 年度尚未开始")
    interval = (whole[0], min(whole[1], now))
    supported = await meeting_flow.figures(engine, loaded, *interval)
    async with snapshot(engine) as connection:
        with no_search_for_cycles():
            known = await _known(connection, loaded, year, whole, now, progress)
    held = Meetings(supported.meetings, supported.planned, supported.reached)
    return assemble(replace(known, meetings=held), templates)


async def _known(
    connection: AsyncConnection,
    loaded: Loaded,
    year: int,
    whole: Interval,
    now: int,
    progress: Progress | None,
) -> Known:
    interval = (whole[0], min(whole[1], now))
    eras = await eras_in(connection, loaded)
    money, known_funds, spent = await money_of(connection, year)
    months: list[MonthFacts] = []
    reports: list[ReportFacts] = []
    for n in range(1, 13):
        period = parse(f"{year:04d}-{n:02d}")
        if period.interval(loaded.settings.zone)[0] >= now:
            break
        if progress is not None:
            progress(period.name)
        report, state = await _month(connection, loaded, period, now)
        reports.append(report)
        months.append(_month_facts(report, state, spent.get(period.name, 0)))
    rules = _last(eras, interval).parameters
    settles = max(settles_at(whole[1], era.inventory.checks.values()) for era in eras if era.since < whole[1])
    return Known(
        year=year,
        start=whole[0],
        end=whole[1],
        as_of=interval[1],
        timezone=loaded.settings.timezone,
        complete=now >= settles,
        coverage_min=int(Decimal(repr(rules.coverage_min)) * 10_000),
        months=months,
        ways=_ways(reports),
        sums=_added(months, await _outages(connection, eras, interval)),
        outages=len({o.key for report in reports for o in report.outages if o.counted_here > 0}),
        planned_terminals=rules.planned_terminals,
        names=_names(eras),
        ledger=money,
        funds=known_funds,
        repairs=await _repairs(connection, interval),
        services=_services(reports),
        declared=await declared_rows.of_year(connection, year),
        demo=loaded.settings.demo,
        software=__version__,
        rules=METHOD,
        heads=sorted((tag, head.n, head.hash) for tag, head in (await heads(connection)).items()),
        filled_by=loaded.settings.reports.filled_by,
        responsible=loaded.settings.reports.responsible,
    )


# --- months -----------------------------------------------------------------------------------------------------------


async def _month(connection: AsyncConnection, loaded: Loaded, period: Period, now: int) -> tuple[ReportFacts, str]:
    kept = await sealed(connection, period.name)
    if kept is not None:
        return facts_json.read(kept), "sealed"
    found = await gather(connection, loaded, period, now)
    if found.as_of < found.end:
        return found, "running"
    return found, "settled" if found.settled else "open"


def _month_facts(report: ReportFacts, state: str, spent_fen: int) -> MonthFacts:
    counted = report.counted
    outages = sum(o.counted_here > 0 for o in report.outages)
    ways = {
        way: replace(other, differing={})
        for way in ("without_retroactive", "after_exemptions")
        if (other := getattr(report, way)) is not None
    }
    return MonthFacts(report.period, state, counted.sums, counted.sites, counted.terminals, outages, spent_fen, ways)


def _ways(reports: Sequence[ReportFacts]) -> dict[str, list[Month]]:
    """The year by each way of counting that makes a difference in some month; its other months count as measured."""
    result = {"counted": [month_of(report) for report in reports]}
    for way in ("without_retroactive", "after_exemptions"):
        if any(getattr(report, way) is not None for report in reports):
            result[way] = [month_of(report, getattr(report, way)) for report in reports]
    return result


def _added(months: Sequence[MonthFacts], outages: Mapping[str, int]) -> dict[str, Sum]:
    """Seconds and overdue seconds of the months added up. An outage that lasted over a month's end is in both months,
    and once in the year: `outages`."""
    return {
        level: Sum(
            sum(m.sums[level].up for m in months),
            sum(m.sums[level].down for m in months),
            sum(m.sums[level].unknown for m in months),
            sum(m.sums[level].planned for m in months),
            outages[level],
            sum(m.sums[level].overdue for m in months),
        )
        for level in outages
    }


async def _outages(connection: AsyncConnection, eras: Sequence[Era], interval: Interval) -> dict[str, int]:
    """The sites' outages of the year by level, counted in one go."""
    checks = await reading.timelines(connection, *interval)
    counter = Counter(eras, await reading.windows(connection))
    counted = await asyncio.to_thread(counter.count, interval, checks)
    return {level: sum_of(measure).outages for level, measure in counted.sums().items()}


def _last(eras: Sequence[Era], interval: Interval) -> Era:
    return next((era for era in reversed(eras) if era.since < interval[1]), eras[0])


def _names(eras: Sequence[Era]) -> dict[str, Names]:
    return {s.site_id: Names(s.name, s.township_name) for era in eras for s in era.inventory.sites.values()}


def _services(reports: Sequence[ReportFacts]) -> dict[str, Service]:
    result: dict[str, Service] = {}
    for said in (s for report in reports for s in report.services):
        before = result.get(said.service, Service(0, 0))
        result[said.service] = Service(before.ok + said.ok, before.failed + said.failed)
    return result


async def _repairs(connection: AsyncConnection, interval: Interval) -> Repairs:
    """Orders that were opened in the year, without those that came to nothing (docs/workorders.md, Statistics)."""
    opened = [o for o in await orders.listed(connection, opened=interval) if o.closed_by != SYSTEM.name]
    return Repairs(len(opened), sum(o.overdue is not None for o in opened))


# --- money ------------------------------------------------------------------------------------------------------------


async def money_of(connection: AsyncConnection, year: int) -> tuple[list[SourceMoney], list[FundYear], dict[str, int]]:
    """The ledger's money of the year by source, its funds, and what was paid by month."""
    initial: dict[str, int] = {}
    adjusted: dict[str, int] = {}
    executed: dict[str, int] = {}
    by_month: dict[str, int] = {}
    known: list[FundYear] = []
    for fund in await funds.of_year(connection, year):
        budgets: dict[str, int] = {}
        for change in await funds.changes(connection, fund.fund_id):
            of, source, fen = (
                adjusted if change["kind"] == "adjustment" else initial,
                change["source"],
                change["amount_fen"],
            )
            of[source] = of.get(source, 0) + fen
            budgets[source] = budgets.get(source, 0) + fen
        for source, fen in split_by_source(fund.spent_fen, budgets).items():
            executed[source] = executed.get(source, 0) + fen
        for month, fen in (await sums.spent(connection, fund.fund_id, "month")).items():
            by_month[month] = by_month.get(month, 0) + fen
        known.append(await _fund(connection, fund))
    money = [
        SourceMoney(
            source, None, None, None, initial.get(source, 0), adjusted.get(source, 0), executed.get(source, 0)
        )
        for source in SOURCE_NAMES
        if source in initial or source in adjusted
    ]  # fmt: skip
    return money, known, by_month


async def _fund(connection: AsyncConnection, fund: Fund) -> FundYear:
    _, unpaid = await sums.pending(connection, fund.fund_id)
    registered = (entry.c.fund_id == fund.fund_id) & (entry.c.state == State.REGISTERED.value)
    count = (await connection.execute(select(func.count()).where(registered))).scalar_one()
    return FundYear(fund.name, fund.budget_fen, fund.spent_fen, unpaid, int(count))

"""The facts of a period, from one moment of the database: everything that a report of it says (core/report.py).

Read, then counted in a thread: a large county's month takes seconds, and beats come in meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor import __version__
from monitor.core.days import start_of
from monitor.core.figures import Counter, Figures, Key, Member
from monitor.core.period import Period, settles_at
from monitor.core.report import (
    Compared,
    EvidenceFacts,
    LossFacts,
    MoneyFacts,
    ReportFacts,
    ServiceFacts,
)
from monitor.core.sites import Level
from monitor.core.timeline import Interval, Timeline
from monitor.core.window import Window
from monitor.errors import MonitorError
from monitor.flows.collecting import no_search_for_cycles
from monitor.flows.history import held_in
from monitor.flows.reports import evidence, figures, money, orders, outages
from monitor.flows.reports.facts_json import VERSION
from monitor.inventory.load import Loaded
from monitor.inventory.versions import Version
from monitor.store import exemptions, reading
from monitor.store import windows as declared_windows
from monitor.store.database import snapshot
from monitor.store.windows import Declared

#: The version of the rules of availability (docs/rules.md).
METHOD = "1"
#: How far back it is looked for months that somebody failed in a row.
RUNNING_MONTHS = 24
#: So many sites are read by their ids; of more it is quicker to read all.
_FEW = 2_000


@dataclass(frozen=True, slots=True)
class _Read:
    """What the database said, beside the timelines."""

    held: Sequence[Version]
    declared: Sequence[Declared]
    outages: outages.Found
    orders: orders.Found
    losses: Sequence[LossFacts]
    observers: Mapping[str, str]
    services: Sequence[ServiceFacts]
    money: MoneyFacts
    evidence: EvidenceFacts


async def gather(database: AsyncEngine | AsyncConnection, loaded: Loaded, period: Period, now: int) -> ReportFacts:
    """The facts of a period as of `now` (ms). Of a period that runs: up to now. `loaded`: the inventory in force.

    With an engine in a snapshot of its own; a connection's transaction should be one. Raises MonitorError for a period
    that has not begun, and what the database raises.
    """
    async with AsyncExitStack() as stack:
        if isinstance(database, AsyncEngine):
            connection = await stack.enter_async_context(snapshot(database))
        else:
            connection = database
        with no_search_for_cycles():
            return await _gather(connection, loaded, period, now)


async def _gather(connection: AsyncConnection, loaded: Loaded, period: Period, now: int) -> ReportFacts:
    zone = loaded.settings.zone
    start, end = period.interval(zone)
    if now <= start:
        raise MonitorError(f"期间 {period.name} 尚未开始")
    interval = (start, min(end, now))
    held, eras = await held_in(connection, loaded)
    counter = Counter(eras, await reading.windows(connection))
    # First, so that what it takes is free again for the period itself.
    compared, failed_before = await _compared(connection, loaded, period, counter)
    checks = await reading.timelines(connection, *interval)
    exempted = await exemptions.approved(connection)
    # Not counted meanwhile: two threads of one interpreter wait for each other at every row.
    read = await _read(connection, loaded, period, interval, counter, held, exempted)

    def count() -> ReportFacts:
        counted = counter.count_all(interval, checks, exempted)
        facts = _facts(loaded, period, (start, end), now, counter, counted, checks, read)
        # A large county's 750,000 outages take the room of what they are made of, and of the figures, bit by bit.
        del counted
        found, lines = outages.facts(read.outages, counter, checks, interval)
        return replace(facts, outages=found, lines=lines)

    facts = await asyncio.to_thread(count)
    failed = {site.site for site in facts.sites if site.verdict == "failed"}
    running = await _running(connection, loaded, period, counter, failed, failed_before)
    return replace(facts, compared=compared, failed_running=running)


async def _read(
    connection: AsyncConnection,
    loaded: Loaded,
    period: Period,
    interval: Interval,
    counter: Counter,
    held: Sequence[Version],
    exempted: Sequence[Window],
) -> _Read:
    of_orders = await orders.find(connection, interval)
    until = min(period.last, _local_day(loaded, interval[1] - 1))
    return _Read(
        held=held,
        declared=await declared_windows.listed(connection, since=interval[0]),
        outages=await outages.find(connection, interval, counter, exempted),
        orders=of_orders,
        losses=await evidence.losses(connection, interval),
        observers=await evidence.observers(connection),
        services=await services(connection, period),
        money=await money.facts(connection, period, until),
        evidence=await evidence.evidence(connection, period),
    )


async def services(connection: AsyncConnection, period: Period) -> list[ServiceFacts]:
    """What beats said of services on the days of the period that have ended."""
    first, last = (day.year * 10_000 + day.month * 100 + day.day for day in (period.first, period.last))
    found = await reading.said(connection, first, last)
    return [
        ServiceFacts(
            service,
            sum(ok for ok, _ in said.values()),
            sum(failed for _, failed in said.values()),
            len(said),
            sum(failed > 0 for _, failed in said.values()),
        )
        for service, said in sorted(found.items())
    ]


def _facts(
    loaded: Loaded,
    period: Period,
    whole: Interval,
    now: int,
    counter: Counter,
    counted: Figures,
    checks: Mapping[Key, Timeline],
    read: _Read,
) -> ReportFacts:
    """All but the outages, and what is beside this period."""
    settings = loaded.settings
    interval = counted.period
    bare, lenient = counted.without_retroactive, counted.after_exemptions
    names, days = _days(loaded, period, interval)
    heat = figures.heat(counted, counter, checks, names, days)
    of_orders, of_exemptions = orders.facts(read.orders, counter, interval)
    asked = [era.inventory.checks.values() for era in counter.eras if era.since < whole[1]]
    settles = max(settles_at(whole[1], of_era) for of_era in asked)
    county = next((s.township_name for s in loaded.inventory.sites.values() if s.level is Level.COUNTY), "")
    return ReportFacts(
        v=VERSION,
        period=period.name,
        start=whole[0],
        end=whole[1],
        as_of=interval[1],
        timezone=settings.timezone,
        county=county,
        unit=settings.reports.unit,
        demo=settings.demo,
        rules=METHOD,
        software=__version__,
        settled=now >= settles,
        counted=figures.counted(counted),
        without_retroactive=None if bare is None else figures.counted(bare, counted),
        after_exemptions=None if lenient is None else figures.counted(lenient, counted),
        townships=figures.townships(counted),
        kinds=figures.kinds(counted),
        services=read.services,
        sites=figures.sites(counted, counter),
        days=heat.days,
        heat=heat.sites,
        outages=[],
        windows=evidence.windows(read.declared, counter, counted),
        losses=read.losses,
        orders=of_orders,
        money=read.money,
        minima=figures.minima(counted, counter),
        compared=[],
        failed_running=[],
        eras=evidence.eras(read.held, counter.eras, interval),
        evidence=read.evidence,
        exemptions=of_exemptions,
        lines=[],
        unknown=evidence.unknown(counted, counter, checks, read.losses, read.observers),
        settles_at=settles,
        filled_by=settings.reports.filled_by,
        responsible=settings.reports.responsible,
    )


def _local_day(loaded: Loaded, at: int) -> date:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(loaded.settings.zone).date()


def _days(loaded: Loaded, period: Period, interval: Interval) -> tuple[list[date], list[Interval]]:
    """The days of the period that have begun, and when each begins and ends."""
    zone = loaded.settings.zone
    names = [day for day in period.days() if start_of(zone, day) < interval[1]]
    return names, [(start_of(zone, day), min(start_of(zone, day, 1), interval[1])) for day in names]


# --- beside this period -----------------------------------------------------------------------------------------------


async def _compared(
    connection: AsyncConnection, loaded: Loaded, period: Period, counter: Counter
) -> tuple[list[Compared], frozenset[str] | None]:
    """The period before and the same a year ago; and the sites that failed in the one before, None without figures."""
    others = [other for other in (period.before(), period.year_before()) if other is not None]
    first = await reading.first_evidence(connection)
    result: list[Compared] = []
    failed: frozenset[str] | None = None
    for other in dict.fromkeys(others):
        found = await _figures(connection, loaded, other, counter, first)
        if found is not None and other == others[0]:
            failed = frozenset(_failed_in(found.sites))
        result.append(Compared(other.name, None if found is None else figures.counted(found)))
    return result, failed


def _failed_in(members: Iterable[Member]) -> set[str]:
    return {m.site.site_id for m in members if m.terminal is None and m.verdict == "failed"}


async def _figures(
    connection: AsyncConnection, loaded: Loaded, period: Period, counter: Counter, first: int | None
) -> Figures | None:
    """The figures of an earlier period; None where nothing was known yet when it ended."""
    interval = period.interval(loaded.settings.zone)
    if first is None or first >= interval[1]:
        return None
    checks = await reading.timelines(connection, *interval)
    return await asyncio.to_thread(counter.count, interval, checks)


async def _running(
    connection: AsyncConnection,
    loaded: Loaded,
    period: Period,
    counter: Counter,
    going: set[str],
    before: frozenset[str] | None,
) -> list[tuple[str, int]]:
    """Of the sites that failed in this month (`going`), for how many months in a row; those that do for the first time
    too. `before`: who failed in the month before."""
    if period.form != "month":
        return []
    months = dict.fromkeys(going, 1)
    for back in range(1, RUNNING_MONTHS):
        earlier = period.earlier(back)
        if before is None or earlier is None or not going:
            break
        interval = earlier.interval(loaded.settings.zone)
        going = going & (before if back == 1 else await _failed(connection, interval, counter, going))
        for site in going:
            months[site] += 1
    return sorted(months.items())


async def _failed(connection: AsyncConnection, interval: Interval, counter: Counter, sites: set[str]) -> set[str]:
    """Those of these sites that failed in an earlier month."""
    checks = await reading.timelines(connection, *interval, sites=sites if len(sites) <= _FEW else None)

    def count() -> set[str]:
        members = (member for site in sorted(sites) for member in counter.members(site, interval, checks))
        return _failed_in(members)

    return await asyncio.to_thread(count)

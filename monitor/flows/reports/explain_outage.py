"""One outage, from its evidence to its order, its costs and what it does to the evaluation, as one chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor import __version__
from monitor.core.cause import cause_of
from monitor.core.days import local_month
from monitor.core.explaining import Clock, outage_clock
from monitor.core.explanation import About, MonthFacts, OutageExplanation
from monitor.core.figures import Counter, Key
from monitor.core.outage import ALIVE, Outage
from monitor.core.period import settles_at
from monitor.core.sites import Check, Site
from monitor.core.timeline import Edge, Interval, Timeline
from monitor.errors import MonitorError
from monitor.flows.history import eras_in
from monitor.flows.reports.evidence_lines import Wanted, of_edge
from monitor.flows.reports.explain import METHOD, chain_of, find_site, located
from monitor.inventory.load import Loaded
from monitor.store import orders, reading
from monitor.store.database import snapshot
from monitor.store.exemptions import approved as exempted

#: Keys that are offered where there is no such outage.
_OFFERED = 5


async def explain_outage(
    engine: AsyncEngine, loaded: Loaded, key: str, now: int, *, locate: bool = True
) -> OutageExplanation:
    """What is known of an outage under its key, or under that of the one it was merged into.

    Raises MonitorError for a key that never was, with those that the terminal has.
    """
    async with snapshot(engine) as connection:
        outage = await _outage(connection, key)
        counter = Counter(await eras_in(connection, loaded), await reading.windows(connection))
        site = find_site(counter, outage.site)
        lasts = (outage.start, now if outage.over is None else outage.over)
        months = _months(loaded, lasts, now)
        checks = await reading.timelines(connection, months[0][0], max(months[-1][1], lasts[1]), sites=[outage.site])
        starts = await reading.edges_at(connection, outage.site, outage.terminal, outage.start)
        over = outage.over
        ends = [] if over is None else await reading.edges_at(connection, outage.site, outage.terminal, over)
        number = (await orders.orders_of(connection, [outage.key])).get(outage.key)
        scope = f"terminal:{outage.site}/{outage.terminal}"
        spared = any((w.scope, w.start) == (scope, outage.start) for w in await exempted(connection))
        observers = await reading.observers(connection, outage.site)
        known = (await reading.known_until(connection)).get(outage.site)
    timeline = counter.terminal_timeline(outage.site, outage.terminal, checks)
    clocks = outage_clock(counter, outage.site, outage.terminal, timeline, lasts, [m[0] for m in months])
    late = next((c for c in clocks if c.overdue), None)
    course = counter.course(outage.site, outage.terminal)
    order_limit = round(loaded.settings.maintenance.open_after_min.of(site.level) * 60_000)
    limit = clocks[-1].limit if clocks else 0
    overdue_at = course.reached_at(timeline, lasts, late.limit) if late is not None else None
    wanted = _wanted(outage, starts, ends) if locate else set()
    lines, files = await located(loaded, outage.site, observers, wanted)
    return OutageExplanation(
        About(
            "",
            "",
            lasts[0],
            lasts[1],
            now,
            known,
            loaded.settings.timezone,
            METHOD,
            __version__,
            loaded.settings.demo,
            settles_at(lasts[1], loaded.inventory.checks.values()),
        ),
        outage.key,
        outage.site,
        site.name,
        str(site.level),
        outage.terminal,
        outage.state,
        key if key != outage.key else outage.successor,
        outage.start,
        outage.end,
        outage.over,
        outage.start_edge,
        outage.end_edge,
        starts,
        ends,
        _sign(counter, site, outage, ends),
        clocks,
        limit,
        order_limit,
        course.reached_at(timeline, lasts, order_limit),
        None if overdue_at is None or late is None else max(overdue_at, late.start),
        await chain_of(engine, loaded, number) if number is not None else None,
        spared,
        [_month(counter, outage, month, _name(month, loaded), checks, clocks) for month in months],
        lines,
        files,
    )


async def _outage(connection: AsyncConnection, key: str) -> Outage:
    heir = await orders.heir(connection, key)
    found = await reading.an_outage(connection, heir)
    if found is None:
        prefix = key.rpartition("/")[0]
        site = prefix.partition("/")[0] or key
        offer: list[str] = []
        for begin in (prefix, site):
            offer = offer or await reading.outage_keys(connection, f"{begin}/", _OFFERED)
        have = "，最近的有：" + "、".join(offer) if offer else ""
        raise MonitorError(f"没有编号为 {key} 的停机{have}")
    if found.state not in ALIVE:
        raise MonitorError(f"停机 {key} 后来被证据否定：它从未发生（{found.state}）")
    return found


def _name(month: Interval, loaded: Loaded) -> str:
    """2026-10"""
    return datetime.fromtimestamp(month[0] / 1000, loaded.settings.zone).strftime("%Y-%m")


def _months(loaded: Loaded, outage: Interval, now: int) -> list[Interval]:
    """The local months that it lasted into, the last one up to `now`."""
    result: list[Interval] = []
    at = outage[0]
    while at < max(outage[1], outage[0] + 1):
        start, end = local_month(loaded.settings.zone, at)
        result.append((start, max(min(end, now), at)))
        at = end
    return result


def _month(
    counter: Counter,
    outage: Outage,
    month: Interval,
    name: str,
    checks: Mapping[Key, Timeline],
    clocks: Sequence[Clock],
) -> MonthFacts:
    """`clocks` are cut at the months' ends."""
    mine = [c for c in clocks if month[0] <= c.start < month[1]]
    members = counter.members(outage.site, month, checks) if month[0] < month[1] else []
    member = next((m for m in members if m.terminal == outage.terminal), None)
    measure, verdict = (None, "") if member is None else (member.measure, member.verdict)
    least = counter.minima(month).coverage_min
    return MonthFacts(name, sum(c.counted for c in mine), sum(c.overdue for c in mine), measure, verdict, least)


def _wanted(outage: Outage, starts: list[tuple[str, Edge]], ends: list[tuple[str, Edge]]) -> set[Wanted]:
    found: set[Wanted] = set()
    for edges, at in ((starts, outage.start), (ends, outage.over)):
        for name, edge in edges:
            channel = Check(outage.site, outage.terminal, name).channel
            found |= set(of_edge(outage.terminal, name, channel, edge, at or 0))
    return found


def _sign(counter: Counter, site: Site, outage: Outage, ends: list[tuple[str, Edge]]) -> str:
    """What the first beat after it says of its cause (core/cause.py)."""
    for name, edge in ends:
        for held in reversed(counter.held(site.site_id)):
            check = held.era.inventory.checks.get((outage.site, outage.terminal, name))
            if check is not None and (sign := cause_of(edge, check.interval_ms)):
                return sign
    return ""

"""Meeting support 会议保障: a meeting is planned, who joined is noted, and what the monitor saw stands beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor
from monitor.core.figures import Counter
from monitor.core.meeting import (
    Attendance,
    Meeting,
    MeetingFigures,
    SiteSupport,
    Support,
    check_meeting,
    check_note,
    last_notes,
    meeting_figures,
    sight,
)
from monitor.core.timeline import BEGINNING, Timeline, new_timeline, roll_up_values
from monitor.errors import MonitorError
from monitor.flows.acting import acting
from monitor.flows.inspections import scoped_sites
from monitor.flows.judging import parameters
from monitor.flows.register import keep_papers, local_day, township_of
from monitor.inventory.load import Loaded
from monitor.store import meetings as rows
from monitor.store import reading
from monitor.store.numbering import next_number
from monitor.store.tables import meeting, meeting_note


async def plan(
    engine: AsyncEngine,
    loaded: Loaded,
    actor: Actor,
    title: str,
    organiser: str,
    period: tuple[int, int],
    scope: str,
    at_ms: int,
) -> Meeting:
    """Plan a meeting of a scope's sites in `[start, end)`, ms; one that is over may be entered afterwards."""
    start, end = period
    sites, township = scoped_sites(loaded, scope, local_day(loaded, start), local_day(loaded, end))
    async with acting(
        engine, actor, Action.WORKORDER_WRITE, f"会议保障 {title} {scope}", at_ms, township=township
    ) as connection:
        n = await next_number(connection, meeting)
        made = Meeting(n, title.strip(), organiser.strip(), start, end, scope, sites, actor.name, at_ms)
        check_meeting(made)
        await rows.add_meeting(connection, made)
    return made


async def cancel(engine: AsyncEngine, loaded: Loaded, actor: Actor, n: int, why: str, at_ms: int) -> None:
    """Call a meeting off; what was noted stays. Raises MonitorError."""
    of = await find(engine, n)
    _, township = scoped_sites(loaded, of.scope, local_day(loaded, of.start), local_day(loaded, of.end))
    async with acting(
        engine, actor, Action.WORKORDER_WRITE, f"会议保障 取消 第 {n} 号 {of.title}", at_ms, township=township
    ) as connection:
        if not why.strip():
            raise MonitorError("取消应写明原因")
        if not await rows.cancel_meeting(connection, n, actor.name, at_ms, why.strip()):
            raise MonitorError(f"第 {n} 号会议已取消")


async def note(
    engine: AsyncEngine, loaded: Loaded, actor: Actor, new: Attendance, at_ms: int, papers: Sequence[Path] = ()
) -> Attendance:
    """Note how a site took part; of several notes the last one counts. Raises MonitorError."""
    of = await find(engine, new.meeting)
    what = f"会议保障 第 {of.n} 号 {of.title} {new.site} {'参会' if new.reached else '未参会'}"
    township = township_of(loaded, new.site)
    async with acting(engine, actor, Action.WORKORDER_WRITE, what, at_ms, township=township) as connection:
        n = await next_number(connection, meeting_note)
        check_note(new, of, at_ms)
        files = await keep_papers(connection, loaded, papers, actor, at_ms)
        made = replace(new, n=n, by=actor.name, at_ms=at_ms, papers=files)
        await rows.add_note(connection, made)
    return made


async def find(engine: AsyncEngine, n: int) -> Meeting:
    """A meeting by its number. Raises MonitorError."""
    async with engine.connect() as connection:
        found = await rows.meetings(connection, n)
    if not found:
        raise MonitorError(f"没有第 {n} 号会议")
    return found[0]


async def all_meetings(engine: AsyncEngine) -> list[Meeting]:
    """By their beginning."""
    async with engine.connect() as connection:
        return await rows.meetings(connection)


async def support(engine: AsyncEngine, loaded: Loaded, n: int) -> Support:
    """A meeting's sites: what was noted, and what the monitor saw of their terminals. Raises MonitorError."""
    of = await find(engine, n)
    async with engine.connect() as connection:
        return await _support(connection, loaded, of)


async def _support(connection: AsyncConnection, loaded: Loaded, of: Meeting) -> Support:
    notes = last_notes(await rows.notes(connection, of.n))
    checks = await reading.timelines(connection, of.start, of.end)
    known_until = await reading.known_until(connection)
    inventory = loaded.inventory
    counter = Counter(inventory, parameters(loaded), loaded.service, [])
    sites = []
    for site in of.sites:
        watched: Mapping[str, Timeline] = {
            t.kind: counter.terminal_timeline(*t.key, checks)
            for t in inventory.terminals_of.get(site, ())
            if inventory.checks_of.get(t.key)
        }
        until = known_until.get(site, BEGINNING)
        # As a site is rolled up everywhere: it is up where any of its terminals is.
        whole = roll_up_values(list(watched.values()), max) if watched else new_timeline()
        terminals = {kind: sight(timeline, of.period, until) for kind, timeline in watched.items()}
        sites.append(SiteSupport(site, notes.get(site), sight(whole, of.period, until), terminals))
    return Support(of, tuple(sites))


async def figures(engine: AsyncEngine, loaded: Loaded, start: int, end: int) -> MeetingFigures:
    """Of the meetings that began in `[start, end)`, ms, for reports."""
    async with engine.connect() as connection:
        known = await rows.meetings(connection, start=start, end=end)
        return meeting_figures([await _support(connection, loaded, m) for m in known if m.cancelled_ms is None])

"""Meeting support 会议保障: a meeting is planned, who joined is noted, and what the monitor saw stands beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor, demand
from monitor.core.figures import Counter
from monitor.core.meeting import (
    SEEN_NAMES,
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
from monitor.errors import ConfigError, Mistake, MonitorError
from monitor.flows.acting import acting, acting_or_trying
from monitor.flows.history import eras_in
from monitor.flows.inspections import scoped_sites
from monitor.flows.register import keep_papers, local_day, one_township, sees, township_of
from monitor.inventory.load import Loaded
from monitor.inventory.round_tables import NOTE_COLUMNS, NOTE_HEADINGS, NOTE_OPTIONAL, clock_cell, read_notes
from monitor.inventory.sheets import by_headings, read_sheet
from monitor.publish.sheets import write_sheet
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
    new = replace(new, quality=" ".join(new.quality.split()))
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
    counter = Counter(await eras_in(connection, loaded), [])
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


# --- sheets -----------------------------------------------------------------------------------------------------------

_HEADINGS = ("站点编号", "站点名称", "乡镇", "参会", "加入", "离开", "音画质量", "监测")


class Taken(NamedTuple):
    """What a sheet adds, and how many of its rows are known already."""

    notes: list[Attendance]
    unchanged: int


async def sheet(engine: AsyncEngine, loaded: Loaded, actor: Actor, n: int, file: Path) -> int:
    """A sheet to fill in: a line for each site, with what was noted so far and what the monitor saw."""
    demand(actor, Action.STATUS_READ)
    of = await support(engine, loaded, n)
    zone = loaded.settings.zone
    lines = []
    for one in of.sites:
        there, note = loaded.inventory.sites.get(one.site), one.note
        names = [one.site, there.name if there else "", there.township_name if there else ""]
        said = ["", "", "", ""]
        if note is not None:
            times = [clock_cell(at, of.meeting, zone) for at in (note.joined, note.left)]
            said = ["是" if note.reached else "否", *times, note.quality]
        if sees(loaded, actor, one.site):
            lines.append([*names, *said, SEEN_NAMES[one.seen.seen]])
    return await asyncio.to_thread(write_sheet, file, f"会议{n}", _HEADINGS, lines)


async def take_sheet(
    engine: AsyncEngine, loaded: Loaded, actor: Actor, n: int, file: Path, at_ms: int, *, dry_run: bool = False
) -> Taken:
    """Note what a sheet says of meeting `n`: all of it or nothing. Raises ConfigError with every mistake."""
    of = await find(engine, n)
    table = await asyncio.to_thread(read_sheet, file, NOTE_COLUMNS, NOTE_OPTIONAL, NOTE_HEADINGS)
    sheet_rows, mistakes = read_notes(table, of, loaded.settings.zone)
    township = one_township(loaded, (row.note.site for row in sheet_rows))

    async def taken(connection: AsyncConnection) -> Taken:
        last = last_notes(await rows.notes(connection, n))
        result = Taken([], 0)
        wrong = list(mistakes)
        for number, new in sheet_rows:
            before = last.get(new.site)
            if before is not None and replace(before, n=0, by="", at_ms=0, papers=()) == new:
                result = result._replace(unchanged=result.unchanged + 1)
                continue
            try:
                check_note(new, of, at_ms)
            except MonitorError as error:
                wrong.append(Mistake(table.file, number, "site_id", str(error)))
            result.notes.append(new)
            last[new.site] = new
        if wrong:
            raise ConfigError(by_headings(wrong, NOTE_HEADINGS))
        return result

    what = f"会议保障 第 {n} 号 导入 {file.name}"
    async with acting_or_trying(
        engine, actor, Action.WORKORDER_WRITE, what, at_ms, township=township, dry_run=dry_run
    ) as connection:
        if dry_run:
            return await taken(connection)
        first = await next_number(connection, meeting_note)
        found = await taken(connection)
        made = [replace(one, n=i, by=actor.name, at_ms=at_ms) for i, one in enumerate(found.notes, first)]
        for one in made:
            await rows.add_note(connection, one)
    return found._replace(notes=made)

"""`zhdj-monitor meeting`: meetings that were supported 会议保障, who joined, and what the monitor saw."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.acting import AsJson, Caller, act, with_caller
from monitor.cli.showing import (
    DryRun,
    File,
    From,
    Papers,
    To,
    a_day,
    an_instant,
    iso,
    show,
    show_json,
    show_lines,
    show_one,
    show_taken,
    shown,
)
from monitor.clock import wall_ms
from monitor.core.access import Action, Actor, demand
from monitor.core.days import start_of
from monitor.core.meeting import SEEN_NAMES, Attendance, Meeting, Seen, Sight, SiteSupport, Support
from monitor.core.text import length, percent
from monitor.flows import meetings
from monitor.flows.register import sees
from monitor.inventory.load import Loaded

Number = Annotated[int, typer.Argument(help="The meeting's number.")]

program = typer.Typer(no_args_is_help=True, help="会议保障: meetings and who joined.")


@program.command()
@with_caller
def plan(
    caller: Caller,
    title: Annotated[str, typer.Argument(help="What it is called.")],
    organiser: Annotated[str, typer.Option(help="Who holds it 主办单位.")],
    start: Annotated[str, typer.Option(help="2026-10-12T09:00+08:00.")],
    end: Annotated[str, typer.Option(help="2026-10-12T11:00+08:00.")],
    scope: Annotated[str, typer.Option(help="Who takes part: county, level:village, township:CODE or site:ID.")],
) -> None:
    """Enter a meeting, before or after it is held."""
    period = an_instant(start, "--start"), an_instant(end, "--end")

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> Meeting:
        return await meetings.plan(engine, loaded, actor, title, organiser, period, scope, wall_ms())

    made = act(caller, work)
    print(f"第 {made.n} 号会议：{made.title}，{len(made.sites)} 个站点")


@program.command()
@with_caller
def cancel(
    caller: Caller,
    number: Number,
    why: Annotated[str, typer.Option(help="原因.")],
) -> None:
    """Call a meeting off."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> None:
        await meetings.cancel(engine, loaded, actor, number, why, wall_ms())

    act(caller, work)
    print(f"第 {number} 号会议已取消")


@program.command()
@with_caller
def note(
    caller: Caller,
    number: Number,
    site: Annotated[str, typer.Argument(help="The site's id.")],
    reached: Annotated[bool, typer.Option("--reached/--not-reached", help="参会, 未参会.")] = True,
    joined: Annotated[str, typer.Option(help="When it joined, 2026-10-12T09:02+08:00.")] = "",
    left: Annotated[str, typer.Option(help="When it left.")] = "",
    quality: Annotated[str, typer.Option(help="Sound and picture 音画质量, in words.")] = "",
    paper: Papers = None,
) -> None:
    """Note how a site took part; of several notes the last one counts."""
    came = an_instant(joined, "--joined") if joined else None
    went = an_instant(left, "--left") if left else None

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> Attendance:
        new = Attendance(0, number, site, reached, came, went, quality)
        return await meetings.note(engine, loaded, actor, new, wall_ms(), paper or ())

    made = act(caller, work)
    print(f"第 {made.n} 号会议记录：{made.site} {'参会' if made.reached else '未参会'}")


@program.command("list")
@with_caller
def list_meetings(caller: Caller, as_json: AsJson = False) -> None:
    """Meetings by their beginning."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> tuple[list[Meeting], ZoneInfo]:
        demand(actor, Action.STATUS_READ)
        return await meetings.all_meetings(engine), loaded.settings.zone

    found, zone = act(caller, work)
    show([_meeting(m) for m in found], (_line(m, zone) for m in found), as_json)


@program.command("show")
@with_caller
def show_meeting(caller: Caller, number: Number, as_json: AsJson = False) -> None:
    """A meeting's sites: what was noted, beside what the monitor saw of their terminals."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> tuple[Support, list[SiteSupport], ZoneInfo]:
        demand(actor, Action.STATUS_READ)
        found = await meetings.support(engine, loaded, number)
        return found, [s for s in found.sites if sees(loaded, actor, s.site)], loaded.settings.zone

    found, seen_by, zone = act(caller, work)
    if as_json:
        seen = {word.value: found.count(word) for word in Seen}
        sites = [_site(s) for s in seen_by]
        answer = {"planned": len(found.sites), "noted": found.noted, "reached": found.reached}
        show_json({**_meeting(found.meeting), **answer, "coverage": found.ratio, "seen": seen, "sites": sites})
        return
    show_lines([_line(found.meeting, zone), *(_site_line(s) for s in seen_by)])
    seen_text = "，".join(f"{SEEN_NAMES[word]} {found.count(word)}" for word in Seen)
    print(f"参会 {found.reached}/{len(found.sites)}（{percent(found.ratio)}）；监测：{seen_text}")


@program.command()
@with_caller
def sheet(caller: Caller, number: Number, file: File) -> None:
    """Write a sheet to note who joined, which `meeting import` reads back."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> int:
        return await meetings.sheet(engine, loaded, actor, number, file)

    print(f"{act(caller, work)} 行: {file}")


@program.command("import")
@with_caller
def import_notes(caller: Caller, number: Number, file: File, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Take a filled-in sheet of a meeting, all of it or nothing; lines that do not say 是 or 否 are passed over."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> meetings.Taken:
        return await meetings.take_sheet(engine, loaded, actor, number, file, wall_ms(), dry_run=dry_run)

    found = act(caller, work)
    notes = [{"site": note.site, **_noted(note)} for note in found.notes]
    show_taken("notes", notes, (), found.unchanged, dry_run=dry_run, as_json=as_json)


@program.command()
@with_caller
def figures(caller: Caller, first: From, last: To, as_json: AsJson = False) -> None:
    """Meetings that began in a period, their coverage, and what the monitor saw of it."""
    days = a_day(first, "--from"), a_day(last, "--to")

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> dict[str, Any]:
        demand(actor, Action.STATUS_READ)
        zone = loaded.settings.zone
        found = await meetings.figures(engine, loaded, start_of(zone, days[0]), start_of(zone, days[1], 1))
        return {**asdict(found), "seen": {w.value: n for w, n in found.seen.items()}, "coverage": found.ratio}

    show_one(act(caller, work), as_json)


# --- as it is shown ---------------------------------------------------------------------------------------------------


def _meeting(m: Meeting) -> dict[str, Any]:
    return {
        "n": m.n,
        "title": m.title,
        "organiser": m.organiser,
        "start": iso(m.start),
        "end": iso(m.end),
        "scope": m.scope,
        "by": m.by,
        "cancelled_why": m.cancelled_why,
    }


def _line(m: Meeting, zone: ZoneInfo) -> tuple[object, ...]:
    state = "已取消" if m.cancelled_ms is not None else ""
    return (m.n, m.title, m.organiser, shown(m.start, zone), shown(m.end, zone), f"{len(m.sites)} 个站点", state)


def _sight(s: Sight) -> dict[str, Any]:
    return {"seen": s.seen.value, "up_s": s.up / 1000, "down_s": s.down / 1000, "unknown_s": s.unknown / 1000}


def _site(s: SiteSupport) -> dict[str, Any]:
    noted = _noted(s.note) if s.note is not None else None
    terminals = {kind: _sight(one) for kind, one in s.terminals.items()}
    return {"site": s.site, "note": noted, **_sight(s.seen), "terminals": terminals, "disagrees": s.disagrees}


def _noted(note: Attendance) -> dict[str, Any]:
    return {
        "reached": note.reached,
        "joined": iso(note.joined),
        "left": iso(note.left),
        "quality": note.quality,
        "papers": list(note.papers),
        "by": note.by,
    }


def _site_line(s: SiteSupport) -> tuple[object, ...]:
    noted = "未记录" if s.note is None else "参会" if s.note.reached else "未参会"
    seen = SEEN_NAMES[s.seen.seen] + (f" {length(s.seen.down)}" if s.seen.down else "")
    kinds = "；".join(f"{kind} {SEEN_NAMES[one.seen]}" for kind, one in s.terminals.items())
    disagrees = "记录与监测不一致" if s.disagrees else ""
    return (s.site, noted, s.note.quality if s.note else "", seen, kinds, disagrees)

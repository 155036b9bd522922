"""`zhdj-monitor inspection`: rounds 巡检 that are planned, visits that were made, what is overdue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

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
    iso,
    show,
    show_json,
    show_lines,
    show_one,
    show_taken,
)
from monitor.clock import wall_ms
from monitor.core.access import Action, Actor, demand
from monitor.core.inspection import RESULT_NAMES, STATE_NAMES, Coverage, Finding, Result, Round, State, Visit
from monitor.core.text import percent
from monitor.errors import MonitorError
from monitor.flows import inspections
from monitor.flows.register import local_day, sees
from monitor.inventory.load import Loaded

Number = Annotated[int, typer.Argument(help="The round's number.")]

program = typer.Typer(no_args_is_help=True, help="巡检: planned rounds and visits.")


@program.command()
@with_caller
def plan(
    caller: Caller,
    name: Annotated[str, typer.Argument(help="What people call it: 2026 年三季度巡检.")],
    scope: Annotated[str, typer.Option(help="county, level:village, township:CODE or site:ID.")],
    first: Annotated[str, typer.Option("--from", help="The first day on which it may be made.")],
    last: Annotated[str, typer.Option("--to", help="The last day, included; later it is overdue.")],
) -> None:
    """Plan a round: the scope's sites are to be visited in these days."""
    due = a_day(first, "--from"), a_day(last, "--to")

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> Round:
        return await inspections.plan(engine, loaded, actor, name, scope, *due, wall_ms())

    made = act(caller, work)
    print(f"第 {made.n} 号巡检计划：{made.name}，{len(made.sites)} 个站点，{made.due_from} 至 {made.due_to}")


@program.command()
@with_caller
def cancel(
    caller: Caller,
    number: Number,
    why: Annotated[str, typer.Option(help="原因.")],
) -> None:
    """Give a round up; what was visited stays."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> None:
        await inspections.cancel(engine, loaded, actor, number, why, wall_ms())

    act(caller, work)
    print(f"第 {number} 号巡检计划已取消")


@program.command()
@with_caller
def visit(
    caller: Caller,
    site: Annotated[str, typer.Argument(help="The site's id.")],
    who: Annotated[str, typer.Option(help="Who went there 巡检人.")],
    number: Annotated[int | None, typer.Option("--round", help="The round it belongs to.")] = None,
    on: Annotated[str, typer.Option(help="The local day; today without it.")] = "",
    reached: Annotated[bool, typer.Option("--reached/--not-reached", help="到达, 未到.")] = True,
    found: Annotated[
        list[str] | None,
        typer.Option(help="Of a terminal: pc=ok, 'pc=fault:屏幕不亮', pc=not_reached; may be repeated."),
    ] = None,
    order: Annotated[list[str] | None, typer.Option(help="pc=ORDER: the work order of what was found there.")] = None,
    note: Annotated[str, typer.Option(help="备注.")] = "",
    corrects: Annotated[int | None, typer.Option(help="The number of the visit that this one corrects.")] = None,
    paper: Papers = None,
) -> None:
    """Write a visit down: who was there, and what was found at each terminal."""
    day = a_day(on, "--on") if on else None
    findings = _findings(found or [], order or [])

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> Visit:
        now = wall_ms()
        new = Visit(
            0, number, site, day or local_day(loaded, now), who, reached, findings, note, corrects=corrects
        )  # fmt: skip
        return await inspections.visit(engine, loaded, actor, new, now, paper or ())

    made = act(caller, work)
    print(f"第 {made.n} 号巡检记录：{made.on} {made.site} {'到达' if made.reached else '未到'}")


def _findings(found: list[str], orders: list[str]) -> tuple[Finding, ...]:
    numbers = dict(_pair(text, "--order") for text in orders)
    result: dict[str, Finding] = {}
    for text in found:
        terminal, said = _pair(text, "--found")
        word, _, note = said.partition(":")
        if word not in set(Result) or terminal in result:
            raise MonitorError(f"--found: 每个机位一次，如 pc=ok、pc=fault:屏幕不亮 或 pc=not_reached，实为 {text!r}")
        result[terminal] = Finding(terminal, Result(word), note.strip(), numbers.pop(terminal, ""))
    if numbers:
        raise MonitorError(f"--order: 同一机位应有 --found：{'、'.join(numbers)}")
    return tuple(result.values())


def _pair(text: str, option: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name or not value:
        raise MonitorError(f"{option}: 应为 机位=…，如 pc=ok，实为 {text!r}")
    return name, value


@program.command("list")
@with_caller
def list_rounds(
    caller: Caller,
    overdue: Annotated[bool, typer.Option("--overdue", help="Overdue ones alone 逾期.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rounds and how far they have come."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> list[tuple[Coverage, dict[str, Any]]]:
        demand(actor, Action.STATUS_READ)
        known = await inspections.all_rounds(engine, loaded, wall_ms())
        return [(c, _round(c, loaded, actor)) for c in known if not overdue or c.state is State.OVERDUE]

    found = act(caller, work)
    show([answer for _, answer in found], (_line(c) for c, _ in found), as_json)


@program.command("show")
@with_caller
def show_round(caller: Caller, number: Number, as_json: AsJson = False) -> None:
    """A round: every visit, and the sites that are still missing."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> tuple[Coverage, dict[str, Any], list[Visit]]:
        demand(actor, Action.STATUS_READ)
        await inspections.find(engine, number)
        known = await inspections.all_rounds(engine, loaded, wall_ms())
        of = next(c for c in known if c.round.n == number)
        visits = [v for v in await inspections.visits(engine, number) if sees(loaded, actor, v.site)]
        return of, _round(of, loaded, actor), visits

    of, answer, visits = act(caller, work)
    if as_json:
        show_json({**answer, "visits": [_visit(v) for v in visits]})
        return
    show_lines([_line(of), *(_visit_line(v) for v in visits), *((s, "未到") for s in answer["missed"])])


@program.command()
@with_caller
def sheet(caller: Caller, number: Number, file: File) -> None:
    """Write a sheet to take along on a round, which `inspection import` reads back."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> int:
        return await inspections.sheet(engine, loaded, actor, number, file)

    print(f"{act(caller, work)} 行: {file}")


@program.command("import")
@with_caller
def import_visits(caller: Caller, number: Number, file: File, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Take a filled-in sheet of a round, all of it or nothing; lines without a day are passed over."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> inspections.Taken:
        return await inspections.take_sheet(engine, loaded, actor, number, file, wall_ms(), dry_run=dry_run)

    found = act(caller, work)
    made, lines = [_visit(v) for v in found.visits], map(_visit_line, found.visits)
    show_taken("visits", made, lines, found.unchanged, dry_run=dry_run, as_json=as_json)


@program.command()
@with_caller
def figures(caller: Caller, first: From, last: To, as_json: AsJson = False) -> None:
    """Sites reached in a period, and the coverage of the rounds that fell due in it."""
    days = a_day(first, "--from"), a_day(last, "--to")

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> dict[str, Any]:
        demand(actor, Action.STATUS_READ)
        found = await inspections.figures(engine, loaded, *days, wall_ms())
        return {**asdict(found), "coverage": found.ratio}

    show_one(act(caller, work), as_json)


# --- as it is shown ---------------------------------------------------------------------------------------------------


def _round(c: Coverage, loaded: Loaded, actor: Actor) -> dict[str, Any]:
    def seen(sites: Sequence[str]) -> list[str]:
        return [site for site in sites if sees(loaded, actor, site)]

    return {
        "n": c.round.n,
        "name": c.round.name,
        "scope": c.round.scope,
        "from": c.round.due_from.isoformat(),
        "to": c.round.due_to.isoformat(),
        "state": c.state.value,
        "planned": len(c.round.sites),
        "reached": seen(c.reached),
        "late": seen(c.late),
        "missed": seen(c.missed),
        "coverage": c.ratio,
        "faults": c.faults,
        "by": c.round.by,
        "cancelled_why": c.round.cancelled_why,
    }


def _line(c: Coverage) -> tuple[object, ...]:
    done = f"{len(c.reached) + len(c.late)}/{len(c.round.sites)}"
    due = f"{c.round.due_from} 至 {c.round.due_to}"
    return (c.round.n, c.round.name, due, STATE_NAMES[c.state], done, percent(c.ratio), f"故障 {c.faults}")


def _visit(v: Visit) -> dict[str, Any]:
    return {
        "n": v.n,
        "round": v.round,
        "site": v.site,
        "on": v.on.isoformat(),
        "who": v.who,
        "reached": v.reached,
        "findings": [{**asdict(f), "result": f.result.value} for f in v.findings],
        "note": v.note,
        "corrects": v.corrects,
        "papers": list(v.papers),
        "by": v.by,
        "at": iso(v.at_ms),
    }


def _visit_line(v: Visit) -> tuple[object, ...]:
    found = "；".join(
        " ".join(filter(None, (f.terminal, RESULT_NAMES[f.result], f.note, f.work_order))) for f in v.findings
    )
    corrects = f"更正第 {v.corrects} 号" if v.corrects is not None else ""
    return (v.site, "到达" if v.reached else "未到", v.on, v.who, found, v.note, f"第 {v.n} 号", corrects)

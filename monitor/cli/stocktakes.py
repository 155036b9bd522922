"""`zhdj-monitor register count`, `count-sheet`, `count-import`, `stocktake`: 盘点, what is there and what not."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.acting import AsJson, Caller, act, with_caller
from monitor.cli.register import On, Where
from monitor.cli.showing import DryRun, File, Papers, a_day, a_position, show_json, show_lines, show_taken
from monitor.clock import wall_ms
from monitor.core.access import Actor
from monitor.core.stocktake import OUTCOME_NAMES, Count, Stocktake
from monitor.flows import stocktake
from monitor.flows.register import local_day
from monitor.inventory.load import Loaded
from monitor.inventory.register_tables import CountRow

Year = Annotated[int, typer.Argument(help="The year of the stock-take.", min=2000, max=2099)]


def register(program: typer.Typer) -> None:
    """Onto `register`."""
    program.command("count")(count)
    program.command("count-sheet")(count_sheet)
    program.command("count-import")(count_import)
    program.command("stocktake")(show_stocktake)


@with_caller
def count(
    caller: Caller, year: Year, where: Where,
    seen: Annotated[str, typer.Argument(help="The serial or asset number of what is there; √ as its card, 无 none.")],
    on: On = "", note: Annotated[str, typer.Option(help="备注.")] = "", paper: Papers = None,
) -> None:  # fmt: skip
    """盘点: write down what is there; whether it agrees with the card follows."""
    site, terminal = a_position(where)
    day = a_day(on, "--on") if on else None

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> Count:
        now = wall_ms()
        row = CountRow(0, site, terminal, seen, day or local_day(loaded, now), note)
        return await stocktake.count(engine, loaded, actor, year, row, now, paper or ())

    made = act(caller, work)
    print(f"第 {made.n} 号盘点记录：{where} {OUTCOME_NAMES[made.outcome]}")


@with_caller
def count_sheet(caller: Caller, year: Year, file: File) -> None:
    """Write a sheet to take along: every card, with room for what is there."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> int:
        return await stocktake.sheet(engine, loaded, actor, year, file, wall_ms())

    print(f"{act(caller, work)} 个机位: {file}")


@with_caller
def count_import(caller: Caller, year: Year, file: File, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Take a filled-in sheet, all of it or nothing; rows in which nothing was seen yet are passed over."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> stocktake.Counted:
        return await stocktake.take_sheet(engine, loaded, actor, year, file, wall_ms(), dry_run=dry_run)

    found = act(caller, work)
    made, lines = [_count(c) for c in found.counts], map(_count_line, found.counts)
    show_taken("counts", made, lines, found.unchanged, dry_run=dry_run, as_json=as_json)


@with_caller
def show_stocktake(caller: Caller, year: Year, as_json: AsJson = False) -> None:
    """A year's stock-take. Exit status 1 while book, card and thing are not one (账、卡、物相符)."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> Stocktake:
        return await stocktake.report(engine, loaded, actor, year, wall_ms())

    found = act(caller, work)
    if as_json:
        answer = {
            "year": found.year,
            "cards": found.cards,
            "agrees": found.agrees,
            "outcomes": {outcome.value: n for outcome, n in found.outcomes.items()},
            "outstanding": ["/".join(position) for position in found.outstanding],
            "counts": [_count(c) for c in found.counts],
        }
        show_json(answer)
    else:
        show_lines(_count_line(c) for c in found.counts if c.outcome.value != "found")
        counts = "，".join(f"{OUTCOME_NAMES[outcome]} {n}" for outcome, n in found.outcomes.items())
        print(f"{year} 年盘点：卡片 {found.cards}，{counts}，未盘 {len(found.outstanding)}")
    raise typer.Exit(not found.agrees)


def _count(c: Count) -> dict[str, Any]:
    return {
        "n": c.n,
        "site": c.site,
        "terminal": c.terminal,
        "on": c.on.isoformat(),
        "outcome": c.outcome.value,
        "record": c.card,
        "seen": c.seen,
        "note": c.note,
        "papers": list(c.papers),
        "by": c.by,
    }


def _count_line(c: Count) -> tuple[object, ...]:
    return (f"{c.site}/{c.terminal}", OUTCOME_NAMES[c.outcome], c.seen, c.on, c.note)

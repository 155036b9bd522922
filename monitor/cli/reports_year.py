"""`report year` and the declared values 申报值 that its documents hold; registered on the group `report`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.acting import AsJson, Caller, Config, act, in_database, with_caller
from monitor.cli.showing import DryRun, File, Papers, iso, show, show_json, show_lines, shown
from monitor.clock import wall_ms
from monitor.core.access import Actor
from monitor.core.declared import Declared, in_force
from monitor.core.year_facts import YearFacts
from monitor.errors import MonitorError
from monitor.flows import declaring
from monitor.flows.inventory_import import in_force as inventory_in_force
from monitor.flows.outputs import demand_folder
from monitor.flows.reports.write import wanted
from monitor.flows.reports.write_year import chosen, dump, write_year
from monitor.flows.reports.year import outstanding
from monitor.flows.reports.year_gather import gather_year
from monitor.inventory.load import Loaded, load
from monitor.publish.reports.template_files import STYLES, templates_of

Year = Annotated[int, typer.Argument(min=2000, max=2100, metavar="YEAR", help="2026.")]


def register(group: typer.Typer) -> None:
    """Onto `report`."""
    group.command("year")(year)
    group.command("declare")(declare)
    group.command("declared")(declared)
    group.command("declare-sheet")(declare_sheet)
    group.command("declare-import")(declare_import)
    group.command("confirm")(confirm)


def year(
    config: Config,
    which: Year,
    formats: Annotated[
        list[str], typer.Option("--format", help="json, html, xlsx, docx, pdf or all; may be repeated.")
    ] = ["json"],  # noqa: B006  # nobody changes it
    out: Annotated[Path | None, typer.Option(help="The folder of the files. Without it JSON goes to stdout.")] = None,
    template: Annotated[str, typer.Option(help="Of 自评表: sichuan or national.")] = "sichuan",
    documents: Annotated[
        list[str], typer.Option("--document", help="goals, evaluation, narrative or annex; may be repeated; else all.")
    ] = [],  # noqa: B006
    final: Annotated[bool, typer.Option("--final", help="Refuse while anything is missing: for handing in.")] = False,
    as_json: AsJson = False,
) -> None:
    """项目绩效目标完成情况表, 自评表 and 绩效评价报告 of a year; a preview while it runs."""
    names, of = wanted(formats), chosen(documents)
    if template not in STYLES:
        raise MonitorError(f"--template：应为 {' 或 '.join(STYLES)}，实为 {template!r}")
    if out is None and names != ["json"]:
        raise MonitorError("--out：除 json 外的格式须指明输出文件夹")
    if out is not None:
        demand_folder(out)
    loaded = load(config, serving=False)
    templates = templates_of(which, config)
    with Console(stderr=True).status(f"{which}：汇总") as status:

        async def read(engine: AsyncEngine) -> YearFacts:
            there = await inventory_in_force(engine, loaded)
            return await gather_year(
                engine, there, templates, which, wall_ms(), progress=lambda month: status.update(f"{month}：汇总")
            )

        facts = in_database(loaded, read)
        missing = outstanding(facts, template)
        if final and missing:
            for one in missing:
                print(one, file=sys.stderr)
            raise typer.Exit(1)
        written = []
        if out is not None:
            written = write_year(facts, template, of, names, out, lambda what: status.update(f"{which}：{what}"))
    if out is None:
        sys.stdout.buffer.write(dump(facts) + b"\n")
        return
    found = [{"format": w.format, "path": str(w.path), "bytes": w.bytes, "sha256": w.sha256} for w in written]
    if as_json:
        show_json(found)
        return
    for w in written:
        print(w.path, file=sys.stderr)
    for one in missing:
        print(f"尚缺：{one}", file=sys.stderr)


@with_caller
def declare(
    caller: Caller,
    which: Year,
    key: Annotated[str, typer.Argument(metavar="ROW", help="A row's number, or a key that `report declared` lists.")],
    text: Annotated[str, typer.Option(help="内容; empty takes back what was said before.")] = "",
    reason: Annotated[str, typer.Option(help="说明: 未完成原因, or why a band was given.")] = "",
    paper: Papers = None,
) -> None:
    """Declare 申报 what nobody measures; what was declared before stays on record."""
    templates = templates_of(which, caller.config)

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> Declared:
        new = Declared(0, which, key, text, reason)
        return await declaring.declare(engine, loaded, templates, actor, new, wall_ms(), paper or ())

    made = act(caller, work)
    print(f"第 {made.n} 号申报：{made.year} 年度 {made.key}")


@with_caller
def declared(
    caller: Caller,
    which: Year,
    every: Annotated[bool, typer.Option("--all", help="Also what was superseded.")] = False,
    as_json: AsJson = False,
) -> None:
    """What may be declared of a year, and what was: by whom, when, with which papers, confirmed by whom."""
    templates = templates_of(which, caller.config)

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> list[Declared]:
        return await declaring.all_of(engine, actor, which)

    known = act(caller, work)
    now, zone = in_force(known), load(caller.config, serving=False).settings.zone
    if every or as_json:
        rows = known if every else list(now.values())
        show([_shown(one) for one in rows], (_line(one, "", zone) for one in rows), as_json)
        return
    places = declaring.places(templates)
    show(
        [], (_line(now.get(key, Declared(0, which, key, "")), place.name, zone) for key, place in places.items()), False
    )


@with_caller
def declare_sheet(caller: Caller, which: Year, file: File) -> None:
    """Write a sheet to fill in: a line for everything that may be declared."""
    templates = templates_of(which, caller.config)

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> int:
        return await declaring.sheet(engine, templates, actor, which, file)

    print(f"{act(caller, work)} 行")


@with_caller
def declare_import(caller: Caller, which: Year, file: File, dry_run: DryRun = False) -> None:
    """Declare what a sheet says: all of it or nothing."""
    templates = templates_of(which, caller.config)

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> declaring.Taken:
        return await declaring.take_sheet(engine, templates, actor, which, file, wall_ms(), dry_run=dry_run)

    found = act(caller, work)
    if dry_run:
        show_lines((one.key, one.text, one.reason) for one in found.values)
    print(f"{'将申报' if dry_run else '已申报'} {len(found.values)} 项，不变 {found.unchanged} 项")


@with_caller
def confirm(
    caller: Caller,
    which: Year,
    keys: Annotated[list[str] | None, typer.Argument(metavar="[ROW]...", help="Without: all that are open.")] = None,
) -> None:
    """Confirm what somebody else declared."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> Sequence[Declared]:
        return await declaring.confirm(engine, actor, which, keys or (), wall_ms())

    done = act(caller, work)
    print(f"已确认 {len(done)} 项：{'、'.join(one.key for one in done)}" if done else "没有待确认的申报值")


def _shown(one: Declared) -> dict[str, Any]:
    return {
        "n": one.n,
        "year": one.year,
        "key": one.key,
        "text": one.text,
        "reason": one.reason,
        "papers": list(one.papers),
        "by": one.by,
        "at": iso(one.at_ms),
        "confirmed_by": one.confirmed_by or None,
        "confirmed_at": iso(one.confirmed_ms),
    }


def _line(one: Declared, name: str, zone: ZoneInfo) -> tuple[object, ...]:
    who = f"{one.by} {shown(one.at_ms, zone)}" if one.n else ""
    confirmed = f"确认：{one.confirmed_by}" if one.confirmed_by else "未确认" if one.n else ""
    return (one.key, name, one.text, one.reason, who, confirmed)

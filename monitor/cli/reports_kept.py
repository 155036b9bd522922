"""report list, show, seal, restate, schedule: reports that were sealed 定稿, and those that took their place 更正版."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import tzinfo
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.acting import AsJson, Caller, Config, act, in_database, with_caller
from monitor.cli.showing import iso, show, show_json, show_lines
from monitor.clock import wall_ms
from monitor.core.access import Actor
from monitor.core.report_figures import Difference
from monitor.errors import MonitorError
from monitor.flows.reports import kept as flow
from monitor.flows.reports.schedule import schedule as allow
from monitor.flows.reports.seal import restate as make_restated
from monitor.flows.reports.seal import seal as make_sealed
from monitor.flows.reports.seal import shown
from monitor.inventory.load import Loaded, load
from monitor.store import reports
from monitor.store.reports import Kept

Month = Annotated[str, typer.Argument(help="A month, such as 2026-10.")]
STATES = {"sealed": "定稿", "restated": "更正版"}
#: Differences that are shown to people; `--json` has them all.
SHOWN = 20
LONGEST = 80


def register(program: typer.Typer) -> None:
    """Add these commands to the family `report`."""
    program.command("list")(list_reports)
    for function in (show_report, seal, restate, schedule):
        program.command(function.__name__.partition("_")[0])(function)


def list_reports(config: Config, as_json: AsJson = False) -> None:
    """Every sealed and restated report, in the order in which they came."""
    loaded = load(config, serving=False)

    async def work(engine: AsyncEngine) -> list[Kept]:
        async with engine.connect() as connection:
            return await reports.listed(connection)

    found, zone = in_database(loaded, work), loaded.settings.zone
    show([_json(k) for k in found], [_line(k, zone) for k in found], as_json)


def show_report(
    config: Config,
    month: Month,
    revision: Annotated[int | None, typer.Option(help="0: as first sealed; without it the newest.", min=0)] = None,
    facts: Annotated[bool, typer.Option("--facts", help="The sealed facts themselves, byte for byte.")] = False,
    as_json: AsJson = False,
) -> None:
    """What is kept of a sealed report, and in what it differs from the one before."""
    loaded = load(config, serving=False)

    async def work(engine: AsyncEngine) -> tuple[Kept, list[Difference], bytes]:
        async with engine.connect() as connection:
            found, different = await flow.about(connection, month, revision)
            return found, different, await reports.facts(connection, found.n) if facts else b""

    found, different, data = in_database(loaded, work)
    if facts:
        sys.stdout.buffer.write(data)
        return
    if as_json:
        show_json({**_json(found), "differences": [d._asdict() for d in different]})
        return
    show_lines([_line(found, loaded.settings.zone)])
    for d in different[:SHOWN]:
        print(f"{d.part}：{_value(d.before)} → {_value(d.after)}")
    if len(different) > SHOWN:
        print(f"……共 {len(different)} 处不同（--json 列出全部）")


@with_caller
def seal(caller: Caller, month: Month, as_json: AsJson = False) -> None:
    """Seal a month that is settled: from then on its report never changes. An approver's act."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> tuple[Kept, tzinfo]:
        return await make_sealed(engine, loaded, actor, month, wall_ms()), loaded.settings.zone

    _tell(*act(caller, work), as_json)


@with_caller
def restate(
    caller: Caller,
    month: Month,
    reason: Annotated[str, typer.Option(help="Why the figures are others now; it is printed on the report.")],
    as_json: AsJson = False,
) -> None:
    """A restated report 更正版, where figures differ from the newest sealed one. An approver's act."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> tuple[Kept, tzinfo]:
        return await make_restated(engine, loaded, actor, month, reason, wall_ms()), loaded.settings.zone

    _tell(*act(caller, work), as_json)


@with_caller
def schedule(
    caller: Caller,
    state: Annotated[str, typer.Argument(help="on: months seal themselves on [reports] seal_on_day; off: no longer.")],
) -> None:
    """Allow the service to seal settled months by itself on the configured day, or no longer. An approver's act."""
    if state not in ("on", "off"):
        raise MonitorError(f"应为 on 或 off，实为 {state!r}")

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> str:
        return await allow(engine, loaded.settings, actor, wall_ms(), on=state == "on")

    print(act(caller, work))


def _tell(kept: Kept, zone: tzinfo, as_json: bool) -> None:
    show(_json(kept), [_line(kept, zone)], as_json)


def _json(kept: Kept) -> dict[str, Any]:
    found = asdict(kept)
    at_ms = found.pop("at_ms")
    return {**found, "at": iso(at_ms)}


def _line(kept: Kept, zone: tzinfo) -> tuple[str, ...]:
    state = STATES[kept.state] + (f" {kept.revision}" if kept.revision else "")
    return kept.period, state, shown(kept.at_ms, zone), kept.sealed_by, kept.reason, kept.hash


def _value(value: Any) -> str:
    said = "无" if value is None else str(value)
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}……"

"""window: planned windows 计划检修 are declared, approved, called off and listed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from monitor.cli.acting import AsJson, Caller, act, with_caller
from monitor.cli.showing import a_day, local_time, show_json, shown
from monitor.clock import wall_ms
from monitor.core.planning import Repeat
from monitor.flows import windows
from monitor.flows.windows import Plan
from monitor.flows.work_json import window_json
from monitor.inventory.load import load
from monitor.store.windows import Declared

program = typer.Typer(no_args_is_help=True, help="Planned windows 计划检修.")
Number = Annotated[int, typer.Argument(help="The window's number, from `window list`.")]
_STATES = {"counts": "有效", "proposed": "待审批", "rejected": "已驳回", "cancelled": "已取消"}


@program.command()
@with_caller
def add(
    caller: Caller,
    scope: Annotated[str, typer.Argument(help="county, level:village, township:CODE, site:ID or terminal:ID/tv.")],
    start: Annotated[str, typer.Option("--from", help="Local time, as 2026-10-01 08:00; or with an offset.")],
    end: Annotated[str, typer.Option("--to", help="Likewise.")],
    reason: Annotated[str, typer.Option(help="Why; it is printed with every figure that it changes.")],
    repeat: Annotated[Repeat | None, typer.Option(help="weekly or monthly, at the same local times.")] = None,
    until: Annotated[str | None, typer.Option(help="The last local day of a repetition, as 2026-12-31.")] = None,
    as_json: AsJson = False,
) -> None:
    """Declare a window. Begun already, or while something in it is down: a second person must approve it."""
    zone = load(caller.config, serving=False).settings.zone
    last = a_day(until, "--until") if until is not None else None
    plan = Plan(scope, local_time(start, zone, "--from"), local_time(end, zone, "--to"), reason, repeat, last)
    _tell(act(caller, lambda db, who, it: windows.declare(db, it, who, plan, wall_ms())), zone, as_json)


@program.command()
@with_caller
def approve(caller: Caller, number: Number, as_json: AsJson = False) -> None:
    """Approve a retroactive window (of a series: all of it); not by whoever declared it."""
    zone = load(caller.config, serving=False).settings.zone
    _tell(act(caller, lambda db, who, it: windows.approve(db, it, who, number, wall_ms())), zone, as_json)


@program.command()
@with_caller
def reject(
    caller: Caller,
    number: Number,
    note: Annotated[str, typer.Option(help="Why.")],
    as_json: AsJson = False,
) -> None:
    """Reject a retroactive window: it never counts."""
    zone = load(caller.config, serving=False).settings.zone
    _tell(act(caller, lambda db, who, it: windows.reject(db, it, who, number, note, wall_ms())), zone, as_json)


@program.command()
@with_caller
def cancel(
    caller: Caller,
    number: Number,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    series: Annotated[bool, typer.Option("--series", help="All of its series that is not over.")] = False,
    as_json: AsJson = False,
) -> None:
    """Call a window off from now on; what has passed of it stays."""
    zone = load(caller.config, serving=False).settings.zone
    _tell(
        act(caller, lambda db, who, it: windows.cancel(db, it, who, number, note, wall_ms(), series=series)),
        zone,
        as_json,
    )


@program.command("list")
@with_caller
def list_windows(
    caller: Caller,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: AsJson = False,
) -> None:
    """The windows that are not over, and what became of them."""
    zone = load(caller.config, serving=False).settings.zone
    since = None if everything else wall_ms()
    _tell(act(caller, lambda db, who, it: windows.listed(db, it, who, since=since)), zone, as_json)


def _tell(found: Sequence[Declared], zone: ZoneInfo, as_json: bool) -> None:
    if as_json:
        show_json([window_json(one) for one in found])
        return
    for one in found:
        window = one.window
        marks = f"，{window.mark}" if window.mark else ""
        marks += f"，系列 {one.series}" if one.series is not None else ""
        print(
            f"{one.id}\t{_STATES[one.state]}{marks}\t{window.scope}\t"
            f"{shown(window.start, zone)} 至 {shown(window.end, zone)}\t{window.reason}\t{window.by}"
        )

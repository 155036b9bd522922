"""inventory: tables are imported as versions of the inventory, approved, withdrawn, listed and compared."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.acting import AsJson, Caller, act, actor_of, with_caller
from monitor.cli.showing import DryRun, a_day, show, show_json, show_lines, shown
from monitor.clock import to_iso, wall_ms
from monitor.core.access import Action, Actor, demand
from monitor.core.timeline import BEGINNING
from monitor.errors import ConfigError
from monitor.flows import inventory_import as imports
from monitor.flows.inventory_import import Shown
from monitor.inventory.differences import Difference
from monitor.inventory.load import load
from monitor.inventory.versions import body_of
from monitor.settings import Settings, load_settings
from monitor.store.database import opened
from monitor.store.versions import Stored

program = typer.Typer(no_args_is_help=True, help="Versions of the inventory 站点清单.")
Number = Annotated[int, typer.Argument(help="The version's number, from `inventory list`.")]
_STATES = {"proposed": "待审批", "approved": "已批准，未生效", "withdrawn": "已撤回", "held": "已生效"}


@program.command("import")
@with_caller
def import_folder(
    caller: Caller,
    folder: Annotated[
        Path | None, typer.Argument(help="With sites, checks, perhaps terminals (.csv or .xlsx) and monitor.toml.")
    ] = None,
    day: Annotated[str | None, typer.Option("--from", help="The local day from which it holds; else at once.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Propose the folder (by default the configuration itself) as the next version; an admin approves it."""
    wanted_day = a_day(day, "--from") if day is not None else None
    settings = load_settings(caller.config)

    async def run() -> dict[str, Any]:
        async with opened(settings.database.url.get_secret_value(), there=True) as engine:
            actor = await actor_of(engine, load(caller.config, serving=False), caller)
            demand(actor, Action.INVENTORY_PROPOSE)
            wanted = await imports.read(engine, caller.config, folder or caller.config, wanted_day, wall_ms())
            said: dict[str, Any] = {
                "ok": True,
                "from": to_iso(wanted.since),
                "base": wanted.base,
                "digest": wanted.loaded.digest,
                "differences": [asdict(one) for one in wanted.differences],
                "warnings": wanted.warnings,
                "proposed": None,
            }
            zone = wanted.loaded.settings.zone
            _lines(wanted.differences, wanted.warnings, as_json)
            if not wanted.differences:
                _say("没有变动：与最新的清单一致，没有写入", as_json)
            elif dry_run:
                _say(f"{len(wanted.differences)} 处变动，自 {shown(wanted.since, zone)} 起；试运行，没有写入", as_json)
            else:
                found = await _propose(engine, actor, wanted, as_json)
                said["proposed"] = _json(found)
            return said

    try:
        answer = asyncio.run(run())
    except ConfigError as error:
        if not as_json:
            raise
        show_json({"ok": False, "mistakes": [asdict(mistake) for mistake in error.mistakes]})
        raise typer.Exit(2) from None
    if as_json:
        show_json(answer)


async def _propose(engine: AsyncEngine, actor: Actor, wanted: imports.Import, as_json: bool) -> Stored:
    found = await imports.propose(engine, actor, wanted, wall_ms())
    when = shown(found.from_ms, wanted.loaded.settings.zone)
    _say(f"版本 {found.number}：{len(wanted.differences)} 处变动，自 {when} 起，待管理员审批", as_json)
    if not await imports.other_admins(engine, actor):
        print("没有另一位管理员可以审批：zhdj-monitor user add NAME --role admin", file=sys.stderr)
    return found


@program.command()
@with_caller
def approve(caller: Caller, number: Number, as_json: AsJson = False) -> None:
    """Approve a version (an admin who did not propose it): it holds from its day, or within seconds."""
    now = wall_ms()
    found = act(caller, lambda db, who, it: imports.approve(db, it, who, number, now))
    _tell(found, as_json)
    if found.version.from_ms < now:
        _say("生效时间已到：运行中的服务数秒内启用，从启用的一刻起判定；此前的时间仍按原清单", as_json)


@program.command()
@with_caller
def withdraw(caller: Caller, number: Number, as_json: AsJson = False) -> None:
    """Withdraw a version that does not hold yet."""
    found = act(caller, lambda db, who, _: imports.withdraw(db, who, number, wall_ms()))
    show_json(_json(found)) if as_json else print(f"版本 {number} 已撤回")


@program.command("list")
@with_caller
def list_versions(caller: Caller, as_json: AsJson = False) -> None:
    """All versions: from when on each holds, and who proposed and approved it."""
    loaded = load(caller.config, serving=False)
    found = act(caller, lambda db, who, _: imports.listed(db, who))
    show([_json(one) for one in found], [_cells(one, loaded.settings) for one in found], as_json)


@program.command("show")
@with_caller
def show_version(caller: Caller, number: Number, as_json: AsJson = False) -> None:
    """A version, and what it changes against the one before it; with --json all that it says."""
    loaded = load(caller.config, serving=False)
    found = act(caller, lambda db, who, _: imports.show(db, loaded, who, number))
    if as_json:
        show_json({**_shown(found), "body": json.loads(body_of(found.loaded))})
        return
    inventory = found.loaded.inventory
    counts = f"站点 {len(inventory.sites)}，机位 {len(inventory.terminals)}，检测项 {len(inventory.checks)}"
    show_lines([_cells(found.version, loaded.settings), [counts], [f"sha256 {found.version.digest}"]])
    _lines(found.differences, found.warnings, False)


@program.command("diff")
@with_caller
def diff_versions(caller: Caller, one: Number, other: Number, as_json: AsJson = False) -> None:
    """What the second version changes against the first."""
    loaded = load(caller.config, serving=False)
    found = act(caller, lambda db, who, _: imports.diff(db, loaded, who, one, other))
    if as_json:
        show_json(_shown(found))
        return
    _lines(found.differences, [], False)
    print(f"版本 {one} → {other}：{len(found.differences)} 处变动")


def _tell(found: Shown, as_json: bool) -> None:
    if as_json:
        show_json(_shown(found))
        return
    _lines(found.differences, found.warnings, False)
    when = shown(found.version.from_ms, found.loaded.settings.zone)
    print(f"版本 {found.version.number} 已批准：{len(found.differences)} 处变动，自 {when} 起")


def _lines(found: Sequence[Difference], warned: Sequence[str], as_json: bool) -> None:
    """Differences to stdout where nothing else is meant for it, warnings to stderr."""
    if not as_json:
        for one in found:
            print(one)
    for text in warned:
        print(f"warning 注意：{text}", file=sys.stderr)


def _say(text: str, as_json: bool) -> None:
    print(text, file=sys.stderr if as_json else sys.stdout)


def _since(version: Stored) -> int | None:
    return None if version.since <= BEGINNING else version.since


def _cells(version: Stored, settings: Settings) -> list[object]:
    since = _since(version)
    return [
        version.number,
        _STATES[version.state],
        "最初" if since is None else f"自 {shown(since, settings.zone)}",
        f"提出 {version.proposed_by}",
        f"审批 {version.approved_by}" if version.approved_by else "",
        version.digest[:12],
    ]


def _json(version: Stored) -> dict[str, Any]:
    """`from` null: since the beginning."""
    since, approved, held = _since(version), version.approved_ms, version.held_ms
    known = version.proposed_ms > BEGINNING  # the first one was proposed by nobody
    return {
        "number": version.number,
        "state": version.state,
        "from": None if since is None else to_iso(since),
        "digest": version.digest,
        "files": version.files,
        "proposed_by": version.proposed_by,
        "proposed_at": to_iso(version.proposed_ms) if known else None,
        "approved_by": version.approved_by,
        "approved_at": to_iso(approved) if approved is not None and approved > BEGINNING else None,
        "held": held is not None,
    }


def _shown(found: Shown) -> dict[str, Any]:
    return {
        **_json(found.version),
        "differences": [asdict(one) for one in found.differences],
        "warnings": found.warnings,
    }

"""`zhdj-monitor register`: which device stands where 机位台账, and its history (stock-takes: cli/stocktakes)."""

from __future__ import annotations

from datetime import date
from pathlib import Path
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
    a_position,
    iso,
    show,
    show_json,
    show_lines,
    show_one,
    written,
)
from monitor.clock import wall_ms
from monitor.core.access import Action, Actor, demand
from monitor.core.register import ACT_NAMES, Act, Card, Device, Record, device, on_day
from monitor.core.register_sheet import Plan
from monitor.errors import MonitorError
from monitor.flows import register
from monitor.flows.register import DIFFERENCE_NAMES, Changes, local_day
from monitor.inventory.load import Loaded

Where = Annotated[str, typer.Argument(help="site/terminal, such as 511723001010/pc.")]
Model = Annotated[str, typer.Option(help="型号.")]
Serial = Annotated[str, typer.Option(help="序列号; this or --asset.")]
Asset = Annotated[str, typer.Option(help="资产编号.")]
Mac = Annotated[str, typer.Option(help="MAC 地址.")]
On = Annotated[str, typer.Option(help="The local day on which it was done; today without it.")]
Why = Annotated[str, typer.Option(help="原因.")]

program = typer.Typer(no_args_is_help=True, help="机位台账: which device stands where; 盘点.")


@program.command()
@with_caller
def install(
    caller: Caller, where: Where, model: Model, serial: Serial = "", asset: Asset = "", mac: Mac = "", on: On = "",
    why: Why = "", paper: Papers = None,
) -> None:  # fmt: skip
    """安装: a device stands at a position from this day on."""
    thing = _device(model, serial, mac, asset)
    _write(caller, where, Act.INSTALLED, on, thing, why, paper)


@program.command("replace")
@with_caller
def replace_device(
    caller: Caller, where: Where, model: Model, serial: Serial = "", asset: Asset = "", mac: Mac = "", on: On = "",
    why: Why = "", paper: Papers = None,
) -> None:  # fmt: skip
    """更换: it takes the place of what stands there, on this day."""
    thing = _device(model, serial, mac, asset)
    _write(caller, where, Act.REPLACED, on, thing, why, paper)


@program.command()
@with_caller
def remove(caller: Caller, where: Where, on: On = "", why: Why = "", paper: Papers = None) -> None:
    """拆除: from this day on nothing stands there."""
    _write(caller, where, Act.REMOVED, on, None, why, paper)


@program.command()
@with_caller
def correct(
    caller: Caller,
    record: Annotated[int, typer.Argument(help="The number of the record that is wrong (`register list --history`).")],
    why: Annotated[str, typer.Option(help="What was wrong.")],
    void: Annotated[bool, typer.Option("--void", help="作废: it never happened.")] = False,
    on: Annotated[str, typer.Option(help="The right day.")] = "",
    model: Annotated[str, typer.Option(help="The right model.")] = "",
    serial: Annotated[str, typer.Option(help="The right serial.")] = "",
    asset: Annotated[str, typer.Option(help="The right asset number.")] = "",
    mac: Annotated[str, typer.Option(help="The right MAC address.")] = "",
    paper: Papers = None,
) -> None:
    """更正: a new record in the place of a wrong one; the wrong one stays to be read."""
    day = a_day(on, "--on") if on else None

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> Record:
        old = (await register.find(engine, record)).device
        right = None
        if model or serial or asset or mac:
            was = old or Device("")
            right = _device(model or was.model, serial or was.serial, mac or was.mac, asset or was.asset)
        changes = Changes(day, right, Act.VOID if void else None)
        return await register.correct(engine, loaded, actor, record, changes, why, wall_ms(), paper or ())

    _say(act(caller, work))


@program.command("list")
@with_caller
def list_cards(
    caller: Caller,
    on: Annotated[str, typer.Option(help="What stood there on this local day; today without it.")] = "",
    history: Annotated[bool, typer.Option("--history", help="Every record as it was written.")] = False,
    site: Annotated[str, typer.Option(help="Of this site alone.")] = "",
    township: Annotated[str, typer.Option(help="Of this township alone, by its code.")] = "",
    as_json: AsJson = False,
) -> None:
    """Which device stands where; with --history how it came there."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> tuple[list[Record], date, Loaded]:
        demand(actor, Action.STATUS_READ)
        found = [r for r in await register.read(engine) if register.sees(loaded, actor, r.site)]
        return found, local_day(loaded, wall_ms()), loaded

    records, today, loaded = act(caller, work)

    def wanted(one: Record | Card) -> bool:
        ours = not township or register.township_of(loaded, one.site) == township
        return ours and site in ("", one.site)

    if history:
        found = [r for r in records if wanted(r)]
        show([_record(r) for r in found], (_record_line(r) for r in found), as_json)
        return
    day = a_day(on, "--on") if on else today
    cards = [c for c in on_day(register.all_cards(records), day) if wanted(c)]
    show([_card(c) for c in cards], (_card_line(c) for c in cards), as_json)


@program.command()
@with_caller
def differences(caller: Caller, as_json: AsJson = False) -> None:
    """Positions without a card, cards without a position, other models. Exit status 1 where there are any."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> list[register.Difference]:
        demand(actor, Action.STATUS_READ)
        cards = register.all_cards(await register.read(engine))
        found = register.differences(loaded.inventory, cards, local_day(loaded, wall_ms()))
        return [d for d in found if register.sees(loaded, actor, d.site)]

    found = act(caller, work)
    lines = ((f"{d.site}/{d.terminal}", DIFFERENCE_NAMES[d.kind], d.says) for d in found)
    show([d._asdict() for d in found], lines, as_json)
    raise typer.Exit(bool(found))


@program.command("import")
@with_caller
def import_cards(caller: Caller, file: File, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Take a sheet of cards, all of it or nothing; every mistake is listed with its row and column."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> Plan:
        return await register.take_sheet(engine, loaded, actor, file, wall_ms(), dry_run=dry_run)

    plan = act(caller, work)
    number = {one.value: sum(r.act is one for r in plan.records) for one in Act if one is not Act.VOID}
    answer = {"written": not dry_run, **number, "unchanged": plan.unchanged}
    if as_json:
        show_json({**answer, "records": [_record(r) for r in plan.records]})
        return
    if dry_run:
        show_lines(_record_line(r) for r in plan.records)
    counts = "，".join(f"{ACT_NAMES[Act(name)]} {n}" for name, n in number.items())
    print(f"{written(dry_run)}：{counts}，不变 {plan.unchanged}")


@program.command()
@with_caller
def export(
    caller: Caller, file: File, history: Annotated[bool, typer.Option("--history", help="Closed cards too.")] = False,
) -> None:  # fmt: skip
    """Write a sheet of cards, which `register import` reads back."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> int:
        demand(actor, Action.STATUS_READ)
        cards = [c for c in register.all_cards(await register.read(engine)) if register.sees(loaded, actor, c.site)]
        today = local_day(loaded, wall_ms())
        return register.export(file, loaded.inventory, cards if history else on_day(cards, today))

    print(f"{act(caller, work)} 张卡片: {file}")


@program.command()
@with_caller
def figures(caller: Caller, first: From, last: To, as_json: AsJson = False) -> None:
    """Devices installed, replaced and removed in a period."""
    days = a_day(first, "--from"), a_day(last, "--to")

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> dict[str, Any]:
        demand(actor, Action.STATUS_READ)
        found = await register.device_figures(engine, loaded, *days)
        return {
            "installed": found.installed,
            "replaced": found.replaced,
            "removed": found.removed,
            "replaced_by_kind": dict(found.replaced_by_kind),
            "replaced_by_township": dict(found.replaced_by_township),
            "standing": found.standing,
        }

    show_one(act(caller, work), as_json)


# --- as it is shown ---------------------------------------------------------------------------------------------------


def _device(model: str, serial: str, mac: str, asset: str) -> Device:
    try:
        return device(model, serial, mac, asset)
    except ValueError as error:
        raise MonitorError(str(error)) from None


def _write(
    caller: Caller, where: str, what: Act, on: str, thing: Device | None, why: str, paper: list[Path] | None
) -> None:
    position = a_position(where)
    day = a_day(on, "--on") if on else None

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> Record:
        now = wall_ms()
        record = Record(0, *position, what, day or local_day(loaded, now), thing, why)
        return await register.write(engine, loaded, actor, record, now, paper or ())

    _say(act(caller, work))


def _say(record: Record) -> None:
    where = f"{record.site}/{record.terminal}"
    print(f"第 {record.n} 号记录：{record.on} {where} {ACT_NAMES[record.act]} {record.device or ''}".rstrip())


def _thing(thing: Device | None) -> dict[str, str] | None:
    return {"model": thing.model, "serial": thing.serial, "asset": thing.asset, "mac": thing.mac} if thing else None


def _record(r: Record) -> dict[str, Any]:
    return {
        "n": r.n,
        "site": r.site,
        "terminal": r.terminal,
        "act": r.act.value,
        "on": r.on.isoformat(),
        "device": _thing(r.device),
        "why": r.why,
        "corrects": r.corrects,
        "papers": list(r.papers),
        "by": r.by,
        "at": iso(r.at_ms) if r.at_ms else None,
    }


def _record_line(r: Record) -> tuple[object, ...]:
    corrects = f"更正第 {r.corrects} 号" if r.corrects is not None else ""
    return (r.n, r.on, f"{r.site}/{r.terminal}", ACT_NAMES[r.act], r.device or "", corrects, r.why, r.by)


def _card(c: Card) -> dict[str, Any]:
    return {
        "record": c.opened.n,
        "site": c.site,
        "terminal": c.terminal,
        **(_thing(c.device) or {}),
        "installed_on": c.since.isoformat(),
        "removed_on": c.until.isoformat() if c.until else None,
    }


def _card_line(c: Card) -> tuple[object, ...]:
    return (f"{c.site}/{c.terminal}", c.device, c.device.mac, c.since, c.until or "", c.opened.n)

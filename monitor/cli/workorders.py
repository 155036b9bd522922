"""workorder: work orders 工单 are opened by hand, listed, dispatched, repaired, exempted, closed, and counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.acting import AsJson, Caller, act, with_caller
from monitor.cli.showing import iso, local_time, show_json, shown
from monitor.clock import wall_ms
from monitor.core import ledger
from monitor.core.access import Actor
from monitor.core.money import in_yuan
from monitor.core.planning import instant
from monitor.core.workorder import CAUSES, EVENT_NAMES, EXEMPTIONS, SIGNS, STATE_NAMES, name_of
from monitor.errors import MonitorError
from monitor.flows import order_acts, order_stats
from monitor.flows.history import eras_in
from monitor.flows.order_acts import Told
from monitor.flows.work_json import cost_json, exemption_json, order_json
from monitor.inventory.load import Loaded, load
from monitor.store import orders

program = typer.Typer(no_args_is_help=True, help="Work orders 工单.")
Number = Annotated[int, typer.Argument(help="The order's number.")]
Note = Annotated[str, typer.Option(help="A remark.")]
Work = Callable[[AsyncEngine, Actor, Loaded], Awaitable[Told]]


def _do(caller: Caller, as_json: bool, work: Work) -> None:
    async def run(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> tuple[Told, dict[int, str], ZoneInfo]:
        told = await work(engine, actor, loaded)
        return told, await _titles(engine, loaded, [told.order]), loaded.settings.zone

    told, titles, zone = act(caller, run)
    _tell(told, titles, zone, as_json)


async def _titles(engine: AsyncEngine, loaded: Loaded, found: Sequence[orders.Order]) -> dict[int, str]:
    """What each order is about; also of a site or township that is no more, by what it was called last."""
    known = [loaded.inventory]
    if any(o.township not in known[0].townships or (o.site and o.site not in known[0].sites) for o in found):
        async with engine.connect() as connection:
            known += [era.inventory for era in reversed(await eras_in(connection, loaded))]

    def title(order: orders.Order) -> str:
        if order.kind == "line":
            town = next((i.townships[order.township] for i in known if order.township in i.townships), order.township)
            return f"{town} 线路"
        return next((i.sites[order.site].name for i in known if order.site in i.sites), order.site)

    return {order.id: title(order) for order in found}


@program.command("open")
@with_caller
def open_order(
    caller: Caller,
    site: Annotated[str, typer.Argument(help="site_id.")],
    fault: Annotated[str, typer.Option(help="What is wrong 故障现象.")],
    as_json: AsJson = False,
) -> None:
    """Open an order by hand."""
    _do(caller, as_json, lambda db, who, it: order_acts.open_by_hand(db, it, who, site, fault, wall_ms()))


@program.command("list")
@with_caller
def list_orders(
    caller: Caller,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are closed.")] = False,
    site: Annotated[str | None, typer.Option(help="Of this site alone.")] = None,
    township: Annotated[str | None, typer.Option(help="Of this township (code) alone.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Those that are overdue alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """The orders that are not closed."""

    async def read(
        engine: AsyncEngine, actor: Actor, loaded: Loaded
    ) -> tuple[list[orders.Order], dict[int, str], ZoneInfo]:
        known = await order_acts.listed(engine, loaded, actor, closed=everything, site=site, township=township)
        found = [o for o in known if not overdue or o.overdue is not None]
        return found, await _titles(engine, loaded, found), loaded.settings.zone

    found, titles, zone = act(caller, read)
    if as_json:
        show_json([order_json(order) for order in found])
        return
    for order in found:
        print(_line(order, titles[order.id], zone))


@program.command()
@with_caller
def show(caller: Caller, number: Number, as_json: AsJson = False) -> None:
    """An order with its outages, its history, papers, exemptions and costs."""
    _do(caller, as_json, lambda db, who, it: order_acts.show(db, it, who, number))


@program.command()
@with_caller
def dispatched(
    caller: Caller,
    number: Number,
    to: Annotated[str, typer.Option(help="Who goes 处理人.")],
    as_json: AsJson = False,
) -> None:
    """Somebody was sent."""
    _do(caller, as_json, lambda db, who, _: order_acts.dispatch(db, who, number, to, wall_ms()))


@program.command()
@with_caller
def repaired(
    caller: Caller,
    number: Number,
    work: Annotated[str, typer.Option(help="What was done 处理情况.")],
    as_json: AsJson = False,
) -> None:
    """Somebody says that it is repaired. When it was restored the monitor measures."""
    _do(caller, as_json, lambda db, who, _: order_acts.repaired(db, who, number, work, wall_ms()))


@program.command()
@with_caller
def cause(
    caller: Caller,
    number: Number,
    what: Annotated[str, typer.Argument(help="、".join(CAUSES))],
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Why it failed."""
    _do(caller, as_json, lambda db, who, _: order_acts.set_cause(db, who, number, what, note, wall_ms()))


@program.command()
@with_caller
def note(
    caller: Caller,
    number: Number,
    text: Annotated[str, typer.Argument(help="The remark.")],
    as_json: AsJson = False,
) -> None:
    """A remark in its history."""
    _do(caller, as_json, lambda db, who, _: order_acts.note(db, who, number, text, wall_ms()))


@program.command()
@with_caller
def paper(
    caller: Caller,
    number: Number,
    file: Annotated[Path, typer.Argument(help="A photo or a sheet.")],
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Keep a photo or a sheet with it, by its SHA-256."""
    _do(caller, as_json, lambda db, who, it: order_acts.add_paper(db, it, who, number, file, note, wall_ms()))


@program.command()
@with_caller
def split(
    caller: Caller,
    number: Number,
    site: Annotated[str, typer.Option(help="The site that did not come back with the line.")],
    as_json: AsJson = False,
) -> None:
    """Give a site of a line's order an order of its own."""
    _do(caller, as_json, lambda db, who, it: order_acts.split(db, it, who, number, site, wall_ms()))


@program.command()
@with_caller
def close(
    caller: Caller,
    number: Number,
    reason: Annotated[str, typer.Option(help="Needed while an outage of it goes on, as: site retired.")] = "",
    as_json: AsJson = False,
) -> None:
    """Close it: once it was measured that all is up again, and its cause is known."""
    _do(caller, as_json, lambda db, who, _: order_acts.close(db, who, number, reason, wall_ms()))


@program.command()
@with_caller
def exempt(
    caller: Caller,
    number: Number,
    cause: Annotated[str, typer.Option(help="、".join(EXEMPTIONS))],
    reason: Annotated[str, typer.Option(help="What happened.")],
    paper: Annotated[Path, typer.Option(help="What proves it.")],
    as_json: AsJson = False,
) -> None:
    """Propose an exemption 免责 of its outages; it changes no measured figure."""
    _do(
        caller, as_json,
        lambda db, who, it: order_acts.propose_exemption(db, it, who, number, cause, reason, paper, wall_ms()),
    )  # fmt: skip


Exemption = Annotated[int, typer.Argument(help="The exemption's number, from `workorder show`.")]


@program.command("approve-exemption")
@with_caller
def approve_exemption(caller: Caller, number: Exemption, note: Note = "", as_json: AsJson = False) -> None:
    """Approve an exemption; not by whoever proposed it."""
    _do(caller, as_json, lambda db, who, _: order_acts.decide_exemption(db, who, number, True, note, wall_ms()))


@program.command("reject-exemption")
@with_caller
def reject_exemption(caller: Caller, number: Exemption, note: Note = "", as_json: AsJson = False) -> None:
    """Reject an exemption."""
    _do(caller, as_json, lambda db, who, _: order_acts.decide_exemption(db, who, number, False, note, wall_ms()))


@program.command()
@with_caller
def stats(
    caller: Caller,
    start: Annotated[str, typer.Option("--from", help="Local time, as 2026-10-01; or with an offset.")],
    end: Annotated[str, typer.Option("--to", help="Likewise.")],
    by: Annotated[str, typer.Option(help="level, township or cause.")] = "level",
    as_json: AsJson = False,
) -> None:
    """Response, repair, MTTR and MTBF of a period, in counted time and in wall time (docs/workorders.md)."""
    zone = load(caller.config, serving=False).settings.zone
    period = (instant(local_time(start, zone, "--from"), zone), instant(local_time(end, zone, "--to"), zone))
    if period[0] >= period[1]:
        raise MonitorError(f"--from 应早于 --to，实为 {start} 和 {end}")
    rows = act(caller, lambda db, who, it: order_stats.stats(db, it, who, period, by, wall_ms()))
    if as_json:
        show_json({"from": iso(period[0]), "to": iso(period[1]), "by": by, "rows": [row.as_dict() for row in rows]})
        return
    for row in rows:
        print("\t".join(row.shown()))


def _line(order: orders.Order, title: str, zone: ZoneInfo) -> str:
    sites = len({o.site for o in order.outages})
    marks = [STATE_NAMES[order.state]]
    marks += ["超期"] if order.overdue is not None else []
    marks += [f"返修 {order.reopened}"] if order.reopened else []
    restored = f"恢复 {shown(order.restored_ms, zone)}" if order.restored_ms is not None else "未恢复"
    return (
        f"{order.id}\t{'，'.join(marks)}\t{title}（{sites} 个站点，{len(order.outages)} 个停机）\t"
        f"开立 {shown(order.opened_ms, zone)}\t{restored}\t{order.assignee or order.responsible}"
    )


def _tell(told: Told, titles: Mapping[int, str], zone: ZoneInfo, as_json: bool) -> None:
    order = told.order
    if as_json:
        history = [{**e, "at_ms": None, "at": iso(e["at_ms"])} for e in told.history]
        for one in history:
            del one["at_ms"]
        papers = [
            {"sha256": p["sha256"], "note": p["note"], "at": iso(p["at_ms"]), "who": p["who"]} for p in told.papers
        ]
        exemptions = [exemption_json(e) for e in told.exemptions]
        costs = [cost_json(c) for c in told.costs]
        parts = {
            "history": history,
            "papers": papers,
            "exemptions": exemptions,
            "costs": costs,
            "costs_cut": told.costs_cut,
        }
        show_json({**order_json(order, told.signs), **parts})
        return
    print(_line(order, titles[order.id], zone))
    said = [f"原因 {name_of(CAUSES, order.cause)}"] if order.cause else []
    said += [f"处理 {order.work}"] if order.work else []
    if said:
        print(f"  {'；'.join(said)}")
    for o in order.outages:
        late = f"，{shown(o.overdue, zone)} 起超期" if o.overdue is not None else ""
        sign = f"，{SIGNS[told.signs[o.key]]}" if o.key in told.signs else ""
        print(f"  停机 {o.key}  {shown(o.start, zone)} 至 {shown(o.over, zone) or '今'}{late}{sign}")
    if told.costs_cut:
        print(f"  经费只列最近 {order_acts.COSTS} 笔，其余见 ledger list --work-order {order.id}")
    for c in told.costs:
        number = f"第 {c['number']} 号" if c["number"] is not None else f"分录 {c['id']}"
        state = ledger.STATE_NAMES[c["state"]]
        print(f"  经费 {c['year']} {c['fund']} {number}  {state}  {in_yuan(c['amount_fen'])} 元  {c['memo']}")
    for e in told.exemptions:
        states = {"proposed": "待审批", "approved": "已批准", "rejected": "已驳回"}
        print(f"  免责 {e.id}  {name_of(EXEMPTIONS, e.cause)}  {states[e.state]}  {e.reason}")
    for one in told.history:
        print(f"  {shown(one['at_ms'], zone)}  {one['who']}  {EVENT_NAMES.get(one['what'], one['what'])}")

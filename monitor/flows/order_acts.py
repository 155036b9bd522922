"""What people do with work orders 工单: open by hand, dispatch, say what was done and why, exempt, close.

Whoever acts is known and asked for the right, and every act is audited (flows/acting.py). *Restored* nobody types.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor, demand, may
from monitor.core.cause import cause_of
from monitor.core.outage import ALIVE
from monitor.core.workorder import CAUSES, EXEMPTIONS, OrderState, word_of
from monitor.errors import MonitorError
from monitor.flows.acting import acting
from monitor.inventory.load import Loaded
from monitor.store import exemptions, orders, papers, reading
from monitor.store.exemptions import Exemption
from monitor.store.ledger import entries
from monitor.store.orders import Order


@dataclass(frozen=True, slots=True)
class Told:
    """An order with everything that hangs on it. `signs`: of an outage that is over, what the first beat after it says
    of its cause (core/cause.py): line, restart or standstill."""

    order: Order
    history: list[dict[str, Any]]
    papers: list[dict[str, Any]]
    exemptions: list[Exemption]
    signs: Mapping[str, str] = field(default_factory=dict)
    #: Entries of the cost ledger that name the order, oldest first, as `store.ledger.entries.wanted` gives them.
    costs: list[dict[str, Any]] = field(default_factory=list)
    #: There are older ones than these.
    costs_cut: bool = False


#: Entries of one order that are shown, the newest; hardly an order has more, and what is left out is said.
COSTS = 100


async def listed(
    engine: AsyncEngine,
    loaded: Loaded,
    actor: Actor,
    *,
    closed: bool = False,
    site: str | None = None,
    township: str | None = None,
) -> list[Order]:
    """Orders by their number, of a site or a township alone. Raises MonitorError for one that nobody knows."""
    demand(actor, Action.STATUS_READ)
    async with engine.connect() as connection:
        found = await orders.listed(connection, closed=closed, site=site, township=township)
    # A site that is no more is known by its orders.
    if site is not None and site not in loaded.inventory.sites and not found:
        raise MonitorError(f"没有站点 {site}")
    if township is not None and township not in loaded.inventory.townships and not found:
        raise MonitorError(f"没有乡镇 {township}：应为乡镇代码，如 {next(iter(loaded.inventory.townships), '')}")
    return [order for order in found if actor.sees(order.township)]


async def show(engine: AsyncEngine, loaded: Loaded, actor: Actor, number: int) -> Told:
    """An order; what it cost for who may read the ledger. Raises MonitorError where there is none of this number."""
    demand(actor, Action.STATUS_READ)
    told = await whole(engine, loaded, number, townships=actor.townships)
    demand(actor, Action.STATUS_READ, township=told.order.township)
    return told if may(actor, Action.LEDGER_READ) else replace(told, costs=[], costs_cut=False)


async def whole(engine: AsyncEngine, loaded: Loaded, number: int, *, townships: frozenset[str] | None = None) -> Told:
    """An order with all that hangs on it; nobody is asked for a right. `townships`: whose costs; None: everybody's.

    Raises MonitorError where there is none of this number.
    """
    async with engine.connect() as connection:
        told = await _told(connection, number)
        signs: dict[str, str] = {}
        for o in told.order.outages:
            if o.over is None:
                continue
            for name, edge in await reading.edges_at(connection, o.site, o.terminal, o.over):
                check = loaded.inventory.checks.get((o.site, o.terminal, name))
                sign = cause_of(edge, check.interval_ms) if check is not None else ""
                if sign:
                    signs[o.key] = sign
        wanted = entries.Wanted(work_order=str(number), limit=COSTS + 1, townships=townships)
        costs = await entries.wanted(connection, wanted)
        shown = [cost for cost in reversed(costs[:COSTS]) if cost["state"] != "void"]
        return replace(told, signs=signs, costs=shown, costs_cut=len(costs) > COSTS)


async def open_by_hand(engine: AsyncEngine, loaded: Loaded, actor: Actor, site_id: str, fault: str, now: int) -> Told:
    """An order for what no check sees. Outages of the site that pass the limit while it is open are listed in it."""
    site = loaded.inventory.sites.get(site_id)
    township = site.township_code if site is not None else None
    what = f"开立工单 {site_id}：{fault}"
    async with acting(engine, actor, Action.WORKORDER_WRITE, what, now, township=township) as connection:
        if site is None:
            raise MonitorError(f"清单中没有站点 {site_id}")
        if not fault.strip():
            raise MonitorError("手工开单须写明故障现象")
        number = await orders.add(
            connection,
            kind="site",
            site=site_id,
            township=site.township_code,
            level=str(site.level),
            fault=fault.strip(),
            opened_ms=now,
            opened_by=actor.name,
            responsible=loaded.settings.workorders.responsible.of(site.level),
        )
        await orders.event(connection, number, now, actor.name, "opened", fault=fault.strip())
        return await _told(connection, number)


async def dispatch(engine: AsyncEngine, actor: Actor, number: int, assignee: str, now: int) -> Told:
    """Somebody goes. Again: somebody else."""
    async with _on(engine, actor, number, f"派单给 {assignee}", now) as (connection, order):
        if not 0 < len(assignee.strip()) <= 64:
            raise MonitorError("派单须写明处理人（不超过 64 字）")
        first = now if order.dispatched_ms is None else order.dispatched_ms
        await orders.move(connection, order, OrderState.DISPATCHED, assignee=assignee.strip(), dispatched_ms=first)
        await orders.event(connection, number, now, actor.name, "dispatched", assignee=assignee.strip())
        return await _told(connection, number)


async def repaired(engine: AsyncEngine, actor: Actor, number: int, work: str, now: int) -> Told:
    """Somebody says that it is repaired, and how. When it was restored the monitor says."""
    async with _on(engine, actor, number, f"报修复：{work}", now) as (connection, order):
        if not work.strip():
            raise MonitorError("须写明处理情况")
        await orders.move(connection, order, OrderState.REPAIRED, repaired_ms=now, work=work.strip())
        await orders.event(connection, number, now, actor.name, "repaired", work=work.strip())
        return await _told(connection, number)


async def set_cause(engine: AsyncEngine, actor: Actor, number: int, cause: str, note: str, now: int) -> Told:
    """Why it failed; also after closing, for it is often found out later."""
    async with _on(engine, actor, number, f"故障原因 {cause}", now) as (connection, _):
        word = word_of(CAUSES, cause, "故障原因")
        await orders.change(connection, number, cause=word)
        await orders.event(connection, number, now, actor.name, "cause", cause=word, note=note)
        return await _told(connection, number)


async def close(engine: AsyncEngine, actor: Actor, number: int, reason: str, now: int) -> Told:
    """Over. While an outage of it goes on only with a reason (a site that was retired); never without a cause."""
    async with _on(engine, actor, number, "关闭" + (f"：{reason}" if reason else ""), now) as (connection, order):
        if order.goes_on and not reason.strip():
            raise MonitorError(f"工单 {number} 的停机仍在持续，不能关闭；确需关闭的须写明原因（--reason）")
        if not order.cause:
            raise MonitorError(f"工单 {number} 未填故障原因（workorder cause）")
        done = {"closed_ms": now, "closed_by": actor.name, "close_reason": reason.strip(), "forced": order.goes_on}
        await orders.move(connection, order, OrderState.CLOSED, **done)
        detail = {"reason": reason.strip(), "restored_ms": order.restored_ms, "goes_on": order.goes_on}
        await orders.event(connection, number, now, actor.name, "closed", **detail)
        return await _told(connection, number)


async def note(engine: AsyncEngine, actor: Actor, number: int, text: str, now: int) -> Told:
    """A line of its history."""
    async with _on(engine, actor, number, f"备注：{text}", now) as (connection, _):
        await orders.event(connection, number, now, actor.name, "note", text=text)
        return await _told(connection, number)


async def add_paper(
    engine: AsyncEngine, loaded: Loaded, actor: Actor, number: int, path: Path, text: str, now: int
) -> Told:
    """A photo or a sheet, kept by its content."""
    async with _on(engine, actor, number, f"附件 {path.name}", now) as (connection, _):
        sha256 = await papers.keep(connection, Path(loaded.settings.papers.folder), path, actor.name, now)
        if await orders.add_paper(connection, number, sha256, text or path.name, actor.name, now):
            await orders.event(connection, number, now, actor.name, "paper", sha256=sha256, note=text or path.name)
        return await _told(connection, number)


async def split(engine: AsyncEngine, loaded: Loaded, actor: Actor, number: int, site_id: str, now: int) -> Told:
    """A site of a line's order that did not come back with the line: its outages get an order of their own."""
    async with _on(engine, actor, number, f"拆分站点 {site_id}", now) as (connection, order):
        site = loaded.inventory.sites.get(site_id)
        mine = [o.key for o in order.outages if o.site == site_id]
        if site is None or not mine or len(mine) == len(order.outages) or order.state == OrderState.CLOSED:
            raise MonitorError(f"工单 {number} 不能拆出站点 {site_id}：工单须未关闭，且另有其他站点的停机")
        made = await orders.add(
            connection,
            kind="site",
            site=site_id,
            township=site.township_code,
            level=str(site.level),
            opened_ms=now,
            opened_by=actor.name,
            responsible=loaded.settings.workorders.responsible.of(site.level),
        )
        await orders.move_outages(connection, mine, made)
        await orders.event(connection, number, now, actor.name, "split", site=site_id, outages=mine, order=made)
        await orders.event(connection, made, now, actor.name, "opened", outages=mine, order=number)
        return await _told(connection, made)


# --- exemptions -------------------------------------------------------------------------------------------------------


async def propose_exemption(
    engine: AsyncEngine, loaded: Loaded, actor: Actor, number: int, cause: str, reason: str, paper: Path, now: int
) -> Told:
    """The outages of an order are nobody's fault who maintains: why, with a paper that proves it. Again, where others
    have begun since one was approved."""
    what = f"申请免责（{cause}）：{reason}"
    async with _on(engine, actor, number, what, now, Action.EXEMPTION_PROPOSE) as (connection, order):
        word = word_of(EXEMPTIONS, cause, "免责原因")
        if not reason.strip():
            raise MonitorError("免责须写明事由")
        known = [e for e in await exemptions.of_order(connection, number) if e.state != "rejected"]
        last = max((o.start for o in order.outages if o.state in ALIVE), default=0)
        if any(e.decided_ms is None or last <= e.decided_ms for e in known):
            raise MonitorError(f"工单 {number} 已有免责申请")
        sha256 = await papers.keep(connection, Path(loaded.settings.papers.folder), paper, actor.name, now)
        made = await exemptions.propose(connection, number, word, reason.strip(), sha256, actor.name, now)
        detail = {"exemption": made, "cause": word, "reason": reason.strip(), "sha256": sha256}
        await orders.event(connection, number, now, actor.name, "exemption_proposed", **detail)
        return await _told(connection, number)


async def decide_exemption(engine: AsyncEngine, actor: Actor, number: int, approved: bool, text: str, now: int) -> Told:
    """Exemption `number` holds, or does not; said by somebody who did not propose it. No measured figure changes."""
    async with engine.connect() as connection:
        found = await exemptions.get(connection, number)
    what = f"{'批准' if approved else '驳回'}免责申请 {number}{f'：{text}' if text else ''}"
    by = found.proposed_by
    async with _on(engine, actor, found.order_id, what, now, Action.EXEMPTION_APPROVE, by) as (connection, _):
        state = "approved" if approved else "rejected"
        if not await exemptions.decide(connection, number, state, actor.name, now, text):  # type: ignore[arg-type]
            raise MonitorError(f"免责申请 {number} 不在待审批状态")
        detail = {"exemption": number, "note": text}
        await orders.event(connection, found.order_id, now, actor.name, f"exemption_{state}", **detail)
        return await _told(connection, found.order_id)


@asynccontextmanager
async def _on(
    engine: AsyncEngine,
    actor: Actor,
    number: int,
    what: str,
    now: int,
    action: Action = Action.WORKORDER_WRITE,
    drafted_by: str | None = None,
) -> AsyncIterator[tuple[AsyncConnection, Order]]:
    """An act on an order, by somebody who may act in its township: the transaction, and the order as it is in it."""
    async with engine.connect() as connection:
        township = (await orders.get(connection, number)).township
    name = f"工单 {number}：{what}"
    async with acting(engine, actor, action, name, now, township=township, drafted_by=drafted_by) as connection:
        yield connection, await orders.get(connection, number)


async def _told(connection: AsyncConnection, number: int) -> Told:
    return Told(
        await orders.get(connection, number),
        await orders.history(connection, number),
        await orders.papers(connection, number),
        await exemptions.of_order(connection, number),
    )

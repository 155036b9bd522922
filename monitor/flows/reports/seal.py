"""Sealing 定稿 a month's report, and restating 更正 it: what may be sealed, and how it becomes a row for ever.

The facts are gathered before the transaction (a large county's take a minute, and the service writes meanwhile); in it
the chain is held, so of several who seal at once one does, and the others read who was quicker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, tzinfo
from itertools import chain

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor, demand
from monitor.core.period import Period, parse, settles_at
from monitor.core.report import ReportFacts
from monitor.core.report_figures import Difference, differences
from monitor.errors import MonitorError
from monitor.flows.acting import acting, refused
from monitor.flows.history import eras_in
from monitor.flows.reports import facts_json
from monitor.flows.reports.facts import gather
from monitor.inventory.load import Loaded
from monitor.store import chains, reading, report_changes, reports
from monitor.store.reports import Kept, Sealed

#: An act stands in the database some time after the instant that it bears.
QUIET_MS = 10_000


async def seal(
    engine: AsyncEngine, loaded: Loaded, actor: Actor, month: str, at_ms: int, *, approval: int | None = None
) -> Kept:
    """Seal a month that is settled. `approval`: the audit record by which the service may do so by itself.

    Raises MonitorError, in Chinese: too early, sealed already, played by a simulated fleet, a right that is missing.
    """
    what = f"report {month}"
    async with _refusals(engine, actor, what, at_ms):
        period = a_month(month)
        demand(actor, Action.MONTH_SEAL)
        async with engine.connect() as connection:
            why = await why_not(connection, loaded, period, at_ms)
        if why:
            raise MonitorError(why)
        facts = await gather(engine, loaded, period, at_ms)
        row = await _row(actor, at_ms, facts, 0, approval=approval)
    async with acting(engine, actor, Action.MONTH_SEAL, what, at_ms) as connection:
        await chains.hold(connection, reports.TAG)
        known = await reports.newest(connection, month)
        if known is not None:
            raise MonitorError(_sealed_already(known, loaded.settings.zone))
        await _quiet(connection, loaded, period, at_ms)
        return await reports.append(connection, row)


async def restate(engine: AsyncEngine, loaded: Loaded, actor: Actor, month: str, reason: str, at_ms: int) -> Kept:
    """A restated report 更正版 in place of the newest one, which stays as it is.

    Raises MonitorError, in Chinese: nothing sealed, no figure differs, no reason, a right that is missing.
    """
    what = f"report {month}: {reason.strip()}"
    async with _refusals(engine, actor, what, at_ms):
        period = a_month(month)
        demand(actor, Action.MONTH_SEAL)
        if not reason.strip():
            raise MonitorError("更正版须说明理由（--reason）")
        async with engine.connect() as connection:
            before = await reports.newest(connection, month)
        if before is None:
            raise MonitorError(f"{month} 还没有定稿，不需要更正版")
        facts = await gather(engine, loaded, period, at_ms)
        found = await _differences(engine, before, facts)
        if not found:
            raise MonitorError(f"{month} 的数字与最近一次定稿完全相同，不需要更正版")
        row = await _row(actor, at_ms, facts, before.revision + 1, reason=reason.strip(), found=found)
    async with acting(engine, actor, Action.MONTH_SEAL, what, at_ms) as connection:
        await chains.hold(connection, reports.TAG)
        known = await reports.newest(connection, month)
        if known is not None and known.n != before.n:
            raise MonitorError(f"{month} 刚由 {known.sealed_by} 出了第 {known.revision} 次更正版，请先查看再定")
        await _quiet(connection, loaded, period, at_ms)
        return await reports.append(connection, row)


async def difference_now(engine: AsyncEngine, loaded: Loaded, kept: Kept, at_ms: int) -> list[Difference]:
    """In what a sealed report differs from what would be sealed now; none: it is right."""
    return await _differences(engine, kept, await gather(engine, loaded, parse(kept.period), at_ms))


async def why_not(connection: AsyncConnection, loaded: Loaded, period: Period, at_ms: int) -> str:
    """Why a month cannot be sealed now, in a sentence for people; "" if it can."""
    settings, month = loaded.settings, period.name
    zone = settings.zone
    end = period.interval(zone)[1]
    if settings.demo:
        return f"{month} 不能定稿：本库的数据由模拟终端产生（演示数据），不进入报告链"
    if at_ms < end:
        return f"{month} 尚未结束，只能预览，不能定稿"
    known = await reports.newest(connection, month)
    if known is not None:
        return _sealed_already(known, zone)
    began = await reading.first_evidence(connection)
    if began is None or end <= began:
        since = f"监测自 {shown(began, zone)} 开始" if began is not None else "尚无任何证据"
        return f"{month} 没有可定稿的内容：{since}"
    eras = await eras_in(connection, loaded)
    settled = settles_at(end, chain.from_iterable(era.inventory.checks.values() for era in eras))
    if at_ms < settled:
        return f"{month} 尚未结清：迟到的证据仍可能到达，{shown(settled, zone)} 起方可定稿"
    watched = eras[-1].inventory.sites
    known_until = [at for site, at in (await reading.known_until(connection)).items() if site in watched]
    if min(known_until, default=0) < settled:
        behind = shown(min(known_until, default=0), zone)
        return (
            f"{month} 暂不能定稿：数据库跟随证据日志只到 {behind}，须到 {shown(settled, zone)}（监测服务是否在运行？）"
        )
    return ""


def a_month(name: str) -> Period:
    """Raises MonitorError for what is no month."""
    period = parse(name)
    if period.form != "month":
        raise MonitorError(f"只有月度报告可以定稿，{name} 只能预览")
    return period


def shown(ms: int, zone: tzinfo) -> str:
    """Local time to the minute; never earlier than it is."""
    return datetime.fromtimestamp(-(-ms // 60_000) * 60, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _sealed_already(known: Kept, zone: tzinfo) -> str:
    when = shown(known.at_ms, zone)
    return f"{known.period} 已由 {known.sealed_by} 于 {when} 定稿；数字若有变化，请出更正版（report restate）"


async def _row(
    actor: Actor,
    at_ms: int,
    facts: ReportFacts,
    revision: int,
    *,
    approval: int | None = None,
    reason: str = "",
    found: Sequence[Difference] = (),
) -> Sealed:
    if facts.demo or not facts.settled:
        raise MonitorError(f"{facts.period} 不能定稿：其中有演示数据，或尚未结清")
    packed = await asyncio.to_thread(reports.pack, facts_json.chunks(facts))
    different = reports.pack_differences(found)
    rules, software = facts.rules, facts.software
    return Sealed(facts.period, revision, at_ms, actor.name, approval, reason, rules, software, packed, different)


async def _differences(engine: AsyncEngine, kept: Kept, facts: ReportFacts) -> list[Difference]:
    async with engine.connect() as connection:
        before = await reports.facts(connection, kept.n)
    # In a thread: both are large.
    return await asyncio.to_thread(
        lambda: differences(msgspec.json.decode(before), msgspec.json.decode(facts_json.dump(facts)))
    )


async def _quiet(connection: AsyncConnection, loaded: Loaded, period: Period, at_ms: int) -> None:
    """The facts are as of `at_ms`: nobody decided anything meanwhile, or so shortly before that it may be missing."""
    days = period.first.isoformat(), period.last.isoformat()
    if await report_changes.since(connection, period.interval(loaded.settings.zone), days, at_ms - QUIET_MS):
        raise MonitorError(f"刚有人作出影响 {period.name} 的审批或登记，请半分钟后再定稿")


@asynccontextmanager
async def _refusals(engine: AsyncEngine, actor: Actor, what: str, at_ms: int) -> AsyncIterator[None]:
    """What is refused before there is a transaction is audited as well."""
    try:
        yield
    except MonitorError as error:
        await refused(engine, actor.name, Action.MONTH_SEAL, what, at_ms, "refused", str(error))
        raise

"""Planned windows 计划检修: declared, approved by a second person where they are retroactive, called off.

The running service takes up what counts within seconds and says so in the evidence log (app.py, `tables`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor, demand
from monitor.core.planning import (
    Repeat,
    check_declared,
    check_places,
    earliest_start,
    instant,
    is_retroactive,
    occurrences,
)
from monitor.core.window import Window, check_scope
from monitor.errors import MonitorError
from monitor.flows.acting import acting
from monitor.inventory.load import Loaded
from monitor.store import reading, windows
from monitor.store.windows import Declared


@dataclass(frozen=True, slots=True)
class Plan:
    """What somebody wants to declare; times as the county's clocks show them. `last`: of a repetition, the last day."""

    scope: str
    start: datetime
    end: datetime
    reason: str
    repeat: Repeat | None = None
    last: date | None = None


async def declare(engine: AsyncEngine, loaded: Loaded, actor: Actor, plan: Plan, now: int) -> list[Declared]:
    """The window, or the whole series, as they now stand. One that is retroactive waits for a second person.

    Raises MonitorError: a scope or a time that cannot be, a beginning too long ago, a right that is missing.
    """
    check_scope(plan.scope)
    check_places(plan.scope, loaded.inventory)
    zone = loaded.settings.zone
    if plan.repeat is None:
        spans = [(instant(plan.start, zone), instant(plan.end, zone, last=True))]
    elif plan.last is None:
        raise MonitorError("重复的计划检修须给出截止日期")
    else:
        spans = occurrences(plan.start, plan.end, plan.repeat, plan.last, zone)
    declared = [Window(plan.scope, start, end, plan.reason.strip(), now, actor.name) for start, end in spans]
    async with engine.connect() as connection:
        down = list(await reading.open_outages(connection))
    declared = [replace(w, retroactive=is_retroactive(w, loaded.inventory, down)) for w in declared]
    late = any(w.retroactive for w in declared)
    when = f"{plan.start:%Y-%m-%d %H:%M} 至 {plan.end:%Y-%m-%d %H:%M}"
    what = f"计划检修 {plan.scope} {when}，{len(declared)} 次：{plan.reason}"
    action = Action.WINDOW_PROPOSE if late else Action.WINDOW_DECLARE
    township = township_of(plan.scope, loaded)
    async with acting(engine, actor, action, what, now, township=township) as connection:
        if not declared:
            raise MonitorError("这段时间在当地时钟上不存在（时钟调整）")
        for window in declared:
            past = window.start < now
            check_declared(window, earliest_start(loaded.calendar, zone, now) if past else window.start)
        numbers = await windows.declare(connection, declared)
        return [await windows.get(connection, number) for number in numbers]


async def approve(engine: AsyncEngine, loaded: Loaded, actor: Actor, number: int, now: int) -> list[Declared]:
    """A retroactive window, or all of its series that wait, from now on counted; by somebody who did not declare it."""
    found, series = await _found(engine, number)
    what = f"计划检修 {number} {found.window.mark}审批：{found.window.scope}"
    township = township_of(found.window.scope, loaded)
    by = found.window.by
    async with acting(engine, actor, Action.WINDOW_APPROVE, what, now, township=township, drafted_by=by) as connection:
        done = [await windows.approve(connection, one.id, actor.name, now) for one in series]
        if not any(done):
            raise MonitorError(f"计划检修 {number} 不在待审批状态")
        return [await windows.get(connection, one.id) for one in series]


async def reject(engine: AsyncEngine, loaded: Loaded, actor: Actor, number: int, note: str, now: int) -> list[Declared]:
    """A retroactive window, or all of its series that wait: they never count."""
    found, series = await _found(engine, number)
    what = f"计划检修 {number} {found.window.mark}驳回：{found.window.scope}，{note}"
    township = township_of(found.window.scope, loaded)
    by = found.window.by
    async with acting(engine, actor, Action.WINDOW_APPROVE, what, now, township=township, drafted_by=by) as connection:
        done = [await windows.reject(connection, one.id, actor.name, now, note) for one in series]
        if not any(done):
            raise MonitorError(f"计划检修 {number} 不在待审批状态")
        return [await windows.get(connection, one.id) for one in series]


async def cancel(
    engine: AsyncEngine, loaded: Loaded, actor: Actor, number: int, note: str, now: int, *, series: bool = False
) -> list[Declared]:
    """Call a window off from now on; with `series`, every one of its series that is not over. What has passed stays."""
    found, all_of_it = await _found(engine, number)
    wanted = all_of_it if series else [found]
    what = f"取消计划检修 {number}：{found.window.scope}，{note}"
    township = township_of(found.window.scope, loaded)
    async with acting(engine, actor, Action.WINDOW_DECLARE, what, now, township=township) as connection:
        numbers = [one.id for one in wanted]
        if not await windows.cancel(connection, numbers, actor.name, now, note):
            raise MonitorError(f"计划检修 {number} 已结束、已取消或已驳回，不能取消")
        return [await windows.get(connection, one) for one in numbers]


async def listed(engine: AsyncEngine, loaded: Loaded, actor: Actor, *, since: int | None) -> Sequence[Declared]:
    """Those that end after `since` (ms; None: all there are), by when they begin."""
    demand(actor, Action.STATUS_READ)
    async with engine.connect() as connection:
        found = await windows.listed(connection, since=since)
    return [one for one in found if actor.sees(township_of(one.window.scope, loaded))]


async def _found(engine: AsyncEngine, number: int) -> tuple[Declared, list[Declared]]:
    """A window, and its series (itself alone, where it has none)."""
    async with engine.connect() as connection:
        found = await windows.get(connection, number)
        return found, await _series(connection, found)


async def _series(connection: AsyncConnection, found: Declared) -> list[Declared]:
    return [found] if found.series is None else await windows.listed(connection, series=found.series)


def township_of(scope: str, loaded: Loaded) -> str | None:
    """The township that somebody must be allowed for; None: the whole county."""
    kind, _, which = scope.partition(":")
    if kind == "township":
        return which
    if kind in ("site", "terminal"):
        site = loaded.inventory.sites.get(which.partition("/")[0])
        return site.township_code if site is not None else None
    return None

"""Changing the inventory: a folder of tables becomes a proposed version, a second person approves it, and from its day
on the running service judges by it (docs/inventory.md). A folder with a mistake changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor, Role, demand
from monitor.core.days import start_of
from monitor.errors import MonitorError
from monitor.flows.acting import acting
from monitor.inventory.differences import Difference, differences, warnings
from monitor.inventory.load import Loaded, load
from monitor.inventory.versions import pack, unpack
from monitor.settings import Settings
from monitor.store import people, versions
from monitor.store.versions import Stored


@dataclass(frozen=True, slots=True)
class Import:
    """What a folder would change. `base`: the newest version's number (None: the configuration's own files); `since`:
    from when on it is meant to hold, ms; `files`: digest of the configuration's own files."""

    loaded: Loaded
    base: int | None
    since: int
    differences: list[Difference]
    warnings: list[str]
    files: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A version, what it says, and how it differs from another."""

    version: Stored
    loaded: Loaded
    differences: list[Difference]
    warnings: list[str]


async def in_force(engine: AsyncEngine, own: Loaded) -> Loaded:
    """What the newest version says that the service took up; without one `own`, what the configuration's files say.

    Raises MonitorError where it is damaged.
    """
    async with engine.connect() as connection:
        held = [v for v in await versions.rows(connection) if v.state == "held"]
        newest = max(held, key=_order, default=None)
        if newest is None or newest.digest == own.digest:
            return own
        return unpack((await versions.get(connection, newest.number))[1], own.settings)


async def read(engine: AsyncEngine, config: Path, folder: Path, day: date | None, now: int) -> Import:
    """Read and compare, and change nothing. `day`: local, from whose start on it is to hold; None or today: at once.

    A folder without monitor.toml keeps the settings of the newest version. Raises ConfigError with every mistake of the
    folder, MonitorError for a day that has passed.
    """
    own = None if _same(folder, config) else load(config, serving=False)
    async with engine.connect() as connection:
        newest = await _newest(connection)
        body = (await versions.get(connection, newest.number))[1] if newest else b""
        known = await versions.rows(connection)
    if own is None:
        loaded = own = load(folder)
        before = unpack(body, own.settings) if newest else own
    else:
        before = unpack(body, own.settings) if newest else own
        loaded = load(folder, instead=before.settings)
    since = _since(loaded.settings, day, now)
    found = differences(before, loaded)
    said = [*warnings(before, loaded, since), *_others(known, since)] if found else []
    return Import(loaded, newest.number if newest else None, since, found, said, own.digest)


async def propose(engine: AsyncEngine, actor: Actor, wanted: Import, now: int) -> Stored:
    """A version that waits for approval. Raises MonitorError: no right, or the newest version is another meanwhile."""
    what = f"清单导入：{len(wanted.differences)} 处变动，自 {_shown(wanted.loaded.settings, wanted.since)}"
    async with acting(engine, actor, Action.INVENTORY_PROPOSE, what, now) as connection:
        await versions.alone(connection)
        newest = await _newest(connection)
        if (newest.number if newest else None) != wanted.base:
            raise MonitorError("清单已有更新的版本，请重新导入并核对变动")
        later = [v for v in await versions.rows(connection) if v.state in _OPEN and v.from_ms > wanted.since]
        if later:
            when = _shown(wanted.loaded.settings, later[0].from_ms)
            raise MonitorError(
                f"版本 {later[0].number} 定于 {when} 生效，会使更早生效的改动失效：先撤回它（inventory withdraw "
                f"{later[0].number}），或使新版本从那时或以后生效"
            )
        loaded = wanted.loaded
        number = await versions.propose(
            connection, wanted.since, loaded.digest, wanted.files, pack(loaded), actor.name, now
        )
        return (await versions.get(connection, number))[0]


async def approve(engine: AsyncEngine, loaded: Loaded, actor: Actor, number: int, now: int) -> Shown:
    """Somebody who did not propose it says yes; it holds from its day, or within seconds where that has passed.

    Answers the differences from what was newest. Raises MonitorError.
    """
    async with engine.connect() as connection:
        proposed, _ = await versions.get(connection, number)
    by, what = proposed.proposed_by, f"清单版本 {number} 审批"
    async with acting(engine, actor, Action.INVENTORY_APPROVE, what, now, drafted_by=by) as connection:
        await versions.alone(connection)
        before = await _newest(connection)
        if proposed.state == "proposed" and before is not None and before.number > number:
            raise MonitorError(f"版本 {before.number} 提出在后而已批准，版本 {number} 不再适用：请撤回，重新导入")
        if not await versions.approve(connection, number, actor.name, now):
            raise MonitorError(f"清单版本 {number} 不在待审批状态")
        return await _compared(connection, loaded, before.number if before else None, number)


async def withdraw(engine: AsyncEngine, actor: Actor, number: int, now: int) -> Stored:
    """It never holds: by an operator while it waits for approval, by an admin until it holds. Raises MonitorError."""
    async with engine.connect() as connection:
        found, _ = await versions.get(connection, number)
    operator = found.state == "proposed" and Role.OPERATOR in actor.roles
    action = Action.INVENTORY_PROPOSE if operator else Action.INVENTORY_APPROVE
    async with acting(engine, actor, action, f"清单版本 {number} 撤回", now) as connection:
        await versions.alone(connection)
        if (await versions.get(connection, number))[0].state != found.state:
            raise MonitorError(f"清单版本 {number} 的状态刚刚改变，请重新查看")
        if not await versions.withdraw(connection, number):
            why = "已撤回" if found.state == "withdrawn" else "已生效，不能撤回：已过去的时间由它判定；请导入新版本"
            raise MonitorError(f"清单版本 {number} {why}")
        return (await versions.get(connection, number))[0]


async def listed(engine: AsyncEngine, actor: Actor) -> list[Stored]:
    """All versions by number."""
    demand(actor, Action.STATUS_READ)
    async with engine.connect() as connection:
        return await versions.rows(connection)


async def show(engine: AsyncEngine, loaded: Loaded, actor: Actor, number: int) -> Shown:
    """A version, and how it differs from the one that it followed or would follow (of the first: nothing)."""
    demand(actor, Action.STATUS_READ)
    async with engine.connect() as connection:
        earlier = [v for v in await versions.rows(connection) if v.number < number and v.state in _COUNTS]
        return await _compared(connection, loaded, earlier[-1].number if earlier else None, number)


async def diff(engine: AsyncEngine, loaded: Loaded, actor: Actor, one: int, other: int) -> Shown:
    """Version `other`, with what it changes against `one`."""
    demand(actor, Action.STATUS_READ)
    async with engine.connect() as connection:
        return await _compared(connection, loaded, one, other)


async def other_admins(engine: AsyncEngine, actor: Actor) -> bool:
    """Whether anybody else may approve what `actor` proposed."""
    async with engine.connect() as connection:
        return any(
            p.disabled_ms is None and p.name != actor.name and Role.ADMIN in p.roles and p.townships is None
            for p in await people.everybody(connection)
        )


_COUNTS = ("approved", "held")
_OPEN = ("proposed", "approved")


async def _newest(connection: AsyncConnection) -> Stored | None:
    """The last of those that hold or will: what the next one changes."""
    counting = [v for v in await versions.rows(connection) if v.state in _COUNTS]
    return max(counting, key=_order, default=None)


def _order(version: Stored) -> tuple[int, int]:
    return version.since, version.number


async def _compared(connection: AsyncConnection, loaded: Loaded, one: int | None, other: int) -> Shown:
    version, body = await versions.get(connection, other)
    after = unpack(body, loaded.settings)
    if after.digest != version.digest:
        raise MonitorError(f"清单版本 {other} 的内容与其摘要不符（{version.digest[:12]}）")
    if one is None:
        return Shown(version, after, [], [])
    before = unpack((await versions.get(connection, one))[1], loaded.settings)
    found = differences(before, after)
    said = warnings(before, after, version.since) if found and version.state != "held" else []
    return Shown(version, after, found, said)


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _since(settings: Settings, day: date | None, now: int) -> int:
    today = datetime.fromtimestamp(now / 1000, settings.zone).date()
    if day is None or day == today:
        return now
    if day < today:
        raise MonitorError(
            f"生效日 {day} 已经过去：已过去的时间由当时有效的清单判定，不能事后更改；最早为今天 {today}（即刻生效）"
        )
    return start_of(settings.zone, day)


def _others(known: list[Stored], since: int) -> list[str]:
    waiting = [v.number for v in known if v.state == "proposed" and v.from_ms <= since]
    if not waiting:
        return []
    return [f"版本 {'、'.join(map(str, waiting))} 尚待审批：新版本是完整的清单，批准后不含其中的改动"]


def _shown(settings: Settings, at: int) -> str:
    return datetime.fromtimestamp(at / 1000, settings.zone).strftime("%Y-%m-%d %H:%M")

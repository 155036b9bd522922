"""What work orders add up to in a period: response, repair, MTTR, MTBF, by level, township or cause.

Every time is given twice: *counted* runs on the one clock (in service, outside of planned windows), *wall* does not
stop at night. The definitions are those of docs/workorders.md, Statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.access import SYSTEM, Action, Actor, demand
from monitor.core.figures import Counter, Member
from monitor.core.outage import ALIVE
from monitor.core.sites import UPLINK, Level
from monitor.core.timeline import Interval
from monitor.core.workorder import CAUSES, name_of
from monitor.errors import MonitorError
from monitor.flows.history import eras_in
from monitor.flows.register import sees
from monitor.flows.replay import figures
from monitor.inventory.load import Loaded
from monitor.store import orders, reading
from monitor.store.orders import Listed, Order

TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Row:
    """One group's statistics; times in seconds, None where there is nothing to divide by."""

    group: str
    name: str
    orders: int
    closed: int
    overdue: int
    reopened: int
    responses: int
    response_wall_s: float | None
    response_counted_s: float | None
    repairs: int
    mttr_wall_s: float | None
    mttr_counted_s: float | None
    failures: int
    mtbf_wall_s: float | None
    mtbf_counted_s: float | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def shown(self) -> list[str]:
        """For a terminal: counts, and hours as counted / by the wall clock."""
        return [
            self.name,
            f"工单 {self.orders}（关闭 {self.closed}，超期 {self.overdue}，返修 {self.reopened}）",
            f"响应 {_hours(self.response_counted_s)}/{_hours(self.response_wall_s)}",
            f"MTTR {_hours(self.mttr_counted_s)}/{_hours(self.mttr_wall_s)}（{self.repairs} 次）",
            f"MTBF {_hours(self.mtbf_counted_s)}/{_hours(self.mtbf_wall_s)}（{self.failures} 次）",
        ]


@dataclass(slots=True)
class _Sums:
    """Milliseconds, until they are divided."""

    orders: int = 0
    closed: int = 0
    overdue: int = 0
    reopened: int = 0
    responses: list[tuple[int, int]] = field(default_factory=list)  # wall, counted
    repairs: list[tuple[int, int]] = field(default_factory=list)
    failures: int = 0
    up_counted: int = 0
    up_wall: int = 0


async def stats(engine: AsyncEngine, loaded: Loaded, actor: Actor, period: Interval, by: str, now: int) -> list[Row]:
    """By `level`, `township` or `cause`, and `total`, of `[from, to)` as far as `now` (ms). Raises MonitorError.

    For somebody who is limited to townships all of it is about these alone.
    """
    demand(actor, Action.STATUS_READ)
    if by not in ("level", "township", "cause"):
        raise MonitorError(f"--by: 应为 level、township 或 cause，实为 {by!r}")
    period = (period[0], max(period[0], min(period[1], now)))
    counted = await figures(engine, loaded, period)
    async with engine.connect() as connection:
        counter = Counter(await eras_in(connection, loaded), await reading.windows(connection))
        opened = [o for o in await orders.listed(connection, opened=period) if not _came_to_nothing(o)]
        opened = [o for o in opened if actor.sees(o.township)]
        restored = [o for o in await orders.restored_in(connection, period) if actor.sees(o.township)]
        failed = [o for o in await orders.failures(connection, period) if sees(loaded, actor, o.site)]
        over = [(order, o) for order in restored for o in _over_in(order, period)]
        since: dict[tuple[str, str], int] = {}
        for _, o in over:
            since[o.site, o.terminal] = min(o.start, since.get((o.site, o.terminal), o.start))
        checks = await reading.some_timelines(connection, since)
        listing = await orders.orders_of(connection, [o.key for o in failed])
    causes = {order.id: order.cause for order in (*opened, *restored)}

    sums: dict[str, _Sums] = {group: _Sums() for group in _groups(loaded, actor, by)}
    sums[TOTAL] = _Sums()

    def into(group: str) -> Iterable[_Sums]:
        return (sums.setdefault(group, _Sums()), sums[TOTAL])

    def group_of(level: str, township: str, cause: str) -> str:
        return {"level": level, "township": township, "cause": cause}[by]

    for order in opened:
        for s in into(group_of(order.level, order.township, order.cause)):
            s.orders += 1
            s.closed += order.closed_ms is not None
            s.overdue += order.overdue is not None
            s.reopened += order.reopened
            if order.dispatched_ms is not None:
                s.responses.append(_response(counter, order, order.dispatched_ms))
    for order, outage in over:
        site = counter.site(outage.site)
        if site is None or outage.over is None:
            continue
        timeline = counter.terminal_timeline(outage.site, outage.terminal, checks)
        took = counter.course(outage.site, outage.terminal).counted_down_ms(timeline, (outage.start, outage.over))
        for s in into(group_of(str(site.level), site.township_code, order.cause)):
            s.repairs.append((outage.over - outage.start, took))
    members = [m for m in counted.terminals if actor.sees(m.site.township_code)]
    _failures(sums, members, counted.period, failed, by, lambda key: causes.get(listing.get(key, -1), ""), group_of)
    return [
        _row(group, _name(group, by, loaded), s) for group, s in sums.items() if by != "cause" or group or s.repairs
    ]


def _failures(
    sums: dict[str, _Sums],
    members: Sequence[Member],
    period: Interval,
    failed: Sequence[Listed],
    by: str,
    cause_of: Callable[[str], str],
    group_of: Callable[[str, str, str], str],
) -> None:
    """What worked how long, and how often it failed. By cause, all that worked stands against the failures of each."""
    lo, hi = period
    down: dict[tuple[str, str], int] = {}
    for o in failed:
        until = hi if o.over is None else min(o.over, hi)
        down[o.site, o.terminal] = down.get((o.site, o.terminal), 0) + max(0, until - max(o.start, lo))

    def add(s: _Sums, member: Member) -> None:
        s.up_counted += member.measure.up
        s.up_wall += hi - lo - down.get((member.site.site_id, str(member.terminal)), 0)

    for member in members:
        add(sums[TOTAL], member)
        sums[TOTAL].failures += member.measure.outages
        if by != "cause":
            own = sums.setdefault(group_of(str(member.site.level), member.site.township_code, ""), _Sums())
            add(own, member)
            own.failures += member.measure.outages
    if by == "cause":
        for o in failed:
            if o.terminal != UPLINK and o.start >= lo and (cause := cause_of(o.key)):
                sums.setdefault(cause, _Sums()).failures += 1
        for group, s in sums.items():
            if group != TOTAL:
                s.up_counted, s.up_wall = sums[TOTAL].up_counted, sums[TOTAL].up_wall


def _over_in(order: Order, period: Interval) -> list[Listed]:
    return [
        o
        for o in order.outages
        if o.state in ALIVE and o.terminal != UPLINK and o.over is not None and period[0] <= o.over < period[1]
    ]


def _came_to_nothing(order: Order) -> bool:
    """Gathered into a line's order, or undone by late evidence: no fault of its own."""
    return order.closed_by == SYSTEM.name


def _response(counter: Counter, order: Order, dispatched: int) -> tuple[int, int]:
    wall = dispatched - order.opened_ms
    if counter.site(order.site) is None:
        return wall, wall
    return wall, counter.course(order.site, None).counted_between(order.opened_ms, dispatched)


def _groups(loaded: Loaded, actor: Actor, by: str) -> list[str]:
    if by == "level":
        return [str(level) for level in Level]
    return list(CAUSES.values()) if by == "cause" else [t for t in loaded.inventory.townships if actor.sees(t)]


def _name(group: str, by: str, loaded: Loaded) -> str:
    if group == TOTAL:
        return "合计"
    if by == "level":
        return {"county": "县级", "township": "乡镇", "village": "村级"}.get(group, group)
    if by == "cause":
        return name_of(CAUSES, group) or "原因未填"
    return loaded.inventory.townships.get(group, group)


def _row(group: str, name: str, s: _Sums) -> Row:
    return Row(
        group, name, s.orders, s.closed, s.overdue, s.reopened,
        len(s.responses), _mean(w for w, _ in s.responses), _mean(c for _, c in s.responses),
        len(s.repairs), _mean(w for w, _ in s.repairs), _mean(c for _, c in s.repairs),
        s.failures,
        s.up_wall / s.failures / 1000 if s.failures else None,
        s.up_counted / s.failures / 1000 if s.failures else None,
    )  # fmt: skip


def _mean(values: Iterable[int]) -> float | None:
    found = list(values)
    return sum(found) / len(found) / 1000 if found else None


def _hours(seconds: float | None) -> str:
    return "—" if seconds is None else f"{seconds / 3600:.2f} 小时"

"""The service's part in work orders 工单: opened on the one clock, one for each root cause, carried along when evidence
revises an outage, measured when it is restored (docs/workorders.md).

A pass looks at the database alone and writes in small transactions, each whole in itself: after a crash the next pass
goes on where the last one stopped. What has an order cannot get a second one: an outage's key is listed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import SYSTEM, Action
from monitor.core.figures import Counter
from monitor.core.heartbeat import LATE_LIMIT_MS
from monitor.core.outage import ALIVE
from monitor.core.sites import UPLINK, Inventory, Level
from monitor.core.workorder import AGAIN_MS, LineNow, OrderState, Root, began_together, root_of
from monitor.flows.acting import acting
from monitor.flows.history import eras_in
from monitor.flows.order_limits import Limits
from monitor.flows.overview import township_lines
from monitor.inventory.load import Loaded
from monitor.store import orders, reading
from monitor.store.orders import Listed, Order

#: How far back a pass looks for outages that are over and have no order; a thorough one looks as far as below.
LATELY_MS = 600_000
#: So long after its end late evidence can still revise an outage, and a day more for a service that was away.
REVISED_MS = LATE_LIMIT_MS + 86_400_000


async def keep_orders(
    engine: AsyncEngine, loaded: Loaded, now: int, *, thorough: bool = True
) -> Mapping[str, tuple[int, int]]:
    """One pass, at `now` (ms). Answers level -> (orders that are not closed, of these overdue).

    `thorough`: also what was over long ago, as after a database was away; enough every few minutes.

    Raises what the database raises; MonitorError where a year's working days are not known.
    """
    async with engine.connect() as connection:
        at = await reading.followed_to(connection, loaded.settings.observer)
    townships = townships_of(loaded.inventory)
    if at is not None:
        keeper = _Keeper(engine, loaded, min(now, at), now, REVISED_MS if thorough else LATELY_MS)
        await keeper.look()
        await keeper.carry_along()
        await keeper.take_up()
        await keeper.gather()
        await keeper.measure()
        townships = keeper.townships
    async with engine.connect() as connection:
        return await orders.counts(connection, townships)


def townships_of(inventory: Inventory) -> frozenset[str]:
    """Codes of all townships that this process watches, the county's own included: other orders are others' to keep."""
    return frozenset(site.township_code for site in inventory.sites.values())


class _News(NamedTuple):
    """What a pass has to say of an order. `overdue`: outage -> since when, None where it is not after all."""

    restored: int | None
    moved: bool
    overdue: Mapping[str, int | None]
    void: bool
    again: bool

    def __bool__(self) -> bool:
        return self.moved or bool(self.overdue) or self.void or self.again


@dataclass(slots=True)
class _Keeper:
    """A pass: `at` is how far the database knows the evidence, `now` when something is done about it."""

    engine: AsyncEngine
    loaded: Loaded
    at: int
    now: int
    back: int
    inventory: Inventory = field(init=False)
    townships: frozenset[str] = field(init=False)
    limits: Limits = field(init=False)
    lines: Mapping[str, LineNow] = field(init=False)

    def __post_init__(self) -> None:
        self.inventory = self.loaded.inventory
        self.townships = townships_of(self.inventory)

    async def look(self) -> None:
        """What is true now: windows, lines, and the sites of which nothing is up."""
        async with self.engine.connect() as connection:
            windows = await reading.windows(connection)
            statuses = await reading.statuses(connection)
            going_on = await reading.open_outages(connection)
            eras = [era for era in await eras_in(connection, self.loaded) if era.since <= self.now]
        # Also those that are no more: what is open there is still to be measured and closed.
        self.townships = frozenset().union(*(townships_of(era.inventory) for era in eras))
        self.limits = Limits(Counter(eras, windows), self.loaded, self.at)
        up = {
            site
            for (site, terminal), (value, _, _) in statuses.items()
            if terminal not in ("", UPLINK) and value == "up"
        }
        dark = frozenset(self.inventory.sites) - up
        lines = township_lines(self.loaded, statuses, going_on, self.at)
        self.lines = {code: LineNow(line, dark) for code, line in lines.items() if line.is_up is False}

    # --- revisions ------------------------------------------------------------------------------------------------

    async def carry_along(self) -> None:
        """Outages that evidence revised: merged into another, or split off. Their order goes with them."""
        async with self.engine.connect() as connection:
            recent = await orders.open_or_since(connection, self.now - REVISED_MS)
            split = [o for o in await orders.unlisted(connection, self.at - self.back) if o.successor]
            origins = {o.key: await orders.heir(connection, o.successor) for o in split}
            listing = await orders.orders_of(connection, origins.values())
        for order in recent:
            for outage in order.outages:
                if outage.state == "merged":
                    await self._merged(order, outage)
        for outage in split:
            number = listing.get(origins[outage.key])
            if number is not None:
                what = f"工单 {number}：停机 {outage.key} 由 {outage.successor} 拆分"
                async with self._write(what) as connection:
                    await orders.list_outages(connection, number, [outage.key], self.now)
                    await self._event(connection, number, "outage_split", outage=outage.key, origin=outage.successor)

    async def _merged(self, order: Order, outage: Listed) -> None:
        async with self._write(f"工单 {order.id}：停机 {outage.key} 并入 {outage.successor}") as connection:
            heir = await orders.heir(connection, outage.key)
            taken = await orders.orders_of(connection, [heir])
            await orders.rename_outage(connection, outage.key, None if taken else heir)
            detail = {"outage": outage.key, "into": heir, "order": taken.get(heir, order.id)}
            await self._event(connection, order.id, "outage_merged", **detail)

    # --- opening --------------------------------------------------------------------------------------------------

    async def take_up(self) -> None:
        """Outages whose counted down time has passed `open_after`: into the order of their root, or into a new one."""
        async with self.engine.connect() as connection:
            free = await orders.unlisted(connection, self.at - self.back)
            passed = await self.limits.passed(connection, free)
            roots: dict[Root, list[Listed]] = {}
            started = await self._line_starts(connection) if passed else {}
            for outage in passed:
                roots.setdefault(self._root(outage, started), []).append(outage)
        for root, outages in roots.items():
            name = outages[0].site if root.kind == "site" else f"乡镇 {root.which} 线路"
            async with self._write(f"工单：{name}，停机 {len(outages)} 个") as connection:
                listed = await orders.orders_of(connection, [o.key for o in outages])
                waiting = [o for o in outages if o.key not in listed]
                while waiting:
                    # Behind one line all are one; at a site each terminal has a past of its own.
                    together = waiting if root.kind == "line" else waiting[:1]
                    await self._take(connection, root, together)
                    waiting = waiting[len(together) :]

    async def _line_starts(self, connection: AsyncConnection) -> dict[str, list[int]]:
        """When the outages of lines began whose orders are not closed, by township."""
        mine = [o for o in await orders.listed(connection, closed=False) if o.kind == "line"]
        return {o.township: [outage.start for outage in o.outages if outage.state in ALIVE] for o in mine}

    def _root(self, outage: Listed, started: Mapping[str, Sequence[int]]) -> Root:
        """Also an outage that is over by now belongs to the line that was down, if it began with it."""
        site = self.inventory.sites[outage.site]
        root = root_of(outage.terminal, outage.start, site, self.lines.get(site.township_code))
        starts = started.get(site.township_code, ()) if site.level is not Level.COUNTY else ()
        with_it = any(began_together(outage.start, start) for start in starts)
        return Root("line", site.township_code) if with_it else root

    async def _take(self, connection: AsyncConnection, root: Root, outages: Sequence[Listed]) -> None:
        keys = [o.key for o in outages]
        order = next((o for o in await orders.of_root(connection, root) if _joins(o, outages, root)), None)
        if order is not None:
            await orders.list_outages(connection, order.id, keys, self.now)
            await self._event(connection, order.id, "outages_added", outages=keys)
            return
        first = min(o.start for o in outages)
        last = await orders.last_repair(connection, root, {(o.site, o.terminal) for o in outages}, first)
        if last is not None and self.limits.counted_between(last[1], first) <= AGAIN_MS:
            order = last[0]
            await orders.list_outages(connection, order.id, keys, self.now)
            await self._reopen(connection, order, keys)
            return
        site = self._site_of(root)
        township = root.which if root.kind == "line" else self.inventory.sites[root.which].township_code
        level = Level.TOWNSHIP if root.kind == "line" else self.inventory.sites[root.which].level
        number = await orders.add(
            connection,
            kind=root.kind,
            site=site,
            township=township,
            level=str(level),
            opened_for=keys[0],
            opened_ms=self.now,
            opened_by=SYSTEM.name,
            responsible=self.loaded.settings.workorders.responsible.of(level),
        )
        await orders.list_outages(connection, number, keys, self.now)
        await self._event(connection, number, "opened", outages=keys)

    def _site_of(self, root: Root) -> str:
        if root.kind == "site":
            return root.which
        sites = self.inventory.sites.values()
        own = (s.site_id for s in sites if s.level is Level.TOWNSHIP and s.township_code == root.which)
        return next(own, "")

    async def _reopen(self, connection: AsyncConnection, order: Order, keys: Sequence[str]) -> None:
        """返修: the terminal is down again. An order that nobody has called repaired goes on as it is."""
        detail = {"outages": list(keys), "was": order.state}
        if order.state in (OrderState.REPAIRED, OrderState.CLOSED):
            back = {
                "state": OrderState.OPEN,
                "repaired_ms": None,
                "closed_ms": None,
                "closed_by": "",
                "close_reason": "",
            }
            await orders.change(
                connection, order.id, **back, forced=False, restored_ms=None, reopened=order.reopened + 1
            )
            await self._event(connection, order.id, "reopened", **detail)
        else:
            await self._event(connection, order.id, "outages_added", **detail)

    # --- one order for one root -----------------------------------------------------------------------------------

    async def gather(self) -> None:
        """Orders of single sites that were opened before it was known that the line took them along: into the line's.

        Only what nobody has taken in hand: whoever is on the way keeps the order.
        """
        async with self.engine.connect() as connection:
            mine = await orders.listed(connection, closed=False)
        lines = {o.township: o for o in mine if o.kind == "line" and o.goes_on}
        for order in mine:
            line = lines.get(order.township)
            untouched = order.opened_by == SYSTEM.name and order.state == OrderState.OPEN and not order.reopened
            alive = [o for o in order.outages if o.state in ALIVE and o.site in self.inventory.sites]
            if (
                line is None
                or order.township not in self.townships
                or order.kind != "site"
                or not untouched
                or not alive
            ):
                continue
            starts = {line.township: [o.start for o in line.outages if o.state in ALIVE]}
            if all(self._root(o, starts) == line.root for o in alive):
                keys = [o.key for o in order.outages]
                async with self._write(f"工单 {order.id} 并入乡镇线路工单 {line.id}") as connection:
                    await orders.move_outages(connection, keys, line.id)
                    await self._close(connection, order, f"并入乡镇线路工单 {line.id}")
                    await self._event(connection, line.id, "outages_added", outages=keys, order=order.id)

    # --- measuring ------------------------------------------------------------------------------------------------

    async def measure(self) -> None:
        """When orders became overdue, when they were restored, and those of which evidence has left nothing."""
        async with self.engine.connect() as connection:
            recent = await orders.open_or_since(connection, self.now - REVISED_MS)
            # The line of a township is no terminal: it has no overdue seconds.
            outages = [o for order in recent for o in order.outages if o.terminal != UPLINK]
            overdue = await self.limits.overdue(connection, outages)
        for order in recent:
            if order.township in self.townships and self._news(order, overdue):
                async with self._write(f"工单 {order.id}：恢复、超期") as connection:
                    # Once more, now that nobody else can write it.
                    await self._say(connection, await orders.get(connection, order.id), overdue)

    def _news(self, order: Order, overdue: Mapping[Listed, int]) -> _News:
        """What is to be said of an order; what is not listed in `overdue` is not overdue."""
        alive = [o for o in order.outages if o.state in ALIVE]
        overs = [o.over for o in alive if o.over is not None]
        restored = max(overs) if alive and len(overs) == len(alive) else None
        since = {o.key: at for o, at in overdue.items()}
        known = [o for o in order.outages if o.site in self.inventory.sites]
        return _News(
            restored,
            restored != order.restored_ms,
            {o.key: since.get(o.key) for o in known if o.overdue != since.get(o.key)},
            not alive and order.opened_by == SYSTEM.name and order.state == OrderState.OPEN,
            order.state == OrderState.CLOSED and order.goes_on and not order.forced,
        )

    async def _say(self, connection: AsyncConnection, order: Order, overdue: Mapping[Listed, int]) -> None:
        news = self._news(order, overdue)
        for key, since in news.overdue.items():
            await orders.set_overdue(connection, key, since)
            what = "overdue" if since is not None else "not_overdue"
            await self._event(connection, order.id, what, outage=key, since_ms=since)
        if news.moved:
            await orders.change(connection, order.id, restored_ms=news.restored)
            what = "restored" if news.restored is not None else "not_restored"
            await self._event(connection, order.id, what, restored_ms=news.restored)
        if news.void:
            await self._close(connection, order, "证据更正：停机不成立，或已并入其他停机")
        if news.again:
            await self._reopen(connection, order, [o.key for o in order.outages if o.goes_on])

    async def _close(self, connection: AsyncConnection, order: Order, reason: str) -> None:
        done = {"closed_ms": self.now, "closed_by": SYSTEM.name, "close_reason": reason}
        await orders.move(connection, order, OrderState.CLOSED, **done)
        await self._event(connection, order.id, "closed", reason=reason)

    def _write(self, what: str) -> AbstractAsyncContextManager[AsyncConnection]:
        return acting(self.engine, SYSTEM, Action.WORKORDER_WRITE, what, self.now)

    async def _event(self, connection: AsyncConnection, number: int, what: str, **detail: object) -> None:
        await orders.event(connection, number, self.now, SYSTEM.name, what, **detail)


def _joins(order: Order, outages: Iterable[Listed], root: Root) -> bool:
    """Is one of these part of what an order is about: at the same time as one of its outages, or nothing is listed?"""
    alive = [o for o in order.outages if o.state in ALIVE]
    if not order.outages:
        return True
    for a in alive:
        for b in outages:
            if (a.over is None or b.start < a.over) and (b.over is None or a.start < b.over):
                return True
            if root.kind == "line" and began_together(a.start, b.start):
                return True
    return False

"""Which outages have passed their limits, on the one clock: for opening a work order, and for its repair.

Both are asked of what the database says of the evidence, for all outages at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.course import Course
from monitor.core.figures import Counter
from monitor.core.outage import ALIVE
from monitor.core.sites import Level
from monitor.core.timeline import Interval, Timeline
from monitor.core.workorder import AGAIN_MS
from monitor.inventory.load import Loaded
from monitor.store import reading
from monitor.store.orders import Listed


class _Place(NamedTuple):
    """Where an outage is, how its time counts, and how long it has lasted so far."""

    outage: Listed
    level: Level
    course: Course
    lasts: Interval


class Limits:
    """As far as the database knows the evidence: up to `at`, ms."""

    def __init__(self, counter: Counter, loaded: Loaded, at: int) -> None:
        self.counter, self.inventory, self.at = counter, loaded.inventory, at
        rules = loaded.settings.maintenance
        self._open_after = {level: round(rules.open_after_min.of(level) * 60_000) for level in Level}

    async def passed(self, connection: AsyncConnection, outages: Sequence[Listed]) -> list[Listed]:
        """Of these outages those whose counted down time has passed the limit for opening an order."""

        def limit(place: _Place) -> int:
            return self._open_after[place.level]

        found = await self._beyond(
            connection, outages, limit, lambda p, timeline: p.course.reached_at(timeline, p.lasts, limit(p))
        )
        return list(found)

    async def overdue(self, connection: AsyncConnection, outages: Sequence[Listed]) -> dict[Listed, int]:
        """Of these outages those with overdue seconds, and the first of them (ms)."""
        return await self._beyond(
            connection,
            outages,
            lambda p: p.course.least_repair_limit_ms(p.lasts),
            lambda p, timeline: p.course.overdue_since(timeline, p.lasts),
        )

    async def _beyond(
        self,
        connection: AsyncConnection,
        outages: Sequence[Listed],
        least: Callable[[_Place], int],
        since: Callable[[_Place, Timeline], int | None],
    ) -> dict[Listed, int]:
        """Those of which `since` says something; asked only of what may have passed the `least` limit, all counted."""
        known = [o for o in outages if o.state in ALIVE and o.site in self.inventory.sites]
        if not known:
            return {}
        reach = (min(o.start for o in known), max(self.at, max(o.start for o in known)))
        places = [self._place(o) for o in known]
        may = [p for p in places if p.course.at_most_ms(p.lasts, reach) > least(p)]
        begun: dict[tuple[str, str], int] = {}
        for o, *_ in may:
            begun[o.site, o.terminal] = min(o.start, begun.get((o.site, o.terminal), o.start))
        checks = await reading.some_timelines(connection, begun)
        result = {}
        for place in may:
            o = place.outage
            at = since(place, self.counter.terminal_timeline(o.site, o.terminal, checks))
            if at is not None:
                result[o] = at
        return result

    def _place(self, outage: Listed) -> _Place:
        course = self.counter.course(outage.site, outage.terminal)
        return _Place(outage, self.inventory.sites[outage.site].level, course, (outage.start, self._until(outage)))

    def _until(self, outage: Listed) -> int:
        return max(outage.start, self.at if outage.over is None else min(outage.over, self.at))

    def counted_between(self, repaired: Listed, start: int) -> int:
        """Counted ms from a repair to the next outage of that terminal."""
        if repaired.site not in self.inventory.sites or repaired.over is None:
            return AGAIN_MS + 1
        return self.counter.course(repaired.site, repaired.terminal).counted_between(repaired.over, start)

"""When to probe what: each check at its own phase of its interval, a bounded number at once.

There are two lanes with places of their own: one for targets that answered last time, one for those that did
not or were never asked. A dead target holds its place for the whole time limit and a living one for
milliseconds; sharing places, a cut township would make every living terminal wait its turn, and its streak of
results would break. Within a lane it is first come, first served, and a check waits at most once: one whose
turn comes again before it was done skips it, and keeps its phase. So nothing piles up, and nothing drifts.
"""

from __future__ import annotations

import asyncio
import heapq
import zlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import NoReturn

import structlog

from monitor.core.sites import Check
from monitor.intake.door import Door
from monitor.intake.probes import PROBES, ProbeUnavailable, Tools, probe

VIA = "probe"
#: The share of all places that is kept for targets not known to answer.
DOUBTFUL_SHARE = 0.5

log = structlog.get_logger()


class _Lane:
    """Places, and who waits for one."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.taken = 0
        self.waiting: deque[Check] = deque()


async def _always() -> bool:
    return True


class Poller:
    """Probes of an inventory; checks of other kinds are left out. `allowed` is asked before each probe, `line_works`
    after each that failed: what our own line cannot reach is not down."""

    def __init__(
        self,
        checks: Iterable[Check],
        observer: Door,
        tools: Tools,
        *,
        concurrency: int,
        timeout_s: float,
        allowed: Callable[[], bool] = lambda: True,
        line_works: Callable[[], Awaitable[bool]] = _always,
    ) -> None:
        self._observer = observer
        self._tools = tools
        self._timeout_s = timeout_s
        self._allowed = allowed
        self._line_works = line_works
        doubtful = max(1, int(concurrency * DOUBTFUL_SHARE))
        self._good = _Lane(max(1, concurrency - doubtful))
        self._doubtful = _Lane(doubtful)
        self._checks = [c for c in checks if c.check in PROBES]
        #: Keys of those that answered last time.
        self._answering: set[tuple[str, str, str]] = set()
        self._busy: set[tuple[str, str, str]] = set()
        self._unavailable = ""
        #: Turns that were left out because the one before was not done yet.
        self.skipped = 0

    @property
    def running(self) -> int:
        """Probes on their way."""
        return self._good.taken + self._doubtful.taken

    async def run(self) -> NoReturn:
        """Until cancelled. A probe that raises what it should not ends it."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        # (when, tie breaker, check): seconds of the loop's clock, which does not jump.
        due = [(start + phase_s(c), i, c) for i, c in enumerate(self._checks)]
        heapq.heapify(due)
        async with asyncio.TaskGroup() as group:
            while True:
                if not due:
                    # Nothing to probe: stay, so that whoever runs us need not care.
                    await asyncio.sleep(3600)
                    continue
                when, i, check = due[0]
                if (wait := when - loop.time()) > 0:
                    await asyncio.sleep(wait)
                    continue
                interval_s = check.interval_ms / 1000
                # After a stop of the whole machine, one turn and not all that were missed.
                missed = int((loop.time() - when) / interval_s)
                self.skipped += missed
                heapq.heapreplace(due, (when + (missed + 1) * interval_s, i, check))
                if self._allowed():
                    self._turn(group, check)

    def _turn(self, group: asyncio.TaskGroup, check: Check) -> None:
        if check.key in self._busy:
            self.skipped += 1
            return
        self._busy.add(check.key)
        lane = self._good if check.key in self._answering else self._doubtful
        if lane.taken < lane.places:
            self._start(group, lane, check)
        else:
            lane.waiting.append(check)

    def _start(self, group: asyncio.TaskGroup, lane: _Lane, check: Check) -> None:
        lane.taken += 1
        group.create_task(self._work(lane, check), name=f"probe {check.check} {check.site_id}/{check.terminal}")

    async def _work(self, lane: _Lane, check: Check) -> None:
        """One place: this check, and then whoever waits for the place."""
        try:
            while True:
                await self._one(check)
                self._busy.discard(check.key)
                if not lane.waiting:
                    return
                check = lane.waiting.popleft()
        finally:
            lane.taken -= 1

    async def _one(self, check: Check) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            result = await probe(self._tools, check.check, check.target, self._timeout_s)
        except ProbeUnavailable as error:
            # No result at all: our failure is no evidence (docs/faults.md, I4).
            self._observer.refuse(VIA, "unavailable")
            if self._unavailable != str(error):
                self._unavailable = str(error)
                log.error("probe_unavailable", check=check.check, reason=str(error))
            return
        took_s = loop.time() - started
        if not result.ok and not await self._line_works():
            return  # it is our own line that does not answer
        if not self._allowed():
            return  # we were deaf meanwhile: again no evidence
        (self._answering.add if result.ok else self._answering.discard)(check.key)
        self._observer.result(
            check.site_id,
            check.terminal,
            check.check,
            result.ok,
            duration_s=took_s,
            detail=result.detail,
            certificate_expiry=result.certificate_expiry,
        )


def phase_s(check: Check) -> float:
    """Where in its interval a check has its turn: from its name, so the same after every restart. Seconds."""
    share = zlib.crc32("/".join(check.key).encode()) / 2**32
    return share * check.interval_ms / 1000

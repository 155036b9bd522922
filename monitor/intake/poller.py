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
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import NoReturn

import structlog

from monitor.core.sites import Check
from monitor.intake.door import Door
from monitor.intake.probes import ASKERS, PROBES, ProbeResult, ProbeUnavailable, Tools, asker, probe

VIA = "probe"
#: The share of all places that is kept for targets not known to answer.
DOUBTFUL_SHARE = 0.5

log = structlog.get_logger()


class _Lane:
    """Places, and who waits for one."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.taken = 0
        self.waiting: deque[_Turn] = deque()


class _Turn:
    """A check, and what is known of its probes."""

    __slots__ = ("answers", "ask", "at", "busy", "check", "interval_s", "lane", "told")

    def __init__(self, check: Check, told: Callable[[_Turn, ProbeResult | None], None]) -> None:
        self.check = check
        self.interval_s = check.interval_ms / 1000
        self.told = partial(told, self)
        self.ask: Callable[[], None] | None = None  # where its probe needs no task
        self.lane: _Lane
        self.answers = False  # it did last time
        self.busy = False  # on its way, or waiting for a place
        self.at = 0.0  # when its probe began, steady seconds


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
        self._turns: dict[tuple[str, str, str], _Turn] = {}
        self._changed = asyncio.Event()
        self.follow(checks)
        self._unavailable = ""
        self._done: list[tuple[_Turn, ProbeResult | None, float]] = []
        self._some_done = asyncio.Event()
        #: Turns that were left out because the one before was not done yet.
        self.skipped = 0

    def follow(self, checks: Iterable[Check]) -> None:
        """These are probed from now on; one that is on its way ends."""
        before, self._turns = self._turns, {}
        for check in checks:
            if check.check in PROBES:
                turn = before.get(check.key)
                same = turn is not None and turn.check == check
                self._turns[check.key] = turn if same and turn is not None else _Turn(check, self._told)
        self._changed.set()

    @property
    def running(self) -> int:
        """Probes on their way."""
        return self._good.taken + self._doubtful.taken

    async def run(self) -> NoReturn:
        """Until cancelled. A probe that raises what it should not ends it."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        due: list[tuple[float, int, _Turn]] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hand_over(group), name="results of probes")
            while True:
                now = loop.time()
                if self._changed.is_set():
                    self._changed.clear()
                    # (when, tie breaker, turn): seconds of the loop's clock, which does not jump.
                    due = [(_next_turn(start, now, turn), i, turn) for i, turn in enumerate(self._turns.values())]
                    heapq.heapify(due)
                # Without anything to probe it stays, so that whoever runs us need not care.
                if (wait := due[0][0] - now if due else 3600.0) > 0:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._changed.wait()
                    continue
                may = self._allowed()
                while due[0][0] <= now:
                    when, i, turn = due[0]
                    # After a stop of the whole machine, one turn and not all that were missed.
                    missed = int((now - when) / turn.interval_s)
                    self.skipped += missed
                    heapq.heapreplace(due, (when + (missed + 1) * turn.interval_s, i, turn))
                    if may:
                        self._begin(group, turn)

    def _begin(self, group: asyncio.TaskGroup, turn: _Turn) -> None:
        if turn.busy:
            self.skipped += 1
            return
        turn.busy = True
        lane = turn.lane = self._good if turn.answers else self._doubtful
        if lane.taken < lane.places:
            self._start(group, turn)
        else:
            lane.waiting.append(turn)

    def _start(self, group: asyncio.TaskGroup, turn: _Turn) -> None:
        turn.lane.taken += 1
        turn.at = monotonic()
        check = turn.check
        try:
            if turn.ask is None and check.check in ASKERS:
                turn.ask = asker(self._tools, check.check, check.target, self._timeout_s, turn.told)
            if turn.ask is not None:
                turn.ask()
                return
        except ProbeUnavailable as error:
            self._is_unavailable(check, error)
            turn.told(None)
            return
        group.create_task(self._work(turn), name=f"probe {check.check} {check.site_id}/{check.terminal}")

    async def _work(self, turn: _Turn) -> None:
        """A probe that needs a task."""
        check = turn.check
        result = None
        try:
            result = await probe(self._tools, check.check, check.target, self._timeout_s)
        except ProbeUnavailable as error:
            self._is_unavailable(check, error)
        turn.told(result)

    def _told(self, turn: _Turn, result: ProbeResult | None) -> None:
        """A probe is done (None: without a result). What came in together is handed over together."""
        self._done.append((turn, result, monotonic() - turn.at))
        if len(self._done) == 1:
            self._some_done.set()

    async def _hand_over(self, group: asyncio.TaskGroup) -> NoReturn:
        """Results to the observer, and places to those who wait for them."""
        while True:
            await self._some_done.wait()
            self._some_done.clear()
            done, self._done = self._done, []
            for turn, result, took_s in done:
                if result is None or result.ok:
                    self._end(group, turn, result, took_s)
                else:
                    group.create_task(self._doubt(group, turn, result, took_s), name="whose fault")

    async def _doubt(self, group: asyncio.TaskGroup, turn: _Turn, result: ProbeResult, took_s: float) -> None:
        """Is it our own line that does not answer? Then it is no result."""
        self._end(group, turn, result if await self._line_works() else None, took_s)

    def _end(self, group: asyncio.TaskGroup, turn: _Turn, result: ProbeResult | None, took_s: float) -> None:
        if result is not None and self._allowed():  # otherwise we were deaf meanwhile: no evidence either
            turn.answers = result.ok
            check = turn.check
            self._observer.result(
                check.site_id,
                check.terminal,
                check.check,
                result.ok,
                duration_s=took_s,
                detail=result.detail,
                certificate_expiry=result.certificate_expiry,
            )
        turn.busy = False
        lane = turn.lane
        lane.taken -= 1
        if lane.waiting:
            self._start(group, lane.waiting.popleft())

    def _is_unavailable(self, check: Check, error: ProbeUnavailable) -> None:
        """No result at all: our failure is no evidence (docs/faults.md, I4)."""
        self._observer.refuse(VIA, "unavailable")
        if self._unavailable != str(error):
            self._unavailable = str(error)
            log.error("probe_unavailable", check=check.check, reason=str(error))


def _next_turn(start: float, now: float, turn: _Turn) -> float:
    """The next one of those that began at `start`, each an interval after the other."""
    first = start + phase_s(turn.check)
    return first if first >= now else now + (first - now) % turn.interval_s


def phase_s(check: Check) -> float:
    """Where in its interval a check has its turn: from its name, so the same after every restart. Seconds."""
    share = zlib.crc32("/".join(check.key).encode()) / 2**32
    return share * check.interval_ms / 1000

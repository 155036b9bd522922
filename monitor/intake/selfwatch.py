"""Knowing oneself: is it the village that is silent, or are we deaf? (docs/rules.md §1, docs/faults.md)

A round every few seconds asks the canaries (things near the monitor that answer while its own line works) and
sends an echo over each channel. A channel is alive if its echo came back and a canary answered; after two
rounds without, it is lost since its last sign of life. A clock that jumps, or a process that stood still,
loses all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NoReturn, Protocol

import structlog

from monitor.clock import Clock
from monitor.core.sites import CHANNELS
from monitor.intake.probes import ProbeUnavailable, Tools, probe_target

log = structlog.get_logger()

#: Rounds without life after which a channel is lost. One lost packet is none.
ROUNDS = 2
#: How long a canary or an echo may take, seconds.
ANSWER_S = 2.0
#: A canary's answer proves our own line for so long, seconds: less than a probe takes to find nobody there.
FRESH_S = 0.5
#: The wall clock may differ from the steady one by this much before it has jumped, ms. Smaller steps are
#: followed.
JUMP_MS = 1_500
#: The guard looks this often, seconds.
GUARD_S = 1.0

Echo = Callable[[], Awaitable[bool]]


class Watched(Protocol):
    """What self-observation needs of the observer."""

    @property
    def clock(self) -> Clock: ...
    def alive(self, channel: str) -> None: ...
    def lost(self, channel: str, since: int | None = None, reason: str = "") -> None: ...
    def last_life(self, channel: str) -> int | None: ...
    def look(self) -> None: ...


class SelfWatch:
    """`echoes`: how each channel proves itself, True if it did; a channel without one is proven by the canaries."""

    def __init__(
        self,
        observer: Watched,
        canaries: Sequence[str],
        echoes: Mapping[str, Echo],
        tools: Tools,
        *,
        every_s: float,
    ) -> None:
        self._observer = observer
        self._canaries = canaries
        self._echoes = echoes
        self._tools = tools
        self._every_s = every_s
        self._silent = dict.fromkeys(CHANNELS, 0)
        self._worked = float("-inf")  # when a canary last answered, the loop's clock
        self._asking: asyncio.Task[bool] | None = None

    async def rounds(self) -> NoReturn:
        """The loop of canaries and echoes. Survives whatever they meet."""
        while True:
            await self.round()
            await asyncio.sleep(self._every_s)

    async def round(self) -> None:
        """Ask once, and tell the observer what is alive and what is not."""
        line, *answers = await asyncio.gather(self._ask_canaries(), *(self._answers(name) for name in CHANNELS))
        for name, answered in zip(CHANNELS, answers, strict=True):
            if answered and line:
                self._silent[name] = 0
                self._observer.alive(name)
                continue
            self._silent[name] += 1
            if self._silent[name] >= ROUNDS:  # again and again: what comes in from nearby restores the channel
                reason = "no echo" if line else "no canary answers"
                self._observer.lost(name, self._observer.last_life(name), reason)

    async def line_works(self) -> bool:
        """Did a canary answer just now, or does one answer? Asked for every target that does not: is it them or us?

        However many ask at once, the canaries are asked once.
        """
        if asyncio.get_running_loop().time() - self._worked <= FRESH_S:
            return True
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_canaries(), name="canaries")
        return await asyncio.shield(self._asking)

    async def _ask_canaries(self) -> bool:
        """Does anything near answer? Without canaries there is nothing that could tell."""
        if not self._canaries:
            return True
        asking = [asyncio.ensure_future(self._canary(target)) for target in self._canaries]
        try:
            for answer in asyncio.as_completed(asking):
                if await answer:
                    self._worked = asyncio.get_running_loop().time()
                    return True
            return False
        finally:
            for task in asking:
                task.cancel()

    async def _canary(self, target: str) -> bool:
        try:
            return (await probe_target(self._tools, target, ANSWER_S)).ok
        except ProbeUnavailable as error:
            log.warning("canary.unavailable", target=target, error=str(error))
            return False

    async def _answers(self, channel: str) -> bool:
        echo = self._echoes.get(channel)
        if echo is None:
            return True
        try:
            async with asyncio.timeout(ANSWER_S):
                return await echo()
        except TimeoutError:
            return False

    async def guard_clock(self) -> NoReturn:
        """The loop that notices a jumped clock, and by whose turns the observer notices that nobody looked."""
        clock = self._observer.clock
        while True:
            self._observer.look()
            since = clock.now()
            await asyncio.sleep(GUARD_S)
            drift = clock.drift_ms()
            if abs(drift) > JUMP_MS:
                self._lose_all(since, f"wall clock jumped by {drift / 1000:+.1f} s")
                clock.anchor()
            else:
                clock.follow()

    def _lose_all(self, since: int, reason: str) -> None:
        log.error("clock.trouble", reason=reason)
        for name in CHANNELS:
            self._observer.lost(name, since, reason)

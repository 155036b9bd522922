"""What every simulated heartbeat device does, whichever way it speaks: beat, fall silent, come back.

`fail`, `recover`, `mute` and `odd` are synchronous and act at once, so that the moment in the truth is the
moment of the act. What needs the network is left as an order to the device's own loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from enum import Enum, auto
from typing import Any, Protocol

from monitor.clock import Clock
from monitor.fleet.heart import Heart, encode
from monitor.fleet.script import Behaviour, Fault

#: A beat that is due within this many ms is sent now: timers and millisecond instants need not agree exactly.
EARLY_MS = 2
#: How many beats a device keeps while its line is cut; older ones are dropped.
KEPT_BEATS = 100


class Face(Protocol):
    """One way in which a terminal shows itself: a device that beats, or a target that is probed."""

    def fail(self, fault: Fault) -> None: ...
    def recover(self) -> None: ...
    def mute(self, on: bool) -> None: ...
    def odd(self, fault: Fault, on: bool, amount_ms: int) -> None: ...
    def close(self) -> None: ...
    async def run(self) -> None: ...


class Order(Enum):
    """What a device's loop has to do beside beating."""

    GOODBYE = auto()
    BIRTH = auto()
    FLUSH = auto()


class Device:
    """Beats every interval at its own phase. `tally` is shared: sent, refused, unsent, kept, connected."""

    def __init__(self, heart: Heart, behaviour: Behaviour, clock: Clock, tally: Counter[str]) -> None:
        self.heart = heart
        self.behaviour = behaviour
        self.clock = clock
        self.tally = tally
        self.dead: Fault | None = None
        self.muted = False
        self._closed = False
        self._oddities: set[Fault] = set()
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT_BEATS)
        self._orders: deque[Order] = deque()
        self._wake = asyncio.Event()

    # What a subclass says.

    async def send(self, payload: bytes) -> None:
        """One beat, or rubbish in its place. A failure of the line is counted, or ends the connection."""
        raise NotImplementedError

    async def send_goodbye(self) -> None:
        raise NotImplementedError

    def compose(self, beat: dict[str, Any]) -> bytes:
        """A beat as this way of speaking needs it."""
        return encode(beat)

    async def send_kept(self, beats: list[dict[str, Any]]) -> None:
        """What was kept while the line was cut, oldest first, each with the moment at which it was due."""
        for beat in beats:
            await self.send(self.compose(beat))

    async def run(self) -> None:
        raise NotImplementedError

    # What the script does to it.

    def fail(self, fault: Fault) -> None:
        """From now on it is down. While it is muted nothing of that can be heard, not even a goodbye."""
        self.dead = Fault.SILENCE if self.muted else fault
        self._orders.clear()
        if self.dead is Fault.GOODBYE:
            self._order(Order.GOODBYE)

    def recover(self) -> None:
        """It works again; with a birth it beats at once, otherwise at its own phase."""
        fault, self.dead = self.dead, None
        self._orders.clear()
        if fault is Fault.REBOOT:
            self.heart.reboot()
        if not self.muted and self._kept:
            self._order(Order.FLUSH)
        if self.behaviour.births:
            self._order(Order.BIRTH)
        self._wake.set()

    def mute(self, on: bool) -> None:
        """The monitor's own line is cut: the device lives and beats, nobody hears it, it keeps its beats."""
        self.muted = on
        if not on and self.dead is None and self._kept:
            self._order(Order.FLUSH)
        self._wake.set()

    def odd(self, fault: Fault, on: bool, amount_ms: int) -> None:
        if fault is Fault.WRONG_CLOCK:
            self.heart.skew_ms = amount_ms if on else 0
        elif on:
            self._oddities.add(fault)
        else:
            self._oddities.discard(fault)

    def close(self) -> None:
        """The play is over: the loop ends by itself.

        Cancelling is not enough: asyncio.wait_for of Python 3.11, inside aiomqtt, swallows a cancellation that comes
        in the same turn of the loop as the answer that it waits for.
        """
        self._closed = True
        self._wake.set()

    def over(self) -> bool:
        """Whether `close` was called; a method, because that happens while the loop waits."""
        return self._closed

    # The loop.

    async def beat_on(self) -> None:
        """Beats and orders, until `done()`."""
        due = self.heart.next_due(self.clock.now())
        await self._obey()  # what was ordered while there was no connection
        while not self.done():
            await self._pause(due)
            await self._obey()
            now = self.clock.now()
            if now >= due - EARLY_MS:
                await self._beat()
                due = self.heart.next_due(max(now, due))

    def done(self) -> bool:
        """Whether the loop has to be left, to connect anew for example."""
        return self.over()

    async def _obey(self) -> None:
        while self._orders and not self.done():
            order = self._orders.popleft()
            if order is Order.GOODBYE:
                await self.send_goodbye()
            elif order is Order.BIRTH:
                await self._beat()
            else:
                kept = list(self._kept)
                self._kept.clear()
                await self.send_kept(kept)

    async def _beat(self) -> None:
        if self.dead is Fault.LATE or (self.muted and self.dead is None):
            self._kept.append(self.heart.beat(self.clock.now()))
            self.tally["kept"] += 1
        elif self.dead is None:
            if Fault.MALFORMED in self._oddities:
                await self.send(self.heart.rubbish())
            payload = self.compose(self.heart.beat(self.clock.now()))
            await self.send(payload)
            if Fault.TWICE in self._oddities:
                await self.send(payload)

    async def _pause(self, until: int) -> None:
        """Until that instant (ms UTC), or until something was ordered."""
        delay_s = (until - self.clock.now()) / 1000
        if delay_s > 0:
            try:
                async with asyncio.timeout(delay_s):
                    await self._wake.wait()
            except TimeoutError:
                return
        self._wake.clear()

    def _order(self, order: Order) -> None:
        self._orders.append(order)
        self._wake.set()

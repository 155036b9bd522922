"""A simulated device that beats over MQTT: own connection, will, retained status (docs/interfaces.md)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter
from dataclasses import dataclass

import aiomqtt

from monitor.clock import Clock
from monitor.fleet.device import Device
from monitor.fleet.heart import Heart
from monitor.fleet.script import Behaviour, Fault

#: Any answer of the broker, and leaving it in order.
LIMIT_S = 5.0
#: The first connections are spread over this long, or over an interval if that is shorter.
LONGEST_START_S = 5.0
#: After a connection that failed: with jitter up to the cap, so that 234 devices do not come as one.
FIRST_BACK_OFF_S = 0.5
LONGEST_BACK_OFF_S = 10.0
#: Long: a device that hangs keeps its connection and its pings, and only stops beating.
KEEPALIVE_S = 60

#: Faults after which there is no connection. In silence and in lateness it stays, with nothing on it.
_UNPLUGGED = frozenset({Fault.GOODBYE, Fault.CUT, Fault.FLAP, Fault.REBOOT})

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker listens; `tls` None: in the clear."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


class MqttDevice(Device):
    """Signs in as `{site}/{terminal}` with its token. Its will is a retained `offline`."""

    def __init__(
        self,
        heart: Heart,
        behaviour: Behaviour,
        clock: Clock,
        tally: Counter[str],
        broker: BrokerAddress,
        token: str,
    ) -> None:
        super().__init__(heart, behaviour, clock, tally)
        self.user = f"{heart.site}/{heart.terminal}"
        self._status = f"zhdj/v1/{self.user}/status"
        self._broker = broker
        self._token = token
        self._client: aiomqtt.Client | None = None
        self._broken = False
        self._back_off_s = FIRST_BACK_OFF_S

    @property
    def connected(self) -> bool:
        return self._client is not None and not self._broken

    def fail(self, fault: Fault) -> None:
        super().fail(fault)
        if self.dead in _UNPLUGGED and self.dead is not Fault.GOODBYE and self._client is not None:
            # The broker sends the will at once. `_watch` notices, and the loop leaves.
            _shut(self._client)

    async def run(self) -> None:
        """Connect, beat, connect again with back-off; survives every failure of the broker."""
        interval_s = self.heart.interval_ms / 1000
        await asyncio.sleep(self.heart.rng.uniform(0, min(LONGEST_START_S, interval_s)))
        while not self.over():
            while self.unplugged and not self.over():
                await self._wake.wait()
                self._wake.clear()
            if self.over():
                return
            try:
                await self._live()
            except aiomqtt.MqttError as error:
                _LOG.debug("no connection: %s: %s", self.user, error)
            if not self.unplugged and not self.over():
                await asyncio.sleep(self._back_off_s * self.heart.rng.uniform(0.5, 1))
                # Never longer than its interval: after a broker's restart I + G are all the time it has.
                self._back_off_s = min(2 * self._back_off_s, LONGEST_BACK_OFF_S, interval_s)

    @property
    def unplugged(self) -> bool:
        """Whether there may be no connection just now."""
        return self.dead in _UNPLUGGED or self.muted

    async def _live(self) -> None:
        """One connection, from its beginning to its end."""
        client = aiomqtt.Client(
            self._broker.host,
            self._broker.port,
            username=self.user,
            password=self._token,
            identifier=self.user,
            will=aiomqtt.Will(self._status, b"offline", qos=1, retain=True),
            keepalive=KEEPALIVE_S,
            timeout=LIMIT_S,
            tls_context=self._broker.tls,
        )
        try:
            async with client:
                if not self.unplugged:  # it may have died meanwhile; then it leaves in order, unseen
                    await self._speak(client)
        finally:
            _shut(client)  # also where connecting failed half-way: paho then tidies up

    async def _speak(self, client: aiomqtt.Client) -> None:
        self._client, self._broken = client, False
        self._back_off_s = FIRST_BACK_OFF_S
        self.tally["connected"] += 1
        watch = asyncio.create_task(self._watch(client), name=f"watch {self.user}")
        try:
            await client.publish(self._status, b"online", qos=1, retain=True)
            await self.beat_on()
        finally:
            self.tally["connected"] -= 1
            self._client = None
            watch.cancel()

    async def _watch(self, client: aiomqtt.Client) -> None:
        """Nothing is subscribed to: this ends only with the connection, noticed at once."""
        try:
            async for _ in client.messages:
                pass
        except aiomqtt.MqttError:
            self._broken = True
            self._wake.set()

    def done(self) -> bool:
        return self._broken or self.over()

    async def send(self, payload: bytes) -> None:
        if self._client is None:
            self.tally["unsent"] += 1
            return
        try:
            await self._client.publish(f"zhdj/v1/{self.user}/heartbeat", payload, qos=1)
        except aiomqtt.MqttError:
            self.tally["unsent"] += 1
            self._broken = True
            raise
        self.tally["sent"] += 1

    async def send_goodbye(self) -> None:
        """Say `off`, then leave: the loop ends and the context disconnects in order, so no will is sent."""
        if self._client is not None:
            await self._client.publish(self._status, b"off", qos=1, retain=True)
            self.tally["goodbyes"] += 1
        self._broken = True


def _shut(client: aiomqtt.Client) -> None:
    """End the connection without a word, if there is one."""
    # aiomqtt shows neither its socket nor a way to leave impolitely.
    sock = client._client.socket()
    if isinstance(sock, socket.socket):
        # Not close(): paho still polls it, reads its end and tidies up.
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

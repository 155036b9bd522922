"""Receiving from a broker: connect, subscribe, prove the channel by an echo, hand over what comes; for ever.

The channel `mqtt` is restored when an echo of our own came back, and lost when the connection ends, dated to
the last sign of life (docs/rules.md §1). Any 3.1.1 broker will do.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import structlog

from monitor.errors import Refused
from monitor.intake import topics
from monitor.intake.door import Door
from monitor.intake.limits import BEATS_BURST, BEATS_PER_S, RateLimit
from monitor.intake.mqtt_link import ANSWER_S, Link, LinkLost, OpenLink, open_aiomqtt
from monitor.intake.payload import parse_beat
from monitor.settings import Mqtt

VIA = "mqtt"
#: Echoes on their way at once; more are not asked for.
MAX_ECHOES = 16

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds between attempts: `first_s`, doubled up to `most_s`, each ± `jitter`. After `held_s`, anew.

    Short: while we are away from the broker the whole county is unknown, and one client is no storm.
    """

    first_s: float = 1.0
    most_s: float = 15.0
    jitter: float = 0.25
    held_s: float = 5.0

    def delay(self, failures: int) -> float:
        """After so many failures in a row (1 is the first)."""
        base = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 30))
        # Jitter keeps many monitors from knocking together; nobody gains by guessing it.
        return base * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311


class MqttReceiver:
    """`filters`: what to subscribe to: the wildcards where this process owns all, else `topics.of_sites`."""

    def __init__(
        self,
        settings: Mqtt,
        observer: Door,
        *,
        observer_name: str,
        filters: Sequence[str] = topics.WILDCARDS,
        open_link: OpenLink = open_aiomqtt,
        backoff: Backoff | None = None,
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._client_id = settings.client_id or f"zhdj-{observer_name}"
        self._echo_topic = topics.echo(observer_name)
        self._filters = (*filters, self._echo_topic)
        self._open = open_link
        self._backoff = backoff or Backoff()
        self._limit = RateLimit(per_s=BEATS_PER_S, burst=BEATS_BURST)
        self._link: Link | None = None
        self._echoes: dict[bytes, asyncio.Future[None]] = {}
        self._last_sign: int | None = None
        self.connected = False
        #: Retained messages seen on subscribing: never evidence, only counted.
        self.hints = 0
        self.connections = 0

    async def run(self) -> NoReturn:
        """Never ends by itself. Survives all that a broker and a network do; a defect of ours ends it."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            started = loop.time()
            try:
                await self._connection()
            except LinkLost as error:
                reason = str(error)
            if loop.time() - started >= self._backoff.held_s:
                failures = 0
            failures += 1
            delay = self._backoff.delay(failures)
            log.warning("mqtt_away", reason=reason, retry_s=round(delay, 1))
            await asyncio.sleep(delay)

    async def echo(self, timeout_s: float = ANSWER_S) -> bool:
        """Write to ourselves through the broker: True if it came back in time. Never raises."""
        link = self._link
        if link is None or len(self._echoes) >= MAX_ECHOES:
            return False
        nonce = secrets.token_hex(8).encode()
        came = self._echoes[nonce] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await link.publish(self._echo_topic, nonce)
                await came
        except (LinkLost, TimeoutError):
            return False
        finally:
            del self._echoes[nonce]
        return True

    def handle(self, topic: str, payload: bytes, retain: bool) -> None:
        """One message. Synchronous: what it changes has happened when it returns."""
        if retain:
            self.hints += 1
            return
        now = self._last_sign = self._observer.clock.now()
        if topic == self._echo_topic:
            came = self._echoes.get(payload)
            if came is not None and not came.done():
                # Whoever asked decides what it proves: a broker beside us also answers while our own line is down.
                came.set_result(None)
            return
        device = topics.device(topic)
        if device is None:
            self._observer.refuse(VIA, "malformed")
            return
        site, terminal, kind = device
        if not self._limit.allow((site, terminal), now / 1000):
            self._observer.refuse(VIA, "rate_limited")
        elif kind == topics.STATUS:
            self._status(site, terminal, payload)
        else:
            try:
                beat = parse_beat(payload)
            except Refused as refused:
                self._observer.refuse(VIA, refused.reason)
                return
            self._observer.heartbeat(
                site,
                terminal,
                VIA,
                sent_at=beat.sent_at,
                boot=beat.boot,
                seq=beat.seq,
                services=beat.services,
            )

    def _status(self, site: str, terminal: str, payload: bytes) -> None:
        match payload:
            case b"off":
                self._observer.will(site, terminal, VIA, goodbye=True)
            case b"offline":
                self._observer.will(site, terminal, VIA)
            case b"online" | b"" if self._observer.knows(site, terminal):  # empty: somebody cleared the retained one
                self._observer.alive(VIA)
            case b"online" | b"":
                self._observer.refuse(VIA, "unknown_terminal")
            case _:
                self._observer.refuse(VIA, "malformed")

    async def _connection(self) -> NoReturn:
        """One connection from its beginning to its end. Raises LinkLost."""
        clock = self._observer.clock
        restored = False
        try:
            async with self._open(self._settings, self._client_id, self.handle) as link:
                self._link = link
                ended = asyncio.ensure_future(link.ended())
                try:
                    # On every connect: a broker that was killed has forgotten them.
                    await link.subscribe(self._filters)
                    if not await self._first_echo(ended):
                        raise LinkLost("no echo of our own came back")
                    self._last_sign = clock.now()
                    self._observer.restored(VIA)
                    restored = self.connected = True
                    self.connections += 1
                    log.info("mqtt_connected", host=self._settings.host, port=self._settings.port)
                    await ended
                    raise LinkLost("the connection ended")
                finally:
                    ended.cancel()
                    await asyncio.gather(ended, return_exceptions=True)
        finally:
            self._link = None
            self.connected = False
            if restored or self._last_sign is not None:
                # Also where beats that the broker kept came in before our echo did: they restored it.
                self._observer.lost(VIA, self._last_sign)
                self._last_sign = None

    async def _first_echo(self, ended: asyncio.Future[None]) -> bool:
        """An echo, unless the connection ends first: then its own reason is raised."""
        echo = asyncio.ensure_future(self.echo(ANSWER_S))
        try:
            await asyncio.wait((echo, ended), return_when=asyncio.FIRST_COMPLETED)
            if not echo.done():
                await ended
            return await echo
        finally:
            echo.cancel()
            await asyncio.gather(echo, return_exceptions=True)

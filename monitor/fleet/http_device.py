"""A simulated device that beats over HTTP with a bearer token (docs/interfaces.md, HTTP)."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import aiohttp

from monitor.clock import Clock
from monitor.fleet.device import Device
from monitor.fleet.heart import Heart, encode
from monitor.fleet.script import Behaviour

LIMIT = aiohttp.ClientTimeout(total=5)

_LOG = logging.getLogger(__name__)


class HttpDevice(Device):
    """Posts to `{base}/api/v1/heartbeats`. A beat that fails is lost, as on a real device."""

    def __init__(
        self,
        heart: Heart,
        behaviour: Behaviour,
        clock: Clock,
        tally: Counter[str],
        session: aiohttp.ClientSession,
        base: str,
        token: str,
    ) -> None:
        super().__init__(heart, behaviour, clock, tally)
        self._session = session
        self._url = f"{base}/api/v1/heartbeats"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._address = {"site": heart.site, "terminal": heart.terminal}

    async def run(self) -> None:
        """Beat until closed or cancelled."""
        await self.beat_on()

    def compose(self, beat: dict[str, Any]) -> bytes:
        return encode({**self._address, **beat})

    async def send(self, payload: bytes) -> None:
        await self._post(payload)

    async def send_goodbye(self) -> None:
        await self._post(encode({**self._address, "status": "off"}))
        self.tally["goodbyes"] += 1

    async def send_kept(self, beats: list[dict[str, Any]]) -> None:
        await self._post(encode([{**self._address, **beat} for beat in beats]), len(beats))

    async def _post(self, body: bytes, beats: int = 1) -> None:
        # Twice: a connection that idled may have been closed by the server in this very moment.
        for attempt in (1, 2):
            try:
                async with self._session.post(self._url, data=body, headers=self._headers, timeout=LIMIT) as response:
                    self.tally["sent" if response.status < 400 else "refused"] += beats
                    return
            except aiohttp.ServerDisconnectedError:
                continue
            except (aiohttp.ClientError, TimeoutError) as error:
                _LOG.debug("beat lost: %s: %s (attempt %d)", self._address, error, attempt)
                break
        self.tally["unsent"] += beats

"""`POST /alertmanager`: Alertmanager's webhook (its JSON, version 4). Answered 200 once nothing can be lost any more.

5xx: Alertmanager tries again. The bearer is looked at before the body is read; the token stands in a file, and a new
one holds at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from hmac import compare_digest
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
from aiohttp import web

from monitor.clock import from_datetime
from monitor.core.alerts import FIRING, LONGEST, RESOLVED, Alert
from monitor.errors import MonitorError
from monitor.intake.http import error
from monitor.intake.limits import RateLimit

log = structlog.get_logger()

#: Bytes of a body: 219 villages at a kilobyte each, four times over. Seconds for it to come in. Alerts in it.
LARGEST, BODY_S, MOST = 1024 * 1024, 10.0, 5000
#: Wrong tokens of one address: a second, and at once.
GUESSES_PER_S, GUESSES_BURST = 1.0, 10.0

Take = Callable[[str, Sequence[Alert]], Awaitable[None]]
_Text = Annotated[str, msgspec.Meta(max_length=4096)]
_Pairs = Annotated[dict[_Text, _Text], msgspec.Meta(max_length=64)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class _Alert(msgspec.Struct, rename="camel"):
    status: str
    labels: _Pairs
    annotations: _Pairs
    starts_at: _Moment
    ends_at: _Moment
    fingerprint: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,64}$")]


class _Notification(msgspec.Struct):
    receiver: Annotated[str, msgspec.Meta(max_length=200)]
    alerts: Annotated[list[_Alert], msgspec.Meta(max_length=MOST)]


_DECODER = msgspec.json.Decoder(_Notification)


def parse(body: bytes) -> tuple[str, list[Alert]]:
    """Which receiver is told, and of what. Raises msgspec.MsgspecError (a ValueError) for anything else."""
    said = _DECODER.decode(body)
    return said.receiver, [
        Alert(
            a.fingerprint,
            RESOLVED if a.status == RESOLVED else FIRING,
            from_datetime(a.starts_at),
            from_datetime(a.ends_at) if a.status == RESOLVED else None,
            _short(a.labels),
            _short(a.annotations),
        )
        for a in said.alerts
    ]


def _short(pairs: Mapping[str, str]) -> dict[str, str]:
    return {name[:LONGEST]: value[:LONGEST].replace("\0", "") for name, value in pairs.items()}


def _try_again(why: str) -> web.Response:
    """5xx is what Alertmanager tries again after."""
    said = {"error": {"code": "unavailable", "message": why, "details": {}}}
    return web.json_response(said, status=503, headers={"Retry-After": "10"})


class AlertmanagerIntake:
    """`take` None: alerts go nowhere from here, and Alertmanager is told so."""

    def __init__(self, token_file: str, take: Take | None) -> None:
        self._token_file = token_file
        self._take = take
        self._guesses = RateLimit(per_s=GUESSES_PER_S, burst=GUESSES_BURST)

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/alertmanager", self.alerts)

    async def alerts(self, request: web.Request) -> web.Response:
        if self._take is None:
            return _try_again("no [alerts] in monitor.toml: nobody is told")
        try:
            token = (await asyncio.to_thread(Path(self._token_file).read_bytes)).strip()
        except OSError as failure:
            log.error("alertmanager.no_token", file=self._token_file, error=failure.strerror)
            return _try_again("the token's file cannot be read")
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        said = given.strip().encode("utf-8", "surrogateescape")
        if not token or scheme.lower() != "bearer" or not compare_digest(said, token):
            if not self._guesses.allow(request.remote, asyncio.get_running_loop().time()):
                return error("rate_limited", "too many wrong tokens from this address")
            return error("unauthorized", "expected `Authorization: Bearer` with the token of [alerts] token_file")
        try:
            async with asyncio.timeout(BODY_S):
                body = await self._body(request)
        except TimeoutError:
            return error("too_slow", f"the body did not come within {BODY_S:g} s")
        if body is None:
            return error("too_large", f"a body has at most {LARGEST} bytes")
        try:
            receiver, alerts = parse(body)
        except (msgspec.MsgspecError, ValueError) as mistake:
            log.warning("alertmanager.malformed", error=str(mistake)[:200])
            return error("malformed", str(mistake)[:200])
        try:
            await self._take(receiver, alerts)
        except MonitorError as failure:
            return _try_again(str(failure))
        return web.json_response({"taken": len(alerts)})

    @staticmethod
    async def _body(request: web.Request) -> bytes | None:
        body = bytearray()
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > LARGEST:
                return None
        return bytes(body)

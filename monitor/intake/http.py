"""Beats over HTTP: `POST /api/v1/heartbeats` (docs/interfaces.md, HTTP). Pings of other conventions: pings.py.

    HttpIntake(observer, tokens).add_to(app)

The bearer is looked at before the body is read, and each object is taken or refused by itself.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from monitor.errors import Refused
from monitor.intake.door import OUR_TROUBLE, Door
from monitor.intake.limits import BEATS_BURST, BEATS_PER_S, RateLimit
from monitor.intake.payload import MAX_BATCH, Item, parse_item, split_batch
from monitor.intake.pings import Pings
from monitor.intake.tokens import Token, Tokens

_Bytes = TypeVar("_Bytes", bytes, bytearray)

VIA = "http"
#: Seconds in which a body must have come in whole.
BODY_S = 10.0
#: Wrong tokens of one address: a second, and at once.
GUESSES_PER_S = 1.0
GUESSES_BURST = 60.0
#: Refused objects that an answer lists; it counts all of them.
MAX_LISTED = 100

#: What the caller did wrong, for a batch of which nothing was taken.
STATUS = {
    "malformed": 400,
    "too_large": 413,
    "unauthorized": 401,
    "forbidden": 403,
    "unsupported": 415,
    "too_slow": 408,
    "rate_limited": 429,
    **dict.fromkeys(OUR_TROUBLE, 503),
}


def error(reason: str, message: str, details: Any = None) -> web.Response:
    """An error as all of /api answers it; the status follows from the reason, 422 where no other fits."""
    headers = {"unauthorized": {"WWW-Authenticate": "Bearer"}, "rate_limited": {"Retry-After": "10"}}
    headers |= {ours: {"Retry-After": "60"} for ours in OUR_TROUBLE}
    return web.json_response(
        {"error": {"code": reason, "message": message, "details": details or {}}},
        status=STATUS.get(reason, 422),
        headers=headers.get(reason),
    )


class HttpIntake:
    """The channel `http`. Every refusal is counted with the observer, by reason."""

    def __init__(self, observer: Door, tokens: Tokens, *, body_s: float = BODY_S) -> None:
        self._observer = observer
        self._tokens = tokens
        self._body_s = body_s
        self._beats = RateLimit(per_s=BEATS_PER_S, burst=BEATS_BURST)
        self._guesses = RateLimit(per_s=GUESSES_PER_S, burst=GUESSES_BURST)

    def add_to(self, app: web.Application) -> None:
        app.router.add_post("/api/v1/heartbeats", self.heartbeats)
        Pings(self._observer, self._tokens, beats=self._beats, guesses=self._guesses).add_to(app)

    async def heartbeats(self, request: web.Request) -> web.Response:
        """202 `{"accepted", "refused": [{"index", "reason", "message"}]}`; an error if nothing was taken."""
        try:
            token = self._bearer(request)
            items = split_batch(await self._body(request))
        except Refused as refused:
            self._observer.refuse(VIA, refused.reason)
            return error(refused.reason, str(refused))
        refusals: list[dict[str, Any]] = []
        for index, data in enumerate(items):
            reason, message = self._take(token, data)
            if reason:
                refusals.append({"index": index, "reason": reason, "message": message})
        accepted = len(items) - len(refusals)
        details = {"accepted": accepted, "refused": refusals[:MAX_LISTED], "refused_total": len(refusals)}
        if accepted:
            return web.Response(body=msgspec.json.encode(details), content_type="application/json", status=202)
        reasons = {str(r["reason"]) for r in refusals}
        common = reasons.pop() if len(reasons) == 1 else "refused"
        return error(common, f"nothing was accepted: {refusals[0]['message']}", details)

    def _bearer(self, request: web.Request) -> Token:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        token = self._tokens.bearer(bearer.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            if not self._guesses.allow(request.remote, self._now_s()):
                raise Refused("rate_limited", "too many wrong tokens from this address")
            raise Refused("unauthorized", "expected `Authorization: Bearer` with a device's or relay's token")
        return token

    async def _body(self, request: web.Request) -> bytes:
        """All of it, within size and time. Compressed ones are refused: who knows what they unfold to?"""
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refused("unsupported", "a body must not be compressed")
        if (request.content_length or 0) > MAX_BATCH:
            raise Refused("too_large", f"a body has at most {MAX_BATCH} bytes")
        if request.content.is_eof():  # it came with the header: nothing to wait for
            return self._small_enough(request.content.read_nowait())
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_s):
                async for chunk in request.content.iter_any():
                    body += chunk
                    self._small_enough(body)
        except ConnectionError:
            raise Refused("malformed", "the connection ended in the middle of the body") from None
        except TimeoutError:
            raise Refused("too_slow", f"the body did not come within {self._body_s:g} s") from None
        return bytes(body)

    @staticmethod
    def _small_enough(body: _Bytes) -> _Bytes:
        if len(body) > MAX_BATCH:
            raise Refused("too_large", f"a body has at most {MAX_BATCH} bytes")
        return body

    def _take(self, token: Token, data: Any) -> tuple[str, str]:
        """One object: two empty texts where it was accepted, else the reason and a line for a person."""
        try:
            item = parse_item(data)
            if (item.site, item.terminal) not in token.terminals:
                raise Refused("forbidden", f"the token does not speak for {item.site}/{item.terminal}")
            if not self._beats.allow((item.site, item.terminal), self._now_s()):
                raise Refused("rate_limited", f"more than {BEATS_PER_S:g} beats a second")
        except Refused as refused:
            self._observer.refuse(VIA, refused.reason)
            return refused.reason, str(refused)
        # The observer counts what it refuses itself.
        reason = self._hand_over(item) or ""
        return reason, reason.replace("_", " ")

    def _hand_over(self, item: Item) -> str | None:
        if item.status in ("off", "offline"):
            return self._observer.will(item.site, item.terminal, VIA, goodbye=item.status == "off")
        beat = item.beat
        return self._observer.heartbeat(
            item.site,
            item.terminal,
            VIA,
            sent_at=beat.sent_at,
            boot=beat.boot,
            seq=beat.seq,
            services=beat.services,
        )

    def _now_s(self) -> float:
        return self._observer.clock.now() / 1000

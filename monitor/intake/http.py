"""Beats over HTTP: `POST /api/v1/heartbeats` (docs/interfaces.md, HTTP). Pings of other conventions: pings.py.

    HttpIntake(observer, tokens).add_to(app)

The bearer is looked at before the body is read, and each object is taken or refused by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from monitor.errors import Refused
from monitor.intake.door import OUR_TROUBLE, Door
from monitor.intake.limits import BEATS_BURST, BEATS_PER_S, RateLimit
from monitor.intake.payload import MAX_BATCH, Item, parse_batch
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


def _refusal(index: int, reason: str, message: str) -> dict[str, Any]:
    """An object that was refused, as answers list it."""
    return {"index": index, "reason": reason, "message": message}


#: The answer to most requests.
_ONE_TAKEN = msgspec.json.encode({"accepted": 1, "refused": [], "refused_total": 0})


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
            items = parse_batch(await self._body(request))
        except Refused as refused:
            self._observer.refuse(VIA, refused.reason)
            return error(refused.reason, str(refused))
        refusals = self._take(token, items)
        if not refusals and len(items) == 1:
            return web.Response(body=_ONE_TAKEN, content_type="application/json", status=202)
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

    def _take(self, token: Token, items: Sequence[Item | Refused]) -> list[dict[str, Any]]:
        """Each object by itself; those that were refused, with the reason and a line for a person."""
        refusals: list[dict[str, Any]] = []
        now_s, terminals, allow = self._now_s(), token.terminals, self._beats.allow
        beats: list[Item] = []  # handed over together
        places: list[int] = []
        for index, item in enumerate(items):
            if isinstance(item, Refused):
                refused = item
            elif (device := (item.site, item.terminal)) not in terminals:
                refused = Refused("forbidden", f"the token does not speak for {item.site}/{item.terminal}")
            elif not allow(device, now_s):
                refused = Refused("rate_limited", f"more than {BEATS_PER_S:g} beats a second")
            elif item.status is None or item.status == "online":
                beats.append(item)
                places.append(index)
                continue
            else:
                self._hand_over(beats, places, refusals)  # a goodbye comes after the beats before it
                beats, places = [], []
                goodbye = item.status == "off"
                reason = self._observer.will(item.site, item.terminal, VIA, goodbye=goodbye)
                if reason is not None:
                    refusals.append(_refusal(index, reason, reason.replace("_", " ")))
                continue
            self._observer.refuse(VIA, refused.reason)
            refusals.append(_refusal(index, refused.reason, str(refused)))
        self._hand_over(beats, places, refusals)
        if len(refusals) > 1:
            refusals.sort(key=itemgetter("index"))
        return refusals

    def _hand_over(self, beats: list[Item], places: list[int], refusals: list[dict[str, Any]]) -> None:
        if not beats:
            return
        for place, reason in zip(places, self._observer.heartbeats(VIA, beats), strict=True):
            if reason is not None:  # counted by the observer
                refusals.append(_refusal(place, reason, reason.replace("_", " ")))

    def _now_s(self) -> float:
        return self._observer.clock.now() / 1000

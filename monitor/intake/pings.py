"""Pings by a token in the path, so that clients of others work unchanged (docs/interfaces.md, HTTP).

healthchecks: `/ping/{token}` is a beat, and so are `/start` (who starts is alive) and `/0`; `/fail` and any
other exit code are a goodbye; `/log` says nothing of the device's state: it only shows that the channel
works. Uptime Kuma: `/api/push/{token}` with `status=up` (the default, as there) is a beat, any other status a
goodbye.
"""

from __future__ import annotations

from aiohttp import web

from monitor.intake.door import OUR_TROUBLE, Door
from monitor.intake.limits import RateLimit
from monitor.intake.tokens import Tokens

VIA = "http"
_OK = 200


class Pings:
    """Routes of both conventions. A ping token is good for nothing else, and no other is good for a ping."""

    def __init__(self, observer: Door, tokens: Tokens, *, beats: RateLimit, guesses: RateLimit) -> None:
        self._observer = observer
        self._tokens = tokens
        self._beats = beats
        self._guesses = guesses

    def add_to(self, app: web.Application) -> None:
        for path in ("/ping/{token}", "/ping/{token}/{signal:start|fail|log|[0-9]{1,3}}"):
            app.router.add_get(path, self.ping)  # and HEAD
            app.router.add_post(path, self.ping)
        app.router.add_get("/api/push/{token}", self.push)

    async def ping(self, request: web.Request) -> web.Response:
        """healthchecks. A body (its log) is left unread."""
        signal = request.match_info.get("signal", "start")
        if signal.isdigit() and int(signal) > 255:
            self._observer.refuse(VIA, "malformed")
            return web.Response(text="invalid url format", status=400)
        status = self._signal(request, goodbye=signal not in ("start", "log") and signal.lstrip("0") != "")
        text = {_OK: "OK", 404: "not found", 429: "rate limited", 503: "try again later"}[status]
        return web.Response(text=text, status=status, headers=_later(status))

    async def push(self, request: web.Request) -> web.Response:
        """Uptime Kuma. `msg` and `ping` are its own and ignored."""
        status = self._signal(request, goodbye=request.query.get("status", "up") != "up")
        if status == _OK:
            return web.json_response({"ok": True})
        code, message = {
            404: ("unauthorized", "Monitor not found or not active."),
            429: ("rate_limited", "Too frequent."),
            503: ("unavailable", "Try again later."),
        }[status]
        body = {"ok": False, "msg": message, "error": {"code": code, "message": message, "details": {}}}
        return web.json_response(body, status=status, headers=_later(status))

    def _signal(self, request: web.Request, *, goodbye: bool) -> int:
        """Hand it over; the HTTP status: 200, 404 (as healthchecks, if unknown), 429, or 503 for our trouble."""
        observer = self._observer
        now_s = observer.clock.now() / 1000
        token = self._tokens.ping(request.match_info["token"])
        if token is None:
            known = self._guesses.allow(request.remote, now_s)
            observer.refuse(VIA, "unauthorized" if known else "rate_limited")
            return 404 if known else 429
        if request.match_info.get("signal") == "log":
            observer.alive(VIA)
            return _OK
        status = _OK
        for site, terminal in sorted(token.terminals):
            if not self._beats.allow((site, terminal), now_s):
                observer.refuse(VIA, "rate_limited")
                status = 429
                continue
            reason = (
                observer.will(site, terminal, VIA, goodbye=True) if goodbye else observer.heartbeat(site, terminal, VIA)
            )
            if reason is not None:
                status = 503 if reason in OUR_TROUBLE else 404
        return status


def _later(status: int) -> dict[str, str]:
    """When to come again, for those who were turned away for now."""
    return {429: {"Retry-After": "10"}, 503: {"Retry-After": "60"}}.get(status, {})

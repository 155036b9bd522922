"""The HTTP listener: connections per address, slow clients, and access logs without tokens (docs/security.md).

async with listen(app, "127.0.0.1", 8080) as listener:
    print(listener.port)
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import HttpProcessingError

from monitor.intake.limits import RateLimit

#: Connections of one address. A township's gateway may speak for all behind it, so not few.
MAX_PER_ADDRESS = 200
MAX_CONNECTIONS = 2000
#: Seconds until a connection has sent the header of its next request, the first one too.
HEADER_S = 20.0
#: Seconds to read on after an answer that did not wait for the whole body.
LINGER_S = 2.0
#: Seconds that requests get to finish when the service ends.
SHUTDOWN_S = 5.0
#: Bytes of a request line, and of one header.
MAX_LINE = 4096

log = structlog.get_logger()


class RouteAccessLogger(AbstractAccessLogger):
    """Logs the route, never the path: `/ping/{token}`. What has no route may be a mistyped ping."""

    def __init__(self, logger: logging.Logger, log_format: str) -> None:
        super().__init__(logger, log_format)
        self._log = log.bind()  # one a connection: finding a logger takes as long as judging a beat
        self._tells_all = self._log.is_enabled_for(logging.DEBUG)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        # What went well is counted in metrics; a line each would bury what did not.
        if response.status < 400 and not self._tells_all:
            return
        level = logging.DEBUG if response.status < 400 else logging.INFO
        if not self._log.is_enabled_for(level) or (level == logging.INFO and not _refusals.allow()):
            return
        resource = None
        if isinstance(request, web.Request):
            with suppress(AssertionError):  # aiohttp's own: too malformed to have been routed
                resource = request.match_info.route.resource
        self._log.log(
            level,
            "http_request",
            method=request.method if request.method.isascii() else "?",
            route=resource.canonical if resource is not None else "(no route)",
            status=response.status,
            bytes=response.body_length,
            seconds=round(time, 4),
            remote=request.remote,
        )


class _Refusals:
    """Lines on what was refused, so many a second: whoever sends nonsense must not fill our disk with it."""

    def __init__(self) -> None:
        self._limit = RateLimit(per_s=2.0, burst=200.0)
        self._left_out = 0

    def allow(self) -> bool:
        """May a line be written? The next one that may is preceded by how many were not."""
        if not self._limit.allow("", monotonic()):
            self._left_out += 1
            return False
        if self._left_out:
            log.info("http_left_out", lines=self._left_out)
            self._left_out = 0
        return True


_refusals = _Refusals()


class _NoPaths(logging.Filter):
    """aiohttp logs a malformed request with the line that it could not read, which may hold a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            if _refusals.allow():
                log.info("http_malformed", what=type(error).__name__)
            return False
        return True


class _Counting:
    """A protocol factory that hangs up on an address that has too many connections already."""

    def __init__(self, server: web.Server, *, per_address: int, total: int) -> None:
        self._server = server
        self._per_address = per_address
        self._total = total
        self.open: Counter[str] = Counter()
        self.hung_up = 0

    def __call__(self) -> asyncio.Protocol:
        return _Counted(self._server(), self)

    def enter(self, address: str) -> bool:
        if self.open[address] >= self._per_address or self.open.total() >= self._total:
            self.hung_up += 1
            return False
        self.open[address] += 1
        return True

    def leave(self, address: str) -> None:
        self.open[address] -= 1
        if not self.open[address]:
            del self.open[address]


class _Counted(asyncio.Protocol):
    """Stands before aiohttp's own protocol, which hears nothing of a connection that is not admitted."""

    def __init__(self, inner: asyncio.Protocol, counting: _Counting) -> None:
        self._inner = inner
        self._counting = counting
        self._address: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        address = str((transport.get_extra_info("peername") or ("",))[0])
        if not self._counting.enter(address):
            assert isinstance(transport, asyncio.Transport)  # noqa: S101  # for mypy: create_server's is one
            transport.abort()
            return
        self._address = address
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._address is not None:
            self._counting.leave(self._address)
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._address is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._address is not None else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


@dataclass(frozen=True, slots=True)
class Listener:
    """`port`: where it listens, also where 0 was asked for. `counting`: connections now open, by address."""

    port: int
    counting: _Counting


@asynccontextmanager
async def listen(
    app: web.Application,
    host: str,
    port: int,
    *,
    per_address: int = MAX_PER_ADDRESS,
    header_s: float = HEADER_S,
    **more: Any,
) -> AsyncIterator[Listener]:
    """Serve until the block ends. Raises OSError where the address is taken."""
    server_log = logging.getLogger("monitor.http")
    if not any(isinstance(f, _NoPaths) for f in server_log.filters):
        server_log.addFilter(_NoPaths())
    runner = web.AppRunner(
        app,
        access_log_class=RouteAccessLogger,
        logger=server_log,
        keepalive_timeout=header_s,  # aiohttp counts it from the connection's beginning too
        lingering_time=LINGER_S,
        shutdown_timeout=SHUTDOWN_S,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        **more,
    )
    await runner.setup()
    try:
        assert runner.server is not None  # noqa: S101  # for mypy: setup() made it
        counting = _Counting(runner.server, per_address=per_address, total=MAX_CONNECTIONS)
        server = await asyncio.get_running_loop().create_server(counting, host, port, reuse_address=True)
        try:
            yield Listener(server.sockets[0].getsockname()[1], counting)
        finally:
            server.close()
    finally:
        await runner.cleanup()

"""Does a web page answer? 2xx and 3xx do. No redirect is followed: targets come from the inventory alone."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection

from monitor.intake.probes.tools import ProbeResult, own_fault

if TYPE_CHECKING:
    from monitor.intake.probes.tools import Tools


async def probe_http(tools: Tools, target: str, timeout_s: float) -> ProbeResult:
    """`target`: a URL. The body is not read. Raises OSError; the caller keeps the time."""
    try:
        async with tools.session().get(target, allow_redirects=False) as answer:
            return ProbeResult(200 <= answer.status < 400, f"status {answer.status}")
    except (aiohttp.ClientError, ValueError) as error:
        return failed(error)


def failed(error: aiohttp.ClientError | ValueError) -> ProbeResult:
    """What a failure of the client says of the target. Raises it again where it says something of us."""
    if isinstance(error, OSError) and own_fault(error):
        raise error
    # ValueError: what the answer holds is no HTTP, or the target no URL.
    cause = getattr(error, "os_error", error)  # without the names of our objects, which the client adds
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
        text = os.strerror(cause.errno)
    else:
        text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return ProbeResult(False, " ".join(text.split())[:120])


class PeerResponse(aiohttp.ClientResponse):
    """Keeps the peer's certificate (DER): the connection is gone as soon as the answer's end is there."""

    certificate: bytes | None = None

    async def start(self, connection: Connection) -> Self:
        transport = connection.transport
        tls = transport.get_extra_info("ssl_object") if transport is not None else None
        if tls is not None:
            self.certificate = tls.getpeercert(True)
        await super().start(connection)
        return self


def make_session(tools: Tools) -> aiohttp.ClientSession:
    """As many connections as the caller allows, none kept; no cookies; no proxy from the environment."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, resolver=_Resolver(tools), use_dns_cache=False),
        response_class=PeerResponse,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": "zhdj-monitor"},
    )


class _Resolver(AbstractResolver):
    """Names through the threads that are kept for them."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found, (address, _) = await self._tools.resolve(host, port)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=found,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
        ]

    async def close(self) -> None:
        pass

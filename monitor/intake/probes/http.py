"""Does a web page answer? 2xx and 3xx do. No redirect is followed: targets come from the inventory alone."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from monitor.intake.probes.tools import ProbeResult, own_fault

if TYPE_CHECKING:
    from monitor.intake.probes.tools import Tools


async def probe_http(tools: Tools, target: str, timeout_s: float) -> ProbeResult:
    """`target`: a URL. The body is not read. Raises OSError; the caller keeps the time."""
    try:
        async with tools.session().get(target, allow_redirects=False) as answer:
            return ProbeResult(200 <= answer.status < 400, f"status {answer.status}")
    except aiohttp.ClientError as error:
        if isinstance(error, OSError) and own_fault(error):
            raise
        return ProbeResult(False, _text(error))
    except ValueError as error:  # what the answer holds is no HTTP, or the target no URL
        return ProbeResult(False, _text(error))


def make_session(tools: Tools) -> aiohttp.ClientSession:
    """As many connections as the caller allows, none kept; no cookies; no proxy from the environment."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, resolver=_Resolver(tools), use_dns_cache=False),
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


def _text(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:120]

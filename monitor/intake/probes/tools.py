"""What probes share: a result, name lookups, and the sockets that live as long as the service."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from monitor.errors import MonitorError
from monitor.intake.probes.uptimes import Uptimes

if TYPE_CHECKING:
    import aiohttp

    from monitor.intake.probes.icmp import Pinger


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """`detail`: a few words for a person. `certificate_expiry`: ms, where the target showed a certificate."""

    ok: bool
    detail: str = ""
    certificate_expiry: int | None = None


class ProbeUnavailable(MonitorError):
    """We cannot probe at all: says nothing of the target."""


#: The machine's own limits: no answer from a target shows as one of these.
_OWN = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.EADDRNOTAVAIL,
    errno.EPERM,
    errno.EAFNOSUPPORT,
}


def own_fault(error: OSError) -> bool:
    """No file descriptors, memory, ports or name server left, or not allowed to: ours, not the target's."""
    cause = getattr(error, "os_error", error)  # aiohttp wraps it, with its number
    if isinstance(cause, socket.gaierror):
        return cause.errno == socket.EAI_AGAIN
    if isinstance(cause, ssl.SSLError):
        return False  # has numbers of its own: 1 is not EPERM
    return error.errno in _OWN


Address = tuple[socket.AddressFamily, tuple[str, int]]

#: Names kept, and seconds that an answer holds; inventories mostly have addresses.
MAX_NAMES = 10_000
NAME_S = 300.0
#: Lookups at once, in threads of their own: names whose server is dead do not hold up anything else.
LOOKUPS = 16


@lru_cache(maxsize=20_000)
def numeric(host: str) -> tuple[socket.AddressFamily, str] | None:
    """An address written in digits; None for a name. Every round asks for the same ones."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return (socket.AF_INET if address.version == 4 else socket.AF_INET6), str(address)


class Tools:
    """Opened when first needed; `aclose` ends them."""

    def __init__(self) -> None:
        self._names: OrderedDict[tuple[str, int], tuple[float, Address]] = OrderedDict()
        self._threads: ThreadPoolExecutor | None = None
        self._pingers: dict[socket.AddressFamily, Pinger] = {}
        self._session: aiohttp.ClientSession | None = None
        self._tls: dict[bool, ssl.SSLContext] = {}
        self.uptimes = Uptimes()

    async def resolve(self, host: str, port: int = 0) -> Address:
        """The first address of a host. Raises OSError where it has none."""
        if (digits := numeric(host)) is not None:
            return digits[0], (digits[1], port)
        now = time.monotonic()
        known = self._names.get((host, port))
        if known is not None and now - known[0] < NAME_S:
            return known[1]
        if self._threads is None:
            self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
        except UnicodeError:  # a label that no name can have
            raise OSError(errno.EINVAL, f"no such name: {host}") from None
        family, _, _, _, where = found[0]
        answer = (family, (str(where[0]), port))
        self._names[host, port] = (now, answer)
        self._names.move_to_end((host, port))
        if len(self._names) > MAX_NAMES:
            self._names.popitem(last=False)
        return answer

    def pinger(self, family: socket.AddressFamily = socket.AF_INET) -> Pinger:
        """The one socket for all echo requests. Raises ProbeUnavailable, saying what would allow it."""
        known = self._pingers.get(family)
        if known is None:
            from monitor.intake.probes.icmp import Pinger

            known = self._pingers[family] = Pinger(family)
        return known

    def session(self) -> aiohttp.ClientSession:
        """The one HTTP session. Nothing is remembered between targets: no cookies, no connections."""
        from monitor.intake.probes.http import make_session

        if self._session is None:
            self._session = make_session(self)
        return self._session

    async def tls(self, verify: bool) -> ssl.SSLContext:
        """What TLS asks of a certificate. Made in a thread: reading the system's authorities takes a while."""
        from monitor.intake.probes.https import make_context

        if verify not in self._tls:
            self._tls[verify] = await asyncio.to_thread(make_context, verify)
        return self._tls[verify]

    async def aclose(self) -> None:
        for pinger in self._pingers.values():
            pinger.close()
        self._pingers.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._threads is not None:
            # A lookup that hangs is not waited for.
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    async def __aenter__(self) -> Tools:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

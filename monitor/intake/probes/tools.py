"""What probes share: a result, name lookups, and the sockets that live as long as the service."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.errors import MonitorError

if TYPE_CHECKING:
    import aiohttp

    from monitor.intake.probes.icmp import Pinger


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """`detail`: a few words for a person."""

    ok: bool
    detail: str = ""


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
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return error.errno in _OWN


Address = tuple[socket.AddressFamily, tuple[str, int]]

#: Names kept, and seconds that an answer holds; inventories mostly have addresses.
MAX_NAMES = 10_000
NAME_S = 300.0
#: Lookups at once, in threads of their own: names whose server is dead do not hold up anything else.
LOOKUPS = 16


class Tools:
    """Opened when first needed; `aclose` ends them."""

    def __init__(self) -> None:
        self._names: OrderedDict[tuple[str, int], tuple[float, Address]] = OrderedDict()
        self._threads: ThreadPoolExecutor | None = None
        self._pingers: dict[socket.AddressFamily, Pinger] = {}
        self._session: aiohttp.ClientSession | None = None

    async def resolve(self, host: str, port: int = 0) -> Address:
        """The first address of a host. Raises OSError where it has none."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            return (socket.AF_INET if address.version == 4 else socket.AF_INET6), (str(address), port)
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
        from monitor.intake.probes.icmp import Pinger

        if family not in self._pingers:
            self._pingers[family] = Pinger(family)
        return self._pingers[family]

    def session(self) -> aiohttp.ClientSession:
        """The one HTTP session. Nothing is remembered between targets: no cookies, no connections."""
        from monitor.intake.probes.http import make_session

        if self._session is None:
            self._session = make_session(self)
        return self._session

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


def host_and_port(target: str) -> tuple[str, int]:
    """`10.0.0.2:53`, `name:53`, `[::1]:53`. Raises MonitorError for anything else."""
    host, _, port = target.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise MonitorError(f"expected host:port such as 10.0.0.2:80, not {target!r}")
    return host, int(port)

"""Does a machine answer an echo request? One socket and one timer for all targets, and no task for any of them.

An unprivileged datagram socket where the system allows it (net.ipv4.ping_group_range), else a raw one
(CAP_NET_RAW). An answer is ours if sequence and cookie match: on a raw socket everybody's answers arrive, and
some are invented.
"""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic

from monitor.intake.probes.tools import ProbeResult, ProbeUnavailable, Tools, numeric

#: Who hears of a result.
Told = Callable[[ProbeResult], object]
#: On its way: what it carries, whom it asks, who is told.
_Echo = tuple[bytes, str, Told]

_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
_PROTOCOL = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
_HEADER = struct.Struct("!BBHHH")
#: Linux: on a raw socket, a mask of the types that we do not want to hear.
_SOL_RAW, _ICMP_FILTER = 255, 1
#: Bytes: an answer from each of thousands of targets at once.
_BUFFER = 1 << 20
#: Echoes on their way at once: as many as there are sequence numbers.
MAX_PENDING = 65_536
#: Answers handled before the loop gets its turn.
_AT_ONCE = 256
_ANSWERED, _SILENT = ProbeResult(True, "echo"), ProbeResult(False, "no answer in time")

HELP = (
    "this process may not send ICMP: allow its group in net.ipv4.ping_group_range, give it CAP_NET_RAW, "
    "or use tcp checks"
)


async def probe_icmp(tools: Tools, target: str, timeout_s: float) -> ProbeResult:
    """`target`: an address or a name. The caller keeps the time."""
    where = await tools.resolve(target)
    answered: asyncio.Future[ProbeResult] = asyncio.get_running_loop().create_future()
    # Who was cancelled meanwhile is told nothing, and its echo goes with its deadline.
    told: Told = lambda result: None if answered.done() else answered.set_result(result)  # noqa: E731
    tools.pinger(where[0]).ask(where[1][0], timeout_s, told)
    return await answered


def ask_icmp(tools: Tools, target: str, timeout_s: float, told: Told) -> Callable[[], None] | None:
    """Asks whenever it is called, and keeps the time. None for a name, which must be looked up each time."""
    where = numeric(target)
    return partial(tools.pinger(where[0]).ask, where[1], timeout_s, told) if where is not None else None


def allowed() -> bool:
    """Whether this process may send ICMP at all."""
    try:
        _open(socket.AF_INET)[0].close()
    except ProbeUnavailable:
        return False
    return True


class Pinger:
    """One address family's socket. Raises ProbeUnavailable where neither kind of socket is allowed."""

    def __init__(self, family: socket.AddressFamily) -> None:
        self._kind, self._reply = _REQUEST[family], _REPLY[family]
        self._socket, raw = _open(family)
        #: A raw socket for IPv4 wants the checksum from us, and gives the IP header, too.
        self._sums = raw and family == socket.AF_INET
        self._socket.setblocking(False)
        self._identity = os.getpid() & 0xFFFF
        self._words = (self._kind << 8) + self._identity
        self._bodies = _bodies()
        self._sequence = 0
        self._pending: dict[int, _Echo] = {}
        #: By time limit, in order of their deadlines; those that were answered are still among them.
        self._limits: dict[float, deque[tuple[float, int, _Echo]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = math.inf
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    def ask(self, address: str, timeout_s: float, told: Told) -> None:
        """Send an echo request; `told` hears once whether it was answered in time. Raises OSError if it is not sent."""
        pending = self._pending
        if len(pending) >= MAX_PENDING:
            raise ProbeUnavailable("icmp: too many echoes on their way")
        sequence = self._sequence
        while sequence in pending:
            sequence = (sequence + 1) & 0xFFFF
        self._sequence = (sequence + 1) & 0xFFFF
        body = next(self._bodies)
        # A sum of 16-bit words does not mind which of them stand together.
        summed = checksum(self._words + sequence + int.from_bytes(body, "big"))
        packet = _HEADER.pack(self._kind, 0, summed, self._identity, sequence) + body
        try:
            self._socket.sendto(packet, (address, 0))
        except BlockingIOError:
            raise ProbeUnavailable("icmp: the socket is full") from None
        echo = pending[sequence] = (body, address, told)
        deadline = monotonic() + timeout_s
        limit = self._limits.get(timeout_s)
        if limit is None:
            limit = self._limits[timeout_s] = deque()
        limit.append((deadline, sequence, echo))
        if deadline < self._wakes_at:
            self._wake_at(deadline)

    def close(self) -> None:
        """Nobody hears of what is still on its way."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self._timer is not None:
            self._timer.cancel()
        self._pending.clear()

    def _wake_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = when
        self._timer = self._loop.call_later(when - monotonic(), self._expire)

    def _expire(self) -> None:
        """Tell whose time is over, and sleep until the next one's is."""
        self._timer, self._wakes_at = None, math.inf
        now = monotonic()
        following = math.inf
        for timeout_s, limit in list(self._limits.items()):
            while limit and (limit[0][0] <= now or self._pending.get(limit[0][1]) is not limit[0][2]):
                _, sequence, echo = limit.popleft()
                if self._pending.get(sequence) is echo:
                    del self._pending[sequence]
                    echo[2](_SILENT)
            if limit:
                following = min(following, limit[0][0])
            else:
                del self._limits[timeout_s]
        # Those who were just told may have asked again, and have set the timer for that.
        if following < self._wakes_at:
            self._wake_at(following)

    def _readable(self) -> None:
        receive = self._socket.recvfrom
        for _ in range(_AT_ONCE):
            try:
                packet, sender = receive(2048)
            except BlockingIOError:
                return
            except OSError:
                continue  # an error of some target, reported on the socket of all
            self._answer(packet, sender[0])

    def _answer(self, packet: bytes, sender: str) -> None:
        at = (packet[0] & 0x0F) * 4 if self._sums and packet else 0
        if len(packet) < at + _HEADER.size or packet[at] != self._reply:
            return
        sequence = packet[at + 6] << 8 | packet[at + 7]
        echo = self._pending.get(sequence)
        if echo is None:
            return
        body, address, told = echo
        # A link-local sender carries its interface: fe80::1%eth0.
        if packet[at + _HEADER.size :] == body and (sender == address or sender.partition("%")[0] == address):
            del self._pending[sequence]
            told(_ANSWERED)


def _open(family: socket.AddressFamily) -> tuple[socket.socket, bool]:
    """The socket, and whether it is a raw one."""
    protocol = _PROTOCOL[family]
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError:
            continue
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        raw = kind == socket.SOCK_RAW
        if raw and family == socket.AF_INET:
            sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("I", 0xFFFF_FFFF & ~(1 << _REPLY[family])))
        return sock, raw
    raise ProbeUnavailable(HELP)


def _bodies() -> Iterator[bytes]:
    """16 bytes that nobody can guess, for ever: drawn many at a time, since drawing takes as long as sending."""
    while True:
        drawn = secrets.token_bytes(4096)
        for i in range(0, len(drawn), 16):
            yield drawn[i : i + 16]


def checksum(words: int) -> int:
    """RFC 1071, of a number whose digits to the base 65536 are the words, or of a sum of such numbers; not zero. To add
    words, and their carries, is to count modulo 65535."""
    return ~(words % 0xFFFF or 0xFFFF) & 0xFFFF

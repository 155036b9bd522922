"""Does a machine answer an echo request? One socket for all targets; 702 of them take some milliseconds.

An unprivileged datagram socket where the system allows it (net.ipv4.ping_group_range), else a raw one
(CAP_NET_RAW). An answer is ours if sequence and cookie match: on a raw socket everybody's answers arrive, and
some are invented.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import struct

from monitor.intake.probes.tools import Address, ProbeResult, ProbeUnavailable, Tools

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

HELP = (
    "this process may not send ICMP: allow its group in net.ipv4.ping_group_range, give it CAP_NET_RAW, "
    "or use tcp checks"
)


async def probe_icmp(tools: Tools, target: str, timeout_s: float) -> ProbeResult:
    """`target`: an address or a name. The caller keeps the time."""
    family, address = await tools.resolve(target)
    await tools.pinger(family).echo((family, address))
    return ProbeResult(True, "echo")


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
        self._family = family
        self._socket, self._raw = _open(family)
        self._socket.setblocking(False)
        self._identity = os.getpid() & 0xFFFF
        self._cookie = secrets.token_bytes(8)
        self._sequence = 0
        self._pending: dict[int, tuple[bytes, str, asyncio.Future[None]]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    async def echo(self, where: Address) -> None:
        """Returns when the target answered; for ever otherwise. Raises OSError where nothing can be sent."""
        if len(self._pending) >= MAX_PENDING:
            raise ProbeUnavailable("icmp: too many echoes on their way")
        while self._sequence in self._pending:
            self._sequence = (self._sequence + 1) & 0xFFFF
        sequence = self._sequence
        self._sequence = (sequence + 1) & 0xFFFF
        body = self._cookie + secrets.token_bytes(8)
        answered: asyncio.Future[None] = self._loop.create_future()
        self._pending[sequence] = (body, where[1][0], answered)
        try:
            self._send(sequence, body, where)
            await answered
        finally:
            del self._pending[sequence]

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for _, _, answered in self._pending.values():
            answered.cancel()

    def _send(self, sequence: int, body: bytes, where: Address) -> None:
        kind = _REQUEST[self._family]
        packet = _HEADER.pack(kind, 0, 0, self._identity, sequence) + body
        # The kernel fills it in for IPv6 and for datagram sockets.
        packet = _HEADER.pack(kind, 0, _checksum(packet), self._identity, sequence) + body
        try:
            self._socket.sendto(packet, (where[1][0], 0))
        except BlockingIOError:
            raise ProbeUnavailable("icmp: the socket is full") from None

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                packet, sender = self._socket.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:
                continue  # an error of some target, reported on the socket of all
            self._answer(packet, str(sender[0]))

    def _answer(self, packet: bytes, sender: str) -> None:
        if self._raw and self._family == socket.AF_INET and packet:
            packet = packet[(packet[0] & 0x0F) * 4 :]  # the IP header
        if len(packet) < _HEADER.size or packet[0] != _REPLY[self._family]:
            return
        sequence = _HEADER.unpack_from(packet)[4]
        pending = self._pending.get(sequence)
        if pending is None:
            return
        body, address, answered = pending
        # A link-local sender carries its interface: fe80::1%eth0.
        if packet[_HEADER.size :] == body and sender.partition("%")[0] == address and not answered.done():
            answered.set_result(None)


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


def _checksum(packet: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF

"""Devices to probe: Debian's SNMP agent, a SIP phone (sipp), and a peer on UDP that answers as the test says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.services import HOST, Service, program

#: Answers each OPTIONS with 200, for as long as it runs.
_PHONE = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="answers OPTIONS">
  <recv request="OPTIONS"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Allow: INVITE, ACK, BYE, OPTIONS
Content-Length: 0

  ]]></send>
</scenario>
"""


def free_udp_port() -> int:
    """A UDP port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _is_bound(port: int) -> bool:
    """Whether somebody has this UDP port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


class Snmpd(Service):
    """Net-SNMP's agent. `view`: the part of the tree that the community `readonly` may see."""

    name = "snmpd"

    def __init__(self, folder: Path, *, view: str = ".1") -> None:
        super().__init__(folder, port=free_udp_port())
        self.config = self.folder / "snmpd.conf"
        self.config.write_text(f"agentAddress udp:{HOST}:{self.port}\nrocommunity readonly {HOST} {view}\n")

    def command(self) -> Sequence[str]:
        # Nothing of the machine: no MIB files, no configuration or state but its own.
        own = [f"SNMP_PERSISTENT_DIR={self.folder / 'state'}", f"SNMPCONFPATH={self.folder}", "MIBS="]
        agent = [program("snmpd"), "-f", "-Lo", "-C", "-c", str(self.config)]
        return [program("env"), *own, *agent]

    def ready(self) -> bool:
        return _is_bound(self.port)


class Phone(Service):
    """A meeting terminal, as far as OPTIONS go."""

    name = "sipp"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, port=free_udp_port())
        self.scenario = self.folder / "phone.xml"
        self.scenario.write_text(_PHONE)

    def command(self) -> Sequence[str]:
        return [program("sipp"), "-sf", str(self.scenario), "-i", HOST, "-p", str(self.port), "-nostdin"]

    def ready(self) -> bool:
        return _is_bound(self.port)


class Peer(asyncio.DatagramProtocol):
    """Answers each datagram with what `answer` makes of it (and of its number, from 0)."""

    def __init__(self, answer: Callable[[bytes, int], Iterable[bytes]]) -> None:
        self._answer = answer
        self._transport: Any = None
        self.got: list[bytes] = []
        self.at: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.got.append(data)
        self.at.append(asyncio.get_running_loop().time())
        for answer in self._answer(data, len(self.got) - 1):
            self._transport.sendto(answer, addr)

    @property
    def port(self) -> int:
        return int(self._transport.get_extra_info("sockname")[1])


@asynccontextmanager
async def peer(answer: Callable[[bytes, int], Iterable[bytes]]) -> AsyncIterator[Peer]:
    """A peer on a free UDP port."""
    transport, made = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Peer(answer), local_addr=(HOST, 0)
    )
    try:
        yield made
    finally:
        transport.close()

"""Does something listen? Connects and hangs up."""

from __future__ import annotations

import asyncio
import socket

from monitor.intake.probes.tools import ProbeResult, Tools
from monitor.inventory.targets import host_and_port


async def probe_tcp(tools: Tools, target: str, timeout_s: float) -> ProbeResult:
    """`target`: host:port. Raises OSError where nobody listens; the caller keeps the time."""
    host, port = host_and_port(target)
    family, address = await tools.resolve(host, port)
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    return ProbeResult(True, "connected")

"""What probes are pointed at: fixtures that tests import by name."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from monitor.intake.probes import Tools
from tests.services import HOST


@pytest.fixture
async def tools() -> AsyncIterator[Tools]:
    async with Tools() as made:
        yield made


@pytest.fixture
async def listening() -> AsyncIterator[int]:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang_up, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def silent() -> AsyncIterator[int]:
    """A port whose queue of connections is full: one more is not even answered, as by a dead machine."""
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen(0)
        port = server.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((HOST, port))
            fillers.append(filler)
        yield port
        for filler in fillers:
            filler.close()

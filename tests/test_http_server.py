"""The HTTP listener: slow clients, too many connections, and logs without tokens."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress

import pytest
import structlog
from aiohttp import web

from monitor.intake.http_server import listen
from tests.http_client import BEATS, running
from tests.recorder import Recorder
from tests.services import HOST, wait_for_async


async def test_no_log_shows_a_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logged:
        async with running(Recorder()) as intake:
            await intake.ask("GET", "/ping/ping-s1-pc/fail")
            await intake.ask("GET", "/ping/ping-s1-pc/typo")
            await intake.ask("GET", "/api/push/ping-s1-pc")
            await intake.post("of-s1-pc", {"site": "s1", "terminal": "pc"})
            for raw in (b"GET /ping/ping-s1-pc HTTP/9\r\n\r\n", b"GET /ping/ping-s1-pc\x00 HTTP/1.1\r\n\r\n"):
                reader, writer = await asyncio.open_connection(HOST, intake.listener.port)
                writer.write(raw)
                async with asyncio.timeout(5):
                    await reader.read()
                writer.close()
    routes = [entry["route"] for entry in logged if entry["event"] == "http_request"]
    assert "/ping/{token}/{signal}" in routes
    assert "/api/push/{token}" in routes
    assert "(no route)" in routes
    assert "s1-pc" not in str(logged)
    assert "s1-pc" not in caplog.text
    assert any(entry["event"] == "http_malformed" for entry in logged)


async def closed(reader: asyncio.StreamReader, limit_s: float = 8.0) -> bytes:
    """What comes until the other side hangs up."""
    async with asyncio.timeout(limit_s):
        with suppress(ConnectionResetError):
            return await reader.read()
    return b""


@pytest.mark.parametrize("sent", [b"", b"GET /ping/x HTTP/1.1\r\nX: ", b"POST /ping/x HTTP/1.1\r\n"])
async def test_slow_headers_are_not_waited_for(sent: bytes) -> None:
    async with running(Recorder(), header_s=0.3) as intake:
        reader, writer = await asyncio.open_connection(HOST, intake.listener.port)
        writer.write(sent)
        assert await closed(reader) == b""
        writer.close()


async def test_slow_bodies_are_not_waited_for() -> None:
    async with running(Recorder(), body_s=0.2) as intake:
        reader, writer = await asyncio.open_connection(HOST, intake.listener.port)
        writer.write(
            f"POST {BEATS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer of-s1-pc\r\n"
            "Content-Length: 100\r\n\r\n{".encode()
        )
        assert b"408" in (await closed(reader)).splitlines()[0]
        writer.close()
        assert intake.recorder.refused == {("http", "too_slow"): 1}


async def test_who_goes_away_in_the_middle_of_a_body_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with structlog.testing.capture_logs() as logged:
        async with running(Recorder()) as intake:
            reader, writer = await asyncio.open_connection(HOST, intake.listener.port)
            head = f"POST {BEATS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer of-s1-pc\r\nContent-Length: 100\r\n"
            writer.write(head.encode() + b"Expect: 100-continue\r\n\r\n")
            async with asyncio.timeout(10):
                assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")  # now the body is being read
            writer.write(b"{")
            writer.close()
            await wait_for_async(lambda: intake.recorder.refused == {("http", "malformed"): 1}, what="the refusal")
    assert "Traceback" not in str(logged) + caplog.text
    assert [entry for entry in logged if entry["log_level"] == "error"] == []


async def test_an_address_has_so_many_connections() -> None:
    async with running(Recorder(), per_address=5) as intake:
        await intake.ask("GET", "/ping/ping-s1-pc")  # one, kept alive
        idle = [await asyncio.open_connection(HOST, intake.listener.port) for _ in range(4)]
        await wait_for_async(lambda: intake.listener.counting.open.total() == 5, what="five connections")
        reader, writer = await asyncio.open_connection(HOST, intake.listener.port)
        assert await closed(reader) == b""
        writer.close()
        assert intake.listener.counting.hung_up == 1
        for _, each in idle:
            each.close()
        await wait_for_async(lambda: intake.listener.counting.open.total() == 1, what="them to be gone")
        assert (await intake.ask("GET", "/ping/ping-s1-pc"))[0] == 200


async def test_an_address_that_is_taken_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            async with listen(web.Application(), HOST, taken.getsockname()[1]):
                pass

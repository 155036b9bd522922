"""Probes: real sockets on loopback, answers that are not ours, and failures that are."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web

from monitor.errors import MonitorError
from monitor.intake import probes
from monitor.intake.probes import (
    ProbeResult,
    ProbeUnavailable,
    Tools,
    check_target,
    icmp,
    probe,
    probe_target,
)
from tests.services import HOST, free_port, wait_for_async
from tests.targets import listening, silent, tools

__all__ = ["listening", "silent", "tools"]


async def test_tcp(tools: Tools, listening: int, silent: int) -> None:
    assert await probe(tools, "tcp", f"{HOST}:{listening}", 5) == ProbeResult(True, "connected")
    assert await probe(tools, "tcp", f"localhost:{listening}", 5) == ProbeResult(True, "connected")
    assert not (await probe(tools, "tcp", f"{HOST}:{free_port()}", 5)).ok
    assert await probe(tools, "tcp", f"{HOST}:{silent}", 0.1) == ProbeResult(False, "no answer in time")


@pytest.mark.parametrize(("status", "ok"), [(200, True), (204, True), (302, True), (404, False), (503, False)])
async def test_http(tools: Tools, status: int, ok: bool) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere", "Set-Cookie": "a=b"})

    app = web.Application()
    app.router.add_get("/{name:.*}", answer)
    async with serving(app) as port:
        result = await probe(tools, "http", f"http://{HOST}:{port}/state", 5)
        assert result == ProbeResult(ok, f"status {status}")
    assert asked == ["/state"]


async def test_http_failures_are_results(tools: Tools, listening: int) -> None:
    assert not (await probe(tools, "http", f"http://{HOST}:{free_port()}/", 5)).ok
    assert await probe(tools, "http", f"http://{HOST}:{listening}/", 0.2) == ProbeResult(False, "no answer in time")
    assert not (await probe(tools, "http", "ftp://x/", 1)).ok


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[int]:
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


needs_icmp = pytest.mark.skipif(not icmp.allowed(), reason="this machine lets nobody send ICMP")


@needs_icmp
async def test_icmp(tools: Tools) -> None:
    assert await probe(tools, "icmp", "127.0.0.1", 5) == ProbeResult(True, "echo")
    results = await asyncio.gather(*(probe(tools, "icmp", f"127.0.1.{i % 250 + 1}", 5) for i in range(702)))
    assert all(r.ok for r in results)


async def test_icmp_says_what_would_allow_it(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: Any) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", forbidden)
    assert not icmp.allowed()
    with pytest.raises(ProbeUnavailable, match=r"ping_group_range.*CAP_NET_RAW"):
        await probe(tools, "icmp", "127.0.0.1", 1)


class FakeSocket:
    """A raw ICMP socket whose network is the test: what is sent can be read, what is put comes in."""

    def __init__(self) -> None:
        self.ours, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.far.setblocking(False)
        self.sender = "10.0.0.1"

    def setblocking(self, on: bool) -> None:
        self.ours.setblocking(on)

    def fileno(self) -> int:
        return self.ours.fileno()

    def sendto(self, data: bytes, where: tuple[str, int]) -> None:
        self.ours.send(data)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        return self.ours.recv(size), (self.sender, 0)

    def close(self) -> None:
        self.ours.close()
        self.far.close()


async def test_only_its_own_answer_counts(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSocket()
    monkeypatch.setattr(icmp, "_open", lambda family: (fake, True))
    echo = asyncio.create_task(probe(tools, "icmp", "10.0.0.1", 5))
    sent = await wait_for_async(lambda: _read(fake.far), what="the request")
    assert sent[:2] == b"\x08\x00"
    assert icmp.checksum(int.from_bytes(sent)) == 0
    ip = b"\x45" + bytes(19)
    answer = b"\x00" + sent[1:]

    async def put(packet: bytes, sender: str = "10.0.0.1") -> None:
        """And wait until the loop has read it."""
        fake.sender = sender
        fake.far.send(packet)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    bad_sequence = answer[:6] + struct.pack("!H", 9) + answer[8:]
    bad_body = answer[:-1] + bytes([answer[-1] ^ 1])
    for packet in (b"", b"\x45", ip, ip + sent, ip + bad_body, ip + bad_sequence, b"\xff" * 100):
        await put(packet)
    await put(ip + answer, sender="10.0.0.2")
    assert not echo.done()
    await put(ip + answer)
    assert await echo == ProbeResult(True, "echo")


def _read(sock: socket.socket) -> bytes:
    with suppress(BlockingIOError):
        return sock.recv(100)
    return b""


async def test_our_own_failure_is_no_result(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_descriptors(*args: Any) -> ProbeResult:
        raise OSError(errno.EMFILE, "Too many open files")

    async def no_name_server(*args: Any) -> ProbeResult:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    for broken in (no_descriptors, no_name_server):
        monkeypatch.setattr(probes, "PROBES", {"tcp": broken})
        with pytest.raises(ProbeUnavailable):
            await probe(tools, "tcp", f"{HOST}:1", 1)


async def test_canaries(tools: Tools, listening: int) -> None:
    assert (await probe_target(tools, f"tcp:{HOST}:{listening}", 5)).ok
    for text in ("", "tcp", "tcp:", "smtp:10.0.0.1", "tcp:10.0.0.1", "tcp:10.0.0.1:x", "icmp:", "http:x"):
        with pytest.raises(MonitorError, match="expected"):
            await probe_target(tools, text, 1)


@pytest.mark.parametrize(
    ("check", "target"),
    [
        ("tcp", "a:1"),
        ("tcp", "[::1]:65535"),
        ("icmp", "10.0.0.1"),
        ("icmp", "fe80::1"),
        ("http", "http://a/b?c"),
        ("https", "https://a:8443/b?c"),
        ("https", "https://[2001:db8::1]/#noverify"),
        ("snmp", "a"),
        ("snmp", "::1"),
        ("snmp", "[::1]"),
        ("snmp", "p@ss!@[::1]:1161"),
        ("sip", "10.0.0.1"),
        ("sip", "10.0.0.1:5062"),
        ("sip", "sip:a"),
        ("sip", "SIP:room1;x=y@[::1]:5062"),
    ],
)
def test_targets_that_are_meant(check: str, target: str) -> None:
    check_target(check, target)


@pytest.mark.parametrize(
    ("check", "target"),
    [
        ("tcp", "::1:80"),
        ("tcp", "a:0"),
        ("tcp", ":1"),
        ("icmp", "a b"),
        ("icmp", ""),
        ("http", "file:///etc"),
        ("http", "a"),
        ("http", "https://a/"),
        ("https", "http://a/"),
        ("https", "https://a/#no-verify"),
        ("https", "https://a/#"),
        ("https", "https://a b/#noverify"),
        ("snmp", ""),
        ("snmp", "@a"),
        ("snmp", "a b@c"),
        ("snmp", "public@a:0"),
        ("snmp", "public@10.0.0.256"),
        ("sip", "sip:"),
        ("sip", "sip:@a"),
        ("sip", "sip:a\r\nVia: x@b"),
        ("sip", "sips:a"),
        ("sip", "room1@a"),
        ("sip", "sip:a;transport=tcp"),
        ("heartbeat-mqtt", "a"),
    ],
)
def test_targets_that_are_not(check: str, target: str) -> None:
    with pytest.raises(MonitorError, match="expected"):
        check_target(check, target)


def test_a_community_is_not_shown() -> None:
    for target in ("s3cret@10.0.0.1:0", "s3cret@", "s3 cret@a"):
        with pytest.raises(MonitorError, match="expected") as raised:
            check_target("snmp", target)
        assert "cret" not in str(raised.value)


@pytest.mark.parametrize(("check", "url"), [("http", "http://name.test/"), ("https", "https://name.test/")])
async def test_a_dead_name_server_is_ours(tools: Tools, monkeypatch: pytest.MonkeyPatch, check: str, url: str) -> None:
    """The HTTP client wraps it; what it means stays the same."""

    def lookup(error: int) -> None:
        def fail(*args: Any, **more: Any) -> Any:
            raise socket.gaierror(error, "as played")

        monkeypatch.setattr(socket, "getaddrinfo", fail)

    lookup(socket.EAI_AGAIN)
    with pytest.raises(ProbeUnavailable):
        await probe(tools, check, url, 5)
    lookup(socket.EAI_NONAME)
    assert not (await probe(tools, check, url, 5)).ok

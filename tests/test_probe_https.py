"""https: a certificate that holds, those that do not, and when each expires."""

from __future__ import annotations

import asyncio
import errno
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from monitor.core.sites import Check
from monitor.intake.poller import Poller
from monitor.intake.probes import ProbeResult, ProbeUnavailable, Tools, probe
from monitor.intake.probes.https import expiry
from tests.certificates import NOW, Authority, Leaf
from tests.recorder import Recorder
from tests.services import HOST, free_port, wait_for_async
from tests.targets import listening, silent, tools

__all__ = ["listening", "silent", "tools"]

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that this process trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.cert))
    return made


async def fine(request: web.Request) -> web.Response:
    return web.Response(text="fine")


@asynccontextmanager
async def serving(leaf: Leaf, answer: Answer = fine, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/{name:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, ssl_context=context or leaf.context()).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_a_certificate_that_holds(tools: Tools, authority: Authority) -> None:
    for host in (HOST, "localhost"):
        leaf = authority.sign(host)
        async with serving(leaf) as port:
            result = await probe(tools, "https", f"https://{host}:{port}/", 5)
            assert result == ProbeResult(True, "status 200", leaf.expiry)


@pytest.mark.parametrize(("status", "ok"), [(204, True), (302, True), (404, False), (503, False)])
async def test_every_status_tells_the_expiry(tools: Tools, authority: Authority, status: int, ok: bool) -> None:
    """An answer without a body is over before one can look at its connection."""
    leaf = authority.sign(HOST)
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with serving(leaf, answer) as port:
        for mark in ("", "#noverify"):
            result = await probe(tools, "https", f"https://{HOST}:{port}/state?x=1{mark}", 5)
            assert result == ProbeResult(ok, f"status {status}", leaf.expiry)
    assert asked == ["/state?x=1"] * 2


@pytest.mark.parametrize(
    ("host", "days", "by_itself", "why"),
    [
        (HOST, -1, False, "certificate has expired"),
        ("10.9.9.9", 9, False, "IP address mismatch"),
        ("elsewhere.test", 9, False, "IP address mismatch"),
        (HOST, 9, True, "self-signed certificate"),
        (HOST, -9, True, "self-signed certificate"),
    ],
)
async def test_a_certificate_that_does_not_hold(
    tools: Tools, authority: Authority, host: str, days: int, by_itself: bool, why: str
) -> None:
    leaf = authority.sign(host, expires=NOW + timedelta(days=days), by_itself=by_itself)
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    async with serving(leaf, answer) as port:
        result = await probe(tools, "https", f"https://{HOST}:{port}/secret", 5)
        assert not result.ok
        assert result.detail.startswith(f"certificate: {why}")
        assert result.certificate_expiry == leaf.expiry
        assert asked == []  # nothing was said to whom we do not trust
        accepted = await probe(tools, "https", f"https://{HOST}:{port}/#noverify", 5)
        assert accepted == ProbeResult(True, "status 200", leaf.expiry)


async def test_an_authority_that_nobody_trusts(tools: Tools, tmp_path: Path) -> None:
    leaf = Authority(tmp_path).sign(HOST)
    async with serving(leaf) as port:
        result = await probe(tools, "https", f"https://{HOST}:{port}/", 5)
        assert (result.ok, result.certificate_expiry) == (False, leaf.expiry)
        assert result.detail == "certificate: unable to get local issuer certificate"


async def test_old_devices_are_taken_without_verification(tools: Tools, authority: Authority) -> None:
    leaf = authority.sign(HOST)
    context = leaf.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    async with serving(leaf, context=context) as port:
        assert not (await probe(tools, "https", f"https://{HOST}:{port}/", 5)).ok
        accepted = await probe(tools, "https", f"https://{HOST}:{port}/#noverify", 5)
        assert accepted == ProbeResult(True, "status 200", leaf.expiry)


async def test_no_tls_and_no_answer(tools: Tools, authority: Authority, listening: int, silent: int) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(plain, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for mark in ("", "#noverify"):
            result = await probe(tools, "https", f"https://{HOST}:{port}/{mark}", 5)
            assert (result.ok, result.certificate_expiry) == (False, None)
            assert result.detail.startswith("TLS: ")
    assert not (await probe(tools, "https", f"https://{HOST}:{free_port()}/", 5)).ok
    for port in (listening, silent):
        late = await probe(tools, "https", f"https://{HOST}:{port}/", 0.2)
        assert late == ProbeResult(False, "no answer in time")


async def test_a_server_that_hangs_after_the_handshake(tools: Tools, authority: Authority) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with serving(authority.sign(HOST), hang) as port:
        result = await probe(tools, "https", f"https://{HOST}:{port}/", 0.5)
        assert result == ProbeResult(False, "no answer in time")


async def test_our_own_failure_is_no_result(tools: Tools, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_descriptors(*args: Any, **more: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", no_descriptors)
    with pytest.raises(ProbeUnavailable):
        await probe(tools, "https", f"https://{HOST}:1/", 5)


def test_what_cannot_be_read_is_not_known(authority: Authority) -> None:
    leaf = authority.sign(HOST)
    der = ssl.PEM_cert_to_DER_cert(leaf.cert.read_text())
    assert expiry(der) == leaf.expiry
    for broken in (None, b"", b"\x30", der[:-1], b"\x00" * 100):
        assert expiry(broken) is None


async def test_the_expiry_reaches_the_door(tools: Tools, authority: Authority) -> None:
    leaf = authority.sign(HOST)
    recorder = Recorder()
    async with serving(leaf) as port:
        check = Check("s", "tv", "https", target=f"https://{HOST}:{port}/", interval_ms=100)
        task = asyncio.create_task(Poller([check], recorder, tools, concurrency=2, timeout_s=5).run())
        await wait_for_async(lambda: recorder.results, what="a result")
        task.cancel()
    assert recorder.results[0][:4] == ("s", "tv", "https", True)
    assert recorder.certificates == {("s", "tv", "https"): leaf.expiry}

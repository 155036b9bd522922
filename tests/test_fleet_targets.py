"""The fleet's HTTP devices against a small server, and its probe targets against real connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from monitor.clock import Clock
from monitor.errors import MonitorError
from monitor.fleet.heart import Heart
from monitor.fleet.http_device import HttpDevice
from monitor.fleet.script import Behaviour, Fault
from monitor.fleet.targets import HttpTarget, TcpTarget, address_of
from tests.services import HOST, wait_for_async
from tests.test_fleet_devices import INTERVAL_MS, TURNS, running


async def test_an_http_device_beats_says_goodbye_and_delivers_late() -> None:
    posted: list[Any] = []
    others: list[Any] = []
    tokens: set[str | None] = set()

    async def take(request: web.Request) -> web.Response:
        tokens.add(request.headers.get("Authorization"))
        said = await request.json()
        (others if isinstance(said, dict) and said["site"] == "V2" else posted).append(said)
        return web.json_response({}, status=202)

    app = web.Application()
    app.router.add_post("/api/v1/heartbeats", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    base = f"http://{HOST}:{runner.addresses[0][1]}"
    tally: Counter[str] = Counter()
    async with aiohttp.ClientSession() as session:
        heart = Heart("V1", "mobile", INTERVAL_MS, Random(1))
        device = HttpDevice(heart, Behaviour.BIRTH, Clock(), tally, session, base, "secret")
        beside = Heart("V2", "mobile", INTERVAL_MS, Random(2))
        other = HttpDevice(beside, Behaviour.PLAIN, Clock(), Counter(), session, base, "secret")

        async def some_turns() -> None:
            """So long is quiet: another device, at the same pace in the same loop, was heard so often."""
            wanted = len(others) + TURNS
            await wait_for_async(lambda: len(others) >= wanted, 20, "the other one's beats")

        async with running(device, other):
            await wait_for_async(lambda: len(posted) >= 3, what="beats")
            device.fail(Fault.GOODBYE)
            goodbye = {"site": "V1", "terminal": "mobile", "status": "off"}
            await wait_for_async(lambda: posted[-1] == goodbye, what="the goodbye")
            await some_turns()
            assert posted[-1] == goodbye
            device.recover()
            await wait_for_async(lambda: posted[-1] != goodbye, what="the birth")
            device.fail(Fault.LATE)
            await some_turns()
            device.recover()
            await wait_for_async(lambda: any(isinstance(p, list) for p in posted), what="the batch")
            await runner.cleanup()
            await wait_for_async(lambda: tally["unsent"], what="a beat to be lost")
    batch = next(p for p in posted if isinstance(p, list))
    assert len(batch) >= 3
    assert all(item["site"] == "V1" and item["sent_at"] for item in batch)
    assert tokens == {"Bearer secret"}


async def refused(port: int) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection("127.77.9.9", port), 2)
    except ConnectionRefusedError:
        return True
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return False


async def test_a_tcp_target_refuses_at_the_moment_it_dies_and_answers_again() -> None:
    tally: Counter[str] = Counter()
    target = TcpTarget("127.77.9.9", 0, tally)
    async with running(target):
        await wait_for_async(lambda: target.listening, 2, "the target")
        for _ in range(20):
            assert not await refused(target.port)
            target.fail(Fault.SILENCE)
            assert await refused(target.port)
            target.recover()
        target.mute(True)
        target.fail(Fault.SILENCE)
        target.mute(False)
        assert await refused(target.port)
        target.mute(True)
        target.recover()
        assert await refused(target.port)
        target.mute(False)
        assert not await refused(target.port)
        with pytest.raises(MonitorError, match=r"cannot listen on 127\.77\.9\.9"):
            await TcpTarget("127.77.9.9", target.port, tally).run()
        # A port that somebody took meanwhile is had as soon as it is free.
        target.fail(Fault.SILENCE)
        other = TcpTarget("127.77.9.9", target.port, tally)
        async with running(other):
            await wait_for_async(lambda: other.listening, 2, "the other")
            target.recover()
            await wait_for_async(lambda: tally["ports_taken"] > 1, 2, "several attempts")
        await wait_for_async(lambda: target.listening, 2, "the target again")
    assert await refused(target.port)


async def test_an_http_target_answers_until_it_dies() -> None:
    target = HttpTarget("127.77.9.9", 0, Counter())
    async with running(target), aiohttp.ClientSession() as session:
        await wait_for_async(lambda: target.listening, 2, "the target")
        url = f"http://127.77.9.9:{target.port}/"
        for _ in range(5):
            async with session.get(url) as response:
                assert (response.status, await response.text()) == (200, "ok\n")
        # Someone who asked nothing does not keep it alive.
        _, writer = await asyncio.open_connection("127.77.9.9", target.port)
        target.fail(Fault.SILENCE)
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)
        writer.close()


def test_addresses_that_can_be_played() -> None:
    assert address_of("127.77.1.5:7000") == ("127.77.1.5", 7000)
    assert address_of("http://127.77.1.5:7001/") == ("127.77.1.5", 7001)
    for wrong in ("10.0.0.1:80", "127.77.1.5", "https://127.77.1.5:1/", "127.77.1.5:x", "::", ""):
        with pytest.raises(MonitorError, match="cannot play"):
            address_of(wrong)

"""Too much at once: a device that floods, slow clients, idle connections, and 702 devices that come back together.

The flooder is limited, others' delay stays bounded, memory too; and nobody is called down because others were loud.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import create_connection, socket

import aiohttp
import aiomqtt
import pytest
from aiohttp import web

from monitor.app import _accepts
from monitor.clock import from_iso
from monitor.intake import http_server
from tests.faults import channels, counted, heard, heard_since_restored, holds, refused, resident_mb
from tests.service_under_test import read_outages
from tests.services import HOST, Mosquitto, free_port, wait_for, wait_for_async
from tests.serving import Serving, beats, devices, issue, write_config

#: Milliseconds from a beat's sending to its place on the board, for 99 of 100, on a machine that does all this beside.
DELAY_MS = 1_000
#: What the service may take more than before, in MB.
MORE_MB = 80.0


def delays(service: Serving, but: set[tuple[str, str]], since: int) -> list[int]:
    """Of every beat later than `since` that those who do not flood said when they sent: ms until it was judged."""
    found = []
    for line in service.lines():
        if line["type"] == "heartbeat" and (line["site"], line["terminal"]) not in but and from_iso(line["at"]) > since:
            sent = line.get("sent_raw") or line.get("sent_at")
            if sent:
                found.append(from_iso(line["at"]) - from_iso(sent))
    return sorted(found)


@pytest.mark.parametrize("rounds", [16, pytest.param(150, marks=pytest.mark.long)])
async def test_who_floods_is_limited_and_others_are_heard(tmp_path: Path, mosquitto: Mosquitto, rounds: int) -> None:
    """V1's pc on MQTT and its mobile on HTTP, each as fast as it can, while 40 others beat every second."""
    villages = [f"V{n}" for n in range(1, 21)]
    checks = [beats(v, "pc", "mqtt") for v in villages] + [beats(v, "mobile", "http") for v in villages]
    config = write_config(tmp_path, http=free_port(), mqtt=mosquitto.port, checks=checks)
    tokens = issue(config, tmp_path / "tokens.json")
    service = Serving(config)
    sent = {"mqtt": 0, "http": 0}
    # Not by cancelling: Python 3.11's wait_for, inside aiomqtt, may swallow that.
    over = asyncio.Event()

    async def on_mqtt() -> None:
        said = b'{"boot": "flood", "seq": 1}'
        async with aiomqtt.Client(HOST, mosquitto.port, identifier="flooder", timeout=5) as client:
            while not over.is_set():
                for _ in range(200):
                    await client.publish("zhdj/v1/V1/pc/heartbeat", said, qos=0)
                    sent["mqtt"] += 1
                await asyncio.sleep(0.02)

    async def on_http() -> None:
        body = json.dumps([{"site": "V1", "terminal": "mobile", "boot": "flood"}] * 500).encode()
        headers = {"Authorization": f"Bearer {tokens['V1/mobile']}"}
        async with aiohttp.ClientSession() as session:
            while not over.is_set():
                async with session.post(f"{service.base}/api/v1/heartbeats", data=body, headers=headers) as answer:
                    assert answer.status in (202, 429), await answer.text()
                sent["http"] += 500
                await asyncio.sleep(0.05)

    try:
        async with devices(config, tokens) as played:
            await asyncio.to_thread(service.start)

            def all_up() -> bool:
                return list(service.samples("zhdj_terminal_up").values()) == [1] * 40

            await wait_for_async(all_up, 20, "all to be up", every=0.2)
            memory, since = resident_mb(service), played.fleet.clock.now()
            floods = [asyncio.create_task(on_mqtt()), asyncio.create_task(on_http())]
            slowest, begun = 0.0, time.monotonic()
            for _ in range(rounds):
                await asyncio.sleep(0.4)
                started = time.monotonic()
                assert await asyncio.to_thread(all_up)
                slowest = max(slowest, time.monotonic() - started)
            assert not any(flood.done() for flood in floods)
            over.set()
            await asyncio.gather(*floods)
            lasted = time.monotonic() - begun
            limited = {via: refused(service, via, "rate_limited") for via in ("mqtt", "http")}
            grown = resident_mb(service) - memory
            assert await asyncio.to_thread(service.end) == 0
    finally:
        service.close()
    took = delays(service, {("V1", "pc"), ("V1", "mobile")}, since)
    p99 = took[len(took) * 99 // 100]
    counted(
        f"sent {sent}, limited {limited}; others' delay: median {took[len(took) // 2]} ms, 99 of 100 {p99} ms,"
        f" all of {len(took)} {took[-1]} ms; /metrics {slowest:.2f} s; memory {grown:+.1f} MB"
    )
    assert len(took) > 38 * 5
    assert p99 < DELAY_MS
    assert slowest < 3
    assert grown < MORE_MB
    # A thousand at once and ten a second are taken.
    assert all(0 < sent[via] - limited[via] < 1_000 + 10 * (lasted + 10) for via in sent), (sent, limited)
    held = await holds(config, f"sqlite+aiosqlite:///{service.database}")
    assert {name for name in held.outages if name.endswith("/pc")} == set()


# --- connections -----------------------------------------------------------------------------------------------------


@contextmanager
def idle(port: int, count: int, says: bytes, addresses: int = 5) -> Iterator[list[socket]]:
    """So many connections that say this and nothing more, from some addresses of this machine."""
    with ExitStack() as stack:
        found = []
        for n in range(count):
            one = create_connection((HOST, port), 5, source_address=(f"127.0.7.{1 + n % addresses}", 0))
            stack.callback(one.close)
            one.sendall(says)
            found.append(one)
        yield found


async def test_a_thousand_connections_that_say_nothing(tmp_path: Path) -> None:
    """On HTTP, half of them in the middle of a header or a body, and on the embedded broker."""
    villages = [f"V{n}" for n in range(1, 6)]
    http, mqtt = free_port(), free_port()
    checks = [beats(v, "pc", "mqtt") for v in villages] + [beats(v, "mobile", "http") for v in villages]
    config = write_config(tmp_path, http=http, mqtt=mqtt, checks=checks, embedded=True)
    tokens = issue(config, tmp_path / "tokens.json")
    slow = (
        "POST /api/v1/heartbeats HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n"
        f"Authorization: Bearer {tokens['V1/mobile']}\r\n\r\n{{"
    ).encode()
    service = Serving(config)
    with ExitStack() as stack:
        stack.callback(service.close)
        await asyncio.to_thread(service.start)
        async with devices(config, tokens) as played:

            def all_up() -> bool:
                return list(service.samples("zhdj_terminal_up").values()) == [1] * len(checks)

            await wait_for_async(all_up, 20, "all to be up", every=0.2)
            memory, since = resident_mb(service), played.fleet.clock.now()
            known = len(read_outages(service.database))
            before = heard(service, "mqtt"), heard(service, "http")

            def sit() -> float:
                with (
                    idle(http, 300, b""),
                    idle(http, 350, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "),
                    idle(http, 350, slow),
                    idle(mqtt, 500, b""),
                    idle(mqtt, 500, b"\x10\x40\x00\x04MQTT"),
                ):
                    wait_for(lambda: (service.value("process_open_fds") or 0) > 1_900, 20, "them all to be there", 0.2)
                    for _ in range(8):
                        time.sleep(0.5)
                        assert all(channels(service).values())
                        assert all_up()
                    return resident_mb(service) - memory

            grown = await asyncio.to_thread(sit)
            await wait_for_async(
                lambda: (service.value("process_open_fds") or 0) < 200, 30, "them to be gone", every=0.2
            )
            after = heard(service, "mqtt"), heard(service, "http")
        assert await asyncio.to_thread(service.end) == 0
    took = delays(service, set(), since)
    counted(f"2,000 connections: memory {grown:+.1f} MB; others' delay at most {took[-1]} ms of {len(took)}")
    assert grown < MORE_MB
    assert took[len(took) * 99 // 100] < DELAY_MS
    assert all(b - a > 5 * 4 for a, b in zip(before, after, strict=True))
    assert "Traceback" not in service.tail(10_000)
    held = await holds(config, f"sqlite+aiosqlite:///{service.database}")
    assert len([o for o in held.rows["outage"] if o[2]]) == known


async def test_a_listener_that_is_taken_up_gives_no_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can be heard over it then, so nobody may be called silent."""
    monkeypatch.setattr(http_server, "MAX_CONNECTIONS", 20)
    app = web.Application()
    async with http_server.listen(app, HOST, 0) as listener:
        assert await _accepts(HOST, listener.port)
        with idle(listener.port, 20, b"", addresses=2):
            await wait_for_async(lambda: listener.counting.open.total() == 20, what="twenty connections")
            assert not await _accepts(HOST, listener.port)
        await wait_for_async(lambda: listener.counting.open.total() == 0, what="them to be gone")
        assert await _accepts(HOST, listener.port)
    assert not await _accepts(HOST, listener.port)


# --- the storm -------------------------------------------------------------------------------------------------------


#: Dies with the broker, and does not come back: no storm hides that.
DEAD = ("V9001", "pc")
#: So soon is every device heard again, while all of this runs on one machine: their patience, and ours.
BACK_S = 30


async def storm(folder: Path, broker: Mosquitto, count: int, times: int) -> None:
    """So many devices on MQTT; the broker is killed, and they all come back, but for one."""
    kinds = ("pc", "mobile", "tv")
    checks = [beats(f"V{1 + n // 3}", kinds[n % 3], "mqtt", 3, BACK_S - 3) for n in range(count)]
    checks.append(beats(*DEAD, "mqtt", 1, 3))
    config = write_config(folder, http=free_port(), mqtt=broker.port, checks=checks)
    tokens = {f"{row[0]}/{row[1]}": "open" for row in checks}  # an open broker: nobody asks
    service = Serving(config)
    said = []
    try:
        async with devices(config, tokens) as played:
            tally = played.fleet.tally
            await wait_for_async(lambda: tally["connected"] == count + 1, 60, "every device to be connected")
            await asyncio.to_thread(service.start)

            def all_up() -> bool:
                samples = service.samples("zhdj_terminal_up").items()
                return [value for name, value in samples if DEAD[0] not in name] == [1] * count

            await wait_for_async(all_up, BACK_S, "every device to be up", every=0.3)
            memory = resident_mb(service)
            await wait_for_async(lambda: service.is_up(*DEAD), BACK_S, "the one that dies to be up", every=0.3)
            played.silence("/".join(DEAD))
            for number in range(times):
                await asyncio.to_thread(broker.kill if number % 2 == 0 else broker.stop)
                await wait_for_async(lambda: not channels(service)["mqtt"], 20, "the channel to be lost")
                await asyncio.to_thread(broker.start)
                started = time.monotonic()
                await wait_for_async(lambda: tally["connected"] >= count, 60, "every device to be back")
                back = time.monotonic() - started
                # Whoever is heard has no silence behind it that could still become an outage.
                await wait_for_async(
                    lambda: channels(service)["mqtt"] and len(heard_since_restored(service) - {DEAD}) == count,
                    BACK_S,
                    "every device to be heard again",
                    every=0.3,
                )
                said.append(f"{back:.1f}/{time.monotonic() - started:.1f}")
            assert await asyncio.to_thread(all_up)
            await wait_for_async(lambda: not service.is_up(*DEAD), BACK_S, "the dead one to be down", every=0.3)
            grown = resident_mb(service) - memory
            assert await asyncio.to_thread(service.end) == 0
    finally:
        service.close()
    counted(f"{count} devices back / heard again after (s): {', '.join(said)}; memory {grown:+.1f} MB")
    held = await holds(config, f"sqlite+aiosqlite:///{service.database}")
    assert held.outages.keys() == {"/".join(DEAD)}
    # It could be missed only once the channel was back.
    back_ms = min(r[3] for r in held.rows["loss"] if (r[0], r[1]) == ("mqtt", 1))
    assert max(row[3] for row in held.rows["outage"]) >= back_ms
    assert grown < MORE_MB
    counted(f"{held.beats} beats, no outage but that of the dead one")


@pytest.mark.timeout(300)
async def test_702_devices_come_back_at_once(tmp_path: Path, mosquitto: Mosquitto) -> None:
    await storm(tmp_path, mosquitto, 702, 1)


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_702_devices_come_back_again_and_again(tmp_path: Path, mosquitto: Mosquitto) -> None:
    await storm(tmp_path, mosquitto, 702, 12)

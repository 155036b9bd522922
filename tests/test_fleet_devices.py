"""The fleet's MQTT devices against a real mosquitto; no service of ours."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiomqtt
import pytest

from monitor.clock import Clock, from_iso
from monitor.fleet.device import Face
from monitor.fleet.heart import RUBBISH, Heart
from monitor.fleet.mqtt_device import BrokerAddress, MqttDevice
from monitor.fleet.script import Behaviour, Fault
from tests.services import HOST, Mosquitto, wait_for_async

INTERVAL_MS = 200
WITNESS = "zhdj/v1/V2/pc/heartbeat"
#: Who is quiet is quiet for as long as another beats so often.
TURNS = 4


@dataclass
class Heard:
    """What came in over MQTT: topic, payload, retained, and when (ms UTC)."""

    clock: Clock = field(default_factory=Clock)
    messages: list[tuple[str, bytes, bool, int]] = field(default_factory=list)

    @property
    def beats(self) -> list[dict[str, Any]]:
        return [json.loads(p) for t, p, _, _ in self.messages if t.endswith("V1/pc/heartbeat") and p not in RUBBISH]

    @property
    def turns(self) -> int:
        """Beats of the other one."""
        return sum(topic == WITNESS for topic, *_ in self.messages)

    @property
    def rubbish(self) -> list[bytes]:
        return [p for t, p, _, _ in self.messages if t.endswith("/heartbeat") and p in RUBBISH]

    @property
    def states(self) -> list[bytes]:
        return [p for t, p, _, _ in self.messages if t.endswith("/status")]

    def when(self, payload: bytes) -> int:
        return next(at for _, p, _, at in reversed(self.messages) if p == payload)


@asynccontextmanager
async def listening(broker: Mosquitto, *topics: str) -> AsyncIterator[Heard]:
    heard = Heard()

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            heard.messages.append((str(message.topic), message.payload, message.retain, heard.clock.now()))

    async with aiomqtt.Client(HOST, broker.port) as client:
        for topic in topics or ("zhdj/v1/V1/#", WITNESS):
            await client.subscribe(topic, qos=1)
        task = asyncio.create_task(listen(client))
        try:
            yield heard
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def running(*faces: Face) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(face.run()) for face in faces]
    try:
        yield
    finally:
        for face in faces:
            face.close()
        for task in tasks:
            task.cancel()
        _, late = await asyncio.wait(tasks, timeout=10)
        assert not late, f"did not end: {late}"


def mqtt_device(broker: Mosquitto, behaviour: Behaviour = Behaviour.PLAIN, interval: int = INTERVAL_MS) -> MqttDevice:
    heart = Heart("V1", "pc", interval, Random(1))
    return MqttDevice(heart, behaviour, Clock(), Counter(), BrokerAddress(HOST, broker.port), "secret")


@asynccontextmanager
async def beside(broker: Mosquitto, heard: Heard) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Another device, in the same loop and over the same broker. What is yielded waits for some of its turns: what the
    first one sent before that has come, and what it would have sent meanwhile."""
    heart = Heart("V2", "pc", INTERVAL_MS, Random(2))
    other = MqttDevice(heart, Behaviour.PLAIN, Clock(), Counter(), BrokerAddress(HOST, broker.port), "secret")

    async def some_turns() -> None:
        wanted = heard.turns + TURNS
        await wait_for_async(lambda: heard.turns >= wanted, 20, "the other one's beats")

    async with running(other):
        yield some_turns


async def beats_more(heard: Heard, more: int = 2) -> None:
    wanted = len(heard.beats) + more
    await wait_for_async(lambda: len(heard.beats) >= wanted, what=f"{wanted} beats of {heard.messages}")


async def test_an_mqtt_device_beats_at_its_own_phase(mosquitto: Mosquitto) -> None:
    device = mqtt_device(mosquitto)
    async with listening(mosquitto) as heard, running(device):
        await beats_more(heard, 6)
        assert device.connected
    assert heard.states == [b"online"]  # and no will from one who leaves in order
    assert [b["seq"] for b in heard.beats] == list(range(1, len(heard.beats) + 1))
    assert len({b["boot"] for b in heard.beats}) == 1
    assert set(heard.beats[0]) == {"boot", "seq", "sent_at", "uptime_s", "version", "services"}
    at = [t for topic, _, _, t in heard.messages if topic == "zhdj/v1/V1/pc/heartbeat"]
    late = [(t - device.heart.phase_ms + INTERVAL_MS // 2) % INTERVAL_MS - INTERVAL_MS // 2 for t in at]
    assert sorted(late)[len(late) // 2] < 50
    assert abs(from_iso(heard.beats[0]["sent_at"]) - at[0]) < 1_000


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.FLAP, Fault.REBOOT])
async def test_a_broken_connection_brings_the_will_at_once(mosquitto: Mosquitto, fault: Fault) -> None:
    device = mqtt_device(mosquitto, Behaviour.WILL)
    async with listening(mosquitto) as heard, running(device):
        await beats_more(heard)
        device.fail(fault)
        since = device.clock.now()
        await wait_for_async(lambda: b"offline" in heard.states, what="the will")
        assert heard.when(b"offline") - since < 500
        count = len(heard.beats)
        async with beside(mosquitto, heard) as some_turns:
            await some_turns()
        assert len(heard.beats) == count
        assert not device.connected
        device.recover()
        await beats_more(heard)
    assert heard.states == [b"online", b"offline", b"online"]
    assert len({b["boot"] for b in heard.beats}) == (2 if fault is Fault.REBOOT else 1)


async def test_a_frozen_device_stays_connected_and_brings_no_will(mosquitto: Mosquitto) -> None:
    device = mqtt_device(mosquitto)
    async with listening(mosquitto) as heard, running(device):
        await beats_more(heard)
        device.fail(Fault.SILENCE)
        async with beside(mosquitto, heard) as some_turns:
            await some_turns()
            count = len(heard.beats)
            await some_turns()
        assert len(heard.beats) == count
        assert heard.states == [b"online"]
        assert device.connected
        device.recover()
        await beats_more(heard)
    assert heard.states == [b"online"]


async def test_a_goodbye_is_off_and_no_will(mosquitto: Mosquitto) -> None:
    device = mqtt_device(mosquitto)
    async with listening(mosquitto) as heard, running(device):
        await beats_more(heard)
        device.fail(Fault.GOODBYE)
        await wait_for_async(lambda: b"off" in heard.states, what="the goodbye")
        async with beside(mosquitto, heard) as some_turns:
            await some_turns()
        assert heard.states == [b"online", b"off"]
        device.recover()
        await beats_more(heard)
    assert heard.states == [b"online", b"off", b"online"]
    async with listening(mosquitto) as afterwards:
        await wait_for_async(lambda: afterwards.messages, what="the retained state")
    assert afterwards.messages[0][:3] == ("zhdj/v1/V1/pc/status", b"online", True)


@pytest.mark.parametrize("fault", [Fault.SILENCE, Fault.CUT, Fault.GOODBYE])
async def test_a_birth_comes_at_once_after_recovery(mosquitto: Mosquitto, fault: Fault) -> None:
    device = mqtt_device(mosquitto, Behaviour.BOTH, interval=60_000)
    async with listening(mosquitto) as heard, running(device):
        # Its own phase is a minute away at worst: only a birth can be heard before.
        device.heart.phase_ms = (device.clock.now() + 30_000) % 60_000
        await wait_for_async(lambda: device.connected, 10, "the connection")
        device.fail(fault)
        if fault is not Fault.SILENCE:
            await wait_for_async(lambda: len(heard.states) == 2, what="its end")
        async with beside(mosquitto, heard) as some_turns:
            await some_turns()
        assert not heard.beats
        device.recover()
        since = device.clock.now()
        await wait_for_async(lambda: heard.beats, what="the birth")
        assert heard.messages[-1][3] - since < 500


async def test_kept_beats_are_delivered_late_and_in_order(mosquitto: Mosquitto) -> None:
    device = mqtt_device(mosquitto)
    async with listening(mosquitto) as heard, running(device):
        await beats_more(heard)
        turns: list[tuple[Callable[[], None], Callable[[], None]]] = [
            (lambda: device.fail(Fault.LATE), device.recover),
            (lambda: device.mute(True), lambda: device.mute(False)),
        ]
        for away, back in turns:
            away()
            async with beside(mosquitto, heard) as some_turns:
                await some_turns()
                count = len(heard.beats)
                await some_turns()
            assert len(heard.beats) == count
            back()
            now = device.clock.now()
            await beats_more(heard, 4)
            late = [b for b in heard.beats if from_iso(b["sent_at"]) < now - INTERVAL_MS]
            assert len(late) > count
    assert [b["seq"] for b in heard.beats] == list(range(1, len(heard.beats) + 1))
    assert heard.states == [b"online"]


async def test_a_muted_device_dies_unheard(mosquitto: Mosquitto) -> None:
    device = mqtt_device(mosquitto)
    async with listening(mosquitto) as heard, running(device):
        await beats_more(heard)
        device.mute(True)
        device.fail(Fault.GOODBYE)
        async with beside(mosquitto, heard) as some_turns:
            await some_turns()
        assert heard.states == [b"online"]
        count = len(heard.beats)
        device.recover()
        device.mute(False)
        await beats_more(heard)
        assert len(heard.beats) > count


async def test_oddities(mosquitto: Mosquitto) -> None:
    device = mqtt_device(mosquitto)
    async with listening(mosquitto) as heard, running(device):
        for fault in (Fault.TWICE, Fault.MALFORMED, Fault.WRONG_CLOCK):
            device.odd(fault, True, 3_600_000)
        await beats_more(heard, 6)
        await wait_for_async(lambda: heard.rubbish, what="rubbish")
        for fault in (Fault.TWICE, Fault.MALFORMED, Fault.WRONG_CLOCK):
            device.odd(fault, False, 3_600_000)
        await beats_more(heard, 4)
    assert max(Counter(b["seq"] for b in heard.beats).values()) == 2
    ahead = [from_iso(b["sent_at"]) - heard.clock.now() > 3_000_000 for b in heard.beats]
    assert ahead[0]
    assert not ahead[-1]
    assert heard.messages[-1][1] not in RUBBISH


async def test_a_restarted_broker_is_found_again(mosquitto: Mosquitto) -> None:
    device = mqtt_device(mosquitto)
    async with running(device):
        async with listening(mosquitto) as heard:
            await beats_more(heard)
        await asyncio.to_thread(mosquitto.kill)
        await wait_for_async(lambda: not device.connected, 5, "the loss to be noticed")
        await asyncio.to_thread(mosquitto.start)
        async with listening(mosquitto) as heard:
            await beats_more(heard)


async def test_busy_devices_all_end(mosquitto: Mosquitto) -> None:
    """Cancelled in the very turn in which an answer comes, wait_for of Python 3.11 goes on: they end nevertheless."""
    devices = []
    for number in range(40):
        heart = Heart(f"V{number}", "pc", 20, Random(number))
        address = BrokerAddress(HOST, mosquitto.port)
        devices.append(MqttDevice(heart, Behaviour.PLAIN, Clock(), Counter(), address, "secret"))
    async with listening(mosquitto, "zhdj/v1/#") as heard, running(*devices):
        await wait_for_async(lambda: len(heard.messages) > 1_000, 10, "a thousand beats")

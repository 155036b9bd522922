"""Receiving over MQTT: the same tests on mosquitto and on the embedded broker, with Debian's own clients."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from monitor.intake import topics
from monitor.intake.mqtt import Backoff, MqttReceiver
from tests.brokers import (
    BEHIND,
    GATEWAY,
    QUICK,
    AnyBroker,
    OwnBroker,
    RealBroker,
    device,
    pub,
    pub_command,
    receiving,
    settings,
)
from tests.recorder import Recorder
from tests.services import HOST, wait_for_async


@pytest.fixture(params=["mosquitto", "embedded"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyBroker]:
    made: AnyBroker = RealBroker(tmp_path) if request.param == "mosquitto" else OwnBroker()
    await made.start()
    yield made
    await made.close()


async def test_real_beats_and_states_arrive(broker: AnyBroker) -> None:
    recorder = Recorder()
    async with receiving(broker.port, recorder) as receiver:
        assert recorder.channel[-1] == ("mqtt", "restored", None)
        assert (await pub(broker.port, "s1/pc", "s1/pc/heartbeat", "-n")).returncode == 0
        await pub(broker.port, "s1/tv", "s1/tv/heartbeat", "-m", '{"boot":"b","seq":3,"services":{"learning":"ok"}}')
        for text in ("online", "off", "offline", "asleep"):
            await pub(broker.port, "s2/pc", "s2/pc/status", "-m", text)
        await wait_for_async(lambda: recorder.refused["mqtt", "malformed"], what="the last state")
        assert await receiver.echo(5)
    assert recorder.who == [("s1", "pc"), ("s1", "tv")]
    assert recorder.beats[1] | {"via": "mqtt", "sent_at": None} == {
        "site": "s1",
        "terminal": "tv",
        "via": "mqtt",
        "sent_at": None,
        "boot": "b",
        "seq": 3,
        "services": {"learning": "ok"},
    }
    assert recorder.wills == [("s2", "pc", "mqtt", True), ("s2", "pc", "mqtt", False)]
    assert recorder.channel[-1][:2] == ("mqtt", "lost")


async def test_a_real_will_tells_that_a_device_is_gone(broker: AnyBroker) -> None:
    recorder = Recorder()
    async with receiving(broker.port, recorder):
        will = [
            "--will-topic",
            "zhdj/v1/s1/pc/status",
            "--will-payload",
            "offline",
            "--will-qos",
            "1",
            "--will-retain",
        ]
        device = subprocess.Popen(
            pub_command(broker.port, "s1/pc", "s1/pc/heartbeat", "-l", *will), stdin=subprocess.PIPE
        )
        assert device.stdin is not None
        device.stdin.write(b"{}\n")
        device.stdin.flush()
        await wait_for_async(lambda: recorder.beats, what="its beat")
        assert recorder.wills == []
        device.kill()
        device.wait()
        device.stdin.close()
        await wait_for_async(lambda: recorder.wills, what="its will")
    assert recorder.wills == [("s1", "pc", "mqtt", False)]


async def test_a_beat_for_another_terminal_is_refused(broker: AnyBroker) -> None:
    recorder = Recorder()
    async with receiving(broker.port, recorder):
        for topic in ("s2/pc/heartbeat", "s1/tv/status", "s1/pc/other", "monitor/test/echo"):
            await pub(broker.port, "s1/pc", topic, "-m", "offline")
        await pub(broker.port, "s1/pc", "s1/pc/heartbeat", "-n")
        await wait_for_async(lambda: recorder.beats, what="the device's own beat")
    assert recorder.who == [("s1", "pc")]
    assert recorder.wills == []
    assert not recorder.refused
    if broker.name == "embedded":
        assert broker.refused == ["forbidden"] * 4


async def test_a_relay_writes_for_those_listed_with_it(broker: AnyBroker) -> None:
    recorder = Recorder()
    async with receiving(broker.port, recorder) as receiver:
        for name in (*BEHIND, "s1/pc"):
            await pub(broker.port, GATEWAY, f"{name}/heartbeat", "-n")
        await wait_for_async(lambda: len(recorder.who) >= len(BEHIND), what="the beats of the relay")
        assert await receiver.echo(5)
    assert recorder.who == [("s1", "tv"), ("s2", "pc")]


async def test_who_does_not_sign_in_is_refused(broker: AnyBroker) -> None:
    recorder = Recorder()
    async with receiving(broker.port, recorder):
        assert (await pub(broker.port, "s1/pc", "s1/pc/heartbeat", "-n", password="guess")).returncode != 0
        # Another device's token is no better.
        assert (await pub(broker.port, "s1/pc", "s1/pc/heartbeat", "-n", password="cp/2s")).returncode != 0
        await pub(broker.port, "s2/pc", "s2/pc/heartbeat", "-n")
        await wait_for_async(lambda: recorder.beats, what="a beat of another device")
    assert recorder.who == [("s2", "pc")]


async def test_a_device_may_not_listen(broker: AnyBroker) -> None:
    async with device(broker.port, "s1/pc") as client, receiving(broker.port, Recorder()) as receiver:
        with suppress(aiomqtt.MqttError):
            await client.subscribe("zhdj/v1/#", qos=1)
        await pub(broker.port, "s2/pc", "s2/pc/status", "-m", "online", "-r")
        assert await receiver.echo(5)
        await client.publish("zhdj/v1/s1/pc/heartbeat", b"", qos=1)
        assert len(client.messages) == 0


async def test_a_stranger_with_a_device_s_client_id_does_not_end_it(broker: AnyBroker) -> None:
    """Neither with another device's sign-in nor with none; else its will would say 失联 (docs/faults.md)."""
    recorder = Recorder()
    async with receiving(broker.port, recorder), device(broker.port, "s1/pc", identifier="victim") as victim:
        async with device(broker.port, "s2/pc", identifier="victim") as stranger:
            await stranger.publish("zhdj/v1/s2/pc/heartbeat", b"", qos=1)
        with pytest.raises(aiomqtt.MqttError):
            async with device(broker.port, "s1/pc", identifier="victim", password="guess"):
                pass
        await victim.publish("zhdj/v1/s1/pc/heartbeat", b"", qos=1)
        await wait_for_async(lambda: len(recorder.beats) == 2, what="both beats")
        assert recorder.wills == []


async def test_a_device_that_comes_again_replaces_itself(broker: AnyBroker) -> None:
    recorder = Recorder()
    async with receiving(broker.port, recorder):
        with suppress(aiomqtt.MqttError):
            async with device(broker.port, "s1/pc"), device(broker.port, "s1/pc") as again:
                await again.publish("zhdj/v1/s1/pc/heartbeat", b"", qos=1)
                # The older one's connection is ended, and so its will comes; a will alone ends nothing.
                await wait_for_async(lambda: recorder.beats and recorder.wills, what="beat and will")
    assert recorder.who == [("s1", "pc")]


async def test_a_retained_message_is_a_hint_and_no_evidence(broker: AnyBroker) -> None:
    await pub(broker.port, "s1/pc", "s1/pc/status", "-m", "offline", "-r")
    await pub(broker.port, "s1/pc", "s1/pc/heartbeat", "-m", "{}", "-r")
    recorder = Recorder()
    async with receiving(broker.port, recorder) as receiver:
        await wait_for_async(lambda: receiver.hints == 2, what="the retained messages")
        # The same while we listen is news.
        await pub(broker.port, "s1/pc", "s1/pc/status", "-m", "off", "-r")
        await wait_for_async(lambda: recorder.wills, what="the new state")
    assert recorder.wills == [("s1", "pc", "mqtt", True)]
    assert recorder.beats == []


async def test_after_a_killed_broker_it_subscribes_again(broker: AnyBroker) -> None:
    recorder = Recorder()
    async with receiving(broker.port, recorder) as receiver:
        await pub(broker.port, "s1/pc", "s1/pc/heartbeat", "-n")
        await wait_for_async(lambda: recorder.beats, what="a beat before")
        before = recorder.clock.now()
        await broker.kill()
        await wait_for_async(lambda: recorder.count("lost") == 1, what="the loss")
        _, _, since = recorder.channel[-1]
        assert since is not None
        assert since <= before
        assert not await receiver.echo(1)
        await broker.start()
        await wait_for_async(lambda: recorder.count("restored") == 2, what="the return")
        await pub(broker.port, "s1/pc", "s1/pc/heartbeat", "-n")
        await wait_for_async(lambda: len(recorder.beats) == 2, what="a beat after")
        assert receiver.connections == 2


async def test_what_came_while_we_were_away_was_kept(broker: AnyBroker) -> None:
    first = Recorder()
    async with receiving(broker.port, first):
        pass
    for seq in range(30):
        await pub(broker.port, "s1/pc", "s1/pc/heartbeat", "-m", f'{{"seq":{seq}}}')
    second = Recorder()
    async with receiving(broker.port, second) as receiver:
        await wait_for_async(lambda: len(second.beats) == 30, what="what the broker kept")
        assert receiver.hints == 0
    assert [b["seq"] for b in second.beats] == list(range(30))


async def test_only_what_is_owned_is_subscribed(broker: AnyBroker) -> None:
    recorder = Recorder()
    async with receiving(broker.port, recorder, filters=topics.of_sites(["s2"])) as receiver:
        await pub(broker.port, "s1/pc", "s1/pc/heartbeat", "-n")
        await pub(broker.port, "s2/pc", "s2/pc/heartbeat", "-n")
        await wait_for_async(lambda: recorder.beats, what="the owned site's beat")
        assert await receiver.echo(5)
    assert recorder.who == [("s2", "pc")]


async def test_a_broker_that_hangs_gives_no_echo(tmp_path: Path) -> None:
    broker = RealBroker(tmp_path)
    await broker.start()
    try:
        async with receiving(broker.port, Recorder()) as receiver:
            broker.service.send_signal(signal.SIGSTOP)
            assert not await receiver.echo(0.3)
            broker.service.send_signal(signal.SIGCONT)
            assert await receiver.echo(5)
    finally:
        await broker.close()


async def test_a_wrong_password_is_said_and_tried_again(broker: AnyBroker) -> None:
    recorder = Recorder()
    backoff = Recording(first_s=0.01, most_s=0.02)
    wrong = settings(broker.port, password="wrong")
    receiver = MqttReceiver(wrong, recorder, observer_name="test", backoff=backoff)
    task = asyncio.create_task(receiver.run())
    await wait_for_async(lambda: len(backoff.waits) >= 3, what="three attempts")
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert recorder.channel == []


@dataclass(frozen=True)
class Recording(Backoff):
    """Writes down how long it lets wait."""

    waits: list[float] = field(default_factory=list)

    def delay(self, failures: int) -> float:
        wait = super().delay(failures)
        self.waits.append(wait)
        return wait


async def test_a_defect_ends_the_receiver(broker: AnyBroker) -> None:
    class Broken(Recorder):
        def heartbeat(self, *args: Any, **more: Any) -> str | None:
            raise ZeroDivisionError("a defect")

    receiver = MqttReceiver(settings(broker.port), Broken(), observer_name="test", backoff=QUICK)
    task = asyncio.create_task(receiver.run())
    await wait_for_async(lambda: receiver.connected, what="the receiver")
    await pub(broker.port, "s1/pc", "s1/pc/heartbeat", "-n")
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(5):
            await task


async def test_nothing_is_lost_while_others_come_and_go(broker: AnyBroker) -> None:
    recorder = Recorder()
    done = asyncio.Event()
    async with receiving(broker.port, recorder), device(broker.port, "s1/pc") as one:

        async def others() -> None:
            while not done.is_set():
                async with aiomqtt.Client(HOST, broker.port, username="s2/pc", password="cp/2s") as client:
                    await client.publish("zhdj/v1/s2/pc/heartbeat", b"", qos=1)

        restless = asyncio.create_task(others())
        for seq in range(300):
            await one.publish("zhdj/v1/s1/pc/heartbeat", f'{{"seq":{seq}}}', qos=1)
        await wait_for_async(lambda: recorder.beats and recorder.beats[-1]["seq"] is None, what="another's beat")
        done.set()
        await restless
        await wait_for_async(lambda: recorder.who.count(("s1", "pc")) == 300, what="every beat")
    assert [b["seq"] for b in recorder.beats if b["site"] == "s1"] == list(range(300))

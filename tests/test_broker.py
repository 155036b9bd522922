"""The embedded broker alone: what amqtt lacks and ours has. What it shares with mosquitto: test_mqtt.py."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import aiomqtt
import pytest

from monitor.errors import MonitorError
from monitor.intake import broker_fixes
from monitor.intake.broker import EmbeddedBroker
from monitor.intake.mqtt import MqttReceiver
from tests.brokers import SECRET, SERVICE, OwnBroker, device, pub, pub_command, receiving, settings, tokens
from tests.recorder import Recorder
from tests.services import HOST, wait_for_async


@pytest.fixture
async def embedded() -> AsyncIterator[OwnBroker]:
    made = OwnBroker()
    await made.start()
    yield made
    await made.close()


async def test_nobody_gets_the_retained_messages_of_others_subscriptions(embedded: OwnBroker) -> None:
    recorder = Recorder()
    async with receiving(embedded.port, recorder):
        await pub(embedded.port, "s1/pc", "s1/pc/status", "-m", "online", "-r")
        async with device(embedded.port, "s2/pc") as client:
            await client.publish("zhdj/v1/s2/pc/heartbeat", b"", qos=1)
            await wait_for_async(lambda: recorder.beats, what="its beat, which comes after them")
            assert len(client.messages) == 0


async def test_a_will_for_another_terminal_is_refused(embedded: OwnBroker) -> None:
    will = aiomqtt.Will("zhdj/v1/s2/pc/status", "offline", qos=1)
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client(HOST, embedded.port, username="s1/pc", password="cp/1s", will=will):
            pass
    assert embedded.refused == ["forbidden"]


@pytest.mark.parametrize("more", [("-m", "x" * 70_000), ("-m", "y" * 5_000)])
async def test_a_large_message_ends_its_sender_s_connection(embedded: OwnBroker, more: tuple[str, ...]) -> None:
    recorder = Recorder()
    async with receiving(embedded.port, recorder):
        command = pub_command(embedded.port, "s1/pc", "s1/pc/heartbeat", *more)
        sender = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        await wait_for_async(lambda: embedded.refused == ["too_large"], what="the refusal")
        with suppress(ProcessLookupError):
            sender.kill()
        await sender.wait()
        await pub(embedded.port, "s2/pc", "s2/pc/heartbeat", "-n")
        await wait_for_async(lambda: recorder.beats, what="a beat of another")
    assert recorder.who == [("s2", "pc")]


def test_others_may_subscribe_while_a_message_is_handed_out() -> None:
    subscriptions: broker_fixes._Snapshots[str, int] = broker_fixes._Snapshots(a=1, b=2)
    for key in subscriptions:
        subscriptions[key + "2"] = 3
    for key, _ in subscriptions.items():
        del subscriptions[key]
    assert not subscriptions


async def hung_up(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(5):
        with suppress(ConnectionResetError):
            while await reader.read(100):
                pass
        return True


async def test_who_does_not_say_who_he_is_is_hung_up_on(embedded: OwnBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_fixes, "CONNECT_S", 0.1)
    for data in (b"", b"\x10", b"GET / HTTP/1.1\r\n\r\n", bytes(100)):
        reader, writer = await asyncio.open_connection(HOST, embedded.port)
        writer.write(data)
        assert await hung_up(reader)
        writer.close()


async def test_silence_beyond_the_keep_alive_fires_the_will(embedded: OwnBroker) -> None:
    recorder = Recorder()

    def text(value: str) -> bytes:
        return len(value).to_bytes(2, "big") + value.encode()

    body = text("MQTT") + b"\x04" + bytes([0b1100_0110]) + b"\x00\x01"  # clean session, a will, keep-alive 1 s
    body += text("x") + text("zhdj/v1/s1/pc/status") + text("offline") + text("s1/pc") + text("cp/1s")
    async with receiving(embedded.port, recorder):
        reader, writer = await asyncio.open_connection(HOST, embedded.port)
        writer.write(bytes([0x10, len(body)]) + body)
        assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
        await wait_for_async(lambda: recorder.wills, what="the will")
        writer.close()
    assert recorder.wills == [("s1", "pc", "mqtt", False)]


async def test_it_stops_with_clients_connected_and_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    embedded = OwnBroker()
    await embedded.start()
    clients = [await asyncio.open_connection(HOST, embedded.port) for _ in range(3)]
    task = asyncio.create_task(
        MqttReceiver(settings(embedded.port), recorder := Recorder(), observer_name="test").run()
    )
    await wait_for_async(lambda: recorder.count("restored"), what="the receiver")
    with suppress(aiomqtt.MqttError):
        async with device(embedded.port, "s1/pc") as client:
            await client.publish("zhdj/v1/s1/pc/heartbeat", b"", qos=1)
            await embedded.close()
    await wait_for_async(lambda: recorder.count("lost"), what="the loss")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    for _, writer in clients:
        writer.close()
    await wait_for_async(lambda: asyncio.all_tasks() <= before, what="every task to end")
    with socket.socket() as probe:
        assert probe.connect_ex((HOST, embedded.port)) != 0


async def test_an_address_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(MonitorError, match=f"cannot listen on {HOST}:{port}"):
            await EmbeddedBroker(tokens(), service_user=SERVICE, service_password=SECRET, port=port).start()

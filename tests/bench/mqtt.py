"""What a beat costs that comes in over MQTT: QoS 1, through mosquitto, from the socket to the board."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import aiomqtt

from monitor.clock import wall_ms
from monitor.intake.mqtt import MqttReceiver
from monitor.intake.mqtt_link import OnMessage, OpenLink, open_aiomqtt
from monitor.settings import Mqtt
from tests.bench.child import tell
from tests.bench.county import Sender, county, observing
from tests.bench.raw_link import connect, open_raw, publish
from tests.bench.results import Child, How, Result, Target
from tests.services import HOST, Mosquitto

#: Beats of which nothing is counted, and those that are. Of 702 terminals, so some seconds each.
WARM, COUNTED = 2_000, 20_000
#: What the shipped configuration sets for the service's sake.
LINES = ("max_queued_messages 100000", "max_inflight_messages 200")


class Meter:
    """CPU time of this process between two messages."""

    def __init__(self) -> None:
        self.seen = 0
        self.done = asyncio.Event()

    def count(self) -> None:
        self.seen += 1
        if self.seen == WARM:
            self._start = time.process_time()
        elif self.seen == WARM + COUNTED:
            tell(us=(time.process_time() - self._start) / COUNTED * 1e6)
            self.done.set()


async def bare(port: int) -> None:
    """The yardstick: aiomqtt's own loop, which receives and does nothing."""
    meter = Meter()
    async with aiomqtt.Client(HOST, port, identifier="bare", clean_session=False) as client:
        await client.subscribe("zhdj/v1/+/+/heartbeat", qos=1)
        tell(ready=True)
        async for _ in client.messages:
            meter.count()
            if meter.done.is_set():
                return


async def whole(port: int, folder: str, link: str) -> None:
    """Ours: received, parsed, judged, logged, shown; cuts and saves go on beside it."""
    meter = Meter()
    opening: OpenLink = {"aiomqtt": open_aiomqtt, "raw": open_raw}[link]

    def counting(
        settings: Mqtt, client_id: str, on_message: OnMessage
    ) -> contextlib.AbstractAsyncContextManager[object]:
        def on_beat(topic: str, payload: bytes, retain: bool) -> None:
            on_message(topic, payload, retain)
            if topic.endswith("/heartbeat"):
                meter.count()

        return opening(settings, client_id, on_beat)

    async with observing(county(), Path(folder)) as observer:
        receiver = MqttReceiver(Mqtt(host=HOST, port=port), observer, observer_name="bench", open_link=counting)  # type: ignore[arg-type]
        task = asyncio.create_task(receiver.run())
        while not receiver.connected:
            await asyncio.sleep(0.01)
        tell(ready=True)
        await meter.done.wait()
        taken = observer.board.counters.heartbeats.get("mqtt", 0)
        assert taken >= WARM + COUNTED, f"only {taken} beats were taken: {observer.board.counters.refused}"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def send(port: int, count: int) -> None:
    """Publish so many beats of 702 terminals, a hundred at a time: the next when the broker has acknowledged them."""
    terminals = list(county().inventory.terminals)
    senders = [Sender(number) for number in range(len(terminals))]
    topics = [f"zhdj/v1/{site}/{kind}/heartbeat".encode() for site, kind in terminals]
    with socket.create_connection((HOST, port), timeout=30) as client:
        client.sendall(connect(""))
        _read(client, 4)
        sent = 0
        while sent < count:
            now = wall_ms()
            some = [(sent + i) % len(topics) for i in range(min(100, count - sent))]
            client.sendall(b"".join(publish(topics[k], senders[k].payload(now), i + 1) for i, k in enumerate(some)))
            _read(client, 4 * len(some))
            sent += len(some)


def _read(client: socket.socket, size: int) -> None:
    while size:
        got = len(client.recv(size))
        if not got:
            raise RuntimeError("the broker closed the connection")
        size -= got


def _one(broker: Mosquitto, what: str, **arguments: str) -> float:
    with Child(f"mqtt:{what}", port=broker.port, **arguments) as child:
        child.told()
        send(broker.port, WARM + COUNTED)
        return float(child.told()["us"])


def mqtt_beats(how: How) -> Iterator[Result]:
    ours, raw, yardstick = [], [], []
    for n in range(how.rounds(3)):
        with Mosquitto(how.folder, lines=LINES) as broker:
            yardstick.append(_one(broker, "bare"))
        with Mosquitto(how.folder, lines=LINES) as broker:
            ours.append(_one(broker, "whole", folder=str(how.folder / f"mqtt-{n}"), link="aiomqtt"))
        with Mosquitto(how.folder, lines=LINES) as broker:
            raw.append(_one(broker, "whole", folder=str(how.folder / f"raw-{n}"), link="raw"))
    base, value = median(yardstick), median(ours)
    name = "MQTT beat, QoS 1 through mosquitto, socket to board"
    yield Result(f"{name} (yardstick: bare aiomqtt loop)", value, "µs CPU", base, Target("ratio", "most", 1.3))
    yield Result(name, value, "µs CPU", None, Target("value", "most", 60))
    yield Result("the same with a receiver written on asyncio.Protocol (estimate)", median(raw), "µs CPU", base)

"""A large county's beats: 150,000 terminals at 5,000 a second, handed to the MQTT receiver in its own process.

The socket is left out (tests/bench/mqtt.py measures it); from the topic and the payload's bytes on it is the whole
path, with the loops that cut and save.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from monitor.intake.mqtt import MqttReceiver
from tests.bench.child import peak_mb, tell
from tests.bench.county import Sender, county, observing
from tests.bench.results import How, Result, in_child, most

TERMINALS = 150_000
PER_S = 5_000
#: Seconds between two handfuls: as a socket would bring them.
TICK_S = 0.005
HANDFUL = int(PER_S * TICK_S)


async def many_beats(folder: str, seconds: float) -> None:
    loaded = county(TERMINALS // 3)
    terminals = list(loaded.inventory.terminals)
    senders = [Sender(number) for number in range(len(terminals))]
    topics = [f"zhdj/v1/{site}/{kind}/heartbeat" for site, kind in terminals]
    without = peak_mb()
    async with observing(loaded, Path(folder)) as observer:
        receiver = MqttReceiver(loaded.settings.mqtt, observer, observer_name="bench")
        observer.restored("mqtt")

        def beats(first: int, count: int) -> list[tuple[str, bytes]]:
            now = observer.clock.now()
            some = [k % len(topics) for k in range(first, first + count)]
            return [(topics[k], senders[k].payload(now)) for k in some]

        async def play(seconds: float, late: list[float]) -> float:
            """Beats at PER_S; answers the CPU time that making them took."""
            loop = asyncio.get_running_loop()
            start, making = loop.time(), 0.0
            for tick in range(round(seconds / TICK_S)):
                due = start + (tick + 1) * TICK_S
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                made = time.thread_time()
                messages = beats(tick * HANDFUL, HANDFUL)
                making += time.thread_time() - made
                for topic, payload in messages:
                    receiver.handle(topic, payload, False)
                late.append(loop.time() - due)
            return making

        # Everybody once, as after a start, and all of it written down: what follows is an ordinary minute.
        await play(TERMINALS / PER_S, [])
        while observer.queues()["database_rows"] or observer._uncut:
            await asyncio.sleep(0.1)
        late: list[float] = []
        before, start = time.process_time(), time.monotonic()
        known = observer.board.counters.heartbeats["mqtt"]
        making = await play(seconds, late)
        took = time.monotonic() - start
        spent = time.process_time() - before - making
        taken = observer.board.counters.heartbeats["mqtt"] - known
        assert taken == PER_S * seconds, f"{taken} beats were taken: {observer.board.counters.refused}"
        late.sort()
        tell(
            core=spent / took * 100,
            p99_ms=late[int(len(late) * 0.99)] * 1000,
            worst_ms=late[-1] * 1000,
            behind_s=took - seconds,
            memory_mb=peak_mb(),
            players_mb=without,
        )


def large_county(how: How) -> Iterator[Result]:
    seconds = 10 if how.quick else 60
    said = in_child("load:many_beats", folder=str(how.folder / "load"), seconds=seconds)
    name = f"150,000 terminals, 5,000 beats a second for {seconds} s, in-process"
    yield Result(f"{name}: one core", said["core"], "%", None, most(45))
    yield Result(f"{name}: p99 from receipt to board", said["p99_ms"], "ms", None, most(50))
    yield Result(f"{name}: worst", said["worst_ms"], "ms")
    yield Result(f"{name}: behind at the end", max(0.0, said["behind_s"]) * 1000, "ms", None, most(50))
    yield Result(f"{name}: memory, the players' own included", said["memory_mb"], "MB", None, most(600))

"""Beats doubled, in another order, late, replayed; an old will after a new birth: nothing changes that should not.

And a fleet that does all of it at once, against what really happened to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiomqtt
import pytest

from monitor.clock import Clock
from monitor.core.sites import CHANNELS
from monitor.fleet.casting import Doors
from monitor.fleet.compare import Sight, compare
from monitor.fleet.mqtt_device import BrokerAddress
from monitor.fleet.player import Fleet
from monitor.fleet.truth import TruthWriter, read_truth
from monitor.inventory.load import Loaded, load
from tests.faults import Held, counted, holds, resident_mb
from tests.service_under_test import read_outages
from tests.services import HOST, Mosquitto, free_port, wait_for, wait_for_async
from tests.serving import Row, Serving, beats, issue, probe, write_config
from tests.test_observe import HOUR, NOON, DrivenClock, fresh, loaded, observing

__all__ = ["loaded"]  # a fixture

MINUTE = 60_000


@dataclass(frozen=True)
class Told:
    """One thing that comes in at `at`: a beat (`sent`: when it was sent), a will, or our own loss of the channel."""

    at: int
    what: str
    sent: int = 0
    seq: int = 0


async def told(loaded: Loaded, folder: Path, story: Iterable[Told]) -> Held:
    folder.mkdir()
    url = fresh(folder)
    async with observing(loaded, url, folder / "logs", NOON) as observer:
        clock = observer.clock
        assert isinstance(clock, DrivenClock)
        for one in story:
            clock.at = max(clock.at, one.at)
            if one.what == "beat":
                observer.heartbeat("V1", "pc", "mqtt", sent_at=one.sent, boot="b", seq=one.seq)
            elif one.what == "lost":
                observer.lost("mqtt", None, "the connection ended")
            elif one.what == "alive":
                observer.alive("mqtt")
            else:
                observer.will("V1", "pc", "mqtt", goodbye=one.what == "goodbye")
            await observer.cut()
        await observer.save()
        await observer.stop()
    return await holds(loaded, url, folder / "logs")


def seen(held: Held) -> list[tuple[Any, ...]]:
    """The spans of the pc without their evidence: (since, value)."""
    (pc,) = [row[0] for row in held.rows["check"] if "pc" in row]
    return [row[1:3] for row in held.rows["span"] if row[0] == pc]


def story() -> list[Told]:
    """A morning: a beat a minute, a real outage of ten minutes, and half an hour in which we saw nothing."""
    found = []
    for n in range(1, 121):
        if 30 <= n < 40 or 60 <= n < 90:
            continue
        found.append(Told(NOON + n * MINUTE, "beat", NOON + n * MINUTE, n))
    found.append(Told(NOON + 59 * MINUTE + 900, "lost"))
    found += [Told(NOON + n * MINUTE + 1, "alive") for n in range(30, 40)]
    return sorted(found, key=lambda one: one.at)


def late(order: Iterable[int]) -> list[Told]:
    """What the broker kept meanwhile, in this order, after we are back."""
    return [Told(NOON + 90 * MINUTE + 100 + i, "beat", NOON + n * MINUTE, n) for i, n in enumerate(order)]


def mixed(*stories: list[Told]) -> list[Told]:
    return sorted((one for each in stories for one in each), key=lambda one: one.at)


async def test_what_comes_twice_or_again_changes_nothing(loaded: Loaded, tmp_path: Path) -> None:
    """Each beat doubled by the broker, and every old one once more while the device lives anyway."""
    plain = await told(loaded, tmp_path / "plain", story())
    assert plain.outages == {"V1/pc": 1}
    once = [one for one in story() if one.what == "beat"]
    doubled = [Told(one.at + 300, "beat", one.sent, one.seq) for one in once]
    replayed = [
        Told(one.at + 700, "beat", old.sent, old.seq) for one, old in zip(once[40:], once, strict=False) if one.seq > 95
    ]
    again = await told(loaded, tmp_path / "again", mixed(story(), doubled, replayed))
    assert again.outages == plain.outages
    # A copy is evidence some hundred ms later: the same spans, and no end moves by more.
    assert [value for _, value in seen(again)] == [value for _, value in seen(plain)]
    assert all(abs(a[0] - b[0]) <= 700 for a, b in zip(seen(again), seen(plain), strict=True))


async def test_late_beats_in_any_order_say_the_same(loaded: Loaded, tmp_path: Path) -> None:
    numbers = list(range(60, 90))
    expected = await told(loaded, tmp_path / "in-order", mixed(story(), late(numbers)))
    (pc,) = [t for t in expected.figures.terminals if t.terminal == "pc"]
    assert pc.measure.unknown <= 2 * MINUTE  # before the first beat, and after the stop
    for seed in range(6):
        order = numbers * (1 + seed % 2)  # every second time each of them twice
        Random(seed).shuffle(order)
        other = await told(loaded, tmp_path / f"order-{seed}", mixed(story(), late(order)))
        assert seen(other) == seen(expected), order
        assert other.outages == expected.outages


async def test_late_beats_of_three_days_ago_are_not_believed(loaded: Loaded, tmp_path: Path) -> None:
    async with observing(loaded, fresh(tmp_path), tmp_path / "logs", NOON) as observer:
        clock = observer.clock
        assert isinstance(clock, DrivenClock)
        for n in range(5):
            clock.at = NOON + n * MINUTE
            observer.heartbeat("V1", "pc", "mqtt", sent_at=clock.at, boot="b", seq=n)
        observer.lost("mqtt", None, "the connection ended")
        lost = clock.at
        clock.at = lost + 73 * HOUR
        for n, expected in ((1, None), (2, None), (-1, "too_late"), (-2, "too_late")):
            sent = clock.at - 72 * HOUR + n * MINUTE
            assert observer.heartbeat("V1", "pc", "mqtt", sent_at=sent, boot="b", seq=9) == expected
        await observer.stop()
    held = await holds(loaded, fresh(tmp_path), tmp_path / "logs")
    assert held.outages == {}


@pytest.mark.parametrize("what", ["will", "goodbye"])
async def test_an_old_will_after_a_new_birth(loaded: Loaded, tmp_path: Path, what: str) -> None:
    """openHAB #10226: the device is back already when the broker tells of its old session's end."""
    plain = await told(loaded, tmp_path / "plain", story())
    stray = [Told(one.at + 200, what) for one in story() if one.what == "beat" and one.seq in (5, 6, 20, 41, 92, 100)]
    other = await told(loaded, tmp_path / "stray", mixed(story(), stray))
    assert seen(other) == seen(plain)
    assert other.outages == plain.outages
    # Before a real silence it tells when that began: at the will, not at the due beat.
    true = await told(loaded, tmp_path / "true", mixed(story(), [Told(NOON + 29 * MINUTE + 200, what)]))
    (outage,) = true.rows["outage"]
    assert outage[3] == NOON + 29 * MINUTE + 200


async def test_an_old_will_by_a_real_broker(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """The device comes back under its name while its dead connection is still there: mosquitto then sends the will."""
    config = write_config(
        tmp_path, http=free_port(), mqtt=mosquitto.port, checks=[beats("V1", "pc", "mqtt"), beats("V2", "pc", "mqtt")]
    )
    will = aiomqtt.Will("zhdj/v1/V1/pc/status", "offline", qos=1, retain=True)

    def client() -> aiomqtt.Client:
        return aiomqtt.Client(HOST, mosquitto.port, identifier="V1/pc", will=will, timeout=5)

    with Serving(config) as service:
        wills = 0
        before = len(read_outages(service.database))
        for boot in range(4):
            async with client() as device:
                for seq in range(2):
                    await device.publish("zhdj/v1/V1/pc/heartbeat", f'{{"boot": "{boot}", "seq": {seq}}}', qos=1)
                    await asyncio.sleep(0.5)
                ended = device._disconnected
                async with client() as after:
                    await after.publish("zhdj/v1/V1/pc/heartbeat", f'{{"boot": "{boot}x", "seq": 0}}', qos=1)
                    await wait_for_async(ended.done, 5, "the old connection to be ended")
                    ended.exception()
                    wills += 1
        await asyncio.to_thread(
            wait_for, lambda: sum(one["type"] == "will" for one in service.lines()) >= wills, 10, "the wills in the log"
        )
        assert service.is_up("V1", "pc")
        assert service.end() == 0
    held = await holds(config, f"sqlite+aiosqlite:///{service.database}")
    assert held.outages.get("V1/pc", 0) <= before
    counted(f"{wills} old wills after new births, {held.outages.get('V1/pc', 0)} outages")


# --- a rough fleet against the truth ---------------------------------------------------------------------------------


async def standing_still(clock: Clock, found: list[tuple[int, int]]) -> None:
    """When this process did not get to play (ms), as on a busy machine: devices were silent, and no script says so."""
    before = clock.now()
    while True:
        await asyncio.sleep(0.1)
        now = clock.now()
        if now - before > 1_000:
            found.append((before, now))
        before = now


async def rough(folder: Path, broker: Mosquitto, villages: int, seconds: float, scale: float, seed: int) -> str:
    """Silences, wills, goodbyes, flaps, reboots, late beats, wrong clocks, doubles and rubbish, against the truth."""
    http, port = free_port(), free_port()
    checks: list[Row] = []
    for n in range(1, villages + 1):
        checks += [beats(f"V{n}", "pc", "mqtt"), beats(f"V{n}", "mobile", "http")]
        checks.append(probe(f"V{n}", "tv", port, host=f"127.81.{n // 250}.{1 + n % 250}", failures=3))
    config = write_config(folder, http=http, mqtt=broker.port, checks=checks)
    tokens = issue(config, folder / "tokens.json")
    inventory = load(config).inventory
    service = Serving(config)
    truth = folder / "truth.jsonl"
    with TruthWriter(truth) as writer:
        doors = Doors(BrokerAddress(HOST, broker.port), f"http://{HOST}:{http}", tokens)
        fleet = Fleet(inventory, doors, writer, seed=seed, play="rough", script_s=seconds, scale=scale)
        playing = asyncio.create_task(fleet.run())
        still: list[tuple[int, int]] = []
        watching = asyncio.create_task(standing_still(fleet.clock, still))
        try:
            await asyncio.to_thread(service.start)
            begun = fleet.clock.now()
            await asyncio.sleep(min(10.0, seconds / 3))
            memory = resident_mb(service)
            await asyncio.wait({playing}, timeout=seconds - (fleet.clock.now() - begun) / 1000)
            if playing.done():
                await playing  # it ends only with an error
            grown = resident_mb(service) - memory
            until = fleet.clock.now()
            assert await asyncio.to_thread(service.end, timeout=20) == 0
        finally:
            playing.cancel()
            watching.cancel()
            await asyncio.wait({playing, watching})
            service.close()
    held = await holds(config, f"sqlite+aiosqlite:///{service.database}")
    sights = {key: Sight.of(of) for key, of in inventory.checks_of.items()}
    # Blind before the service and its channels were there.
    blind = [(0, max(r[3] for r in held.rows["loss"] if r[1] == 0 and r[3] is not None))]
    # Those who are late to begin (their first beat has a phase) are down for that time: no part of the script.
    late_ones = begun + 8_000
    answer = compare(read_outages(service.database), read_truth(truth), sights, until, blind=blind)
    invented = [
        o for o in answer.invented if o.start_ms > late_ones and not any(a - 1_000 <= o.start_ms <= b for a, b in still)
    ]
    assert invented == [], (invented, fleet.tally, still)
    missed = [d for d in answer.missed if d.down_from > late_ones]
    assert missed == [], missed
    assert {name for name, *_ in held.rows["loss"]} == set(CHANNELS)
    assert all(n <= 1 for _, n, *_ in held.rows["loss"]), "a channel was lost in between"
    return (
        f"{held.beats} beats, {len(read_truth(truth))} real outages, {len(answer.matched)} judged, none wrong;"
        f" memory {grown:+.1f} MB; {dict(fleet.tally)}; the player stood still {len(still)} times"
    )


async def test_a_rough_fleet_against_the_truth(tmp_path: Path, mosquitto: Mosquitto) -> None:
    counted(await rough(tmp_path, mosquitto, villages=12, seconds=26, scale=0.06, seed=11))


@pytest.mark.long
@pytest.mark.timeout(2700)
async def test_a_rough_fleet_for_half_an_hour(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """A soak: 702 devices, and memory is flat."""
    said = await rough(tmp_path, mosquitto, villages=234, seconds=1_800, scale=0.3, seed=12)
    counted(said)
    assert float(said.split("memory ")[1].split(" MB")[0]) < 60

"""A small fleet as a whole: its truth, townships cut by hand, its control door. No broker, no server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from monitor.core.sites import UPLINK, Check, Inventory, Level, Site, Terminal
from monitor.errors import MonitorError
from monitor.fleet.casting import Doors
from monitor.fleet.control import control_server, fleet_control
from monitor.fleet.mqtt_device import BrokerAddress
from monitor.fleet.player import Fleet
from monitor.fleet.script import Behaviour
from monitor.fleet.targets import TcpTarget
from monitor.fleet.truth import Down, TruthWriter, read_truth
from tests.services import HOST, free_port, listens, wait_for_async

TODAY = date(2026, 11, 23)
PLACES = (
    ("C1", Level.COUNTY, "C"),
    ("T1", Level.TOWNSHIP, "T1"),
    ("V1", Level.VILLAGE, "T1"),
    ("V2", Level.VILLAGE, "T2"),
)


def small_inventory(port: int) -> Inventory:
    """A county site, two townships of which one has an uplink check; every tv is probed, every pc beats."""
    sites = [Site(name, name, level, code, code) for name, level, code in PLACES]
    checks = [Check(s.site_id, "tv", "tcp", f"127.77.8.{n}:{port}", 1_000, 0, 3) for n, s in enumerate(sites, 1)]
    checks += [Check(s.site_id, "pc", "heartbeat-mqtt", "", 1_000, 1_000) for s in sites]
    checks += [Check(s.site_id, "mobile", "icmp", "10.0.0.1", 1_000, 0, 3) for s in sites]
    checks.append(Check("T1", UPLINK, "tcp", f"127.77.8.9:{port}", 1_000, 0, 3))
    terminals = [Terminal(s.site_id, kind) for s in sites for kind in ("tv", "mobile")]
    terminals += [Terminal(s.site_id, "pc", commissioned_on=date(2026, 11, 20)) for s in sites[:3]]
    terminals.append(Terminal("V2", "pc", commissioned_on=date(2026, 12, 1)))  # not there yet
    return Inventory.of(sites, terminals, checks)


@asynccontextmanager
async def playing(
    truth: Path, play: str = "still", duration_s: float | None = None, scale: float = 1.0
) -> AsyncIterator[Fleet]:
    """The fleet runs while the block does; nobody listens at its broker's address."""
    inventory = small_inventory(free_port())
    tokens = {f"{s}/pc": "secret" for s in inventory.sites}
    doors = Doors(BrokerAddress(HOST, free_port()), f"http://{HOST}:{free_port()}", tokens)
    with TruthWriter(truth) as writer:
        canary = f"tcp:127.77.8.8:{free_port()}"
        fleet = Fleet(
            inventory,
            doors,
            writer,
            seed=1,
            play=play,
            script_s=duration_s,
            canaries=[canary],
            today=TODAY,
            scale=scale,
        )
        task = asyncio.create_task(fleet.run(duration_s))
        try:
            await asyncio.wait_for(fleet.started.wait(), 5)
            yield fleet
        finally:
            if duration_s is None:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait_for(task, 20)


async def test_a_township_is_cut_and_restored(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    async with playing(truth) as fleet:
        assert len(fleet.actors) == 4 + 3  # no icmp, and none that is not commissioned
        before = fleet.clock.now()
        assert fleet.cut("T1") == fleet.cut("T1") == 4
        assert {(a.cast.site, a.cast.terminal) for a in fleet.actors if a.is_down} == {
            (site, kind) for site in ("T1", "V1") for kind in ("tv", "pc")
        }
        line = fleet._uplinks["T1"][0]
        assert [line.listening] == [False]
        assert fleet.state()["cut"] == ["T1"]
        await asyncio.sleep(0.05)
        fleet.restore("T1")
        after = fleet.clock.now()
        assert [line.listening] == [True]
        assert not any(actor.is_down for actor in fleet.actors)
        fleet.restore("T1")
        with pytest.raises(MonitorError, match="expected monitor or one of T1"):
            fleet.cut("C")  # the county's own sites are no township's
        fleet.cut("T2")
    downs = read_truth(truth)
    assert len(downs) == 5
    for down in downs[:4]:
        assert down.down_to is not None
        assert before <= down.down_from < down.down_to <= after
    assert downs[4].key == ("V2", "tv")
    assert downs[4].down_to is None  # still down at the end


async def test_the_monitors_own_cut_is_no_part_of_the_truth(tmp_path: Path) -> None:
    async with playing(tmp_path / "truth.jsonl") as fleet:
        canary = fleet._canaries[0]
        await wait_for_async(lambda: canary.listening, 2, "the canary")
        fleet.cut_monitor()
        assert [canary.listening] == [False]
        assert fleet.state()["monitor_cut"] is True
        fleet.cut("T1")
        fleet.restore("T1")
        assert not any(line.listening for line in fleet._uplinks["T1"])
        fleet.cut_monitor(False)
        assert [canary.listening] == [True]
        assert fleet._uplinks["T1"][0].listening
    assert {d.site for d in read_truth(tmp_path / "truth.jsonl")} == {
        "T1",
        "V1",
    }  # from the township's cut only


async def test_the_truth_follows_the_script(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    async with playing(truth, "hour", 4.0, scale=1 / 900) as fleet:
        # 1/900: outages of 0.27 to 0.67 s.
        assert {a.cast.behaviour for a in fleet.actors if a.cast.terminal == "tv"} == {Behaviour.PROBE}
    downs = read_truth(truth)
    assert len(downs) >= 7
    for key in {d.key for d in downs}:
        mine: list[Down] = sorted((d for d in downs if d.key == key), key=lambda d: d.down_from)
        for down in mine:
            assert down.down_to is not None
            assert 250 < down.down_to - down.down_from < 800
        assert all(a.down_to is not None and a.down_to < b.down_from for a, b in pairwise(mine))


async def test_the_control_door(tmp_path: Path) -> None:
    async with playing(tmp_path / "truth.jsonl") as fleet, control_server(fleet, f"{HOST}:0") as address:
        assert (await fleet_control("cut", "T1", address))["terminals"] == 4
        state = await fleet_control("state", address=address)
        assert (state["cut"], state["down"], state["terminals"]) == (["T1"], 4, 7)
        await fleet_control("restore", "T1", address)
        await fleet_control("cut", "monitor", address)
        assert (await fleet_control("state", address=address))["monitor_cut"]
        await fleet_control("restore", "monitor", address)
        assert not fleet.state()["monitor_cut"]
        with pytest.raises(MonitorError, match="no township 'T9'"):
            await fleet_control("cut", "T9", address)
        with pytest.raises(MonitorError, match="cannot listen"):
            async with control_server(fleet, address):
                pass
    for action, target, match in (
        ("state", "", "no fleet answers"),
        ("blow", "T1", "expected cut"),
        ("cut", "", "expected cut"),
    ):
        with pytest.raises(MonitorError, match=match):
            await fleet_control(action, target, address)
    with pytest.raises(MonitorError, match="expected address:port"):
        await fleet_control("state", address="nonsense")


async def test_what_cannot_be_played_is_said(tmp_path: Path) -> None:
    inventory = small_inventory(port := free_port())
    doors = Doors(BrokerAddress(HOST, port), f"http://{HOST}:{port}", {})
    with TruthWriter(tmp_path / "truth.jsonl") as writer:
        with pytest.raises(MonitorError, match="no token for C1/pc"):
            await Fleet(inventory, doors, writer, seed=1, today=TODAY).run(5)
        with pytest.raises(MonitorError, match="unknown script"):
            Fleet(inventory, doors, writer, seed=1, play="opera")
        first = Fleet(
            Inventory.of(inventory.sites.values(), [Terminal("V1", "tv")], inventory.checks.values()),
            doors,
            writer,
            seed=1,
            play="still",
        )
        task = asyncio.create_task(first.run())
        await asyncio.wait_for(first.started.wait(), 5)
        target = first.actors[0].faces[0]
        assert isinstance(target, TcpTarget)
        await wait_for_async(lambda: target.listening, 5, "listening")
        with pytest.raises(MonitorError, match="cannot listen on"):
            await Fleet(first._inventory, doors, writer, seed=1, play="still").run(5)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert not listens(port)

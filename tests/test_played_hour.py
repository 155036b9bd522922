"""A played hour of every class of device against the truth, through the real service and a real broker.

Two minutes of real time: 200 devices, each down four or five times, are judged as they happen.
"""

from __future__ import annotations

import asyncio
import importlib.util
from contextlib import suppress
from pathlib import Path

import pytest

from monitor.core.token import DEVICE, make_token
from monitor.fleet.casting import Doors
from monitor.fleet.compare import Judged
from monitor.fleet.mqtt_device import BrokerAddress
from monitor.fleet.player import Fleet
from monitor.fleet.truth import Down, TruthWriter, read_truth
from monitor.inventory.load import load
from tests.faults import counted
from tests.played_hour import PlayedHour, assert_played_hour
from tests.service_under_test import read_outages, register_tokens, start_service
from tests.services import HOST, Mosquitto, free_port

SETTINGS = """\
[http]
listen = "{host}:{http}"

[mqtt]
host = "{host}"
port = {mqtt}

[database]
url = "sqlite+aiosqlite:///{folder}/monitor.db"

[evidence]
folder = "{folder}/evidence"

[anchors]
file = "{folder}/anchors.jsonl"

[probes]
timeout_s = 1
"""


def write_config(hour: PlayedHour, folder: Path, http_port: int, mqtt_port: int) -> None:
    hour.write(folder / "config", SETTINGS.format(host=HOST, http=http_port, mqtt=mqtt_port, folder=folder))


async def play_hour(hour: PlayedHour, folder: Path, broker: Mosquitto) -> tuple[list[Judged], list[Down], int]:
    """Service and fleet for the whole hour; what was judged, what was true, and the end (ms)."""
    http_port = free_port()
    write_config(hour, folder, http_port, broker.port)
    tokens = {f"{c.site}/{c.terminal}": make_token(DEVICE, f"{c.site:>20}".encode()) for c in hour.casts}
    await register_tokens(folder / "monitor.db", tokens)
    service = start_service(folder / "config", http_port)
    await asyncio.to_thread(service.start)
    try:
        with TruthWriter(folder / "truth.jsonl") as truth:
            fleet = Fleet(
                hour.inventory,
                Doors(BrokerAddress(HOST, broker.port), service.base, tokens),
                truth,
                seed=hour.seed,
                play="hour",
                script_s=hour.duration_s,
                scale=hour.scale,
                behaviours=hour.behaviours,
            )
            playing = asyncio.create_task(fleet.run())
            await asyncio.wait({playing}, timeout=hour.duration_s)
            if playing.done():
                await playing  # it ends only with an error
            # The service ends first: what the fleet's own end looks like is no part of the hour.
            until = fleet.clock.now()
            await asyncio.to_thread(service.stop)
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing
    finally:
        await asyncio.to_thread(service.close)
    return read_outages(folder / "monitor.db"), read_truth(folder / "truth.jsonl"), until


def test_the_services_own_reader_accepts_the_hour(tmp_path: Path) -> None:
    hour = PlayedHour()
    write_config(hour, tmp_path, 8080, 1883)
    loaded = load(tmp_path / "config")
    assert loaded.inventory.checks == hour.inventory.checks
    assert loaded.inventory.terminals == hour.inventory.terminals


@pytest.mark.timeout(300)
@pytest.mark.skipif(importlib.util.find_spec("monitor.app") is None, reason="the service does not exist yet")
async def test_a_played_hour_of_each_class(tmp_path: Path, mosquitto: Mosquitto) -> None:
    hour = PlayedHour(seed=1, port=free_port())
    judged, truth, until = await play_hour(hour, tmp_path, mosquitto)
    counted(assert_played_hour(hour, judged, truth, until))

"""A broker's queue that ran over while the service was away: noticed by `seq`, and nobody is called down for it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiomqtt
import pytest

from monitor.core.sequence import LONGEST_GAP, Sequences
from tests.faults import counted, heard, holds
from tests.services import HOST, Mosquitto, free_port, wait_for_async
from tests.serving import Serving, beats, write_config

DEVICE = ("V1", "pc")


@pytest.mark.parametrize(
    ("seqs", "missing"),
    [
        ([1, 2, 3], 0),
        ([1, 2, 6, 7], 3),
        ([1, 5, 2, 3, 4, 6], 3),  # late ones are not taken off
        ([1, 2, 2, 2, 3], 0),
        ([5, 1, 2, 3, 6], 0),
        ([1, LONGEST_GAP + 2, LONGEST_GAP + 3], LONGEST_GAP),
        ([1, LONGEST_GAP + 3, LONGEST_GAP + 5], 1),
        ([0, 2**53], 0),
    ],
)
def test_gaps_in_what_a_device_counts(seqs: list[int], missing: int) -> None:
    known = Sequences()
    assert sum(known.missing(DEVICE, "mqtt", "boot", seq) for seq in seqs) == missing


def test_a_new_boot_counts_anew_and_without_one_nobody_can_tell() -> None:
    known = Sequences()
    told = [("a", 7), ("b", 1), ("b", 3), (None, 9), ("b", 4), ("c", 100), ("c", None), ("c", 102)]
    assert [known.missing(DEVICE, "mqtt", boot, seq) for boot, seq in told] == [0, 0, 1, 0, 0, 0, 0, 1]
    assert known.missing(DEVICE, "http", "c", 200) == 0


@pytest.mark.parametrize("while_dead", [40, pytest.param(2_000, marks=pytest.mark.long)])
async def test_what_the_broker_did_not_keep_is_counted(tmp_path: Path, while_dead: int) -> None:
    """Twenty fit, three devices beat so many times each while the service is dead."""
    broker = Mosquitto(tmp_path, lines=["max_queued_messages 15", "max_inflight_messages 5"], persistence=True)
    villages = ["V1", "V2", "V3"]
    with broker:
        config = write_config(
            tmp_path, http=free_port(), mqtt=broker.port, checks=[beats(v, "pc", "mqtt") for v in villages]
        )
        service = Serving(config)
        sent = 0
        async with aiomqtt.Client(HOST, broker.port, identifier="devices", timeout=5) as client:

            async def beat(seq: int) -> None:
                for village in villages:
                    said = json.dumps({"boot": "b", "seq": seq})
                    await client.publish(f"zhdj/v1/{village}/pc/heartbeat", said, qos=1)

            try:
                await asyncio.to_thread(service.start)
                for seq in range(1, 4):
                    sent = seq
                    await beat(seq)
                await wait_for_async(lambda: len(_numbers(service)) == 9, 10, "the first beats in the log", every=0.2)
                known = service.query("SELECT count(*) FROM outage")
                await asyncio.to_thread(service.kill)
                for _ in range(while_dead):
                    sent += 1
                    await beat(sent)
                await asyncio.to_thread(service.start)
                for _ in range(6):  # and then on as always, for longer than anybody's patience
                    sent += 1
                    await beat(sent)
                    await asyncio.sleep(1)
                await wait_for_async(lambda: _last(service) == dict.fromkeys(villages, sent), 10, "the last beats")
                missing = service.value("zhdj_heartbeats_missing_total", via="mqtt")
                taken = heard(service)
                assert [service.is_up(v, "pc") for v in villages] == [True] * 3
                assert await asyncio.to_thread(service.end) == 0
            finally:
                service.close()
    numbers = _numbers(service)
    lost = 3 * sent - len(set(numbers))
    assert len(set(numbers)) == len(numbers)
    assert missing == lost > 60
    held = await holds(config, f"sqlite+aiosqlite:///{service.database}")
    assert len(held.rows["outage"]) == known[0][0]
    counted(
        f"{3 * sent} beats, {lost} lost in the broker's queue, {taken:.0f} taken after the restart,"
        f" {missing:.0f} missed"
    )


def _numbers(service: Serving) -> list[tuple[str, int]]:
    return [(line["site"], line["seq"]) for line in service.lines() if line["type"] == "heartbeat"]


def _last(service: Serving) -> dict[str, int]:
    return dict(sorted(_numbers(service), key=lambda n: n[1]))

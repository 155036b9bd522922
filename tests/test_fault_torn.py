"""A write that a power loss tore: at every byte, with whatever a file system leaves behind it.

What was cut stands; what was not may be gone, but never half. Damage in what was cut is said, and left alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest

from monitor.errors import MonitorError
from monitor.evidence.log import mend
from monitor.evidence.reading import read_lines
from monitor.flows.observe import Observer
from monitor.inventory.load import Loaded
from tests.faults import counted, holds
from tests.test_observe import HOUR, MIDNIGHT, NOON, DrivenClock, fresh, live, loaded, observing

__all__ = ["loaded"]  # a fixture

MINUTE = 60_000


class Torn:
    """A log whose last write (six lines) came after the cut that the database follows."""

    def __init__(self, path: Path, cut: int, database: Path) -> None:
        self.path = path
        self.cut = cut
        self.whole = path.read_bytes()
        self.database = database
        self.ends = [i + 1 for i in range(cut - 1, len(self.whole)) if self.whole[i : i + 1] == b"\n"]

    def prefix(self, torn_at: int) -> bytes:
        """What must be left of a write that ended after `torn_at` bytes."""
        return self.whole[: max(e for e in self.ends if e <= torn_at)]


def _beat(observer: Observer, at: int) -> None:
    clock = observer.clock
    assert isinstance(clock, DrivenClock)
    clock.at = at
    assert observer.heartbeat("V1", "pc", "mqtt", boot="b", seq=at, services={"learning": "ok"}) is None


async def _torn(loaded: Loaded, folder: Path) -> Torn:
    logs, end = folder / "logs", NOON + 8 * MINUTE
    async with observing(loaded, fresh(folder, "followed"), logs, NOON) as observer:
        await live(observer, end, silent=(NOON + 2 * MINUTE, NOON + 7 * MINUTE))
        (path,) = logs.glob("*.jsonl")
        cut = path.stat().st_size
        for n in range(1, 5):
            _beat(observer, end + n * MINUTE)
        observer.lost("mqtt", None, "the connection ended")
        observer.will("V1", "pc", "mqtt", goodbye=True)
        await observer.cut()  # and not saved
    return Torn(path, cut, folder / "followed.db")


async def test_at_every_byte_of_the_last_write(loaded: Loaded, tmp_path: Path) -> None:
    torn = await _torn(loaded, tmp_path)
    rng, tried = Random(1), 0
    assert len(torn.ends) == 7
    for at in range(torn.cut, len(torn.whole) + 1):
        left = len(torn.whole) - at
        tails = [b"", b"\0" * left, b"\0" * 4096, rng.randbytes(left), rng.randbytes(300) + b"\n" + rng.randbytes(50)]
        tails.append(b'{"type":"heartbeat"}\n' * 3)  # JSON, and yet no line of a log
        if at in torn.ends:
            tails += [b"\n" * 5, b"\0\n\0\n"]
        expected = torn.prefix(at)
        for tail in tails:
            torn.path.write_bytes(torn.whole[:at] + tail)
            assert [r.end for r in read_lines(torn.path, torn_end=True)][-1] == len(expected), (at, tail)
            mend(torn.path, torn.cut)
            assert torn.path.read_bytes().rstrip(b"\n") == expected.rstrip(b"\n"), (at, tail)
            tried += 1
    assert tried > 3_000
    counted(f"{tried} torn ends, of {len(torn.whole) - torn.cut} bytes that no cut held")


@pytest.mark.parametrize("tail", [b"", b"\0" * 3000, b"\xff\x00\n{}\n\n{"])
async def test_a_restart_goes_on_behind_what_is_whole(loaded: Loaded, tmp_path: Path, tail: bytes) -> None:
    """From before, in and behind each line, with a database that follows the cut and with none at all."""
    torn = await _torn(loaded, tmp_path)
    for number, at in enumerate(sorted({e + d for e in torn.ends for d in (-40, -1, 0, 1)})):
        if not torn.cut <= at <= len(torn.whole):
            continue
        folder = tmp_path / f"try-{number}"
        (folder / "logs").mkdir(parents=True)
        log = folder / "logs" / torn.path.name
        log.write_bytes(torn.whole[:at] + tail)
        if number % 2:
            shutil.copy(torn.database, folder / "own.db")
        async with observing(loaded, fresh(folder, "own"), folder / "logs", NOON + HOUR) as observer:
            await live(observer, NOON + HOUR + 3 * MINUTE)
        assert log.read_bytes().startswith(torn.prefix(at))
        assert b"\0" not in log.read_bytes()
        held = await holds(loaded, fresh(folder, "own"), folder / "logs")
        # The pc was silent once, for minutes, and that is all that there ever was.
        assert held.outages == {"V1/pc": 1}


@pytest.mark.parametrize("how", ["a bit", "zeros to the end", "shortened", "zeros within what was written later"])
async def test_damage_that_is_no_torn_end_is_said_and_left_alone(loaded: Loaded, tmp_path: Path, how: str) -> None:
    torn = await _torn(loaded, tmp_path)
    data = bytearray(torn.whole)
    place = torn.cut - 500
    if how == "a bit":
        data[data.index(b'"', place)] ^= 1
    elif how == "zeros to the end":
        data[place:] = bytes(len(data) - place)
    elif how == "shortened":
        del data[place:]
    else:
        place = torn.ends[2] - 20
        data[place : place + 30] = bytes(30)
    torn.path.write_bytes(data)
    with pytest.raises(MonitorError) as said:
        async with observing(loaded, fresh(tmp_path, "followed"), torn.path.parent, NOON + HOUR):
            pass
    assert torn.path.name in str(said.value)
    assert any(word in str(said.value) for word in ("damaged from byte", "no line of a trace")), said.value
    assert torn.path.read_bytes() == data


async def test_a_day_that_was_closed_stays_closed(loaded: Loaded, tmp_path: Path) -> None:
    """Killed at midnight, after the day was compressed and before the new one's first line was written. The machine
    comes back with its clock two minutes slow: nothing may go into a second file of the day that is closed."""
    logs, url = tmp_path / "logs", fresh(tmp_path, "own")
    async with observing(loaded, url, logs, MIDNIGHT - HOUR) as observer:
        await live(observer, MIDNIGHT - MINUTE)
    (plain,) = logs.glob("*.jsonl")
    day = plain.read_bytes()
    shutil.copy(tmp_path / "own.db", tmp_path / "before.db")
    async with observing(loaded, url, logs, MIDNIGHT - MINUTE) as observer:
        await live(observer, MIDNIGHT + MINUTE)
    (today,) = logs.glob("*.jsonl")
    today.unlink()
    plain.write_bytes(day)  # not removed yet
    shutil.copy(tmp_path / "before.db", tmp_path / "own.db")
    for rest in tmp_path.glob("own.db-*"):
        rest.unlink()
    async with observing(loaded, url, logs, MIDNIGHT - 2 * MINUTE) as observer:
        clock = observer.clock
        assert isinstance(clock, DrivenClock)
        assert observer.heartbeat("V1", "pc", "mqtt", boot="b", seq=1) == "clock_behind"
        clock.at = MIDNIGHT + 1
        await live(observer, MIDNIGHT + HOUR)
    assert plain.read_bytes() == day
    held = await holds(loaded, url, logs)
    assert held.outages == {}
    assert held.beats >= 119

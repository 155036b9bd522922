"""The evidence log: bytes a beat, the time to rebuild a month from it, and replay at its steady pace."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

from monitor.core.offset import ClockOffsets
from monitor.evidence.lines import ChannelLine, HeartbeatLine, Line, encode, moment
from monitor.evidence.log import compress
from monitor.evidence.reading import in_order, read_lines
from monitor.flows.judging import Judge
from monitor.flows.replay import rebuild
from monitor.inventory.load import Loaded
from monitor.store.database import opened
from monitor.store.view import View
from tests.bench.child import tell
from tests.bench.county import DAY, INTERVAL, MONTH, Sender, county
from tests.bench.results import How, Result, in_child, least, most

EVENTS = 1_000_000


def a_day(loaded: Loaded, path: Path, length: int = DAY) -> int:
    """A day of beats of every terminal as the observer writes them: each at its own second of the minute, some
    milliseconds on its way. Answers how many."""
    rng = random.Random(3)
    offsets = ClockOffsets()
    terminals = sorted((rng.randrange(INTERVAL), key) for key in loaded.inventory.terminals)
    senders = [Sender(number) for number in range(len(terminals))]
    count, last = 0, MONTH[0]
    with path.open("wb") as sink:
        first: Line = ChannelLine(moment(MONTH[0]), "mqtt", "restored")
        sink.write(encode(first))
        for minute in range(MONTH[0], MONTH[0] + length, INTERVAL):
            for sender, (phase, (site, kind)) in zip(senders, terminals, strict=True):
                sent = minute + phase + rng.randrange(3)
                at = last = max(last, sent + 2 + int(rng.expovariate(0.1)))
                beat = sender.beat(sent)
                raw = sent + sender.number * 7919 % 4000 - 2000
                corrected = offsets.correct((site, kind), at, raw, sender.boot)
                line = HeartbeatLine(moment(at), site, kind, "mqtt", boot=sender.boot, seq=beat["seq"])  # type: ignore[arg-type]
                line.sent_at = moment(corrected)
                line.sent_raw = moment(raw) if raw != corrected else None
                sink.write(encode(line))
                count += 1
    return count


async def a_day_of_logs(folder: str, share: float) -> None:
    """Written, compressed, and read into an empty database."""
    loaded = county()
    path = Path(folder) / "bench-2026-10-01.jsonl"
    path.parent.mkdir(parents=True)
    count = a_day(loaded, path, int(DAY * share))
    plain = path.stat().st_size
    compress(path)
    packed = path.with_name(path.name + ".zst")
    before = time.process_time()
    async with opened(f"sqlite+aiosqlite:///{folder}/rebuilt.db") as engine:
        view = View(engine, "bench")
        await view.number_checks(loaded.inventory)
        await rebuild(view, Judge(loaded), [packed])
    tell(count=count, plain=plain / count, packed=packed.stat().st_size / count, cpu=time.process_time() - before)


def steady_replay(folder: str, events: int) -> None:
    """Lines of a plain log, read and judged: the second half of them, when everybody is known."""
    loaded = county()
    path = Path(folder) / "steady.jsonl"
    path.parent.mkdir(parents=True)
    a_day(loaded, path, events // len(loaded.inventory.terminals) * INTERVAL)
    judge = Judge(loaded)
    reads = in_order(read_lines(path))
    for _ in range(events // 10):
        read = next(reads)
        judge.apply(read.line, read.at)
    count, before = 0, time.process_time()
    for read in reads:
        judge.apply(read.line, read.at)
        count += 1
    assert not judge.refused, judge.refused
    tell(per_s=count / (time.process_time() - before))


def evidence_log(how: How) -> Iterator[Result]:
    share = 0.25 if how.quick else 1.0
    said = in_child("log:a_day_of_logs", folder=str(how.folder / "log"), share=share)
    yield Result("evidence log per beat, as written", said["plain"], "bytes")
    yield Result("evidence log per beat, compressed", said["packed"], "bytes", None, most(15))
    minutes = said["cpu"] / share * 31 / 60
    yield Result("rebuilding a month of 702 terminals (a day, times 31)", minutes, "CPU min", None, most(4))
    said = in_child("log:steady_replay", folder=str(how.folder / "replay"), events=EVENTS)
    yield Result("replay, steady state over a million events", said["per_s"], "events a CPU s", None, least(150_000))

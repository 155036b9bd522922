"""A month's figures, every measure with hours and windows, from the database; and in Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import insert

from monitor.core.changes import Changes
from monitor.core.outage import Outage, outage_key
from monitor.core.timeline import DOWN, UP, Edge, Step
from monitor.flows.replay import figures
from monitor.inventory.load import Loaded
from monitor.store import tables
from monitor.store.database import opened
from monitor.store.view import Position, View
from tests.bench.child import peak_mb, tell
from tests.bench.county import DAY, INTERVAL, MINUTE, MONTH, OUTAGES, Sender, county, outages, windows
from tests.bench.prometheus import in_prometheus
from tests.bench.results import How, Result, Skipped, Target, in_child, most


def changes(loaded: Loaded, each: float, period: tuple[int, int], first_up: int) -> Iterator[Changes]:
    """What judging would have handed over for such a month, a few thousand terminals at a time."""
    keys = list(loaded.inventory.checks)
    rows: dict[int, list[Step]] = {}
    found: list[Outage] = []

    def taken() -> Changes:
        spans = [(keys[n], first_up, steps) for n, steps in rows.items()]
        return Changes(spans=spans, outages=list(found))

    made = outages(len(keys), each, period)
    pending = next(made, None)
    for number, (site, kind, _) in enumerate(keys):
        device = Sender(number)
        came = Edge(first_up - INTERVAL, first_up, "beat", None, beat_of(device, first_up))
        steps = rows[number] = [Step(first_up, UP, came)]
        while pending is not None and pending[0] == number:
            _, down, up = pending
            start, end = edges_of(device, down, up)
            steps += [Step(down, DOWN, start), Step(up, UP, end)]
            key = outage_key(site, kind, down)
            found.append(Outage(key, site, kind, down, up, up, "ended", start, end))
            pending = next(made, None)
        if len(rows) == 3000:
            yield taken()
            rows.clear()
            found.clear()
    yield taken()


def beat_of(device: Sender, at: int) -> list[object]:
    """The evidence of a beat, as judging keeps it."""
    return [at, at - 35, "mqtt", device.boot, device.seq]


def edges_of(device: Sender, down: int, up: int) -> tuple[Edge, Edge]:
    """How contact ended and came back, with the evidence."""
    before = beat_of(device, down - INTERVAL)
    start = Edge(down - INTERVAL, down + 3 * MINUTE, "silence", before)
    return start, Edge(up - 4 * MINUTE, up, "beat", before, beat_of(device, up))


async def month(folder: str, sites: int, each: float, rounds: int) -> None:
    loaded = county(sites)
    Path(folder).mkdir(parents=True)
    async with opened(f"sqlite+aiosqlite:///{folder}/month.db") as engine:
        view = View(engine, "bench")
        await view.number_checks(loaded.inventory)
        for some in changes(loaded, each, MONTH, MONTH[0] - 3 * DAY):
            await view.save([some], Position("bench-2026-10-31.jsonl", 1, MONTH[1]))
        async with engine.begin() as connection:
            rows = [
                {"scope": w.scope, "start_ms": w.start, "end_ms": w.end, "declared_ms": w.start, "reason": w.reason}
                for w in windows(loaded)
            ]
            await connection.execute(insert(tables.window), rows)
        taken, cpu = [], []
        for _ in range(rounds):
            before, start = time.process_time(), time.perf_counter()
            result = await figures(engine, loaded, MONTH)
            cpu.append(time.process_time() - before)
            taken.append(time.perf_counter() - start)
        assert len(result.terminals) == len(loaded.inventory.terminals)
        middle = rounds // 2
        tell(cpu=sorted(cpu)[middle], wall=sorted(taken)[middle], outages=result.sums()["total"].outages, mb=peak_mb())


def month_figures(how: How) -> Iterator[Result]:
    said = in_child("month:month", folder=str(how.folder / "m702"), sites=234, each=OUTAGES, rounds=7)
    base = in_prometheus(how.folder).seconds if how.prometheus else None
    name = "month of 702 terminals, every measure, hours and windows"
    if base is None:
        yield Result(name, said["wall"], "s")
    else:
        target = Target("ratio", "most", 1 / 80)
        yield Result(f"{name} (yardstick: Prometheus avg_over_time)", said["wall"], "s", base, target)
    for each in (0.2, OUTAGES):
        if each == OUTAGES and how.quick:
            raise Skipped(
                "the month of 150,000 terminals with five outages each takes a minute to fill: not with --quick"
            )
        folder = str(how.folder / f"m150k-{each}")
        said = in_child("month:month", folder=folder, sites=50_000, each=each, rounds=1)
        yield Result(f"month of 150,000 terminals, {each:g} outages each", said["cpu"], "CPU s", None, most(3))

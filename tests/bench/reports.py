"""The facts of a month's report and its JSON, from a database that a month was staged in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import insert

from monitor.core import period
from monitor.flows.reports.facts import gather
from monitor.flows.reports.write import write
from monitor.inventory.load import Loaded
from monitor.store import tables
from monitor.store.database import opened
from monitor.store.view import Position, View
from tests.bench.child import peak_mb, tell
from tests.bench.county import DAY, MONTH, OUTAGES, county, windows
from tests.bench.month import changes
from tests.bench.results import How, Result, Skipped, in_child, most

#: When the month is settled.
NOW = MONTH[1] + 5 * DAY


async def stage(folder: str, sites: int, each: float) -> Loaded:
    """A database with such a month in it."""
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
    return loaded


async def staged(folder: str, sites: int, each: float) -> None:
    """In a process of its own: what staging takes is not what a report takes."""
    await stage(folder, sites, each)
    tell(mb=peak_mb())


async def report(folder: str, sites: int, rounds: int) -> None:
    """Gather and write the month, several times."""
    loaded, month = county(sites), period.parse("2026-10")
    async with opened(f"sqlite+aiosqlite:///{folder}/month.db") as engine:
        gathered, whole = [], []
        size = outages = 0
        for _ in range(rounds):
            start = time.perf_counter()
            facts = await gather(engine, loaded, month, NOW)
            gathered.append(time.perf_counter() - start)
            [written] = await asyncio.to_thread(write, facts, ["json"], Path(folder), _quiet)
            size = written.bytes
            whole.append(time.perf_counter() - start)
            outages = len(facts.outages)
            del facts
        middle = rounds // 2
        tell(gather=sorted(gathered)[middle], whole=sorted(whole)[middle], bytes=size, outages=outages, mb=peak_mb())


def _quiet(_: str) -> None:
    """Nobody watches."""


def reports(how: How) -> Iterator[Result]:
    """The data of a county's month, and the JSON of a large one's."""
    folder = str(how.folder / "r702")
    in_child("reports:staged", folder=folder, sites=234, each=OUTAGES)
    said = in_child("reports:report", folder=folder, sites=234, rounds=9)
    yield Result("data of a month's report, 702 terminals, five outages each", said["gather"], "s", None, most(0.1))
    if how.quick:
        raise Skipped("the report of 150,000 terminals takes minutes to stage: not with --quick")
    folder = str(how.folder / "r150k")
    in_child("reports:staged", folder=folder, sites=50_000, each=OUTAGES)
    said = in_child("reports:report", folder=folder, sites=50_000, rounds=1)
    yield Result("JSON of a month's report, 150,000 terminals, five outages each", said["whole"], "s", None, most(60))
    yield Result("its memory", said["mb"], "MB", None, most(1000))

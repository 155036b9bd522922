"""Disk: some played months of 702 terminals with five outages each a month, digests and states included.

Everything goes through `store.view` in its order in time, a save every six hours; the files are measured as they
are then, not rewritten. PostgreSQL gets a plain VACUUM a month, which stands for autovacuum.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import to_iso
from monitor.core.changes import Changes
from monitor.core.digest import Digest
from monitor.core.outage import Outage, outage_key
from monitor.core.status import Status
from monitor.core.timeline import DOWN, UP, Step
from monitor.inventory.load import Loaded
from monitor.store.database import opened
from monitor.store.tables import metadata
from monitor.store.view import Position, View
from tests.bench.county import DAY, HOUR, MONTH, OUTAGES, Sender, county, outages
from tests.bench.month import edges_of
from tests.bench.prometheus import MB_SITE_YEAR, in_prometheus
from tests.bench.results import How, Result, Target
from tests.services import Postgres

SAVE = 6 * HOUR


def saves(loaded: Loaded, days: int) -> Iterator[tuple[int, list[Changes]]]:
    """(until, what changed) every six hours: each beginning and each end of an outage as judging told it."""
    keys = list(loaded.inventory.checks)
    devices = [Sender(number) for number in range(len(keys))]
    start, end = MONTH[0], MONTH[0] + days * DAY
    events: list[tuple[int, int, int, int]] = []
    for number, down, up in outages(len(keys), OUTAGES * days / 30.4, (start, end)):
        events += [(down, number, down, up), (up, number, down, up)]
    events.sort()
    rng = random.Random(5)
    i = 0
    for until in range(start + SAVE, end + SAVE, SAVE):
        result: list[Changes] = []
        while i < len(events) and events[i][0] <= until:
            at, number, down, up = events[i]
            site, kind, _ = keys[number]
            first, last = edges_of(devices[number], down, up)
            over = at == up
            outage = Outage(
                outage_key(site, kind, down), site, kind, down, up if over else None, up if over else None,
                "ended" if over else "open", first, last if over else None,
            )  # fmt: skip
            step = Step(at, UP, last) if over else Step(at, DOWN, first)
            statuses = {
                (site, kind): Status(step.value, at, "beat" if over else "silence"),
                (site, ""): Status("online", at),
            }
            result.append(Changes(spans=[(keys[number], at, [step])], outages=[outage], statuses=statuses))
            i += 1
        if (until - start) % DAY == 0:
            day = to_iso(until - DAY + 8 * HOUR)[:10]
            digests = []
            for key in keys:
                first_at, last_at = until - DAY + rng.randrange(60_000), until - rng.randrange(60_000)
                digests.append(Digest(key, day, 1440, 1440 - rng.randrange(8), 0, 0, first_at, last_at))
            result.append(Changes(digests=digests))
        yield until, result


async def fill(engine: AsyncEngine, loaded: Loaded, days: int) -> None:
    view = View(engine, "bench")
    await view.number_checks(loaded.inventory)
    for n, (until, changes) in enumerate(saves(loaded, days), 1):
        await view.save(changes, Position("bench-2026-10-01.jsonl", 1, until))
        if engine.dialect.name == "postgresql" and n % 120 == 0:
            async with engine.connect() as connection:
                plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
                await plain.execute(text("VACUUM"))


async def on_sqlite(how: How, days: int) -> tuple[int, int]:
    """Bytes of the empty database, and of the filled one."""
    path = how.folder / "year.db"

    async def size() -> int:
        async with engine.connect() as connection:
            await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        return path.stat().st_size

    async with opened(f"sqlite+aiosqlite:///{path}") as engine:
        bare = await size()
        await fill(engine, county(), days)
        return bare, await size()


async def on_postgres(server: Postgres, days: int) -> tuple[int, int]:
    """As `on_sqlite`."""

    async def size() -> int:
        async with engine.connect() as connection:
            return sum(
                [
                    (await connection.execute(text(f"SELECT pg_total_relation_size('\"{table.name}\"')"))).scalar_one()
                    for table in metadata.sorted_tables
                ]
            )

    async with opened(server.create_database()) as engine:
        bare = await size()
        await fill(engine, county(), days)
        return bare, await size()


def disk(how: How) -> Iterator[Result]:
    days = 30 if how.quick else 90  # it grows by the day; a year takes as long as all other parts

    def site_year(bare: int, filled: int) -> float:
        """MB: the empty tables are there once, what was played comes again."""
        return (bare + (filled - bare) / days * 365) / sites / 1e6

    yardstick = in_prometheus(how.folder).mb if how.prometheus else MB_SITE_YEAR
    sites = len(county().inventory.sites)
    size = site_year(*asyncio.run(on_sqlite(how, days)))
    name = "disk a site-year, {} (yardstick: Prometheus TSDB, 30 s)"
    yield Result(name.format("SQLite"), size, "MB", yardstick, Target("ratio", "most", 1 / 20))
    with Postgres() as server:
        size = site_year(*asyncio.run(on_postgres(server, days)))
    yield Result(name.format("PostgreSQL"), size, "MB", yardstick, Target("ratio", "most", 1 / 8))

"""A small county with a year of random evidence in its database, as judging would have left it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import from_iso
from monitor.core.changes import Changes
from monitor.core.figures import Key
from monitor.core.outage import Outage, outage_key, outages_in
from monitor.core.timeline import BEGINNING, DOWN, UNKNOWN, UP, Edge, Step, Timeline, Value
from monitor.core.window import Window
from monitor.inventory.load import Loaded
from monitor.store import tables
from monitor.store.view import Position, View
from tests.bench.county import DAY, HOUR, MINUTE, county

#: 2026 in Asia/Shanghai.
YEAR = (from_iso("2025-12-31T16:00:00Z"), from_iso("2026-12-31T16:00:00Z"))
#: After the year is settled.
NOW = YEAR[1] + 10 * DAY
SITES = 24


def timelines(loaded: Loaded, seed: int, each: int) -> dict[Key, Timeline]:
    """Of every check: up since a while before the year, then `each` silences of minutes to weeks, some not seen; six of
    them are the whole site's."""
    rng = random.Random(seed)
    dark: dict[str, list[int]] = {}
    result: dict[Key, Timeline] = {}
    for key in loaded.inventory.checks:
        at = YEAR[0] - rng.randrange(40) * DAY - rng.randrange(DAY)
        steps = [Step(BEGINNING, UNKNOWN), Step(at, UP, Edge(at - MINUTE, at, "beat", None, [at, at, "mqtt", "b", 1]))]
        together = dark.setdefault(key[0], rng.sample(range(YEAR[0], YEAR[1], 7 * MINUTE), 6))
        for start in sorted([*together, *rng.sample(range(at + HOUR, YEAR[1] + 20 * DAY, 7 * MINUTE), each)]):
            if start <= steps[-1].at:
                continue
            before = [start - MINUTE, start - MINUTE, "mqtt", "b", 10]
            shape = 0.2 if start in together else 0.35
            again = start + MINUTE * int(min(20 * 24 * 60, 5 * rng.paretovariate(shape)))
            value: Value = UNKNOWN if rng.random() < 0.25 else DOWN
            steps.append(Step(start, value, Edge(start - MINUTE, start, "silence", before)))
            if rng.random() < 0.2 and again - start > 2 * MINUTE:
                steps.append(Step(start + MINUTE, UNKNOWN if value == DOWN else DOWN, Edge(start, again, "channel")))
            after = [again, again, "mqtt", rng.choice("bc"), 10 + rng.randrange(1, 40)]
            steps.append(Step(again, UP, Edge(again - MINUTE, again, "beat", before, after)))
        result[key] = steps
    return result


def outages(checks: Mapping[Key, Timeline]) -> list[Outage]:
    """Those of these timelines; a terminal has one check."""
    return [
        Outage(
            outage_key(site, kind, start), site, kind, start, end, over,
            "open" if over is None else "ended", start_edge, end_edge,
        )
        for (site, kind, _), timeline in checks.items()
        for start, end, over, start_edge, end_edge in outages_in(timeline)
    ]  # fmt: skip


async def stage(engine: AsyncEngine, seed: int = 1, each: int = 40) -> Loaded:
    """Evidence, windows (some retroactive), losses."""
    loaded = county(SITES)
    makers = loaded.settings.reports.model_copy(
        update={"unit": "县委组织部", "filled_by": "张三", "responsible": "李四"}
    )
    loaded = replace(loaded, settings=loaded.settings.model_copy(update={"reports": makers}))
    checks = timelines(loaded, seed, each)
    view = View(engine, "bench")
    await view.number_checks(loaded.inventory)
    spans = [(key, steps[1].at, list(steps)) for key, steps in checks.items()]
    losses: list[tuple[str, int, int, int | None]]
    losses = [("mqtt", 0, BEGINNING, YEAR[0]), ("mqtt", 1, YEAR[0] + 40 * DAY, YEAR[0] + 40 * DAY + HOUR)]
    await view.save(
        [Changes(spans=spans, outages=outages(checks), losses=losses)], Position("bench-2027-01-10.jsonl", 1, NOW)
    )
    async with engine.begin() as connection:
        rows = [
            {
                "scope": w.scope, "start_ms": w.start, "end_ms": w.end, "declared_ms": w.at, "declared_by": "li",
                "reason": "检修", "retroactive": w.retroactive, "approved_ms": w.approved, "approved_by": w.approved_by,
            }
            for w in windows(loaded)
        ]  # fmt: skip
        await connection.execute(insert(tables.window), rows)
    return loaded


def windows(loaded: Loaded) -> list[Window]:
    """Two a month for everything or a village, one of them over the month's end; in May a retroactive one."""
    village = list(loaded.inventory.sites)[-1]
    found = []
    for month in range(1, 13):
        day = from_iso(f"2026-{month:02d}-10T01:00:00Z")
        found.append(Window("county", day, day + 3 * HOUR, at=day - DAY))
        end = from_iso(f"2026-{month:02d}-28T01:00:00Z") + 3 * DAY
        found.append(Window(f"site:{village}", end, end + 2 * DAY, at=end - DAY))
    may = from_iso("2026-05-20T01:00:00Z")
    found.append(
        Window("level:village", may, may + DAY, at=may + 2 * DAY, retroactive=True, approved=may, approved_by="wang")
    )
    return found

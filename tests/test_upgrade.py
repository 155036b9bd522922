"""Upgrade from the state of the first issue: what that program kept, and the figures that it gave, under today's.

`tests/data/first_issue` was made by it on both databases (`make.py.txt` says how): five weeks of beats, probes, wills,
late beats, losses, a stop and two kills, the second with a database that was hours behind its log.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from monitor.clock import from_datetime
from monitor.core.access import Actor, Role
from monitor.flows.days import chain_closed_days
from monitor.flows.judging import Judge
from monitor.flows.observe import Observer
from monitor.flows.replay import figures, rebuild, replay
from monitor.flows.reports.seal import seal
from monitor.flows.reports.verify import verify_reports
from monitor.flows.verify import verify
from monitor.intake.tokens import Token, Tokens
from monitor.inventory.load import Loaded, load
from monitor.publish.answer import answer
from monitor.settings import Settings
from monitor.store import tokens
from monitor.store.database import opened
from monitor.store.view import View
from tests.dump import rows
from tests.sealed_months import quiet
from tests.services import Postgres
from tests.small_county import DrivenClock

DATA = Path(__file__).parent / "data" / "first_issue"
#: As the first program gave them, of its own database; by the period's name.
FIGURES: dict[str, dict[str, Any]] = json.loads((DATA / "figures.json").read_text(encoding="utf-8"))
ZONE, HOUR = Settings().zone, 3_600_000
APPROVER = Actor("王审批", frozenset({Role.APPROVER}))


def at(month: int, day: int, hour: int = 0) -> int:
    """Local, of 2026."""
    return from_datetime(datetime(2026, month, day, hour, tzinfo=ZONE))


#: When the first program was killed, when today's was started, and when October may be sealed.
KILLED, UPGRADED, SETTLED = at(11, 2, 10), at(11, 2, 11), at(11, 5, 10)


@pytest.fixture(params=["sqlite", "postgresql"])
def upgraded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The folder and the URL, with what the first program left there: tables, rows, log."""
    kept = zstandard.ZstdDecompressor().decompress((DATA / "kept.tar.zst").read_bytes(), max_output_size=1 << 24)
    with tarfile.open(fileobj=io.BytesIO(kept)) as archive:
        archive.extractall(tmp_path, filter="data")
    url = f"sqlite+aiosqlite:///{tmp_path}/monitor.db"
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.create_database()
        postgres.psql((tmp_path / "monitor.sql").read_text(), url.rsplit("/", 1)[1])
    with (tmp_path / "config" / "monitor.toml").open("a") as file:
        file.write(
            f'[database]\nurl = "{url}"\n[evidence]\nfolder = "{tmp_path}/evidence"\n'
            f'[papers]\nfolder = "{tmp_path}/papers"\n[anchors]\nfile = "{tmp_path}/anchors.jsonl"\n'
        )
    yield tmp_path, url
    if request.param == "postgresql":
        postgres.drop_database(url)


async def first_rows(url: str) -> dict[str, set[tuple[Any, ...]]]:
    """Spans, days and outages that are over, by names, as any of the programs has them."""
    engine = create_async_engine(url)
    asked = {
        "span": 'select site, terminal, "check", start_ms, value, edge from span join "check" on id = check_id',
        "digest": "select observer, day, body from digest",
        "outage": "select key, start_ms, end_ms, over_ms, state, start_how, end_how from outage where state = 'ended'",
    }
    try:
        async with engine.connect() as connection:
            return {name: {*map(tuple, await connection.execute(text(sql)))} for name, sql in asked.items()}
    finally:
        await engine.dispose()


async def run(loaded: Loaded, engine: AsyncEngine, folder: Path, start: int, end: int) -> None:
    """Today's service, from `start` until it is stopped at `end`; three terminals beat."""
    clock = DrivenClock(start)
    observer = Observer(loaded, clock, View(engine, "test"), folder / "evidence")
    await observer.start()
    while clock.at < end:
        for channel in ("mqtt", "http", "probe"):
            observer.alive(channel)
        for site, kind, via in (("C1", "tv", "mqtt"), ("V1", "pc", "mqtt"), ("V1", "mobile", "http")):
            if (site, kind) in observer.engine.terminals:
                assert observer.heartbeat(site, kind, via, sent_at=clock.at, boot="new") is None
        await observer.cut()
        await observer.save()
        clock.at += 3 * HOUR
    await observer.stop()


async def test_upgraded_with_data_in_it(upgraded: tuple[Path, str]) -> None:
    folder, url = upgraded
    loaded = load(folder / "config", serving=False)
    before = await first_rows(url)
    assert {name: len(found) for name, found in before.items()} == {"span": 50, "digest": 34, "outage": 7}

    # Today's tables, and the service goes on with the log, over day's ends.
    async with opened(url) as engine:
        await run(loaded, engine, folder, UPGRADED, SETTLED)
        told = [Token.of_row(row) for row in await tokens.rows(engine)]
        assert Tokens(told, DrivenClock(SETTLED)).signs_in("V1/pc", "zhdj_of_the_first_issue")

        # What the first program had written stands as it was, and its figures are the same, to the last digit.
        after = await first_rows(url)
        assert all(before[name] <= after[name] for name in before)
        for period, expected in FIGURES.items():
            assert answer(await figures(engine, loaded, span(period))) == expected, period
        assert "V1/pc" in {"/".join(row[0].split("/")[:2]) for row in after["outage"] - before["outage"]}

        # October can be sealed, and verify works it out again from the first program's log.
        await chain_closed_days(engine, loaded.settings, SETTLED)
        report = await seal(engine, loaded, APPROVER, "2026-10", SETTLED)
        found = await verify(engine, loaded.settings, SETTLED, progress=quiet())
        await verify_reports(engine, loaded, found, progress=quiet())
        assert [fault.says for fault in found.faults] == []
        assert [(one.period, one.how) for one in found.reports] == [(report.period, "log")]
        assert found.days > 30
    assert await rebuilt(loaded, folder) == await rows(url)


@pytest.mark.parametrize("upgraded", ["sqlite"], indirect=True)
async def test_what_came_before_the_first_version_is_judged_by_it(upgraded: tuple[Path, str]) -> None:
    """The inventory is changed on the day of the upgrade, and later: neither a restart on that day nor a rebuild from
    the log takes the files that hold now for what held then."""
    folder, url = upgraded
    loaded = load(folder / "config", serving=False)
    async with opened(url) as engine:
        await run(loaded, engine, folder, UPGRADED, UPGRADED + 2 * HOUR)
        checks = folder / "config" / "checks.csv"
        changed = [line for line in checks.read_text().splitlines() if not line.startswith("V1,mobile")]
        checks.write_text("\n".join(changed).replace("V2,pc,heartbeat-mqtt,,7200,", "V2,pc,heartbeat-mqtt,,600,"))
        later = load(folder / "config", serving=False)
        await run(later, engine, folder, UPGRADED + 4 * HOUR, UPGRADED + 6 * HOUR)
        await run(later, engine, folder, UPGRADED + 8 * HOUR, SETTLED)
        await chain_closed_days(engine, later.settings, SETTLED)
        await seal(engine, later, APPROVER, "2026-10", SETTLED)
        assert answer(await figures(engine, later, span("2026-10"))) == FIGURES["2026-10"]
        again, _ = await replay(later, [folder / "evidence"], span("2026-10"))
        assert answer(again) == FIGURES["2026-10"]
        found = await verify(engine, later.settings, SETTLED, progress=quiet())
        await verify_reports(engine, later, found, progress=quiet())
        assert [fault.says for fault in found.faults] == []
        assert [one.how for one in found.reports] == ["log"]


@pytest.mark.long
@pytest.mark.parametrize("upgraded", ["sqlite"], indirect=True)
async def test_every_head_of_the_first_program_says_all_that_judging_needs(upgraded: tuple[Path, str]) -> None:
    loaded = load(upgraded[0] / "config", serving=False)
    files = sorted((upgraded[0] / "evidence").glob("*.jsonl*"))
    for i, path in enumerate(files[1:-1], 1):
        month, day = map(int, path.name.removeprefix("test-2026-")[:5].split("-"))
        period = at(month, day), KILLED
        (whole, _), (rest, _) = [await replay(loaded, traces, period) for traces in (files, files[i:])]
        assert answer(rest) == answer(whole), path.name


def span(period: str) -> tuple[int, int]:
    expected = FIGURES[period]
    return from_datetime(datetime.fromisoformat(expected["from"])), from_datetime(
        datetime.fromisoformat(expected["to"])
    )


async def rebuilt(loaded: Loaded, folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The rows that follow from the log alone."""
    url = f"sqlite+aiosqlite:///{folder}/anew.db"
    async with opened(url) as engine:
        view = View(engine, "test")
        await view.number_checks(loaded.inventory)
        await rebuild(view, Judge(loaded), [folder / "evidence"], torn_end=True)
    return await rows(url)

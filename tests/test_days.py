"""Closed days of the evidence log: into the chain once, also after a crash; away when old; what is changed is found."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import from_iso
from monitor.evidence.log import compress
from monitor.flows import days
from monitor.flows.days import chain_closed_days, closed_logs, kept_from, prune_logs
from monitor.settings import Retention, Settings
from monitor.store import audit, evidence_days, tables
from monitor.store.database import opened
from monitor.store.evidence_days import Day
from tests.tampering import checked, settings_of

NOW = from_iso("2020-10-20T02:00:00Z")
TEXT = b'{"at": "2020-10-%02dT00:00:00Z", "event": "opened"}\n'


def write_log(settings: Settings, day: str, text: bytes, *, closed: bool = True) -> Path:
    path = Path(settings.evidence.folder) / f"{settings.observer}-{day}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    if closed:
        compress(path)
        path = path.with_name(path.name + ".zst")
    return path


async def follow(engine: AsyncEngine, day: str) -> None:
    """The database follows that day's log, so that all before it is written down."""
    async with engine.begin() as connection:
        await connection.execute(delete(tables.cut))
        row = {"observer": "kaijiang", "file": f"kaijiang-{day}.jsonl", "offset": 1, "at_ms": NOW}
        await connection.execute(insert(tables.cut).values(row))


async def chained(engine: AsyncEngine) -> dict[int, Day]:
    async with engine.connect() as connection:
        return await evidence_days.days(connection, "kaijiang")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_of(tmp_path, database_url)


@pytest.fixture
async def engine(database_url: str, settings: Settings) -> AsyncIterator[AsyncEngine]:
    """With three closed days and one that goes on; of the first there is a row in `digest`."""
    async with opened(database_url) as made:
        for day in (10, 11, 12):
            write_log(settings, f"2020-10-{day}", TEXT % day)
        write_log(settings, "2020-10-13", TEXT % 13, closed=False)
        async with made.begin() as connection:
            row = {"observer": "kaijiang", "day": 20201010, "body": b"packed"}
            await connection.execute(insert(tables.digest).values(row))
        yield made


async def test_closed_days_go_into_the_chain_once_and_in_order(engine: AsyncEngine, settings: Settings) -> None:
    await follow(engine, "2020-10-13")
    assert await chain_closed_days(engine, settings, NOW) == 3
    assert await chain_closed_days(engine, settings, NOW) == 0
    plain = TEXT % 11
    found = await chained(engine)
    assert list(found) == [20201010, 20201011, 20201012]
    assert found[20201011] == Day("kaijiang", 20201011, len(plain), hashlib.sha256(plain).hexdigest(), "")
    assert found[20201010].digest == hashlib.sha256(b"packed").hexdigest()
    verified = await checked(engine, settings)
    assert (verified.faults, verified.days) == ([], 3)


async def test_a_day_waits_for_the_database_to_have_it_whole(engine: AsyncEngine, settings: Settings) -> None:
    assert await chain_closed_days(engine, settings, NOW) == 0
    await follow(engine, "2020-10-11")
    assert await chain_closed_days(engine, settings, NOW) == 1
    await follow(engine, "2020-10-13")
    assert await chain_closed_days(engine, settings, NOW) == 2


async def test_a_crash_between_two_days_or_in_one_leaves_none_out_and_none_twice(
    engine: AsyncEngine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await follow(engine, "2020-10-13")
    real, calls = evidence_days.append, 0

    async def dies(*arguments: object) -> object:
        nonlocal calls
        made = await real(*arguments)  # type: ignore[arg-type]
        calls += 1
        if calls == 2:
            raise RuntimeError("killed before the commit")
        return made

    monkeypatch.setattr(evidence_days, "append", dies)
    with pytest.raises(RuntimeError):
        await chain_closed_days(engine, settings, NOW)
    assert list(await chained(engine)) == [20201010]
    await asyncio.gather(*(chain_closed_days(engine, settings, NOW) for _ in range(3)))
    assert list(await chained(engine)) == [20201010, 20201011, 20201012]
    assert (await checked(engine, settings)).faults == []


async def test_a_file_that_is_being_compressed_or_is_none_of_ours_is_left_alone(
    engine: AsyncEngine, settings: Settings
) -> None:
    packed = closed_logs(settings)[20201012]
    packed.with_name("kaijiang-2020-10-12.jsonl").write_bytes(b"still there")
    packed.with_name("kaijiang-2020-99-99.jsonl.zst").write_bytes(b"")
    packed.with_name("other-2020-10-12.jsonl.zst").write_bytes(b"")
    assert list(closed_logs(settings)) == [20201010, 20201011]


async def test_a_damaged_log_does_not_stop_the_others(engine: AsyncEngine, settings: Settings) -> None:
    await follow(engine, "2020-10-13")
    path = closed_logs(settings)[20201011]
    path.write_bytes(path.read_bytes()[:-5])
    assert await chain_closed_days(engine, settings, NOW) == 2
    assert list(await chained(engine)) == [20201010, 20201012]


# --- what is changed --------------------------------------------------------------------------------------------------


async def kinds(engine: AsyncEngine, settings: Settings) -> list[tuple[int, str]]:
    return [(f.n, f.kind) for f in (await checked(engine, settings)).faults]


async def test_a_log_that_was_changed_damaged_or_removed_is_found(engine: AsyncEngine, settings: Settings) -> None:
    settings = settings.model_copy(update={"retention": settings.retention.model_copy(update={"evidence_months": 360})})
    await follow(engine, "2020-10-13")
    await chain_closed_days(engine, settings, NOW)
    logs = closed_logs(settings)
    write_log(settings, "2020-10-10", (TEXT % 10).replace(b"opened", b"closed"))
    assert await kinds(engine, settings) == [(20201010, "log_changed")]
    logs[20201011].write_bytes(logs[20201011].read_bytes()[:-5])
    logs[20201012].unlink()
    assert await kinds(engine, settings) == [
        (20201010, "log_changed"),
        (20201011, "log_damaged"),
        (20201012, "log_missing"),
    ]


async def test_a_changed_or_deleted_digest_is_found(engine: AsyncEngine, settings: Settings) -> None:
    await follow(engine, "2020-10-13")
    await chain_closed_days(engine, settings, NOW)
    async with engine.begin() as connection:
        await connection.execute(update(tables.digest).values(body=b"better"))
    assert await kinds(engine, settings) == [(20201010, "digest")]
    async with engine.begin() as connection:
        await connection.execute(delete(tables.digest))
    assert await kinds(engine, settings) == [(20201010, "digest")]


# --- retention --------------------------------------------------------------------------------------------------------


def test_thirteen_whole_months_are_kept() -> None:
    assert kept_from(date(2026, 11, 30), Settings()) == date(2025, 10, 1)
    assert kept_from(date(2026, 1, 1), Settings()) == date(2024, 12, 1)


@pytest.mark.parametrize("months", [0, 12, -1])
def test_less_than_thirteen_months_are_refused(months: int) -> None:
    with pytest.raises(ValueError, match="greater than or equal to 13"):
        Retention(evidence_months=months)


async def test_old_logs_go_once_the_chain_has_them_and_a_later_one(engine: AsyncEngine, settings: Settings) -> None:
    later = from_iso("2021-11-30T15:00:00Z")  # local 30 November: October 2020 is to be kept
    assert await prune_logs(engine, settings, later) == 0
    later = from_iso("2021-11-30T16:00:00Z")  # local 1 December
    assert await prune_logs(engine, settings, later) == 0, "nothing stands in the chain"
    await follow(engine, "2020-10-12")
    await chain_closed_days(engine, settings, NOW)
    assert await prune_logs(engine, settings, later) == 1, "the newest in the chain stays"
    await follow(engine, "2020-10-13")
    await chain_closed_days(engine, settings, NOW)
    assert await prune_logs(engine, settings, later) == 1
    assert list(closed_logs(settings)) == [20201012]
    assert (Path(settings.evidence.folder) / "kaijiang-2020-10-13.jsonl").exists()
    async with engine.connect() as connection:
        rows = await audit.rows(connection)
    assert [(r["who"], r["action"], r["what"].split(":")[0]) for r in rows] == [
        ("system", days.PRUNED, "kaijiang-2020-10-10.jsonl.zst"),
        ("system", days.PRUNED, "kaijiang-2020-10-11.jsonl.zst"),
    ]
    assert hashlib.sha256(TEXT % 10).hexdigest() in rows[0]["what"]
    assert (await checked(engine, settings)).faults == [], "what we removed ourselves, and its digest, hold"
    longer = settings.model_copy(update={"retention": Retention(evidence_months=360)})
    assert (await checked(engine, longer)).faults == [], "also where they are to be kept longer from now on"
    async with engine.connect() as connection:
        assert len((await connection.execute(select(tables.digest))).all()) == 1

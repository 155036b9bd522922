"""Sealed reports: what may be sealed, by whom, once; what happens when figures change; the service by itself."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from monitor.core.access import SYSTEM, Actor, Forbidden
from monitor.core.chain import BEGINNING
from monitor.core.report_figures import FIGURES, Difference, differences
from monitor.errors import MonitorError
from monitor.evidence import anchors
from monitor.flows import windows
from monitor.flows.anchoring import Anchoring
from monitor.flows.ledger.asking import Asking, Where
from monitor.flows.ledger.drafting import draft
from monitor.flows.ledger.money_in import add_fund
from monitor.flows.ledger.stepping import approve, register
from monitor.flows.reports import kept, schedule
from monitor.flows.reports.keeping import Keeping
from monitor.flows.reports.seal import restate, seal
from monitor.flows.windows import Plan
from monitor.inventory.load import load
from monitor.store import audit, reports, tables
from monitor.store.database import opened
from tests.ledgers import FINANCE, FUND, new_entry, new_fund
from tests.sealed_months import APPROVER, HOUR, NOW, OPERATOR, SECOND, Sealing, at, play, sealing, write_config
from tests.serving import environment

OCTOBER = "2026-10"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asyncio.run(play(tmp_path_factory.getbasetemp() / "october"))


@pytest.fixture
async def it(played: Path, tmp_path: Path, database_url: str) -> AsyncIterator[Sealing]:
    async with sealing(played, tmp_path, database_url) as found:
        yield found


@pytest.fixture
async def here(played: Path, tmp_path: Path) -> AsyncIterator[Sealing]:
    """On SQLite alone: for what no database can change."""
    async with sealing(played, tmp_path, f"sqlite+aiosqlite:///{tmp_path / 'monitor.db'}") as found:
        yield found


class FakeBoard:
    """What Keeping and Anchoring say."""

    def __init__(self) -> None:
        self.restatements_due: int | None = None
        self.sealed: Mapping[str, int] = {}
        self.warnings: dict[str, str] = {}

    def warn(self, part: str, what: str) -> None:
        self.warnings.pop(part, None)
        if what:
            self.warnings[part] = what


async def kept_now(it: Sealing) -> list[reports.Kept]:
    async with it.engine.connect() as connection:
        return await reports.listed(connection)


async def audited(it: Sealing, action: str = "month.seal") -> list[tuple[str, str, str]]:
    async with it.engine.connect() as connection:
        return [(r["who"], r["outcome"], r["what"]) for r in await audit.rows(connection) if r["action"] == action]


async def facts_of(it: Sealing, n: int = 1) -> dict[str, Any]:
    async with it.engine.connect() as connection:
        found: dict[str, Any] = msgspec.json.decode(await reports.facts(connection, n))
        return found


async def a_late_window(it: Sealing, *, approve_at: int = NOW + HOUR) -> None:
    """A maintenance that nobody had told of in time, declared on Monday the 2nd and approved after the sealing."""
    plan = Plan("site:V1", datetime(2026, 10, 30), datetime(2026, 10, 31, 12), "换光缆")  # noqa: DTZ001  # local
    [declared] = await windows.declare(it.engine, it.loaded, OPERATOR, plan, at(11, 2, 9))
    assert declared.state == "proposed"
    await windows.approve(it.engine, it.loaded, APPROVER, declared.id, approve_at)


# --- sealing ----------------------------------------------------------------------------------------------------------


async def test_a_settled_month_is_sealed_once_and_stays_as_it_is(it: Sealing) -> None:
    made = await seal(it.engine, it.loaded, APPROVER, OCTOBER, NOW)
    assert (made.period, made.revision, made.state, made.sealed_by) == (OCTOBER, 0, "sealed", APPROVER.name)
    assert (made.n, made.previous, made.approval) == (1, BEGINNING, None)
    facts = await facts_of(it)
    assert facts["counted"]["sites"]["total"] == {"planned": 3, "maintained": 2, "failed": 1, "unproven": 0}
    assert (facts["settled"], facts["demo"]) == (True, False)
    assert {one["why"]: one["sites"] for one in facts["unknown"]} == {"channel": 3}
    async with it.engine.connect() as connection:
        once, again = [await kept.sealed(connection, OCTOBER) for _ in range(2)]
        assert await kept.sealed(connection, "2026-09") is None
    assert once is not None
    assert once == again
    assert hashlib.sha256(once).hexdigest() == made.sha256
    assert once == msgspec.json.encode(msgspec.json.decode(once), order="sorted"), "canonical"

    with pytest.raises(MonitorError, match=r"^2026-10 已由 王审批 于 2026-11-05 10:00 定稿；.*更正版"):
        await seal(it.engine, it.loaded, SECOND, OCTOBER, NOW + HOUR)
    assert await audited(it) == [
        (APPROVER.name, "done", "report 2026-10"),
        (SECOND.name, "refused", "report 2026-10"),
    ]
    # What the service writes down outside the database, and mails, has the head of this chain too.
    anchoring = Anchoring(it.engine, it.loaded.settings, FakeBoard())  # type: ignore[arg-type]
    await anchoring.start(NOW + HOUR)
    assert anchors.read(it.folder / "anchors.jsonl").newest()["report"][2:] == (1, made.hash)


TOO_EARLY = [
    ("2026-11", NOW, "2026-11 尚未结束，只能预览，不能定稿"),
    (OCTOBER, at(10, 31, 23, 59), "2026-10 尚未结束，只能预览，不能定稿"),
    (OCTOBER, at(11, 4, 1, 29), "2026-10 尚未结清：迟到的证据仍可能到达，2026-11-04 01:30 起方可定稿"),
    ("2026-08", NOW, "2026-08 没有可定稿的内容：监测自 2026-09-30 21:00 开始"),
    ("2026-Q3", NOW, "只有月度报告可以定稿，2026-Q3 只能预览"),
    ("October", NOW, "应为"),
]


async def test_too_early_or_too_little_is_refused(here: Sealing) -> None:
    for month, now, says in TOO_EARLY:
        with pytest.raises(MonitorError) as error:
            await seal(here.engine, here.loaded, APPROVER, month, now)
        assert says in str(error.value)
    assert await kept_now(here) == []
    assert [outcome for _, outcome, _ in await audited(here)] == ["refused"] * len(TOO_EARLY)


async def test_from_the_minute_on_it_is_settled_it_can_be_sealed_and_little_evidence_is_no_obstacle(
    here: Sealing,
) -> None:
    assert (await seal(here.engine, here.loaded, APPROVER, OCTOBER, at(11, 4, 1, 30))).n == 1
    # Of September three hours are known: 监测数据不足, and that is what it then says.
    made = await seal(here.engine, here.loaded, APPROVER, "2026-09", NOW)
    assert (made.n, made.previous) == (2, (await kept_now(here))[0].hash)
    assert (await facts_of(here, 2))["counted"]["sites"]["total"]["unproven"] == 3


async def test_who_may_not_and_a_database_that_is_behind_the_log(here: Sealing) -> None:
    with pytest.raises(Forbidden, match="需要角色 审批"):
        await seal(here.engine, here.loaded, OPERATOR, OCTOBER, NOW)
    async with here.engine.begin() as connection:
        await connection.execute(update(tables.cut).values(at_ms=at(11, 2)))
    with pytest.raises(MonitorError, match=r"只到 2026-11-02 00:00，须到 2026-11-04 01:30"):
        await seal(here.engine, here.loaded, APPROVER, OCTOBER, NOW)


async def test_what_was_played_is_never_sealed(played: Path, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'monitor.db'}"
    async with sealing(played, tmp_path, url, top="demo = true") as it:
        with pytest.raises(MonitorError, match="演示数据"):
            await seal(it.engine, it.loaded, APPROVER, OCTOBER, NOW)
        await schedule.schedule(it.engine, it.loaded.settings, APPROVER, at(10, 20), on=True)
        board = FakeBoard()
        await Keeping(it.engine, board).step(it.loaded, NOW)  # type: ignore[arg-type]
        assert (await kept_now(it), board.restatements_due, board.warnings) == ([], None, {})


async def test_of_two_who_seal_at_once_one_does_and_the_other_is_told(it: Sealing, database_url: str) -> None:
    async with opened(database_url) as other:
        done = await asyncio.gather(
            seal(it.engine, it.loaded, APPROVER, OCTOBER, NOW),
            seal(other, it.loaded, SECOND, OCTOBER, NOW),
            return_exceptions=True,
        )
    [winner] = [one for one in done if isinstance(one, reports.Kept)]
    [told] = [one for one in done if not isinstance(one, reports.Kept)]
    assert isinstance(told, MonitorError)
    assert f"已由 {winner.sealed_by} 于" in str(told)
    assert await kept_now(it) == [winner]


KILLED = """
import asyncio, sys
from pathlib import Path
from monitor.flows.reports.seal import seal
from monitor.inventory.load import load
from monitor.store import audit
from monitor.store.database import opened
from tests.ledgers import FINANCE, FUND, new_entry, new_fund
from tests.sealed_months import APPROVER, NOW

async def stop(*_):
    print("in the middle", flush=True)
    await asyncio.sleep(60)

async def main():
    loaded = load(Path(sys.argv[1]), serving=False)
    async with opened(loaded.settings.database.url.get_secret_value()) as engine:
        audit.write = stop  # the row is written, its transaction is not over
        await seal(engine, loaded, APPROVER, "2026-10", NOW)

asyncio.run(main())
"""


@pytest.mark.parametrize("database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True)
async def test_killed_in_the_middle_of_sealing_it_leaves_nothing(it: Sealing) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED, str(it.config)), stdout=asyncio.subprocess.PIPE, env=environment()
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"in the middle\n"
    finally:
        process.kill()
        await process.wait()
    assert await kept_now(it) == []
    made = await seal(it.engine, it.loaded, APPROVER, OCTOBER, NOW)
    assert (made.n, made.previous) == (1, BEGINNING)


async def test_the_rows_cannot_be_changed(it: Sealing) -> None:
    await seal(it.engine, it.loaded, APPROVER, OCTOBER, NOW)
    tries = ["UPDATE report SET reason = 'x'", "DELETE FROM report"]
    if it.engine.dialect.name == "sqlite":
        tries.append("INSERT OR REPLACE INTO report SELECT * FROM report")
    else:
        tries.append("TRUNCATE report")
    for statement in tries:
        with pytest.raises(DBAPIError, match="定稿的报告不能改动"):
            async with it.engine.begin() as connection:
                await connection.execute(text(statement))
    assert len(await kept_now(it)) == 1


# --- restating --------------------------------------------------------------------------------------------------------


async def test_a_late_approval_is_noticed_and_restated_by_a_person(it: Sealing) -> None:
    board = FakeBoard()
    keeping = Keeping(it.engine, board)  # type: ignore[arg-type]
    first = await seal(it.engine, it.loaded, APPROVER, OCTOBER, NOW)
    await keeping.step(it.loaded, NOW + 60_000)
    assert (board.restatements_due, board.warnings) == (0, {})
    assert board.sealed == {OCTOBER: NOW}
    with pytest.raises(MonitorError, match="数字与最近一次定稿完全相同"):
        await restate(it.engine, it.loaded, APPROVER, OCTOBER, "以防万一", NOW + 60_000)
    with pytest.raises(MonitorError, match="2026-09 还没有定稿"):
        await restate(it.engine, it.loaded, APPROVER, "2026-09", "补录", NOW + 60_000)

    await a_late_window(it)
    later = NOW + HOUR + 60_000
    await keeping.step(it.loaded, later)
    assert board.restatements_due == 1
    assert board.warnings["report to be restated"].startswith("2026-10 (")
    # A service that was started anew sees it as well.
    afresh = FakeBoard()
    await Keeping(it.engine, afresh).step(it.loaded, later)  # type: ignore[arg-type]
    assert afresh.restatements_due == 1

    with pytest.raises(MonitorError, match="须说明理由"):
        await restate(it.engine, it.loaded, APPROVER, OCTOBER, " ", later)
    with pytest.raises(Forbidden):
        await restate(it.engine, it.loaded, OPERATOR, OCTOBER, "补录", later)
    second = await restate(it.engine, it.loaded, APPROVER, OCTOBER, "补录检修：换光缆", later)
    assert (second.revision, second.state, second.reason) == (1, "restated", "补录检修：换光缆")
    assert second.previous == first.hash
    async with it.engine.connect() as connection:
        newest, different = await kept.about(connection, OCTOBER)
        before, nothing = await kept.about(connection, OCTOBER, 0)
    assert (newest, before, nothing) == (second, first, [])
    assert Difference("sites.V1.verdict", "failed", "maintained") in different
    assert Difference("counted.sites.total.failed", 1, 0) in different
    [counted] = [d for d in different if d.part.startswith("outages.V1/tv/") and d.part.endswith(".counted_here")]
    assert (counted.before, counted.after) == (36 * HOUR, 0)
    assert (await facts_of(it, 1))["sites"][2]["verdict"] == "failed", "what was sealed says what it said"
    assert (await facts_of(it, 2))["without_retroactive"]["sites"]["total"]["failed"] == 1

    await keeping.step(it.loaded, later + 60_000)
    assert (board.restatements_due, board.warnings) == (0, {})
    with pytest.raises(MonitorError, match="完全相同"):
        await restate(it.engine, it.loaded, APPROVER, OCTOBER, "再来一次", later + HOUR)


async def test_evidence_that_changed_by_itself_is_noticed_on_the_next_day(here: Sealing) -> None:
    board = FakeBoard()
    keeping = Keeping(here.engine, board)  # type: ignore[arg-type]
    await seal(here.engine, here.loaded, APPROVER, OCTOBER, NOW)
    await keeping.step(here.loaded, NOW + 60_000)
    async with here.engine.begin() as connection:  # as a log that was put back and read again would
        await connection.execute(update(tables.span).where(tables.span.c.value == 0).values(value=2))
    await keeping.step(here.loaded, NOW + 2 * HOUR)
    assert board.restatements_due == 0, "nobody did anything"
    await keeping.step(here.loaded, NOW + 24 * HOUR)
    assert board.restatements_due == 1


async def test_money_that_is_registered_later_is_noticed(here: Sealing) -> None:
    def ask(actor: Actor, when: int) -> Asking:
        return Asking(here.engine, actor, when, date(2026, 11, 6), "")

    before = at(10, 1, 9)
    await add_fund(ask(FINANCE, before), replace(new_fund(), year=2026, dated=date(2026, 1, 6)))
    board = FakeBoard()
    keeping = Keeping(here.engine, board)  # type: ignore[arg-type]
    await seal(here.engine, here.loaded, APPROVER, OCTOBER, NOW)
    await keeping.step(here.loaded, NOW + 60_000)
    entry = replace(new_entry(12_345, ["V1"]), where=Where(2026, FUND), dated=date(2026, 10, 20))
    made = await draft(ask(FINANCE, NOW + HOUR), here.loaded.inventory, entry, here.folder)
    await approve(ask(APPROVER, NOW + HOUR), [int(made["id"])])
    await keeping.step(here.loaded, NOW + HOUR + 60_000)
    assert board.restatements_due == 0, "nothing is paid yet"
    await register(ask(FINANCE, NOW + 2 * HOUR), [int(made["id"])], date(2026, 10, 28), "记-12")
    await keeping.step(here.loaded, NOW + 2 * HOUR + 60_000)
    assert board.restatements_due == 1
    made_new = await restate(here.engine, here.loaded, APPROVER, OCTOBER, "补登十月凭证", NOW + 3 * HOUR)
    async with here.engine.connect() as connection:
        found = await reports.differences(connection, made_new.n)
    assert {d.part.split(".")[0] for d in found} == {"money"}
    assert Difference("money.by_site.V1", None, 12_345) in found


# --- by itself --------------------------------------------------------------------------------------------------------


async def test_with_an_approval_the_service_seals_on_the_configured_day(it: Sealing) -> None:
    board = FakeBoard()
    keeping = Keeping(it.engine, board)  # type: ignore[arg-type]
    await keeping.step(it.loaded, NOW)
    assert await kept_now(it) == [], "nobody has allowed it"
    with pytest.raises(Forbidden):
        await schedule.schedule(it.engine, it.loaded.settings, OPERATOR, at(10, 20), on=True)
    await schedule.schedule(it.engine, it.loaded.settings, APPROVER, at(10, 20), on=True)
    await keeping.step(it.loaded, at(11, 4, 23, 59))
    assert await kept_now(it) == []
    await keeping.step(it.loaded, at(11, 5, 0, 1))
    [made] = await kept_now(it)
    assert (made.period, made.sealed_by, made.at_ms) == (OCTOBER, SYSTEM.name, at(11, 5, 0, 1))
    async with it.engine.connect() as connection:
        [named] = [r for r in await audit.rows(connection) if r["n"] == made.approval]
    assert (named["who"], named["action"], named["what"]) == (
        APPROVER.name,
        "month.schedule",
        "每月 5 日自动定稿上月报告",
    )
    await keeping.step(it.loaded, NOW)
    assert len(await kept_now(it)) == 1
    assert await audited(it) == [("system", "done", "report 2026-10")]


async def test_a_day_that_was_missed_is_caught_up_and_what_was_ended_is_not(here: Sealing) -> None:
    board = FakeBoard()
    keeping = Keeping(here.engine, board)  # type: ignore[arg-type]
    settings = here.loaded.settings
    await schedule.schedule(here.engine, settings, APPROVER, at(10, 20), on=True)
    await schedule.schedule(here.engine, settings, APPROVER, at(10, 21), on=False)
    await keeping.step(here.loaded, at(11, 20))
    assert await kept_now(here) == []
    await schedule.schedule(here.engine, settings, APPROVER, at(11, 6), on=True)
    await keeping.step(here.loaded, at(11, 20))
    assert await kept_now(here) == [], "October's day had passed when it was allowed"
    other = load(write_config(here.folder / "other", str(here.engine.url), top=""), serving=False).settings
    other = other.model_copy(update={"reports": other.reports.model_copy(update={"seal_on_day": 7})})
    async with here.engine.connect() as connection:
        assert await schedule.approved(connection, other) is None, "an approval is for its day"
    await schedule.schedule(here.engine, settings, APPROVER, at(11, 5, 9), on=True)
    await keeping.step(here.loaded, at(11, 20))
    assert [one.period for one in await kept_now(here)] == [OCTOBER]


async def test_a_month_that_cannot_be_sealed_on_its_day_is_told(here: Sealing) -> None:
    board = FakeBoard()
    keeping = Keeping(here.engine, board)  # type: ignore[arg-type]
    await schedule.schedule(here.engine, here.loaded.settings, APPROVER, at(10, 20), on=True)
    async with here.engine.begin() as connection:
        await connection.execute(update(tables.cut).values(at_ms=at(11, 2)))
    await keeping.step(here.loaded, at(11, 5, 12))
    assert board.warnings == {}
    await keeping.step(here.loaded, at(11, 7))
    assert "数据库跟随证据日志只到" in board.warnings["report not sealed"]


# --- differences ------------------------------------------------------------------------------------------------------


def test_what_merely_goes_on_after_the_period_is_no_difference() -> None:
    outage = {"key": "V1/tv/x", "start": 5, "end": None, "over": None, "cause": "", "order": "", "exempted": False}
    before = {"end": 10, "as_of": 10, "outages": [outage], "orders": [{"number": "1", "state": "open"}]}
    after = {
        "end": 10,
        "software": "2",
        "outages": [{**outage, "cause": "power", "order": "1"}],
        "orders": [{"number": "1", "state": "closed"}],
    }
    assert differences(before, after) == []
    there = {**after, "outages": [{**outage, "exempted": True}], "windows": [{"id": 3, "here": 1}]}
    assert [d.part for d in differences({**before, "windows": []}, there)] == ["outages.V1/tv/x.exempted", "windows.3"]


def test_what_an_earlier_program_did_not_know_is_no_difference_but_what_it_knew_is() -> None:
    def report(**more: object) -> dict[str, object]:
        sums = {"total": {"up": 5, **more}, "village": {"up": 5}}
        return {"counted": {"sums": sums}, "sites": [{"site": "V1", "verdict": "failed", "why": [], **more}]}

    old = report()
    assert differences(old, {**report(new=7), "unknown": [{"why": "channel"}]}) == []
    assert [d.part for d in differences(report(new=7), report(new=8))] == ["counted.sums.total.new", "sites.V1.new"]
    [found] = differences(old, {**old, "sites": []})
    assert found == Difference("sites.V1", {"site": "V1", "verdict": "failed", "why": []}, None)
    money = {"by_site": {"V1": 5}, "funds": []}
    found_too = differences({**old, "money": money}, {**old, "money": {**money, "by_site": {"V1": 5, "V2": 1}}})
    assert found_too == [Difference("money.by_site.V2", None, 1)]


FACTS = st.recursive(st.integers() | st.text(max_size=3) | st.none(), lambda x: st.dictionaries(st.text(max_size=3), x))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIGURES[:4]), FACTS))
def test_a_report_does_not_differ_from_itself(facts: dict[str, object]) -> None:
    assert differences(facts, facts) == []

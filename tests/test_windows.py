"""Planned windows from the declaration to the figures: who may, what counts, what the evidence log is told, and that a
replay of the log says what the database says."""

# ruff: noqa: DTZ001  # naive datetimes are what clocks on the wall show

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from monitor.clock import from_iso
from monitor.core.access import Forbidden
from monitor.core.figures import Figures
from monitor.core.planning import Repeat
from monitor.core.window import Window
from monitor.errors import MonitorError
from monitor.evidence.lines import WindowLine, decode, encode
from monitor.evidence.reading import read_lines, trace_files
from monitor.flows import windows
from monitor.flows.judging import Judge
from monitor.flows.month import month_so_far
from monitor.flows.observe import Observer
from monitor.flows.replay import figures, rebuild, replay
from monitor.flows.told_windows import KEPT_MS, line_of
from monitor.flows.windows import Plan
from monitor.flows.work_json import window_json
from monitor.inventory.load import load
from monitor.publish.answer import answer
from monitor.store import audit, reading
from monitor.store.database import opened
from monitor.store.tables import window
from monitor.store.view import View
from monitor.store.windows import Declared, in_force
from tests.small_county import APPROVER, BOTH, MINUTE, OF_T2, OPERATOR, VIEWER, County, county, write_county

#: 10:05 on 2026-10-12, a Monday, where `county` begins.
NOW = datetime(2026, 10, 12, 10, 5)
HOUR = timedelta(hours=1)


async def declare(it: County, scope: str, start: datetime, end: datetime, **more: object) -> list[Declared]:
    plan = Plan(scope, start, end, "线路检修", **more)  # type: ignore[arg-type]
    return await windows.declare(it.engine, it.loaded, OPERATOR, plan, it.clock.at)


async def take_up(it: County) -> None:
    """What the service's loop does every few seconds (app.py, `tables`)."""
    async with it.engine.connect() as connection:
        told = await in_force(connection)
    for one in it.observer.judge.windows.missing(told, it.clock.at):
        it.observer.window(one)
    await it.keep()


def told(it: County) -> list[WindowLine]:
    lines = [read.line for path in trace_files([it.observer.folder]) for read in read_lines(path, torn_end=True)]
    return [line for line in lines if isinstance(line, WindowLine)]


async def counting(it: County) -> list[Window]:
    async with it.engine.connect() as connection:
        return await reading.windows(connection)


async def test_a_window_ahead_counts_at_once_and_is_told_to_the_log_once(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        [made] = await declare(it, "site:V1", NOW + HOUR, NOW + 2 * HOUR)
        assert (made.state, made.window.retroactive, made.window.by) == ("counts", False, OPERATOR.name)
        for _ in range(3):
            await take_up(it)
        [line] = told(it)
        assert (line.scope, line.reason, line.declared_by, line.cancelled) == ("site:V1", "线路检修", "李运维", None)
        it.observer.log.close()
        # A crash, and the same again: the log says it already.
        observer = Observer(it.loaded, it.clock, View(it.engine, "test"), it.observer.folder)
        await observer.start()
        it.observer = observer
        await take_up(it)
        assert len(told(it)) == 1
        [called_off] = await windows.cancel(it.engine, it.loaded, OPERATOR, made.id, "改期", it.clock.at)
        assert called_off.state == "cancelled"
        for _ in range(2):
            await take_up(it)
        assert [line.cancelled is None for line in told(it)] == [True, False]
        assert await counting(it) == []
        with pytest.raises(MonitorError, match="不能取消"):
            await windows.cancel(it.engine, it.loaded, OPERATOR, made.id, "改期", it.clock.at)


async def test_what_is_declared_during_an_outage_for_later_is_not_called_after_the_fact(tmp_path: Path) -> None:
    """It waits for a second person all the same: nobody stops the clock of an outage that goes on alone."""
    async with county(tmp_path, "sqlite+aiosqlite://") as it:
        await it.play(10, silent=("V1/tv",))
        plans = {
            "停机期间申报": Plan("site:V1", NOW + HOUR, NOW + 2 * HOUR, "换机柜"),
            "事后补录": Plan("site:V1", NOW, NOW + 2 * HOUR, "停电"),
            "": Plan("site:V2", NOW + HOUR, NOW + 2 * HOUR, "换机柜"),
        }
        for mark, plan in plans.items():
            [made] = await windows.declare(it.engine, it.loaded, OPERATOR, plan, it.clock.at)
            assert (made.window.mark, made.window.retroactive, made.state == "proposed") == (
                mark,
                bool(mark),
                bool(mark),
            )
            assert window_json(made)["mark"] == mark
            if mark:
                await windows.approve(it.engine, it.loaded, APPROVER, made.id, it.clock.at)
        async with it.engine.connect() as connection:
            said = [r["what"] for r in await audit.rows(connection) if r["action"] == "window.approve"]
        assert said == ["计划检修 1 停机期间申报审批：site:V1", "计划检修 2 事后补录审批：site:V1"]


async def test_what_is_entered_after_the_fact_waits_for_a_second_person(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        start = it.clock.at
        await it.play(30, silent=("V1",))
        await it.play(30)
        period = (start, it.clock.at)
        before = await figures(it.engine, it.loaded, period)
        plan = Plan("site:V1", NOW - HOUR, NOW + HOUR, "补录：停电")
        [made] = await windows.declare(it.engine, it.loaded, BOTH, plan, it.clock.at)
        assert (made.state, made.window.retroactive) == ("proposed", True)
        await take_up(it)
        assert told(it) == []
        assert await figures(it.engine, it.loaded, period) == before
        for who in (OPERATOR, VIEWER, BOTH):
            with pytest.raises(Forbidden):
                await windows.approve(it.engine, it.loaded, who, made.id, it.clock.at)
        [approved] = await windows.approve(it.engine, it.loaded, APPROVER, made.id, it.clock.at)
        assert (approved.state, approved.window.approved_by) == ("counts", APPROVER.name)
        with pytest.raises(MonitorError, match="不在待审批状态"):
            await windows.reject(it.engine, it.loaded, APPROVER, made.id, "迟了", it.clock.at)
        await take_up(it)
        [line] = told(it)
        assert (line.retroactive, line.approved_by) == (True, APPROVER.name)
        after = await figures(it.engine, it.loaded, period)
        assert _down(after, "V1") == 0
        assert after.without_retroactive is not None
        assert (after.without_retroactive.terminals, after.without_retroactive.sites) == (
            before.terminals,
            before.sites,
        )
        async with it.engine.connect() as connection:
            outcomes = [(r["who"], r["action"], r["outcome"]) for r in await audit.rows(connection)]
        assert (BOTH.name, "window.approve", "refused") in outcomes
        assert (APPROVER.name, "window.approve", "done") in outcomes

        # The log alone says the same, and the answer names both sides.
        again, _ = await replay(it.loaded, [it.observer.folder], period)
        assert again == after
        said = json.loads(json.dumps(answer(again)))
        assert all(t["down_s"] == 0 for t in said["terminals"] if t["site"] == "V1")
        assert all(t["down_s"] > 0 for t in said["without_retroactive"]["terminals"] if t["site"] == "V1")
        assert "after_exemptions" not in said


async def test_a_trace_is_answered_with_and_without_what_was_declared_late(tmp_path: Path) -> None:
    """In a trace all windows are approved; whether one is retroactive follows from the trace."""
    loaded = load(write_county(tmp_path / "config"), serving=False)

    def beat(at: str) -> str:
        return f'{{"type":"heartbeat","at":"2026-10-12T{at}Z","site":"V1","terminal":"tv","via":"mqtt"}}'

    def declared(at: str) -> str:
        span = '"start":"2026-10-12T02:10:00Z","end":"2026-10-12T02:50:00Z"'
        return f'{{"type":"window","at":"2026-10-12T{at}Z","scope":"site:V1",{span},"reason":"x"}}'

    alive = '{"type":"channel","at":"2026-10-12T02:20:00Z","channel":"mqtt","event":"restored"}'
    period = (from_iso("2026-10-12T02:00:00Z"), from_iso("2026-10-12T03:00:00Z"))
    beats = [beat(f"02:{m:02d}:00") for m in range(5)]
    for name, lines, late in (
        ("before", [declared("02:00:00"), *beats, alive, beat("02:59:00")], False),
        ("while down", [*beats, alive.replace("02:20", "02:09"), declared("02:09:30"), beat("02:59:00")], True),
        ("after its start", [*beats, alive, declared("02:20:00"), beat("02:59:00")], True),
    ):
        trace = tmp_path / f"{name}.jsonl"
        trace.write_text("\n".join(lines) + "\n", encoding="utf-8")
        found, _ = await replay(loaded, [trace], period)
        assert (found.without_retroactive is not None) == late, name
        assert sum(m.measure.planned for m in found.terminals) == 2 * 40 * MINUTE, name
        if found.without_retroactive is not None:
            [tv] = [m for m in found.without_retroactive.terminals if (m.site.site_id, m.terminal) == ("V1", "tv")]
            assert (tv.measure.planned, tv.measure.down) == (0, 54 * MINUTE), name


async def test_the_month_so_far_has_both_sides(tmp_path: Path) -> None:
    async with county(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/monitor.db") as it:
        await it.play(30, silent=("V1",))
        await it.play(5)
        month = await month_so_far(it.engine, it.loaded, it.clock.at)
        assert month.without_retroactive is None
        [made] = await declare(it, "site:V1", NOW - HOUR, NOW + HOUR)
        await windows.approve(it.engine, it.loaded, APPROVER, made.id, it.clock.at)
        both = await month_so_far(it.engine, it.loaded, it.clock.at)
        assert both.without_retroactive == month.levels
        assert both.levels["village"].down_s < month.levels["village"].down_s


async def test_a_rejected_one_never_counts(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        [made] = await declare(it, "county", NOW - HOUR, NOW + HOUR)
        [rejected] = await windows.reject(it.engine, it.loaded, APPROVER, made.id, "无依据", it.clock.at)
        assert (rejected.state, rejected.note) == ("rejected", "无依据")
        with pytest.raises(MonitorError, match="不在待审批状态"):
            await windows.approve(it.engine, it.loaded, APPROVER, made.id, it.clock.at)
        assert await counting(it) == []


async def test_declared_while_something_in_it_is_down_needs_approval_too(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        await it.play(10, silent=("V1/pc",))
        assert [d.state for d in await declare(it, "terminal:V1/tv", NOW + HOUR, NOW + 2 * HOUR)] == ["counts"]
        assert [d.state for d in await declare(it, "township:T2", NOW + HOUR, NOW + 2 * HOUR)] == ["counts"]
        assert [d.state for d in await declare(it, "township:T1", NOW + HOUR, NOW + 2 * HOUR)] == ["proposed"]


async def test_calling_off_erases_nothing_that_has_passed(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        [made] = await declare(it, "site:V1", NOW + timedelta(minutes=5), NOW + 3 * HOUR)
        start = it.clock.at
        await take_up(it)
        await it.play(5)
        await it.play(40, silent=("V1",))
        await windows.cancel(it.engine, it.loaded, OPERATOR, made.id, "提前完成", it.clock.at)
        await take_up(it)
        await it.play(20, silent=("V1",))
        period = (start, it.clock.at)
        found = await figures(it.engine, it.loaded, period)
        [tv] = [m for m in found.terminals if (m.site.site_id, m.terminal) == ("V1", "tv")]
        assert tv.measure.planned == 40 * MINUTE
        assert tv.measure.down == 20 * MINUTE
        again, _ = await replay(it.loaded, [it.observer.folder], period)
        assert again == found


async def test_a_series_is_declared_approved_and_called_off_together(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        start = datetime(2026, 10, 13, 8)
        made = await declare(it, "level:village", start, start + HOUR, repeat=Repeat.WEEKLY, last=date(2026, 11, 10))
        assert [d.window.start for d in made] == [
            from_iso(f"{day}T00:00:00Z")
            for day in ("2026-10-13", "2026-10-20", "2026-10-27", "2026-11-03", "2026-11-10")
        ]
        assert {d.series for d in made} == {made[0].id}
        await windows.cancel(it.engine, it.loaded, OPERATOR, made[1].id, "", it.clock.at)
        assert len(await counting(it)) == 4
        await windows.cancel(it.engine, it.loaded, OPERATOR, made[3].id, "", it.clock.at, series=True)
        assert await counting(it) == []
        await it.play(10, silent=("V1/pc",))
        late = await declare(it, "level:village", start, start + HOUR, repeat=Repeat.MONTHLY, last=date(2026, 12, 31))
        assert [d.state for d in late] == ["proposed"] * 3
        await windows.approve(it.engine, it.loaded, APPROVER, late[2].id, it.clock.at)
        assert len(await counting(it)) == 3


@pytest.mark.parametrize(
    ("scope", "start", "end", "says"),
    [
        ("village", NOW, NOW + HOUR, "范围应为"),
        ("site:V9", NOW, NOW + HOUR, "清单中没有这个站点"),
        ("township:T0", NOW, NOW + HOUR, "清单中没有这个乡镇"),
        ("terminal:V1/mobile", NOW, NOW + HOUR, "清单中没有这个机位"),
        ("county", NOW + HOUR, NOW + HOUR, "必须早于"),
        # Saturday 10 October was worked: Monday reaches back over Saturday, Friday and Thursday.
        ("county", datetime(2026, 10, 7, 23, 59), NOW, "3 个工作日"),
    ],
)
async def test_what_cannot_be_declared_leaves_nothing(
    tmp_path: Path, scope: str, start: datetime, end: datetime, says: str
) -> None:
    async with county(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/monitor.db") as it:
        with pytest.raises(MonitorError, match=says):
            await declare(it, scope, start, end)
        assert await windows.listed(it.engine, it.loaded, VIEWER, since=None) == []
        [made] = await declare(it, "county", datetime(2026, 10, 8), NOW)
        assert made.state == "proposed"
        with pytest.raises(MonitorError, match="已登记过"):
            await declare(it, "county", datetime(2026, 10, 8), NOW)


async def test_who_is_limited_to_townships_declares_for_these(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        for scope in ("site:W1", "township:T2", "terminal:W1/tv"):
            plan = Plan(scope, NOW + HOUR, NOW + 2 * HOUR, "检修")
            await windows.declare(it.engine, it.loaded, OF_T2, plan, it.clock.at)
        for scope in ("site:V1", "county", "level:village"):
            plan = Plan(scope, NOW + HOUR, NOW + 2 * HOUR, "检修")
            with pytest.raises(Forbidden):
                await windows.declare(it.engine, it.loaded, OF_T2, plan, it.clock.at)


async def test_a_database_that_is_rebuilt_knows_what_the_log_tells(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/monitor.db") as it:
        await declare(it, "site:V1", NOW + HOUR, NOW + 2 * HOUR)
        [late] = await declare(it, "site:V2", NOW - HOUR, NOW + 2 * HOUR)
        [off] = await declare(it, "site:V3", NOW + HOUR, NOW + 2 * HOUR)
        await take_up(it)
        await windows.approve(it.engine, it.loaded, APPROVER, late.id, it.clock.at)
        await windows.cancel(it.engine, it.loaded, OPERATOR, off.id, "", it.clock.at)
        await take_up(it)
        # Over midnight, so that a day begins whose head tells of them.
        await it.play(15 * 60)
        expected = await counting(it)
        days = sorted(it.observer.folder.glob("*.jsonl*"))
        assert len(days) == 2
        for name, traces in (("all", days), ("second day alone", days[1:])):
            url = database_url if name == "all" else f"sqlite+aiosqlite:///{tmp_path}/other.db"
            async with opened(url) as engine:
                view = View(engine, "test")
                await view.number_checks(it.loaded.inventory)
                await rebuild(view, Judge(it.loaded), traces, torn_end=True)
                async with engine.connect() as connection:
                    assert sorted(w.identity for w in await reading.windows(connection)) == sorted(
                        w.identity for w in expected
                    ), name
                    assert (await connection.execute(select(func.count()).select_from(window))).scalar() == 3


def test_a_line_comes_back_as_it_went_and_an_old_one_means_what_it_did() -> None:
    whole = Window("site:V1", 1_000, 9_000, "检修", 500, "李", True, 2_000, "王", 3_000)
    line = decode(encode(line_of(whole, 4_000)), "here")
    assert isinstance(line, WindowLine)
    plain = decode(
        b'{"type":"window","at":"2026-10-12T02:00:00Z","scope":"county",'
        b'"start":"2026-10-12T01:00:00Z","end":"2026-10-12T03:00:00Z","reason":"x"}',
        "here",
    )
    assert isinstance(plain, WindowLine)
    assert (plain.declared, plain.retroactive, plain.cancelled) == (None, False, None)


async def test_the_head_of_a_day_forgets_what_is_as_old_as_the_evidence(tmp_path: Path) -> None:
    async with county(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/monitor.db") as it:
        held = it.observer.judge.windows
        old, new = Window("county", 0, it.clock.at - KEPT_MS), Window("county", 0, it.clock.at)
        held.put(old)
        held.put(new)
        assert [w for w in held.load(held.state(it.clock.at))] == [new]
        assert held.missing([old, new], it.clock.at) == []


def _down(found: Figures, site: str) -> int:
    return sum(m.measure.down for m in found.terminals if m.site.site_id == site)

"""Inspections: a round's plan stays, its coverage follows from visits, overdue ones show, reports get their figures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import from_iso
from monitor.core.access import Forbidden
from monitor.core.inspection import Finding, Result, Round, State, Visit, coverage
from monitor.errors import MonitorError
from monitor.flows import inspections, order_acts
from monitor.inventory.load import Loaded, load
from monitor.store.database import opened
from monitor.store.tables import inspection_finding, inspection_visit
from tests.folders import TODAY, write_sound
from tests.people import OF_T1, OPERATOR, VIEWER

NOW = from_iso("2026-10-12T10:00:00+08:00")
FIRST, LAST = date(2026, 10, 1), date(2026, 10, 10)


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    return load(write_sound(tmp_path), today=TODAY)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    async with opened(database_url) as found:
        yield found


def a_visit(
    site: str, day: str = "2026-10-09", reached: bool = True, *found: Finding, corrects: int | None = None
) -> Visit:
    return Visit(0, 1, site, date.fromisoformat(day), "李华、王芳", reached, tuple(found), corrects=corrects)


async def state(engine: AsyncEngine, loaded: Loaded) -> tuple[State, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    (one,) = await inspections.all_rounds(engine, loaded, NOW)
    return one.state, one.reached, one.late, one.missed


async def test_a_round_from_its_plan_to_its_coverage(engine: AsyncEngine, loaded: Loaded) -> None:
    planned = await inspections.plan(engine, loaded, OPERATOR, "十月巡检", "county", FIRST, LAST, NOW)
    assert planned.sites == ("C1", "T1", "V1")
    assert await state(engine, loaded) == (State.OVERDUE, (), (), ("C1", "T1", "V1"))
    await order_acts.open_by_hand(engine, loaded, OPERATOR, "V1", "屏幕不亮", NOW)

    async def visit(new: Visit) -> Visit:
        return await inspections.visit(engine, loaded, OPERATOR, new, NOW)

    broken = Finding("pc", Result.FAULT, "屏幕不亮", "1")
    await visit(a_visit("V1", "2026-10-09", True, broken, Finding("tv", Result.OK)))
    await visit(a_visit("T1", "2026-10-10", False))
    await visit(a_visit("T1", "2026-10-11"))
    assert await state(engine, loaded) == (State.OVERDUE, ("V1",), ("T1",), ("C1",))
    # Nobody was at V1 after all; and then somebody was at C1.
    await visit(a_visit("V1", "2026-10-09", False, corrects=1))
    await visit(a_visit("C1", "2026-10-12"))
    assert await state(engine, loaded) == (State.OVERDUE, (), ("C1", "T1"), ("V1",))
    assert (await inspections.visits(engine, 1))[0].findings == (broken, Finding("tv", Result.OK))
    await visit(a_visit("V1", "2026-10-12", True, Finding("pc", Result.FAULT, "屏幕不亮", "1")))
    assert (await state(engine, loaded))[0] is State.DONE

    october = await inspections.figures(engine, loaded, FIRST, date(2026, 10, 31), NOW)
    assert (october.rounds, october.done, october.overdue) == (1, 1, 0)
    assert (october.planned, october.reached, october.late, october.ratio) == (3, 0, 3, 1.0)
    assert (october.visits, october.sites, october.faults) == (5, 3, 1)
    assert october.by_township == {"T0": 1, "T1": 2}
    assert (await inspections.figures(engine, loaded, date(2026, 11, 1), date(2026, 11, 30), NOW)).ratio is None


@pytest.mark.parametrize(
    ("visit", "says"),
    [
        (a_visit("V1", "2026-10-13"), "只记已发生的事"),
        (a_visit("V1", "2026-09-30"), "过早"),
        (a_visit("V9"), "清单中没有站点 V9"),
        (a_visit("C1"), "不在巡检「村级」的计划内"),
        (a_visit("V1", "2026-10-09", True, Finding("mobile", Result.OK)), "没有机位 mobile"),
        (a_visit("V1", "2026-10-09", False, Finding("pc", Result.OK)), "未到站点"),
        (a_visit("V1", "2026-10-09", True, Finding("pc", Result.FAULT)), "应写明情况"),
        (a_visit("V1", "2026-10-09", True, Finding("pc", Result.FAULT, "屏幕不亮", "GD-7")), "没有工单 GD-7"),
        (a_visit("V1", corrects=7), "没有可更正的第 7 号"),
    ],
)
async def test_what_cannot_be_is_refused(loaded: Loaded, visit: Visit, says: str) -> None:
    async with opened("sqlite+aiosqlite://") as engine:
        await inspections.plan(engine, loaded, OPERATOR, "村级", "level:village", FIRST, LAST, NOW)
        with pytest.raises(MonitorError, match=says):
            await inspections.visit(engine, loaded, OPERATOR, visit, NOW)
        assert await inspections.visits(engine) == []


async def test_who_may_plan_what(loaded: Loaded) -> None:
    async with opened("sqlite+aiosqlite://") as engine:
        for actor, scope in ((VIEWER, "county"), (OF_T1, "county"), (OF_T1, "level:village"), (OF_T1, "site:C1")):
            with pytest.raises(Forbidden):
                await inspections.plan(engine, loaded, actor, "巡检", scope, FIRST, LAST, NOW)
        for scope in ("township:T1", "site:V1"):
            await inspections.plan(engine, loaded, OF_T1, "巡检", scope, FIRST, LAST, NOW)
        for scope, says in (("terminal:V1/pc", "范围应为"), ("township:T9", "没有在用站点"), ("planet", "范围应为")):
            with pytest.raises(MonitorError, match=says):
                await inspections.plan(engine, loaded, OPERATOR, "巡检", scope, FIRST, LAST, NOW)


async def test_a_round_that_is_given_up_is_not_overdue_and_not_counted(engine: AsyncEngine, loaded: Loaded) -> None:
    await inspections.plan(engine, loaded, OPERATOR, "巡检", "county", FIRST, LAST, NOW)
    await inspections.cancel(engine, loaded, OPERATOR, 1, "防汛", NOW)
    assert (await state(engine, loaded))[0] is State.CANCELLED
    assert (await inspections.figures(engine, loaded, FIRST, LAST, NOW)).rounds == 0
    with pytest.raises(MonitorError, match="已取消：防汛"):
        await inspections.visit(engine, loaded, OPERATOR, a_visit("V1"), NOW)
    with pytest.raises(MonitorError, match="已取消"):
        await inspections.cancel(engine, loaded, OPERATOR, 1, "再取消", NOW)


async def test_a_visit_cannot_be_changed_even_in_the_database(engine: AsyncEngine, loaded: Loaded) -> None:
    await inspections.plan(engine, loaded, OPERATOR, "巡检", "county", FIRST, LAST, NOW)
    await inspections.visit(engine, loaded, OPERATOR, a_visit("V1", "2026-10-09", True, Finding("pc", Result.OK)), NOW)
    for statement in (
        update(inspection_visit).values(reached=False),
        delete(inspection_visit),
        update(inspection_finding).values(result="fault"),
        delete(inspection_finding),
    ):
        with pytest.raises(DBAPIError, match="rows are only added"):
            async with engine.begin() as connection:
                await connection.execute(statement)


VISITS = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 20), st.booleans(), st.integers(-5, -1) | st.none()))


@given(VISITS, st.integers(0, 25))
def test_every_planned_site_is_reached_late_or_missed_and_more_visits_never_lose_one(
    made: list[tuple[str, int, bool, int | None]], today: int
) -> None:
    of = Round(1, "巡检", "county", ("A", "B"), FIRST, FIRST + timedelta(days=10))
    visits: list[Visit] = []
    for n, (site, day, reached, back) in enumerate(made, 1):
        corrects = n + back if back is not None and n + back > 0 else None
        if corrects in {v.corrects for v in visits}:
            corrects = None
        visits.append(Visit(n, 1, site, FIRST + timedelta(days=day), "谁", reached, corrects=corrects))
        found = coverage(of, visits, FIRST + timedelta(days=today))
        assert sorted((*found.reached, *found.late, *found.missed)) == ["A", "B"]
        assert (found.state is State.DONE) == (not found.missed)
        if corrects is None and len(visits) > 1:
            before = coverage(of, visits[:-1], FIRST + timedelta(days=today))
            assert set(found.missed) <= set(before.missed)

"""An explained figure adds up: its parts, added again, are what was counted, for any history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.clock import from_iso
from monitor.core.days import local_days
from monitor.core.eras import Era
from monitor.core.explaining import Account, accounts, check_parts
from monitor.core.figures import Counter, Key
from monitor.core.maintenance import site_verdict
from monitor.core.measure import Measure
from monitor.core.timeline import BEGINNING, Step, Timeline, new_timeline
from monitor.core.window import Window
from monitor.flows.history import eras_in
from monitor.flows.replay import replay
from monitor.inventory.load import load
from monitor.publish.documents.blocks import Table
from monitor.publish.reports import explain_account
from monitor.publish.reports.explain_words import Words, unit_for
from monitor.store import reading
from monitor.store.database import opened
from tests import random_traces, test_eras
from tests.test_eras import SITES, all_checks, at, histories, windows

DAY_OF = local_days(UTC)


@settings(max_examples=120, deadline=None)
@given(histories(), windows, all_checks, st.integers(0, 20), st.integers(1, 40))
def test_the_parts_of_every_figure_add_up_to_it(
    eras: list[Era], declared: list[Window], checks: Mapping[Key, Timeline], first: int, length: int
) -> None:
    period = (at(first), at(first + length))
    counter = Counter(eras, declared)
    counted = counter.count(period, checks)
    of_sites = {m.site.site_id: m for m in counted.sites}
    of_terminals = {(m.site.site_id, m.terminal): m for m in counted.terminals}
    for site in SITES:
        told = accounts(counter, site, period, checks, DAY_OF)
        assert {a.terminal for a in told if a.terminal} == {kind for s, kind in of_terminals if s == site}
        for account in told:
            key = (site, account.terminal)
            member = of_sites[site] if account.terminal is None else of_terminals[key]
            assert account.added() == member.measure
            assert account.adds_up()
            assert account.verdict == member.verdict
            assert [p.start for p in account.parts[1:]] == [p.end for p in account.parts[:-1]]
            assert (account.parts[0].start, account.parts[-1].end) == period
            verdict_follows(account)
            printed_adds_up(account)
            shares = sum((s.measure for s in account.shares), Measure())
            assert (shares.up, shares.down, shares.unknown, shares.planned) == (
                member.measure.up,
                member.measure.down,
                member.measure.unknown,
                member.measure.planned,
            )
        if told:
            assert told[-1].terminal is None
            assert told[-1].verdict == site_verdict([a.verdict for a in told[:-1]])  # type: ignore[misc]


def printed_adds_up(account: Account) -> None:
    """What is printed, also where only the first rows are: the calculator gives the sums below and the lines above."""
    unit = unit_for(explain_account.lengths(account))
    found = [b for b in explain_account.blocks(account, Words("UTC"), unit) if isinstance(b, Table)]
    lines = {str(row.cells[1]): row.cells[3] for row in found[0].rows}
    spans = next(t for t in found if t.title.startswith("时间段"))
    names = {"服务内": "服务时间", "检修内": "减：计划检修", "计入在线": "其中在线", "计入中断": "其中中断"}
    names["计入未知"] = "其中未知"
    for rows in (spans.rows, spans.brief or spans.rows):
        for i, column in enumerate(spans.columns):
            if column.title in names:
                added = sum(int(row.cells[i] or 0) for row in rows[:-1])
                assert added == rows[-1].cells[i] == lines[names[column.title]]
    clocks = next((t for t in found if t.title.startswith("停机计时")), None)
    if clocks is not None:
        for rows in (clocks.rows, clocks.brief or clocks.rows):
            here = [row for row in rows[:-1] if row.cells[-1] != "本期之前"]
            assert sum(int(row.cells[6] or 0) for row in here) == rows[-1].cells[6] == lines["超期"]
            assert sum(int(row.cells[3] or 0) for row in here) == rows[-1].cells[3] == lines["其中中断"]
    assert lines["服务时间"] == int(lines["减：计划检修"] or 0) + int(lines["计入时间"] or 0)
    assert lines["核对"] == lines["计入时间"]


def verdict_follows(account: Account) -> None:
    """The comparison that is named gives the verdict."""
    m = account.measure
    expected = {
        "overdue": ("failed", m.overdue > 0),
        "availability": ("failed", m.up + m.down > 0),
        "coverage": (account.verdict, m.total > 0 and account.verdict != "failed"),
        "planned_only": ("unproven", m.total == 0),
        "no_check": ("unproven", True),
        None: (account.verdict, account.terminal is None),
    }
    verdict, holds = expected[account.decided]
    assert account.verdict == verdict
    assert holds


@settings(max_examples=30, deadline=None)
@given(histories(), all_checks)
def test_the_spans_of_a_check_cover_the_period(eras: Sequence[Era], checks: Mapping[Key, Timeline]) -> None:
    counter, period = Counter(eras, []), (at(0), at(test_eras.MINUTES))
    for key, timeline in checks.items():
        parts = check_parts(counter, key[0], key, period, timeline)
        assert sum(p.end - p.start for p in parts) == period[1] - period[0]
        assert all(p.in_service == p.planned + p.counted <= p.end - p.start for p in parts)


def test_of_many_spans_the_first_ones_and_the_rest_in_one_row_add_up() -> None:
    """A check that comes and goes every minute."""
    up_and_down = [Step(at(m), "up" if m % 2 else "down") for m in range(-5, 59)]
    checks = {key: [*new_timeline(), *up_and_down] for key in test_eras.CHECKS}
    eras = [Era(BEGINNING, test_eras.inventory(test_eras.village("A")), test_eras.ALWAYS, test_eras.parameters())]
    told = accounts(Counter(eras, []), "A", (at(0), at(60)), checks, DAY_OF)
    assert len(told[0].parts) > explain_account.BRIEF + 20
    for account in told:
        printed_adds_up(account)
    spans = next(
        b
        for b in explain_account.blocks(told[0], Words("UTC"), unit_for(explain_account.lengths(told[0])))
        if isinstance(b, Table) and b.title.startswith("时间段")
    )
    assert spans.brief is not None
    assert len(spans.brief) == explain_account.BRIEF + 2
    assert [row.cells[2] for row in spans.brief[-2:]] == [f"{len(told[0].parts) - 30} 段", f"{len(told[0].parts)} 段"]


async def test_figures_of_random_traces_are_explained_from_the_database(tmp_path: Path) -> None:
    """With the edges, as they are read for one site, every sum is what was counted without."""
    explained = 0
    for seed in range(4):
        case = random_traces.draw(Random(seed), tmp_path / str(seed), 3_600)
        loaded, period = load(case.folder, serving=False), (from_iso(case.start), from_iso(case.end))
        url = f"sqlite+aiosqlite:///{tmp_path}/{seed}.db"
        await replay(loaded, [case.folder / "trace.jsonl"], period, url=url)
        async with opened(url) as engine, engine.connect() as connection:
            counter = Counter(await eras_in(connection, loaded), await reading.windows(connection))
            counted = counter.count(period, await reading.timelines(connection, *period))
            for member in counted.sites:
                site = member.site.site_id
                own = await reading.timelines(connection, *period, edges=True, sites=[site])
                told = accounts(counter, site, period, own, local_days(loaded.settings.zone))
                assert all(a.adds_up() for a in told)
                assert told[-1].measure == member.measure
                explained += 1
    assert explained > 4

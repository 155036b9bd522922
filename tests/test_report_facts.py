"""The facts of a period: they add up over months and days, agree with the figures that are shown elsewhere, and are the
same bytes whenever and wherever they are gathered."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import NamedTuple

import pytest

from monitor.clock import from_iso
from monitor.core.eras import Era
from monitor.core.figures import Counter as Figures
from monitor.core.figures import Key
from monitor.core.outage import outages_in
from monitor.core.period import parse, settles_at
from monitor.core.report import ReportFacts, Sum
from monitor.core.timeline import BEGINNING, FOREVER, Timeline
from monitor.errors import MonitorError
from monitor.flows.month import month_so_far
from monitor.flows.replay import figures
from monitor.flows.reports import facts_json
from monitor.flows.reports.facts import gather
from monitor.flows.reports.figures import sum_of
from monitor.inventory.load import Loaded
from monitor.inventory.versions import Version, eras_of
from monitor.store.database import opened
from tests.bench.county import DAY, HOUR, MINUTE, county
from tests.staged_year import NOW, YEAR, stage, timelines, windows

MONTHS = [f"2026-{month:02d}" for month in range(1, 13)]


class Played(NamedTuple):
    """A staged year, and what was gathered of it."""

    url: str
    loaded: Loaded
    months: list[ReportFacts]
    year: ReportFacts


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('year')}/year.db"

    async def work() -> Played:
        async with opened(url) as engine:
            loaded = await stage(engine)
            months = [await gather(engine, loaded, parse(name), NOW) for name in MONTHS]
            return Played(url, loaded, months, await gather(engine, loaded, parse("2026"), NOW))

    return asyncio.run(work())


@pytest.fixture
def months(played: Played) -> list[ReportFacts]:
    return played.months


@pytest.fixture
def year(played: Played) -> ReportFacts:
    return played.year


def added(sums: list[Sum]) -> Sum:
    return Sum(*(sum(getattr(one, field.name) for one in sums) for field in fields(Sum)))


def times(one: Sum) -> tuple[int, int, int, int, int]:
    """All but the number of outages, which one that lasts over a boundary belongs to on both sides."""
    return one.up, one.down, one.unknown, one.planned, one.overdue


def test_they_say_who_makes_the_report(months: list[ReportFacts]) -> None:
    assert (months[0].unit, months[0].filled_by, months[0].responsible) == ("县委组织部", "张三", "李四")


def test_the_months_add_up_to_the_year(months: list[ReportFacts], year: ReportFacts) -> None:
    for level in ("county", "township", "village", "total"):
        whole = year.counted.sums[level]
        parts = added([month.counted.sums[level] for month in months])
        assert times(parts) == times(whole)
        assert parts.outages >= whole.outages
    assert year.counted.sums["total"].overdue > 0 < year.counted.sums["total"].unknown
    of_month = [{(s.site, t.terminal): t.sum for s in month.sites for t in s.terminals} for month in months]
    for site in year.sites:
        for terminal in site.terminals:
            parts = added([known[site.site, terminal.terminal] for known in of_month])
            assert times(parts) == times(terminal.sum)


def test_an_outage_over_a_months_end_is_in_both_months_and_once_in_the_year(
    months: list[ReportFacts], year: ReportFacts
) -> None:
    seen = Counter(outage.key for month in months for outage in month.outages)
    keys = [outage.key for outage in year.outages]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(seen)
    twice = [key for key, times in seen.items() if times > 1]
    assert twice
    whole = {outage.key: outage for outage in year.outages}
    for key in seen:
        parts = [outage for month in months for outage in month.outages if outage.key == key]
        assert sum(part.counted_here for part in parts) == whole[key].counted_here
        assert sum(part.overdue_here for part in parts) == whole[key].overdue_here
        assert parts[-1].counted == whole[key].counted
        # In the first of the months nobody knows yet when it will be over.
        assert all(part.over is None for part in parts[:-1])
        assert (parts[-1].over, parts[-1].end) == (whole[key].over, whole[key].end)


def test_outages_and_days_add_up_to_what_is_counted(months: list[ReportFacts], year: ReportFacts) -> None:
    for facts in (*months, year):
        down = Counter[tuple[str, str]]()
        overdue = Counter[tuple[str, str]]()
        number = Counter[tuple[str, str]]()
        for outage in facts.outages:
            down[outage.site, outage.terminal] += outage.counted_here
            overdue[outage.site, outage.terminal] += outage.overdue_here
            number[outage.site, outage.terminal] += outage.counted_here > 0
        for site in facts.sites:
            for t in site.terminals:
                key = (site.site, t.terminal)
                assert (down[key], overdue[key], number[key]) == (t.sum.down, t.sum.overdue, t.sum.outages)
        assert times(added([day.sum for day in facts.days])) == times(facts.counted.sums["total"])
        assert times(added([group.sum for group in facts.townships])) == times(facts.counted.sums["total"])
        assert times(added([group.sum for group in facts.kinds])) == times(
            added([t.sum for site in facts.sites for t in site.terminals])
        )
        assert sum(one.length for one in facts.unknown) == facts.counted.sums["total"].unknown
        assert len(facts.heat) == len(facts.sites)
        assert all(len(row) == len(facts.days) for row in facts.heat)


async def test_they_are_the_figures_that_a_replay_answers(played: Played) -> None:
    loaded, months = played.loaded, played.months
    zone = loaded.settings.zone
    async with opened(played.url) as engine:
        answers = [await figures(engine, loaded, parse(facts.period).interval(zone)) for facts in months]
    for facts, counted in zip(months, answers, strict=True):
        assert {s.site: (times(s.sum), s.sum.outages, s.verdict) for s in facts.sites} == {
            m.site.site_id: (
                (m.measure.up, m.measure.down, m.measure.unknown, m.measure.planned, m.measure.overdue),
                m.measure.outages,
                m.verdict,
            )
            for m in counted.sites
        }
        rates = {name: (r.planned, r.maintained, r.failed, r.unproven) for name, r in counted.site_rates.items()}
        assert {
            name: (r.planned, r.maintained, r.failed, r.unproven) for name, r in facts.counted.sites.items()
        } == rates
        bare = counted.without_retroactive
        assert (facts.without_retroactive is None) == (bare is None)
        # The minimum that the county has is one of those that are told beside it.
        at_090 = next(m for m in facts.minima if m.minimum == "0.90")
        assert at_090.sites == facts.counted.sites["total"]
        assert at_090.terminals == facts.counted.terminals["total"]
        failed = [m.sites.failed for m in facts.minima]
        assert failed == sorted(failed)
    may = months[4]
    assert may.without_retroactive is not None
    assert any(name.startswith("site:") for name in may.without_retroactive.differing)
    assert {name.partition(":")[0] for name in may.without_retroactive.differing} == {
        "site", "terminal", "township", "kind",
    }  # fmt: skip
    assert any(window.retroactive and window.here > 0 for window in may.windows)


async def test_the_last_metrics_of_a_month_are_the_month(played: Played) -> None:
    loaded = played.loaded
    async with opened(played.url) as engine:
        for now in (from_iso("2026-05-21T03:00:00Z"), from_iso("2026-05-31T15:59:59Z")):
            facts = await gather(engine, loaded, parse("2026-05"), now)
            assert (facts.as_of, facts.settled) == (now, False)
            metrics = await month_so_far(engine, loaded, now)
            for level, told in metrics.levels.items():
                mine, rate = facts.counted.sums[level], facts.counted.sites[level]
                seconds = (told.up_s, told.down_s, told.unknown_s, told.planned_s)
                assert seconds == (mine.up / 1000, mine.down / 1000, mine.unknown / 1000, mine.planned / 1000)
                assert (told.maintained, told.failed, told.unproven) == (rate.maintained, rate.failed, rate.unproven)
        with pytest.raises(MonitorError, match="尚未开始"):
            await gather(engine, loaded, parse("2026-05"), from_iso("2026-04-30T16:00:00Z"))


async def test_equal_facts_are_equal_bytes_on_every_database(months: list[ReportFacts], database_url: str) -> None:
    async with opened(database_url) as engine:
        loaded = await stage(engine)
        again = await gather(engine, loaded, parse("2026-05"), NOW)
    data = facts_json.dump(again)
    assert data == facts_json.dump(months[4])
    assert facts_json.read(data) == again
    plain = json.loads(data)
    canonical = json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert data == canonical.encode()
    assert not any(isinstance(value, float) for value in _values(plain))
    with pytest.raises(MonitorError, match="no facts of a report"):
        facts_json.read(data[:-1])


def _values(plain: object) -> list[object]:
    if isinstance(plain, dict):
        return [v for value in plain.values() for v in _values(value)]
    if isinstance(plain, list):
        return [v for value in plain for v in _values(value)]
    return [plain]


def test_a_long_list_is_the_same_in_pieces(months: list[ReportFacts], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = facts_json.dump(months[4])
    monkeypatch.setattr(facts_json, "_AT_ONCE", 7)
    assert b"".join(facts_json.chunks(months[4])) == whole


def test_beside_it_stand_the_month_before_and_who_failed_again(months: list[ReportFacts]) -> None:
    first, second = months[0], months[1]
    # There was evidence in the last days of December, and none a year ago.
    assert [(c.period, c.counted is not None) for c in first.compared] == [("2025-12", True), ("2025-01", False)]
    assert second.compared[0].counted == first.counted
    failed = [{s.site for s in month.sites if s.verdict == "failed"} for month in months]
    for n, facts in enumerate(months[2:], 2):
        running = dict(facts.failed_running)
        assert set(running) == failed[n]
        for site, count in running.items():
            if count <= n:
                assert all(site in failed[n - back] for back in range(count))
                assert site not in failed[n - count]
    assert max(count for facts in months for _, count in facts.failed_running) >= 3


def test_why_names_what_decided_a_verdict(months: list[ReportFacts]) -> None:
    reasons = {
        (terminal.verdict, why)
        for facts in months
        for site in facts.sites
        for name, why in site.why
        for terminal in site.terminals
        if terminal.terminal == name
    }
    assert reasons >= {("failed", "overdue"), ("unproven", "coverage")}
    assert {why for verdict, why in reasons if verdict == "failed"} <= {"overdue", "availability"}
    assert not [s for facts in months for s in facts.sites if bool(s.why) == (s.verdict == "maintained")]


def test_what_is_known_of_causes_losses_and_eras(months: list[ReportFacts], year: ReportFacts) -> None:
    assert {o.edge_cause for o in year.outages} == {"", "line", "restart", "standstill"}
    assert [(one.channel, one.reason, one.end) for one in months[1].losses] == [
        ("mqtt", "channel", YEAR[0] + 40 * DAY + HOUR)
    ]
    [era] = months[1].eras
    assert (era.since, era.version) == (months[1].start, 0)
    assert era.parameters["maintenance.coverage_min"] == "0.9"
    assert months[1].settled
    assert months[1].settles_at == months[1].end + 4 * MINUTE + 72 * HOUR


def test_periods_are_local_days() -> None:
    lengths = {"2026-02": 28, "2024-02": 29, "2026-Q1": 90, "2026-H2": 184, "2026": 365, "2026-03-01..2026-05-15": 76}
    for name, days in lengths.items():
        period = parse(name)
        assert (period.name, len(period.days())) == (name, days)
    found = [parse("2026-01").before(), parse("2026-Q1").before(), parse("2026-H1").year_before()]
    assert [p.name for p in found if p] == ["2025-12", "2025-Q4", "2025-H1"]
    assert parse("2026-03-01..2026-05-15").before() is None
    assert parse("2026-03-15..2026-05-15").months == ["2026-03", "2026-04", "2026-05"]
    for wrong in (
        "2026-13",
        "2026-Q5",
        "2026-H3",
        "26",
        "2026-02-30..2026-03-01",
        "2026-03-02..2026-03-01",
        "2026-1",
        "",
    ):
        with pytest.raises(MonitorError, match="期间"):
            parse(wrong)


def test_a_period_is_settled_when_no_late_beat_can_change_it() -> None:
    checks = county(3).inventory.checks.values()
    assert settles_at(0, checks) == 4 * MINUTE + 72 * HOUR
    assert settles_at(0, []) == 72 * HOUR


def test_a_limit_that_changes_within_the_period_leaves_days_and_outages_adding_up() -> None:
    """By the county's own limits until June, then by two hours: the overdue of an outage over the change is of both."""
    loaded = county(8)
    checks = timelines(loaded, 2, 30)
    [first] = eras_of([Version(0, BEGINNING, loaded)])
    two_hours = dict.fromkeys(first.parameters.repair_limit_ms, 2 * HOUR)
    june = Era(parse("2026-06").interval(loaded.settings.zone)[0], first.inventory, first.service,
               replace(first.parameters, repair_limit_ms=two_hours))  # fmt: skip
    counter = Figures([first, june], windows(loaded))
    days = [(start, start + DAY) for start in range(YEAR[0], YEAR[1], DAY)]
    overdue = 0
    for member in counter.count(YEAR, checks).terminals:
        site, kind, measure = member.site.site_id, str(member.terminal), member.measure
        course, timeline = counter.course(site, kind), counter.terminal_timeline(site, kind, checks)
        well, own = course.by_day(timeline, days)
        parts = added([sum_of(own.get(i, good)) for i, good in enumerate(well)])
        assert times(parts) == times(sum_of(measure))
        clocks = [
            course.clock(timeline, (start, FOREVER if over is None else over), YEAR,
                         course.counted((min(start, YEAR[0]), YEAR[1]), False)[1])
            for start, _, over, _, _ in outages_in(timeline)
            if start < YEAR[1] and (over is None or over > YEAR[0])
        ]  # fmt: skip
        assert sum(c.here for c in clocks) == measure.down
        assert sum(c.overdue for c in clocks) == measure.overdue
        overdue += measure.overdue
    assert overdue > overdue_by(first, loaded, checks)


def overdue_by(era: Era, loaded: Loaded, checks: Mapping[Key, Timeline]) -> int:
    """What is overdue where the limits never change."""
    return sum(m.measure.overdue for m in Figures([era], windows(loaded)).count(YEAR, checks).terminals)

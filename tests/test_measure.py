"""Measures, roll-ups, verdicts and rates against the naive model, second by second."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.figures import _of_site
from monitor.core.maintenance import rates, site_verdict, terminal_verdict
from monitor.core.measure import Measure, measure
from monitor.core.sites import Level
from monitor.core.status import site_state
from monitor.core.timeline import (
    DOWN,
    UNKNOWN,
    UP,
    Interval,
    Timeline,
    Value,
    new_timeline,
    replace,
    roll_up,
    roll_up_values,
    spans,
)
from monitor.core.timeline import Step as TimelineStep
from monitor.core.window import Window, intersect, length, subtract, union
from tests import model, strategies

LENGTH = 60


def timeline_of(values: list[str]) -> Timeline:
    timeline = new_timeline()
    replace(timeline, 0, [TimelineStep(t * 1000, v) for t, v in enumerate(values)])  # type: ignore[arg-type]
    return timeline


def values_of(timeline: Timeline, end: int = LENGTH) -> list[str]:
    return [v for a, b, v in spans(timeline, 0, end * 1000) for _ in range(a // 1000, b // 1000)]


def intervals_of(predicate: list[bool]) -> list[Interval]:
    return union((t * 1000, t * 1000 + 1000) for t, yes in enumerate(predicate) if yes)


period = st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)).map(sorted)


@settings(max_examples=400, deadline=None)
@given(
    strategies.value_lists(LENGTH),
    strategies.predicates(LENGTH),
    strategies.predicates(LENGTH),
    period,
    st.integers(0, 12),
)
def test_measures_are_those_of_the_model(
    values: list[str], in_service: list[bool], window: list[bool], period: list[int], limit_s: int
) -> None:
    start, end = period
    expected = model.measures(values, in_service, window, start, end, limit_s)
    counted = measure(
        timeline_of(values), (start * 1000, end * 1000), intervals_of(in_service), intervals_of(window), limit_s * 1000
    )
    seconds = [counted.up, counted.down, counted.unknown, counted.planned, counted.overdue]
    assert [ms / 1000 for ms in seconds] == [
        expected.up_s,
        expected.down_s,
        expected.unknown_s,
        expected.planned_s,
        expected.overdue_s,
    ]
    assert counted.outages == expected.outages
    assert counted.availability == expected.availability
    assert counted.availability_low == expected.availability_low
    assert counted.availability_high == expected.availability_high
    assert counted.coverage == expected.coverage
    # I3: up + down + unknown + planned = service time, exactly.
    assert counted.total + counted.planned == 1000 * sum(in_service[start:end])


@settings(max_examples=200, deadline=None)
@given(strategies.value_lists(LENGTH), strategies.predicates(LENGTH), period, period, st.integers(0, 12))
def test_parts_of_a_period_add_up(
    values: list[str], in_service: list[bool], a: list[int], b: list[int], limit_s: int
) -> None:
    """The seconds and the overdue seconds of the months are those of the year, wherever the months are cut."""
    cuts = sorted([*a, *b])
    timeline, service = timeline_of(values), intervals_of(in_service)

    def one(start: int, end: int) -> Measure:
        return measure(timeline, (start * 1000, end * 1000), service, [], limit_s * 1000)

    parts = sum((one(x, y) for x, y in itertools.pairwise(cuts)), Measure())
    whole = one(cuts[0], cuts[-1])
    assert (parts.up, parts.down, parts.unknown, parts.overdue) == (whole.up, whole.down, whole.unknown, whole.overdue)


@settings(max_examples=200, deadline=None)
@given(st.lists(strategies.value_lists(LENGTH), min_size=1, max_size=4), st.integers(0, LENGTH - 1))
def test_roll_ups_are_kleenes(members: list[list[str]], since: int) -> None:
    timelines = [timeline_of(m) for m in members]
    for choose, name in ((max, "any"), (min, "all")):
        expected = model.terminal_values(members, name)
        assert values_of(roll_up(timelines, choose)) == expected
        # From anywhere on, as the engine does after a change.
        later = new_timeline()
        replace(later, 0, roll_up(timelines, choose, since * 1000))
        assert values_of(later)[since:] == (expected or [])[since:]


@given(st.lists(st.sampled_from(["up", "down", "unknown"]), min_size=1, max_size=4))
def test_a_sites_state_is_the_models(values: list[str]) -> None:
    lists = [[v] for v in values]
    state = site_state(values)  # type: ignore[arg-type]
    assert (state == "offline") == model.site_offline(lists, 1)[0]
    assert (state == "impaired") == model.site_impaired(lists, 1)[0]
    assert (state in ("online", "impaired")) == (model.site_values(lists, 1)[0] == "up")


@given(st.integers(0, 10), st.integers(0, 10), st.integers(0, 10), st.integers(0, 3), st.floats(0, 1), st.floats(0, 1))
def test_verdicts_are_the_models(up: int, down: int, unknown: int, overdue: int, coverage: float, least: float) -> None:
    mine = Measure(up * 1000, down * 1000, unknown * 1000, 0, 0, min(overdue, down) * 1000)
    values = ["up"] * up + ["down"] * down + ["unknown"] * unknown
    limit = down - min(overdue, down)
    theirs = model.measures(values, [True] * len(values), [False] * len(values), 0, len(values), limit)
    assert terminal_verdict(mine, coverage, least) == (
        model.terminal_verdict(theirs, coverage, least) or "unproven"  # the model leaves out what was never in service
    )


@given(st.lists(st.sampled_from(["failed", "unproven", "maintained"]), max_size=5), st.integers(0, 4))
def test_rates_are_the_models(verdicts: list[str], planned: int) -> None:
    plan = {"county": 1, "township": 2, "village": planned}
    mine = rates(((Level.VILLAGE, v) for v in verdicts), plan)["village"]  # type: ignore[misc]
    theirs = model.rate(verdicts, planned)
    assert {k: theirs[k] for k in ("planned", "maintained", "failed", "unproven", "rate", "rate_high")} == {
        "planned": mine.planned,
        "maintained": mine.maintained,
        "failed": mine.failed,
        "unproven": mine.unproven,
        "rate": mine.rate,
        "rate_high": mine.rate_high,
    }
    if verdicts:
        assert site_verdict(verdicts) == model.site_verdict(verdicts)  # type: ignore[arg-type]


def test_more_than_planned_is_not_capped_and_met_needs_everybody() -> None:
    plan = {"county": 0, "township": 0, "village": 1}
    both = rates([(Level.VILLAGE, "maintained"), (Level.VILLAGE, "maintained")], plan)["village"]
    assert (both.rate, both.met) == (2.0, True)
    one_failed = rates([(Level.VILLAGE, "maintained"), (Level.VILLAGE, "failed")], plan)["village"]
    assert (one_failed.rate, one_failed.met) == (1.0, False)
    assert rates([], plan)["county"].rate is None


@given(strategies.predicates(LENGTH), strategies.predicates(LENGTH))
def test_intervals_are_sets_of_seconds(a: list[bool], b: list[bool]) -> None:
    first, second = intervals_of(a), intervals_of(b)
    assert intersect(first, second) == intervals_of([x and y for x, y in zip(a, b, strict=True)])
    assert subtract(first, second) == intervals_of([x and not y for x, y in zip(a, b, strict=True)])
    assert union([*first, *second]) == intervals_of([x or y for x, y in zip(a, b, strict=True)])
    assert length(first) == 1000 * sum(a)


def test_scopes_of_windows() -> None:
    from monitor.core.sites import Site

    village = Site("T1-V1", "村", Level.VILLAGE, "T1", "镇")
    county = Site("C1", "县", Level.COUNTY, "T1", "县城")
    assert Window("county", 0, 1).covers(county)
    assert Window("county", 0, 1).covers(village, "tv")
    assert Window("level:village", 0, 1).covers(village)
    assert not Window("level:village", 0, 1).covers(county)
    assert Window("township:T1", 0, 1).covers(village, "pc")
    assert not Window("township:T2", 0, 1).covers(village)
    assert Window("site:T1-V1", 0, 1).covers(village, "pc")
    assert Window("site:T1-V1", 0, 1).covers(village)
    # A terminal's window leaves the site's own timeline untouched.
    assert Window("terminal:T1-V1/tv", 0, 1).covers(village, "tv")
    assert not Window("terminal:T1-V1/tv", 0, 1).covers(village)
    assert not Window("terminal:T1-V1/tv", 0, 1).covers(village, "pc")


_TERMINAL = st.lists(st.tuples(st.integers(0, 40), st.sampled_from((UP, DOWN, UNKNOWN))), max_size=8)


@given(st.lists(_TERMINAL, max_size=4))
def test_a_site_is_up_where_any_of_its_terminals_is(drawn: list[list[tuple[int, Value]]]) -> None:
    """However it is found: the short way, for terminals that are never away together, says what the long one says."""
    timelines = []
    for steps in drawn:
        timeline = new_timeline()
        replace(timeline, 0, [TimelineStep(at, value) for at, value in sorted(dict(steps).items())])
        timelines.append(timeline)
    told = _of_site(timelines, 0)
    expected = roll_up_values(timelines, max) if timelines else new_timeline()
    assert measure(told, (0, 50), [(-1, 60)], [], 5) == measure(expected, (0, 50), [(-1, 60)], [], 5)
    assert [(s.at, s.value) for s in told if s.at > 0] == [(s.at, s.value) for s in expected if s.at > 0]

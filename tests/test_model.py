"""The reference model against the cases that come with the rules, and against itself.

What the text of the rules leaves open, what the model does there, and how ``strategies.py`` avoids it unless
``ambiguous=True``, is pinned in ``test_choices``.
"""

from __future__ import annotations

import gzip
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import model, strategies

CASES = Path(__file__).parent / "conformance"
RULES = json.loads((CASES / "rules.json").read_text(encoding="utf-8"))
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # slow machines
TRACES = sorted(CASES.glob("trace-*"))


@pytest.mark.parametrize("case", RULES, ids=[case["rule"] for case in RULES])
def test_rules(case: dict[str, Any]) -> None:
    check = case["check"]
    found = model.judge(
        check["check"],
        check["interval_s"],
        check.get("grace_s"),
        check.get("failures"),
        [tuple(event) for event in case["events"]],
        case["until"],
    )
    assert found.spans == case["spans"]
    assert model.spans(found.values) == case["spans"]
    assert found.rejected == ("more than 72 h" in case["rule"])


def is_workday(day: date) -> bool:
    calendar = pytest.importorskip("chinese_calendar")
    return bool(calendar.is_workday(day))


@pytest.mark.parametrize("folder", TRACES, ids=[folder.name for folder in TRACES])
def test_traces(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    with gzip.open(folder / "trace.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = model.replay(folder, lines, expected["from"], expected["to"], is_workday)
    assert {key: found[key] for key in expected} == expected


def test_there_are_traces() -> None:
    assert len(TRACES) == 8


# --- the model against itself -------------------------------------------------------------------------------

ALL = st.one_of(
    strategies.heartbeat_histories(ambiguous=True, long_jumps=False),
    strategies.probe_histories(ambiguous=True, long_jumps=False),
)


@CALM
@given(ALL)
def test_judging_at_the_marks_is_judging_every_second(history: strategies.History) -> None:
    assert model.judge(*history.args).spans == model.judge(*history.args, every_second=True).spans


@CALM
@given(strategies.heartbeat_histories(ambiguous=True, max_moves=25))
def test_a_late_beat_only_turns_unknown_into_up(history: strategies.History) -> None:
    """Section 2. Each late beat in turn is taken back to what it says of the channel alone."""
    kind, interval, grace, failures, events, until = history.args
    whole = model.judge(*history.args)
    before = model.observe(events)
    for line in before.late:
        without = [*events[:line], (events[line][0], "other"), *events[line + 1 :]]
        assert model.observe(without).losses == before.losses
        marks = {end for _, end, _ in whole.spans}
        partial = model.judge(kind, interval, grace, failures, without, until)
        marks |= {end for _, end, _ in partial.spans}
        for mark in marks:
            old, new = _at(partial.spans, mark - 1), _at(whole.spans, mark - 1)
            assert old == new or (old, new) == ("unknown", "up"), (line, mark - 1)


def _at(spans: list[list[Any]], t: int) -> str:
    return next(str(value) for start, end, value in spans if start <= t < end)


@CALM
@given(
    st.one_of(
        strategies.heartbeat_histories(ambiguous=True, long_jumps=False),
        strategies.probe_histories(ambiguous=True, long_jumps=False),
    ),
    st.data(),
)
def test_the_future_changes_only_what_is_open(history: strategies.History, data: st.DataObject) -> None:
    """Where a replay is cut short, nothing changes that is out of reach of a later event, of a beat that was
    sent earlier and of a loss that stands at an earlier ``since``: the longest I + G, or a streak."""
    kind, interval, grace, failures, events, _ = history.args
    reach = interval + grace if grace is not None else interval * (failures + 1) * failures if failures else 0
    cut = data.draw(st.sampled_from([0, *sorted({event[0] for event in events})]))
    known = [event for event in events if event[0] <= cut]
    back = [cut, *(e[2] for e in events if e[0] > cut and len(e) > 2)]
    settled = max(0, min(back) - reach)
    partial = model.check_values(kind, interval, grace, failures, known, cut)
    assert partial[:settled] == model.check_values(*history.args)[:settled]


@CALM
@given(st.integers(1, 60).flatmap(lambda n: st.lists(strategies.value_lists(n), min_size=1, max_size=4)))
def test_offline_is_site_down_and_impaired_is_online(terminals: list[list[str]]) -> None:
    length = len(terminals[0])
    site = model.site_values(terminals, length)
    offline = model.site_offline(terminals, length)
    impaired = model.site_impaired(terminals, length)
    assert offline == [value == "down" for value in site]
    assert all(site[t] == "up" for t in range(length) if impaired[t])


@CALM
@given(
    st.integers(3, 80).flatmap(
        lambda n: st.tuples(
            strategies.value_lists(n),
            strategies.predicates(n),
            strategies.predicates(n),
            st.integers(0, n),
            st.integers(0, n),
            st.integers(0, 20),
        )
    )
)
def test_measures_of_two_halves_add_up(
    drawn: tuple[list[str], list[bool], list[bool], int, int, int],
) -> None:
    values, served, planned, a, b, limit = drawn
    a, b = sorted((a, b))
    halves = [
        model.measures(values, served, planned, 0, a, limit),
        model.measures(values, served, planned, a, b, limit),
    ]
    whole = model.measures(values, served, planned, 0, b, limit)
    both = model.add_up(halves)
    for key in ("in_service_s", "up_s", "down_s", "unknown_s", "planned_s", "overdue_s"):
        assert getattr(both, key) == getattr(whole, key)
    assert both.outages >= whole.outages
    assert whole.total + whole.planned_s == whole.in_service_s == sum(served[:b])


def test_an_outage_goes_on_through_unknown() -> None:
    values = ["down"] * 5 + ["unknown"] * 3 + ["down"] * 4 + ["up"] * 2 + ["down"] * 3
    always, never = [True] * 17, [False] * 17
    found = model.measures(values, always, never, 8, 17, 6)
    assert (found.outages, found.overdue_s, found.down_s) == (2, 3, 7)


# --- what the text leaves open ------------------------------------------------------------------------------

CHOICES: list[tuple[str, list[model.Event], int, list[list[Any]]]] = [
    (
        "a since at the loss's own line: the beat after it in the file restores, so the loss lies before it",
        [(0, "restored"), (10, "beat"), (50, "lost", 50), (50, "beat")],
        200,
        [[0, 10, "unknown"], [10, 110, "up"], [110, 200, "down"]],
    ),
    (
        "a since that a restore at the same instant moves up to there: likewise",
        [(0, "restored"), (10, "beat"), (40, "lost"), (50, "restored"), (50, "lost", 45), (50, "beat")],
        200,
        [[0, 10, "unknown"], [10, 110, "up"], [110, 200, "down"]],
    ),
    (
        "sent and received at the instant of a loss: the text makes it late",
        [(0, "restored"), (10, "beat"), (50, "lost"), (50, "late", 50)],
        200,
        [[0, 10, "unknown"], [10, 50, "up"], [50, 110, "unknown"], [110, 200, "down"]],
    ),
    (
        "a late and an ordinary beat at one instant are an ordinary one",
        [(0, "restored"), (10, "beat"), (50, "lost"), (50, "beat"), (55, "late", 50)],
        200,
        [[0, 10, "unknown"], [10, 110, "up"], [110, 200, "down"]],
    ),
    (
        "sent in the future, at an instant when the channel will not be observed: an ordinary beat",
        [(0, "restored"), (10, "beat"), (20, "late", 50), (40, "lost"), (120, "restored")],
        130,
        [[0, 10, "unknown"], [10, 40, "up"], [40, 130, "unknown"]],
    ),
    (
        "sent at the first restore (and at a loss there) is not after it: an ordinary beat",
        [(5, "restored"), (5, "lost"), (20, "restored"), (30, "late", 5)],
        100,
        [[0, 30, "unknown"], [30, 100, "up"]],
    ),
    (
        "sent at a restore that is also a loss: not observed there, so late",
        [(0, "restored"), (10, "beat"), (20, "lost"), (70, "restored"), (70, "lost"), (90, "restored"),
         (91, "late", 70)],
        100,
        [[0, 10, "unknown"], [10, 70, "up"], [70, 100, "unknown"]],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("why", "events", "until", "spans"), CHOICES, ids=[choice[0] for choice in CHOICES])
def test_choices(why: str, events: list[model.Event], until: int, spans: list[list[Any]]) -> None:
    assert model.judge("heartbeat-mqtt", 60, 30, None, events, until).spans == spans


@CALM
@given(strategies.heartbeat_histories())
def test_a_rejected_beat_is_as_if_it_had_not_come(history: strategies.History) -> None:
    kind, interval, grace, failures, events, until = history.args
    rejected = set(model.observe(events).rejected)
    kept = [event for line, event in enumerate(events) if line not in rejected]
    assert model.judge(*history.args).spans == model.judge(kind, interval, grace, failures, kept, until).spans

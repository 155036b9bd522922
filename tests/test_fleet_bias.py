"""Do the played classes have the bias that docs/rules.md §2 expects? Pure: a judge in memory.

The devices' beats, wills and the probes' results follow from scripts and phases without a network, on a
trace's own clock; the judge knows rules 1 and 2 of §2 and the streaks of §3 for a channel that is never lost,
and nothing of ours. This is the proof of the statistics behind tests/test_played_hour.py, which plays the
same with the real service.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from monitor.fleet.compare import Judged, compare
from monitor.fleet.heart import Heart
from monitor.fleet.script import Cast, Fault, down_intervals
from monitor.fleet.truth import Down
from tests.played_hour import FAILURES, GRACE_MS, INTERVAL_MS, PlayedHour, assert_played_hour

START = 1_795_396_350_000
#: Milliseconds between sending and receiving, drawn for each message.
DELAY_MS = (0, 40)


def told_by_beats(
    cast: Cast, plan: Sequence[tuple[int, int]], end: int, interval: int, rng: Random
) -> tuple[list[int], list[int]]:
    """Receive times (ms) of beats and wills of a device that is down in `plan`."""
    heart = Heart(cast.site, cast.terminal, interval, rng)
    beats, due = [], heart.next_due(0)
    while due < end:
        if not any(a <= due < b for a, b in plan):
            beats.append(due + rng.randint(*DELAY_MS))
        due = heart.next_due(due)
    if cast.behaviour.births:
        beats += [b + rng.randint(*DELAY_MS) for _, b in plan]
    wills = [a + rng.randint(*DELAY_MS) for a, _ in plan] if cast.behaviour.wills else []
    return sorted(beats), wills


def judge_beats(
    beats: Sequence[int], wills: Sequence[int], end: int, interval: int, grace: int
) -> list[tuple[int, int | None]]:
    """Rules 1 and 2: a gap longer than I + G is an outage from the due time, or from the first will in it."""
    outages: list[tuple[int, int | None]] = []
    for x, y in zip(beats, [*beats[1:], None], strict=True):
        if (end if y is None else y) > x + interval + grace:
            due = min([x + interval, *(w for w in wills if x < w and (y is None or w < y))])
            outages.append((due, y))
    return outages


def judge_probes(
    plan: Sequence[tuple[int, int]], end: int, interval: int, failures: int, rng: Random
) -> list[tuple[int, int | None]]:
    """§3: a streak of at least N failures is down from its first to the next success."""
    outages: list[tuple[int, int | None]] = []
    streak: list[int] = []
    for asked in range(rng.randrange(interval), end, interval):
        at = asked + rng.randint(*DELAY_MS)
        if any(a <= asked < b for a, b in plan):
            streak.append(at)
        else:
            if len(streak) >= failures:
                outages.append((streak[0], at))
            streak = []
    return outages + ([(streak[0], None)] if len(streak) >= failures else [])


def judged_hour(hour: PlayedHour) -> tuple[list[Judged], list[Down], int]:
    """What the rules say of the hour, the truth, and the end (ms)."""
    end = round(hour.duration_s * 1000)
    interval, grace = round(INTERVAL_MS * hour.scale), round(GRACE_MS * hour.scale)
    judged, truth = [], []
    for cast in hour.casts:
        rng = Random(f"{hour.seed}/{cast.site}")
        plan = down_intervals(hour.script(cast))
        if cast.via == "probe":
            found = judge_probes(plan, end, interval, FAILURES, rng)
        else:
            beats, wills = told_by_beats(cast, plan, end, interval, rng)
            found = judge_beats(beats, wills, end, interval, grace)
        truth += [Down(cast.site, cast.terminal, START + a, START + b) for a, b in plan]
        judged += [Judged(cast.site, cast.terminal, START + a, None if b is None else START + b) for a, b in found]
    return judged, truth, START + end


@pytest.mark.parametrize("seed", range(1, 9))
def test_each_class_has_the_bias_that_the_spec_expects(seed: int) -> None:
    hour = PlayedHour(seed)
    judged, truth, until = judged_hour(hour)
    assert "plain" in assert_played_hour(hour, judged, truth, until)


def test_a_large_play_comes_close_to_the_expectation() -> None:
    """2,400 outages a class: what remains of chance is a hundredth of an interval."""
    hour = PlayedHour(1, devices=500)
    judged, truth, until = judged_hour(hour)
    answer = compare(judged, truth, hour.sights, until)
    assert not answer.missed
    assert not answer.invented
    for behaviour in set(hour.behaviours.values()):
        part = answer.of(k for k, played in hour.behaviours.items() if played is behaviour)
        assert part.mean_error == pytest.approx(behaviour.expected_bias, abs=0.03)
        assert part.largest_error < 1.1


def test_a_judge_who_is_wrong_is_found_out() -> None:
    """The assertion itself: each kind of mistake fails it."""
    hour = PlayedHour(1)
    judged, truth, until = judged_hour(hour)
    first = judged[0]
    interval = round(INTERVAL_MS * hour.scale)
    late = [Judged(j.site, j.terminal, j.start_ms + round(0.3 * interval), j.end_ms) for j in judged]
    for wrong, complaint in (
        (judged[1:], "missed"),
        ([*judged, Judged(first.site, first.terminal, START, START + 2_000)], "invented"),
        ([*judged, Judged("C1", "pc", START, None)], "stranger"),
        (
            [Judged(first.site, first.terminal, first.start_ms - 3 * interval, first.end_ms), *judged[1:]],
            "off by",
        ),
        (late, "mean length error"),
        ([Judged(j.site, j.terminal, j.start_ms, None) for j in judged], "expected 150 at least"),
    ):
        with pytest.raises(AssertionError, match=complaint):
            assert_played_hour(hour, wrong, truth, until)


def test_wills_and_goodbyes_both_play() -> None:
    hour = PlayedHour(1)
    faults = {(c.via, e.fault) for c in hour.casts for e in hour.script(c)}
    assert {
        ("mqtt", Fault.CUT),
        ("mqtt", Fault.GOODBYE),
        ("http", Fault.GOODBYE),
        ("probe", Fault.SILENCE),
    } <= faults
    assert {("mqtt", Fault.SILENCE), ("http", Fault.SILENCE)} <= faults

"""Timelines: step functions of time with the values up, down and unknown (docs/rules.md §1, §4).

A timeline is a list of steps in order of time; each step holds until the next, the last one for ever. It begins
with a step at `BEGINNING` whose value is unknown, and no two neighbours have the same value (except that where an old
part was cut off, the step after `BEGINNING` may be unknown too).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

Value = Literal["up", "down", "unknown"]
UP: Final = "up"
DOWN: Final = "down"
UNKNOWN: Final = "unknown"

#: Before every instant that a log can hold.
BEGINNING: Final = -(1 << 60)

#: After every instant that a log can hold.
FOREVER: Final = 1 << 60

#: Kleene's order: down < unknown < up.
RANK: Final[dict[str, int]] = {DOWN: 0, UNKNOWN: 1, UP: 2}


class Edge(NamedTuple):
    """What is known of a change: it happened in `[earliest, latest]` (ms; None: nothing is known before).

    `how` contact ended (`goodbye`, `will`, `silence`, `probe`) or came back (`beat`, `ok`), or why nothing is known
    (`channel`, `expired`, `undecided`). `before` and `after` are the evidence either side, as lists of plain values.
    """

    earliest: int | None
    latest: int
    how: str
    before: Any = None
    after: Any = None


class Step(NamedTuple):
    """From `at` (ms) on the value is `value`."""

    at: int
    value: Value
    edge: Edge | None = None


Timeline = list[Step]
Interval = tuple[int, int]


_NOTHING_YET: Final = Step(BEGINNING, UNKNOWN)


def new_timeline() -> Timeline:
    """Nothing is known yet."""
    # With room for one step more, and no other: most checks come up once, and a list that grows takes room for eight.
    timeline = [_NOTHING_YET, _NOTHING_YET]
    timeline.pop()
    return timeline


def _at(step: Step) -> int:
    return step.at


def value_at(timeline: Sequence[Step], instant: int) -> Step:
    """The step that holds at `instant`."""
    return timeline[bisect_right(timeline, instant, key=_at) - 1]


def replace(timeline: Timeline, lo: int, steps: Iterable[Step], hi: int | None = None) -> int | None:
    """Put `steps` in place of those in `[lo, hi]` (hi None: to the end), in place.

    Of steps at the same instant the last one counts. Returns the first instant from which the timeline may differ
    from what it was, or None if it is the same.
    """
    i = bisect_left(timeline, lo, key=_at)
    j = len(timeline) if hi is None else bisect_right(timeline, hi, i, key=_at)
    before = timeline[i - 1].value
    new: Timeline = []
    for step in steps:
        if new and new[-1].at == step.at:
            new.pop()
        if step.value != (new[-1].value if new else before):
            new.append(step)
    if j < len(timeline) and timeline[j].value == (new[-1].value if new else before):
        j += 1
    old = timeline[i:j]
    if old == new:
        return None
    timeline[i:j] = new
    for a, b in zip(old, new, strict=False):
        if a != b:
            return min(a.at, b.at)
    return (old if len(old) > len(new) else new)[min(len(old), len(new))].at


Choose = Callable[[Iterable[int]], int]
_VALUES: Final[tuple[Value, ...]] = (DOWN, UNKNOWN, UP)


def roll_up(timelines: Sequence[Sequence[Step]], choose: Choose, lo: int = BEGINNING) -> Timeline:
    """The greatest (`choose=max`: any) or least (`min`: all) of several timelines, from `lo` on (§4).

    An edge that needs all of the parts (down of "any", up of "all") happened between the latest of their earliest and
    the latest of their latest moments; otherwise it is that of the part that came to this value last.
    """
    needs_all = DOWN if choose is max else UP
    at = [bisect_right(t, lo, key=_at) - 1 for t in timelines]
    now = [RANK[t[i].value] for t, i in zip(timelines, at, strict=True)]
    result: Timeline = []
    instant = lo
    while True:
        value = _VALUES[choose(now)]
        if not result or result[-1].value != value:
            steps = [t[i] for t, i in zip(timelines, at, strict=True)]
            there = [s for s in steps if s.value == value]
            edge = _joint(there) if value == needs_all else max(there, key=_at).edge
            result.append(Step(instant, value, edge))
        following = [t[i + 1].at for t, i in zip(timelines, at, strict=True) if i + 1 < len(t)]
        if not following:
            return result
        instant = min(following)
        for k, t in enumerate(timelines):
            if at[k] + 1 < len(t) and t[at[k] + 1].at == instant:
                at[k] += 1
                now[k] = RANK[t[at[k]].value]


def roll_up_values(timelines: Sequence[Sequence[Step]], choose: Choose) -> Timeline:
    """`roll_up` without edges, four times as fast: for figures, which ask for no evidence."""
    now = [RANK[t[0][1]] for t in timelines]
    moves = sorted([(s[0], k, RANK[s[1]]) for k, t in enumerate(timelines) for s in t[1:]])
    last = choose(now)
    result = [Step(BEGINNING, _VALUES[last])]
    for i, (at, k, rank) in enumerate(moves, 1):
        now[k] = rank
        if i < len(moves) and moves[i][0] == at:
            continue
        value = choose(now)
        if value != last:
            result.append(Step(at, _VALUES[value]))
            last = value
    return result


def _joint(steps: Sequence[Step]) -> Edge | None:
    edges = [(s.at, s.edge) for s in steps if s.edge is not None]
    if not edges:
        return None
    last = max(edges, key=lambda pair: pair[0])[1]
    known = [e.earliest for _, e in edges if e.earliest is not None]
    return last._replace(earliest=max(known) if known else None, latest=max(e.latest for _, e in edges))


def spans(timeline: Sequence[Step], lo: int, hi: int) -> list[tuple[int, int, Value]]:
    """The timeline on `[lo, hi)` as half-open spans."""
    if hi <= lo:
        return []
    i = bisect_right(timeline, lo, key=_at) - 1
    result: list[tuple[int, int, Value]] = []
    while i < len(timeline):
        start = max(timeline[i].at, lo)
        end = timeline[i + 1].at if i + 1 < len(timeline) else hi
        if start >= hi:
            break
        result.append((start, min(end, hi), timeline[i].value))
        i += 1
    return result


def joined(pieces: Iterable[tuple[int, int, Sequence[Step]]]) -> Timeline:
    """One timeline, in each `[start, end)` that of the piece (in order, disjoint), unknown between. Without edges."""
    result = new_timeline()
    until = BEGINNING

    def put(at: int, value: Value) -> None:
        if value != result[-1][1]:
            result.append(Step(at, value))

    for start, end, timeline in pieces:
        if start > until:
            put(until, UNKNOWN)
        for at, _, value in spans(timeline, start, end):
            put(at, value)
        until = end
    if until < FOREVER:
        put(until, UNKNOWN)
    return result


def timeline_state(timeline: Sequence[Step]) -> list[Any]:
    """A timeline as plain values, for a checkpoint."""
    return [[s.at, s.value, list(s.edge) if s.edge else None] for s in timeline]


def load_timeline(state: list[Any]) -> Timeline:
    """What `timeline_state` gave, as a timeline."""
    return [Step(at, value, Edge(*edge) if edge else None) for at, value, edge in state]

"""What is counted: seconds of each value, availability and its honest bounds, outages, overdue (docs/rules.md §5)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from monitor.core.outage import outages_in
from monitor.core.timeline import BEGINNING, DOWN, UNKNOWN, UP, Interval, Step, spans
from monitor.core.window import intersect, subtract


@dataclass(frozen=True, slots=True)
class Measure:
    """Sums of one member or of a group over a period, in milliseconds. Ratios are None where nothing was counted."""

    up: int = 0
    down: int = 0
    unknown: int = 0
    planned: int = 0
    outages: int = 0
    overdue: int = 0

    def __add__(self, other: Measure) -> Measure:
        """A group adds up its members, then divides."""
        return Measure(
            self.up + other.up,
            self.down + other.down,
            self.unknown + other.unknown,
            self.planned + other.planned,
            self.outages + other.outages,
            self.overdue + other.overdue,
        )

    @property
    def total(self) -> int:
        return self.up + self.down + self.unknown

    @property
    def availability(self) -> float | None:
        """up / (up + down)"""
        return _ratio(self.up, self.up + self.down)

    @property
    def availability_low(self) -> float | None:
        """All that is unknown was down."""
        return _ratio(self.up, self.total)

    @property
    def availability_high(self) -> float | None:
        """All that is unknown was up."""
        return _ratio(self.up + self.unknown, self.total)

    @property
    def coverage(self) -> float | None:
        """(up + down) / total"""
        return _ratio(self.up + self.down, self.total)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


class Counted:
    """Sorted disjoint intervals that answer at once how much of them lies before an instant."""

    __slots__ = ("_before", "_ends", "_starts", "intervals")

    def __init__(self, intervals: Sequence[Interval]) -> None:
        self.intervals = intervals
        self._starts = [start for start, _ in intervals]
        self._ends = [end for _, end in intervals]
        self._before = [0, *accumulate(end - start for start, end in intervals)]

    def until(self, instant: int) -> int:
        """Milliseconds before `instant`."""
        i = bisect_right(self._starts, instant)
        if not i:
            return 0
        over = self._ends[i - 1] - instant
        return self._before[i] - over if over > 0 else self._before[i]

    def inside(self, start: int, end: int) -> int:
        """Milliseconds in `[start, end)`."""
        return self.until(end) - self.until(start) if start < end else 0


def measure(
    timeline: Sequence[Step],
    period: Interval,
    in_service: Sequence[Interval],
    windows: Sequence[Interval],
    repair_limit_ms: int,
) -> Measure:
    """Count a timeline over `[from, to)`.

    `in_service` must reach back to the beginning of the first outage that lasts into the period (its repair limit
    runs from there); `windows` likewise. Both sorted and disjoint.
    """
    return measure_counted(
        timeline, period, Counted(in_service), Counted(subtract(in_service, windows)), repair_limit_ms
    )


def measure_counted(
    timeline: Sequence[Step], period: Interval, in_service: Counted, counted: Counted, repair_limit_ms: int
) -> Measure:
    """As `measure`; `counted` is what is in service outside of planned windows."""
    lo, hi = period
    sums = {UP: 0, DOWN: 0, UNKNOWN: 0}
    value = timeline[0].value
    first = done = counted.until(lo)
    for step in timeline:
        if step.at > lo:
            if step.at >= hi:
                break
            now = counted.until(step.at)
            sums[value] += now - done
            done = now
        value = step.value
    last = counted.until(hi)
    sums[value] += last - done
    outages = overdue = 0
    if sums[DOWN]:
        for start, end, *_ in outages_in(timeline):
            if start >= hi or (end is not None and end <= lo):
                continue
            inside, late = _outage(timeline, start, min(end or hi, hi), lo, counted, repair_limit_ms)
            outages += inside > 0
            overdue += late
    planned = in_service.inside(lo, hi) - (last - first)
    return Measure(sums[UP], sums[DOWN], sums[UNKNOWN], planned, outages, overdue)


def counted_down(timeline: Sequence[Step], start: int, end: int, counted: Sequence[Interval]) -> list[Interval]:
    """The counted down parts of `[start, end)`, on which everything with a time limit runs."""
    down = [(a, b) for a, b, value in spans(timeline, start, end) if value == DOWN]
    return intersect(down, counted)


def _outage(timeline: Sequence[Step], start: int, end: int, lo: int, counted: Counted, limit: int) -> tuple[int, int]:
    """Counted down ms of the outage `[start, end)` after `lo`, and those of them that lie beyond the repair limit."""
    used = inside = overdue = 0
    for a, b, value in spans(timeline, start, end):
        if value != DOWN:
            continue
        here = counted.inside(a, b)
        used += here
        mine = counted.inside(max(a, lo), b)
        inside += mine
        # What is beyond the limit and what is after `lo` are both ends of this span: the shorter one is in both.
        overdue += max(0, min(used - limit, mine))
    return inside, overdue


def reaches_back_to(timeline: Sequence[Step], instant: int) -> int:
    """Where the outage began that lasts into `instant`, or `instant` itself: how far back hours are needed."""
    for start, _, over, *_ in outages_in(timeline):
        if start < instant and (over is None or over > instant):
            return max(start, BEGINNING)
    return instant

"""What is counted: seconds of each value, availability and its honest bounds, outages, overdue (docs/rules.md §5)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

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

    __slots__ = ("columns", "intervals")

    def __init__(self, intervals: Sequence[Interval]) -> None:
        self.intervals = intervals
        #: Starts, ends, and how much lies before each start (and, at the end, before all that follows).
        self.columns = (
            [start for start, _ in intervals],
            [end for _, end in intervals],
            [0, *accumulate(end - start for start, end in intervals)],
        )

    def until(self, instant: int) -> int:
        """Milliseconds before `instant`."""
        starts, ends, before = self.columns
        i = bisect_right(starts, instant)
        if not i:
            return 0
        over = ends[i - 1] - instant
        return before[i] - over if over > 0 else before[i]

    def inside(self, start: int, end: int) -> int:
        """Milliseconds in `[start, end)`."""
        if start >= end:
            return 0
        starts, ends, before = self.columns
        i = bisect_right(starts, start)
        if not i or ends[i - 1] <= start:
            return self.until(end) - before[i]
        if ends[i - 1] >= end:
            return end - start  # the whole of it within one interval, as most outages are
        return self.until(end) - before[i] + ends[i - 1] - start


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
    first, last = counted.until(lo), counted.until(hi)
    starts, ends, before = counted.columns
    down = unknown = outages = overdue = 0
    used = inside = 0  # counted down ms of the outage so far, and those of them that lie in the period
    value, done = timeline[0][1], 0
    # Steps by their places: a large county's month has more than a million, and up is what the others leave.
    for step in timeline[1:]:
        at = step[0]
        if at >= hi:
            break
        i = bisect_right(starts, at)  # `counted.until(at)`, without the call
        now = 0
        if i:
            over = ends[i - 1] - at
            now = before[i] - over if over > 0 else before[i]
        if value != UP and now > first:
            here = now - (done if done > first else first)
            if value == DOWN:
                used += now - done
                inside += here
                down += here
                # Beyond the limit and after `lo`: both are ends of this span, so the shorter one is in both.
                if used > repair_limit_ms:
                    overdue += min(used - repair_limit_ms, here)
            else:
                unknown += here
        elif value == DOWN:
            used += now - done
        value, done = step[1], now
        if value == UP:
            outages += inside > 0
            used = inside = 0
    here = last - max(done, first)
    if value == DOWN:
        inside += here
        down += here
        overdue += max(0, min(used + last - done - repair_limit_ms, here))
    elif value == UNKNOWN:
        unknown += here
    outages += inside > 0
    total = last - first
    return Measure(total - down - unknown, down, unknown, in_service.inside(lo, hi) - total, outages, overdue)


def counted_down(timeline: Sequence[Step], start: int, end: int, counted: Sequence[Interval]) -> list[Interval]:
    """The counted down parts of `[start, end)`, on which everything with a time limit runs."""
    down = [(a, b) for a, b, value in spans(timeline, start, end) if value == DOWN]
    return intersect(down, counted)


def passed_at(down: Iterable[Interval], limits: Sequence[tuple[int, int, int]]) -> int | None:
    """When counted down time, added up, first lay beyond the limit that held then; None if never.

    `limits`: start, end and limit (ms), in their order, together over all that is asked for.
    """
    used = 0
    for start, end in down:
        for since, until, limit in limits:
            lo, hi = max(start, since), min(end, until)
            if lo >= hi:
                continue
            if used + hi - lo > limit:
                return lo + max(0, limit - used)
            used += hi - lo
    return None


def reaches_back_to(timeline: Sequence[Step], instant: int) -> int:
    """Where the outage began that lasts into `instant`, or `instant` itself: how far back hours are needed."""
    start: int | None = None
    for step in timeline:
        at, value = step[0], step[1]
        if at >= instant:
            if at == instant and value == UP:
                start = None
            break
        if value == UP:
            start = None
        elif value == DOWN and start is None:
            start = at
    return instant if start is None else max(start, BEGINNING)

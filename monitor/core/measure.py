"""What is counted: seconds of each value, availability and its honest bounds, outages, overdue (availability.md §5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.core.outage import outages_in
from monitor.core.timeline import BEGINNING, DOWN, UP, Interval, Step, spans
from monitor.core.window import intersect, length, subtract


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
    counted = subtract(in_service, windows)
    here = intersect(counted, [period])
    sums = {"up": 0, "down": 0, "unknown": 0}
    if len(timeline) == 1 or (len(timeline) > 1 and timeline[1].at >= period[1]):
        sums[timeline[0].value] += length(here)
    else:
        _add(sums, spans(timeline, *period), here)
    outages = overdue = 0
    if sums[DOWN]:
        for start, end, *_ in outages_in(timeline):
            if start >= period[1] or (end is not None and end <= period[0]):
                continue
            inside, late = _outage(timeline, start, end, period, counted, repair_limit_ms)
            outages += inside > 0
            overdue += late
    planned = length(intersect(in_service, [period])) - length(here)
    return Measure(sums[UP], sums[DOWN], sums["unknown"], planned, outages, overdue)


def _add(sums: dict[str, int], parts: Sequence[tuple[int, int, str]], counted: Sequence[Interval]) -> None:
    """Lengths of the parts that lie in `counted`, by value; both run in order of time."""
    i = 0
    for start, end, value in parts:
        while i < len(counted) and counted[i][1] <= start:
            i += 1
        k = i
        while k < len(counted) and counted[k][0] < end:
            sums[value] += min(end, counted[k][1]) - max(start, counted[k][0])
            k += 1


def counted_down(timeline: Sequence[Step], start: int, end: int, counted: Sequence[Interval]) -> list[Interval]:
    """The counted down parts of `[start, end)`, on which everything with a time limit runs."""
    down = [(a, b) for a, b, value in spans(timeline, start, end) if value == DOWN]
    return intersect(down, counted)


def _outage(
    timeline: Sequence[Step], start: int, end: int | None, period: Interval, counted: Sequence[Interval], limit: int
) -> tuple[int, int]:
    """Counted down ms of an outage in the period, and those of them that lie beyond the repair limit."""
    used = inside = overdue = 0
    for a, b in counted_down(timeline, start, min(end or period[1], period[1]), counted):
        over_from = max(a, a + limit - used)
        used += b - a
        inside += max(0, b - max(a, period[0]))
        overdue += max(0, b - max(over_from, period[0]))
    return inside, overdue


def reaches_back_to(timeline: Sequence[Step], instant: int) -> int:
    """Where the outage began that lasts into `instant`, or `instant` itself: how far back hours are needed."""
    for start, _, over, *_ in outages_in(timeline):
        if start < instant and (over is None or over > instant):
            return max(start, BEGINNING)
    return instant

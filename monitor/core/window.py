"""Planned windows 计划检修 and the algebra of intervals (docs/rules.md §5). How they are declared: core/planning.py.

Intervals are half-open pairs of ms; a list of them is sorted and disjoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from monitor.core.sites import Level, Site
from monitor.core.timeline import Interval
from monitor.errors import MonitorError


@dataclass(frozen=True, slots=True)
class Window:
    """Declared at `at` for `[start, end)`, ms UTC. Overlaps count once.

    `retroactive`: declared after its start 事后补录, or while a terminal in its scope was down 停机期间申报; figures
    are given with it and without, once a second person has `approved` it. `cancelled`: when it was called off; what
    had passed by then stays. Who said so: `by`, `approved_by`.
    """

    scope: str
    start: int
    end: int
    reason: str = ""
    at: int = 0
    by: str = ""
    retroactive: bool = False
    approved: int | None = None
    approved_by: str = ""
    cancelled: int | None = None

    @property
    def mark(self) -> str:
        """How people are told why it needed a second person; "" where it did not."""
        if not self.retroactive:
            return ""
        return "事后补录" if self.at > self.start else "停机期间申报"

    @property
    def identity(self) -> tuple[str, int, int, int]:
        """What makes it this one, wherever it is told: in the log, in the database, in a trace."""
        return (self.scope, self.start, self.end, self.at)

    def counted(self) -> Window | None:
        """As it counts: up to where it was called off; None where nothing is left of it."""
        if self.cancelled is None or self.cancelled >= self.end:
            return self
        return replace(self, end=self.cancelled) if self.cancelled > self.start else None

    def covers(self, site: Site, terminal: str | None = None) -> bool:
        """Does it count for this site's own timeline (`terminal` None), or for a terminal of it?"""
        kind, _, which = self.scope.partition(":")
        match kind:
            case "county":
                return True
            case "level":
                return which == site.level
            case "township":
                return which == site.township_code and site.level is not Level.COUNTY
            case "site":
                return which == site.site_id
            case _:
                return terminal is not None and which == f"{site.site_id}/{terminal}"

    def concerns(self, site: Site) -> bool:
        """Does it count for the site, or for any terminal of it?"""
        return self.covers(site) or self.scope.startswith(f"terminal:{site.site_id}/")


def check_scope(scope: str) -> str:
    """Raises MonitorError where it is none of the five forms of §5."""
    kind, _, which = scope.partition(":")
    if kind == "county" and not which:
        return scope
    if kind == "level" and which in set(Level):
        return scope
    if kind in ("township", "site") and which and "/" not in which:
        return scope
    if kind == "terminal" and which.count("/") == 1 and all(which.split("/")):
        return scope
    expected = "county、level:village、township:CODE、site:ID 或 terminal:ID/tv"
    raise MonitorError(f"范围应为 {expected}，实为 {scope!r}")


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Sorted, overlaps and touching neighbours joined, empty ones left out."""
    result: list[Interval] = []
    for start, end in sorted(i for i in intervals if i[0] < i[1]):
        if result and start <= result[-1][1]:
            if end > result[-1][1]:
                result[-1] = (result[-1][0], end)
        else:
            result.append((start, end))
    return result


def intersect(a: Sequence[Interval], b: Sequence[Interval]) -> list[Interval]:
    """What lies in both."""
    result: list[Interval] = []
    i = j = 0
    while i < len(a) and j < len(b):
        (start, end), (other_start, other_end) = a[i], b[j]
        if other_start > start:
            start = other_start
        if end < other_end:
            i += 1
        else:
            j += 1
            end = other_end
        if start < end:
            result.append((start, end))
    return result


def subtract(a: Sequence[Interval], b: Sequence[Interval]) -> list[Interval]:
    """What lies in `a` and not in `b`."""
    result: list[Interval] = []
    j = 0
    for start, end in a:
        while j < len(b) and b[j][1] <= start:
            j += 1
        k = j
        while k < len(b) and b[k][0] < end:
            if b[k][0] > start:
                result.append((start, b[k][0]))
            start = max(start, b[k][1])
            k += 1
        if start < end:
            result.append((start, end))
    return result


def length(intervals: Iterable[Interval]) -> int:
    """Milliseconds."""
    return sum(end - start for start, end in intervals)

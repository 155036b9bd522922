"""What decides how a member's time counts: hours, planned windows and limits, piece by piece (docs/rules.md §5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from monitor.core.measure import Counted, Measure, measure_counted, reaches_back_to
from monitor.core.service import Profile, ServiceTimes
from monitor.core.timeline import UP, Interval, Step, Value
from monitor.core.window import Window, subtract, union


class Piece(NamedTuple):
    """What held in `[since, until)`; between the pieces of a course its member did not exist."""

    since: int
    until: int
    service: ServiceTimes
    profile: Profile
    scopes: tuple[str, ...]
    repair_limit_ms: int

    def goes_on(self, since: int, profile: Profile, scopes: tuple[str, ...], repair_limit_ms: int) -> bool:
        """Does the same hold from its end on, under the same service times?"""
        return self.until == since and self.profile is profile and self[4:] == (scopes, repair_limit_ms)


class Course:
    """One or more members whose time counts alike. It keeps what they share."""

    def __init__(self, pieces: Sequence[Piece], windows: Mapping[str, Sequence[Window]]) -> None:
        self.pieces = pieces
        #: The planned windows that cover it, joined.
        self.planned = union(
            (max(w.start, piece.since), min(w.end, piece.until))
            for piece in pieces
            for scope in piece.scopes
            for w in windows[scope]
        )
        self._intervals: dict[Interval, tuple[Counted, Counted]] = {}
        self._steady: dict[tuple[Interval, Value], Measure | None] = {}

    def in_service(self, start: int, end: int) -> list[Interval]:
        """In-service intervals inside `[start, end)`."""
        found: list[list[Interval]] = []
        for piece in self.pieces:
            lo, hi = max(start, piece.since), min(end, piece.until)
            if lo < hi:
                found.append(piece.service.intervals(piece.profile, lo, hi))
        return found[0] if len(found) == 1 else union(i for intervals in found for i in intervals)

    def counted(self, reach: Interval, keep: bool) -> tuple[Counted, Counted]:
        """In service, and counted: outside of planned windows too."""
        found = self._intervals.get(reach)
        if found is None:
            hours = self.in_service(*reach)
            found = (Counted(hours), Counted(subtract(hours, self.planned)))
            if keep:
                self._intervals[reach] = found
        return found

    def measure(self, timeline: Sequence[Step], period: Interval) -> Measure | None:
        """A member's measure, None where it has no in-service second in the period."""
        if _is_steady(timeline, period):
            # Most members, in an ordinary month: nothing happened, so those of one course have the same figures.
            steady = (period, timeline[-1][1])
            if steady not in self._steady:
                self._steady[steady] = self._measure(timeline, period)
            return self._steady[steady]
        return self._measure(timeline, period)

    def _measure(self, timeline: Sequence[Step], period: Interval) -> Measure | None:
        back = reaches_back_to(timeline, period[0])
        in_service, counted = self.counted((back, period[1]), back == period[0])
        if not in_service.intervals or in_service.intervals[-1][1] <= period[0]:
            return None
        first, *others = self.limits(period)
        measured = measure_counted(timeline, period, in_service, counted, first[2])
        if not others:
            return measured
        # An outage is one over all of the period; each of its seconds is overdue by the limit that held then.
        overdue = (
            measure_counted(timeline, (start, end), in_service, counted, limit).overdue
            for start, end, limit in (first, *others)
        )
        return replace(measured, overdue=sum(overdue))

    def limits(self, period: Interval) -> list[tuple[int, int, int]]:
        """The period cut where the repair limit changes: start, end, limit. Not empty where it is ever in service."""
        if len(self.pieces) == 1:
            return [(*period, self.pieces[0].repair_limit_ms)]
        result: list[tuple[int, int, int]] = []
        for piece in self.pieces:
            start, end = max(period[0], piece.since), min(period[1], piece.until)
            if start >= end:
                continue
            if result and result[-1][2] == piece.repair_limit_ms:
                start = result.pop()[0]
            result.append((start, end, piece.repair_limit_ms))
        return result


class Courses:
    """All courses under some windows, one for all members whose pieces are equal."""

    def __init__(self, windows: Iterable[Window]) -> None:
        self._windows: dict[str, list[Window]] = {}
        for window in windows:
            self._windows.setdefault(window.scope, []).append(window)
        #: Sites with windows of single terminals.
        self._single = {s.removeprefix("terminal:").partition("/")[0] for s in self._windows if "/" in s}
        self._courses: dict[tuple[object, ...], Course] = {}

    def scopes(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of these scopes that any window has."""
        return tuple(name for name in names if name in self._windows)

    def terminal_scopes(self, of_site: tuple[str, ...], site: str, kind: str) -> tuple[str, ...]:
        """The scopes of a terminal of a site: the site's own, and perhaps one for itself alone."""
        return (*of_site, *self.scopes([f"terminal:{site}/{kind}"])) if site in self._single else of_site

    def of(self, pieces: Sequence[Piece]) -> Course:
        """The course of these pieces."""
        key: tuple[object, ...] = ()
        for since, until, _, profile, scopes, limit in pieces:
            key += (since, until, id(profile), scopes, limit)
        found = self._courses.get(key)
        if found is None:
            found = self._courses[key] = Course(pieces, self._windows)
        return found


def _is_steady(timeline: Sequence[Step], period: Interval) -> bool:
    """One value over all of the period, and no outage that lasts into it."""
    last = timeline[-1]
    if last[0] > period[0]:
        return False
    return last[1] == UP or len(timeline) == 1

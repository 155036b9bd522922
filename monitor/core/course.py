"""What decides how a member's time counts: hours, planned windows and limits, piece by piece (docs/rules.md §5)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from monitor.core.measure import Counted, Measure, counted_down, measure_counted, passed_at, reaches_back_to
from monitor.core.service import Profile, ServiceTimes
from monitor.core.timeline import DOWN, UP, Interval, Step, Value, spans
from monitor.core.window import Window, length, subtract, union


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


class Clock(NamedTuple):
    """Of an outage: its counted down ms from its very start; of these, and of the overdue ones, those in the period;
    until when it was known to be down."""

    counted: int
    here: int
    overdue: int
    last: int


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
        self._well: dict[Interval, list[Measure]] = {}

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
        if len(self.pieces) == 1:
            return measure_counted(timeline, period, in_service, counted, self.pieces[0].repair_limit_ms)
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

    def by_day(
        self, timeline: Sequence[Step], days: Sequence[Interval]
    ) -> tuple[Sequence[Measure], dict[int, Measure]]:
        """A member's measure of each of these days, which follow on each other: of a day in which all was up, the same
        for all of its members; and of those days on which it was not, its own, by the day's place. They add up to the
        measure of the whole, but for outages, which count on each day that they touch."""
        period = (days[0][0], days[-1][1])
        back = reaches_back_to(timeline, period[0])
        in_service, counted = self.counted((back, period[1]), back == period[0])
        well = self._well.get(period)
        if well is None:
            whole = [(in_service.inside(*day), counted.inside(*day)) for day in days]
            well = self._well[period] = [Measure(up=up, planned=all_of_it - up) for all_of_it, up in whole]
        own: dict[int, Measure] = {}
        starts = [start for start, _ in days]
        for start, end, value in spans(timeline, *period):
            if value == UP:
                continue
            for i in range(bisect_right(starts, start) - 1, bisect_left(starts, end)):
                if i not in own and well[i].up:
                    own[i] = self._of_day(timeline, days[i], in_service, counted)
        return well, own

    def _of_day(self, timeline: Sequence[Step], day: Interval, in_service: Counted, counted: Counted) -> Measure:
        first, *others = self.limits(day)
        measured = measure_counted(timeline, day, in_service, counted, first[2])
        if not others:
            return measured
        parts = ((start, end, limit) for start, end, limit in (first, *others))
        overdue = sum(measure_counted(timeline, (a, b), in_service, counted, limit).overdue for a, b, limit in parts)
        return replace(measured, overdue=overdue)

    def clock(self, timeline: Sequence[Step], outage: Interval, period: Interval, counted: Counted) -> Clock:
        """An outage `[start, over)` as of the period's end. `counted` must reach back to its start."""
        start, end = outage[0], min(outage[1], period[1])
        i = bisect_left(timeline, (start,))
        is_plain = start >= period[0] and len(self.pieces) == 1 and len(timeline) > i + 1
        if is_plain and timeline[i][1] == DOWN and timeline[i][0] == start and timeline[i + 1][0] == end:
            # Most outages: down once, and over within the period.
            used = counted.inside(start, end)
            return Clock(used, used, max(0, used - self.pieces[0].repair_limit_ms), end)
        limits = self.limits(period)
        if i == len(timeline) or timeline[i][0] > start:
            i = max(i - 1, 0)
        down: list[Interval] = []
        while i < len(timeline):
            at, value = timeline[i][0], timeline[i][1]
            i += 1
            if at >= end:
                break
            if value == DOWN:
                until = timeline[i][0] if i < len(timeline) else end
                down.append((max(at, start), min(until, end)))
        last = down[-1][1] if down else start
        if start >= period[0] and len(limits) == 1:
            used = sum(counted.inside(a, b) for a, b in down)
            return Clock(used, used, max(0, used - limits[0][2]), last)

        def until_then(mark: int) -> int:
            return sum(counted.inside(a, min(b, mark)) for a, b in down if a < mark)

        used = until_then(end)
        overdue = sum(max(0, until_then(b) - limit) - max(0, until_then(a) - limit) for a, b, limit in limits)
        return Clock(used, used - until_then(period[0]), overdue, last)

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

    # --- the one clock of all limits (docs/rules.md §6) -----------------------------------------------------------

    def counted_down_ms(self, timeline: Sequence[Step], outage: Interval) -> int:
        """Counted down ms of an outage `[start, end or now)`."""
        return length(self._counted_down(timeline, outage))

    def at_most_ms(self, outage: Interval, reach: Interval) -> int:
        """No less than the counted down ms of an outage: had it been down all the while.

        `reach` holds all that is asked for, so that all members share the work.
        """
        return self.counted(reach, True)[1].inside(*outage)

    def reached_at(self, timeline: Sequence[Step], outage: Interval, limit_ms: int) -> int | None:
        """When the counted down ms of an outage `[start, end or now)` came to more than `limit_ms`; None if never."""
        return passed_at(self._counted_down(timeline, outage), [(*outage, limit_ms)])

    def overdue_since(self, timeline: Sequence[Step], outage: Interval) -> int | None:
        """The first overdue ms of an outage `[start, end or now)`, each judged by the repair limit that held then; None
        where there is none. So an outage has one exactly if figures count overdue seconds of it."""
        return passed_at(self._counted_down(timeline, outage), self.limits(outage))

    def least_repair_limit_ms(self, outage: Interval) -> int:
        """The least that ever held in an outage."""
        return min((limit for _, _, limit in self.limits(outage)), default=0)

    def counted_between(self, start: int, end: int) -> int:
        """Counted ms of `[start, end)`, whatever was up or down."""
        return length(subtract(self.in_service(start, end), self.planned))

    def _counted_down(self, timeline: Sequence[Step], outage: Interval) -> list[Interval]:
        return counted_down(timeline, *outage, subtract(self.in_service(*outage), self.planned))


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

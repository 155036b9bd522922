"""When a site or a terminal is in service (docs/rules.md §5), as sorted disjoint half-open UTC intervals.

Service hours are what a clock on the local wall shows: an instant is in service if its local day is a day of
service and its local time lies inside the hours. So an hour that a clock change skips is not there to be
counted, and one that it repeats counts twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, tzinfo
from typing import NamedTuple

from monitor.core.calendar import WorkCalendar
from monitor.core.sites import Site, Terminal
from monitor.core.timeline import Interval
from monitor.core.window import union
from monitor.errors import MonitorError

_SECOND = 1_000
_HOUR = 3_600_000
_DAY = 86_400_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
#: Results kept. A county has a few profiles and asks for a few periods; more than this is a caller's pattern.
_KEEP = 4_096


class Rule(NamedTuple):
    """`hours`: milliseconds of the local day, [start, end). `workdays`: on working days only."""

    workdays: bool
    hours: tuple[Interval, ...]


class Profile(NamedTuple):
    """What decides service times: equal profiles have equal ones. First local day in, first local day out."""

    rule: Rule
    commissioned_on: date | None
    retired_on: date | None


ALWAYS = Rule(False, ((0, _DAY),))


def parse_hours(text: str) -> Interval:
    """`08:30-12:00` as milliseconds of the local day; the end may be `24:00`. Raises MonitorError."""
    match = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", text)
    if match:
        h1, m1, h2, m2 = map(int, match.groups())
        start, end = (h1 * 60 + m1) * 60_000, (h2 * 60 + m2) * 60_000
        if m1 < 60 and m2 < 60 and start < end <= _DAY:
            return start, end
    raise MonitorError(f"expected hours such as 08:30-12:00, the end after the start, found {text!r}")


class ServiceTimes:
    """Answers for all sites under one configuration.

    `rules`: days (`daily` or `workdays`) and hours by level (`village`) or by level and kind (`village.tv`).
    Where there is none it is always in service. All methods raise MonitorError where a working day of a year
    that `calendar` does not cover is needed.

    Several threads may ask at once (figures are counted beside the loop): what is kept is only ever added to or
    replaced as a whole, and each caller goes on with what it found.
    """

    def __init__(self, zone: tzinfo, rules: Mapping[str, tuple[str, Sequence[str]]], calendar: WorkCalendar) -> None:
        self._zone = zone
        self._calendar = calendar
        self._rules = {
            name: Rule(days == "workdays", tuple(union(parse_hours(text) for text in hours)))
            for name, (days, hours) in rules.items()
        }
        self._pieces: dict[int, tuple[tuple[int, int, int], ...]] = {}
        self._days: dict[tuple[tuple[Interval, ...], int], tuple[Interval, ...]] = {}
        self._results: dict[tuple[Profile, int, int], tuple[Interval, ...]] = {}
        self._profiles: dict[tuple[object, ...], Profile] = {}
        self._now: tuple[int, dict[Profile, bool]] = (0, {})  # who is in service at an instant

    def profile(self, site: Site, terminal: Terminal | None = None) -> Profile:
        """The hashable key of the service times of a site or of a terminal of it: share work among equals."""
        # The level's value: the hash of a member is a function of enum's, and this is asked for every terminal.
        key: tuple[object, ...] = (site.level._value_, site.commissioned_on, site.retired_on)
        if terminal is not None:
            key = (*key, terminal.kind, terminal.commissioned_on, terminal.retired_on)
        found = self._profiles.get(key)
        if found is None:
            found = self._profiles[key] = self._profile(site, terminal)
        return found

    def _profile(self, site: Site, terminal: Terminal | None) -> Profile:
        rule = self._rules.get(str(site.level), ALWAYS)
        if terminal is None:
            return Profile(rule, site.commissioned_on, site.retired_on)
        rule = self._rules.get(f"{site.level}.{terminal.kind}", rule)
        first = [d for d in (site.commissioned_on, terminal.commissioned_on) if d is not None]
        last = [d for d in (site.retired_on, terminal.retired_on) if d is not None]
        return Profile(rule, max(first, default=None), min(last, default=None))

    def site(self, site: Site, start: int, end: int) -> list[Interval]:
        """Service times of a site inside [start, end)."""
        return self.intervals(self.profile(site), start, end)

    def terminal(self, site: Site, terminal: Terminal, start: int, end: int) -> list[Interval]:
        """Service times of a terminal inside [start, end); its dates narrow those of its site."""
        return self.intervals(self.profile(site, terminal), start, end)

    def intervals(self, profile: Profile, start: int, end: int) -> list[Interval]:
        """Service times of a profile inside [start, end)."""
        key = (profile, start, end)
        found = self._results.get(key)
        if found is None:
            if len(self._results) >= _KEEP:
                self._results.clear()
            found = self._results[key] = tuple(self._compute(profile, start, end))
        return list(found)

    def is_in_service(self, site: Site, terminal: Terminal | None, at: int) -> bool:
        """Whether the site (`terminal` None) or the terminal is in service at an instant (ms UTC)."""
        profile = self.profile(site, terminal)
        now = self._now
        if at != now[0]:
            self._now = now = (at, {})
        answer = now[1].get(profile)
        if answer is None:
            answer = now[1][profile] = self._is_in_service(profile, at)
        return answer

    def _is_in_service(self, profile: Profile, at: int) -> bool:
        local = datetime.fromtimestamp(at // _SECOND, self._zone)
        day = local.date()
        if not _in_dates(profile, day):
            return False
        of_day = ((local.hour * 60 + local.minute) * 60 + local.second) * _SECOND + at % _SECOND
        if not any(first <= of_day < last for first, last in profile.rule.hours):
            return False
        return not profile.rule.workdays or self._calendar.is_workday(day)

    def _compute(self, profile: Profile, start: int, end: int) -> list[Interval]:
        if start >= end:
            return []
        # One day more on either side: where a clock is put back over midnight, days come twice.
        first, last = self._day_of(start) - 1, self._day_of(end - 1) + 1
        if profile.commissioned_on is not None:
            first = max(first, profile.commissioned_on.toordinal() - _EPOCH_DAY)
        if profile.retired_on is not None:
            last = min(last, profile.retired_on.toordinal() - _EPOCH_DAY - 1)
        rule = profile.rule
        found: list[Interval] = []
        for day in range(first, last + 1):
            spans = [(max(a, start), min(b, end)) for a, b in self._day(rule, day) if a < end and b > start]
            # The calendar is asked only where something depends on it: its next year may not be known yet.
            if spans and (not rule.workdays or self._calendar.is_workday(date.fromordinal(day + _EPOCH_DAY))):
                found += spans
        return union(found)

    def _day(self, rule: Rule, day: int) -> tuple[Interval, ...]:
        """The instants of a local day (counted from 1970-01-01) inside a rule's hours, whatever day it is."""
        key = (rule.hours, day)
        if key not in self._days:
            # A local day lies within three UTC days whatever its offset.
            pieces = [piece for n in (day - 1, day, day + 1) for piece in self._pieces_of(n)]
            self._days[key] = tuple(
                union(
                    (max(begin, day * _DAY - offset + a), min(stop, day * _DAY - offset + b))
                    for begin, stop, offset in pieces
                    for a, b in rule.hours
                    if max(begin, day * _DAY - offset + a) < min(stop, day * _DAY - offset + b)
                )
            )
        return self._days[key]

    def _pieces_of(self, day: int) -> tuple[tuple[int, int, int], ...]:
        """A UTC day cut where the offset changes: start, end, offset in milliseconds."""
        if day not in self._pieces:
            begin, stop = day * _DAY, (day + 1) * _DAY
            pieces: list[tuple[int, int, int]] = []
            start, offset, at = begin, self._offset(begin), begin
            while at < stop:
                after = min(at + _HOUR, stop)
                if self._offset(after) == offset:
                    at = after
                    continue
                at = self._change(at, after, offset)
                if at < stop:
                    pieces.append((start, at, offset))
                    start, offset = at, self._offset(at)
            pieces.append((start, stop, offset))
            self._pieces[day] = tuple(pieces)
        return self._pieces[day]

    def _change(self, before: int, after: int, offset: int) -> int:
        """The first whole second in (before, after] whose offset is not `offset`."""
        while after - before > _SECOND:
            middle = (before + after) // 2 // _SECOND * _SECOND
            if self._offset(middle) == offset:
                before = middle
            else:
                after = middle
        return after

    def _offset(self, at: int) -> int:
        delta = datetime.fromtimestamp(at // _SECOND, self._zone).utcoffset()
        return 0 if delta is None else (delta.days * 86_400 + delta.seconds) * _SECOND

    def _day_of(self, at: int) -> int:
        return datetime.fromtimestamp(at // _SECOND, self._zone).toordinal() - _EPOCH_DAY


def _in_dates(profile: Profile, day: date) -> bool:
    return (profile.commissioned_on is None or profile.commissioned_on <= day) and (
        profile.retired_on is None or day < profile.retired_on
    )

"""A figure taken apart: from what was counted back to lines that anybody can add up (docs/rules.md §5, §6).

`Counter` counts in one pass; here the same time is laid out in parts: days and hours, windows, spans, the clock of each
outage. `Account.added` adds the parts up again, and must give what `Counter` counted: an explanation that does not add
up is none. Instants are ms UTC, lengths ms.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from monitor.core.course import Course
from monitor.core.days import Day
from monitor.core.figures import Counter, Held, Key, Member
from monitor.core.maintenance import terminal_verdict
from monitor.core.measure import Counted, Measure, reaches_back_to
from monitor.core.timeline import DOWN, UNKNOWN, UP, Edge, Interval, Timeline, Value, roll_up, spans, value_at
from monitor.core.window import Window, intersect, length, subtract, union

#: What decided a verdict.
Decider = Literal["overdue", "availability", "coverage", "no_check", "planned_only"]


@dataclass(frozen=True, slots=True)
class Days:
    """So many local days with so much service each: `days` x `each` ms."""

    days: int
    each: int


@dataclass(frozen=True, slots=True)
class Planned:
    """A window that covers a member in the period: what it takes of the time in service, ms, as if it stood alone."""

    window: Window
    inside: int


@dataclass(frozen=True, slots=True)
class Part:
    """A span of a timeline, cut to the period. `begun`: when it really began; `edge` as it is known of that moment.

    in_service = planned + counted.
    """

    start: int
    end: int
    value: Value
    in_service: int
    planned: int
    counted: int
    begun: int
    edge: Edge | None


@dataclass(frozen=True, slots=True)
class Clock:
    """A down part of an outage. `used`: counted down ms of the outage from its very beginning to the part's end;
    `overdue`: what of `counted` lies beyond the limit (0 before the period, where `here` is False)."""

    outage: int
    start: int
    end: int
    counted: int
    used: int
    limit: int
    overdue: int
    here: bool


@dataclass(frozen=True, slots=True)
class Share:
    """What a member adds to a group: its measure at one level and township."""

    level: str
    township: str
    measure: Measure


@dataclass(frozen=True, slots=True)
class Account:
    """The account of one terminal (or, `terminal` None, of a site itself) for a period.

    `measure` and `verdict` are what `Counter` says; `decided` which comparison decided the verdict, and None for a
    site, which takes the worst of its terminals'. `minima`: coverage and availability.
    """

    site: str
    terminal: str | None
    days: Sequence[Days]
    windows: Sequence[Planned]
    parts: Sequence[Part]
    clocks: Sequence[Clock]
    measure: Measure
    verdict: str
    decided: Decider | None
    minima: tuple[float, float]
    shares: Sequence[Share]

    @property
    def in_service(self) -> int:
        """Days times hours."""
        return sum(d.days * d.each for d in self.days)

    @property
    def twice(self) -> int:
        """What more than one window covers, and counts once."""
        return sum(w.inside for w in self.windows) - sum(p.planned for p in self.parts)

    def counted(self, value: Value) -> int:
        """Counted ms of the parts with this value."""
        return sum(p.counted for p in self.parts if p.value == value)

    def outages(self) -> int:
        """Outages with a counted down ms in the period."""
        return len({c.outage for c in self.clocks if c.here and c.counted})

    def added(self) -> Measure:
        """The parts added up again."""
        return Measure(
            self.counted(UP),
            self.counted(DOWN),
            self.counted(UNKNOWN),
            sum(w.inside for w in self.windows) - self.twice,
            self.outages(),
            sum(c.overdue for c in self.clocks),
        )

    def adds_up(self) -> bool:
        """Do the parts give what was counted, and is all time in service accounted for?"""
        parts = sum(p.in_service for p in self.parts)
        whole = self.measure.total + self.measure.planned
        return self.added() == self.measure and self.in_service == parts == whole


def heard(evidence: Sequence[Any] | None) -> tuple[Literal["beat", "end", "results"], list[int]]:
    """What kind of evidence stands on a side of an edge, and when it came in (ms): a beat (received, sent, via, boot,
    seq), the end of contact (when, how), a result (when, was it ok), or the failures of a streak."""
    if not evidence:
        return "results", []
    if len(evidence) == 5 and isinstance(evidence[2], str):
        return "beat", [evidence[0]]
    if len(evidence) == 2 and isinstance(evidence[1], str):
        return "end", [evidence[0]]
    return "results", [at for at in evidence if not isinstance(at, bool)]


def accounts(
    counter: Counter, site_id: str, period: Interval, checks: Mapping[Key, Timeline], day_of: Callable[[int], Day]
) -> list[Account]:
    """Of a site's terminals that were in service in the period, and last of the site itself; empty where nothing was.

    `checks`: the timelines of the site's checks, with the outages that last into the period, and with their edges.
    """
    return [_account(counter, m, period, checks, day_of) for m in counter.members(site_id, period, checks)]


def check_parts(counter: Counter, site_id: str, key: Key, period: Interval, timeline: Timeline) -> list[Part]:
    """The spans of one check in the period, as the time of its terminal counts."""
    return _parts(counter.course(site_id, key[1]), timeline, period, lambda begun: value_at(timeline, begun).edge)


def outage_clock(
    counter: Counter, site_id: str, kind: str, timeline: Timeline, outage: Interval, cuts: Iterable[int] = ()
) -> list[Clock]:
    """The clock of one outage `[start, over or now)`, also cut at `cuts` (ms), as at the months' ends."""
    return _clocks(counter.course(site_id, kind), timeline, outage, cuts)


def _account(
    counter: Counter, member: Member, period: Interval, checks: Mapping[Key, Timeline], day_of: Callable[[int], Day]
) -> Account:
    site_id, kind = member.site.site_id, member.terminal
    course = counter.course(site_id, kind)
    held = counter.held(site_id)
    if kind is None:
        timeline = counter.site_timeline(site_id, checks)
    else:
        timeline = counter.terminal_timeline(site_id, kind, checks)
    rolled = [(h, _rolled(h, kind, checks)) for h in held]

    def edge_at(begun: int) -> Edge | None:
        for h, steps in rolled:
            if h.since <= begun < h.until and steps:
                step = value_at(steps, begun)
                return step.edge if step.at == begun else None
        return None

    minima = counter.minima(period)
    places = member.parts or ((member.site, member.measure),)
    return Account(
        site_id,
        kind,
        _days(course.in_service(*period), day_of),
        _planned(course, counter.windows, period),
        _parts(course, timeline, period, edge_at),
        _clocks(course, timeline, period),
        member.measure,
        member.verdict,
        None if kind is None else decider(counter, member, period),
        (minima.coverage_min, minima.availability_min),
        [Share(str(site.level), site.township_code, measure) for site, measure in places],
    )


def decider(counter: Counter, member: Member, period: Interval) -> Decider:
    """Which comparison decided a terminal's verdict (§6): the first line of the table that fits."""
    measure, minima = member.measure, counter.minima(period)
    if member.terminal is not None and not counter.had_check(member.site.site_id, member.terminal, period):
        return "no_check"
    if measure.overdue > 0:
        return "overdue"
    if not measure.total:
        return "planned_only"
    return "availability" if terminal_verdict(measure, minima.coverage_min, 0.0) != member.verdict else "coverage"


def _rolled(held: Held, kind: str | None, checks: Mapping[Key, Timeline]) -> Timeline:
    """With edges: the roll-up of a terminal (or of the site) by what held; empty where there was no check."""
    of, site = held.era.inventory.checks_of, held.site.site_id
    choose = max if held.era.parameters.terminal_policy == "any" else min
    found: list[Timeline] = []
    for each in held.terminals if kind is None else (kind,):
        own = [checks[c.key] for c in of.get((site, each), ()) if c.key in checks]
        if own:
            found.append(own[0] if len(own) == 1 else roll_up(own, choose))
    if not found:
        return []
    return found[0] if len(found) == 1 else roll_up(found, max)


def _parts(course: Course, timeline: Timeline, period: Interval, edge_at: Callable[[int], Edge | None]) -> list[Part]:
    in_service, counted = (Counted(i) for i in _intervals(course, *period))
    result: list[Part] = []
    for start, end, value in spans(timeline, *period):
        begun = value_at(timeline, start).at
        here, counts = in_service.inside(start, end), counted.inside(start, end)
        result.append(Part(start, end, value, here, here - counts, counts, begun, edge_at(begun)))
    return result


def _intervals(course: Course, start: int, end: int) -> tuple[list[Interval], list[Interval]]:
    """In service, and counted, in `[start, end)`."""
    hours = course.in_service(start, end)
    return hours, subtract(hours, course.planned)


def _days(hours: Sequence[Interval], day_of: Callable[[int], Day]) -> list[Days]:
    """Local days by how much service they had, the most frequent first."""
    lengths: Tally[str] = Tally()
    for start, end in hours:
        at = start
        while at < end:
            name, _, until = day_of(at)
            until = min(until, end)
            lengths[name] += until - at
            at = until
    by_length = Tally(lengths.values())
    return [Days(days, each) for each, days in sorted(by_length.items(), key=lambda item: (-item[1], -item[0]))]


def _planned(course: Course, windows: Iterable[Window], period: Interval) -> list[Planned]:
    """Each window for the time in which the member belonged to its scope, in order of their beginnings."""
    hours = course.in_service(*period)
    result: list[Planned] = []
    for window in sorted(windows, key=lambda w: (w.start, w.end, w.scope)):
        pieces = [
            (max(window.start, piece.since, period[0]), min(window.end, piece.until, period[1]))
            for piece in course.pieces
            if window.scope in piece.scopes
        ]
        reach = union(pieces)
        if reach:
            result.append(Planned(window, length(intersect(hours, reach))))
    return result


def _clocks(course: Course, timeline: Timeline, period: Interval, more: Iterable[int] = ()) -> list[Clock]:
    """The clock of each outage that has to do with the period: every down part, cut where the limit changes."""
    back = reaches_back_to(timeline, period[0])
    counted = Counted(_intervals(course, back, period[1])[1])
    limits = [(piece.since, piece.until, piece.repair_limit_ms) for piece in course.pieces]
    cuts = sorted({period[0], *more, *(since for since, _, _ in limits), *(until for _, until, _ in limits)})
    result: list[Clock] = []
    outage = used = 0
    before = True
    for start, end, value in spans(timeline, back, period[1]):
        if value == UP:
            used, before = 0, True
        if value != DOWN:
            continue
        outage, before = outage + before, False
        edges = [start, *(c for c in cuts if start < c < end), end]
        for a, b in pairwise(edges):
            here = a >= period[0]
            took = counted.inside(a, b)
            used += took
            limit = next((n for since, until, n in limits if since <= a < until), 0)
            overdue = max(0, min(used - limit, took)) if here else 0
            result.append(Clock(outage, a, b, took, used, limit, overdue, here))
    return [c for c in result if any(o.outage == c.outage and o.here for o in result)]

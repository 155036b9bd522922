"""All figures of a period: every terminal's and site's measure and verdict, and the rates (docs/rules.md §5, §6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

from monitor.core.course import Course, Courses, Piece
from monitor.core.eras import Era, Parameters
from monitor.core.maintenance import Rate, Verdict, rates, site_verdict, terminal_verdict
from monitor.core.measure import Measure, reaches_back_to
from monitor.core.sites import Check, Level, Site, Terminal
from monitor.core.timeline import (
    BEGINNING,
    FOREVER,
    UP,
    Interval,
    Step,
    Timeline,
    joined,
    new_timeline,
    roll_up_values,
)
from monitor.core.window import Window, intersect

Key = tuple[str, str, str]
_NOTHING = new_timeline()


@dataclass(frozen=True, slots=True)
class Member:
    """A terminal's figures, or (terminal None) a site's own. `site`: as it was last before the period's end.

    `parts`: where its level or township changed within the period, what it was before and after, and the measure of
    each. Their times add up to the whole's; an outage that lasted over the change is in both.
    """

    site: Site
    terminal: str | None
    measure: Measure
    verdict: Verdict
    parts: tuple[tuple[Site, Measure], ...] = ()

    def by(self, group: Callable[[Site], str]) -> Iterable[tuple[str, Measure]]:
        """What it adds to each group that it belonged to: each second to the one of that time."""
        groups = {group(site) for site, _ in self.parts} or {group(self.site)}
        if len(groups) == 1:
            return [(groups.pop(), self.measure)]
        return [(group(site), measure) for site, measure in self.parts]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of what was in service in `[from, to)`, ordered by site and terminal.

    Beside what is counted: the same without retroactive windows, and the same after approved exemptions 免责;
    None where that changes nothing.
    """

    period: Interval
    terminals: Sequence[Member]
    sites: Sequence[Member]
    site_rates: Mapping[str, Rate]
    terminal_rates: Mapping[str, Rate]
    without_retroactive: Figures | None = None
    after_exemptions: Figures | None = None

    def sums(self) -> dict[str, Measure]:
        """The sites' measures added up, by level and `total`: each second counts for the level the site had then."""
        result = {**{str(level): Measure() for level in Level}, "total": Measure()}
        for member in self.sites:
            result["total"] = result["total"] + member.measure
            for level, measure in member.by(_level):
                result[level] = result[level] + measure
        return result

    def by_township(self) -> dict[str, Measure]:
        """The sites' measures added up, by the code of the township to which each second's site belonged then."""
        result: dict[str, Measure] = {}
        for member in self.sites:
            for code, measure in member.by(_township):
                result[code] = result.get(code, Measure()) + measure
        return result


class Held(NamedTuple):
    """In `[since, until)` the same held for a site, its terminals and their checks."""

    since: int
    until: int
    era: Era
    site: Site
    terminals: Mapping[str, Terminal]
    scopes: tuple[str, ...]
    repair_limit_ms: int
    #: What was found for its terminals, and (None) for the site itself, where nothing ever changed.
    courses: dict[str | None, Course]


class Counter:
    """Counts what held when: the eras in their order, the first from `BEGINNING` on."""

    def __init__(self, eras: Sequence[Era], windows: Sequence[Window]) -> None:
        self.eras = eras
        self.windows = windows
        self._ends = [*(era.since for era in eras[1:]), FOREVER]
        self._spans_of: dict[str, tuple[Held, ...]] = {}
        self._courses = Courses(windows)
        self._wholes: dict[tuple[int, tuple[str, ...], int], Course] = {}

    def terminal_timeline(self, site: str, kind: str, checks: Mapping[Key, Timeline]) -> Timeline:
        """The roll-up of a terminal's checks, in each era of those that it had then; unknown while it has none."""
        spans, key = self.held(site), (site, kind)
        return _joined(
            spans,
            [_rolled(s.era.inventory.checks_of.get(key, ()), s.era.parameters.terminal_policy, checks) for s in spans],
        )

    def count(self, period: Interval, checks: Mapping[Key, Timeline]) -> Figures:
        """All figures of `[from, to)`, ms, from the timelines of all checks (with the outages that last into it)."""
        return self._figures(period, [self.members(site, period, checks) for site in self._sites()])

    def count_all(self, period: Interval, checks: Mapping[Key, Timeline], exempted: Sequence[Window] = ()) -> Figures:
        """As `count`, with what stands beside it. `exempted`: outages whose exemption was approved, as windows."""
        counted = self.count(period, checks)
        bare = [w for w in self.windows if not w.retroactive]
        return replace(
            counted,
            without_retroactive=self.recount(counted, bare, checks),
            after_exemptions=self.recount(counted, [*self.windows, *exempted], checks),
        )

    def recount(self, counted: Figures, windows: Sequence[Window], checks: Mapping[Key, Timeline]) -> Figures | None:
        """What was counted, under other windows; None where no figure differs.

        Only the sites are counted again that a window concerns which is in one list and not in the other.
        """
        others = set(self.windows) ^ set(windows)
        others = {w for w in others if w.start < counted.period[1]}
        if not others:
            return None
        counter = Counter(self.eras, windows)
        known: dict[str, list[Member]] = {}
        for member in (*counted.terminals, *counted.sites):
            known.setdefault(member.site.site_id, []).append(member)
        members = [
            counter.members(site, counted.period, checks)
            if self._reaches(site, counted.period[0], others, checks)
            else known.get(site, [])
            for site in self._sites()
        ]
        again = self._figures(counted.period, members)
        return None if (again.terminals, again.sites) == (counted.terminals, counted.sites) else again

    def _reaches(self, site: str, start: int, windows: Iterable[Window], checks: Mapping[Key, Timeline]) -> bool:
        """Does one of these windows lie in what is counted of the site: the period, or an outage that lasts into it?"""
        spans = self.held(site)
        ends = max((w.end for w in windows if any(w.concerns(span.site) for span in spans)), default=BEGINNING)
        if ends > start:
            return True
        if ends == BEGINNING:
            return False
        kinds = {kind for span in spans for kind in span.terminals}
        return any(reaches_back_to(self.terminal_timeline(site, kind, checks), start) < ends for kind in kinds)

    def _sites(self) -> list[str]:
        if len(self.eras) == 1:
            return sorted(self.eras[0].inventory.sites)
        return sorted({site for era in self.eras for site in era.inventory.sites})

    def site(self, site_id: str) -> Site | None:
        """A site as it is, or as it was last; None where it never was."""
        return next((e.inventory.sites[site_id] for e in reversed(self.eras) if site_id in e.inventory.sites), None)

    # What a figure was counted from, for whoever follows it down (core/explaining.py).

    def course(self, site_id: str, kind: str | None) -> Course:
        """What decides how the time of a terminal counts (also of one that is not listed), or (None) of the site."""
        spans = self.held(site_id)
        if _is_whole(spans) and (kind is None or kind in spans[0].terminals):
            return self._whole(spans[0], kind)
        if kind is None or any(kind in span.terminals for span in spans):
            return self._course(spans, kind)
        return self._course(spans, kind, Terminal(site_id, kind))

    def site_timeline(self, site_id: str, checks: Mapping[Key, Timeline]) -> Timeline:
        """Up where any of the terminals is that had checks then (§4)."""
        spans = self.held(site_id)
        watched = [list(_watched(span, checks).values()) for span in spans]
        return _joined(spans, [roll_up_values(ts, max) if ts else _NOTHING for ts in watched])

    def own(self, site_id: str, period: Interval, checks: Mapping[Key, Timeline]) -> tuple[Course, Timeline]:
        """A site's own course, and its timeline as `count` takes it: right within the period, quicker than
        `site_timeline`. What it says of the time before it is right only where the site is not up as it begins."""
        spans = self.held(site_id)
        watched = [_watched(span, checks) for span in spans]
        if _is_whole(spans):
            return self._whole(spans[0], None), _of_site(list(watched[0].values()), period[0])
        return self._course(spans, None), self._own(spans, watched, period)

    def _own(self, spans: Sequence[Held], watched: Sequence[Mapping[str, Timeline]], period: Interval) -> Timeline:
        # What was before the period need not be right if the site is up as it begins.
        return _joined(
            spans,
            [
                _of_site(list(of_span.values()), period[0] if span.since <= period[0] < span.until else span.since)
                for span, of_span in zip(spans, watched, strict=True)
            ],
        )

    def had_check(self, site_id: str, kind: str, period: Interval) -> bool:
        """Had a terminal a check while it was in service in the period?"""
        spans = self.held(site_id)
        watched = [{k: _NOTHING for k in s.terminals if s.era.inventory.checks_of.get((site_id, k))} for s in spans]
        return _had_check(spans, watched, kind, self.course(site_id, kind), period)

    def minima(self, period: Interval) -> Parameters:
        """The minima and plans that hold for all of a period: those of before its end."""
        return self._last(period).parameters

    def held(self, site_id: str) -> tuple[Held, ...]:
        """What held for a site, in order of time: the eras in which it existed; those that are equal for it are one."""
        found = self._spans_of.get(site_id)
        if found is None:
            spans: list[Held] = []
            for era, until in zip(self.eras, self._ends, strict=True):
                site = era.inventory.sites.get(site_id)
                if site is None:
                    continue
                if spans and spans[-1].until == era.since and _same(spans[-1].era, era, site_id):
                    spans[-1] = spans[-1]._replace(until=until)
                else:
                    terminals = {t.kind: t for t in sorted(era.inventory.terminals_of[site_id], key=_kind)}
                    limit = era.parameters.repair_limit_ms[str(site.level)]
                    spans.append(Held(era.since, until, era, site, terminals, self._scopes(site), limit, {}))
            found = self._spans_of[site_id] = tuple(spans)
        return found

    def members(self, site_id: str, period: Interval, checks: Mapping[Key, Timeline]) -> list[Member]:
        """A site's terminals that were in service, and last the site itself if it was."""
        spans = self.held(site_id)
        if _is_whole(spans):
            return self._unchanged(spans[0], period, checks)
        before = [span for span in spans if span.since < period[1]]
        if not before:
            return []
        site = before[-1].site
        minima = self._last(period).parameters
        watched = [_watched(span, checks) for span in spans]
        mine: list[Member] = []
        for kind in sorted({kind for span in spans for kind in span.terminals}):
            course = self._course(spans, kind)
            timeline = _joined(spans, [of_span.get(kind) or _NOTHING for of_span in watched])
            measured = course.measure(timeline, period)
            if measured is None:
                continue
            # Without a check nothing is proven, however low the minima are.
            verdict: Verdict = "unproven"
            if _had_check(spans, watched, kind, course, period):
                verdict = terminal_verdict(measured, minima.coverage_min, minima.availability_min)
            parts = _parts(course, before, timeline, period)
            mine.append(Member(site, kind, measured, verdict, parts))
        course = self._course(spans, None)
        timeline = self._own(spans, watched, period)
        measured = course.measure(timeline, period)
        if measured is not None:
            parts = _parts(course, before, timeline, period)
            mine.append(Member(site, None, measured, site_verdict([m.verdict for m in mine]), parts))
        return mine

    def _unchanged(self, span: Held, period: Interval, checks: Mapping[Key, Timeline]) -> list[Member]:
        """As `members`, of a site for which nothing ever changed: of most, so no more is done than must be."""
        site, minima = span.site, span.era.parameters
        if len(self.eras) > 1:
            minima = self._last(period).parameters
        watched = _watched(span, checks)
        mine: list[Member] = []
        for kind in span.terminals:
            timeline = watched.get(kind)
            measured = self._whole(span, kind).measure(timeline or _NOTHING, period)
            if measured is not None:
                verdict: Verdict = "unproven"
                if timeline is not None:
                    verdict = terminal_verdict(measured, minima.coverage_min, minima.availability_min)
                mine.append(Member(site, kind, measured, verdict))
        measured = self._whole(span, None).measure(_of_site(list(watched.values()), period[0]), period)
        if measured is not None:
            mine.append(Member(site, None, measured, site_verdict([m.verdict for m in mine])))
        return mine

    def _last(self, period: Interval) -> Era:
        """The last era before the period's end: its minima and plans hold for all of it."""
        return next((era for era in reversed(self.eras) if era.since < period[1]), self.eras[0])

    def _figures(self, period: Interval, members: Sequence[Sequence[Member]]) -> Figures:
        terminals = [m for of_site in members for m in of_site if m.terminal is not None]
        sites = [m for of_site in members for m in of_site if m.terminal is None]
        plans = self._last(period).parameters
        return Figures(
            period,
            terminals,
            sites,
            rates(((m.site.level, m.verdict) for m in sites), plans.planned_sites),
            rates(((m.site.level, m.verdict) for m in terminals), plans.planned_terminals),
        )

    def _scopes(self, site: Site) -> tuple[str, ...]:
        """Those of the windows' scopes that hold it (`Window.covers`)."""
        own = ["county", f"level:{site.level}", f"site:{site.site_id}"]
        if site.level is not Level.COUNTY:
            own.append(f"township:{site.township_code}")
        return self._courses.scopes(own)

    def _course(self, spans: Sequence[Held], kind: str | None, unlisted: Terminal | None = None) -> Course:
        """Of a terminal, or of the site itself. `unlisted`: one that no inventory holds, as a township's line."""
        pieces: list[Piece] = []
        for span in spans:
            scopes, terminal = span.scopes, unlisted
            if kind is not None:
                terminal = span.terminals.get(kind, unlisted)
                if terminal is None:
                    continue
                scopes = self._courses.terminal_scopes(scopes, span.site.site_id, kind)
            service = span.era.service
            profile = service.profile(span.site, terminal)
            if pieces and pieces[-1].goes_on(span.since, profile, scopes, span.repair_limit_ms):
                pieces[-1] = pieces[-1]._replace(until=span.until)
            else:
                pieces.append(Piece(span.since, span.until, service, profile, scopes, span.repair_limit_ms))
        return self._courses.of(pieces)

    def _whole(self, span: Held, kind: str | None) -> Course:
        """As `_course`, of a site for which nothing ever changed."""
        known = span.courses.get(kind)
        if known is not None:
            return known
        service, scopes = span.era.service, span.scopes
        profile = service.profile(span.site, None if kind is None else span.terminals[kind])
        if kind is not None:
            scopes = self._courses.terminal_scopes(scopes, span.site.site_id, kind)
        # By `id` of a profile, which the service times keep: its own hash takes longer than all else.
        key = (id(profile), scopes, span.repair_limit_ms)
        found = self._wholes.get(key)
        if found is None:
            piece = Piece(BEGINNING, FOREVER, service, profile, scopes, span.repair_limit_ms)
            found = self._wholes[key] = self._courses.of([piece])
        span.courses[kind] = found
        return found


def _kind(terminal: Terminal) -> str:
    return terminal.kind


def _level(site: Site) -> str:
    return str(site.level)


def _township(site: Site) -> str:
    return site.township_code


def _same(one: Era, other: Era, site: str) -> bool:
    """Did nothing change for a site that figures depend on?"""
    a, b = one.inventory, other.inventory
    before, after = one.parameters, other.parameters
    if one.service is not other.service or (
        before is not after
        and (before.terminal_policy, before.repair_limit_ms) != (after.terminal_policy, after.repair_limit_ms)
    ):
        return False
    return a is b or (
        a.sites[site] == b.sites[site]
        and a.terminals_of[site] == b.terminals_of[site]
        and all(
            [c.check for c in a.checks_of.get(t.key, ())] == [c.check for c in b.checks_of.get(t.key, ())]
            for t in a.terminals_of[site]
        )
    )


def _watched(span: Held, checks: Mapping[Key, Timeline]) -> dict[str, Timeline]:
    """The terminals that had checks then, and what these say."""
    site, of = span.site.site_id, span.era.inventory.checks_of
    policy = span.era.parameters.terminal_policy
    return {kind: _rolled(own, policy, checks) for kind in span.terminals if (own := of.get((site, kind)))}


def _rolled(own: Iterable[Check], policy: str, checks: Mapping[Key, Timeline]) -> Timeline:
    """A terminal's timeline by these checks."""
    parts = [t for c in own if (t := checks.get((c.site_id, c.terminal, c.check))) is not None]
    if len(parts) == 1:
        return parts[0]
    return roll_up_values(parts, max if policy == "any" else min) if parts else _NOTHING


def _is_whole(spans: Sequence[Held]) -> bool:
    return len(spans) == 1 and spans[0].since == BEGINNING and spans[0].until == FOREVER


def _joined(spans: Sequence[Held], timelines: Sequence[Timeline]) -> Timeline:
    """Of each span its timeline."""
    if _is_whole(spans):
        return timelines[0]
    return joined((span.since, span.until, t) for span, t in zip(spans, timelines, strict=True))


def _had_check(
    spans: Sequence[Held], watched: Sequence[Mapping[str, Timeline]], kind: str, course: Course, period: Interval
) -> bool:
    """Had a terminal a check while it was in service in the period?"""
    return any(
        kind in of_span and course.in_service(*_clip(span, period))
        for span, of_span in zip(spans, watched, strict=True)
    )


def _clip(span: Held, period: Interval) -> Interval:
    return max(span.since, period[0]), min(span.until, period[1])


def _parts(
    course: Course, spans: Sequence[Held], timeline: Sequence[Step], period: Interval
) -> tuple[tuple[Site, Measure], ...]:
    """A member's measure cut where the level or the township changed; empty where neither did."""
    runs: list[tuple[Site, int, int]] = []
    for span in spans:
        start, end = _clip(span, period)
        if start < end:
            if runs and _place(runs[-1][0]) == _place(span.site):
                start = runs.pop()[1]
            runs.append((span.site, start, end))
    last = _place(spans[-1].site)
    if all(_place(site) == last for site, _, _ in runs):
        return ()
    parts = tuple((site, m) for site, start, end in runs if (m := course.measure(timeline, (start, end))) is not None)
    return parts if any(_place(site) != last for site, _ in parts) else ()


def _place(site: Site) -> tuple[Level, str]:
    return site.level, site.township_code


def _of_site(watched: Sequence[Timeline], since: int) -> Timeline:
    """A site's own timeline from `since` on (§4): up where any of its terminals is."""
    if len(watched) == 1:
        return watched[0]
    for timeline in watched:
        if timeline[-1][1] == UP and timeline[-1][0] <= since:
            return timeline  # up all the time: so is the site, whatever the others were
    if not watched:
        return new_timeline()
    # Hardly ever are all of its terminals away at once: where they were only before the first beat, that is all.
    away = reduce(intersect, map(_away, watched))
    if len(away) == 1 and all(len(t) > 1 and t[1][1] == UP for t in watched):
        return [watched[0][0], Step(away[0][1], UP)]
    return roll_up_values(watched, max)


def _away(timeline: Sequence[Step]) -> list[Interval]:
    """Where it is not up."""
    result: list[Interval] = []
    since: int | None = None
    for step in timeline:
        if step[1] != UP:
            if since is None:
                since = step[0]
        elif since is not None:
            result.append((since, step[0]))
            since = None
    if since is not None:
        result.append((since, FOREVER))
    return result

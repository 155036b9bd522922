"""All figures of a period: every terminal's and site's measure and verdict, and the rates (docs/rules.md §5, §6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from monitor.core.eras import Parameters
from monitor.core.maintenance import Rate, Verdict, rates, site_verdict, terminal_verdict
from monitor.core.measure import Counted, Measure, counted_down, measure_counted, reaches_back_to
from monitor.core.service import Profile, ServiceTimes
from monitor.core.sites import Inventory, Level, Site, Terminal
from monitor.core.timeline import FOREVER, UP, Interval, Step, Timeline, new_timeline, roll_up_values
from monitor.core.window import Window, intersect, length, subtract, union

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Member:
    """A terminal's figures, or (terminal None) a site's own."""

    site: Site
    terminal: str | None
    measure: Measure
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Figures:
    """Of what was in service in `[from, to)`, ordered by site and terminal.

    Beside what is counted: the same without retroactive windows 事后补录, and the same after approved exemptions 免责;
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
        """The sites' measures added up, by level and `total`."""
        result = {**{str(level): Measure() for level in Level}, "total": Measure()}
        for member in self.sites:
            for name in (str(member.site.level), "total"):
                result[name] = result[name] + member.measure
        return result


class Counter:
    """Counts one inventory under one set of parameters. It keeps what members with equal hours share."""

    def __init__(
        self, inventory: Inventory, parameters: Parameters, service: ServiceTimes, windows: Sequence[Window]
    ) -> None:
        self.inventory = inventory
        self.parameters = parameters
        self.service = service
        self.windows = windows
        self._windows: dict[str, list[Window]] = {}
        for window in windows:
            self._windows.setdefault(window.scope, []).append(window)
        self._scopes_of: dict[str, tuple[str, ...]] = {}
        #: Sites with windows of single terminals.
        self._single = {s.removeprefix("terminal:").partition("/")[0] for s in self._windows if "/" in s}
        # By `id` of a profile, which the service times keep: its own hash takes longer than all else.
        self._intervals: dict[tuple[int, tuple[str, ...], Interval], tuple[Counted, Counted]] = {}
        self._steady: dict[tuple[int, tuple[str, ...], Interval, str], Measure | None] = {}
        self._choose = max if parameters.terminal_policy == "any" else min

    def terminal_timeline(self, site: str, kind: str, checks: Mapping[Key, Timeline]) -> Timeline:
        """The roll-up of a terminal's checks; one without any is unknown."""
        parts = [t for c in self.inventory.checks_of.get((site, kind), ()) if (t := checks.get(c.key)) is not None]
        if len(parts) == 1:
            return parts[0]
        return roll_up_values(parts, self._choose) if parts else new_timeline()

    def count(self, period: Interval, checks: Mapping[Key, Timeline]) -> Figures:
        """All figures of `[from, to)`, ms, from the timelines of all checks (with the outages that last into it)."""
        return self._figures(period, [self._members(site, period, checks) for site in self._sites()])

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
        counter = Counter(self.inventory, self.parameters, self.service, windows)
        known: dict[str, list[Member]] = {}
        for member in (*counted.terminals, *counted.sites):
            known.setdefault(member.site.site_id, []).append(member)
        members = [
            counter._members(site, counted.period, checks)
            if any(w.concerns(site) for w in others) and self._reaches(site, counted.period[0], others, checks)
            else known.get(site.site_id, [])
            for site in self._sites()
        ]
        again = self._figures(counted.period, members)
        return None if (again.terminals, again.sites) == (counted.terminals, counted.sites) else again

    def _reaches(self, site: Site, start: int, windows: Iterable[Window], checks: Mapping[Key, Timeline]) -> bool:
        """Does one of these windows lie in what is counted of the site: the period, or an outage that lasts into it?"""
        ends = max(w.end for w in windows if w.concerns(site))
        if ends > start:
            return True
        terminals = self.inventory.terminals_of[site.site_id]
        return any(reaches_back_to(self.terminal_timeline(*t.key, checks), start) < ends for t in terminals)

    def _sites(self) -> list[Site]:
        return sorted(self.inventory.sites.values(), key=lambda s: s.site_id)

    def _members(self, site: Site, period: Interval, checks: Mapping[Key, Timeline]) -> list[Member]:
        """A site's terminals that were in service, and last the site itself if it was."""
        mine: list[Member] = []
        watched: list[Timeline] = []
        for terminal in sorted(self.inventory.terminals_of[site.site_id], key=lambda t: t.kind):
            timeline = self.terminal_timeline(site.site_id, terminal.kind, checks)
            is_watched = bool(self.inventory.checks_of.get(terminal.key))
            if is_watched:
                watched.append(timeline)
            measured = self.measure(site, terminal, timeline, period)
            if measured is not None:
                minima = (self.parameters.coverage_min, self.parameters.availability_min)
                # Without a check nothing is proven, however low the minima are.
                verdict = terminal_verdict(measured, *minima) if is_watched else "unproven"
                mine.append(Member(site, terminal.kind, measured, verdict))
        measured = self.measure(site, None, _of_site(watched, period), period)
        if measured is not None:
            mine.append(Member(site, None, measured, site_verdict(m.verdict for m in mine)))
        return mine

    def _figures(self, period: Interval, members: Sequence[Sequence[Member]]) -> Figures:
        terminals = [m for of_site in members for m in of_site if m.terminal is not None]
        sites = [m for of_site in members for m in of_site if m.terminal is None]
        return Figures(
            period,
            terminals,
            sites,
            rates(((m.site.level, m.verdict) for m in sites), self.parameters.planned_sites),
            rates(((m.site.level, m.verdict) for m in terminals), self.parameters.planned_terminals),
        )

    def measure(
        self, site: Site, terminal: Terminal | None, timeline: Sequence[Step], period: Interval
    ) -> Measure | None:
        """One member's measure, None where it has no in-service second in the period."""
        profile = self.service.profile(site, terminal)
        scopes = self._scopes(site, terminal)
        if _is_steady(timeline, period):
            # Most members, in an ordinary month: nothing happened, so those with the same hours have the same figures.
            steady = (id(profile), scopes, period, timeline[-1][1])
            if steady not in self._steady:
                self._steady[steady] = self._measure(site, timeline, period, profile, scopes)
            return self._steady[steady]
        return self._measure(site, timeline, period, profile, scopes)

    def _measure(
        self, site: Site, timeline: Sequence[Step], period: Interval, profile: Profile, scopes: tuple[str, ...]
    ) -> Measure | None:
        back = reaches_back_to(timeline, period[0])
        in_service, counted = self._counted(profile, scopes, (back, period[1]), back == period[0])
        if not in_service.intervals or in_service.intervals[-1][1] <= period[0]:
            return None
        return measure_counted(timeline, period, in_service, counted, self.parameters.repair_limit_ms[site.level])

    def _counted(
        self, profile: Profile, scopes: tuple[str, ...], reach: Interval, keep: bool
    ) -> tuple[Counted, Counted]:
        """In service, and counted: outside of planned windows too."""
        key = (id(profile), scopes, reach)
        found = self._intervals.get(key)
        if found is None:
            hours = self.service.intervals(profile, *reach)
            planned = union((w.start, w.end) for scope in scopes for w in self._windows[scope])
            found = (Counted(hours), Counted(subtract(hours, planned)))
            if keep:
                self._intervals[key] = found
        return found

    def _scopes(self, site: Site, terminal: Terminal | None) -> tuple[str, ...]:
        """Those of the windows' scopes that hold it (`Window.covers`)."""
        if site.site_id not in self._scopes_of:
            own = ["county", f"level:{site.level}", f"site:{site.site_id}"]
            if site.level is not Level.COUNTY:
                own.append(f"township:{site.township_code}")
            self._scopes_of[site.site_id] = tuple(scope for scope in own if scope in self._windows)
        found = self._scopes_of[site.site_id]
        if terminal is not None and site.site_id in self._single:
            scope = f"terminal:{site.site_id}/{terminal.kind}"
            found = (*found, scope) if scope in self._windows else found
        return found

    def in_service(self, site: Site, terminal: Terminal | None, start: int, end: int) -> Sequence[Interval]:
        """In-service intervals of a terminal, or of the site itself."""
        return (
            self.service.site(site, start, end)
            if terminal is None
            else self.service.terminal(site, terminal, start, end)
        )

    def planned(self, site: Site, terminal: Terminal | None) -> list[Interval]:
        """The planned windows that cover it, joined."""
        return union((w.start, w.end) for scope in self._scopes(site, terminal) for w in self._windows[scope])

    def at_most_ms(self, site: Site, terminal: Terminal, reach: Interval, start: int, end: int) -> int:
        """No less than the counted down ms of an outage in `[start, end)`: had it been down all the while.

        `reach` holds all that is asked for, so that all terminals with equal hours share the work.
        """
        profile, scopes = self.service.profile(site, terminal), self._scopes(site, terminal)
        return self._counted(profile, scopes, reach, True)[1].inside(start, end)

    def reached_at(
        self, site: Site, terminal: Terminal, timeline: Sequence[Step], outage: Interval, limit_ms: int
    ) -> int | None:
        """When the counted down ms of an outage `[start, end or now)` came to more than `limit_ms`; None if never.

        From that instant on each further one is overdue, if the limit is that of repair.
        """
        counted = subtract(self.in_service(site, terminal, *outage), self.planned(site, terminal))
        left = limit_ms
        for start, end in counted_down(timeline, *outage, counted):
            if end - start > left:
                return start + left
            left -= end - start
        return None

    def counted_ms(self, site: Site, terminal: Terminal, timeline: Sequence[Step], start: int, now: int) -> int:
        """Counted down ms of the outage that began at `start`, as of `now`: the one clock of all limits (§6)."""
        counted = subtract(self.in_service(site, terminal, start, now), self.planned(site, terminal))
        return length(counted_down(timeline, start, now, counted))


def _is_steady(timeline: Sequence[Step], period: Interval) -> bool:
    """One value over all of the period, and no outage that lasts into it."""
    last = timeline[-1]
    if last[0] > period[0]:
        return False
    return last[1] == UP or len(timeline) == 1


def _of_site(watched: Sequence[Sequence[Step]], period: Interval) -> Sequence[Step]:
    """A site's own timeline (§4): up where any of its terminals is."""
    if len(watched) == 1:
        return watched[0]
    for timeline in watched:
        if timeline[-1][1] == UP and timeline[-1][0] <= period[0]:
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

"""All figures of a period: every terminal's and site's measure and verdict, and the rates (availability.md §5, §6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitor.core.maintenance import Rate, Verdict, rates, site_verdict, terminal_verdict
from monitor.core.measure import Measure, counted_down, measure, reaches_back_to
from monitor.core.service import ServiceTimes
from monitor.core.sites import Inventory, Level, Site, Terminal
from monitor.core.timeline import Interval, Step, Timeline, new_timeline, roll_up
from monitor.core.window import Window, length, subtract, union

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the rules leave open. `repair_limit_ms` by level; the plans by level, or None for the inventory's own."""

    terminal_policy: str
    coverage_min: float
    availability_min: float
    repair_limit_ms: Mapping[str, int]
    planned_sites: Mapping[str, int]
    planned_terminals: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Member:
    """A terminal's figures, or (terminal None) a site's own."""

    site: Site
    terminal: str | None
    measure: Measure
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Figures:
    """Of what was in service in `[from, to)`, ordered by site and terminal."""

    period: Interval
    terminals: Sequence[Member]
    sites: Sequence[Member]
    site_rates: Mapping[str, Rate]
    terminal_rates: Mapping[str, Rate]

    def sums(self) -> dict[str, Measure]:
        """The sites' measures added up, by level and `total`."""
        result = {**{str(level): Measure() for level in Level}, "total": Measure()}
        for member in self.sites:
            for name in (str(member.site.level), "total"):
                result[name] = result[name] + member.measure
        return result


class Counter:
    """Counts one inventory under one set of parameters. It keeps no state but what `service` caches."""

    def __init__(
        self, inventory: Inventory, parameters: Parameters, service: ServiceTimes, windows: Sequence[Window]
    ) -> None:
        self.inventory = inventory
        self.parameters = parameters
        self.service = service
        self.windows = windows
        self._choose = max if parameters.terminal_policy == "any" else min

    def terminal_timeline(self, site: str, kind: str, checks: Mapping[Key, Timeline]) -> Timeline:
        """The roll-up of a terminal's checks; one without any is unknown."""
        parts = [checks[c.key] for c in self.inventory.checks_of.get((site, kind), ()) if c.key in checks]
        if len(parts) == 1:
            return parts[0]
        return roll_up(parts, self._choose) if parts else new_timeline()

    def count(self, period: Interval, checks: Mapping[Key, Timeline]) -> Figures:
        """All figures of `[from, to)`, ms, from the timelines of all checks (with the outages that last into it)."""
        terminals: list[Member] = []
        sites: list[Member] = []
        for site in sorted(self.inventory.sites.values(), key=lambda s: s.site_id):
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
            terminals += mine
            own = watched[0] if len(watched) == 1 else roll_up(watched, max) if watched else new_timeline()
            measured = self.measure(site, None, own, period)
            if measured is not None:
                sites.append(Member(site, None, measured, site_verdict(m.verdict for m in mine)))
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
        back = reaches_back_to(timeline, period[0])
        in_service = self.in_service(site, terminal, back, period[1])
        if not in_service or in_service[-1][1] <= period[0]:
            return None
        limit = self.parameters.repair_limit_ms[site.level]
        return measure(timeline, period, in_service, self.planned(site, terminal), limit)

    def in_service(self, site: Site, terminal: Terminal | None, start: int, end: int) -> Sequence[Interval]:
        """In-service intervals of a terminal, or of the site itself."""
        return (
            self.service.site(site, start, end)
            if terminal is None
            else self.service.terminal(site, terminal, start, end)
        )

    def planned(self, site: Site, terminal: Terminal | None) -> list[Interval]:
        """The planned windows that cover it, joined."""
        kind = terminal.kind if terminal else None
        return union((w.start, w.end) for w in self.windows if w.covers(site, kind)) if self.windows else []

    def counted_ms(self, site: Site, terminal: Terminal, timeline: Sequence[Step], start: int, now: int) -> int:
        """Counted down ms of the outage that began at `start`, as of `now`: the one clock of all limits (§6)."""
        counted = subtract(self.in_service(site, terminal, start, now), self.planned(site, terminal))
        return length(counted_down(timeline, start, now, counted))

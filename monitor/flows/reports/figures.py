"""What was counted, as a report says it: levels, townships, kinds, sites, days, and the rate at other minima."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from monitor.core.explaining import decider
from monitor.core.figures import Counter, Figures, Key, Member
from monitor.core.maintenance import Rate, Verdict, rates, site_verdict, terminal_verdict
from monitor.core.measure import Measure
from monitor.core.report import (
    Counted,
    DayFacts,
    GroupFacts,
    MinimumFacts,
    OtherFacts,
    RateFacts,
    SiteFacts,
    Sum,
    TerminalFacts,
)
from monitor.core.sites import Level
from monitor.core.timeline import Interval, Timeline

#: At which availability minima a report also gives the rate.
MINIMA = ("0", "0.90", "0.95", "0.99")
#: In the heat map: nothing was counted; more was unknown than known.
NOT_COUNTED, NOT_KNOWN = -1, -2


class Heat(NamedTuple):
    """Days of the whole county, and per site (in the order of `Figures.sites`) of each day."""

    days: list[DayFacts]
    sites: list[Sequence[int]]


def sum_of(measure: Measure) -> Sum:
    """The same, for a report."""
    return Sum(measure.up, measure.down, measure.unknown, measure.planned, measure.outages, measure.overdue)


def counted(figures: Figures, measured: Figures | None = None) -> Counted:
    """By level and `total`. `measured`: what this other way of counting differs from."""
    return Counted(
        {level: sum_of(measure) for level, measure in figures.sums().items()},
        _rates(figures.site_rates),
        _rates(figures.terminal_rates),
        {} if measured is None else _differing(figures, measured),
    )


def _rates(found: Mapping[str, Rate]) -> dict[str, RateFacts]:
    return {level: rate_facts(rate) for level, rate in found.items()}


def rate_facts(rate: Rate) -> RateFacts:
    """The same, for a report."""
    return RateFacts(rate.planned, rate.maintained, rate.failed, rate.unproven)


def _differing(figures: Figures, measured: Figures) -> dict[str, OtherFacts]:
    result: dict[str, OtherFacts] = {}
    for mine, others in ((measured.terminals, figures.terminals), (measured.sites, figures.sites)):
        known = {(m.site.site_id, m.terminal): m for m in mine}
        for other in others:
            before = known.get((other.site.site_id, other.terminal))
            if before is None or (before.measure, before.verdict) != (other.measure, other.verdict):
                site = other.site.site_id
                name = f"site:{site}" if other.terminal is None else f"terminal:{site}/{other.terminal}"
                result[name] = OtherFacts(sum_of(other.measure), other.verdict)
    for kind, groups in (("township", townships), ("kind", kinds)):
        as_measured = {group.id: group for group in groups(measured)}
        for group in groups(figures):
            if as_measured.get(group.id) != group:
                result[f"{kind}:{group.id}"] = OtherFacts(group.sum, "", group.rate)
    return result


def townships(figures: Figures) -> list[GroupFacts]:
    """By code: each second to the township that its site belonged to then, a verdict to that at the period's end."""
    sums = figures.by_township()
    names = {site.township_code: site.township_name for m in figures.sites for site, _ in m.parts}
    names |= {m.site.township_code: m.site.township_name for m in figures.sites}
    verdicts: dict[str, list[Verdict]] = {code: [] for code in sums}
    for member in figures.sites:
        verdicts.setdefault(member.site.township_code, []).append(member.verdict)
    return [
        GroupFacts(code, names[code], sum_of(sums.get(code, Measure())), _rate(verdicts[code]))
        for code in sorted(verdicts)
    ]


def kinds(figures: Figures) -> list[GroupFacts]:
    """Terminals by kind."""
    of_kind: dict[str, list[Member]] = {}
    for member in figures.terminals:
        of_kind.setdefault(str(member.terminal), []).append(member)
    return [
        GroupFacts(kind, kind, sum_of(_added(m.measure for m in members)), _rate([m.verdict for m in members]))
        for kind, members in sorted(of_kind.items())
    ]


def _added(measures: Iterable[Measure]) -> Measure:
    up = down = unknown = planned = outages = overdue = 0
    for m in measures:
        up += m.up
        down += m.down
        unknown += m.unknown
        planned += m.planned
        outages += m.outages
        overdue += m.overdue
    return Measure(up, down, unknown, planned, outages, overdue)


def _rate(verdicts: Sequence[str]) -> RateFacts:
    count = verdicts.count
    return RateFacts(len(verdicts), count("maintained"), count("failed"), count("unproven"))


def sites(figures: Figures, counter: Counter) -> list[SiteFacts]:
    """Those that were in service, by id, each with its terminals and what decided its verdict."""
    mine: dict[str, list[Member]] = {}
    for member in figures.terminals:
        mine.setdefault(member.site.site_id, []).append(member)
    result = []
    for member in figures.sites:
        site = member.site
        terminals = mine.get(site.site_id, [])
        why: list[tuple[str, str]] = []
        if member.verdict != "maintained":
            why = [
                (str(t.terminal), str(decider(counter, t, figures.period)))
                for t in terminals
                if t.verdict == member.verdict
            ]
        result.append(
            SiteFacts(
                site.site_id,
                site.name,
                str(site.level),
                site.township_code,
                sum_of(member.measure),
                member.verdict,
                why or ([("", "no_check")] if member.verdict != "maintained" else []),
                [TerminalFacts(str(t.terminal), sum_of(t.measure), t.verdict) for t in terminals],
            )
        )
    return result


def minima(figures: Figures, counter: Counter) -> list[MinimumFacts]:
    """The rates as they would be at other availability minima. What is unproven is so at any of them."""
    rules = counter.minima(figures.period)
    result = []
    for minimum in MINIMA:
        at = float(minimum)
        worst: dict[str, list[Verdict]] = {}
        terminals: list[tuple[Level, Verdict]] = []
        for m in figures.terminals:
            verdict = m.verdict if m.verdict == "unproven" else terminal_verdict(m.measure, rules.coverage_min, at)
            terminals.append((m.site.level, verdict))
            worst.setdefault(m.site.site_id, []).append(verdict)
        of_sites = [(m.site.level, site_verdict(worst.get(m.site.site_id, []))) for m in figures.sites]
        by_sites = rates(of_sites, rules.planned_sites)["total"]
        by_terminals = rates(terminals, rules.planned_terminals)["total"]
        result.append(MinimumFacts(minimum, rate_facts(by_sites), rate_facts(by_terminals)))
    return result


def heat(
    figures: Figures,
    counter: Counter,
    checks: Mapping[Key, Timeline],
    names: Sequence[date],
    days: Sequence[Interval],
) -> Heat:
    """Of each day its sums and every site's availability. `days`: of `names`, `[start, end)`, cut to the period."""
    county = [[0, 0, 0, 0, 0, 0] for _ in days]
    # Most sites had nothing but good days: those that share their hours share their row.
    well: dict[int, tuple[Sequence[Measure], int]] = {}
    rows: dict[int, Sequence[int]] = {}
    result: list[Sequence[int]] = []
    for member in figures.sites:
        course, timeline = counter.own(member.site.site_id, figures.period, checks)
        good, own = course.by_day(timeline, days)
        key = id(good)
        well[key] = (good, well[key][1] + 1 if key in well else 1)
        row = rows.get(key)
        if row is None:
            row = rows[key] = [_in_hundredths(measure) for measure in good]
        if own:
            row = list(row)
        for i, measure in own.items():
            row[i] = _in_hundredths(measure)  # type: ignore[index]  # it is a list of its own
            _add(county[i], measure, 1)
            _add(county[i], good[i], -1)
        result.append(row)
    for good, count in well.values():
        for i, measure in enumerate(good):
            _add(county[i], measure, count)
    return Heat([DayFacts(day.isoformat(), Sum(*all_of)) for day, all_of in zip(names, county, strict=True)], result)


def _add(to: list[int], measure: Measure, times: int) -> None:
    to[0] += times * measure.up
    to[1] += times * measure.down
    to[2] += times * measure.unknown
    to[3] += times * measure.planned
    to[4] += times * measure.outages
    to[5] += times * measure.overdue


def _in_hundredths(measure: Measure) -> int:
    """Availability, cut to hundredths of a percent."""
    known = measure.up + measure.down
    if not measure.total:
        return NOT_COUNTED
    return measure.up * 10_000 // known if known >= measure.unknown else NOT_KNOWN

"""A year follows from its months (docs/rules.md §6): verdicts, rates, site-months, what was put right.

A site or a terminal counts as maintained if it was so in every month in which it was in service; it failed if it failed
in any, and is unproven otherwise. It belongs to the level that it had last.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from monitor.core.maintenance import Rate, Verdict, rates, site_verdict
from monitor.core.report import Counted, ReportFacts
from monitor.core.sites import Level

K = TypeVar("K", bound=Hashable)
#: By site, or by (site, terminal): the level it had, and the verdict.
Verdicts = Mapping[K, tuple[Level, Verdict]]


@dataclass(frozen=True, slots=True)
class Month:
    """What a month says, by one way of counting. `planned`: sites, by level."""

    month: str
    sites: Verdicts[str]
    terminals: Verdicts[tuple[str, str]]
    planned: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Of a site or terminal that was not maintained all the year: in which months it failed and was unproven."""

    level: Level
    verdict: Verdict
    failed: tuple[str, ...]
    unproven: tuple[str, ...]
    rectified: bool


@dataclass(frozen=True, slots=True)
class Year:
    """Rates by level and `total`. `site_months`: maintained, planned. `trouble`: what was not maintained all the year;
    `rectified` (已整改): it had failed, and was maintained in the last month in which it was in service."""

    sites: Mapping[str, Rate]
    terminals: Mapping[str, Rate]
    site_months: tuple[int, int]
    trouble: Mapping[str, Trouble]
    terminal_trouble: Mapping[tuple[str, str], Trouble]


def month_of(facts: ReportFacts, way: Counted | None = None) -> Month:
    """What a month's report says; `way`: another way of counting, in which a few verdicts differ."""
    differing = way.differing if way is not None else {}

    def verdict(key: str, measured: str) -> Verdict:
        other = differing.get(key)
        return cast(Verdict, other.verdict if other is not None and other.verdict else measured)

    return Month(
        facts.period,
        {s.site: (Level(s.level), verdict(f"site:{s.site}", s.verdict)) for s in facts.sites},
        {
            (s.site, t.terminal): (Level(s.level), verdict(f"terminal:{s.site}/{t.terminal}", t.verdict))
            for s in facts.sites
            for t in s.terminals
        },
        {str(level): facts.counted.sites[str(level)].planned for level in Level},
    )


def year_of(months: Sequence[Month], planned_terminals: Mapping[str, int] | None = None) -> Year:
    """From its months, in their order. The sites' plan is the last month's, the year's target; without a plan of
    terminals those that were in service are the plan."""
    planned = months[-1].planned if months else dict.fromkeys(map(str, Level), 0)
    sites, trouble = _over(months, [m.sites for m in months])
    terminals, terminal_trouble = _over(months, [m.terminals for m in months])
    maintained = sum(verdict == "maintained" for m in months for _, verdict in m.sites.values())
    return Year(
        rates(sites, planned),
        rates(terminals, planned_terminals),
        (maintained, sum(sum(m.planned[str(level)] for level in Level) for m in months)),
        trouble,
        terminal_trouble,
    )


def _over(
    months: Sequence[Month], verdicts: Sequence[Verdicts[K]]
) -> tuple[list[tuple[Level, Verdict]], dict[K, Trouble]]:
    """Each member's level and verdict of the year, and what was wrong with those that were not maintained."""
    levels: dict[K, Level] = {}
    courses: dict[K, list[tuple[str, Verdict]]] = {}
    for month, known in zip(months, verdicts, strict=True):
        for member, (level, verdict) in known.items():
            levels[member] = level
            courses.setdefault(member, []).append((month.month, verdict))
    trouble: dict[K, Trouble] = {}
    result: list[tuple[Level, Verdict]] = []
    for member, course in courses.items():
        worst = site_verdict(verdict for _, verdict in course)
        result.append((levels[member], worst))
        if worst != "maintained":
            failed, unproven = _when(course, "failed"), _when(course, "unproven")
            rectified = bool(failed) and course[-1][1] == "maintained"
            trouble[member] = Trouble(levels[member], worst, failed, unproven, rectified)
    return result, trouble


def _when(course: Iterable[tuple[str, Verdict]], verdict: Verdict) -> tuple[str, ...]:
    return tuple(month for month, found in course if found == verdict)

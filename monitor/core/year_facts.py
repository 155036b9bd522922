"""The facts of a year's documents: integers and texts. Their JSON is the year's JSON, and every document is made of it.

As in core/report.py: instants ms UTC, money fen, scores hundredths of a point, levels by their identifiers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from monitor.core.report import Counted, RateFacts, Sum

#: Ways of counting: as it is counted, without windows that were entered afterwards, after approved exemptions.
WAYS: Mapping[str, str] = {
    "counted": "实测",
    "without_retroactive": "不计事后补录",
    "after_exemptions": "免责后",
}


def others(by_way: Mapping[str, str]) -> dict[str, str]:
    """What is said by other ways of counting, where it differs."""
    return {way: text for way, text in by_way.items() if text != by_way["counted"]}


@dataclass(frozen=True, slots=True)
class WayFacts:
    """The year's rates by level and `total`, by one way of counting; None stands where it changes nothing."""

    sites: Mapping[str, RateFacts]
    terminals: Mapping[str, RateFacts]
    site_months: int
    planned_site_months: int
    rectified_sites: int
    rectified_terminals: int


@dataclass(frozen=True, slots=True)
class MonthFacts:
    """A month of the year. `sums`: the sites', by level and `total`. `state`: `sealed`, `settled`, `open`
    (late evidence may still change it) or `running`. `outages`: of terminals. `ways`: the month by other ways of
    counting, where they differ."""

    month: str
    state: str
    sums: Mapping[str, Sum]
    sites: Mapping[str, RateFacts]
    terminals: Mapping[str, RateFacts]
    outages: int
    spent_fen: int
    ways: Mapping[str, Counted] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TroubleFacts:
    """A site that was not maintained all the year; `terminals`: those of it that were not."""

    site: str
    name: str
    level: str
    township: str
    verdict: str
    failed: Sequence[str]
    unproven: Sequence[str]
    rectified: bool
    terminals: Sequence[str]


@dataclass(frozen=True, slots=True)
class SourceMoney:
    """The whole project's money of a source (appropriation, carry_over, other), fen: declared for the rest of the
    project (None: nothing was declared), and of the ledger's funds (None: no fund has such money)."""

    source: str
    declared_initial: int | None
    declared_adjusted: int | None
    declared_executed: int | None
    ledger_initial: int | None
    ledger_adjusted: int | None
    ledger_executed: int | None

    @property
    def initial(self) -> int | None:
        return _sum(self.declared_initial, self.ledger_initial)

    @property
    def adjusted(self) -> int | None:
        return _sum(self.declared_adjusted, self.ledger_adjusted)

    @property
    def budget(self) -> int | None:
        """The adjusted budget."""
        return _sum(self.initial, self.adjusted)

    @property
    def executed(self) -> int | None:
        return _sum(self.declared_executed, self.ledger_executed)


def _sum(*parts: int | None) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


@dataclass(frozen=True, slots=True)
class FundYear:
    """A fund of the ledger, fen."""

    name: str
    budget: int
    registered: int
    approved_unpaid: int
    entries: int


@dataclass(frozen=True, slots=True)
class DeclaredFacts:
    """`core.declared.Declared`, as it stood; `name`: what it is, for people."""

    n: int
    key: str
    name: str
    text: str
    reason: str
    papers: Sequence[str]
    by: str
    at: int
    confirmed_by: str
    confirmed_at: int | None


@dataclass(frozen=True, slots=True)
class GoalFacts:
    """A row of the yearly table. `declared`: the number of the declaration, 0 for none. `beside`: measured facts beside
    it; `ways`: what is computed of the row by other ways of counting, where it differs."""

    row: int
    level1: str
    level2: str
    level3: str
    target: str
    actual: str
    source: str
    declared: int
    beside: str
    ways: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ScoreFacts:
    """A row of 自评表. `score`: None where it cannot be scored; `why`, `missing`: `core.evaluation.Scored`. `ways`:
    value and score by other ways of counting, where they differ."""

    id: str
    level1: str
    level2: str
    level3: str
    nature: str
    target: str
    unit: str
    weight: int
    actual: str
    score: int | None
    why: str
    missing: str
    reason: str
    declared: int
    ways: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluationFacts:
    """自评表. `execution`: of the whole project's money. `ways`: score and grade by other ways of counting."""

    template: str
    style: str
    title: str
    execution: ScoreFacts
    rows: Sequence[ScoreFacts]
    score: int
    scorable: int
    grade: str
    why: str
    texts: Mapping[str, str]
    limits: Mapping[str, int]
    missing: Sequence[str]
    ways: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class YearFacts:
    """`end`: the year's; `as_of`: counted up to here, the end or (while it runs) the moment of asking. `complete`: the
    year is over and settled. `coverage_min`: hundredths of a percent; below it no availability is said. `template`: the
    yearly table's; `templates`: by id the SHA-256 of each. `sums`: the months' added up; `outages`: of terminals, each
    once, also where it lasted over a month's end, and so are those in `sums`. `missing`: what stands in the way of
    handing it in, in sentences."""

    v: int
    year: int
    start: int
    end: int
    as_of: int
    timezone: str
    demo: bool
    software: str
    rules: str
    complete: bool
    coverage_min: int
    project: str
    unit: str
    annual_target: str
    annual_actual: str
    months: Sequence[MonthFacts]
    ways: Mapping[str, WayFacts]
    sums: Mapping[str, Sum]
    outages: int
    trouble: Sequence[TroubleFacts]
    money: Sequence[SourceMoney]
    funds: Sequence[FundYear]
    orders: int
    orders_overdue: int
    meetings: int
    meeting_sites: int
    meeting_reached: int
    services: Mapping[str, tuple[int, int]]
    declared: Sequence[DeclaredFacts]
    goals: Sequence[GoalFacts]
    evaluations: Mapping[str, EvaluationFacts]
    template: str
    templates: Mapping[str, str]
    missing: Sequence[str]
    heads: Sequence[tuple[str, int, str]]
    #: `annual_actual` by other ways of counting, where it differs.
    annual_ways: Mapping[str, str] = field(default_factory=dict)
    filled_by: str = ""
    responsible: str = ""

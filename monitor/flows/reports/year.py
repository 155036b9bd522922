"""A year's documents from what was gathered of it: no database, no clock (docs/reports.md, The year).

months' verdicts ── core/year ── rates ── core/indicators ── texts of the rows
                                                 └────────── core/evaluation ── scores
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from monitor.core.declared import Declared, Place, in_force
from monitor.core.indicators import (
    Figure,
    GoalRow,
    Meetings,
    Repairs,
    Service,
    actual_of,
    all_maintained,
    annual,
    figures_of,
    filled,
    too_little,
)
from monitor.core.ledger import SOURCE_NAMES
from monitor.core.maintenance import Rate
from monitor.core.money import parse_fen
from monitor.core.report import RateFacts, Sum
from monitor.core.year import Month, Trouble, Year, year_of
from monitor.core.year_facts import (
    DeclaredFacts,
    FundYear,
    GoalFacts,
    MonthFacts,
    SourceMoney,
    TroubleFacts,
    WayFacts,
    YearFacts,
    others,
)
from monitor.flows import declaring
from monitor.flows.reports.evaluation import evaluated
from monitor.publish.reports.template_files import Templates

VERSION = 1
NO_REPAIRS = Repairs(0, 0)
NO_MEETINGS = Meetings(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Names:
    """Of a site, for people."""

    name: str
    township: str


@dataclass(frozen=True, slots=True)
class Known:
    """What was gathered. `ways`: by way of counting the year's months; those that count otherwise only where it makes
    a difference. `sums`: the year's, by level, its outages once. `planned_terminals`: by level; None: those in
    service."""

    year: int
    start: int
    end: int
    as_of: int
    timezone: str
    complete: bool
    coverage_min: int
    months: Sequence[MonthFacts]
    ways: Mapping[str, Sequence[Month]]
    sums: Mapping[str, Sum]
    outages: int = 0
    planned_terminals: Mapping[str, int] | None = None
    names: Mapping[str, Names] = field(default_factory=dict)
    ledger: Sequence[SourceMoney] = ()
    funds: Sequence[FundYear] = ()
    repairs: Repairs = NO_REPAIRS
    meetings: Meetings = NO_MEETINGS
    services: Mapping[str, Service] = field(default_factory=dict)
    declared: Sequence[Declared] = ()
    demo: bool = False
    software: str = ""
    rules: str = ""
    heads: Sequence[tuple[str, int, str]] = ()
    filled_by: str = ""
    responsible: str = ""


def assemble(known: Known, templates: Templates) -> YearFacts:
    """All that the year's documents say."""
    declared = in_force(known.declared)
    years = {way: year_of(months, known.planned_terminals) for way, months in known.ways.items()}
    paid = sum(fund.registered for fund in known.funds)
    thin = too_little(known.sums["total"], known.coverage_min)
    figures = {
        way: figures_of(known.year, counted, paid, known.repairs, known.meetings, known.services, thin)
        for way, counted in years.items()
    }
    money = _money(known.ledger, declared)
    goals, places = templates.goals, declaring.places(templates)
    said = declared.get("annual")
    met = {way: all_maintained(counted) and not thin for way, counted in years.items()}
    annuals = {way: filled(goals.annual_actual, of_way) for way, of_way in figures.items()}
    return YearFacts(
        v=VERSION,
        year=known.year,
        start=known.start,
        end=known.end,
        as_of=known.as_of,
        timezone=known.timezone,
        demo=known.demo,
        software=known.software,
        rules=known.rules,
        complete=known.complete,
        coverage_min=known.coverage_min,
        project=goals.project,
        unit=goals.unit,
        annual_target=goals.annual_target,
        annual_actual=annual(said.text if said else "", annuals["counted"]),
        months=known.months,
        ways={way: _way(counted) for way, counted in years.items()},
        sums=known.sums,
        outages=known.outages,
        trouble=_trouble(years["counted"], known.names),
        money=money,
        funds=known.funds,
        orders=known.repairs.orders,
        orders_overdue=known.repairs.overdue,
        meetings=known.meetings.meetings,
        meeting_sites=known.meetings.planned,
        meeting_reached=known.meetings.reached,
        services={name: (s.ok, s.failed) for name, s in known.services.items()},
        declared=[_declared(one, places) for one in declared.values()],
        goals=[_goal(row, declared, met, figures) for row in goals.rows],
        evaluations={style: evaluated(form, declared, figures, money) for style, form in templates.forms.items()},
        template=goals.id,
        templates=templates.digests,
        missing=_missing(known, declared),
        heads=known.heads,
        annual_ways=others(annuals),
        filled_by=known.filled_by,
        responsible=known.responsible,
    )


def _way(counted: Year) -> WayFacts:
    return WayFacts(
        {level: _rate(rate) for level, rate in counted.sites.items()},
        {level: _rate(rate) for level, rate in counted.terminals.items()},
        *counted.site_months,
        sum(t.rectified for t in counted.trouble.values()),
        sum(t.rectified for t in counted.terminal_trouble.values()),
    )


def _rate(rate: Rate) -> RateFacts:
    return RateFacts(rate.planned, rate.maintained, rate.failed, rate.unproven)


def _trouble(counted: Year, names: Mapping[str, Names]) -> list[TroubleFacts]:
    """Failed ones first, by site."""
    terminals: dict[str, list[str]] = {}
    for site, terminal in sorted(counted.terminal_trouble):
        terminals.setdefault(site, []).append(terminal)

    def made(site: str, trouble: Trouble) -> TroubleFacts:
        name = names.get(site, Names(site, ""))
        return TroubleFacts(
            site, name.name, str(trouble.level), name.township, trouble.verdict, trouble.failed, trouble.unproven,
            trouble.rectified, terminals.get(site, ()),
        )  # fmt: skip

    found = [made(site, trouble) for site, trouble in counted.trouble.items()]
    return sorted(found, key=lambda t: (t.verdict != "failed", t.site))


def _declared(one: Declared, places: Mapping[str, Place]) -> DeclaredFacts:
    name = places[one.key].name if one.key in places else one.key
    return DeclaredFacts(
        one.n, one.key, name, one.text, one.reason, one.papers, one.by, one.at_ms, one.confirmed_by, one.confirmed_ms
    )


def _goal(
    row: GoalRow,
    declared: Mapping[str, Declared],
    met: Mapping[str, bool],
    figures: Mapping[str, Mapping[str, Figure]],
) -> GoalFacts:
    said = declared.get(f"row.{row.row}") if row.source == "declared" else None
    beside = {way: filled(row.beside, of_way) for way, of_way in figures.items()}
    if row.source == "declared":
        actual, ways = said.text if said is not None else "", others(beside)
    else:
        texts = {way: actual_of(row, met[way], of_way) for way, of_way in figures.items()}
        actual, ways = texts["counted"], others(texts)
    return GoalFacts(
        row.row,
        row.level1,
        row.level2,
        row.level3,
        row.target,
        actual,
        row.source,
        said.n if said is not None else 0,
        beside["counted"],
        ways,
    )


def _missing(known: Known, declared: Mapping[str, Declared]) -> list[str]:
    found = []
    if not known.complete:
        found.append(f"{known.year} 年度尚未结束，或仍可能有补传数据")
    if known.demo:
        found.append("演示数据不能定稿")
    unconfirmed = [key for key, one in declared.items() if not one.confirmed_by]
    if unconfirmed:
        found.append(f"{len(unconfirmed)} 项申报值未经第二人确认：{'、'.join(unconfirmed)}")
    return found


def outstanding(facts: YearFacts, style: str) -> list[str]:
    """What stands in the way of handing the year in, with the 自评表 of a style."""
    return [*facts.missing, *facts.evaluations[style].missing]


# --- money ------------------------------------------------------------------------------------------------------------


def _money(ledger: Sequence[SourceMoney], declared: Mapping[str, Declared]) -> list[SourceMoney]:
    """The ledger's money by source, with what was declared for the rest of the project."""
    of_ledger = {one.source: one for one in ledger}

    def fen(kind: str, source: str) -> int | None:
        said = declared.get(f"money.{kind}.{source}")
        return parse_fen(said.text) if said is not None and said.text else None

    result = []
    for source in SOURCE_NAMES:
        own = of_ledger.get(source)
        result.append(
            SourceMoney(
                source,
                fen("initial", source),
                fen("adjusted", source),
                fen("executed", source),
                own.ledger_initial if own else None,
                own.ledger_adjusted if own else None,
                own.ledger_executed if own else None,
            )
        )
    return result


def split_by_source(spent_fen: int, budgets: Mapping[str, int]) -> dict[str, int]:
    """What was registered from a fund, by the source of its money: what was carried over is spent first, then this
    year's, then other money; entries do not say."""
    order = ("carry_over", "appropriation", "other")
    result: dict[str, int] = {}
    left = spent_fen
    for source in (s for s in order if s in budgets):
        result[source] = min(left, max(budgets[source], 0))
        left -= result[source]
    return result

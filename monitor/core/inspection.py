"""Inspections 巡检: rounds that are planned, visits that were made, and what was found (docs/register.md).

A round fixes its sites when it is planned, so that its coverage does not move with the inventory. Visits are only
added; one that was written down wrongly is corrected by another that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from monitor.core.sites import Site
from monitor.core.window import Window
from monitor.errors import MonitorError


class Result(StrEnum):
    """What was found at a terminal."""

    OK = "ok"
    FAULT = "fault"
    NOT_REACHED = "not_reached"


RESULT_NAMES = {Result.OK: "正常", Result.FAULT: "故障", Result.NOT_REACHED: "未查到"}


class State(StrEnum):
    """Where a round stands on a day."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    OVERDUE = "overdue"
    CANCELLED = "cancelled"


STATE_NAMES = {
    State.PLANNED: "未开始",
    State.RUNNING: "进行中",
    State.DONE: "已完成",
    State.OVERDUE: "逾期",
    State.CANCELLED: "已取消",
}


@dataclass(frozen=True, slots=True)
class Round:
    """A planned round: its sites are to be visited on the local days `due_from` to `due_to`, both included."""

    n: int
    name: str
    scope: str
    sites: tuple[str, ...]
    due_from: date
    due_to: date
    by: str = ""
    at_ms: int = 0
    cancelled_ms: int | None = None
    cancelled_why: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Of one terminal. `work_order`: the number of one that there is, or "" (flows/inspections.py asks)."""

    terminal: str
    result: Result
    note: str = ""
    work_order: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of a site. `round`: None for one outside of any round. `who` went there; `by` wrote it down."""

    n: int
    round: int | None
    site: str
    on: date
    who: str
    reached: bool
    findings: tuple[Finding, ...] = ()
    note: str = ""
    by: str = ""
    at_ms: int = 0
    corrects: int | None = None
    papers: tuple[str, ...] = ()


def sites_in(scope: str, sites: Iterable[Site], first: date, last: date) -> tuple[str, ...]:
    """The sites of a scope (`core/window`) that are in service on a day of `first` to `last`, in inventory order."""
    window = Window(scope, 0, 0)
    return tuple(
        site.site_id
        for site in sites
        if window.covers(site)
        and (site.commissioned_on is None or site.commissioned_on <= last)
        and (site.retired_on is None or first < site.retired_on)
    )


def in_force(visits: Iterable[Visit]) -> list[Visit]:
    """Without those that were corrected, by day."""
    known = list(visits)
    corrected = {visit.corrects for visit in known}
    return sorted((v for v in known if v.n not in corrected), key=lambda v: (v.on, v.n))


def tidy(visit: Visit) -> Visit:
    """With the spaces in its texts as a cell of a sheet has them, so that a sheet of visits says the same."""
    findings = (replace(f, note=_line(f.note), work_order=_line(f.work_order)) for f in visit.findings)
    ordered = tuple(sorted(findings, key=lambda f: f.terminal))
    return replace(visit, who=_line(visit.who), note=_line(visit.note), findings=ordered)


def _line(text: str) -> str:
    return " ".join(text.split())


def says_the_same(one: Visit, other: Visit) -> bool:
    """Whoever wrote it down, and when."""
    return replace(one, n=0, by="", at_ms=0, corrects=None, papers=()) == replace(
        other, n=0, by="", at_ms=0, corrects=None, papers=()
    )


def check(visit: Visit, of: Round | None, visits: Sequence[Visit], terminals: Sequence[str], today: date) -> None:
    """May this visit be written? `visits`: those of the site so far; `terminals`: its kinds. Raises MonitorError."""
    if visit.on > today:
        raise MonitorError(f"{visit.on} 在今天（{today}）之后；巡检只记已发生的事")
    if not visit.who.strip():
        raise MonitorError("应写明巡检人")
    if of is not None:
        if of.cancelled_ms is not None:
            raise MonitorError(f"巡检「{of.name}」已取消：{of.cancelled_why}")
        if visit.site not in of.sites:
            raise MonitorError(f"站点 {visit.site} 不在巡检「{of.name}」的计划内")
        if visit.on < of.due_from:
            raise MonitorError(f"巡检「{of.name}」自 {of.due_from} 开始，{visit.on} 过早")
    for finding in visit.findings:
        if finding.terminal not in terminals:
            raise MonitorError(f"站点 {visit.site} 没有机位 {finding.terminal}")
        if not visit.reached and finding.result is not Result.NOT_REACHED:
            raise MonitorError(f"未到站点，不能填写机位 {finding.terminal} 的检查结果")
        if finding.result is Result.FAULT and not finding.note.strip():
            raise MonitorError(f"机位 {finding.terminal} 有故障，应写明情况")
    if visit.corrects is not None and visit.corrects not in {v.n for v in in_force(visits)}:
        raise MonitorError(f"站点 {visit.site} 没有可更正的第 {visit.corrects} 号巡检记录")


@dataclass(frozen=True, slots=True)
class Coverage:
    """A round on a day: `reached` in time, `late` after it was due, `missed` not yet; `faults` that were found."""

    round: Round
    state: State
    reached: tuple[str, ...]
    late: tuple[str, ...]
    missed: tuple[str, ...]
    faults: int

    @property
    def ratio(self) -> float | None:
        """Sites reached, late ones too, of those planned; None for a round without sites."""
        planned = len(self.round.sites)
        return (len(self.reached) + len(self.late)) / planned if planned else None


def coverage(of: Round, visits: Iterable[Visit], today: date) -> Coverage:
    """`visits`: of this round; corrected ones are left out here. `today`: local."""
    first: dict[str, date] = {}
    faults = 0
    for visit in in_force(v for v in visits if v.round == of.n):
        faults += sum(f.result is Result.FAULT for f in visit.findings)
        if visit.reached:
            first.setdefault(visit.site, visit.on)
    reached = tuple(s for s in of.sites if s in first and first[s] <= of.due_to)
    late = tuple(s for s in of.sites if s in first and first[s] > of.due_to)
    missed = tuple(s for s in of.sites if s not in first)
    return Coverage(of, _state(of, missed, today), reached, late, missed, faults)


def _state(of: Round, missed: Sequence[str], today: date) -> State:
    if of.cancelled_ms is not None:
        return State.CANCELLED
    if not missed:
        return State.DONE
    if today > of.due_to:
        return State.OVERDUE
    return State.RUNNING if today >= of.due_from else State.PLANNED


@dataclass(frozen=True, slots=True)
class InspectionFigures:
    """Of a period, for reports. Rounds are those that fall due in it; visits are those made in it, planned or not.
    `sites`: how many were reached at least once in the period; `by_township`: the same by township code."""

    rounds: int
    done: int
    overdue: int
    planned: int
    reached: int
    late: int
    visits: int
    sites: int
    faults: int
    by_township: Mapping[str, int]

    @property
    def ratio(self) -> float | None:
        """Sites reached of those planned, over the rounds of the period."""
        return (self.reached + self.late) / self.planned if self.planned else None


def inspection_figures(
    rounds: Iterable[Round],
    visits: Iterable[Visit],
    first: date,
    last: date,
    today: date,
    townships: Mapping[str, str],
) -> InspectionFigures:
    """Of the local days `first` to `last`, both included. `townships`: the code of each site."""
    known = list(visits)
    due = [coverage(r, known, today) for r in rounds if first <= r.due_to <= last and r.cancelled_ms is None]
    made = [v for v in in_force(known) if first <= v.on <= last]
    sites = {v.site for v in made if v.reached}
    by_township: dict[str, int] = {}
    for site in sorted(sites):
        code = townships.get(site, "")
        by_township[code] = by_township.get(code, 0) + 1
    return InspectionFigures(
        rounds=len(due),
        done=sum(c.state is State.DONE for c in due),
        overdue=sum(c.state is State.OVERDUE for c in due),
        planned=sum(len(c.round.sites) for c in due),
        reached=sum(len(c.reached) for c in due),
        late=sum(len(c.late) for c in due),
        visits=len(made),
        sites=len(sites),
        faults=sum(f.result is Result.FAULT for v in made for f in v.findings),
        by_township=by_township,
    )

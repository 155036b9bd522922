"""Performance indicators 绩效指标 of a year: the template of the yearly table, and how its rows are filled.

A template is data (docs/reports.md, The year). Its texts name figures in braces, `{village}个`; what they may name is
`FIGURES`. What a person declared stays as it was typed, and an empty cell stays empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from monitor.core.maintenance import Rate
from monitor.core.money import in_percent, in_wan_exactly
from monitor.core.report import Sum
from monitor.core.year import Year

Source = Literal["monitor", "ledger", "declared"]
Who = Literal["platform", "money"]
SERVICES: Mapping[str, str] = {
    "video_conference": "视频会议",
    "emergency": "应急指导",
    "publicity": "宣传服务",
    "supervision": "监督管理",
    "learning": "学习教育",
}
#: What texts and indicators may be bound to.
FIGURES: Mapping[str, str] = {
    "year": "年度",
    "paid": "台账已登记金额",
    "sites": "维护到位的站点",
    "village": "维护到位的村级站点",
    "township": "维护到位的乡镇站点",
    "county": "维护到位的县级站点",
    "rate": "运行维护率（站点与机位中较低者），％",
    "shortfall": "未到位和数据不足的站点、机位",
    "repairs": "工单与修复及时率",
    "repair_rate": "修复及时率，％",
    "meetings": "会议保障",
    "meeting_rate": "会议覆盖率，％",
    **{service: f"{name.removesuffix('服务')}服务上报情况" for service, name in SERVICES.items()},
}
#: With the percent sign after it: what is no number takes none.
_NAME = re.compile(r"\{(\w+)\}([％%]?)")


@dataclass(frozen=True, slots=True)
class Figure:
    """As text, and as a number where it is one (percentages: 100 is whole)."""

    text: str
    value: Fraction | None = None


@dataclass(frozen=True, slots=True)
class GoalRow:
    """A row of the table. `actual`: the text of a computed row, `unmet`: instead of it where not all was maintained;
    `beside`: what is measured beside a declared text; `who` declares it."""

    row: int
    level1: str
    level2: str
    level3: str
    target: str
    source: Source
    actual: str = ""
    unmet: str = ""
    beside: str = ""
    who: Who = "money"


@dataclass(frozen=True, slots=True)
class Goals:
    """The template of a year's table; `since`: the first year that it is for."""

    id: str
    since: int
    project: str
    unit: str
    annual_target: str
    annual_actual: str
    rows: Sequence[GoalRow]


@dataclass(frozen=True, slots=True)
class Repairs:
    """Work orders opened in the year, and those of them that were overdue. In time: the rest."""

    orders: int
    overdue: int


@dataclass(frozen=True, slots=True)
class Meetings:
    """Meetings of the year; sites that were to take part, and that did as people noted."""

    meetings: int
    planned: int
    reached: int


@dataclass(frozen=True, slots=True)
class Service:
    """What devices said of a service in the year: beats that said ok, and fail."""

    ok: int
    failed: int


def names_in(text: str) -> list[str]:
    """The figures that a text names."""
    return [name for name, _ in _NAME.findall(text)]


def filled(text: str, figures: Mapping[str, Figure]) -> str:
    """A template's text with its figures in place; `{rate}％` where there is no rate is said without the sign."""

    def said(found: re.Match[str]) -> str:
        figure = figures[found[1]]
        return figure.text + (found[2] if figure.value is not None else "")

    return _NAME.sub(said, text)


def too_little(counted: Sum, coverage_min: int) -> str:
    """What stands instead of a percentage below the least coverage (hundredths of a percent); "": there is enough."""
    known = counted.up + counted.down
    whole = known + counted.unknown
    if not whole or known * 10_000 >= coverage_min * whole:
        return ""
    return f"监测数据不足（完整率 {in_percent(known, whole)}％）"


def figures_of(
    year: int,
    counted: Year,
    paid_fen: int,
    repairs: Repairs,
    meetings: Meetings,
    services: Mapping[str, Service],
    thin: str = "",
) -> dict[str, Figure]:
    """All of FIGURES, by one way of counting. `thin`: what is said instead of the rate, as `too_little` has it."""
    sites, rate = counted.sites, lower_rate(counted)
    there = rate.maintained + rate.failed + rate.unproven
    in_time = repairs.orders - repairs.overdue
    repair_rate = _percent(in_time, repairs.orders)
    repaired = f"工单{repairs.orders}件，未超过修复时限{in_time}件，修复及时率{repair_rate.text}％"
    held = _percent(meetings.reached, meetings.planned)
    met = f"会议保障{meetings.meetings}次，应参会{meetings.planned}个站次，参会{meetings.reached}个站次"
    return {
        "year": Figure(str(year)),
        "paid": Figure(in_wan_exactly(paid_fen), Fraction(paid_fen, 1_000_000)),
        "sites": _count(sites["total"].maintained),
        **{level: _count(sites[level].maintained) for level in ("village", "township", "county")},
        "rate": Figure(thin) if thin else _percent(rate.maintained, rate.planned) if there else Figure("—"),
        "shortfall": Figure(shortfall(counted)),
        "repairs": Figure(repaired if repairs.orders else "全年没有工单"),
        "repair_rate": repair_rate,
        "meetings": Figure(f"{met}，覆盖率{held.text}％" if meetings.meetings else "全年没有会议保障记录"),
        "meeting_rate": held,
        **{service: _service(services.get(service)) for service in SERVICES},
    }


def lower_rate(counted: Year) -> Rate:
    """The lower of the year's rates of sites and terminals; one whose plan is 0 is none."""
    known = [r for r in (counted.sites["total"], counted.terminals["total"]) if r.planned]
    return min(known, key=lambda r: Fraction(r.maintained, r.planned), default=counted.sites["total"])


def all_maintained(counted: Year) -> bool:
    """Does 全县涉及机位全部维护到位 hold: the plan is reached, and nothing failed or is unproven."""
    return all(counted.met for counted in (counted.sites["total"], counted.terminals["total"]))


def shortfall(counted: Year) -> str:
    """What is true where it does not: '未到位 4 个站点、7 个机位；数据不足 …', and places that the plan has more of."""
    sites, terminals = counted.sites["total"], counted.terminals["total"]
    parts = [
        f"{what} {of_sites} 个站点、{of_terminals} 个机位"
        for what, of_sites, of_terminals in (
            ("未到位", sites.failed, terminals.failed),
            ("数据不足", sites.unproven, terminals.unproven),
        )
        if of_sites or of_terminals
    ]
    for what, rate in (("站点", sites), ("机位", terminals)):
        there = rate.maintained + rate.failed + rate.unproven
        if there < rate.planned:
            parts.append(f"计划 {rate.planned} 个{what}，在用 {there} 个")
    return "；".join(parts) or "无"


def actual_of(row: GoalRow, met: bool, figures: Mapping[str, Figure]) -> str:
    """The text of a computed row."""
    return filled(row.unmet if row.unmet and not met else row.actual, figures)


def annual(declared: str, computed: str) -> str:
    """年度总体目标实际完成情况: what was declared of the rest of the project, then what is measured."""
    return f"{declared.rstrip('；;。')}；{computed}" if declared.strip() else computed


def _count(number: int) -> Figure:
    return Figure(str(number), Fraction(number))


def _percent(part: int, whole: int) -> Figure:
    """Cut to two decimals as text, exact as a number; nothing to divide by is a dash."""
    shown = in_percent(part, whole)
    return Figure("—") if shown is None else Figure(shown, Fraction(part * 100, whole))


def _service(said: Service | None) -> Figure:
    if said is None or not said.ok + said.failed:
        return Figure("没有上报")
    shown = _percent(said.ok, said.ok + said.failed)
    return Figure(f"上报正常{shown.text}％（{said.failed}次异常）", shown.value)

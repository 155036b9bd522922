"""项目绩效评价报告, the narrative: measured facts in sentences, and visible places for people's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monitor.core.declared import NARRATIVE
from monitor.core.evaluation import in_points
from monitor.core.indicators import SERVICES, too_little
from monitor.core.money import in_percent, in_wan_exactly, in_yuan
from monitor.core.report import RateFacts, Sum
from monitor.core.year_facts import WAYS, WayFacts, YearFacts, others
from monitor.publish.documents.blocks import Block, Column, Document, Row, Section, Table, Text
from monitor.publish.reports.year_words import (
    LEVELS,
    VERDICTS,
    annual_text,
    availability,
    made_by,
    marks,
    months_said,
    other_ways,
    site_months,
    sums_by_way,
    to_fill,
)

_NUMBERS = "一二三四五六七八九"
#: What people are asked to write where they have not yet.
_ASKED: Mapping[str, str] = {
    "basis": "立项依据、测算过程和标准",
    "use": "资金使用的具体安排",
    "evaluation": "对产出、效益和满意度的分析",
    "approval": "申报和批复的文件、时间",
    "plan": "资金计划、到位时间和到位率",
    "management": "财务管理制度、专户管理和审批程序",
    "conclusion": "评价结论",
    "problems": "其他存在的问题",
    "next": "下一步工作打算",
}


def narrative(facts: YearFacts, style: str) -> Document:
    """The sections of the county's 2020 report; the facts stand first, then what was declared, or where to write it."""
    said = {d.key: d.text for d in facts.declared}
    sections = []
    for number, (name, title) in zip(_NUMBERS, NARRATIVE.items(), strict=True):
        blocks = _FACTS[name](facts, style)
        words = said.get(f"narrative.{name}", "")
        blocks += [Text(line) for line in (words or to_fill(_ASKED[name])).splitlines() if line.strip()]
        sections.append(Section(f"{number}、{title}", title, blocks))
    return Document(
        title=f"{facts.year}年度{facts.project}项目绩效评价报告",
        sections=sections,
        fields=[("单位", facts.unit), ("年度", str(facts.year))],
        marks=marks(facts),
        signatures=(("项目负责人", ""), ("财务负责人", "")),
        made_by=made_by(facts),
        timezone=facts.timezone,
        as_of=facts.as_of,
    )


def _basis(facts: YearFacts, style: str) -> list[Block]:
    planned = facts.ways["counted"].sites
    by_level = "、".join(f"{LEVELS[level]} {planned[level].planned} 个" for level in ("village", "township", "county"))
    return [Text(f"{facts.annual_target}智慧党建平台计划维护站点 {planned['total'].planned} 个，其中{by_level}。")]


def _use(facts: YearFacts, style: str) -> list[Block]:
    if not facts.funds:
        return [Text("经费台账中没有本年度的专项资金。")]
    blocks: list[Block] = []
    for fund in facts.funds:
        rate = _percent(fund.registered, fund.budget)
        blocks.append(
            Text(
                f"台账“{fund.name}”：预算 {in_yuan(fund.budget)} 元，已登记 {fund.entries} 笔、"
                f"{in_yuan(fund.registered)} 元，预算执行率 {rate}，"
                f"已批未付 {in_yuan(fund.approved_unpaid)} 元，余额 {in_yuan(fund.budget - fund.registered)} 元。"
            )
        )
    columns = (Column("月份"), Column("登记经费", "yuan", unit="元"))
    rows = [Row((m.month, m.spent_fen)) for m in facts.months if m.spent_fen]
    return [*blocks, Table("各月登记经费", columns, rows)] if rows else blocks


def _evaluated(facts: YearFacts, style: str) -> list[Block]:
    blocks: list[Block] = [Text(f"年度总体目标完成情况：{annual_text(facts)}")]
    thin = too_little(facts.sums["total"], facts.coverage_min)
    for way, found in facts.ways.items():
        blocks.append(
            Text(
                f"运行维护率（{WAYS[way]}）：站点{_rate(found.sites['total'], thin)}；"
                f"机位{_rate(found.terminals['total'], thin)}。"
            )
        )
    counted, total = facts.ways["counted"], facts.sums["total"]
    shown = {way: _availability(of_way, facts) for way, of_way in sums_by_way(facts).items()}
    beside = other_ways(others(shown))
    coverage = _percent(total.up + total.down, total.up + total.down + total.unknown)
    blocks.append(
        Text(
            f"维护到位 {counted.site_months} 个站点月{site_months(facts)}，"
            f"计划 {counted.planned_site_months} 个站点月。"
            f"全年可用率 {shown['counted']}{beside}，监测数据完整率 {coverage}，机位中断 {facts.outages} 次。"
            f"工单 {facts.orders} 件，其中超过修复时限 {facts.orders_overdue} 件。"
        )
    )
    if facts.meetings:
        rate = _percent(facts.meeting_reached, facts.meeting_sites)
        blocks.append(
            Text(
                f"会议保障 {facts.meetings} 次，应参会 {facts.meeting_sites} 个站次，"
                f"参会 {facts.meeting_reached} 个站次，覆盖率 {rate}。"
            )
        )
    said = [f"{SERVICES[name]}正常 {ok} 次、异常 {failed} 次" for name, (ok, failed) in facts.services.items()]
    if said:
        blocks.append(Text(f"终端上报的服务情况：{'；'.join(said)}。"))
    return blocks


def _percent(part: int, whole: int) -> str:
    """'99.99％', cut; a dash where there is nothing to divide by."""
    found = in_percent(part, whole)
    return "—" if found is None else f"{found}％"


def _availability(counted: Sum, facts: YearFacts) -> str:
    found = availability(counted, facts)
    return found if isinstance(found, str) else _percent(counted.up, counted.up + counted.down)


def _rate(rate: RateFacts, thin: str) -> str:
    there = rate.maintained + rate.failed + rate.unproven
    return (
        f"计划 {rate.planned} 个，维护到位 {rate.maintained} 个，未到位 {rate.failed} 个，数据不足 {rate.unproven} 个，"
        f"运行维护率 {thin or _percent(rate.maintained, rate.planned if there else 0)}"
    )


def _plan(facts: YearFacts, style: str) -> list[Block]:
    known = [one for one in facts.money if one.budget is not None]
    budget, spent = sum(one.budget or 0 for one in known), sum(one.executed or 0 for one in known)
    if not known:
        return [Text("尚未登记或申报预算。")]
    rate = _percent(spent, budget)
    said = f"全年预算 {in_wan_exactly(budget)}，执行 {in_wan_exactly(spent)}，执行率 {rate}。"
    return [Text(f"项目{said}其中智慧党建平台维护费由经费台账登记，其余为申报值。")]


def _management(facts: YearFacts, style: str) -> list[Block]:
    return [
        Text(
            "维护经费在经费台账中逐笔登记：草稿、审批、登记分步办理，审批人与经办人不是同一人；超出预算或用途的支出不予登记；"
            "已登记的分录不修改、不删除，更正一律红字冲销。台账是辅助登记，不代替会计账簿，凭证号以会计账簿为准。"
        )
    ]


def _conclusion(facts: YearFacts, style: str) -> list[Block]:
    form = facts.evaluations[style]
    row = next((r for r in facts.goals if "运行维护率" in r.level3), None)
    blocks: list[Block] = [Text(f"{row.level3}：{row.actual}{other_ways(row.ways)}。")] if row is not None else []
    said = f"绩效自评总分 {in_points(form.score)} 分（可评分 {in_points(form.scorable)} 分）"
    blocks.append(Text(f"{said}，等级：{form.grade}。" if form.grade else f"{said}。{form.why}。"))
    if form.ways:
        blocks.append(Text(other_ways(form.ways)))
    if form.texts.get("conclusion"):
        blocks.append(Text(form.texts["conclusion"]))
    return blocks


def _problems(facts: YearFacts, style: str) -> list[Block]:
    said = {way: _in_trouble(of_way) for way, of_way in facts.ways.items()}
    beside = other_ways(others(said))
    if not facts.trouble:
        return [Text(f"监测范围内没有未维护到位或数据不足的站点{beside}。")]
    columns = (
        Column("站点", width=1.5),
        Column("乡镇"),
        Column("结论"),
        Column("月份", width=2),
        Column("已整改", width=0.6),
    )
    rows = [
        Row((t.name, t.township, VERDICTS[t.verdict], months_said(t.failed or t.unproven), "是" if t.rectified else ""))
        for t in facts.trouble
    ]
    return [Text(f"{said['counted']}{beside}。"), Table("未维护到位或数据不足的站点", columns, rows)]


def _in_trouble(way: WayFacts) -> str:
    rate = way.sites["total"]
    rectified = f"其中已整改 {way.rectified_sites} 个"
    return f"未维护到位的站点 {rate.failed} 个（{rectified}），数据不足的站点 {rate.unproven} 个"


def _nothing(facts: YearFacts, style: str) -> list[Block]:
    return []


_FACTS: Mapping[str, Callable[[YearFacts, str], list[Block]]] = {
    "basis": _basis,
    "use": _use,
    "evaluation": _evaluated,
    "approval": _nothing,
    "plan": _plan,
    "management": _management,
    "conclusion": _conclusion,
    "problems": _problems,
    "next": _nothing,
}

"""附件 of a year's documents: what its figures follow from, what was declared, by whom (docs/reports.md, The year)."""

from __future__ import annotations

from monitor.core.indicators import too_little
from monitor.core.report import RateFacts
from monitor.core.year_facts import WAYS, YearFacts, others
from monitor.publish.documents.blocks import Block, Column, Document, Row, Section, Table, Text
from monitor.publish.reports.year_words import (
    LEVELS,
    VERDICTS,
    availability,
    hundredths,
    made_by,
    marks,
    months_said,
    other_ways,
    site_months,
    sums_by_way,
)

STATES = {"sealed": "已定稿", "settled": "已结算", "open": "可能有补传数据", "running": "进行中"}


def annex(facts: YearFacts) -> Document:
    """附件: what the year's figures follow from, and what was declared, by whom."""
    return Document(
        title=f"{facts.year}年度绩效数据来源",
        sections=[
            Section("监测与台账数据的由来", "数据由来", _origin(facts)),
            Section("申报值", "申报值", [_declared(facts)]),
            Section("各链最新记录", "链", [_heads(facts)]),
        ],
        fields=[("项目名称", facts.project), ("单位", facts.unit)],
        marks=marks(facts),
        signatures=(("填表人", facts.filled_by), ("负责人", facts.responsible)),
        made_by=made_by(facts),
        timezone=facts.timezone,
        as_of=facts.as_of,
        wide=True,
    )


def _origin(facts: YearFacts) -> list[Block]:
    """Rates by every way of counting, the months, and the places that were not maintained all the year."""
    columns = (
        Column("口径", width=1.4), Column("级别"), Column("计划", "count"), Column("维护到位", "count"),
        Column("未到位", "count"), Column("数据不足", "count"), Column("运行维护率", "percent"),
    )  # fmt: skip
    rows = [
        _rate_row(f"{WAYS[way]}（{what}）", level, rates[level], too_little(facts.sums[level], facts.coverage_min))
        for way, found in facts.ways.items()
        for what, rates in (("站点", found.sites), ("机位", found.terminals))
        for level in LEVELS
    ]
    counted = facts.ways["counted"]
    return [
        Text(
            "年度结论由各月结论得出：站点或机位在用的每个月都维护到位，全年才计为维护到位；任一月未维护到位，全年即为"
            "未维护到位；其余为数据不足。百分数只截不进。"
        ),
        Table("年度运行维护率", columns, rows, merge=(0,)),
        Text(
            f"维护到位 {counted.site_months} 个站点月{site_months(facts)}，"
            f"计划 {counted.planned_site_months} 个站点月；曾未维护到位、"
            f"到最后一个在用月份已整改的站点 {counted.rectified_sites} 个、机位 {counted.rectified_terminals} 个。"
            f"全年机位中断 {facts.outages} 次（跨月的只计一次）。"
        ),
        _months(facts),
        _trouble(facts),
    ]


def _rate_row(way: str, level: str, rate: RateFacts, thin: str) -> Row:
    there = rate.maintained + rate.failed + rate.unproven
    found = thin or hundredths(rate.maintained, rate.planned if there else 0)
    cells = (way, LEVELS[level], rate.planned, rate.maintained, rate.failed, rate.unproven, found)
    return Row(cells, strong=level == "total")


def _months(facts: YearFacts) -> Table:
    columns = (
        Column("月份"), Column("状态"), Column("站点维护到位", "count"), Column("未到位", "count"),
        Column("数据不足", "count"), Column("可用率", "percent"), Column("正常时长", "length"),
        Column("中断时长", "length"), Column("未知时长", "length"), Column("计划检修", "length"),
        Column("超时限时长", "length"), Column("登记经费", "yuan", unit="元"),
    )  # fmt: skip
    rows = []
    for m in facts.months:
        s, r = m.sums["total"], m.sites["total"]
        rows.append(
            Row(
                (m.month, STATES[m.state], r.maintained, r.failed, r.unproven, availability(s, facts),
                 s.up, s.down, s.unknown, s.planned, s.overdue, m.spent_fen)
            )
        )  # fmt: skip
        for way, other in m.ways.items():
            s, r = other.sums["total"], other.sites["total"]
            rows.append(
                Row(
                    (f"　{WAYS[way]}", "", r.maintained, r.failed, r.unproven, availability(s, facts),
                     s.up, s.down, s.unknown, s.planned, s.overdue, None)
                )
            )  # fmt: skip
    for way, s in sums_by_way(facts).items():
        name, spent = ("全年", sum(m.spent_fen for m in facts.months)) if way == "counted" else (f"　{WAYS[way]}", None)
        cells = ("", "", "", "", availability(s, facts), s.up, s.down, s.unknown, s.planned, s.overdue, spent)
        rows.append(Row((name, *cells), strong=way == "counted"))
    return Table("各月", columns, rows, note="时长为各站点之和。")


def _trouble(facts: YearFacts) -> Table:
    columns = (
        Column("站点编号"), Column("站点", width=1.5), Column("乡镇"), Column("级别"), Column("全年结论"),
        Column("机位"), Column("未到位月份", width=1.5), Column("数据不足月份", width=1.5), Column("已整改"),
    )  # fmt: skip
    rows = [
        Row(
            (t.site, t.name, t.township, LEVELS[t.level], VERDICTS[t.verdict], "、".join(t.terminals),
             months_said(t.failed), months_said(t.unproven), "是" if t.rectified else "")
        )
        for t in facts.trouble
    ]  # fmt: skip
    said = {
        way: f"未到位 {of_way.sites['total'].failed} 个、数据不足 {of_way.sites['total'].unproven} 个"
        for way, of_way in facts.ways.items()
    }
    beside = other_ways(others(said))
    return Table("未维护到位或数据不足的站点", columns, rows, note=f"本表为实测口径{beside}。" if beside else "")


def _declared(facts: YearFacts) -> Table:
    columns = (
        Column("序号", "count", 0.5), Column("项目", width=2), Column("内容", width=3), Column("说明", width=1.5),
        Column("申报人"), Column("申报时间", "instant"), Column("依据（SHA-256）", width=1.5),
        Column("确认人"), Column("确认时间", "instant"),
    )  # fmt: skip
    rows = [
        Row(
            (d.n, d.name, d.text, d.reason, d.by, d.at, "\n".join(p[:16] for p in d.papers), d.confirmed_by or "未确认",
             d.confirmed_at)
        )
        for d in facts.declared
    ]  # fmt: skip
    return Table("申报值：由人填报，不由系统计算", columns, rows)


def _heads(facts: YearFacts) -> Table:
    columns = (Column("链", width=0.5), Column("序号", "count", 0.3), Column("SHA-256", width=3))
    return Table("各链在汇总时的最新记录", columns, [Row(head) for head in facts.heads])

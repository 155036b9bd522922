"""A level's, a township's or the county's figures explained: what each site adds, and the maintenance rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from monitor.core.explanation import GroupExplanation
from monitor.core.maintenance import Rate
from monitor.core.measure import Measure
from monitor.core.report_words import VERDICTS
from monitor.publish.documents.blocks import Block, Column, Document, Row, Section, Table, Text
from monitor.publish.reports.explain_account import BRIEF
from monitor.publish.reports.explain_words import (
    Unit,
    Words,
    availability,
    document,
    fields,
    level,
    percent,
    quotient,
    unit_for,
)

_WHY = {"overdue": "超期", "availability": "可用率不足", "coverage": "数据完整率不足", "no_check": "无检测项",
        "planned_only": "全在检修内"}  # fmt: skip


def compose_group(it: GroupExplanation) -> Document:
    """What each site adds to its level, township or county."""
    words = Words(it.about.timezone)
    measures = [*(m.measure for m in it.members), it.sum]
    unit = unit_for([n for m in measures for n in (m.up, m.down, m.unknown, m.planned, m.overdue)])
    name = it.name or level(it.id)
    blocks: list[Block] = []
    if not it.adds_up():
        blocks.append(Text("各站点相加与汇总结果不符：说明有误，请勿采用，并报告开发方。", warning=True))
    blocks += [_ratios(it, unit), _members(it, unit)]
    rates = list(
        rate_tables({it.id: it.rate} if it.rate else {}, {it.id: it.terminal_rate} if it.terminal_rate else {})
    )
    sections = [Section(f"{name}：由各站点相加", "汇总", blocks)]
    if rates:
        sections.append(Section("运行维护率", "维护率", rates))
    code = f"（{it.id}）" if it.group == "township" else ""
    return document(
        f"数据说明：{name} {it.about.period}", [("范围", name + code), *fields(it.about, words)], sections, it.about
    )


def columns(unit: Unit) -> list[Column]:
    """For what a member or group has."""
    names = ("在线", "中断", "未知", "检修", "超期")
    return [*(Column(name, "count", 1, unit.name) for name in names), Column("停机次数", "count", 0.7)]


def numbers(m: Measure, unit: Unit) -> tuple[int, ...]:
    """The cells of `columns`."""
    return (*map(unit.of, (m.up, m.down, m.unknown, m.planned, m.overdue)), m.outages)


def rate_tables(sites: Mapping[str, Rate], terminals: Mapping[str, Rate]) -> Iterator[Block]:
    """The maintenance rate of sites and of terminals, by level."""
    heads = (
        Column("范围"),
        Column("维护到位", "count"),
        Column("未维护到位", "count"),
        Column("数据不足", "count"),
        Column("计划", "count"),
        Column("运行维护率 = 维护到位 ÷ 计划", width=2.5),
        Column("数据不足全作到位", width=1.2),
    )
    for title, rates in (("运行维护率（站点）", sites), ("运行维护率（机位）", terminals)):
        rows = []
        for group, r in rates.items():
            rate = f"{r.maintained} ÷ {r.planned} = {quotient(r.maintained, r.planned)}"
            rate += f"，即 {percent(r.maintained, r.planned)}"
            high = percent(r.maintained + r.unproven, r.planned)
            rows.append(Row((level(group), r.maintained, r.failed, r.unproven, r.planned, rate, high)))
        if rows:
            yield Table(
                title, heads, rows, note="计划为配置中的年度目标，不是清单里的个数；比率可以超过 100%。规则 §6。"
            )


# --- a group ----------------------------------------------------------------------------------------------------------


def _ratios(it: GroupExplanation, unit: Unit) -> Table:
    m = it.sum
    known, total = m.up + m.down, m.total
    rows = [
        Row((name, f"{unit.text(part)} ÷ {unit.text(whole)} = {quotient(part, whole)}", percent(part, whole)))
        for name, part, whole in (
            ("可用率 = 在线 ÷（在线 + 中断）", m.up, known),
            ("下限 = 在线 ÷ 计入", m.up, total),
            ("上限 =（在线 + 未知）÷ 计入", m.up + m.unknown, total),
            ("数据完整率 =（在线 + 中断）÷ 计入", known, total),
        )
    ]
    rows[0] = Row((*rows[0].cells[:2], availability(m, it.coverage_min)))
    columns = (Column("比率", width=1.4), Column("算式", width=3), Column("即", width=0.6))
    return Table("先相加、后相除（§5）", columns, rows)


def _members(it: GroupExplanation, unit: Unit) -> Table:
    rows = [
        Row(
            (
                m.site,
                m.name + ("" if m.whole else "（部分时间）"),
                VERDICTS[m.verdict],
                *numbers(m.measure, unit),
                availability(m.measure, it.coverage_min),
                "；".join(f"{k} {_WHY[w]}" for k, _, w in (why.partition(":") for why in m.why)),
            )
        )
        for m in it.members
    ]
    whole = Row(("合计", f"{len(rows)} 个站点", "", *numbers(it.sum, unit), "", ""), strong=True)
    brief = None
    if len(rows) > BRIEF + 1:
        # Those that have to be looked after come first; the others are one row, so that what is shown adds up.
        order = sorted(range(len(rows)), key=lambda i: (it.members[i].verdict == "maintained", i))
        rest = sum((it.members[i].measure for i in order[BRIEF:]), Measure())
        more = Row(("其余", f"{len(rows) - BRIEF} 个站点", "", *numbers(rest, unit), "", "全部见 XLSX 与 JSON"))
        brief = [*(rows[i] for i in order[:BRIEF]), more, whole]
    heads = (
        Column("站点编号", width=1),
        Column("名称", width=1.2),
        Column("判定", width=0.8),
        *columns(unit),
        Column("可用率", width=0.7),
        Column("判定原因", width=1.2),
    )
    return Table("各站点", heads, [*rows, whole], brief)

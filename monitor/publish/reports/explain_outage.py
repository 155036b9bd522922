"""One outage explained, as a document: evidence, clock, work order, costs, and what it does to the evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.core.explanation import OutageExplanation
from monitor.core.report_words import NO_FIGURE, VERDICTS
from monitor.core.report_words import hours as length
from monitor.core.sites import Check
from monitor.core.timeline import Edge
from monitor.core.workorder import SIGNS
from monitor.publish.documents.blocks import Block, Column, Document, Row, Section, Table, Text
from monitor.publish.reports.explain_account import clock_table
from monitor.publish.reports.explain_chain import chain_blocks
from monitor.publish.reports.explain_words import (
    LOOK_UP,
    STATES,
    Unit,
    Words,
    availability,
    document,
    fields,
    level,
    terminal,
    unit_for,
)


def compose_outage(it: OutageExplanation) -> Document:
    """The one chain from evidence to outage to order to costs to evaluation."""
    words = Words(it.about.timezone, it.lines)
    unit = unit_for([*(n for c in it.clocks for n in (c.counted, c.limit, c.overdue)), it.order_limit])
    sections = [
        Section("一、证据：何时开始，何时恢复", "证据", list(_evidence(it, words))),
        Section("二、计时：计入多少，何时超期", "计时", list(_clock(it, words, unit))),
        Section("三、工单、免责与经费", "工单", list(_order(it, words))),
        Section("四、考核：计入哪些月份", "考核", list(_months(it, unit))),
    ]
    head = [
        ("停机", it.key),
        ("机位", f"{it.name}（{it.site}）{terminal(it.terminal)}，{level(it.level)}"),
        ("状态", STATES[it.state]),
        *fields(it.about, words),
    ]
    if it.successor:
        head.insert(1, ("另见", it.successor))
    return document(f"停机说明：{it.name} {terminal(it.terminal)}", head, sections, it.about)


def _evidence(it: OutageExplanation, words: Words) -> Iterator[Block]:
    rows = [
        Row(("开始", words.instant(it.start), words.edge(it.start_edge))),
        Row(("最后一段中断止", words.instant(it.end), words.edge(it.end_edge))),
        Row(("恢复", words.instant(it.over), SIGNS.get(it.sign, ""))),
    ]
    yield Table("停机的起止（机位）", (Column("", width=0.6), Column("时刻"), Column("依据", width=3)), rows)
    for title, edges, at in (("开始时", it.start_edges, it.start), ("恢复时", it.end_edges, it.over)):
        if edges:
            yield _edges(f"{title}各检测项的证据", edges, at or 0, it, words)
    if it.files:
        yield Text(f"已不在日志文件夹中的日志：{'、'.join(it.files)}（保留期满的可由备份取回）。")
    if it.lines:
        yield Text(LOOK_UP)


def _edges(title: str, edges: Sequence[tuple[str, Edge]], at: int, it: OutageExplanation, words: Words) -> Table:
    rows = []
    for check, edge in edges:
        channel = Check(it.site, it.terminal, check).channel
        places = words.places(it.terminal, check, channel, edge, at)
        rows.append(Row((check, words.edge(edge), words.evidence(edge.before), words.evidence(edge.after), places)))
    columns = (
        Column("检测项", width=0.9),
        Column("变化及其界限", width=1.8),
        Column("之前的证据", width=1.6),
        Column("之后的证据", width=1.6),
        Column("在日志中", width=1.8),
    )
    return Table(title, columns, rows)


def _clock(it: OutageExplanation, words: Words, unit: Unit) -> Iterator[Block]:
    if not it.adds_up():
        yield Text("各月相加与停机计时不符：说明有误，请勿采用，并报告开发方。", warning=True)
    yield clock_table("停机计时：只计服务时间内、检修之外的中断（§5）", it.clocks, words, unit)
    used = it.clocks[-1].used if it.clocks else 0
    opens = words.instant(it.order_at) if it.order_at is not None else "未达到"
    late = words.instant(it.overdue_at) if it.overdue_at is not None else "未超期"
    rows = [
        Row(("累计计入", length(used), "")),
        Row(("开单时限", length(it.order_limit), opens)),
        Row(("修复时限", length(it.limit), late)),
    ]
    yield Table("时限", (Column("项目"), Column("长度"), Column("超过的时刻")), rows)


def _order(it: OutageExplanation, words: Words) -> Iterator[Block]:
    if it.chain is None:
        yield Text("没有工单列入此停机。")
    else:
        yield from chain_blocks(it.chain, words)
    if it.exempted:
        yield Text("此停机的免责已获批准：实测数不变，扣除免责后的数另列。")


def _months(it: OutageExplanation, unit: Unit) -> Iterator[Block]:
    rows = []
    for month in it.months:
        m = month.measure
        rate = NO_FIGURE if m is None else availability(m, month.coverage_min)
        down, overdue = (None, None) if m is None else (unit.of(m.down), unit.of(m.overdue))
        verdict = VERDICTS.get(month.verdict, NO_FIGURE)
        cells = (month.period, unit.of(month.counted), down, unit.of(month.overdue), overdue, rate, verdict)
        rows.append(Row(cells))
    sums = (sum(month.counted for month in it.months), sum(month.overdue for month in it.months))
    rows.append(Row(("合计", unit.of(sums[0]), None, unit.of(sums[1]), None, "", ""), strong=True))
    columns = (
        Column("月份", width=0.7),
        Column("此停机计入", "count", 1, unit.name),
        Column("机位当月中断", "count", 1, unit.name),
        Column("此停机超期", "count", 1, unit.name),
        Column("机位当月超期", "count", 1, unit.name),
        Column("机位当月可用率", width=0.9),
        Column("机位当月判定", width=0.9),
    )
    note = (
        f"逐月说明：zhdj-monitor explain 月份 --site {it.site} --terminal {it.terminal}。跨月的停机各月各计其中的部分。"
    )
    yield Table("各月", columns, rows, note=note)

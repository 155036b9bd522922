"""A site's figures explained, as a document: line by line, with the evidence, the sums it enters, and what held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.core.explaining import Part
from monitor.core.explanation import Chain, CheckFacts, SiteExplanation
from monitor.core.measure import Measure
from monitor.core.report_words import THIN, VERDICTS, part_of
from monitor.core.sites import Check
from monitor.publish.documents.blocks import Block, Column, Document, Row, Section, Table, Text
from monitor.publish.reports import explain_account
from monitor.publish.reports.explain_account import rows_and_brief
from monitor.publish.reports.explain_chain import chain_blocks
from monitor.publish.reports.explain_group import columns, numbers, rate_tables
from monitor.publish.reports.explain_words import (
    LOOK_UP,
    VALUES,
    Unit,
    Words,
    availability,
    document,
    fields,
    headline,
    hours,
    is_thin,
    level,
    quotient,
    terminal,
    unit_for,
)

_FIGURES = {"up": "在线", "down": "中断", "unknown": "未知", "planned": "检修", "outages": "停机次数",
            "overdue": "超期", "verdict": "判定"}  # fmt: skip


def compose_site(it: SiteExplanation) -> Document:
    """A site's month, of all of its terminals or of one."""
    words = Words(it.about.timezone, it.lines)
    unit = unit_for([n for a in it.accounts for n in explain_account.lengths(a)])
    sections = [Section("结论", "结论", list(_conclusion(it, unit)))]
    for account in it.accounts:
        title = f"{terminal(account.terminal)}：为什么是这个数"
        others = it.accounts[:-1] if account.terminal is None and it.terminal is None else ()
        blocks = list(explain_account.blocks(account, words, unit, others))
        sections.append(Section(title, f"演算 {account.terminal or '站点'}", blocks))
    sections.append(Section("证据：各检测项的每一段及其两端", "证据", list(_evidence(it, words, unit))))
    sections.append(Section("汇总：如何计入乡镇、层级与全县", "汇总", list(_steps(it, unit))))
    sections.append(Section("工单、免责与经费", "工单", list(_chains(it.chains, words))))
    sections.append(Section("当时适用的清单与参数", "规则", list(_held(it, words, unit))))
    which = f" {terminal(it.terminal)}" if it.terminal else ""
    head = [
        ("站点", f"{it.name}（{it.site}）{which}"),
        ("层级", f"{level(it.level)}，{it.township_name}（{it.township}）"),
        *fields(it.about, words),
    ]
    return document(f"数据说明：{it.name}{which} {it.about.period}", head, sections, it.about)


# --- a site -----------------------------------------------------------------------------------------------------------


def _conclusion(it: SiteExplanation, unit: Unit) -> Iterator[Block]:
    if not it.adds_up():
        yield Text("各部分相加与统计结果不符：说明有误，请勿采用，并报告开发方。", warning=True)
    least = it.accounts[-1].minima[0]
    yield Table("本期结果", _RESULT, [_result(terminal(a.terminal), a.measure, a.verdict, least) for a in it.accounts])
    for title, beside in (("不计事后补录的检修时", it.without_retroactive), ("扣除已批准免责后", it.after_exemptions)):
        if beside:
            rows = [_result(terminal(b.terminal), b.measure, b.verdict, least) for b in beside]
            yield Table(f"{title}（与上表不同的）", _RESULT, rows)
    thin = [a for a in it.accounts if is_thin(a.measure, least)]
    if thin:
        yield Text(f"数据完整率低于 {least} 的，可用率一栏为{THIN}；其除法仍在演算中写出，供核对。")
    yield Text(f"以下长度均以{unit.name}计，时刻为当地时间；每张表的合计即算式中的数，可逐行复算。")
    if it.sealed is not None:
        if not it.sealed.differences:
            yield Text(f"与{it.sealed.name}一致。")
        else:
            yield Text(f"与{it.sealed.name}不同：定稿不再改变，差异须以更正版说明。", warning=True)
            rows = [
                Row(
                    (terminal(d.terminal), _FIGURES[d.figure], *(_figure(d.figure, v, unit) for v in (d.sealed, d.now)))
                )
                for d in it.sealed.differences
            ]
            yield Table("差异", (Column("对象"), Column("数"), Column("定稿"), Column("现在")), rows)


def _figure(name: str, value: int | str, unit: Unit) -> str:
    if isinstance(value, str):
        return VERDICTS.get(value, value)
    return str(value) if name == "outages" else f"{unit.text(value)} {unit.name}"


_RESULT = (
    Column("对象", width=1.2),
    Column("判定"),
    Column("可用率", "percent"),
    Column("下限", "percent"),
    Column("上限", "percent"),
    Column("数据完整率", "percent"),
    Column("计入时间", "length"),
    Column("停机次数", "count"),
    Column("超期", "length"),
)


def _result(what: str, m: Measure, verdict: str, coverage_min: float) -> Row:
    known = m.up + m.down
    bounds = (part_of(m.up, m.total), part_of(m.up + m.unknown, m.total), part_of(known, m.total))
    return Row((what, VERDICTS[verdict], headline(m, coverage_min), *bounds, m.total, m.outages, m.overdue))


def _evidence(it: SiteExplanation, words: Words, unit: Unit) -> Iterator[Block]:
    if not it.checks:
        yield Text("本期没有检测项。")
    for check in it.checks:
        yield _check(it.site, check, words, unit)
    if it.files:
        yield Text(f"已不在日志文件夹中的日志：{'、'.join(it.files)}（保留期满的可由备份取回）。")
    if it.lines:
        yield Text(LOOK_UP)


def _check(site: str, of: CheckFacts, words: Words, unit: Unit) -> Table:
    channel = Check(site, of.terminal, of.check).channel

    def row(p: Part) -> Row:
        before, after = (p.edge.before, p.edge.after) if p.edge is not None else (None, None)
        return Row(
            (
                words.instant(p.begun if p.begun != p.start else p.start),
                words.instant(p.end),
                VALUES[p.value],
                unit.of(p.counted),
                words.edge(p.edge),
                words.evidence(before),
                words.evidence(after),
                words.places(of.terminal, of.check, channel, p.edge, p.begun),
            )
        )

    def rest(parts: Sequence[Part]) -> Row:
        counted = unit.of(sum(p.counted for p in parts))
        return Row(("其余", "", f"{len(parts)} 段", counted, "全部见 XLSX 与 JSON", "", "", ""))

    rows, brief = rows_and_brief(of.parts, row, rest)
    columns = (
        Column("自", width=1.1),
        Column("至", width=1.1),
        Column("状态", width=0.5),
        Column("计入", "count", 0.9, unit.name),
        Column("变化及其界限", width=1.9),
        Column("之前的证据", width=1.6),
        Column("之后的证据", width=1.6),
        Column("在日志中", width=1.8),
    )
    return Table(f"{terminal(of.terminal)}：{of.check}", columns, rows, brief)


def _steps(it: SiteExplanation, unit: Unit) -> Iterator[Block]:
    for step in it.steps:
        name = f"{step.name}（{step.id}）" if step.group == "township" else level(step.id)
        rows = [
            Row((f"其他 {step.members - 1} 个站点", *numbers(step.others, unit))),
            Row((it.name, *numbers(step.own, unit))),
            Row((f"{name}合计", *numbers(step.sum, unit)), strong=True),
        ]
        yield Table(f"计入{name}", (Column("", width=1.4), *columns(unit)), rows)
        m = step.sum
        known = f"{unit.text(m.up)} ÷ {unit.text(m.up + m.down)} = {quotient(m.up, m.up + m.down)}"
        yield Text(f"{name}可用率 = 在线 ÷（在线 + 中断）= {known}，即 {availability(m, it.accounts[-1].minima[0])}。")
    groups = [it.level, "total"]
    yield from rate_tables(
        {g: it.rates[g] for g in groups if g in it.rates}, {g: it.terminal_rates[g] for g in groups if g in it.rates}
    )
    own = it.accounts[-1]
    if own.terminal is None:
        where = "维护到位之一" if own.verdict == "maintained" else f"{VERDICTS[own.verdict]}之一，不在分子中"
        yield Text(f"本站点判定为{VERDICTS[own.verdict]}，是其中{where}。")


def _held(it: SiteExplanation, words: Words, unit: Unit) -> Iterator[Block]:
    rows = []
    for h in it.held:
        kinds = [k for k in h.checks if it.terminal in (None, k)]
        of = "；".join(f"{k}：{hours(h.hours[k])}" for k in kinds if h.hours[k] != h.hours[""])
        checks = "；".join(f"{k}：{'、'.join(h.checks[k]) or '无'}" for k in kinds)
        rows.append(
            Row(
                (
                    words.instant(h.since),
                    words.instant(h.until),
                    level(h.level),
                    f"{h.township_name}（{h.township}）",
                    hours(h.hours[""]) + (f"（{of}）" if of else ""),
                    unit.of(h.repair_limit),
                    {"any": "任一检测项", "all": "全部检测项"}[h.policy],
                    checks,
                )
            )
        )
    columns = (
        Column("自", width=1.1),
        Column("至", width=1.1),
        Column("层级", width=0.6),
        Column("乡镇", width=1.1),
        Column("服务时间", width=1.6),
        Column("修复时限", "count", 0.8, unit.name),
        Column("机位在线的条件", width=0.9),
        Column("检测项（I 间隔、G 宽限、N 次数，秒）", width=2.4),
    )
    yield Table("站点当时的情况（每一秒按当时的计）", columns, rows)
    coverage, available = it.accounts[-1].minima
    yield Text(f"判定下限（按期末前最后生效的）：数据完整率 {coverage}，可用率 {available}（§6）。")
    versions = [
        Row((v.number, "最初" if v.since is None else words.instant(v.since), v.digest, v.approved_by))
        for v in it.versions
    ]
    heads = (Column("版本", "count", 0.4), Column("生效", width=1), Column("摘要 SHA-256", width=3), Column("审批人"))
    yield Table("站点清单的版本", heads, versions, empty="没有登记过版本：按当前配置计。")


def _chains(chains: Sequence[Chain], words: Words) -> Iterator[Block]:
    if not chains:
        yield Text("本期没有工单，也没有登记到本站点的经费。")
    for chain in chains:
        yield from chain_blocks(chain, words)

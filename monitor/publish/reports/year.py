"""The year's forms from its facts: 项目绩效目标完成情况表 and 项目支出绩效自评表 (docs/reports.md, The year)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.core.declared import TEXTS
from monitor.core.evaluation import in_points, number
from monitor.core.indicators import too_little
from monitor.core.ledger import SOURCE_NAMES
from monitor.core.report import RateFacts, Sum
from monitor.core.year_facts import WAYS, EvaluationFacts, GoalFacts, ScoreFacts, SourceMoney, YearFacts
from monitor.publish.documents.blocks import Block, Column, Document, Row, Section, Table, Text

LEVELS = {"village": "村级", "township": "乡镇", "county": "县级", "total": "合计"}
VERDICTS = {"failed": "未维护到位", "unproven": "数据不足", "maintained": "维护到位"}
STATES = {"sealed": "已定稿", "settled": "已结算", "open": "可能有补传数据", "running": "进行中"}
NO_TARGET = "（无目标值）"


def to_fill(what: str) -> str:
    """A visible place for a person's words."""
    return f"（待填写：{what}）"


def goals(facts: YearFacts) -> Document:
    """项目绩效目标完成情况表."""
    return Document(
        title=f"{facts.year}年度项目绩效目标完成情况表",
        sections=[
            Section("一、预算执行", "预算执行", [_money_head(facts.money)]),
            Section("二、年度总体目标", "年度总体目标", [_targets(facts)]),
            Section("三、绩效指标", "绩效指标", _goal_blocks(facts)),
        ],
        fields=[("项目名称", facts.project), ("主管部门及实施单位", facts.unit), ("年度", str(facts.year))],
        marks=marks(facts),
        signatures=(("填表人", facts.filled_by), ("负责人", facts.responsible)),
        made_by=made_by(facts),
        timezone=facts.timezone,
        as_of=facts.as_of,
        wide=True,
    )


def evaluation(facts: YearFacts, style: str) -> Document:
    """自评表 of a style."""
    form = facts.evaluations[style]
    words: list[Block] = [Text(text) for text in _verdict_of(form)]
    for name, title in TEXTS.items():
        limit = form.limits[name]
        words.append(Text(f"{title}：{form.texts.get(name) or to_fill(f'{title}，{limit} 字以内')}"))
    if form.missing:
        words.append(Text(f"尚有 {len(form.missing)} 处未填，见各处“待填写”。", warning=True))
    return Document(
        title=f"{facts.year}年度{form.title}",
        sections=[
            Section("一、预算执行", "预算执行", [_budget(facts, form)]),
            Section("二、年度总体目标", "年度总体目标", [_targets(facts)]),
            Section("三、绩效指标", "绩效指标", [_scores(form)]),
            Section("四、自评结果", "自评结果", words),
        ],
        fields=[("项目名称", facts.project), ("主管部门", facts.unit), ("实施单位", facts.unit)],
        marks=marks(facts),
        signatures=(("项目负责人", ""), ("财务负责人", "")),
        made_by=made_by(facts, form.template),
        timezone=facts.timezone,
        as_of=facts.as_of,
        wide=True,
    )


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


def _heads(facts: YearFacts) -> Table:
    columns = (Column("链", width=0.5), Column("序号", "count", 0.3), Column("SHA-256", width=3))
    return Table("各链在汇总时的最新记录", columns, [Row(head) for head in facts.heads])


def marks(facts: YearFacts) -> list[str]:
    """What stands on every page."""
    found = ["演示数据"] if facts.demo else []
    if not facts.complete:
        return [*found, "预览"]
    return [*found, "草稿"] if facts.missing else found


def made_by(facts: YearFacts, template: str = "") -> str:
    """By what software, rules and templates. Without a template: that of the yearly table."""
    name = template or facts.template
    return (
        f"zhdj-monitor {facts.software}，判定规则方法 {facts.rules}，模板 {name}"
        f"（{facts.templates[name][:12]}）。经费台账是辅助登记，不代替会计账簿"
    )


# --- 项目绩效目标完成情况表 -------------------------------------------------------------------------------------------


def _goal_blocks(facts: YearFacts) -> list[Block]:
    rows = [Row((r.level1, r.level2, r.level3, r.target, actual_text(r))) for r in facts.goals]
    blocks: list[Block] = [
        Table(
            "绩效指标完成情况",
            (
                Column("一级指标", width=0.8),
                Column("二级指标", width=0.9),
                Column("三级指标", width=1.6),
                Column("预期指标值", width=2.6),
                Column("实际完成指标值", width=2.6),
            ),
            rows,
            merge=(0, 1),
        ),
    ]
    if facts.missing:
        blocks.append(Text("尚缺：" + "；".join(facts.missing), warning=True))
    return blocks


def actual_text(row: GoalFacts) -> str:
    """A row's cell: the text, and what stands beside it: measured facts, other ways of counting."""
    parts = [row.actual, row.beside]
    return "\n".join(part for part in (*parts, other_ways(row.ways)) if part)


def other_ways(ways: Mapping[str, str]) -> str:
    """（不计事后补录：…；免责后：…）; "" where they change nothing."""
    return "（" + "；".join(f"{WAYS[way]}：{text}" for way, text in ways.items()) + "）" if ways else ""


def _money_head(money: Sequence[SourceMoney]) -> Table:
    """The whole project: what was declared for the rest of it, and the ledger."""
    by = {one.source: one for one in money}
    fiscal = _both([by["appropriation"], by["carry_over"]])
    other = _both([by["other"]])
    whole = _both(money)
    rows = [
        _money_row("年度资金总额", whole, strong=True),
        _money_row("其中：财政拨款", fiscal),
        _money_row("其他资金", other),
    ]
    head = (
        Column("项目资金"),
        Column("预算数", "wan", unit="万元"),
        Column("执行数", "wan", unit="万元"),
        Column("执行率", "percent"),
    )
    return Table("预算执行情况", head, rows)


def _both(money: Sequence[SourceMoney]) -> tuple[int | None, int | None]:
    """Budget and executed; None where nothing is known of either."""
    budgets = [one.budget for one in money if one.budget is not None]
    executed = [one.executed for one in money if one.executed is not None]
    return sum(budgets) if budgets else None, sum(executed) if executed else None


def _money_row(title: str, money: tuple[int | None, int | None], *, strong: bool = False) -> Row:
    budget, executed = money
    return Row((title, _empty(budget), _empty(executed), _rate(executed, budget)), strong=strong)


def _empty(fen: int | None) -> int | str:
    """An empty cell where nothing is known."""
    return "" if fen is None else fen


def _rate(executed: int | None, budget: int | None) -> int | None:
    return executed * 10_000 // budget if budget and executed is not None else None


def _targets(facts: YearFacts) -> Table:
    head = (Column("预期目标"), Column("实际完成情况"))
    return Table("年度总体目标完成情况", head, [Row((facts.annual_target, annual_text(facts)))])


def annual_text(facts: YearFacts) -> str:
    """年度总体目标实际完成情况, by every way of counting."""
    return facts.annual_actual + other_ways(facts.annual_ways)


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


def site_months(facts: YearFacts) -> str:
    """Those maintained by other ways of counting, where they differ."""
    months = {way: f"{of_way.site_months} 个" for way, of_way in facts.ways.items()}
    return other_ways({way: text for way, text in months.items() if text != months["counted"]})


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


def sums_by_way(facts: YearFacts) -> dict[str, Sum]:
    """The year's sums; by other ways of counting, where they change a month's, its months added up so. An outage over
    a month's end is not counted once there: those have no number of outages."""
    result = {"counted": facts.sums["total"]}
    for way in [way for way in WAYS if any(way in m.ways for m in facts.months)]:
        sums = [m.ways[way].sums["total"] if way in m.ways else m.sums["total"] for m in facts.months]
        up, down, unknown = sum(s.up for s in sums), sum(s.down for s in sums), sum(s.unknown for s in sums)
        result[way] = Sum(up, down, unknown, sum(s.planned for s in sums), 0, sum(s.overdue for s in sums))
    return result


def availability(counted: Sum, facts: YearFacts) -> int | str | None:
    """Hundredths of a percent, cut; below the least coverage what there is too little of."""
    return too_little(counted, facts.coverage_min) or hundredths(counted.up, counted.up + counted.down)


def hundredths(part: int, whole: int) -> int | None:
    """Of a percent, cut."""
    return part * 10_000 // whole if whole else None


def months_said(months: Sequence[str]) -> str:
    """`2026-01 至 2026-09、2026-11、2026-12`, of a year's months in order: longer rows by their ends."""
    runs: list[list[str]] = []
    for month in months:
        if runs and int(month[5:]) == int(runs[-1][-1][5:]) + 1:
            runs[-1].append(month)
        else:
            runs.append([month])
    return "、".join(f"{run[0]} 至 {run[-1]}" if len(run) > 2 else "、".join(run) for run in runs)


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
    beside = other_ways({way: text for way, text in said.items() if text != said["counted"]})
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


# --- 自评表 -----------------------------------------------------------------------------------------------------------


def _budget(facts: YearFacts, form: EvaluationFacts) -> Table:
    columns = (
        Column("项目资金", width=1.4), Column("年初预算", "wan", unit="万元"), Column("预算调整", "wan", unit="万元"),
        Column("全年预算", "wan", unit="万元"), Column("执行数", "wan", unit="万元"), Column("执行率", "percent"),
        Column("分值", "points"), Column("得分", "points"),
    )  # fmt: skip
    known = [one for one in facts.money if one.budget is not None or one.executed is not None]
    totals = [_total(facts.money, name) for name in ("initial", "adjusted", "budget", "executed")]
    scored = form.execution
    rows = [
        Row(
            (
                "年度资金总额",
                *map(_empty, totals),
                _rate(totals[3], totals[2]),
                scored.weight,
                scored.score,
            ),
            strong=True,
        )
    ]
    for one in known:
        cells = (one.initial, one.adjusted, one.budget, one.executed)
        rows.append(Row((SOURCE_NAMES[one.source], *map(_empty, cells), _rate(one.executed, one.budget), None, None)))
    note = f"执行率＝执行数÷全年预算（调整后）。{_reason_of(scored)}"
    changed = next((d.reason for d in facts.declared if d.key == "eval.budget"), "")
    if totals[1]:
        note += f" 预算调整说明：{changed or to_fill('预算调整说明')}"
    return Table("预算执行情况", columns, rows, note=note)


def _total(money: Sequence[SourceMoney], name: str) -> int | None:
    known = [fen for one in money if (fen := getattr(one, name)) is not None]
    return sum(known) if known else None


def _reason_of(row: ScoreFacts) -> str:
    """What the column for reasons says: what a person wrote, what is noted, and what is still to be written."""
    parts = [row.reason, row.why, to_fill(row.missing) if row.missing else "", other_ways(row.ways)]
    return "；".join(part for part in parts if part)


def _scores(form: EvaluationFacts) -> Table:
    first = (Column("一级指标", width=0.9), Column("二级指标", width=0.9), Column("三级指标", width=1.8))
    if form.style == "sichuan":
        columns: Sequence[Column] = (
            *first, Column("指标性质", width=0.6), Column("指标值", width=1.2), Column("度量单位", width=0.6),
            Column("完成值", width=1.2), Column("权重", "points"), Column("得分", "points"),
            Column("未完成原因分析", width=1.8),
        )  # fmt: skip
        rows = [Row((*_levels(r), r.nature, r.target or NO_TARGET, r.unit, r.actual, *_last(r))) for r in form.rows]
    else:
        columns = (
            *first, Column("年度指标值", width=1.4), Column("实际完成值", width=1.4), Column("分值", "points"),
            Column("得分", "points"), Column("偏差原因分析及改进措施", width=1.8),
        )  # fmt: skip
        rows = [Row((*_levels(r), _target(r), _actual(r), *_last(r))) for r in form.rows]
    weight = form.execution.weight + sum(r.weight for r in form.rows)
    empty = [""] * (len(columns) - 4)
    rows.append(Row(("总分", *empty, weight, form.score, ""), strong=True))
    return Table("绩效指标得分", columns, rows, merge=(0, 1), note="总分含预算执行得分。得分截至两位小数，不四舍五入。")


def _levels(row: ScoreFacts) -> tuple[str, str, str]:
    return row.level1, row.level2, row.level3


def _last(row: ScoreFacts) -> tuple[int, int | None, str]:
    """Weight, score, reason."""
    return row.weight, row.score, _reason_of(row)


def _target(row: ScoreFacts) -> str:
    if not row.target:
        return NO_TARGET
    return row.target if row.nature == "定性" else f"{row.nature}{row.target}{row.unit}"


def _actual(row: ScoreFacts) -> str:
    if row.nature == "定性" or number(row.actual) is None:
        return row.actual
    return f"{row.actual.rstrip('%％') if row.unit == '％' else row.actual}{row.unit}"


def _verdict_of(form: EvaluationFacts) -> list[str]:
    said = f"总分 {in_points(form.score)} 分（可评分 {in_points(form.scorable)} 分）"
    found = [f"{said}，等级：{form.grade}。" if form.grade else f"{said}。", *([form.why + "。"] if form.why else [])]
    return [*found, *([other_ways(form.ways)] if form.ways else [])]

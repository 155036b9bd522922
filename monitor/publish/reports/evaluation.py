"""项目支出绩效自评表 from a year's facts, in a province's or the nation's form (docs/reports.md, The year)."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.core.declared import TEXTS
from monitor.core.evaluation import in_points, number
from monitor.core.ledger import SOURCE_NAMES
from monitor.core.year_facts import EvaluationFacts, ScoreFacts, SourceMoney, YearFacts
from monitor.publish.documents.blocks import Block, Column, Document, Row, Section, Table, Text
from monitor.publish.reports.year_words import execution_rate, made_by, marks, or_empty, other_ways, targets, to_fill

NO_TARGET = "（无目标值）"


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
            Section("二、年度总体目标", "年度总体目标", [targets(facts)]),
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
                *map(or_empty, totals),
                execution_rate(totals[3], totals[2]),
                scored.weight,
                scored.score,
            ),
            strong=True,
        )
    ]
    for one in known:
        cells = (one.initial, one.adjusted, one.budget, one.executed)
        rows.append(
            Row((SOURCE_NAMES[one.source], *map(or_empty, cells), execution_rate(one.executed, one.budget), None, None))
        )
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

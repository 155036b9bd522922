"""项目绩效目标完成情况表, the yearly table (docs/reports.md, The year)."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.core.year_facts import GoalFacts, SourceMoney, YearFacts
from monitor.publish.documents.blocks import Block, Column, Document, Row, Section, Table, Text
from monitor.publish.reports.year_words import execution_rate, made_by, marks, or_empty, other_ways, targets


def goals(facts: YearFacts) -> Document:
    """项目绩效目标完成情况表."""
    return Document(
        title=f"{facts.year}年度项目绩效目标完成情况表",
        sections=[
            Section("一、预算执行", "预算执行", [_money_head(facts.money)]),
            Section("二、年度总体目标", "年度总体目标", [targets(facts)]),
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


def _goal_blocks(facts: YearFacts) -> list[Block]:
    rows = [Row((r.level1, r.level2, r.level3, r.target, _actual_text(r))) for r in facts.goals]
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


def _actual_text(row: GoalFacts) -> str:
    """A row's cell: the text, and what stands beside it: measured facts, other ways of counting."""
    parts = [row.actual, row.beside]
    return "\n".join(part for part in (*parts, other_ways(row.ways)) if part)


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
    return Row((title, or_empty(budget), or_empty(executed), execution_rate(executed, budget)), strong=strong)

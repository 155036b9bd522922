"""A year's 自评表 from its figures and what was declared: values, scores and grade (docs/reports.md, The year)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from monitor.core import evaluation
from monitor.core.declared import TEXTS, Declared
from monitor.core.evaluation import Said, Scored
from monitor.core.indicators import Figure
from monitor.core.year_facts import EvaluationFacts, ScoreFacts, SourceMoney, others
from monitor.publish.reports.template_files import EvaluationForm


def evaluated(
    form: EvaluationForm,
    declared: Mapping[str, Declared],
    figures: Mapping[str, Mapping[str, Figure]],
    money: Sequence[SourceMoney],
) -> EvaluationFacts:
    """自评表 as measured, with values, scores and grade by other ways of counting beside what they change."""
    forms = {way: _evaluation(form, declared, of_way, money) for way, of_way in figures.items()}
    rows = [
        replace(
            row, ways=others({way: f"完成值 {r.actual}，{_points(r.score)}" for way, r in zip(forms, by, strict=True)})
        )
        for row, *by in zip(forms["counted"].rows, *(f.rows for f in forms.values()), strict=True)
    ]
    totals = {
        way: f"总分 {evaluation.in_points(f.score)} 分" + (f"，等级：{f.grade}" if f.grade else "")
        for way, f in forms.items()
    }
    return replace(forms["counted"], rows=rows, ways=others(totals))


def _points(score: int | None) -> str:
    return "不可评分" if score is None else f"得分 {evaluation.in_points(score)}"


def _evaluation(
    form: EvaluationForm,
    declared: Mapping[str, Declared],
    figures: Mapping[str, Figure],
    money: Sequence[SourceMoney],
) -> EvaluationFacts:
    policy = form.policy
    budget = sum(one.budget or 0 for one in money)
    spent = sum(one.executed or 0 for one in money)
    why = declared.get("eval.execution")
    scored = evaluation.execution(policy, spent, budget, why.reason if why else "")
    rate = Fraction(spent * 100, budget) if budget > 0 else None
    execution = ScoreFacts(
        "execution", "预算执行", "", "预算执行率", "≥", "100", "％", policy.execution_weight,
        _cut(rate), scored.score, scored.why, scored.missing, why.reason if why else "", why.n if why else 0,
    )  # fmt: skip
    rows: list[ScoreFacts] = []
    totals: list[tuple[int, Scored]] = [(policy.execution_weight, scored)]
    for i in form.indicators:
        one = declared.get(f"eval.{i.id}")
        said = Said(one.text, one.reason) if one else Said()
        figure = figures.get(i.figure)
        found = evaluation.score(i, policy, figure.value if figure else None, said)
        totals.append((i.weight, found))
        actual = _plain_number(figure) if figure is not None else said.text
        rows.append(
            ScoreFacts(
                i.id, i.level1, i.level2, i.level3, i.nature, i.target, i.unit, i.weight, actual, found.score,
                found.why, found.missing, said.reason, one.n if one else 0,
            )
        )  # fmt: skip
    total = evaluation.total(policy, totals)
    texts = {name: declared[f"text.{name}"].text for name in TEXTS if f"text.{name}" in declared}
    missing = [f"自评表：{row.level3} 缺{row.missing}" for row in (execution, *rows) if row.missing]
    missing += [f"自评表：缺{title}" for name, title in TEXTS.items() if not texts.get(name)]
    return EvaluationFacts(
        form.id, form.style, form.title, execution, rows, total.score, total.scorable, total.grade, total.why, texts,
        {name: int(getattr(form.limits, name)) for name in (*TEXTS, "reason")}, missing,
    )  # fmt: skip


def _plain_number(figure: Figure) -> str:
    """A figure as a form wants it, without its unit."""
    return figure.text.removesuffix("万元")


def _cut(value: Fraction | None) -> str:
    if value is None:
        return "—"
    return evaluation.in_points(int(value * 100)).removesuffix(".00") if value >= 0 else "—"

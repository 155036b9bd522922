"""Self-evaluation: scores are exact, never above their weight, never invented; the shipped forms; a county's own."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from monitor.core.declared import Declared
from monitor.core.evaluation import (
    FORMULAS,
    Indicator,
    Nature,
    Policy,
    Said,
    Scored,
    check_band,
    execution,
    grade,
    in_points,
    number,
    score,
    total,
)
from monitor.core.year_facts import EvaluationFacts
from monitor.errors import ConfigError, MonitorError
from monitor.flows.reports.year import assemble, outstanding
from monitor.publish.reports.template_files import SHIPPED, templates_of
from tests.year_like_2020 import AT, declared_2020, known

TEMPLATES = templates_of(2020)
POLICY = TEMPLATES.forms["sichuan"].policy
ROW = Indicator("x", "产出指标", "数量指标", "站点数", "≥", "219", "个", 600)
NUMBERS = st.fractions(min_value=0, max_value=10_000, max_denominator=1000)
NATURES = st.sampled_from(["=", "≥", "≤"])


def scored(row: Indicator, actual: Fraction | int | str, reason: str = "因故", policy: Policy = POLICY) -> Scored:
    text = actual if isinstance(actual, str) else ""
    value = None if isinstance(actual, str) else Fraction(actual)
    return score(replace(row, figure="" if value is None else "village"), policy, value, Said(text, reason))


@pytest.mark.parametrize(
    ("nature", "target", "actual", "points"),
    [
        ("≥", "219", "219", "6.00"),
        ("≥", "219", "215", "5.89"),  # 5.8904…, cut
        ("≥", "219", "300", "6.00"),  # never above the weight
        ("≤", "25", "24", "6.00"),
        ("≤", "25", "30", "5.00"),
        ("≤", "0", "0", "6.00"),
        ("≤", "0", "1", "0.00"),
        ("=", "2", "2", "6.00"),
        ("=", "2", "3", "4.00"),
        ("=", "50", "49.99", "5.99"),
        ("≥", "98", "98％", "6.00"),
        ("≥", "100", "99.9996", "5.99"),  # never printed as whole
    ],
)
def test_scores_of_rows(nature: Nature, target: str, actual: str, points: str) -> None:
    found = scored(replace(ROW, nature=nature, target=target), actual)
    assert found.score is not None
    assert in_points(found.score) == points


@given(NATURES, NUMBERS, NUMBERS, st.integers(0, 10_000))
def test_no_score_is_above_its_weight_or_below_nothing(
    nature: Nature, target: Fraction, actual: Fraction, weight: int
) -> None:
    for formula in FORMULAS.values():
        share = formula(actual, target)
        assert 0 <= share <= 1
        assert formula(target, target) == 1
    row = replace(ROW, nature=nature, weight=weight, target=f"{target.numerator}")
    found = scored(row, actual)
    assert found.score is not None
    assert 0 <= found.score <= weight
    exact = weight * FORMULAS[POLICY.formulas[nature]](actual, Fraction(target.numerator))
    assert 0 <= exact - found.score < 1  # cut, by less than a hundredth of a point


@given(NUMBERS, NUMBERS, NUMBERS)
def test_more_of_what_is_wanted_never_scores_less(target: Fraction, one: Fraction, other: Fraction) -> None:
    low, high = sorted((one, other))
    assert FORMULAS["ratio"](low, target) <= FORMULAS["ratio"](high, target)
    assert FORMULAS["inverse"](low, target) >= FORMULAS["inverse"](high, target)
    near, far = sorted((one, other), key=lambda value: abs(value - target))
    assume((near - target) * (far - target) >= 0)  # on the same side
    assert FORMULAS["nearer"](near, target) >= FORMULAS["nearer"](far, target)


def test_a_row_without_a_target_or_a_value_is_shown_as_such_and_never_invented() -> None:
    assert scored(replace(ROW, target=""), 219) == Scored(None, "没有目标值，不可评分")
    assert scored(replace(ROW, target="  "), "219").score is None
    assert scored(ROW, "").missing == "完成值"
    assert scored(ROW, "达成预期 90", "走访了解").score == 540  # words against a number: a person judges
    said = scored(ROW, "大家都很满意")
    assert (said.score, said.missing) == (None, "档次、百分数和理由")
    assert score(replace(ROW, figure="rate"), POLICY, None, Said()).why == "没有实测数据，不可评分"


def test_reasons_are_asked_for_and_what_is_far_over_is_flagged() -> None:
    assert scored(ROW, 218, "").missing == "未完成原因分析"
    assert scored(ROW, 218).missing == ""
    assert scored(ROW, 219, "").missing == ""
    assert scored(replace(ROW, target="100"), 120).why == ""
    assert scored(replace(ROW, target="100"), 121).why == "偏离目标 20％ 以上"
    assert scored(replace(ROW, nature="≤", target="100"), 79).why == "偏离目标 20％ 以上"


@pytest.mark.parametrize(
    ("spent", "budget", "reason", "points", "missing"),
    [
        (75, 75, "", "10.00", False),
        (90, 100, "", "9.00", False),
        (8999, 10000, "", "8.99", True),
        (8999, 10000, "支付延后", "8.99", False),
        (0, 75, "", "0.00", True),
        (80, 75, "", "10.00", False),
    ],
)
def test_execution(spent: int, budget: int, reason: str, points: str, missing: bool) -> None:
    found = execution(POLICY, spent, budget, reason)
    assert found.score is not None
    assert (in_points(found.score), bool(found.missing)) == (points, missing)


def test_without_a_budget_there_is_no_rate() -> None:
    assert execution(POLICY, 5, 0, "").score is None


def test_qualitative_rows_need_a_band_and_a_reason() -> None:
    row = replace(ROW, nature="定性", target="改善收入", weight=400)
    assert scored(row, "达成预期 95", "走访").score == 380
    assert scored(row, "达成预期 95", "").missing == "评定理由"
    assert scored(row, "部分达成并具有一定效果 60％").score == 240
    assert scored(row, "").missing == "档次、百分数和理由"
    for wrong in ("95", "达成预期", "达成预期 79", "优秀 95", "未达成且效果较差 61"):
        with pytest.raises(MonitorError):
            check_band(wrong, POLICY.bands)


@pytest.mark.parametrize(
    ("points", "name"),
    [
        (100_00, "优"),
        (90_00, "优"),
        (89_99, "良"),
        (80_00, "良"),
        (79_99, "中"),
        (60_00, "中"),
        (59_99, "差"),
        (0, "差"),
    ],
)
def test_grades(points: int, name: str) -> None:
    assert grade(POLICY, points) == name


def test_while_a_row_cannot_be_scored_there_is_no_grade_unless_the_form_shares_its_weight() -> None:
    rows = [(1000, Scored(1000)), (8800, Scored(8000)), (200, Scored(None, "没有目标值，不可评分"))]
    refused = total(POLICY, rows)
    assert (refused.score, refused.scorable, refused.grade) == (9000, 9800, "")
    assert "1 个指标" in refused.why
    shared = total(replace(POLICY, unscorable="redistribute"), rows)
    assert (shared.score, shared.scorable, shared.grade) == (9183, 10000, "优")  # 91.8367…, cut
    waiting = [(1000, Scored(1000)), (9000, Scored(None, "未填报", "完成值"))]
    assert total(replace(POLICY, unscorable="redistribute"), waiting).grade == ""


@given(st.lists(st.tuples(st.integers(0, 1000), st.booleans(), st.integers(0, 1000)), min_size=1, max_size=20))
def test_the_total_is_the_sum_of_what_is_printed(rows: list[tuple[int, bool, int]]) -> None:
    given_rows = [(weight, Scored(min(points, weight) if there else None)) for weight, there, points in rows]
    found = total(POLICY, given_rows)
    assert found.score == sum(s.score or 0 for _, s in given_rows)
    assert found.score <= found.scorable
    shared = total(replace(POLICY, unscorable="redistribute"), given_rows)
    assert found.score <= shared.score <= sum(weight for weight, _ in given_rows)


@given(st.decimals(min_value=0, max_value=10**9, places=3))
def test_numbers_are_read_exactly(value: object) -> None:
    assert number(str(value)) == Fraction(str(value))
    assert number(f"{value}％") == Fraction(str(value))


# --- whole forms ------------------------------------------------------------------------------------------------------


def full_2020() -> list[Declared]:
    """All that 自评表 of 2020 asks of people."""
    said = {
        "relief_times": "2", "relief_people": "457", "relief_money": "50", "relief_rate": "100",
        "relief_satisfaction": "98",
    }  # fmt: skip
    found = [Declared(0, 2020, f"eval.{key}", text) for key, text in said.items()]
    for i in TEMPLATES.forms["sichuan"].indicators:
        if i.nature == "定性":
            found.append(Declared(0, 2020, f"eval.{i.id}", "达成预期 100", "见佐证材料"))
    found += [Declared(0, 2020, f"text.{name}", "无") for name in ("conclusion", "problems", "measures")]
    first = len(declared_2020()) + 1
    return declared_2020() + [
        replace(one, n=n, by="li", at_ms=AT, confirmed_by="wang") for n, one in enumerate(found, first)
    ]


def form_of(style: str, declared: list[Declared]) -> EvaluationFacts:
    return assemble(known(declared=declared), TEMPLATES).evaluations[style]


@pytest.mark.parametrize("style", ["sichuan", "national"])
def test_a_year_like_2020_scores_all_that_has_a_target(style: str) -> None:
    facts = assemble(known(declared=full_2020()), TEMPLATES)
    form = facts.evaluations[style]
    assert (form.execution.score, form.execution.actual) == (1000, "100")
    open_rows = [r.id for r in form.rows if r.score is None]
    assert open_rows == ["maintenance_time", "cadre_satisfaction"]  # no target in 2020, so no score
    assert (form.score, form.scorable, form.grade) == (96_00, 96_00, "")
    assert form.why == "不评等级：2 个指标不可评分或未填报（权重 4.00 分）"
    assert outstanding(facts, style) == []


def test_the_national_weights_are_10_50_30_10() -> None:
    weights: dict[str, int] = {}
    form = TEMPLATES.forms["national"]
    for i in form.indicators:
        weights[i.level1] = weights.get(i.level1, 0) + i.weight
    assert weights == {"产出指标": 50_00, "效益指标": 30_00, "满意度指标": 10_00}
    assert form.policy.execution_weight == 10_00


def test_a_year_with_failures_loses_points_and_asks_why() -> None:
    form = form_of("sichuan", full_2020())
    wrong = assemble(known(declared=full_2020(), wrong={(3, f"village{n}/tv"): "failed" for n in range(4)}), TEMPLATES)
    rows = {r.id: r for r in wrong.evaluations["sichuan"].rows}
    assert (rows["village"].actual, rows["village"].score) == ("215", 589)
    assert rows["maintenance_rate"].actual == "98.29"
    assert rows["village"].missing == "未完成原因分析"
    assert wrong.evaluations["sichuan"].score < form.score
    assert "自评表：全县智慧党建运行维护率 缺未完成原因分析" in outstanding(wrong, "sichuan")


def test_under_nine_tenths_executed_a_reason_is_missing() -> None:
    declared = [
        replace(d, text="30万元") if d.key == "money.executed.appropriation" else d for d in full_2020()
    ]  # 55 of 75
    facts = assemble(known(declared=declared), TEMPLATES)
    assert facts.evaluations["national"].execution.score == 733
    assert "自评表：预算执行率 缺执行率低于 90％ 的原因" in outstanding(facts, "national")
    given_reason = [*declared, Declared(99, 2020, "eval.execution", "", "救助资金跨年支付", (), "li", AT, "wang")]
    assert outstanding(assemble(known(declared=given_reason), TEMPLATES), "national") == []


def test_a_county_has_templates_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    text = (SHIPPED / "evaluation-sichuan-2020.toml").read_text(encoding="utf-8")
    own = text.replace('id = "sichuan-2020"', 'id = "kaijiang-2026"').replace("from = 2020", "from = 2026")
    own = own.replace('nature = "≥"\ntarget = ""', 'nature = "≥"\ntarget = "95"')
    (folder / "evaluation-own.toml").write_text(own, encoding="utf-8")
    assert templates_of(2025, tmp_path).forms["sichuan"].id == "sichuan-2020"
    mine = templates_of(2026, tmp_path)
    assert mine.forms["sichuan"].id == "kaijiang-2026"
    assert all(i.target for i in mine.forms["sichuan"].indicators)
    (folder / "evaluation-own.toml").write_text(own.replace('weight = "8"', 'weight = "9"'), encoding="utf-8")
    with pytest.raises(ConfigError, match="add up to 100, found 102"):
        templates_of(2026, tmp_path)
    (folder / "evaluation-own.toml").write_text(own.replace('figure = "rate"', 'figure = "luck"'), encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown figure luck"):
        templates_of(2026, tmp_path)
    (folder / "evaluation-own.toml").write_text(own.replace('style = "sichuan"', 'style = "moon"'), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"evaluation-own\.toml \[style\]"):
        templates_of(2026, tmp_path)


def test_before_the_first_template_there_is_none() -> None:
    with pytest.raises(MonitorError, match="没有适用于 2019 年度的"):
        templates_of(2019)

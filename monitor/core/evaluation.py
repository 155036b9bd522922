"""Self-evaluation 绩效自评: what a row of indicators scores, exactly, and what is missing (docs/reports.md, The year).

Weights, formulas, bands and grades are a template's data, because provinces differ; the arithmetic is here. Values and
ratios are fractions, scores hundredths of a point, cut: the total is the sum of what is printed, and no score is
flattered.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from monitor.errors import MonitorError

#: 指标性质: what kind of target a row has.
Nature = Literal["=", "≥", "≤", "定性"]
NATURES: tuple[Nature, ...] = ("=", "≥", "≤", "定性")
_NUMBER = re.compile(r"([+-]?\d{1,15})(?:\.(\d{1,9}))?")


def _ratio(actual: Fraction, target: Fraction) -> Fraction:
    """Positive: actual ÷ target; reached is whole, whatever the target."""
    if actual >= target:
        return Fraction(1)
    return actual / target if target > 0 and actual > 0 else Fraction(0)


def _inverse(actual: Fraction, target: Fraction) -> Fraction:
    """Negative: target ÷ actual; kept to is whole, also where nothing was to happen and nothing did."""
    if actual <= target:
        return Fraction(1)
    return target / actual if target > 0 else Fraction(0)


def _exact(actual: Fraction, target: Fraction) -> Fraction:
    """All or nothing."""
    return Fraction(int(actual == target))


def _nearer(actual: Fraction, target: Fraction) -> Fraction:
    """The smaller of the two ÷ the larger."""
    return min(_ratio(actual, target), _inverse(actual, target))


#: What a template may name for a nature: the share of the weight, from 0 to 1.
FORMULAS: Mapping[str, Callable[[Fraction, Fraction], Fraction]] = {
    "ratio": _ratio,
    "inverse": _inverse,
    "exact": _exact,
    "nearer": _nearer,
}


@dataclass(frozen=True, slots=True)
class Band:
    """A band of a qualitative row: percent of the weight, from `least` to `most` (both included)."""

    name: str
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Grade:
    """等级: from so many points on."""

    name: str
    least: int


@dataclass(frozen=True, slots=True)
class Indicator:
    """A row. `weight`: hundredths of a point. `target` "": none, so it cannot be scored. `figure`: the name of what is
    measured; "": declared."""

    id: str
    level1: str
    level2: str
    level3: str
    nature: Nature
    target: str
    unit: str
    weight: int
    figure: str = ""
    who: Literal["platform", "money"] = "money"


@dataclass(frozen=True, slots=True)
class Policy:
    """A template's rules. `unscorable`: `refuse` gives no grade while a row cannot be scored, `redistribute` takes what
    can be scored as the whole. `over_percent`: how far above a target is far over it."""

    execution_weight: int
    reason_below: int
    formulas: Mapping[str, str]
    bands: Sequence[Band]
    grades: Sequence[Grade]
    unscorable: Literal["refuse", "redistribute"]
    over_percent: int


@dataclass(frozen=True, slots=True)
class Said:
    """What a person declared for a row: the value (or band and percent), and the reason."""

    text: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """`score`: hundredths of a point, None where there is none; `why`: then the reason, and what a reader must know
    otherwise (far over target). `missing`: what a person still has to enter, "" for nothing."""

    score: int | None
    why: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Total:
    """`score` of `scorable`, hundredths of a point. `grade` "": none can be given, `why` says so."""

    score: int
    scorable: int
    grade: str
    why: str = ""


def number(text: str) -> Fraction | None:
    """Of '219', '99.50', '98％'; None where it is no number."""
    plain = "".join(unicodedata.normalize("NFKC", text).split()).replace(",", "").removesuffix("%")
    found = _NUMBER.fullmatch(plain)
    return Fraction(plain) if found else None


def check_band(text: str, bands: Sequence[Band]) -> tuple[Band, Fraction]:
    """Of '达成预期 95': the band, and the share of the weight. Raises MonitorError where they do not agree."""
    names = "、".join(f"{b.name}（{b.most}～{b.least}）" for b in bands)
    name, _, rest = unicodedata.normalize("NFKC", text).strip().partition(" ")
    band = next((b for b in bands if unicodedata.normalize("NFKC", b.name) == name), None)
    share = number(rest)
    if band is None or share is None:
        raise MonitorError(f"定性指标应填档次和百分数，如 {bands[0].name} 95；档次：{names}；实为 {text[:40]!r}")
    if not band.least <= share <= band.most:
        raise MonitorError(f"{band.name} 应在 {band.least} 至 {band.most} 之间，实为 {rest.strip()[:20]}")
    return band, share / 100


def score(row: Indicator, policy: Policy, measured: Fraction | None, said: Said) -> Scored:
    """`measured`: the figure that the row is bound to. What was not entered yet is missing, never invented."""
    if not row.target.strip():
        return Scored(None, "没有目标值，不可评分")
    if row.nature == "定性":
        return _band_score(row, policy, said)
    target = number(row.target)
    if target is None:
        return Scored(None, f"目标值不是数（{row.target[:20]}），不可评分")
    actual = measured if row.figure else number(said.text)
    if actual is None:
        if row.figure:
            return Scored(None, "没有实测数据，不可评分")
        if said.text.strip():  # words against a number: a person judges, and says why
            return _band_score(row, policy, said)
        return Scored(None, "未填报", "完成值")
    share = FORMULAS[policy.formulas[row.nature]](actual, target)
    points = cut(row.weight * share)
    if points < row.weight and not said.reason:
        return Scored(points, missing="未完成原因分析")
    return Scored(points, f"偏离目标 {policy.over_percent}％ 以上" if _far_over(row, actual, target, policy) else "")


def _far_over(row: Indicator, actual: Fraction, target: Fraction, policy: Policy) -> bool:
    """Much better than planned is a plan that was not one: it is said, and costs nothing."""
    better = target - actual if row.nature == "≤" else actual - target
    return target > 0 and better / target > Fraction(policy.over_percent, 100)


def _band_score(row: Indicator, policy: Policy, said: Said) -> Scored:
    if not said.text.strip():
        return Scored(None, "未评定", "档次、百分数和理由")
    try:
        band, share = check_band(said.text, policy.bands)
    except MonitorError as error:  # declared under another template
        return Scored(None, str(error), "档次、百分数和理由")
    if not said.reason:
        return Scored(cut(row.weight * share), band.name, "评定理由")
    return Scored(cut(row.weight * share), band.name)


def execution(policy: Policy, spent_fen: int, budget_fen: int, reason: str) -> Scored:
    """预算执行率: executed ÷ adjusted budget, never above the weight; below the limit a reason is required."""
    if budget_fen <= 0:
        return Scored(None, "没有预算，不可评分")
    rate = max(Fraction(spent_fen, budget_fen), Fraction(0))
    points = cut(policy.execution_weight * min(rate, Fraction(1)))
    late = rate < Fraction(policy.reason_below, 100) and not reason
    return Scored(points, missing=f"执行率低于 {policy.reason_below}％ 的原因" if late else "")


def total(policy: Policy, rows: Sequence[tuple[int, Scored]]) -> Total:
    """Of (weight, score), execution included, in hundredths of a point."""
    reached = sum(s.score for _, s in rows if s.score is not None)
    scorable = sum(weight for weight, s in rows if s.score is not None)
    whole = sum(weight for weight, _ in rows)
    open_rows = sum(s.score is None for _, s in rows)
    if scorable == whole:
        return Total(reached, whole, grade(policy, reached))
    said = f"{open_rows} 个指标不可评分或未填报（权重 {in_points(whole - scorable)} 分）"
    if policy.unscorable == "refuse" or not scorable or any(s.missing and s.score is None for _, s in rows):
        return Total(reached, scorable, "", f"不评等级：{said}")
    spread = cut(Fraction(reached * whole, scorable))
    return Total(spread, whole, grade(policy, spread), f"{said}，其权重按比例分摊")


def grade(policy: Policy, score: int) -> str:
    """优, 良, 中 or 差 of hundredths of a point."""
    return next(g.name for g in sorted(policy.grades, key=lambda g: -g.least) if score >= g.least * 100)


def cut(value: Fraction) -> int:
    """Hundredths of a point, cut towards zero."""
    return int(value)


def in_points(hundredths: int) -> str:
    """'9.50'"""
    return f"{hundredths // 100}.{hundredths % 100:02d}"

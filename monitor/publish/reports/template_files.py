"""Templates of a year's documents: those that are shipped, and a county's own (`reports/` in its configuration).

Of several for a year the one with the latest `from` is taken, a county's own before a shipped one.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from monitor.core.evaluation import FORMULAS, NATURES, Band, Grade, Indicator, Nature, Policy, number
from monitor.core.indicators import FIGURES, GoalRow, Goals, Who, names_in
from monitor.errors import ConfigError, Mistake, MonitorError

SHIPPED = Path(__file__).parent / "templates"
OWN_FOLDER = "reports"
Style = Literal["sichuan", "national"]
STYLES: tuple[Style, ...] = ("sichuan", "national")
YEAR = "{year}"
_WEIGHT = r"\d{1,3}(?:\.\d{1,2})?"
#: Of these a declaration is named, so they are short and plain.
_ID = r"[a-z][a-z0-9_]{0,39}"
Text = Annotated[str, Field(max_length=5_000)]
Weight = Annotated[str, Field(pattern=_WEIGHT)]


@dataclass(frozen=True, slots=True)
class Limits:
    """字数: the longest texts, characters."""

    reason: int
    conclusion: int
    problems: int
    measures: int


@dataclass(frozen=True, slots=True)
class EvaluationForm:
    """A template of 自评表."""

    id: str
    since: int
    style: Style
    title: str
    policy: Policy
    indicators: Sequence[Indicator]
    limits: Limits


@dataclass(frozen=True, slots=True)
class Templates:
    """What a year's documents are made by; `digests`: SHA-256 of each template's file, by id."""

    goals: Goals
    forms: Mapping[Style, EvaluationForm]
    digests: Mapping[str, str]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _GoalRow(_Part):
    row: Annotated[int, Field(ge=1, le=999)]
    level1: Text
    level2: Text
    level3: Text
    target: Text
    source: Literal["monitor", "ledger", "declared"]
    actual: Text = ""
    unmet: Text = ""
    beside: Text = ""
    who: Who = "money"


class _Goals(_Part):
    id: Annotated[str, Field(max_length=64)]
    since: Annotated[int, Field(alias="from", ge=2000, le=2100)]
    project: Text
    unit: Text
    annual_target: Text
    annual_actual: Text
    row: list[_GoalRow]


class _Execution(_Part):
    weight: Weight
    reason_below: Annotated[int, Field(ge=0, le=100)]


class _Band(_Part):
    name: Text
    least: Annotated[int, Field(ge=0, le=100)]
    most: Annotated[int, Field(ge=0, le=100)]


class _Grade(_Part):
    name: Text
    least: Annotated[int, Field(ge=0, le=100)]


class _Limits(_Part):
    reason: int = 100
    conclusion: int = 200
    problems: int = 200
    measures: int = 200


class _Indicator(_Part):
    id: Annotated[str, Field(pattern=f"^{_ID}$")]
    level1: Text
    level2: Text
    level3: Text
    nature: Nature
    target: Text
    unit: Text
    weight: Weight
    figure: Text = ""
    who: Who = "money"


class _Form(_Part):
    id: Annotated[str, Field(max_length=64)]
    since: Annotated[int, Field(alias="from", ge=2000, le=2100)]
    style: Style
    title: Text
    unscorable: Literal["refuse", "redistribute"] = "refuse"
    over_percent: Annotated[int, Field(ge=0, le=1000)] = 20
    execution: _Execution
    formulas: dict[Nature, str]
    limits: _Limits = _Limits()
    level1: dict[str, Weight] = {}
    band: list[_Band]
    grade: list[_Grade]
    indicator: list[_Indicator]


M = TypeVar("M", _Goals, _Form)


def templates_of(year: int, config: Path | None = None) -> Templates:
    """The templates for a year. `config`: the configuration's folder. Raises ConfigError with every mistake, and
    MonitorError where there is none for the year."""
    folders = [SHIPPED, *([config / OWN_FOLDER] if config is not None and (config / OWN_FOLDER).is_dir() else [])]
    goals = [_read(f, _Goals, _check_goals) for f in _files(folders, "goals")]
    forms = [_read(f, _Form, _check_form) for f in _files(folders, "evaluation")]
    of_goals = _newest([(g.since, g, digest) for g, digest in goals], year, "项目绩效目标完成情况表")
    digests = {of_goals[0].id: of_goals[1]}
    of_styles: dict[Style, EvaluationForm] = {}
    for style in STYLES:
        form, digest = _newest([(f.since, f, digest) for f, digest in forms if f.style == style], year, "自评表")
        of_styles[style] = _form(form, year)
        digests[form.id] = digest
    return Templates(_goals(of_goals[0], year), of_styles, digests)


def _files(folders: Sequence[Path], kind: str) -> list[Path]:
    return [file for folder in folders for file in sorted(folder.glob(f"{kind}-*.toml"))]


def _newest(known: Sequence[tuple[int, M, str]], year: int, what: str) -> tuple[M, str]:
    """Later ones in the list win where they are for the same first year."""
    found: tuple[M, str] | None = None
    since = 0
    for first, one, digest in known:
        if since <= first <= year:
            found, since = (one, digest), first
    if found is None:
        raise MonitorError(f"没有适用于 {year} 年度的{what}模板")
    return found


def _read(path: Path, model: type[M], check: Callable[[M], list[tuple[str, str]]]) -> tuple[M, str]:
    try:
        raw = path.read_bytes()
        found = model.model_validate(tomllib.loads(raw.decode("utf-8-sig")))
    except OSError as error:
        raise ConfigError([Mistake(path.name, 0, "", f"cannot be read: {error.strerror}")]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([Mistake(path.name, 0, "", f"is not TOML: {error}")]) from None
    except ValidationError as error:
        raise ConfigError([_mistake(path.name, e) for e in error.errors(include_url=False)]) from None
    if mistakes := check(found):
        raise ConfigError([Mistake(path.name, 0, where, text) for where, text in mistakes])
    return found, hashlib.sha256(raw).hexdigest()


def _mistake(file: str, error: Any) -> Mistake:
    return Mistake(file, 0, ".".join(map(str, error["loc"])), str(error["msg"]))


def _check_goals(goals: _Goals) -> list[tuple[str, str]]:
    wrong: list[tuple[str, str]] = []
    numbers = [row.row for row in goals.row]
    if len(set(numbers)) < len(numbers):
        wrong.append(("row", "expected each row's number once"))
    texts = [("annual_actual", goals.annual_actual)]
    for row in goals.row:
        texts += [(f"row {row.row}", text) for text in (row.actual, row.unmet, row.beside)]
        if (row.source == "declared") == bool(row.actual):
            wrong.append((f"row {row.row}", "expected `actual` for a computed row and none for a declared one"))
    wrong += [
        (where, f"unknown figure {{{name}}}; expected one of {', '.join(FIGURES)}")
        for where, text in texts
        for name in names_in(text)
        if name not in FIGURES
    ]
    return wrong


def _check_form(form: _Form) -> list[tuple[str, str]]:
    wrong: list[tuple[str, str]] = []
    whole = _hundredths(form.execution.weight) + sum(_hundredths(i.weight) for i in form.indicator)
    if whole != 100_00:
        wrong.append(("indicator", f"expected weights that add up to 100, found {Fraction(whole, 100)}"))
    for name, weight in form.level1.items():
        found = sum(_hundredths(i.weight) for i in form.indicator if i.level1 == name)
        if found != _hundredths(weight):
            wrong.append((f"level1.{name}", f"expected weights that add up to {weight}, found {Fraction(found, 100)}"))
    if len({i.id for i in form.indicator}) < len(form.indicator):
        wrong.append(("indicator", "expected each id once"))
    wrong += [
        (f"formulas.{nature}", f"expected one of {', '.join(FORMULAS)}")
        for nature in NATURES[:-1]  # what is qualitative has bands
        if form.formulas.get(nature) not in FORMULAS
    ]
    for i in form.indicator:
        if i.figure and i.figure not in FIGURES:
            wrong.append((i.id, f"unknown figure {i.figure}; expected one of {', '.join(FIGURES)}"))
        if i.nature != "定性" and i.target and number(i.target) is None:
            wrong.append((i.id, f"expected a number as target, found {i.target!r}"))
    if not form.band or any(b.least > b.most or " " in b.name for b in form.band):
        wrong.append(("band", "expected bands with names without spaces, the least not above the most"))
    if not any(g.least == 0 for g in form.grade):
        wrong.append(("grade", "expected one from 0 on"))
    return wrong


def _hundredths(weight: str) -> int:
    return int(Fraction(weight) * 100)


def _goals(read: _Goals, year: int) -> Goals:
    def said(text: str) -> str:
        return text.replace(YEAR, str(year))

    rows = tuple(GoalRow(**{**row.model_dump(), "target": said(row.target)}) for row in read.row)
    return Goals(read.id, read.since, read.project, read.unit, said(read.annual_target), read.annual_actual, rows)


def _form(read: _Form, year: int) -> EvaluationForm:
    policy = Policy(
        execution_weight=_hundredths(read.execution.weight),
        reason_below=read.execution.reason_below,
        formulas={str(nature): name for nature, name in read.formulas.items()},
        bands=tuple(Band(b.name, b.least, b.most) for b in sorted(read.band, key=lambda b: -b.least)),
        grades=tuple(Grade(g.name, g.least) for g in read.grade),
        unscorable=read.unscorable,
        over_percent=read.over_percent,
    )
    rows = tuple(
        Indicator(
            i.id, i.level1, i.level2, i.level3, i.nature, i.target.replace(YEAR, str(year)), i.unit,
            _hundredths(i.weight), i.figure, i.who,
        )
        for i in read.indicator
    )  # fmt: skip
    limits = Limits(**read.limits.model_dump())
    return EvaluationForm(read.id, read.since, read.style, read.title, policy, rows, limits)

"""Declared values 申报值: what a person says of a year, under a key, with the papers that support it.

`row.3` a row of the yearly table, `annual` the rest of the project in its head, `money.initial.appropriation` its
money, `eval.income` a row of 自评表, `eval.execution` the reason for its execution rate, `text.conclusion` and
`narrative.use` people's words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from monitor.core.access import Action
from monitor.core.ledger import SOURCE_NAMES
from monitor.core.money import parse_fen
from monitor.errors import MonitorError

#: Who may declare a key: the platform's rows, the rows of money and relief, or either of them.
Who = Literal["platform", "money", "any"]
ACTIONS: Mapping[Who, tuple[Action, ...]] = {
    "platform": (Action.INDICATOR_PLATFORM,),
    "money": (Action.INDICATOR_MONEY,),
    "any": (Action.INDICATOR_MONEY, Action.INDICATOR_PLATFORM),
}
MONEY_KINDS: Mapping[str, str] = {"initial": "年初预算", "adjusted": "预算调整", "executed": "执行"}
TEXTS: Mapping[str, str] = {"conclusion": "评价结论", "problems": "存在的问题", "measures": "改进措施"}
#: The sections of the narrative 项目绩效评价报告 in which people's words have a place.
NARRATIVE: Mapping[str, str] = {
    "basis": "项目测算依据",
    "use": "资金使用情况",
    "evaluation": "绩效评价",
    "approval": "资金申报及批复",
    "plan": "资金计划与到位",
    "management": "财务管理",
    "conclusion": "评价结论",
    "problems": "存在的问题",
    "next": "下一步工作打算",
}
#: Characters; what a form wants shorter, it says itself.
LONGEST = 5_000
_ROW = re.compile(r"(?:row\.)?(\d{1,3})")


@dataclass(frozen=True, slots=True)
class Declared:
    """`papers`: SHA-256. `confirmed_by`: "" while nobody has. `at_ms`, `confirmed_ms`: ms UTC."""

    n: int
    year: int
    key: str
    text: str
    reason: str = ""
    papers: tuple[str, ...] = ()
    by: str = ""
    at_ms: int = 0
    confirmed_by: str = ""
    confirmed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """What may be declared under a key. `limit`, `reason_limit`: characters."""

    key: str
    name: str
    who: Who
    limit: int = LONGEST
    reason_limit: int = LONGEST


def money_places() -> list[Place]:
    """Money of the rest of the project, by kind and source."""
    return [
        Place(f"money.{kind}.{source}", f"项目其他部分 {name} {SOURCE_NAMES[source]}", "money")
        for kind, name in MONEY_KINDS.items()
        for source in SOURCE_NAMES
    ]


def key_of(text: str) -> str:
    """As people type it: '3' is row.3."""
    found = _ROW.fullmatch(text.strip())
    return f"row.{int(found[1])}" if found else text.strip()


def check(new: Declared, places: Mapping[str, Place]) -> Place:
    """May this be declared? Raises MonitorError."""
    place = places.get(new.key)
    if place is None:
        raise MonitorError(f"{new.year} 年度没有可申报的项目 {new.key}：见 report declared {new.year}")
    for what, text, limit in (("内容", new.text, place.limit), ("说明", new.reason, place.reason_limit)):
        if len(text) > limit:
            raise MonitorError(f"{place.name}：{what}最多 {limit} 字，实为 {len(text)} 字")
    if new.key.startswith("money.") and new.text:
        try:
            fen = parse_fen(new.text)
        except ValueError as error:
            raise MonitorError(f"{place.name}：{error}") from None
        if fen < 0 and not new.key.startswith("money.adjusted."):
            raise MonitorError(f"{place.name}：金额不能为负")
    return place


def in_force(declared: Sequence[Declared]) -> dict[str, Declared]:
    """By key the last one; one that is empty takes back what was said before."""
    last = {one.key: one for one in sorted(declared, key=lambda one: one.n)}
    return {key: one for key, one in last.items() if one.text or one.reason}

"""The yearly stock-take 盘点: are book, card and thing one (账、卡、物相符)? (docs/register.md)

Somebody stands before a position and says what is there; the register says what should be. The outcome follows from
both and is not typed. Nothing is rubbed out: of several counts of a position in a year the last one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from monitor.core.register import Card, Position, label
from monitor.errors import MonitorError


class Outcome(StrEnum):
    """What a count found."""

    FOUND = "found"  # 相符
    DIFFERENT = "different"  # 不符: another device than the card says
    MISSING = "missing"  # 盘亏: a card, and nothing there
    SURPLUS = "surplus"  # 盘盈: a device, and no card


OUTCOME_NAMES = {
    Outcome.FOUND: "相符",
    Outcome.DIFFERENT: "不符",
    Outcome.MISSING: "盘亏",
    Outcome.SURPLUS: "盘盈",
}

#: What is typed where the thing bears the labels of its card, and where nothing is there.
AS_CARD = frozenset({"√", "✓", "相符", "有", "FOUND", "OK"})
NOTHING = frozenset({"×", "✗", "X", "无", "缺失", "盘亏", "MISSING"})


@dataclass(frozen=True, slots=True)
class Count:
    """One count of a position. `card`: the record that opened the card of that day, None where there was none.
    `seen`: the serial or asset number of what was there, "" for what bears its card's labels or is not there."""

    n: int
    year: int
    site: str
    terminal: str
    on: date
    outcome: Outcome
    card: int | None
    seen: str = ""
    note: str = ""
    by: str = ""
    at_ms: int = 0
    papers: tuple[str, ...] = ()

    @property
    def position(self) -> Position:
        return (self.site, self.terminal)


def judge(card: Card | None, seen: str) -> tuple[Outcome, str]:
    """What follows from the card and from what somebody typed of the thing: a serial or asset number, or a word of
    AS_CARD or NOTHING. Answers the outcome and what is kept as seen. Raises MonitorError where that says nothing."""
    typed = label(seen)
    if not typed:
        raise MonitorError("应填写实物的序列号或资产编号，或「√」（相符）、「无」（缺失）")
    if typed in NOTHING:
        if card is None:
            raise MonitorError("台账在该日没有卡片，实物也没有：无须盘点")
        return Outcome.MISSING, ""
    if card is None:
        if typed in AS_CARD:
            raise MonitorError("台账在该日没有卡片，不能填「相符」；请填写实物的序列号或资产编号")
        return Outcome.SURPLUS, typed
    if typed in AS_CARD or typed in (card.device.serial, card.device.asset):
        return Outcome.FOUND, ""
    return Outcome.DIFFERENT, typed


def last_words(counts: Iterable[Count]) -> dict[Position, Count]:
    """Of every position the count that counts."""
    return {count.position: count for count in sorted(counts, key=lambda c: c.n)}


@dataclass(frozen=True, slots=True)
class Stocktake:
    """A year's stock-take. `outstanding`: positions with a card that nobody has counted yet."""

    year: int
    outcomes: Mapping[Outcome, int]
    counts: Sequence[Count]
    outstanding: Sequence[Position]

    @property
    def cards(self) -> int:
        """What was to be counted."""
        return sum(self.outcomes.values()) - self.outcomes[Outcome.SURPLUS] + len(self.outstanding)

    @property
    def agrees(self) -> bool:
        """账、卡、物相符: everything was counted and found."""
        return self.outcomes[Outcome.FOUND] == self.cards == sum(self.outcomes.values())


def stocktake(year: int, counts: Iterable[Count], standing: Iterable[Position]) -> Stocktake:
    """`standing`: the positions with a card now, or on the year's last day."""
    last = last_words(c for c in counts if c.year == year)
    ordered = [last[position] for position in sorted(last)]
    outcomes = {outcome: sum(c.outcome is outcome for c in ordered) for outcome in Outcome}
    return Stocktake(year, outcomes, ordered, sorted(set(standing) - set(last)))

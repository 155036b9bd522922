"""The register of positions 机位台账: which device stood where, from which day to which (docs/register.md).

Its truth is a list of records that only grows. A record says what was done at a position on a day: a device was
installed 安装, took another's place 更换, was removed 拆除. A mistake is not rubbed out: a new record names the one
that it corrects, and stands in its place from then on (`void`: what it names never happened). Cards 卡片 are worked out
from the records: a card is a device at a position on the days `[since, until)`, so that a replacement closes one card
and opens the next on the same day, and on no day two devices stand at one position.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from monitor.errors import MonitorError

#: Site and kind of terminal.
Position = tuple[str, str]

_MAC = re.compile(r"[0-9A-F]{12}")
MAX_TEXT = 100


class Act(StrEnum):
    """What a record says was done."""

    INSTALLED = "installed"
    REPLACED = "replaced"
    REMOVED = "removed"
    VOID = "void"


ACT_NAMES = {Act.INSTALLED: "安装", Act.REPLACED: "更换", Act.REMOVED: "拆除", Act.VOID: "作废"}


class Mark(NamedTuple):
    """One thing that tells a device from all others."""

    name: str  # serial, asset or mac
    value: str


MARK_NAMES = {"serial": "序列号", "asset": "资产编号", "mac": "MAC 地址"}


@dataclass(frozen=True, slots=True)
class Device:
    """A thing with a label. Make one with :func:`device`, which checks and tidies what people typed."""

    model: str
    serial: str = ""
    mac: str = ""  # AA:BB:CC:DD:EE:FF
    asset: str = ""  # 资产编号

    @property
    def marks(self) -> tuple[Mark, ...]:
        return tuple(Mark(name, value) for name in MARK_NAMES if (value := getattr(self, name)))

    def __str__(self) -> str:
        return " ".join((self.model, *(f"{MARK_NAMES[m.name]} {m.value}" for m in self.marks if m.name != "mac")))


def device(model: str, serial: str = "", mac: str = "", asset: str = "") -> Device:
    """Of what people typed. Raises ValueError with what was expected: a model, and a serial or an asset number."""
    made = Device(_line(model, "型号"), label(serial), a_mac(mac), label(asset))
    if not made.model:
        raise ValueError("应填写型号")
    if not (made.serial or made.asset):
        raise ValueError("序列号和资产编号至少应填一项，否则账物无法核对")
    return made


def label(text: str) -> str:
    """A serial or asset number as it is compared: narrow, upper case, without spaces."""
    return _line("".join(unicodedata.normalize("NFKC", text).split()).upper(), "编号")


def a_mac(text: str) -> str:
    """aa-bb-.., AA:BB:.., aabb.ccdd.eeff -> AA:BB:CC:DD:EE:FF; "" stays. Raises ValueError."""
    digits = re.sub(r"[\s:.-]", "", unicodedata.normalize("NFKC", text)).upper()
    if digits and not _MAC.fullmatch(digits):
        raise ValueError(f"MAC 地址应为 12 位十六进制数，不是 {text!r}")
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def _line(text: str, what: str) -> str:
    text = " ".join(text.split())
    if len(text) > MAX_TEXT or any(unicodedata.category(c) == "Cc" for c in text):
        raise ValueError(f"{what}最多 {MAX_TEXT} 个字符，不得含控制字符")
    return text


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the register, numbered as it was written. `device`: what stands there afterwards, None where nothing
    does. `on`: the local day of the act; `by`, `at_ms`: who wrote it and when (ms UTC)."""

    n: int
    site: str
    terminal: str
    act: Act
    on: date
    device: Device | None
    why: str = ""
    by: str = ""
    at_ms: int = 0
    corrects: int | None = None
    papers: tuple[str, ...] = ()

    @property
    def position(self) -> Position:
        return (self.site, self.terminal)


@dataclass(frozen=True, slots=True)
class Card:
    """A device at a position on the days `[since, until)`; `opened` and `closed` are the records that say so."""

    site: str
    terminal: str
    device: Device
    since: date
    opened: Record
    until: date | None = None
    closed: Record | None = None

    @property
    def position(self) -> Position:
        return (self.site, self.terminal)

    def holds(self, day: date) -> bool:
        return self.since <= day and (self.until is None or day < self.until)

    def meets(self, other: Card) -> bool:
        """Is there a day that both hold?"""
        begin = max(self.since, other.since)
        return self.holds(begin) and other.holds(begin)


def in_force(records: Iterable[Record]) -> list[Record]:
    """What counts of the records of one position, by day: of an act and its corrections the last word."""
    first: dict[int, int] = {}
    last: dict[int, Record] = {}
    for record in sorted(records, key=lambda r: r.n):
        root = record.n if record.corrects is None else first[record.corrects]
        first[record.n] = root
        last[root] = record
    return [r for root, r in sorted(last.items(), key=lambda i: (i[1].on, i[0])) if r.act is not Act.VOID]


def cards(records: Iterable[Record]) -> list[Card]:
    """The cards of one position, oldest first. Raises MonitorError where the records cannot have happened."""
    result: list[Card] = []
    standing: Card | None = None
    for record in in_force(records):
        if record.act is Act.INSTALLED and standing is not None:
            raise MonitorError(
                f"{_place(record)} 自 {standing.since} 起已有设备（{standing.device}），"
                f"{record.on} 不能再安装；更换请登记为更换"
            )
        if record.act is not Act.INSTALLED:
            if standing is None:
                raise MonitorError(f"{_place(record)} 在 {record.on} 没有设备，不能{ACT_NAMES[record.act]}")
            result.append(replace(standing, until=record.on, closed=record))
        standing = None
        if record.device is not None:
            standing = Card(record.site, record.terminal, record.device, record.on, record)
    if standing is not None:
        result.append(standing)
    return result


def on_day(cards: Iterable[Card], day: date) -> Iterator[Card]:
    """The cards that hold on a local day: at most one a position."""
    return (card for card in cards if card.holds(day))


def check(record: Record, own: Sequence[Record], others: Sequence[Card], today: date) -> None:
    """May this record be written? `own`: all records of its position; `others`: cards of other positions that share a
    mark with one of its devices. Raises MonitorError with the reason."""
    if record.on > today:
        raise MonitorError(f"{record.on} 在今天（{today}）之后；台账只记已发生的事")
    if (record.device is None) != (record.act in (Act.REMOVED, Act.VOID)):
        raise MonitorError(f"{ACT_NAMES[record.act]}{'不应' if record.device else '应'}填写设备")
    if record.corrects is not None:
        _may_correct(record, own)
    elif record.act is Act.VOID:
        raise MonitorError("作废应指明被更正的记录号")
    for card in cards([*own, record]):
        for other in others:
            if clash := elsewhere(card, other):
                raise MonitorError(clash)


def elsewhere(card: Card, other: Card) -> str:
    """What is wrong where one device would stand at two positions on a day; "" where it does not."""
    common = shared(card.device, other.device)
    if not common or card.position == other.position or not card.meets(other):
        return ""
    until = f"至 {other.until}" if other.until else "至今"
    name, value = MARK_NAMES[common[0].name], common[0].value
    return f"{name} {value} 自 {other.since} {until}登记在 {_place(other)}；先登记拆除或更正"


def shared(one: Device, other: Device) -> list[Mark]:
    """What both devices bear: then they are one."""
    return [mark for mark in one.marks if mark in other.marks]


def _may_correct(record: Record, own: Sequence[Record]) -> None:
    n = record.corrects
    if all(r.n != n for r in own):
        raise MonitorError(f"{_place(record)} 没有第 {n} 号记录")
    later = next((r for r in own if r.corrects == n), None)
    if later is not None:
        raise MonitorError(f"第 {n} 号记录已由第 {later.n} 号更正；请更正第 {later.n} 号")
    if not record.why:
        raise MonitorError("更正应写明原因")


def _place(of: Record | Card) -> str:
    return f"{of.site}/{of.terminal}"

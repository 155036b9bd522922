"""A sheet of cards, as people keep it -> the records that bring the register to it (docs/register.md).

What the register says already is left alone, so the same sheet twice writes nothing. What it says otherwise is a
mistake of the sheet: the register is corrected record by record, never by a sheet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from monitor.core.register import Act, Card, Device, Mark, Position, Record, cards, elsewhere
from monitor.errors import MonitorError


class SheetRow(NamedTuple):
    """One card of the sheet: a device at a position on the days `[since, until)`."""

    number: int
    site: str
    terminal: str
    device: Device
    since: date
    until: date | None = None
    why: str = ""

    @property
    def position(self) -> Position:
        return (self.site, self.terminal)


class Wrong(NamedTuple):
    """A mistake in a row; `column` by its name in the sheet."""

    row: int
    column: str
    message: str


@dataclass(slots=True)
class Plan:
    """What an import would write, in the order in which it is numbered; how many rows change nothing; all mistakes."""

    records: list[Record] = field(default_factory=list)
    unchanged: int = 0
    wrong: list[Wrong] = field(default_factory=list)


def plan(rows: Iterable[SheetRow], known: Iterable[Record], next_n: int, today: date) -> Plan:
    """`known`: every record of the register. New ones are numbered from `next_n`, and have no author yet."""
    result = Plan()
    of: dict[Position, list[Record]] = defaultdict(list)
    for record in known:
        of[record.position].append(record)
    sheet: dict[Position, list[SheetRow]] = defaultdict(list)
    for row in rows:
        sheet[row.position].append(row)
    origin: dict[int, SheetRow] = {}
    for position, its in sheet.items():
        own = of[position]
        for row, act, on in _acts(_places(its, cards(own), result, today)):
            device = None if act is Act.REMOVED else row.device
            record = Record(next_n + len(result.records), *position, act, on, device, row.why)
            try:
                cards([*own, record])
            except MonitorError as error:
                result.wrong.append(Wrong(row.number, "installed_on", str(error)))
                break
            own.append(record)
            origin[record.n] = row
            result.records.append(record)
    result.wrong += _clashes([card for own in of.values() for card in cards(own)], origin)
    result.wrong.sort()
    return result


@dataclass(slots=True)
class _Place:
    """A card in a position's row of cards: of the sheet (`row`), of the register (`card`), or of both."""

    since: date
    until: date | None
    row: SheetRow | None = None
    card: Card | None = None


def _places(sheet: Sequence[SheetRow], known: Sequence[Card], result: Plan, today: date) -> list[_Place]:
    """What the position's cards are to be, by day. A row that contradicts the register is noted and left out."""
    places = [_Place(card.since, card.until, card=card) for card in known]
    for row in sheet:
        if max(row.since, row.until or row.since) > today:
            column = "installed_on" if row.since > today else "removed_on"
            result.wrong.append(Wrong(row.number, column, f"应不晚于今天 {today}"))
            continue
        same = next((p for p in places if p.since == row.since and p.card and p.card.device == row.device), None)
        if same is None:
            other = next((c for c in known if c.since == row.since), None)
            if other is not None:
                text = f"台账第 {other.opened.n} 号记录同日安装的是 {other.device}，表中是 {row.device}；改动请用更正"
                result.wrong.append(Wrong(row.number, "serial", text))
            else:
                places.append(_Place(row.since, row.until, row))
        elif same.row is not None:
            text = f"同一张卡片只应有一行，第 {same.row.number} 行和第 {row.number} 行相同"
            result.wrong.append(Wrong(row.number, "installed_on", text))
        elif same.until == row.until:
            same.row = row
            result.unchanged += 1
        elif same.until is None:
            same.row, same.until = row, row.until
        else:
            text = f"台账登记至 {same.until}，表中为 {row.until or '空'}；改动请用更正"
            result.wrong.append(Wrong(row.number, "removed_on", text))
    return sorted(places, key=lambda p: (p.since, p.until or date.max))


def _acts(places: Sequence[_Place]) -> Iterable[tuple[SheetRow, Act, date]]:
    """What is to be recorded so that the register has these cards."""
    for place, before, after in zip(places, [None, *places], [*places[1:], None], strict=False):
        if place.row is not None and place.card is None:
            # An open card of the register that the sheet does not name gives way; one that it names does not.
            gives_way = before is not None and before.until is None and before.row is None
            handed_over = before is not None and before.until == place.since and _closes(before)
            yield place.row, Act.REPLACED if gives_way or handed_over else Act.INSTALLED, place.since
        taken_over = after is not None and after.card is None and after.since == place.until
        if place.row is not None and place.until is not None and _closes(place) and not taken_over:
            yield place.row, Act.REMOVED, place.until


def _closes(place: _Place) -> bool:
    """Does it take a new record to close it?"""
    return place.row is not None and (place.card is None or place.card.until is None)


def _clashes(known: Iterable[Card], origin: dict[int, SheetRow]) -> list[Wrong]:
    """One device at two positions on a day, where at least one of them comes from the sheet."""
    by_mark: dict[Mark, list[Card]] = defaultdict(list)
    for card in known:
        for mark in card.device.marks:
            by_mark[mark].append(card)
    found: dict[tuple[int, str], Wrong] = {}
    for mark, bearing in by_mark.items():
        for card in bearing:
            row = origin.get(card.opened.n) or (origin.get(card.closed.n) if card.closed else None)
            clash = next(filter(None, (elsewhere(card, other) for other in bearing)), "") if row else ""
            if row and clash:
                found.setdefault((row.number, clash), Wrong(row.number, mark.name, clash))
    return list(found.values())

"""Sheets of cards and of counts: rows of cells -> typed rows, with every mistake noted (docs/register.md)."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from monitor.core.register import Device, device
from monitor.core.register_sheet import SheetRow
from monitor.core.sites import Inventory, Kind
from monitor.core.text import unguarded
from monitor.errors import Mistake
from monitor.inventory import cells
from monitor.inventory.spreadsheet import Row, Table

#: Column by heading, as `register export` and `register count-sheet` write them; the columns' own names do as well.
CARD_HEADINGS = {
    "站点编号": "site_id",
    "机位": "terminal",
    "型号": "model",
    "序列号": "serial",
    "资产编号": "asset",
    "mac地址": "mac",
    "安装日期": "installed_on",
    "拆除日期": "removed_on",
    "原因": "why",
}
CARD_COLUMNS = ("site_id", "terminal", "model", "installed_on")
CARD_OPTIONAL = ("serial", "asset", "mac", "removed_on", "why")

COUNT_HEADINGS = {
    "站点编号": "site_id",
    "机位": "terminal",
    "实物": "seen",
    "盘点日期": "counted_on",
    "备注": "note",
}
COUNT_COLUMNS = ("site_id", "terminal", "seen", "counted_on")
COUNT_OPTIONAL = ("note",)

KINDS = {"数字电视": Kind.TV, "移动终端": Kind.MOBILE, "pc端": Kind.PC}


class CountRow(NamedTuple):
    """A row of a stock-take's sheet that somebody filled in."""

    number: int
    site: str
    terminal: str
    seen: str
    on: date
    note: str


def quoted(cell: str) -> str:
    """How a message to a clerk quotes a cell."""
    return cells.shown(cell) if cell else "空"


class Taker:
    """The cells of one row; what is wrong with them is noted."""

    def __init__(self, file: str, row: Row, mistakes: list[Mistake]) -> None:
        self._file, self._row, self._mistakes = file, row, mistakes
        self.good = not row.broken

    def text(self, column: str) -> str:
        return unguarded(self._row.cells.get(column, ""))

    def wrong(self, column: str, message: str) -> None:
        if not self._row.broken:
            self._mistakes.append(Mistake(self._file, self._row.number, column, message))
        self.good = False

    def day(self, column: str) -> date | None:
        said = self._row.cells.get(column, "")
        try:
            return cells.a_date(said)
        except ValueError:
            self.wrong(column, f"应为日期，如 2026-10-01，实为 {quoted(said)}")
            return None

    def needed_day(self, column: str) -> date:
        found = self.day(column)
        if found is None and not self.text(column):
            self.wrong(column, "应为日期，如 2026-10-01，实为空")
        return found or date.min

    def position(self) -> tuple[str, str]:
        site = cells.narrow(self.text("site_id"))
        if not site:
            self.wrong("site_id", "应为站点编号，实为空")
        said = self.text("terminal")
        kind = cells.narrow(said).casefold()
        try:
            return site, cells.one_of(KINDS.get(kind, kind), list(Kind))
        except ValueError:
            expected = "、".join(f"{name}（{kind}）" for name, kind in KINDS.items())
            self.wrong("terminal", f"应为 {expected} 之一，实为 {quoted(said)}")
            return site, ""

    def device(self) -> Device | None:
        try:
            return device(*(self.text(column) for column in ("model", "serial", "mac", "asset")))
        except ValueError as error:
            self.wrong("model" if not self.text("model") else "serial", str(error))
            return None


def read_cards(table: Table, inventory: Inventory) -> tuple[list[SheetRow], list[Mistake]]:
    """Each row alone. A card that is still open must stand at a position of the inventory."""
    rows: list[SheetRow] = []
    mistakes = list(table.mistakes)
    for row in table.rows:
        take = Taker(table.file, row, mistakes)
        site, terminal = take.position()
        thing = take.device()
        since, until = take.needed_day("installed_on"), take.day("removed_on")
        if until is not None and until < since:
            take.wrong("removed_on", f"应不早于安装日期 {since}，实为 {until}")
        if take.good and until is None and (site, terminal) not in inventory.terminals:
            take.wrong("site_id", f"清单中没有机位 {site}/{terminal}")
        if take.good and thing is not None:
            rows.append(SheetRow(row.number, site, terminal, thing, since, until, take.text("why")))
    return rows, mistakes


def read_counts(table: Table) -> tuple[list[CountRow], list[Mistake]]:
    """Each row alone; one in which nothing was seen yet is passed over."""
    rows: list[CountRow] = []
    mistakes = list(table.mistakes)
    for row in table.rows:
        take = Taker(table.file, row, mistakes)
        seen = take.text("seen")
        if not seen and not row.broken:
            continue
        site, terminal = take.position()
        on = take.needed_day("counted_on")
        if take.good:
            rows.append(CountRow(row.number, site, terminal, seen, on, take.text("note")))
    return rows, mistakes

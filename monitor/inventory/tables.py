"""sites, terminals and checks: rows of cells -> typed rows, with every mistake of a single table noted.

A row with a mistake yields nothing, but its key still counts as mentioned (`Read.mentioned`), so that one
slip is not reported again by every row that refers to it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import date
from typing import Generic, TypeVar

from monitor.core.sites import UPLINK, Check, Kind, Level, Site, Terminal
from monitor.errors import Mistake
from monitor.inventory import cells
from monitor.inventory.kinds import CHECKS
from monitor.inventory.spreadsheet import Row, Table

SITE_COLUMNS = ("site_id", "name", "level", "township_code", "township_name", "uplink")
TERMINAL_COLUMNS = ("site_id", "terminal")
CHECK_COLUMNS = ("site_id", "terminal", "check", "target", "interval_s", "grace_s", "failures")
DATE_COLUMNS = ("commissioned_on", "retired_on")
MODEL = "model"

T = TypeVar("T")
V = TypeVar("V")


@dataclass(slots=True)
class Read(Generic[T]):
    """A table's good rows with their numbers, its mistakes, and the first row of every key, good or bad."""

    file: str
    items: list[tuple[int, T]] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    mentioned: dict[Hashable, int] = field(default_factory=dict)

    def wrong(self, row: int, column: str, text: str) -> None:
        self.mistakes.append(Mistake(self.file, row, column, text))

    def once(self, row: int, columns: str, key: Hashable, shown: str) -> None:
        """A key may stand in one row only."""
        first = self.mentioned.setdefault(key, row)
        if first != row:
            self.wrong(row, columns, f"expected each {columns} once, found {shown} in rows {first} and {row}")


class _Cells(Generic[T]):
    """Takes the cells of one row; what is wrong is noted and the cell's default taken."""

    def __init__(self, read: Read[T], row: Row) -> None:
        self._read, self._row = read, row
        self.good = True

    def raw(self, column: str) -> str:
        return self._row.cells.get(column, "")

    def take(self, column: str, parse: Callable[[str], V], default: V) -> V:
        try:
            return parse(self.raw(column))
        except ValueError as error:
            self.wrong(column, str(error))
            return default

    def wrong(self, column: str, text: str) -> None:
        self.good = False
        self._read.wrong(self._row.number, column, text)

    def dates(self) -> tuple[date | None, date | None]:
        """Retired on the very day of commissioning is legal: it was never in service."""
        commissioned, retired = (self.take(column, cells.a_date, None) for column in DATE_COLUMNS)
        if commissioned and retired and retired < commissioned:
            expected = f"expected a day from commissioned_on ({commissioned}) on"
            self.wrong("retired_on", f"{expected}, found {retired}")
        return commissioned, retired


def read_sites(table: Table, *, serving: bool) -> Read[Site]:
    """Each row alone, doubled ids, one name for each township code, uplinks that exist.

    `serving`: also that every village's township has a site of its own.
    """
    read: Read[Site] = Read(table.file, mistakes=list(table.mistakes))
    named: dict[str, tuple[str, int]] = {}
    townships: set[str] = set()
    uplinks: list[tuple[int, str, str]] = []
    for row in table.rows:
        take = _Cells(read, row)
        if cells.narrow(take.raw("level")).casefold() not in (Level.VILLAGE, Level.COUNTY):
            townships.add(cells.narrow(take.raw("township_code")))
        if row.broken:
            read.mentioned.setdefault(cells.narrow(take.raw("site_id")), row.number)
            continue
        site_id = take.take("site_id", cells.an_id, "")
        name = take.take("name", cells.a_name, "")
        level = take.take("level", lambda cell: cells.one_of(cell, list(Level)), "county")
        code = take.take("township_code", cells.an_id, "")
        township = take.take("township_name", cells.a_name, "")
        uplink = cells.narrow(take.raw("uplink"))
        commissioned, retired = take.dates()
        key = site_id or take.raw("site_id")
        if key:
            read.once(row.number, "site_id", key, cells.shown(key))
        if code and township:
            first, number = named.setdefault(code, (township, row.number))
            if first != township:
                expected = f"expected {first!r}, the name of township {code} in row {number}"
                take.wrong("township_name", f"{expected}, found {township!r}")
        if uplink:
            uplinks.append((row.number, key, uplink))
        if take.good:
            site = Site(site_id, name, Level(level), code, township, uplink, commissioned, retired)
            read.items.append((row.number, site))
    for number, key, uplink in uplinks:
        if uplink not in read.mentioned or uplink == key:
            expected = "expected the site_id of another site (or an empty cell)"
            read.wrong(number, "uplink", f"{expected}, found {cells.shown(uplink)}")
    for number, site in read.items if serving else ():
        if site.level is Level.VILLAGE and site.township_code not in townships:
            expected = "expected the township_code of a site of level township"
            read.wrong(number, "township_code", f"{expected}, found {cells.shown(site.township_code)}")
    if not table.rows and not table.mistakes:
        read.wrong(0, "", "expected at least one site, found no rows")
    return read


def read_terminals(table: Table) -> Read[Terminal]:
    """Each row alone and doubled positions. Whether its site exists is checked by whoever has the sites."""
    read: Read[Terminal] = Read(table.file, mistakes=list(table.mistakes))
    for row in table.rows:
        take = _Cells(read, row)
        site_id = cells.narrow(take.raw("site_id"))
        if row.broken:
            read.mentioned.setdefault((site_id, cells.narrow(take.raw("terminal")).casefold()), row.number)
            continue
        kind = take.take("terminal", lambda cell: cells.one_of(cell, list(Kind)), "")
        commissioned, retired = take.dates()
        if site_id and kind:
            read.once(row.number, "site_id, terminal", (site_id, kind), f"{site_id}/{kind}")
        if take.good:
            terminal = Terminal(site_id, kind, commissioned, retired, take.raw(MODEL))
            read.items.append((row.number, terminal))
    return read


def read_checks(table: Table, *, serving: bool) -> Read[Check]:
    """Each row alone and doubled checks. `serving`: probes need a target of the right form."""
    read: Read[Check] = Read(table.file, mistakes=list(table.mistakes))
    for row in table.rows:
        if row.broken:
            continue
        take = _Cells(read, row)
        site_id = cells.narrow(take.raw("site_id"))
        terminal = take.take("terminal", lambda cell: cells.one_of(cell, [*Kind, UPLINK]), "")
        name = take.take("check", lambda cell: cells.one_of(cell, list(CHECKS)), "")
        interval = take.take("interval_s", lambda cell: cells.milliseconds(cell, zero=False), 1)
        grace, failures = 0, 1
        target = cells.narrow(take.raw("target"))
        kind = CHECKS.get(name)
        if kind is not None and kind.heartbeat:
            grace = take.take("grace_s", lambda cell: cells.milliseconds(cell, zero=True), 0)
            if terminal == UPLINK:
                probes = [probe for probe, kind in CHECKS.items() if not kind.heartbeat]
                expected = f"expected a probe ({', '.join(probes)}) for {UPLINK}"
                take.wrong("check", f"{expected}, found {cells.shown(name)}")
        elif kind is not None:
            failures = take.take("failures", cells.a_count, 1)
            if serving and kind.target is not None:
                take.take("target", kind.target, None)
        if site_id and terminal and name:
            key = (site_id, terminal, name)
            read.once(row.number, "site_id, terminal, check", key, "/".join(key))
        if take.good:
            check = Check(site_id, terminal, name, target, interval, grace, failures)
            read.items.append((row.number, check))
    return read

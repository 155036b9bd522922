"""Sheets of visits and of who joined a meeting: rows of cells -> typed rows, with every mistake noted."""

from __future__ import annotations

import re
from datetime import datetime, time, tzinfo
from typing import NamedTuple

from monitor.clock import from_datetime, from_iso
from monitor.core.inspection import Finding, Result, Visit
from monitor.core.meeting import Attendance, Meeting
from monitor.core.sites import Kind
from monitor.errors import Mistake
from monitor.inventory import cells
from monitor.inventory.register_tables import KINDS, Taker, quoted
from monitor.inventory.spreadsheet import Table

VISIT_HEADINGS = {
    "站点编号": "site_id",
    "日期": "visited_on",
    "巡检人": "who",
    "到达": "reached",
    **{name: str(kind) for name, kind in KINDS.items()},
    "工单": "work_order",
    "备注": "note",
}
VISIT_COLUMNS = ("site_id", "visited_on", "who", "reached")
VISIT_OPTIONAL = (*Kind, "work_order", "note")

NOTE_HEADINGS = {"站点编号": "site_id", "参会": "reached", "加入": "joined", "离开": "left", "音画质量": "quality"}
NOTE_COLUMNS = ("site_id", "reached")
NOTE_OPTIONAL = ("joined", "left", "quality")

_YES = frozenset({"是", "√", "✓", "到达", "参会", "yes", "1", "true"})
_NO = frozenset({"否", "×", "✗", "未到", "未参会", "no", "0", "false"})
_OK = frozenset({"正常", "√", "✓", "ok"})
_NOT_REACHED = frozenset({"未查到", "未查", "not_reached"})
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")


class VisitRow(NamedTuple):
    number: int
    visit: Visit


class NoteRow(NamedTuple):
    number: int
    note: Attendance


def _is_yes(take: Taker, column: str) -> bool:
    said = cells.narrow(take.text(column)).casefold()
    if said not in _YES | _NO:
        take.wrong(column, f"应为 是 或 否，实为 {quoted(take.text(column))}")
    return said in _YES


def read_visits(table: Table, of_round: int) -> tuple[list[VisitRow], list[Mistake]]:
    """Each row alone; one without a day is passed over. Of a terminal: 正常, 未查到, or what is broken, in words."""
    rows: list[VisitRow] = []
    mistakes = list(table.mistakes)
    for row in table.rows:
        take = Taker(table.file, row, mistakes)
        if not take.text("visited_on") and not row.broken:
            continue
        site = cells.narrow(take.text("site_id"))
        on, reached = take.needed_day("visited_on"), _is_yes(take, "reached")
        orders = _orders(cells.narrow(take.text("work_order")))
        findings = tuple(_finding(kind, text, orders) for kind in sorted(Kind) if (text := take.text(kind)))
        if take.good:
            visit = Visit(0, of_round, site, on, take.text("who"), reached, findings, take.text("note"))
            rows.append(VisitRow(row.number, visit))
    return rows, mistakes


def _finding(kind: Kind, text: str, orders: dict[str, str]) -> Finding:
    word = cells.narrow(text).casefold()
    if word in _OK or word in _NOT_REACHED:
        result, note = Result.OK if word in _OK else Result.NOT_REACHED, ""
        return Finding(str(kind), result, note, orders.get(str(kind), ""))
    return Finding(str(kind), Result.FAULT, text, orders.get(str(kind), orders.get("", "")))


def _orders(text: str) -> dict[str, str]:
    """`17`: of every fault of the row; `pc=17 tv=18`: of each."""
    pairs = [word.split("=", 1) for word in text.split()]
    if pairs and all(len(pair) == 2 and pair[0] in set(Kind) for pair in pairs):
        return {kind: order for kind, order in pairs}
    return {"": text} if text else {}


def orders_cell(findings: tuple[Finding, ...]) -> str:
    """The cell that `read_visits` takes these work orders from."""
    faults = {f.work_order for f in findings if f.result is Result.FAULT}
    others = {f.work_order for f in findings if f.result is not Result.FAULT}
    if len(faults) == 1 and others <= {""} and "=" not in next(iter(faults)):
        return next(iter(faults))
    return " ".join(f"{f.terminal}={f.work_order}" for f in findings if f.work_order)


def finding_cell(finding: Finding | None) -> str:
    """Likewise, what was found at a terminal."""
    if finding is None:
        return ""
    return {Result.OK: "正常", Result.NOT_REACHED: "未查到"}.get(finding.result, finding.note)


def read_notes(table: Table, of: Meeting, zone: tzinfo) -> tuple[list[NoteRow], list[Mistake]]:
    """Each row alone; one that does not say whether it took part is passed over. 09:02 is of the first day."""
    rows: list[NoteRow] = []
    mistakes = list(table.mistakes)
    for row in table.rows:
        take = Taker(table.file, row, mistakes)
        if not take.text("reached") and not row.broken:
            continue
        reached = _is_yes(take, "reached")
        times = {column: _instant(take, column, of, zone) for column in ("joined", "left")}
        if take.good:
            site = cells.narrow(take.text("site_id"))
            note = Attendance(0, of.n, site, reached, times["joined"], times["left"], take.text("quality"))
            rows.append(NoteRow(row.number, note))
    return rows, mistakes


def _instant(take: Taker, column: str, of: Meeting, zone: tzinfo) -> int | None:
    text = cells.narrow(take.text(column))
    if not text:
        return None
    match = _CLOCK.fullmatch(text)
    try:
        if match is None:
            return from_iso(text)
        day = datetime.fromtimestamp(of.start / 1000, zone).date()
        clock = time(int(match[1]), int(match[2]), int(match[3] or 0), tzinfo=zone)
        return from_datetime(datetime.combine(day, clock))
    except ValueError:
        take.wrong(column, f"应为时间，如 09:02 或 2026-10-12T09:02+08:00，实为 {quoted(text)}")
        return None


def clock_cell(at: int | None, of: Meeting, zone: tzinfo) -> str:
    """Likewise, an instant: 09:02, with its day and offset where it is not the meeting's first."""
    if at is None:
        return ""
    local, first = (datetime.fromtimestamp(ms / 1000, zone) for ms in (at, of.start))
    if local.date() != first.date() or local.microsecond:
        return local.isoformat()
    return local.strftime("%H:%M:%S" if local.second else "%H:%M")

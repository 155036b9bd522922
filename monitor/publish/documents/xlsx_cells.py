"""What the cells of a workbook hold: numbers and dates that a spreadsheet counts with, texts as long as it takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from monitor.core.text import NO_FIGURE
from monitor.publish.documents import cells
from monitor.publish.documents.blocks import Cell, Kind

#: What a cell holds at most, and what stands at the end of a text that was longer.
LONGEST = 32_767
CUT = "……（过长，已截断）"
FORMATS: Mapping[Kind, str] = {
    "count": "#,##0",
    "percent": "0.00%",
    "length": "[h]:mm:ss",
    "yuan": "#,##0.00",
    "wan_rounded": "#,##0.00",
    "points": "0.00",
    "wan": "General",
    "instant": "yyyy-mm-dd hh:mm:ss",
    "day": "yyyy-mm-dd",
}
#: Whole numbers that a spreadsheet, which counts in doubles, still shows digit by digit.
_EXACT = 10**15


def value(kind: Kind, cell: Cell, zone: ZoneInfo) -> str | int | float | datetime | date:
    """The number or the date that a cell holds; a text where it has none that a spreadsheet could count with."""
    if cell is None:
        return NO_FIGURE
    if kind == "day" and isinstance(cell, str):
        try:
            day = date.fromisoformat(cell)
        except ValueError:
            return text(cell)
        return day if day.year >= 1901 else text(cell)
    if isinstance(cell, str) or kind in ("text", "day") or abs(cell) >= _EXACT:
        return text(cells.words(kind, cell, zone))
    match kind:
        case "percent":
            return cell / 10_000
        case "wan" | "wan_rounded":
            return cell / 1_000_000
        case "yuan" | "points":
            return cell / 100
        case "length" if cell >= 0:
            return (cell // 1000) / 86_400  # whole seconds, cut as on paper
        case "instant":
            at = cells.local(cell, zone)
            if at is not None and at.year >= 1901:
                return at.replace(tzinfo=None)
        case "count":
            return cell
    return text(cells.words(kind, cell, zone))


def text(value: str) -> str:
    """What a cell can hold of a text."""
    shown = cells.clean(value)
    # Counted as the file format counts: in UTF-16.
    if len(shown.encode("utf-16-le")) // 2 <= LONGEST:
        return shown
    room = LONGEST - len(CUT)
    return shown.encode("utf-16-le")[: room * 2].decode("utf-16-le", "ignore") + CUT


def sheet_names(wanted: Sequence[str]) -> list[str]:
    """Names that spreadsheets take: 31 characters at most, none twice, without []:*?/\\."""
    taken: set[str] = {"history"}
    names = []
    for short in wanted:
        plain = re.sub(r"[\[\]:*?/\\\n\t]", "·", cells.clean(short)).strip("' ")[:31] or "表"
        name, n = plain, 2
        while name.lower() in taken:
            tail = f"（{n}）"
            name, n = plain[: 31 - len(tail)] + tail, n + 1
        taken.add(name.lower())
        names.append(name)
    return names

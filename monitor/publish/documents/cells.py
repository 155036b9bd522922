"""The words of typed cells: what paper and pages show, and what a workbook shows by its number formats."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from monitor.core.money import in_wan, in_wan_exactly, in_yuan
from monitor.core.report_words import exact_hours
from monitor.core.text import NO_FIGURE
from monitor.publish.documents.blocks import Cell, Column, Kind, Row, Table

# What XML cannot hold, what no reader can see (other control characters), and what turns the direction of writing and
# so can make a figure read otherwise. Tabs and line breaks stay.
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufdd0-\ufdef"
    "\ufeff\ufff0-\ufffb\ufffe\uffff]"
)


def code(char: str) -> str:
    """What stands for a character that cannot be shown: `〔U+0007〕`."""
    return f"〔U+{ord(char):04X}〕"


def clean(text: str) -> str:
    """Text that every format can hold: what it cannot is said, not dropped. Line breaks are `\\n`."""
    return _UNSHOWN.sub(lambda m: code(m[0]), text.replace("\r\n", "\n").replace("\r", "\n"))


def head(column: Column) -> str:
    return clean(f"{column.title}（{column.unit}）" if column.unit else column.title)


def words(kind: Kind, value: Cell, zone: ZoneInfo) -> str:
    """A cell as it is read."""
    if value is None:
        return NO_FIGURE
    if isinstance(value, str):
        return clean(value)
    match kind:
        case "percent":
            return percent(value)
        case "length":
            return length(value)
        case "yuan":
            return in_yuan(value)
        case "wan_rounded":
            return in_wan(value)
        case "instant":
            return instant(value, zone)
        case "count":
            return f"{value:,}"
        case "wan":
            return in_wan_exactly(value).removesuffix("万元")
        case "points":
            return f"{value // 100}.{value % 100:02d}"
        case _:
            return str(value)


def spans(table: Table, rows: Sequence[Row]) -> list[list[int]]:
    """Of each cell over how many rows it stands: 1; more for the first of equal ones that are merged; 0 where one above
    covers it. Sums stand alone."""
    found = [[1] * len(table.columns) for _ in rows]
    for depth, column in enumerate(table.merge, 1):
        first, before = 0, None
        for i, row in enumerate(rows):
            key = None if row.strong else tuple(row.cells[c] for c in table.merge[:depth])
            if i and key is not None and key == before:
                found[first][column] += 1
                found[i][column] = 0
            else:
                first, before = i, key
    return found


def percent(hundredths: int) -> str:
    """`99.99%` of 9999: what was cut stays cut."""
    sign = "-" if hundredths < 0 else ""
    whole, rest = divmod(abs(hundredths), 100)
    return f"{sign}{whole}.{rest:02d}%"


def length(ms: int) -> str:
    """`1,657小时30分5秒`, whole seconds, cut; never in days, which counted time has as many of as it is served."""
    return f"-{exact_hours(-ms)}" if ms < 0 else exact_hours(ms)


def local(ms: int, zone: ZoneInfo) -> datetime | None:
    """The local time of an instant, whole seconds, cut; None beyond the calendar."""
    try:
        return datetime.fromtimestamp(ms // 1000, UTC).astimezone(zone)
    except (OverflowError, ValueError, OSError):
        return None


def instant(ms: int, zone: ZoneInfo) -> str:
    """`2026-10-01 08:00:00` in local time."""
    at = local(ms, zone)
    return str(ms) if at is None else at.strftime("%Y-%m-%d %H:%M:%S")

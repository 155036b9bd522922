"""What a document is made of. Reports are composed of these, and every format renders the same ones.

Cells are typed by their column, so that a workbook holds real numbers and paper holds the words for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

#: What a column's cells are; None in any of them is a dash, and a str in any of them is shown as it stands (监测数据不足).
#:   text     str
#:   count    int
#:   percent  int, hundredths of a percent, cut and never rounded up: 9999 is 99.99 %
#:   length   int, milliseconds
#:   yuan     int, fen
#:   instant  int, milliseconds UTC; shown in the document's time zone
#:   day      str, an ISO date
Kind = Literal["text", "count", "percent", "length", "yuan", "instant", "day"]
Cell = str | int | None


@dataclass(frozen=True, slots=True)
class Column:
    """`width`: relative to the table's other columns. `unit` stands in the head, after the title."""

    title: str
    kind: Kind = "text"
    width: float = 1.0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """`strong`: a sum. `link`: the anchor of the block that explains it (HTML and XLSX lead there)."""

    cells: Sequence[Cell]
    strong: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """`brief`: the rows that paper and pages show where that are not all; `rows`: every one, for the workbook.

    `empty`: what stands instead of a table without rows.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    brief: Sequence[Row] | None = None
    note: str = ""
    empty: str = "无"
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph. `warning`: what no reader may miss."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """`line` and `bar`: `labels` along the x axis, each series one value a label (None: nothing there).
    `heat`: one series a row, its values the columns, percentages: below 0 as in `ReportFacts.heat`, nothing to count (-1,
    and None) and not known (-2). Values have the units of `kind`; `note` stands below."""

    title: str
    form: Literal["line", "bar", "heat"]
    labels: Sequence[str]
    series: Mapping[str, Sequence[int | None]]
    kind: Kind = "percent"
    note: str = ""


Block = Heading | Text | Table | Chart


@dataclass(frozen=True, slots=True)
class Section:
    """One of the numbered parts; in a workbook a sheet of its own, called `short` (31 characters at most)."""

    title: str
    short: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole document. `marks` stand on every page (演示数据, 预览, 更正版); `fields`: unit, period, date and the
    like, below the title; `signatures`: who signs, with room for it (填表人, 负责人); `made_by`: the line that says by what
    software, rules, renderer and fonts. `timezone`: in which instants are shown. `as_of`: ms UTC, when the facts were
    gathered: the date that the file itself bears, so that the same document is the same bytes whenever it is made."""

    title: str
    sections: Sequence[Section]
    fields: Sequence[tuple[str, str]] = ()
    marks: Sequence[str] = ()
    signatures: Sequence[str] = ()
    made_by: str = ""
    timezone: str = "Asia/Shanghai"
    lead: Sequence[Block] = field(default=())
    as_of: int | None = None

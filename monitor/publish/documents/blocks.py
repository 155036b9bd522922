"""What a document is made of. Reports are composed of these, and every format renders the same ones.

Cells are typed by their column, so that a workbook holds real numbers and paper holds the words for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

#: What a column's cells are; None in any of them is a dash, and a str in any of them is shown as it stands
#: (监测数据不足).
#:   text     str
#:   count    int
#:   percent  int, hundredths of a percent, cut and never rounded up: 9999 is 99.99 %
#:   length   int, milliseconds
#:   yuan     int, fen
#:   wan_rounded  int, fen, shown in 万元, rounded to two decimals for reading; the exact amount stands beside it
#:   instant  int, milliseconds UTC; shown in the document's time zone
#:   day      str, an ISO date
#:   points   int, hundredths of a point of a score: 950 is 9.50
#:   wan      int, fen; shown in 万元, exactly: 23456789 is 23.456789
Kind = Literal["text", "count", "percent", "length", "yuan", "wan_rounded", "instant", "day", "points", "wan"]
Cell = str | int | None


@dataclass(frozen=True, slots=True)
class Column:
    """`width`: relative to the table's other columns. `unit` stands in the head, after the title.

    `fine`: only in the workbook and on pages; paper is too narrow for it.
    """

    title: str
    kind: Kind = "text"
    width: float = 1.0
    unit: str = ""
    fine: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """`strong`: a sum. `link`: the anchor of the block that explains it (HTML and XLSX lead there)."""

    cells: Sequence[Cell]
    strong: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """`brief`: the rows that paper and pages show where that are not all; `rows`: every one, for the workbook.

    `empty`: what stands instead of a table without rows. `merge`: columns (from 0, in reading order) in which equal
    texts below each other stand as one cell, as in forms; only within equal cells of the merged columns before it.
    `upright`: its texts may take several lines, and paper is not turned for it.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    brief: Sequence[Row] | None = None
    note: str = ""
    empty: str = "无"
    anchor: str = ""
    upright: bool = False
    merge: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph, or one for each line of it. `warning`: what no reader may miss."""

    text: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """`line` and `bar`: `labels` along the x axis, each series one value a label (None: nothing there).
    `heat`: one series a row, its values the columns, percentages: below 0 as in `ReportFacts.heat`, nothing to count
    (-1, and None) and not known (-2). Values have the units of `kind`; `note` stands below. `brief`: the series that
    paper shows where that are not all."""

    title: str
    form: Literal["line", "bar", "heat"]
    labels: Sequence[str]
    series: Mapping[str, Sequence[int | None]]
    kind: Kind = "percent"
    note: str = ""
    brief: Mapping[str, Sequence[int | None]] | None = None


Block = Heading | Text | Table | Chart


@dataclass(frozen=True, slots=True)
class Section:
    """One of the numbered parts; in a workbook a sheet of its own, called `short` (31 characters at most).

    `annex`: where rows lead to; in the workbook and on pages, not on paper.
    """

    title: str
    short: str
    blocks: Sequence[Block]
    annex: bool = False


#: Where nobody has said when: room to write, as on any form.
NO_DATE = "　　　　年　　月　　日"


@dataclass(frozen=True, slots=True)
class Document:
    """A whole document. `marks` stand on every page (演示数据, 预览, 更正版); `fields`: unit, period, date and the
    like, below the title; `signatures`: who signs (填表人, 负责人), and names, empty for room to write; `made_by`: by
    what software and rules (PDF adds renderer and fonts). `timezone`: in which instants are shown. `as_of`: ms UTC,
    when the facts were gathered: the date that the file itself bears, so that the same document is the same bytes
    whenever it is made. `wide`: all of it lies on landscape pages, as wide forms do."""

    title: str
    sections: Sequence[Section]
    fields: Sequence[tuple[str, str]] = ()
    marks: Sequence[str] = ()
    signatures: Sequence[tuple[str, str]] = ()
    made_by: str = ""
    timezone: str = "Asia/Shanghai"
    lead: Sequence[Block] = field(default=())
    as_of: int | None = None
    wide: bool = False

    def signed(self) -> list[str]:
        """The lines of those who sign; a date has its own room where nobody gave one."""
        return [f"{role}：{name or (NO_DATE if '日期' in role else '')}" for role, name in self.signatures]


def on_paper(document: Document) -> Document:
    """What paper has room for: no annexes, no fine columns, of long charts the brief part."""
    sections = [
        replace(section, blocks=[_on_paper(block) for block in section.blocks])
        for section in document.sections
        if not section.annex
    ]
    return replace(document, sections=sections, lead=[_on_paper(block) for block in document.lead])


def _on_paper(block: Block) -> Block:
    if isinstance(block, Chart) and block.brief is not None:
        return replace(block, series=block.brief, brief=None)
    if not isinstance(block, Table) or not any(column.fine for column in block.columns):
        return block
    kept = [i for i, column in enumerate(block.columns) if not column.fine]

    def cut(rows: Sequence[Row]) -> list[Row]:
        return [replace(row, cells=[row.cells[i] for i in kept]) for row in rows]

    return replace(
        block,
        columns=[block.columns[i] for i in kept],
        rows=cut(block.rows),
        brief=None if block.brief is None else cut(block.brief),
        merge=[kept.index(i) for i in block.merge if i in kept],
    )

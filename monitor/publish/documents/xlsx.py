"""XLSX by xlsxwriter: real numbers and dates, a sheet for each section, texts that no program takes for formulas."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import xlsxwriter

from monitor.core.text import NO_FIGURE
from monitor.publish.documents import cells, chart
from monitor.publish.documents.blocks import (
    Block,
    Cell,
    Chart,
    Column,
    Document,
    Heading,
    Kind,
    Row,
    Section,
    Table,
    Text,
)
from monitor.publish.documents.xlsx_cells import FORMATS, sheet_names, text, value

FONT = "仿宋_GB2312"
HEADS = "黑体"
#: Links in a workbook: a sheet may have 65,530 of them.
_LINKS = 60_000
_WIDEST = 60
#: Lines of text lie over as many columns as make so many characters.
_ACROSS = 80
_CHART_ROWS = 17
#: More rows than this go over several pages and need their head in sight.
_LONG = 30
#: A head stays in sight as long as what stands above it leaves room for rows.
_FROZEN = 12


def render(document: Document) -> bytes:
    """The document as a workbook: a first sheet with title, fields and contents, then a sheet for each section."""
    made = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(made, options) as book:
        _Workbook(book, document).write()
    return made.getvalue()


@dataclass
class _Sheet:
    """`row`: where the next block begins. `widths`: of columns, in characters, as far as they are known."""

    name: str
    page: Any
    row: int = 0
    widths: dict[int, float] = field(default_factory=dict)
    lines: list[tuple[int, str, float, Any]] = field(default_factory=list)  # texts over all columns, with their size
    heights: dict[int, int] = field(default_factory=dict)  # of table rows, in lines
    heads: list[tuple[int, int, int]] = field(default_factory=list)  # row, column, length: of what may wrap
    charts: bool = False
    long: bool = False  # a table that prints on several pages


class _Workbook:
    def __init__(self, book: Any, document: Document) -> None:
        self.book, self.document = book, document
        self.zone = ZoneInfo(document.timezone)
        self.formats: dict[tuple[tuple[str, Any], ...], Any] = {}
        self.places: dict[str, str] = {}  # of anchors
        self.links: list[tuple[Any, int, str, str, Any]] = []

    def write(self) -> None:
        document = self.document
        at = datetime.fromtimestamp((document.as_of or 0) // 1000, UTC).replace(tzinfo=None)
        self.book.set_properties(
            {"title": text(document.title)[:255], "created": at, "comments": text(document.made_by)}
        )
        heats = [(s, b) for s in document.sections for b in s.blocks if isinstance(b, Chart) and b.form == "heat"]
        figures = [b for b in self._blocks() if isinstance(b, Chart) and b.form != "heat"]
        wanted = [
            "封面",
            *(s.short for s in document.sections),
            *(b.title for _, b in heats),
            *["图表数据"][: len(figures)],
        ]
        names = sheet_names(wanted)
        pages = [_Sheet(name, self.book.add_worksheet(name)) for name in names]
        count = len(document.sections)
        cover, sections = pages[0], pages[1 : 1 + count]
        self.maps = {id(b): page for (_, b), page in zip(heats, pages[1 + count :], strict=False)}
        self.data = pages[-1] if figures else None
        self._cover(cover, sections)
        for section, page in zip(document.sections, sections, strict=True):
            self._section(page, section)
        for page in pages:
            self._finish(page)
        for sheet, row, anchor, shown, form in self.links[:_LINKS]:
            if anchor in self.places:
                sheet.write_url(row, 0, f"internal:{self.places[anchor]}", form, shown)

    def _blocks(self) -> list[Block]:
        return [*self.document.lead, *(b for s in self.document.sections for b in s.blocks)]

    def _form(self, **properties: Any) -> Any:
        """Formats are kept: one that is made for every cell makes a workbook slow to open."""
        key = tuple(sorted(properties.items()))
        if key not in self.formats:
            self.formats[key] = self.book.add_format(
                {"font_name": FONT, "font_size": 11, "valign": "vcenter", **properties}
            )
        return self.formats[key]

    def _say(self, sheet: _Sheet, words: str, **properties: Any) -> None:
        """A line of text below what is there."""
        if words:
            form = self._form(quote_prefix=True, text_wrap=True, **properties)
            sheet.lines.append((sheet.row, text(words), properties.get("font_size", 11), form))
        sheet.row += 1

    def _top(self, sheet: _Sheet, title: str) -> None:
        marks = "　".join(self.document.marks)
        self._say(sheet, f"【{marks}】{title}" if marks else title, font_name=HEADS, font_size=16)

    def _cover(self, sheet: _Sheet, sections: Sequence[_Sheet]) -> None:
        document = self.document
        self._top(sheet, document.title)
        sheet.row += 1
        for name, said in document.fields:
            sheet.page.write_string(sheet.row, 0, text(name), self._form(font_name=HEADS, quote_prefix=True))
            sheet.page.write_string(sheet.row, 1, text(said), self._form(quote_prefix=True))
            sheet.row += 1
        sheet.row += 1
        for block in document.lead:
            self._block(sheet, block)
        self._say(sheet, "目录", font_name=HEADS, font_size=12)
        for section, page in zip(document.sections, sections, strict=True):
            place = f"internal:{_quoted(page.name)}!A1"
            sheet.page.write_url(sheet.row, 0, place, self._form(**_LINK), text(section.title)[:255])
            sheet.row += 1
        sheet.row += 1
        for line in document.signed():
            self._say(sheet, line)
        sheet.row += 1
        self._say(sheet, document.made_by, font_size=9)
        sheet.widths.setdefault(0, 24)
        sheet.widths.setdefault(1, 40)

    def _section(self, sheet: _Sheet, section: Section) -> None:
        self._top(sheet, section.title)
        heads = [(self._block(sheet, block), block) for block in section.blocks]
        tables = [(head, block) for head, block in heads if isinstance(block, Table) and block.rows]
        sheet.long = any(len(table.rows) > _LONG for _, table in tables)
        if len(tables) == 1 and sheet.long and (head := tables[0][0] or 0) < _FROZEN:
            table = tables[0][1]
            sheet.page.freeze_panes(head + 1, 1)
            sheet.page.autofilter(head, 0, head + len(table.rows), len(table.columns) - 1)
            sheet.page.repeat_rows(head)
        else:
            sheet.page.freeze_panes(1, 0)

    def _block(self, sheet: _Sheet, block: Block) -> int | None:
        """Write it below what is there; of a table the row of its head."""
        match block:
            case Table():
                return self._table(sheet, block)
            case Chart(form="heat"):
                self._heat(self.maps[id(block)], block)
                place = f"internal:{_quoted(self.maps[id(block)].name)}!A1"
                sheet.page.write_url(sheet.row, 0, place, self._form(**_LINK), text(f"{block.title}：见另表")[:255])
                sheet.row += 2
            case Chart():
                self._chart(sheet, block)
            case Heading():
                self._mark(sheet, block.anchor)
                self._say(sheet, block.text, font_name=HEADS, font_size=13)
            case Text():
                self._say(sheet, block.text, **({"bold": True, "font_color": "#9C0006"} if block.warning else {}))
        return None

    def _mark(self, sheet: _Sheet, anchor: str) -> None:
        if anchor:
            self.places.setdefault(anchor, f"{_quoted(sheet.name)}!A{sheet.row + 1}")

    def _table(self, sheet: _Sheet, table: Table) -> int:
        self._mark(sheet, table.anchor)
        self._say(sheet, table.title, font_name=HEADS, font_size=12)
        at = sheet.row
        if not table.rows:
            self._say(sheet, table.empty)
        else:
            self._heads(sheet, [cells.head(column) for column in table.columns])
            over = cells.spans(table, table.rows) if table.merge else []
            for n, row in enumerate(table.rows):
                self._row(sheet, table.columns, row, over[n] if over else ())
        if table.note:
            self._say(sheet, table.note, font_size=10)
        sheet.row += 1
        return at

    def _heads(self, sheet: _Sheet, heads: Sequence[str]) -> None:
        form = self._form(
            font_name=HEADS, border=1, bg_color="#D9E2EC", align="center", text_wrap=True, quote_prefix=True
        )
        for i, head in enumerate(heads):
            sheet.page.write_string(sheet.row, i, text(head), form)
            self._widen(sheet, i, min(_length(head), 16))
            sheet.heads.append((sheet.row, i, _length(head)))
        sheet.row += 1

    def _row(self, sheet: _Sheet, columns: Sequence[Column], row: Row, over: Sequence[int] = ()) -> None:
        for i, (column, cell) in enumerate(zip(columns, row.cells, strict=True)):
            rows = over[i] if over else 1
            if rows > 1:
                last = sheet.row + rows - 1
                sheet.page.merge_range(sheet.row, i, last, i, "", self._form(border=1, text_wrap=True))
            if rows:
                self._cell(sheet, i, column.kind, cell, row.strong)
        if row.link:
            first = columns[0]
            shown = text(cells.words(first.kind, row.cells[0], self.zone))
            form = self._form(border=1, text_wrap=True, **_LINK, **({"font_name": HEADS} if row.strong else {}))
            if isinstance(row.cells[0], str) and len(shown) <= 255:
                self.links.append((sheet.page, sheet.row, row.link, shown, form))
        sheet.row += 1

    def _cell(self, sheet: _Sheet, i: int, kind: Kind, cell: Cell, strong: bool = False) -> None:
        look: dict[str, Any] = {"border": 1, **({"font_name": HEADS} if strong else {})}
        held = value(kind, cell, self.zone)
        if isinstance(held, str):
            look |= {"align": "right"} if held == NO_FIGURE else {"text_wrap": True, "quote_prefix": True}
            sheet.page.write_string(sheet.row, i, held, self._form(**look))
            self._widen(sheet, i, max(map(_length, held.split("\n"))))
            lines = sum(_length(line) // (_WIDEST - 4) + 1 for line in held.split("\n"))
            sheet.heights[sheet.row] = max(sheet.heights.get(sheet.row, 1), lines)
            return
        form = self._form(**look, num_format=FORMATS[kind])
        if isinstance(held, date):  # a datetime is one, too
            sheet.page.write_datetime(sheet.row, i, held, form)
        else:
            sheet.page.write_number(sheet.row, i, held, form)
        self._widen(sheet, i, _length(cells.words(kind, cell, self.zone)))

    def _chart(self, sheet: _Sheet, block: Chart) -> None:
        """A chart of the program's own over figures that stand on the last sheet."""
        assert self.data is not None  # noqa: S101 - made where there is a chart
        data, made = self.data, self.book.add_chart({"type": "line" if block.form == "line" else "column"})
        self._say(data, block.title, font_name=HEADS)
        head, count = data.row, len(block.labels)
        self._heads(data, ["", *block.series])
        for i, label in enumerate(block.labels):
            self._cell(data, 0, "text", label)
            for n, series in enumerate(block.series.values(), 1):
                if i < len(series) and series[i] is not None:
                    self._cell(data, n, block.kind, series[i])
            data.row += 1
        for n, name in enumerate(block.series if count else (), 1):
            ink, dash = chart.INKS[(n - 1) % 6], ("solid", "dash", "round_dot", "long_dash")[(n - 1) % 4]
            look: dict[str, Any] = {"line": {"color": ink, "dash_type": dash, "width": 1.75}}
            if block.form == "line":
                look["marker"] = {"type": ("circle", "square", "triangle")[(n - 1) % 3], "size": 5}
            else:
                look = {"fill": {"color": ink}, "border": {"color": "#333333"}}
                if n % 2 == 0:
                    look = {
                        "pattern": {"pattern": "wide_upward_diagonal", "fg_color": ink},
                        "border": {"color": "#333333"},
                    }
            made.add_series(
                {
                    "name": [data.name, head, n],
                    "categories": [data.name, head + 1, 0, head + count, 0],
                    "values": [data.name, head + 1, n, head + count, n],
                    **look,
                }
            )
            del name
        data.row += 1
        made.set_title({"name": text(block.title)[:255], "overlay": False, "name_font": {"size": 12}})
        values = [v for series in block.series.values() for v in series if v is not None]
        whole = {"max": 1} if block.kind == "percent" and max(values, default=0) <= 10_000 else {}
        made.set_y_axis(
            {"num_format": FORMATS.get(block.kind, "General"), "major_gridlines": {"visible": True}, **whole}
        )
        made.set_legend({"position": "bottom"} if len(block.series) > 1 else {"none": True})
        made.set_size({"width": 760, "height": 320})
        made.show_blanks_as("gap")
        if count and block.series:
            sheet.page.insert_chart(sheet.row, 0, made, {"description": text(block.title)[:255]})
            sheet.row += _CHART_ROWS
            sheet.charts = True
        if block.note:
            self._say(sheet, block.note, font_size=10)
        sheet.row += 1

    def _heat(self, sheet: _Sheet, block: Chart) -> None:
        """A sheet of its own: figures on shades."""
        self._top(sheet, block.title)
        self._say(sheet, "底色越深越差；斜线为未知，空白为无须计算。" + block.note, font_size=10)
        self._heads(sheet, ["", *block.labels])
        sheet.page.freeze_panes(sheet.row, 1)
        sheet.page.repeat_rows(sheet.row - 1)
        for name, values in block.series.items():
            self._cell(sheet, 0, "text", name)
            for i, hundredths in enumerate(values[: len(block.labels)], 1):
                if hundredths is not None and hundredths >= 0:
                    fill = chart.shade(hundredths)
                    ink = "#FFFFFF" if hundredths < 9_000 else "#000000"
                    form = self._form(
                        num_format=FORMATS["percent"], bg_color=fill, font_color=ink, border=1, font_size=9
                    )
                    sheet.page.write_number(sheet.row, i, hundredths / 10_000, form)
                elif hundredths == chart.UNKNOWN:
                    sheet.page.write_blank(sheet.row, i, None, self._form(pattern=14, border=1))
                self._widen(sheet, i, 7)
            sheet.row += 1

    def _widen(self, sheet: _Sheet, column: int, need: float) -> None:
        sheet.widths[column] = min(max(sheet.widths.get(column, 6.0), need + 2.0), _WIDEST)

    def _finish(self, sheet: _Sheet) -> None:
        """Column widths, the lines of text, and how it prints: all columns on an A4 page."""
        last = max(sheet.widths, default=0)
        while last < 1 or sum(sheet.widths.get(i, 8.43) for i in range(last + 1)) < _ACROSS:
            last += 1
        across = sum(sheet.widths.get(i, 8.43) for i in range(last + 1))
        for column, need in sheet.widths.items():
            sheet.page.set_column(column, column, need)
        for row, words, size, form in sheet.lines:
            sheet.page.merge_range(row, 0, row, last, "", form)
            sheet.page.write_string(row, 0, words, form)
            lines = sum(int(_length(line) * size / 11 / (across * 0.9)) + 1 for line in words.split("\n"))
            sheet.page.set_row(row, min(lines * size * 1.45 + 4, 400))
        for row, column, need in sheet.heads:
            lines = -(-need // int(sheet.widths[column] - 1))
            sheet.heights[row] = max(sheet.heights.get(row, 1), lines)
        for row, lines in sheet.heights.items():
            if lines > 1:  # not every program makes room for a text that wraps
                sheet.page.set_row(row, min(lines * 16, 400))
        page = sheet.page
        page.set_paper(9)
        if sheet.charts and not sheet.long:  # one page, so that no chart is cut in two
            page.fit_to_pages(1, 1)
        else:
            page.set_landscape()
            page.fit_to_pages(1, 0)
        marks = cells.clean("　".join(self.document.marks)).replace("&", "&&").replace("\n", " ")
        page.set_header(f"&C&12{marks[:200]}")
        page.set_footer("&C— &P —")


_LINK = {"font_color": "#0563C1", "underline": 1}


def _length(words: str) -> int:
    """In characters of a column's width: a Chinese one is two."""
    return sum(2 if ord(char) > 0x2E7F else 1 for char in words)


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"

"""A document as plain text: for golden copies that a person can read, and to search all that it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

from monitor.publish.documents.blocks import Block, Chart, Document, Heading, Row, Table, Text
from monitor.publish.documents.cells import head, words


def lines(document: Document, rows: int | None = None) -> Iterator[str]:
    """Everything that it says, one line each; of a table the first `rows` rows (None: all) and how many are left."""
    yield document.title
    yield from (f"【{mark}】" for mark in document.marks)
    yield from (f"{name}：{value}" for name, value in document.fields)
    yield "签署：" + "｜".join(document.signed())
    yield f"制作：{document.made_by}"
    zone = ZoneInfo(document.timezone)
    for block in document.lead:
        yield from _block(block, zone, rows)
    for section in document.sections:
        yield ""
        yield f"# {section.title}（工作表：{section.short}）{'（附录）' if section.annex else ''}"
        for block in section.blocks:
            yield from _block(block, zone, rows)


def _block(block: Block, zone: ZoneInfo, rows: int | None) -> Iterator[str]:
    yield ""
    match block:
        case Heading():
            yield f"## {block.text}"
        case Text():
            yield ("！" if block.warning else "") + block.text
        case Chart():
            values = [v for series in block.series.values() for v in series if v is not None and v >= 0]
            top = f"，最大 {words(block.kind, max(values), zone)}" if values else ""
            brief = "" if block.brief is None else f"（纸面 {len(block.brief)} 行）"
            yield f"[图：{block.title}，{len(block.series)} 行{brief}，{len(block.labels)} 列{top}]"
            if block.note:
                yield f"注：{block.note}"
        case Table():
            brief = "" if block.brief is None else f"，摘录 {len(block.brief)} 行"
            yield f"表：{block.title}（{len(block.rows)} 行{brief}）"
            if not block.rows:
                yield block.empty
                return
            yield " | ".join(head(column) + ("*" if column.fine else "") for column in block.columns)
            yield from _rows(block, block.rows if rows is None or block.brief is None else block.brief, zone, rows)
            if block.note:
                yield f"注：{block.note}"


def _rows(table: Table, found: Sequence[Row], zone: ZoneInfo, rows: int | None) -> Iterator[str]:
    for row in found if rows is None else found[:rows]:
        cells = [words(column.kind, cell, zone) for column, cell in zip(table.columns, row.cells, strict=True)]
        yield " | ".join(cells) + ("  ＝" if row.strong else "")
    if rows is not None and len(found) > rows:
        yield f"…… 另 {len(found) - rows} 行"

"""A document on a terminal: the blocks that all formats render, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width
from zoneinfo import ZoneInfo

from monitor.publish.documents.blocks import Block, Chart, Document, Heading, Kind, Table, Text
from monitor.publish.documents.cells import head, words

_RIGHT: tuple[Kind, ...] = ("count", "percent", "length", "yuan")


def render(document: Document, everything: bool = False) -> str:
    """`everything`: all rows of every table, also where paper shows the brief ones only. Charts have no text."""
    zone = ZoneInfo(document.timezone)
    lines = [document.title, *(f"【{mark}】" for mark in document.marks)]
    lines += [f"{name}：{value}" for name, value in document.fields]
    for block in document.lead:
        lines += ["", *_block(block, zone, everything)]
    for section in document.sections:
        lines += ["", f"== {section.title} =="]
        for block in section.blocks:
            lines += ["", *_block(block, zone, everything)]
    if document.made_by:
        lines += ["", document.made_by]
    return "\n".join(line.rstrip() for line in map(_safe, lines)) + "\n"


def _safe(line: str) -> str:
    """What names and memos hold must not steer the terminal."""
    return "".join(c if c.isprintable() else "�" for c in line)


def _block(block: Block, zone: ZoneInfo, everything: bool) -> Iterator[str]:
    match block:
        case Heading():
            yield f"-- {block.text} --"
        case Text():
            yield f"!! {block.text}" if block.warning else block.text
        case Table():
            yield from _table(block, zone, everything)
        case Chart():
            yield f"（图：{block.title}）"


def _table(table: Table, zone: ZoneInfo, everything: bool) -> Iterator[str]:
    if table.title:
        yield f"-- {table.title} --"
    rows = table.rows if everything or table.brief is None else table.brief
    if not rows:
        yield table.empty
    else:
        heads = [head(c) for c in table.columns]
        cells = [
            [" ".join(words(c.kind, v, zone).split()) for c, v in zip(table.columns, row.cells, strict=True)]
            for row in rows
        ]
        widths = [max(map(_width, column)) for column in zip(heads, *cells, strict=True)]
        right = [c.kind in _RIGHT for c in table.columns]
        yield _line(heads, widths, right)
        yield "  ".join("-" * w for w in widths)
        for row in cells:
            yield _line(row, widths, right)
        if len(rows) < len(table.rows):
            yield f"（共 {len(table.rows):,} 行；全部见 XLSX、JSON，或加 --all）"
    if table.note:
        yield table.note


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = []
    for cell, width, to_right in zip(cells, widths, right, strict=True):
        room = " " * (width - _width(cell))
        parts.append(room + cell if to_right else cell + room)
    return "  ".join(parts)


def _width(text: str) -> int:
    """Columns that a terminal takes: Chinese characters take two."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)

"""A document as plain text, for golden copies that a person can read and compare."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from monitor.publish.documents.blocks import Block, Document, Heading, Table, Text
from monitor.publish.documents.cells import head, words


def plain(document: Document) -> str:
    """Line by line; cells between bars, line breaks in them as ⏎."""
    zone = ZoneInfo(document.timezone)
    lines = [f"# {document.title}", *(f"〔{mark}〕" for mark in document.marks)]
    lines += [f"{name}：{value}" for name, value in document.fields]
    for section in document.sections:
        lines += ["", f"## {section.title}"]
        for block in section.blocks:
            lines += _block(block, zone)
    lines += ["", *document.signed(), document.made_by]
    return "\n".join(lines) + "\n"


def _block(block: Block, zone: ZoneInfo) -> list[str]:
    match block:
        case Table():
            lines = ["", block.title, " | ".join(map(head, block.columns))]
            for row in block.rows:
                cells = [words(c.kind, v, zone) for c, v in zip(block.columns, row.cells, strict=True)]
                lines.append(" | ".join(cell.replace("\n", "⏎") for cell in cells))
            return [*lines, *([] if block.rows else [block.empty]), *([block.note] if block.note else []), ""]
        case Text():
            return [f"{'！' if block.warning else ''}{block.text}"]
        case Heading():
            return [f"### {block.text}"]
        case _:
            return [block.title]

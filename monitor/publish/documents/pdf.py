"""PDF by typst with two pinned fonts. Text goes in as data and is never read as markup; nothing comes from the machine
or the network, so the same document is the same bytes everywhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import typst

from monitor.publish.documents import chart, fonts
from monitor.publish.documents.blocks import Chart, Document, Heading, Section, Table
from monitor.publish.documents.fonts import shown
from monitor.publish.documents.layout import PORTRAIT, Laid, Piece, pieces, softened

_TEMPLATE = (Path(__file__).parent / "paper.typ").read_bytes()
_FONTS = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[fonts.FOLDER])


def renderer() -> str:
    """What makes the bytes: program and fonts with their versions; equal ones give equal bytes."""
    return f"typst {version('typst')}，{fonts.named()}"


def render(document: Document) -> bytes:
    """The document on A4 by GB/T 9704, as PDF."""
    data = {
        "title": shown(document.title),
        "title_width": title_width(shown(document.title)),
        "fields": [[shown(name), shown(value)] for name, value in document.fields],
        "marks": [shown(mark) for mark in document.marks],
        "signatures": [shown(name) for name in document.signatures],
        "made_by": softened(shown(made_by(document))),
        "runs": [{"wide": wide, "pieces": [_piece(p) for p in run]} for wide, run in pieces(document)],
    }
    compiler = typst.Compiler(_TEMPLATE, font_paths=_FONTS, sys_inputs={"document": json.dumps(data)})
    at = datetime.fromtimestamp((document.as_of or 0) // 1000, UTC)
    return cast(bytes, compiler.compile(format="pdf", timestamp=at))


def title_width(title: str) -> float:
    """Points, at 22: so that the lines of a long title are about as long as each other."""
    whole = fonts.width(title) * 22
    return min(whole / max(1, -(-whole // PORTRAIT)) + 33, PORTRAIT)


def made_by(document: Document) -> str:
    """The line at the end, with what made this paper."""
    return "；".join(part for part in (document.made_by, f"排版：{renderer()}") if part)


def raster(pictures: list[str], dots: int = 200) -> list[bytes]:
    """SVG pictures as PNG, at so many dots an inch, `chart.WIDTH` a text's width (156 mm)."""
    if not pictures:
        return []
    source = b"""#set page(width: 156mm, height: auto, margin: 0pt)
#for svg in json(bytes(sys.inputs.pictures)) { page(image(bytes(svg), format: "svg", width: 100%)) }"""
    compiler = typst.Compiler(source, font_paths=_FONTS, sys_inputs={"pictures": json.dumps(pictures)})
    made = compiler.compile(format="png", ppi=dots)
    return made if isinstance(made, list) else [cast(bytes, made)]


def _piece(piece: Piece) -> dict[str, Any]:
    match piece:
        case Section():
            return {"is": "section", "text": shown(piece.title)}
        case Heading():
            return {"is": "heading", "text": shown(piece.text)}
        case Chart():
            return {
                "is": "chart",
                "title": shown(piece.title),
                "note": shown(piece.note),
                "pictures": chart.pictures(piece),
            }
        case Laid():
            return _table(piece)
        case Table():  # laid out by now
            raise TypeError(piece)
        case _:
            return {"is": "text", "text": softened(shown(piece.text)), "warning": piece.warning}


def _table(laid: Laid) -> dict[str, Any]:
    table = laid.table
    kinds = [column.kind for column in table.columns]
    return {
        "is": "table",
        "title": shown(table.title),
        "note": shown(table.note),
        "empty": shown(table.empty),
        "left": laid.left,
        "size": laid.size,
        "widths": laid.widths,
        "aligns": ["left" if kind == "text" else "center" if kind in ("instant", "day") else "right" for kind in kinds],
        "heads": [shown(title) for title in laid.heads],
        "rows": [
            {"cells": [softened(shown(cell)) for cell in cells], "strong": strong, "tall": tall}
            for cells, strong, tall in laid.rows
        ],
    }

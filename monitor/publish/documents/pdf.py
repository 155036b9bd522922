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

#: Of pictures as PNG, an inch.
DOTS = 200
_FOLDER = Path(__file__).parent
_TEMPLATE = (_FOLDER / "paper.typ").read_bytes()
_PICTURES = b"""#set page(width: 156mm, height: auto, margin: 0pt)
#for svg in json(bytes(sys.inputs.data)) { page(image(bytes(svg), format: "svg", width: 100%)) }"""
_FONTS = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[fonts.FOLDER])


def renderer() -> str:
    """What makes the bytes: program and fonts with their versions; equal ones give equal bytes."""
    return f"typst {version('typst')}，{fonts.named()}"


def render(document: Document) -> bytes:
    """The document on A4 by GB/T 9704, as PDF."""
    data = {
        "wide": document.wide,
        "title": shown(document.title),
        "title_width": title_width(shown(document.title)),
        "fields": [[shown(name), shown(value)] for name, value in document.fields],
        "marks": [shown(mark) for mark in document.marks],
        "signatures": [shown(line) for line in document.signed()],
        "made_by": softened(shown(made_by(document))),
        "runs": [{"wide": wide, "pieces": [_piece(p) for p in run]} for wide, run in pieces(document)],
    }
    at = datetime.fromtimestamp((document.as_of or 0) // 1000, UTC)
    (made,) = _compiled(_TEMPLATE, data, format="pdf", timestamp=at)
    return made


def title_width(title: str) -> float:
    """Points, at 22: so that the lines of a long title are about as long as each other."""
    whole = fonts.width(title) * 22
    return min(whole / max(1, -(-whole // PORTRAIT)) + 33, PORTRAIT)


def made_by(document: Document) -> str:
    """The line at the end, with what made this paper."""
    return "；".join(part for part in (document.made_by, f"排版：{renderer()}") if part)


def raster(pictures: list[str]) -> list[bytes]:
    """SVG pictures as PNG, `chart.WIDTH` a text's width (156 mm)."""
    if not pictures:
        return []
    return _compiled(_PICTURES, pictures, format="png", ppi=DOTS)


def _compiled(source: bytes, data: object, **how: Any) -> list[bytes]:
    """What typst makes of a template of ours with `data` in it, a file or several."""
    compiler = _compiler(source, {"data": json.dumps(data)})
    made = compiler.compile(**how)
    # typst keeps all that it has computed until ten more compilations had no use for it: 45 MB a report. A service
    # lives for months, so it is dropped at once, in 80 ms.
    for _ in range(11):
        _compiler(b"", {}).compile(format="pdf")
    return made if isinstance(made, list) else [cast(bytes, made)]


def _compiler(source: bytes, inputs: dict[str, str]) -> typst.Compiler:
    """Nothing but the pinned fonts and files of this folder can be read."""
    return typst.Compiler(source, root=_FOLDER, font_paths=_FONTS, sys_inputs=inputs)


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
            return {"is": "text", "lines": softened(shown(piece.text)).split("\n"), "warning": piece.warning}


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
            {
                "cells": [
                    {"text": softened(shown(cell)), "over": over}
                    for cell, over in zip(cells, spans, strict=True)
                    if over
                ],
                "strong": strong,
                "tall": tall,
            }
            for (cells, strong, tall), spans in zip(laid.rows, laid.spans, strict=True)
        ],
    }

"""HTML by Jinja2: one file that needs nothing else, without script, printable; its policy allows only its own style."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from monitor.publish.documents import chart
from monitor.publish.documents.blocks import Block, Chart, Document, Heading, Row, Table
from monitor.publish.documents.cells import clean, head, spans, words

_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "page.css").read_text("utf-8")
#: The policy that the page states and that may also be sent with it.
POLICY = f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
#: A table with more rows can be folded.
_LONG = 60
_PAGE = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
).get_template("page.html")


def render(document: Document) -> bytes:
    """The document as one page, UTF-8."""
    zone = ZoneInfo(document.timezone)
    page = _PAGE.render(
        title=clean(document.title),
        marks=[clean(mark) for mark in document.marks],
        fields=[(clean(name), clean(value)) for name, value in document.fields],
        lead=[_block(block, zone) for block in document.lead],
        sections=[(clean(s.title), [_block(block, zone) for block in s.blocks]) for s in document.sections],
        signatures=[clean(line) for line in document.signed()],
        made_by=clean(document.made_by),
        policy=POLICY,
        style=Markup(_STYLE),  # noqa: S704 - our own file
    )
    return page.encode()


def _block(block: Block, zone: ZoneInfo) -> dict[str, Any]:
    match block:
        case Table():
            return _table(block, zone)
        case Chart():
            return {
                "is": "chart",
                "title": clean(block.title),
                "note": clean(block.note),
                "pictures": [Markup(svg) for svg in chart.pictures(block)],  # noqa: S704 - texts in it are escaped
            }
        case Heading():
            return {"is": "heading", "text": clean(block.text), "anchor": clean(block.anchor)}
        case _:
            return {"is": "text", "lines": clean(block.text).split("\n"), "warning": block.warning}


def _table(table: Table, zone: ZoneInfo) -> dict[str, Any]:
    rows = table.rows if table.brief is None else table.brief

    def row(row: Row, over: Sequence[int]) -> dict[str, Any]:
        return {
            "strong": row.strong,
            "link": quote(clean(row.link)),
            "cells": [
                {
                    "text": words(c.kind, cell, zone),
                    "kind": "count" if c.kind in ("points", "wan", "wan_rounded") else c.kind,
                    "over": n,
                }
                for c, cell, n in zip(table.columns, row.cells, over, strict=True)
                if n
            ],
        }

    return {
        "is": "table",
        "title": clean(table.title),
        "anchor": clean(table.anchor),
        "note": clean(table.note),
        "empty": clean(table.empty),
        "left": len(table.rows) - len(rows),
        "long": len(rows) > _LONG,
        "heads": [head(column) for column in table.columns],
        "rows": [row(r, over) for r, over in zip(rows, spans(table, rows), strict=True)],
    }

"""DOCX as a county office hands in: margins and fonts of GB/T 9704, heads repeated on every page, charts as pictures.

WordprocessingML written directly: what does not change lies in `word/`. Fonts are named, not embedded: who has
方正小标宋简体, 黑体 and 仿宋_GB2312 sees them; `word/fontTable.xml` names what stands in for each elsewhere.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from xml.sax.saxutils import escape, quoteattr

from monitor.publish.documents import chart, pdf
from monitor.publish.documents.blocks import Chart, Document, Heading, Section, Table
from monitor.publish.documents.cells import clean
from monitor.publish.documents.layout import BOTTOM, LEFT, MM, PAGE, PORTRAIT, RIGHT, TOP, Laid, Piece, pieces

_FOLDER = Path(__file__).parent / "word"
_PICTURE, _PAGES = (Template((_FOLDER / f"{name}.xml").read_text("utf-8").strip()) for name in ("picture", "pages"))
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SPACES = " ".join(
    f'xmlns:{name}="http://schemas.openxmlformats.org/{place}"'
    for name, place in (
        ("w", "wordprocessingml/2006/main"),
        ("r", "officeDocument/2006/relationships"),
        ("wp", "drawingml/2006/wordprocessingDrawing"),
        ("a", "drawingml/2006/main"),
        ("pic", "drawingml/2006/picture"),
    )
)
#: A table's cells by what they hold; other kinds stand to the right.
_SIDES = {"text": "left", "instant": "center", "day": "center"}
_EMU = 12_700  # of a point
#: `layout.PADDING` reckons with these. In each table: LibreOffice does not take them from the default style.
_MARGINS = '<w:tblCellMar><w:left w:w="60" w:type="dxa"/><w:right w:w="60" w:type="dxa"/></w:tblCellMar>'
_PARTS = (
    ("styles", "styles.xml"),
    ("settings", "settings.xml"),
    ("fontTable", "fontTable.xml"),
    ("header", "header.xml"),
    ("footer", "footer_odd.xml"),
    ("footer", "footer_even.xml"),
)
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def render(document: Document) -> bytes:
    """The document for Word, WPS and LibreOffice; the same bytes each time."""
    runs = list(pieces(document))
    charts = [piece for _, run in runs for piece in run if isinstance(piece, Chart)]
    drawn = [chart.pictures(piece) for piece in charts]
    pngs = iter(pdf.raster([picture for pictures in drawn for picture in pictures]))
    shown = {id(c): [next(pngs) for _ in pictures] for c, pictures in zip(charts, drawn, strict=True)}
    media: list[bytes] = []
    aside = round((PORTRAIT - pdf.title_width(clean(document.title))) / 2 * 20)
    body = [_paragraph(document.title, "Title", f'<w:ind w:left="{aside}" w:right="{aside}"/>')]
    body += [_paragraph(f"{name}：{value}", "Field") for name, value in document.fields]
    turned = False
    for wide, run in runs:
        if wide != turned:
            body.append(_turn(turned))
            turned = wide
        for piece in run:
            body += _piece(piece, shown, media)
    if turned:
        body.append(_turn(turned))
    for line in document.signed():
        body.append(_paragraph(line, "Sign"))
    body.append(_paragraph(document.made_by, "Note"))
    text = f"{_XML}<w:document {_SPACES}><w:body>{''.join(body)}{_section(document.wide)}</w:body></w:document>"
    return _packed(document, text, media)


def _text(text: str, run: str = "") -> str:
    """Runs of text; `run`: their properties. Ambiguous characters (quotes, dashes) take the Chinese font."""
    lines = escape(clean(text)).replace("\t", "</w:t><w:tab/><w:t xml:space='preserve'>").split("\n")
    inner = "<w:br/>".join(f"<w:t xml:space='preserve'>{line}</w:t>" for line in lines)
    return f'<w:r><w:rPr><w:rFonts w:hint="eastAsia"/>{run}</w:rPr>{inner}</w:r>'


def _paragraph(text: str, style: str, more: str = "") -> str:
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/>{more}</w:pPr>{_text(text)}</w:p>'


def _piece(piece: Piece, shown: dict[int, list[bytes]], media: list[bytes]) -> list[str]:
    match piece:
        case Section():
            return [_paragraph(piece.title, "Heading1")]
        case Heading():
            return [_paragraph(piece.text, "Heading2")]
        case Chart():
            made = [_paragraph(piece.title, "Caption")]
            for png in shown[id(piece)]:
                media.append(png)
                made.append(_picture(piece.title, png, len(media)))
            return [*made, _paragraph(piece.note, "Note")] if piece.note else made
        case Laid():
            return _table(piece)
        case Table():  # laid out by now
            raise TypeError(piece)
        case _:
            if piece.warning:
                return [_paragraph(piece.text, "Warning")]
            return [_paragraph(line, "Body") for line in clean(piece.text).split("\n")]


def _table(laid: Laid) -> list[str]:
    table = laid.table
    made = [_paragraph(table.title, "Caption")] if table.title else []
    if not laid.rows:
        made.append(_paragraph(table.empty, "Note", '<w:jc w:val="center"/>'))
    else:
        made.append(_grid(laid))
    if laid.left:
        made.append(_paragraph(f"此处列出 {len(laid.rows)} 行，其余 {laid.left} 行见电子表格（XLSX）。", "Note"))
    # Word joins tables that nothing stands between.
    made.append(_paragraph(table.note, "Note") if table.note else _paragraph("", "Turn"))
    return made


def _grid(laid: Laid) -> str:
    size = f'<w:sz w:val="{round(laid.size * 2)}"/><w:szCs w:val="{round(laid.size * 2)}"/>'
    strong = f'<w:rFonts w:hint="eastAsia" w:eastAsia="黑体"/>{size}'
    plain = f'<w:rFonts w:hint="eastAsia"/>{size}'
    widths = [round(width * 20) for width in laid.widths]
    sides = [_SIDES.get(column.kind, "right") for column in laid.table.columns]
    edges = "".join(
        f'<w:{edge} w:val="single" w:sz="4" w:space="0" w:color="auto"/>'
        for edge in ("top", "left", "bottom", "right", "insideH", "insideV")
    )

    def row(cells: Sequence[str], sides: Sequence[str], look: str, properties: str, spans: Sequence[int]) -> str:
        made = []
        for text, side, width, over in zip(cells, sides, widths, spans, strict=True):
            merged = "" if over == 1 else '<w:vMerge w:val="restart"/>' if over else "<w:vMerge/>"
            text = text if over else ""
            inner = _text(text).replace('<w:rFonts w:hint="eastAsia"/>', look, 1)
            made.append(
                f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/>{merged}<w:vAlign w:val="center"/></w:tcPr>'
                f'<w:p><w:pPr><w:pStyle w:val="Cell"/><w:jc w:val="{side}"/></w:pPr>{inner}</w:p></w:tc>'
            )
        return f"<w:tr><w:trPr>{properties}</w:trPr>{''.join(made)}</w:tr>"

    rows = [row(laid.heads, ["center"] * len(widths), strong, "<w:cantSplit/><w:tblHeader/>", [1] * len(widths))]
    for (cells, is_sum, tall), spans in zip(laid.rows, laid.spans, strict=True):
        rows.append(row(cells, sides, strong if is_sum else plain, "" if tall else "<w:cantSplit/>", spans))
    columns = "".join(f'<w:gridCol w:w="{width}"/>' for width in widths)
    return (
        f'<w:tbl><w:tblPr><w:tblW w:w="{sum(widths)}" w:type="dxa"/><w:jc w:val="center"/><w:tblBorders>{edges}'
        f'</w:tblBorders><w:tblLayout w:type="fixed"/>{_MARGINS}</w:tblPr><w:tblGrid>'
        f"{columns}</w:tblGrid>{''.join(rows)}</w:tbl>"
    )


def _picture(title: str, png: bytes, n: int) -> str:
    """As wide as the text."""
    across, down = struct.unpack(">LL", png[16:24])
    wide = round(PORTRAIT * _EMU)
    size = f'cx="{wide}" cy="{wide * down // across}"'
    named = f'id="{n}" name="chart{n}" descr={quoteattr(clean(title).replace(chr(10), " "))}'
    return _PICTURE.substitute(size=size, named=named, part=f"chart{n}")


def _section(wide: bool) -> str:
    """The pages up to here: upright, or turned with the margins turned along."""
    across, down = PAGE[::-1] if wide else PAGE
    top, right, bottom, left = (LEFT, TOP, RIGHT, BOTTOM) if wide else (TOP, RIGHT, BOTTOM, LEFT)
    turned = ' w:orient="landscape"' if wide else ""

    places = dict(across=across, down=down, top=top, right=right, bottom=bottom, left=left, head=15 * MM, foot=18 * MM)
    return _PAGES.substitute({name: round(points * 20) for name, points in places.items()}, turned=turned)


def _turn(was_wide: bool) -> str:
    """The end of a run of pages, in a paragraph of no height, so that it never makes a page of its own."""
    return f'<w:p><w:pPr><w:pStyle w:val="Turn"/>{_section(was_wide)}</w:pPr></w:p>'


def _footer(side: str) -> str:
    number = '<w:fldSimple w:instr=" PAGE "><w:r><w:t>1</w:t></w:r></w:fldSimple>'
    inner = f"{_text('— ')}{number}{_text(' —')}"
    look = f'<w:pPr><w:pStyle w:val="Page"/><w:jc w:val="{side}"/></w:pPr>'
    return f"{_XML}<w:ftr {_SPACES}><w:p>{look}{inner}</w:p></w:ftr>"


def _packed(document: Document, text: str, media: Sequence[bytes]) -> bytes:
    at = datetime.fromtimestamp((document.as_of or 0) // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    dated = "".join(
        f'<dcterms:{when} xsi:type="dcterms:W3CDTF">{at}</dcterms:{when}>' for when in ("created", "modified")
    )
    # An empty paragraph would have a frame around nothing.
    marks = _paragraph("　".join(document.marks), "Mark") if document.marks else "<w:p/>"
    core = (
        f'{_XML}<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<dc:title>{escape(clean(document.title))}</dc:title>{dated}</cp:coreProperties>"
    )
    relations = [f'<Relationship Id="{name}" Type="{_RELATION}/{kind}" Target="{name}"/>' for kind, name in _PARTS]
    relations += [
        f'<Relationship Id="chart{n}" Type="{_RELATION}/image" Target="media/chart{n}.png"/>'
        for n in range(1, len(media) + 1)
    ]
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": (_FOLDER / "content_types.xml").read_bytes(),
        "_rels/.rels": (_FOLDER / "package_rels.xml").read_bytes(),
        "docProps/core.xml": core,
        "word/document.xml": text,
        "word/_rels/document.xml.rels": (
            f'{_XML}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f"{''.join(relations)}</Relationships>"
        ),
        **{f"word/{name}": (_FOLDER / name).read_bytes() for name in ("styles.xml", "settings.xml", "fontTable.xml")},
        "word/header.xml": f"{_XML}<w:hdr {_SPACES}>{marks}</w:hdr>",
        "word/footer_odd.xml": _footer("right"),
        "word/footer_even.xml": _footer("left"),
        **{f"word/media/chart{n}.png": png for n, png in enumerate(media, 1)},
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            # A fixed date and origin: otherwise the clock and the machine stand in the bytes.
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.compress_type = 0, zipfile.ZIP_DEFLATED
            archive.writestr(entry, part)
    return made.getvalue()

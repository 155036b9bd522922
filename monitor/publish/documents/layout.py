"""How a document lies on paper, for PDF and DOCX alike: which tables need a landscape page, in what size, how wide each
column is, so that nothing is cut off. Lengths are points (1/72 inch)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from monitor.publish.documents.blocks import Block, Chart, Document, Heading, Row, Section, Table, on_paper
from monitor.publish.documents.cells import head, spans, words
from monitor.publish.documents.fonts import shown, width

MM = 72 / 25.4
#: GB/T 9704: A4, 37 mm above, 35 below, 28 at the back, 26 at the edge; a landscape page is the same page turned.
PAGE = (210 * MM, 297 * MM)
TOP, BOTTOM, LEFT, RIGHT = 37 * MM, 35 * MM, 28 * MM, 26 * MM
PORTRAIT = PAGE[0] - LEFT - RIGHT
LANDSCAPE = PAGE[1] - TOP - BOTTOM
#: Room beside the text of a cell: both sides and the line.
PADDING = 7.0
#: Latin letters and digits may be wider than ours in the font that a word processor puts in place of one that it lacks.
_SLACK = 1.25
#: Tried in this order: 五号, 小五 on an upright page, then on a turned one down to 七号.
_SIZES = ((PORTRAIT, 10.5), (PORTRAIT, 9.0), (LANDSCAPE, 9.0), (LANDSCAPE, 8.0), (LANDSCAPE, 7.0), (LANDSCAPE, 5.5))
#: A table that is not to turn the page (`Table.upright`) takes several lines in a cell, and 小六, before it does.
UPRIGHT = 9.0
_UPRIGHT_SIZES = (*_SIZES[:2], (PORTRAIT, 8.0), *_SIZES[2:])
#: In a document that is all landscape.
_WIDE_SIZES = tuple((LANDSCAPE, size) for size in (10.5, 9.0, 8.0, 7.0, 5.5))
#: Longer unbroken runs than this get places to break (digests).
LONGEST = 24
_RUN = re.compile(r"[^\s\u2e80-\ufaff\uff00-\uffef\U00020000-\U0003ffff]+")
#: A row taller than this may go over a page's end: on a turned page no taller one has room below a heading.
_TALL = 90 * MM


@dataclass(frozen=True, slots=True)
class Laid:
    """A table in words. `rows`: cells, whether it is a sum, and whether it may be split over pages."""

    table: Table
    wide: bool
    size: float
    widths: Sequence[float]
    heads: Sequence[str]
    rows: Sequence[tuple[Sequence[str], bool, bool]]
    left: int  # how many rows only the workbook has
    spans: Sequence[Sequence[int]]  # of each cell the rows that it stands over (cells.spans)


Piece = Section | Heading | Chart | Laid | Block


def pieces(document: Document) -> Iterator[tuple[bool, list[Piece]]]:
    """The body as runs of pages, as the document lies or turned to landscape. Headings go along with the table that
    they stand above."""
    document = on_paper(document)
    zone = ZoneInfo(document.timezone)
    flat: list[Piece] = [_laid(block, zone, document.wide) for block in document.lead]
    for section in document.sections:
        flat.append(section)
        flat += [_laid(block, zone, document.wide) for block in section.blocks]
    run: list[Piece] = []
    turned = False
    for i, piece in enumerate(flat):
        following = next((p for p in flat[i:] if not isinstance(p, Section | Heading)), None)
        wide = following.wide and not document.wide if isinstance(following, Laid) else False
        if run and wide != turned:
            yield turned, run
            run = []
        turned = wide
        run.append(piece)
    if run:
        yield turned, run


def softened(text: str) -> str:
    """With places to break (U+200B) in runs that are longer than a line of a narrow column may be."""
    if len(text) <= LONGEST:
        return text
    return _RUN.sub(lambda m: "\u200b".join(re.findall(".{1,8}", m[0])) if len(m[0]) > LONGEST else m[0], text)


def _laid(block: Block, zone: ZoneInfo, is_wide: bool) -> Piece:
    if not isinstance(block, Table):
        return block
    rows = block.rows if block.brief is None else block.brief
    heads = [head(column) for column in block.columns]
    cells = [_words(block, row, zone) for row in rows]
    # Measured as PDF shows them; a word processor has fonts of its own, which are about as wide.
    seen = [[shown(cell) for cell in row] for row in cells]
    sizes = _WIDE_SIZES if is_wide else _UPRIGHT_SIZES if block.upright else _SIZES
    wide, size, widths = _fit(block, rows, [shown(title) for title in heads], seen, sizes)
    tall = [_height(row, size, widths) > _TALL for row in seen]
    laid = [(c, row.strong, t) for c, row, t in zip(cells, rows, tall, strict=True)]
    return Laid(block, wide, size, widths, heads, laid, len(block.rows) - len(rows), spans(block, rows))


def _words(table: Table, row: Row, zone: ZoneInfo) -> list[str]:
    return [words(c.kind, cell, zone) for c, cell in zip(table.columns, row.cells, strict=True)]


def _fit(
    table: Table,
    rows: Sequence[Row],
    heads: Sequence[str],
    seen: Sequence[Sequence[str]],
    sizes: Sequence[tuple[float, float]],
) -> tuple[bool, float, list[float]]:
    """Orientation, size and widths: the first size at which every column has room for its longest unbroken run, and a
    line for most of its cells."""
    if not rows:
        return False, _SIZES[0][1], []
    needs, likes = [], []
    for i, (column, title) in enumerate(zip(table.columns, heads, strict=True)):
        cells = [row[i] for row in seen]
        # A length of time reads badly in two lines, and so does a short word; a head may have two.
        whole = [
            _loose(c) if column.kind == "length" and isinstance(r.cells[i], int) else max(_run(c), _word(c))
            for c, r in zip(cells, rows, strict=True)
        ]
        need = max([_run(title), min(width(title), max(3.0, width(title) / 2)), *whole])
        needs.append(need)
        # Nine of ten cells in one line: a single long name does not take the room of the others.
        usual = sorted(width(cell) for cell in cells)[len(cells) * 9 // 10 :][:1] or [0.0]
        likes.append(max(need, min(usual[0], 20.0), min(width(title), 4.0)))
    for room, size in sizes:
        least = sum(needs) * size + PADDING * len(needs)
        if size < 8.0 and least <= room:
            break
        ease = (5.0 if table.upright and size <= UPRIGHT else 1.3) if room == PORTRAIT else 1.2
        if least <= room and sum(likes) * size + PADDING * len(likes) <= room * ease:
            break
    space = room - PADDING * len(needs) - sum(needs) * size
    if space < 0:  # even the smallest has no room: all columns give way alike
        scale = room / least
        return room != PORTRAIT, size, [(need * size + PADDING) * scale for need in needs]
    more = [(like - need + 0.2) * column.width for like, need, column in zip(likes, needs, table.columns, strict=True)]
    share = space / sum(more)
    return room != PORTRAIT, size, [n * size + PADDING + m * share for n, m in zip(needs, more, strict=True)]


def _run(text: str) -> float:
    """The longest piece that cannot be broken, in sizes."""
    runs = _RUN.findall(text)
    return max((width(run if len(run) <= LONGEST else run[:8]) * _SLACK for run in runs), default=1.0)


def _loose(text: str) -> float:
    """All of it in one line; Chinese characters are as wide in every font."""
    return width(text) + (_SLACK - 1) * sum(width(run) for run in _RUN.findall(text))


def _word(text: str) -> float:
    """A name of up to four characters stays in one piece."""
    return least if (least := width(text)) <= 4 else 2.0


def _height(cells: Sequence[str], size: float, widths: Sequence[float]) -> float:
    lines = max(
        (sum(int(width(line) * size / max(room - PADDING, size)) + 1 for line in cell.split("\n")))
        for cell, room in zip(cells, widths, strict=True)
    )
    return lines * size * 1.5

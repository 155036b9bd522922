"""Charts as SVG, drawn by hand: the same picture in HTML, PDF and DOCX.

Told apart without colour, too, by dashes, marks and shades, because offices print in black and white. Only
attributes, no style: a page's content policy allows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from monitor.core.money import in_yuan
from monitor.publish.documents import cells, fonts
from monitor.publish.documents.blocks import Chart, Kind

FAMILY = "'Noto Sans SC','Noto Sans CJK SC','Microsoft YaHei','SimHei',sans-serif"
WIDTH = 720
#: Rows of a heat map in one picture: what a page holds and still can be read.
ROWS = 46
#: From which value on a shade holds, hundredths of a percent: darker is worse, also in black and white.
SHADES = (
    (10_000, "#f1f7f1"),
    (9_900, "#d3e5d3"),
    (9_500, "#f0d58c"),
    (9_000, "#df9a55"),
    (5_000, "#b3492a"),
    (0, "#541212"),
)
UNKNOWN = -2  # as in ReportFacts.heat
INKS = ("#1f4e79", "#c0504d", "#4f7f3a", "#7a5195", "#8a6d1d", "#3b3b3b")
FILLS = (INKS[0], "#fff", "#c4c4c4", "#7f7f7f")
_DASHES = ("", "7 3", "2 3", "10 3 2 3", "4 2", "1 2")
_HOUR = 3_600_000
#: Of lengths a person counts in seconds, minutes, hours and days.
_LENGTHS = [s * 1000 for s in (1, 5, 15, 30, 60, 300, 900, 1800)] + [h * _HOUR for h in (1, 2, 6, 12, 24, 48, 120)]


def pictures(chart: Chart) -> list[str]:
    """The chart as SVG pictures with text in `fonts.SANS`: one, or several where a heat map has more rows than fit."""
    match chart.form:
        case "line" | "bar":
            return [_axes(chart)]
        case "heat":
            rows = list(chart.series.items())
            parts = [rows[i : i + ROWS] for i in range(0, len(rows), ROWS)] or [[]]
            return [_heat(chart, part) for part in parts]


def _svg(height: float, body: Sequence[str], title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        f'role="img" font-family="{FAMILY}" font-size="12" fill="#000"><title>{_text(title)}</title>'
        f"{''.join(body)}</svg>"
    )


def _text(text: str) -> str:
    return escape(fonts.shown(text).replace("\n", " "))


def _put(x: float, y: float, text: str, anchor: str = "start", size: float = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}">{_text(text)}</text>'


def _cut(text: str, room: float, size: float) -> str:
    """The text, or as much of it as fits with …; the table beside the chart has it whole."""
    if fonts.width(fonts.shown(text)) * size <= room:
        return text
    while text and (fonts.width(fonts.shown(text)) + 1) * size > room:
        text = text[:-1]
    return text + "…"


def tick(value: int, kind: Kind) -> str:
    """A value at an axis, short."""
    match kind:
        case "percent":
            return cells.percent(value).replace(".00%", "%")
        case "length":
            return cells.length(value) if value else "0"
        case "yuan":
            return in_yuan(value).removesuffix(".00")
        case _:
            return f"{value:,}"


def ticks(values: Sequence[int], kind: Kind, form: str) -> list[int]:
    """Round values, four to eight, from below the least to above the greatest; bars begin at 0."""
    low, high = min(values, default=0), max(values, default=0)
    if form == "bar" or low < 0:
        low, high = min(low, 0), max(high, 0)
    elif kind == "percent":
        low = min(low, high - 100)
    elif low > 0 and low < high / 2:
        low = 0
    if low == high:
        high = low + 1
    step = _step((high - low) / 5, kind)
    first, last = low // step, -(-high // step)
    return [i * step for i in range(first, last + 1)]


def _step(least: float, kind: Kind) -> int:
    """The least round number that is no less."""
    if kind == "length" and least <= _LENGTHS[-1]:
        return next(step for step in _LENGTHS if step >= least)
    power = 10 * 24 * _HOUR if kind == "length" else 1
    while 5 * power < least:
        power *= 10
    return next(factor * power for factor in (1, 2, 5) if factor * power >= least)


def _axes(chart: Chart) -> str:
    """Lines or bars over named places."""
    values = [v for series in chart.series.values() for v in series if v is not None]
    marks = ticks(values, chart.kind, chart.form)
    legend, top = _legend(list(chart.series), chart.form) if len(chart.series) > 1 else ([], 14.0)
    left = max(fonts.width(tick(m, chart.kind)) for m in marks) * 12 + 14
    right = WIDTH - 14
    base = top + 230
    slot = (right - left) / max(len(chart.labels), 1)
    zero = max(0, marks[0])

    def y(value: float) -> float:
        return base - (value - marks[0]) / (marks[-1] - marks[0]) * (base - top)

    body = list(legend)
    for mark in marks:
        ink = "#000" if mark == zero else "#bbb"
        body.append(f'<path d="M{left:.1f} {y(mark):.1f}H{right}" stroke="{ink}" stroke-width="0.7"/>')
        body.append(_put(left - 6, y(mark) + 4, tick(mark, chart.kind), "end"))
    for n, series in enumerate(chart.series.values()):
        points = [(left + slot * (i + 0.5), v) for i, v in enumerate(series[: len(chart.labels)])]
        if chart.form == "bar":
            body += _bars(n, len(chart.series), points, slot, y, chart.kind)
        else:
            body += _line(n, points, y)
    height, names = _names(chart, left, base, slot)
    if not values:
        body.append(_put((left + right) / 2, (top + base) / 2, "没有数据", "middle", 14))
    return _svg(height, [*body, *names], chart.title)


def _legend(names: Sequence[str], form: str) -> tuple[list[str], float]:
    """What each series looks like, above; and where the picture goes on."""
    made: list[str] = []
    x, y = 10.0, 14.0
    for n, name in enumerate(names):
        text = _cut(name, 300, 12)
        need = fonts.width(fonts.shown(text)) * 12 + 50
        if x + need > WIDTH and x > 10:
            x, y = 10.0, y + 20
        made.append(_swatch(n, x, y, form))
        made.append(_put(x + 34, y, text))
        x += need
    return made, y + 20


def _swatch(n: int, x: float, y: float, form: str) -> str:
    if form == "bar":
        place = f'x="{x:.1f}" y="{y - 10:.1f}" width="28" height="12"'
        return f'<rect {place} fill="{FILLS[n % 4]}" stroke="#333" stroke-width="0.7"/>'
    dash = f' stroke-dasharray="{_DASHES[n % 6]}"' if n % 6 else ""
    line = f'<path d="M{x:.1f} {y - 4:.1f}h28" stroke="{INKS[n % 6]}" stroke-width="1.8"{dash}/>'
    return line + _mark(n, x + 14, y - 4)


def _names(chart: Chart, left: float, base: float, slot: float) -> tuple[float, list[str]]:
    """Names below the axis, and how high the picture is: level where they fit; else every so many, or turned."""
    longest = max((fonts.width(fonts.shown(label)) * 12 for label in chart.labels), default=0.0) + 8
    made = []
    if chart.form == "bar" and longest > slot:
        room = min(longest, 150.0)
        for i, label in enumerate(chart.labels):
            x, at = left + slot * (i + 0.5) + 4, base + 14
            place = f'x="{x:.1f}" y="{at:.1f}" transform="rotate(-40 {x:.1f} {at:.1f})"'
            made.append(f'<text {place} text-anchor="end">{_text(_cut(label, room, 12))}</text>')
        return base + 24 + room * 0.66, made
    every = max(1, -int(-longest // slot))
    for i, label in enumerate(chart.labels):
        x = left + slot * (i + 0.5)
        if i % every == 0:
            made.append(f'<path d="M{x:.1f} {base:.1f}v4" stroke="#000" stroke-width="0.7"/>')
            made.append(_put(x, base + 18, label, "middle"))
    return base + 28, made


def _line(n: int, points: Sequence[tuple[float, int | None]], y: Callable[[float], float]) -> Iterator[str]:
    """Nothing is drawn over a gap; each point has a mark, so that a lonely one is seen."""
    ink, dash = INKS[n % 6], f' stroke-dasharray="{_DASHES[n % 6]}"' if n % 6 else ""
    line = f'stroke="{ink}" stroke-width="1.8" fill="none"{dash}'
    path, drawing = "", False
    for x, value in points:
        if value is not None:
            path += f"{'L' if drawing else 'M'}{x:.1f} {y(value):.1f}"
        drawing = value is not None
    if path:
        yield f'<path d="{path}" {line}/>'
    yield from (_mark(n, x, y(value)) for x, value in points if value is not None)


def _mark(n: int, x: float, y: float) -> str:
    ink = INKS[n % 6]
    match n % 3:
        case 0:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{ink}"/>'
        case 1:
            return f'<path d="M{x - 3:.1f} {y - 3:.1f}h6v6h-6z" fill="#fff" stroke="{ink}" stroke-width="1.5"/>'
        case _:
            return f'<path d="M{x:.1f} {y - 4:.1f}l4 7h-8z" fill="{ink}"/>'


def _bars(
    n: int, of: int, points: Sequence[tuple[float, int | None]], slot: float, y: Callable[[float], float], kind: Kind
) -> Iterator[str]:
    """Bars from zero, with their figures above where these fit; the second of two series empty."""
    wide = min(slot * 0.7 / of, 48.0)
    fill = FILLS[n % 4]
    for x, value in points:
        if value is None:
            continue
        left, top, bottom = x - wide * of / 2 + n * wide, min(y(value), y(0)), max(y(value), y(0))
        place = f'x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{bottom - top:.1f}"'
        yield f'<rect {place} fill="{fill}" stroke="#333" stroke-width="0.7"/>'
        figure = tick(value, kind)
        if fonts.width(figure) * 11 < slot / of:
            yield _put(left + wide / 2, top - 4, figure, "middle", 11)


def _heat(chart: Chart, rows: Sequence[tuple[str, Sequence[int | None]]]) -> str:
    """Shades by value; struck through where nothing is known, empty where there was nothing to count."""
    legend, top = _shades()
    left = min(max((fonts.width(fonts.shown(name)) * 11 for name, _ in rows), default=0.0), 230.0) + 10
    cell = (WIDTH - left - 10) / max(len(chart.labels), 1)
    tall = 17.0
    every = max(1, -int(-max((fonts.width(label) * 10 + 4 for label in chart.labels), default=0.0) // cell))
    body, struck = [*legend], ""
    for i in range(0, len(chart.labels), every):
        body.append(_put(left + cell * (i + 0.5), top + 8, chart.labels[i], "middle", 10))
    top += 13
    for n, (name, values) in enumerate(rows):
        y = top + n * tall
        body.append(_put(left - 6, y + 12.5, _cut(name, left - 10, 11), "end", 11))
        for i, value in enumerate(values[: len(chart.labels)]):
            fill = shade(value)
            if value == UNKNOWN:
                struck += _strokes(left + i * cell, y, cell, tall)
            if fill:
                place = f'x="{left + i * cell:.1f}" y="{y:.1f}" width="{cell:.1f}" height="{tall:.1f}"'
                body.append(f'<rect {place} fill="{fill}" stroke="#999" stroke-width="0.4"/>')
    body.append(f'<path d="{struck}" stroke="#555" stroke-width="0.6"/>')
    if not rows:
        body.append(_put(WIDTH / 2, top + 12, "没有数据", "middle", 14))
    return _svg(top + max(len(rows), 1) * tall + 6, body, chart.title)


def _strokes(x: float, y: float, wide: float, tall: float) -> str:
    """Three slanting lines, which say that nothing is known. No pattern: what prints makes a picture of each."""
    slant = min(wide, tall) * 0.25
    return "".join(
        f"M{x + wide * at - slant:.1f} {y + tall:.1f}L{x + wide * at + slant:.1f} {y:.1f}" for at in (0.3, 0.5, 0.7)
    )


def shade(value: int | None) -> str:
    """The fill of a heat map's cell; empty where there was nothing to count."""
    if value == UNKNOWN:
        return "#fff"
    if value is None or value < 0:
        return ""
    return next(colour for least, colour in SHADES if value >= least)


def _shades() -> tuple[list[str], float]:
    """The legend of a heat map, and where the picture goes on."""
    names = ["100%", *(f"≥{least // 100}%" for least, _ in SHADES[1:-1]), f"<{SHADES[-2][0] // 100}%", "未知（斜线）"]
    made, x = [], 10.0
    for name, fill in zip(names, [*(colour for _, colour in SHADES), "#fff"], strict=True):
        made.append(f'<rect x="{x:.1f}" y="4" width="20" height="13" fill="{fill}" stroke="#999" stroke-width="0.5"/>')
        if name.startswith("未知"):
            made.append(f'<path d="{_strokes(x, 4, 20, 13)}" stroke="#555" stroke-width="0.6"/>')
        made.append(_put(x + 25, 15, name, size=11))
        x += 40 + fonts.width(name) * 11
    made.append(_put(x, 15, "空白：无须计算", size=11))
    return made, 34.0

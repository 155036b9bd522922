"""How figures are written for people: percentages that never flatter, and lengths of time in Chinese."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from math import isfinite

NO_FIGURE = "—"


#: What a spreadsheet may take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def guarded(text: str) -> str:
    """A cell of CSV that no spreadsheet takes for a formula: one that begins like it gets an apostrophe before it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def unguarded(text: str) -> str:
    """The cell as it was before `guarded`."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def percent(ratio: float | None, digits: int = 2) -> str:
    """A ratio as `99.99%`, cut and never rounded up: 0.999996 is not 100%. None and NaN give a dash.

    Cutting goes by the shortest decimal that is this float, so 0.29 gives 29.00 and not 28.99. A rate above
    100% stays above it.
    """
    if ratio is None or not isfinite(ratio):
        return NO_FIGURE
    cut = (Decimal(repr(ratio)) * 100).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_FLOOR)
    return f"{cut}%"


def length(ms: int) -> str:
    """A length of time in its two largest units, cut: `3天4小时`, `12分钟`, `45秒`. Negative counts as 0."""
    seconds = max(ms, 0) // 1000
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes = rest // 60
    if days:
        return f"{days}天{hours}小时" if hours else f"{days}天"
    if hours:
        return f"{hours}小时{minutes}分" if minutes else f"{hours}小时"
    return f"{minutes}分钟" if minutes else f"{seconds}秒"

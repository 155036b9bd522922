"""Money: whole fen inside, `Decimal` yuan at the edges, never a float (docs/ledger.md, Amounts)."""

from __future__ import annotations

import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal

#: Ten thousand 亿元: above this it is a slip of the pen, and every sum of such amounts still fits the database.
MAX_FEN = 10**14
_AMOUNT = re.compile(r"[￥¥]?([+-]?)[￥¥]?(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{0,9}))?(万元|万|元)?", re.ASCII)
# What width folding leaves alone: the Chinese minus and the signs that spreadsheets put in its place.
_SIGNS = str.maketrans({"−": "-", "–": "-", "—": "-"})


def parse_fen(text: str) -> int:
    """Fen of '1,234.50', '￥1234.5', '1,234.50元', '25万元', '-3.00'; full-width digits and signs are read as narrow.

    Raises ValueError, in Chinese, where it is no amount, is no whole number of fen, or is too large.
    """
    plain = "".join(unicodedata.normalize("NFKC", text).translate(_SIGNS).split())
    match = _AMOUNT.fullmatch(plain)
    if match is None or len(plain) > 40:
        raise ValueError(f"应为金额，如 1,234.50 或 25万元，实为 {_shown(text)}")
    sign, whole, fraction, unit = match.groups()
    scale = 6 if unit in ("万元", "万") else 2
    digits = (fraction or "").ljust(scale, "0")
    if digits[scale:].strip("0"):
        raise ValueError(f"金额应精确到分，实为 {_shown(text)}")
    fen = int(whole.replace(",", "") + digits[:scale])
    if fen > MAX_FEN:
        raise ValueError(f"金额过大，最多 {in_yuan(MAX_FEN)} 元，实为 {_shown(text)}")
    return -fen if sign == "-" else fen


def yuan(fen: int) -> Decimal:
    """Exact yuan, two decimals: 123450 -> Decimal('1234.50')."""
    return Decimal(fen).scaleb(-2)


def in_yuan(fen: int) -> str:
    """'1,234.50'; negative with a minus."""
    return f"{yuan(fen):,.2f}"


def in_wan(fen: int, places: int = 2, rounding: str = ROUND_HALF_UP) -> str:
    """万元 at so many decimals, rounded as the decimal module names it: 25000000 -> '25.00'.

    Rounds for showing only: what is printed in 万元 never goes back into a sum.
    """
    value = Decimal(fen).scaleb(-6).quantize(Decimal(1).scaleb(-places), rounding=rounding)
    return f"{value:,.{places}f}"


def in_wan_exactly(fen: int) -> str:
    """万元 without rounding and without zeros at the end: 25000000 is '25万元', 1234567 '1.234567万元'."""
    text = f"{Decimal(fen).scaleb(-6):f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}万元"


def in_percent(part: int, whole: int) -> str | None:
    """'99.99': cut, never rounded up, so that 100.00 is only said of the whole; None where the whole is 0."""
    if whole == 0:
        return None
    hundredths = abs(part) * 10_000 // abs(whole)
    return f"{'-' if (part < 0) != (whole < 0) and hundredths else ''}{hundredths // 100}.{hundredths % 100:02d}"


def _shown(text: str) -> str:
    return repr(text[:40]) if text else "空"

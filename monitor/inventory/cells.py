"""What a cell means: ids, names, dates, numbers.

Each function raises ValueError with what was expected and what stands there. Full-width digits, letters and
punctuation are read as the narrow ones, except in names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import date
from decimal import Decimal

#: An id goes into MQTT topics, user names and URLs: no `/`, `+`, `#`, `$`, spaces or control characters.
MAX_ID = 64
_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_ID - 1}}}")
MAX_NAME = 100
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})-|/(\d{1,2})/|\.(\d{1,2})\.|年(\d{1,2})月)(\d{1,2})日?(?: 00?:00(?::00)?)?")
_NUMBER = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?")
#: Days outside are slips of the pen.
_YEARS = range(2000, 2100)
#: A month. Longer than this nothing could be called monitored.
MAX_SECONDS = 31 * 86_400
MAX_COUNT = 1_000


def shown(cell: str) -> str:
    """How a message quotes a cell."""
    return repr(cell[:80]) if cell else "nothing"


def narrow(cell: str) -> str:
    return unicodedata.normalize("NFKC", cell).strip()


def an_id(cell: str) -> str:
    """A site's id or a township's code."""
    text = narrow(cell)
    if not _ID.fullmatch(text):
        expected = f"letters, digits, '-', '_' and '.', beginning with a letter or digit, at most {MAX_ID}"
        raise ValueError(f"expected {expected}, found {shown(cell)}")
    return text


def a_name(cell: str) -> str:
    """A name as it was typed."""
    if not cell or len(cell) > MAX_NAME or any(unicodedata.category(c) == "Cc" for c in cell):
        raise ValueError(f"expected a name of at most {MAX_NAME} characters, found {shown(cell)}")
    return cell


def one_of(cell: str, allowed: Iterable[str]) -> str:
    """One of a few words, in any case and width."""
    words = list(allowed)
    text = narrow(cell).casefold()
    if text not in words:
        raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}, found {shown(cell)}")
    return text


def a_date(cell: str) -> date | None:
    """2026-10-01, 2026/10/1, 2026.10.1, 2026年10月1日; None for an empty cell."""
    if not cell:
        return None
    match = _DATE.fullmatch(narrow(cell))
    if match:
        year, *months, day = match.groups()
        month = next(m for m in months if m is not None)
        try:
            found = date(int(year), int(month), int(day))
        except ValueError:
            pass
        else:
            if found.year in _YEARS:
                return found
    years = f"a day from {_YEARS.start} to {_YEARS.stop - 1}"
    raise ValueError(f"expected {years} such as 2026-10-01 (or an empty cell), found {shown(cell)}")


def milliseconds(cell: str, *, zero: bool) -> int:
    """A number of seconds, decimals allowed, as milliseconds. `zero`: whether 0 is allowed."""
    text = narrow(cell)
    if _NUMBER.fullmatch(text):
        exact = Decimal(text.replace(",", "")) * 1000
        if exact == exact.to_integral_value() and (exact > 0 or zero) and exact <= MAX_SECONDS * 1000:
            return int(exact)
    least = "0 or more" if zero else "more than 0"
    limits = f"{least}, at most {MAX_SECONDS}, at most three decimals"
    raise ValueError(f"expected a number of seconds ({limits}), found {shown(cell)}")


def a_count(cell: str) -> int:
    """A whole number from 1."""
    text = narrow(cell)
    if _NUMBER.fullmatch(text):
        exact = Decimal(text.replace(",", ""))
        if exact == exact.to_integral_value() and 1 <= exact <= MAX_COUNT:
            return int(exact)
    raise ValueError(f"expected a whole number from 1 to {MAX_COUNT}, found {shown(cell)}")

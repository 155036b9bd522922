"""Periods of reports: a month `2026-10`, a quarter `2026-Q3`, a half year `2026-H1`, a year `2026`, and any days
`2026-03-01..2026-05-15`, the last one included. Days are local ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from typing import Literal

from monitor.core.days import start_of
from monitor.core.heartbeat import LATE_LIMIT_MS
from monitor.core.sites import Check
from monitor.core.timeline import Interval
from monitor.errors import MonitorError

Form = Literal["month", "quarter", "half", "year", "days"]

_MONTHS: dict[Form, int] = {"month": 1, "quarter": 3, "half": 6, "year": 12}
_FORMS = re.compile(
    r"(?P<year>(?:19|20)\d\d)(?:-(?:(?P<month>0[1-9]|1[0-2])|Q(?P<quarter>[1-4])|H(?P<half>[12])))?", re.ASCII
)
_DAY = r"(?:19|20)\d\d-\d\d-\d\d"
_DAYS = re.compile(rf"(?P<first>{_DAY})\.\.(?P<last>{_DAY})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """`name` as people write it; `last`: the last day, included."""

    name: str
    form: Form
    first: date
    last: date

    def interval(self, zone: tzinfo) -> Interval:
        """`[start, end)`, ms UTC."""
        return start_of(zone, self.first), start_of(zone, self.last, 1)

    def days(self) -> list[date]:
        """All of its days."""
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    @property
    def months(self) -> list[str]:
        """Its calendar months, `2026-10`; those of single days too, which they may hold in part only."""
        first, last = (12 * day.year + day.month - 1 for day in (self.first, self.last))
        return [f"{n // 12:04d}-{n % 12 + 1:02d}" for n in range(first, last + 1)]

    def earlier(self, months: int) -> Period | None:
        """The period of this form so many months earlier; None for single days, which have none."""
        if self.form == "days":
            return None
        at = 12 * self.first.year + self.first.month - 1 - months
        return _calendar(self.form, at // 12, at % 12 + 1)

    def before(self) -> Period | None:
        """The one before it."""
        return self.earlier(_MONTHS.get(self.form, 0))

    def year_before(self) -> Period | None:
        """The same a year earlier."""
        return self.earlier(12)


def month_of(day: date) -> Period:
    """The calendar month that holds a day."""
    return _calendar("month", day.year, day.month)


def parse(text: str) -> Period:
    """Raises MonitorError, in Chinese, for what is no period."""
    if found := _FORMS.fullmatch(text):
        year = int(found["year"])
        if found["month"]:
            return _calendar("month", year, int(found["month"]))
        if found["quarter"]:
            return _calendar("quarter", year, 3 * int(found["quarter"]) - 2)
        if found["half"]:
            return _calendar("half", year, 6 * int(found["half"]) - 5)
        return _calendar("year", year, 1)
    if found := _DAYS.fullmatch(text):
        try:
            first, last = date.fromisoformat(found["first"]), date.fromisoformat(found["last"])
        except ValueError:
            pass
        else:
            if first <= last:
                return Period(text, "days", first, last)
            raise MonitorError(f"期间：起始日不得晚于截止日，实为 {text!r}")
    expected = "2026-10、2026-Q3、2026-H1、2026 或 2026-03-01..2026-05-15"
    raise MonitorError(f"期间：应为 {expected}，实为 {text!r}")


def _calendar(form: Form, year: int, month: int) -> Period:
    names = {
        "month": f"{year:04d}-{month:02d}",
        "quarter": f"{year:04d}-Q{(month + 2) // 3}",
        "half": f"{year:04d}-H{(month + 5) // 6}",
        "year": f"{year:04d}",
    }
    following = 12 * year + month - 1 + _MONTHS[form]
    last = date(following // 12, following % 12 + 1, 1) - timedelta(days=1)
    return Period(names[form], form, date(year, month, 1), last)


def settles_at(end: int, checks: Iterable[Check]) -> int:
    """From when on a period that ends at `end` (ms) is settled, so that no late beat can change it (docs/rules.md §2):
    it stays provisional for as long as the most patient check waits, and a late beat may come within 72 hours."""
    return end + max((check.patience_ms for check in checks), default=0) + LATE_LIMIT_MS

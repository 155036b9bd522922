"""Which local days are working days (docs/rules.md §5). An unknown year is an error, not a guess."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from monitor.errors import MonitorError

_SATURDAY = 5


class WorkCalendar:
    """Working days of the years it was given. Days are local; nothing in it changes afterwards.

    `years` gives for each year the make-up working days and the days off. A day of such a year that is in
    neither list is a working day from Monday to Friday.
    """

    def __init__(self, years: Mapping[int, tuple[Iterable[date], Iterable[date]]]) -> None:
        self.years = frozenset(years)
        self._workdays = frozenset(day for workdays, _ in years.values() for day in workdays)
        self._holidays = frozenset(day for _, holidays in years.values() for day in holidays)

    def covers(self, year: int) -> bool:
        return year in self.years

    def is_workday(self, day: date) -> bool:
        """Raises MonitorError where the year of `day` is not covered."""
        if day.year not in self.years:
            raise MonitorError(
                f"no working-day calendar for {day.year} (needed for {day.isoformat()}); "
                f"expected [calendar.{day.year}] in monitor.toml with its workdays and holidays"
            )
        if day in self._workdays:
            return True
        return day not in self._holidays and day.weekday() < _SATURDAY

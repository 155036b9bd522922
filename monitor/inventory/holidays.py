"""The working-day calendar in force: the configuration's table for a year, else the one shipped (§5).

What is shipped comes from the chinesecalendar package, which knows the State Council's list of each year from
2004 up to the last one published when it was released.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache

from chinese_calendar import constants

from monitor.core.calendar import WorkCalendar
from monitor.errors import Mistake
from monitor.settings import Calendar

_DECEMBER = 12
_FIRST, _LAST = 2000, 2099


@lru_cache(maxsize=1)
def shipped_years() -> dict[int, tuple[frozenset[date], frozenset[date]]]:
    """Make-up working days and days off of each year that the product knows without configuration."""
    years = sorted({day.year for day in constants.holidays})
    return {
        year: (
            frozenset(day for day in constants.workdays if day.year == year),
            frozenset(day for day in constants.holidays if day.year == year),
        )
        for year in years
    }


def work_calendar(own: Mapping[int, Calendar]) -> WorkCalendar:
    """`own` is [calendar.YEAR] of monitor.toml. It replaces the shipped list of its year.

    A year's list may name days of the December before (the New Year's holiday of 2019 began on 2018-12-30):
    those are laid over that December, which stays as it was otherwise.
    """
    years = {year: (set(workdays), set(holidays)) for year, (workdays, holidays) in shipped_years().items()}
    for year, table in own.items():
        years[year] = (
            {day for day in table.workdays if day.year == year},
            {day for day in table.holidays if day.year == year},
        )
    for year, table in own.items():
        before = years.get(year - 1)
        if before is None:
            continue
        workdays, holidays = before
        for day in table.workdays:
            if day.year == year - 1:
                workdays.add(day)
                holidays.discard(day)
        for day in table.holidays:
            if day.year == year - 1:
                holidays.add(day)
                workdays.discard(day)
    return WorkCalendar(years)


def calendar_mistakes(own: Mapping[int, Calendar]) -> list[Mistake]:
    """What is wrong with [calendar.YEAR]: days of another year, days in both lists, impossible years."""
    mistakes: list[Mistake] = []

    def add(key: str, text: str) -> None:
        mistakes.append(Mistake("monitor.toml", 0, key, text))

    for year, table in sorted(own.items()):
        if not _FIRST <= year <= _LAST:
            add(f"calendar.{year}", f"expected a year from {_FIRST} to {_LAST}, found {year}")
            continue
        for name, days in (("workdays", table.workdays), ("holidays", table.holidays)):
            for day in days:
                if day.year != year and (day.year, day.month) != (year - 1, _DECEMBER):
                    expected = f"expected days of {year} or of the December before"
                    add(f"calendar.{year}.{name}", f"{expected}, found {day}")
        for day in sorted(set(table.workdays) & set(table.holidays)):
            add(f"calendar.{year}", f"{day} is both in workdays and in holidays; expected it in one of them")
    return mistakes

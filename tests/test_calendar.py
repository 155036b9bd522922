"""The working-day calendar: shipped years, the configuration's own, and no guess for the rest."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from monitor.core.calendar import WorkCalendar
from monitor.errors import MonitorError
from monitor.inventory.holidays import calendar_mistakes, shipped_years, work_calendar
from monitor.settings import Calendar


def test_a_covered_year_has_its_lists_and_else_monday_to_friday() -> None:
    calendar = WorkCalendar({2027: ([date(2027, 2, 14)], [date(2027, 1, 1)])})
    assert calendar.covers(2027)
    assert calendar.is_workday(date(2027, 2, 14))  # a Sunday that is made up for
    assert not calendar.is_workday(date(2027, 1, 1))  # a Friday off
    assert calendar.is_workday(date(2027, 1, 4))
    assert not calendar.is_workday(date(2027, 1, 9))


def test_an_uncovered_year_is_said_not_guessed() -> None:
    calendar = work_calendar({})
    with pytest.raises(MonitorError) as error:
        calendar.is_workday(date(2031, 3, 4))
    assert str(error.value) == (
        "no working-day calendar for 2031 (needed for 2031-03-04); "
        "expected [calendar.2031] in monitor.toml with its workdays and holidays"
    )


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 10, 1), False),  # National Day, a Thursday
        (date(2026, 10, 10), True),  # the Saturday that makes up for it
        (date(2026, 10, 11), False),
        (date(2026, 10, 12), True),
        (date(2018, 12, 29), True),  # by the list of 2019
        (date(2018, 12, 31), False),
        (date(2020, 1, 31), False),  # the holiday that was prolonged
    ],
)
def test_shipped_years(day: date, expected: bool) -> None:
    assert work_calendar({}).is_workday(day) is expected


def test_shipped_years_are_complete_from_2004_to_2026() -> None:
    years = shipped_years()
    assert set(range(2004, 2027)) <= set(years)
    calendar = work_calendar({})
    for year in range(2008, 2027):
        days = [date(year, 1, 1) + timedelta(days=n) for n in range(365)]
        assert 243 <= sum(map(calendar.is_workday, days)) <= 253, year


def test_the_configuration_wins_for_its_year_only() -> None:
    calendar = work_calendar({2026: Calendar(workdays=(), holidays=(date(2026, 1, 2),))})
    assert calendar.is_workday(date(2026, 10, 1))  # nothing is left of the shipped list
    assert not calendar.is_workday(date(2026, 10, 10))
    assert not calendar.is_workday(date(2026, 1, 2))
    assert not calendar.is_workday(date(2025, 10, 1))


def test_a_list_may_name_days_of_the_december_before() -> None:
    own = {2027: Calendar(workdays=(date(2026, 12, 27),), holidays=(date(2026, 12, 31), date(2027, 1, 1)))}
    calendar = work_calendar(own)
    assert calendar.is_workday(date(2026, 12, 27))
    assert not calendar.is_workday(date(2026, 12, 31))
    assert calendar.is_workday(date(2026, 12, 30))
    assert not calendar.is_workday(date(2026, 10, 1))
    assert work_calendar({}).is_workday(date(2026, 12, 31))  # the shipped list itself is untouched
    assert calendar_mistakes(own) == []


def test_mistakes_of_a_calendar() -> None:
    both = date(2027, 5, 3)
    own = {2027: Calendar(workdays=(both, date(2026, 5, 1)), holidays=(both,)), 27: Calendar()}
    assert [str(mistake) for mistake in calendar_mistakes(own)] == [
        "monitor.toml [calendar.27]: expected a year from 2000 to 2099, found 27",
        "monitor.toml [calendar.2027.workdays]: expected days of 2027 or of the December before, found 2026-05-01",
        "monitor.toml [calendar.2027]: 2027-05-03 is both in workdays and in holidays; expected it in one of them",
    ]

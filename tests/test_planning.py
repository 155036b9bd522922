"""How windows are declared, against naive counting: three working days back, repetition on the wall's clock; and what
figures say with and without what was entered after the fact; and the one clock of all limits against the measure."""

# ruff: noqa: DTZ001  # naive datetimes are what clocks on the wall show

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from monitor.core.calendar import WorkCalendar
from monitor.core.eras import Era, Parameters
from monitor.core.figures import Counter
from monitor.core.measure import measure
from monitor.core.planning import Repeat, check_declared, earliest_start, instant, is_retroactive, occurrences
from monitor.core.service import ServiceTimes
from monitor.core.sites import Check, Inventory, Level, Site, Terminal
from monitor.core.timeline import BEGINNING, Step, Timeline, Value, new_timeline
from monitor.core.window import Window
from monitor.errors import MonitorError
from monitor.inventory.holidays import work_calendar

SHANGHAI = ZoneInfo("Asia/Shanghai")
ZONES = (SHANGHAI, ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe"))
CALENDAR = work_calendar({})
HOUR = 3_600_000
DAY = 24 * HOUR


def ms(local: datetime) -> int:
    return int(local.timestamp() * 1000)


# --- three working days -----------------------------------------------------------------------------------------------


@given(st.datetimes(datetime(2025, 2, 1), datetime(2026, 12, 30)))
def test_a_window_reaches_back_over_three_working_days(now: datetime) -> None:
    earliest = datetime.fromtimestamp(
        earliest_start(CALENDAR, SHANGHAI, ms(now.replace(tzinfo=SHANGHAI))) / 1000, SHANGHAI
    )
    assert (earliest.hour, earliest.minute, earliest.second) == (0, 0, 0)
    days = [earliest.date() + timedelta(days=n) for n in range((now.date() - earliest.date()).days)]
    assert CALENDAR.is_workday(days[0])
    assert sum(CALENDAR.is_workday(day) for day in days) == 3


def test_over_the_national_holiday_it_reaches_back_before_it() -> None:
    now = ms(datetime(2026, 10, 8, 9, tzinfo=SHANGHAI))  # the first working day after it
    assert earliest_start(CALENDAR, SHANGHAI, now) == ms(datetime(2026, 9, 28, tzinfo=SHANGHAI))


def test_a_year_without_a_calendar_is_said() -> None:
    with pytest.raises(MonitorError, match="no working-day calendar for 2030"):
        earliest_start(WorkCalendar({2026: ([], [])}), SHANGHAI, ms(datetime(2030, 3, 1, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("start", "end", "reason", "says"),
    [
        (5, 5, "检修", "必须早于"),
        (5, 5 + 367 * DAY, "检修", "最长"),
        (5, 6, "  ", "事由"),
        (-1, 6, "检修", "3 个工作日"),
    ],
)
def test_what_cannot_be_declared(start: int, end: int, reason: str, says: str) -> None:
    with pytest.raises(MonitorError, match=says):
        check_declared(Window("county", start, end, reason), 0)


# --- repetition -------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),
    st.integers(1, 30 * 60),
    st.sampled_from(Repeat),
    st.integers(0, 100),
)
def test_repetition_is_what_a_calendar_on_the_wall_says(
    zone: ZoneInfo, start: datetime, minutes: int, repeat: Repeat, days: int
) -> None:
    start = start.replace(second=0, microsecond=0)
    end = start + timedelta(minutes=minutes)
    last = start.date() + timedelta(days=days)
    expected = []
    for n in range(days + 1):
        day = start.date() + timedelta(days=n)
        if (n % 7 == 0) if repeat is Repeat.WEEKLY else day.day == start.day:
            lo, hi = start + timedelta(days=n), end + timedelta(days=n)
            inside = []
            at = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
            for _ in range((3 * 24 + 30) * 60):
                if lo <= at.astimezone(zone).replace(tzinfo=None, fold=0) < hi:
                    inside.append(at)
                at += timedelta(minutes=1)
            if inside:
                expected.append((ms(inside[0]), ms(inside[-1]) + 60_000))
    assert occurrences(start, end, repeat, last, zone) == expected


def test_a_month_without_the_day_is_left_out() -> None:
    found = occurrences(datetime(2026, 1, 31, 8), datetime(2026, 1, 31, 9), Repeat.MONTHLY, date(2026, 6, 1), SHANGHAI)
    assert [datetime.fromtimestamp(a / 1000, SHANGHAI).date() for a, _ in found] == [
        date(2026, 1, 31), date(2026, 3, 31), date(2026, 5, 31),
    ]  # fmt: skip


@pytest.mark.parametrize("last", [date(2026, 1, 1), date(2027, 2, 3)])
def test_a_series_ends_within_a_year(last: date) -> None:
    with pytest.raises(MonitorError, match="366 天之内"):
        occurrences(datetime(2026, 2, 1, 8), datetime(2026, 2, 1, 9), Repeat.WEEKLY, last, SHANGHAI)


def test_times_that_a_clock_change_skips_or_repeats() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    change = ms(datetime(2026, 3, 29, 1, tzinfo=UTC))  # 02:00 becomes 03:00
    assert instant(datetime(2026, 3, 29, 2, 30), berlin) == change
    assert instant(datetime(2026, 3, 29, 2, 30), berlin, last=True) == change
    assert instant(datetime(2026, 10, 25, 2, 30), berlin) == ms(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
    assert instant(datetime(2026, 10, 25, 2, 30), berlin, last=True) == ms(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))


# --- with and without -------------------------------------------------------------------------------------------------

SITES = [
    Site("C1", "县", Level.COUNTY, "T0", "县"),
    Site("T1", "镇", Level.TOWNSHIP, "T1", "镇"),
    Site("V1", "村一", Level.VILLAGE, "T1", "镇"),
    Site("V2", "村二", Level.VILLAGE, "T1", "镇"),
]
TERMINALS = [Terminal(s.site_id, kind) for s in SITES for kind in ("tv", "pc")]
INVENTORY = Inventory.of(SITES, TERMINALS, [Check(t.site_id, t.kind, "heartbeat-mqtt") for t in TERMINALS])
PARAMETERS = Parameters(
    "any", 0.9, 0.9, dict.fromkeys(("county", "township", "village"), 3 * HOUR),
    {"county": 1, "township": 1, "village": 2}, None,
)  # fmt: skip
SERVICE = ServiceTimes(UTC, {"village": ("daily", ["08:00-12:00", "14:00-18:00"])}, CALENDAR)
ERAS = [Era(BEGINNING, INVENTORY, SERVICE, PARAMETERS)]
SCOPES = ("county", "level:village", "township:T1", "site:V1", "terminal:V1/tv", "terminal:V2/pc")
NINE = ms(datetime(2026, 10, 12, 9, tzinfo=UTC))

spans = st.lists(st.tuples(st.integers(1, 40), st.sampled_from(("up", "down", "unknown"))), max_size=8)


def timeline_of(parts: list[tuple[int, Value]]) -> Timeline:
    """Steps from the evening before on, in quarters of an hour."""
    result, at = new_timeline(), NINE - 20 * HOUR
    for quarters, value in parts:
        if result[-1].value != value:
            result.append(Step(at, value))
        at += quarters * HOUR // 4
    return result


timelines = st.fixed_dictionaries(
    {(t.site_id, t.kind, "heartbeat-mqtt"): spans.map(timeline_of) for t in TERMINALS}  # type: ignore[arg-type]
)
windows = st.lists(
    st.builds(
        lambda scope, start, length, late: Window(
            scope, NINE + start * HOUR // 2, NINE + (start + length) * HOUR // 2, "检修", retroactive=late
        ),
        st.sampled_from(SCOPES),
        st.integers(-60, 60),
        st.integers(1, 30),
        st.booleans(),
    ),
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(timelines, windows, windows)
def test_figures_without_what_was_entered_after_the_fact_are_those_without_it(
    checks: dict[tuple[str, str, str], Timeline], declared: list[Window], exempted: list[Window]
) -> None:
    period = (NINE, NINE + DAY)
    found = Counter(ERAS, declared).count_all(period, checks, exempted)
    plain = Counter(ERAS, declared).count(period, checks)
    assert (found.terminals, found.sites, found.site_rates) == (plain.terminals, plain.sites, plain.site_rates)
    for other, their in (
        (found.without_retroactive, [w for w in declared if not w.retroactive]),
        (found.after_exemptions, [*declared, *exempted]),
    ):
        naive = Counter(ERAS, their).count(period, checks)
        if other is None:
            assert (naive.terminals, naive.sites) == (plain.terminals, plain.sites)
        else:
            assert other == naive
            assert (naive.terminals, naive.sites) != (plain.terminals, plain.sites)


def test_a_window_is_retroactive_after_its_start_or_while_something_in_it_is_down() -> None:
    window = Window("township:T1", 10, 20, "检修", 5)
    assert not is_retroactive(window, INVENTORY, [])
    assert not is_retroactive(window, INVENTORY, [("C1", "tv"), ("gone", "tv")])
    assert is_retroactive(window, INVENTORY, [("V1", "tv")])
    assert not is_retroactive(Window("terminal:V1/pc", 10, 20, "检修", 5), INVENTORY, [("V1", "tv")])
    assert not is_retroactive(Window("county", 10, 20, "检修", 10), INVENTORY, [])
    assert is_retroactive(Window("county", 10, 20, "检修", 11), INVENTORY, [])


@given(st.integers(0, 30), st.integers(0, 30), st.none() | st.integers(0, 40))
def test_what_is_called_off_counts_up_to_there(start: int, length: int, cancelled: int | None) -> None:
    assume(length > 0)
    window = Window("county", start, start + length, cancelled=cancelled)
    counted = window.counted()
    instants = {t for t in range(80) if start <= t < start + length and (cancelled is None or t < cancelled)}
    assert instants == (set(range(counted.start, counted.end)) if counted is not None else set())


# --- the one clock ----------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(spans, windows, st.integers(0, 10), st.integers(1, 48))
def test_a_limit_is_passed_in_the_second_from_which_the_measure_says_overdue(
    parts: list[tuple[int, Value]], declared: list[Window], limit_h: int, quarters: int
) -> None:
    """From the outage's beginning, at every instant afterwards."""
    timeline = timeline_of([(1, "up"), (3, "down"), *((n, v) for n, v in parts if v != "up")])
    counter = Counter(ERAS, declared)
    start = timeline[2].at if timeline[1].value == "up" else timeline[1].at
    end = start + quarters * HOUR // 4
    assert timeline[0].at == BEGINNING
    limit = limit_h * HOUR // 2
    course = counter.course("V1", "tv")
    reached = course.reached_at(timeline, (start, end), limit)
    hours, planned = course.in_service(start, end), course.planned
    for now in range(start + HOUR // 8, end + 1, HOUR // 8):
        measured = measure(timeline, (start, now), hours, planned, limit)
        assert (measured.overdue > 0) == (reached is not None and reached < now)
        counted = course.counted_down_ms(timeline, (start, now))
        assert counted == measured.down
        assert course.at_most_ms((start, now), (start - DAY, end)) >= counted

"""Service times against a naive model that looks at a wall clock every minute."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.core.calendar import WorkCalendar
from monitor.core.service import ServiceTimes, parse_hours
from monitor.core.sites import Level, Site, Terminal
from monitor.core.timeline import Interval
from monitor.core.window import union
from monitor.errors import MonitorError

MINUTE = 60_000
HOUR = 60 * MINUTE
OFFICE = ("08:30-12:00", "14:00-18:00")
#: Zones and a moment near which something happens there: clocks changed by an hour, half an hour, over
#: midnight, at one minute past it, a whole local day left out; and two where nothing does.
MOMENTS = [
    ("Asia/Shanghai", datetime(2026, 10, 1, tzinfo=UTC)),
    ("Asia/Kathmandu", datetime(2026, 12, 31, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 11, 1, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 2, 18, tzinfo=UTC)),
    ("America/St_Johns", datetime(2010, 11, 7, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, tzinfo=UTC)),
]


def site(level: Level = Level.VILLAGE, commissioned: date | None = None, retired: date | None = None) -> Site:
    return Site("S1", "村", level, "T1", "镇", "", commissioned, retired)


def terminal(kind: str = "tv", commissioned: date | None = None, retired: date | None = None) -> Terminal:
    return Terminal("S1", kind, commissioned, retired)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1000


def shown(intervals: list[Interval], zone: str = "Asia/Shanghai") -> list[str]:
    def one(at: int) -> str:
        return datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).strftime("%d %H:%M")

    return [f"{one(start)} - {one(end)}" for start, end in intervals]


def times(rules: dict[str, tuple[str, tuple[str, ...]]], zone: str = "Asia/Shanghai") -> ServiceTimes:
    calendar = WorkCalendar({2026: ([date(2026, 10, 10)], [date(2026, 10, n) for n in range(1, 8)])})
    return ServiceTimes(ZoneInfo(zone), rules, calendar)


def test_without_a_rule_always() -> None:
    assert times({}).site(site(), 5, 10**12) == [(5, 10**12)]
    assert times({}).site(site(), 7, 7) == []


def test_working_days_and_hours() -> None:
    found = times({"village": ("workdays", OFFICE)}).site(
        site(), ms("2026-09-30T17:00+08:00"), ms("2026-10-10T09:00+08:00")
    )
    assert shown(found) == [
        "30 17:00 - 30 18:00",
        "08 08:30 - 08 12:00",
        "08 14:00 - 08 18:00",
        "09 08:30 - 09 12:00",
        "09 14:00 - 09 18:00",
        "10 08:30 - 10 09:00",
    ]


def test_hours_of_a_kind_are_the_terminals_only() -> None:
    service = times({"village": ("daily", OFFICE), "village.tv": ("daily", ("00:00-24:00",))})
    start, end = ms("2026-10-01T00:00+08:00"), ms("2026-10-03T00:00+08:00")
    assert service.terminal(site(), terminal("tv"), start, end) == [(start, end)]
    assert service.terminal(site(), terminal("pc"), start, end) == service.site(site(), start, end)
    assert len(service.site(site(), start, end)) == 4
    assert service.site(site(Level.COUNTY), start, end) == [(start, end)]


def test_dates_narrow() -> None:
    service = times({})
    where = site(commissioned=date(2026, 10, 2), retired=date(2026, 10, 6))
    start, end = ms("2026-10-01T00:00+08:00"), ms("2026-11-01T00:00+08:00")
    assert shown(service.site(where, start, end)) == ["02 00:00 - 06 00:00"]
    narrower = terminal(commissioned=date(2026, 10, 3), retired=date(2026, 12, 1))
    assert shown(service.terminal(where, narrower, start, end)) == ["03 00:00 - 06 00:00"]
    never = site(commissioned=date(2026, 10, 2), retired=date(2026, 10, 2))
    assert service.site(never, start, end) == []


def test_a_year_that_is_not_covered_is_asked_for_only_where_needed() -> None:
    service = times({"village": ("workdays", OFFICE)})
    december = ms("2026-12-01T00:00+08:00"), ms("2027-01-01T00:00+08:00")
    assert service.site(site(), *december)[-1] == (ms("2026-12-31T14:00+08:00"), ms("2026-12-31T18:00+08:00"))
    with pytest.raises(MonitorError, match=r"\[calendar\.2027\]"):
        service.site(site(), december[0], december[1] + 9 * HOUR)
    assert service.site(site(), december[0], december[1] + 8 * HOUR)  # it is still before hours
    assert service.site(site(retired=date(2027, 1, 1)), december[0], december[1] + 10**9)
    assert not service.is_in_service(site(), None, december[1])  # midnight is outside hours on any day
    with pytest.raises(MonitorError, match=r"\[calendar\.2027\]"):
        service.is_in_service(site(), None, december[1] + 9 * HOUR)


def test_an_hour_that_is_repeated_counts_twice_and_one_left_out_not_at_all() -> None:
    service = times({"village": ("daily", ("01:30-03:00",))}, "Europe/Berlin")
    spring = service.site(site(), ms("2026-03-29T00:00+01:00"), ms("2026-03-30T00:00+02:00"))
    assert sum(end - start for start, end in spring) == 30 * MINUTE
    autumn = service.site(site(), ms("2026-10-25T00:00+02:00"), ms("2026-10-26T00:00+01:00"))
    assert sum(end - start for start, end in autumn) == 150 * MINUTE


@pytest.mark.parametrize("text", ["8:30-12:00", "12:00-08:30", "12:00-12:00", "10:60-11:00", "00:00-24:01", ""])
def test_hours_that_are_none(text: str) -> None:
    with pytest.raises(MonitorError, match="expected hours such as 08:30-12:00"):
        parse_hours(text)


def test_equal_profiles_are_shared() -> None:
    service = times({"village": ("workdays", OFFICE)})
    assert service.profile(site(), terminal("pc")) == service.profile(site(), terminal("tv"))
    assert hash(service.profile(site())) == hash(service.profile(site(), terminal("tv")))
    assert service.profile(site(Level.TOWNSHIP)) != service.profile(site())


def test_a_month_of_702_terminals_is_quick() -> None:
    service = times({"village": ("workdays", OFFICE), "village.tv": ("workdays", ("08:00-20:00",))})
    start, end = ms("2026-10-01T00:00+08:00"), ms("2026-11-01T00:00+08:00")
    # Dates of their own, so that no two share a profile.
    where = [site(commissioned=date(2020, 1, 1) + timedelta(days=n)) for n in range(234)]
    positions = [(one, terminal(kind)) for one in where for kind in ("tv", "mobile", "pc")]
    service.terminal(where[0], terminal("tv"), start, end)
    service.terminal(where[0], terminal("pc"), start, end)
    best = 1.0
    for attempt in range(5):
        began = time.thread_time()  # what it costs, however busy the machine is
        for one, position in positions:
            service.terminal(one, position, start, end - attempt)
        best = min(best, time.thread_time() - began)
    assert best < 0.05


clock_times = st.integers(0, 48).map(lambda n: n * 30)


@st.composite
def some_hours(draw: st.DrawFn) -> tuple[str, ...]:
    edges = sorted(draw(st.sets(clock_times, min_size=2, max_size=6)))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    return tuple(f"{a // 60:02d}:{a % 60:02d}-{b // 60:02d}:{b % 60:02d}" for a, b in pairs)


@given(
    moment=st.sampled_from(MOMENTS),
    hours=some_hours(),
    days=st.sampled_from(["daily", "workdays"]),
    special=st.sets(st.integers(-3, 3)),
    shift=st.integers(-40, 10),
    length=st.integers(1, 60),
    commissioned=st.none() | st.integers(-3, 3),
    retired=st.none() | st.integers(-3, 3),
)
# A local day that is there for one minute, amid another one.
@example(MOMENTS[7], ("00:00-00:30",), "daily", set(), 0, 3, None, None)
@settings(deadline=None, max_examples=150)
def test_as_a_naive_model_says(
    moment: tuple[str, datetime],
    hours: tuple[str, ...],
    days: str,
    special: set[int],
    shift: int,
    length: int,
    commissioned: int | None,
    retired: int | None,
) -> None:
    name, middle = moment
    zone, day = ZoneInfo(name), middle.date()
    listed = [day + timedelta(days=n) for n in special]
    workdays = [d for d in listed if d.weekday() >= 5]
    holidays = [d for d in listed if d.weekday() < 5]
    calendar = WorkCalendar({year: (workdays, holidays) for year in (day.year - 1, day.year, day.year + 1)})
    service = ServiceTimes(zone, {"village": (days, hours)}, calendar)
    where = site(
        commissioned=None if commissioned is None else day + timedelta(days=commissioned),
        retired=None if retired is None else day + timedelta(days=retired),
    )
    spans = [parse_hours(text) for text in hours]

    def naive(at: int) -> bool:
        local = datetime.fromtimestamp(at / 1000, zone)
        today = local.date()
        if where.commissioned_on and today < where.commissioned_on:
            return False
        if where.retired_on and today >= where.retired_on:
            return False
        works = today in workdays or (today not in holidays and today.weekday() < 5)
        if days == "workdays" and not works:
            return False
        return any(a <= (local.hour * 60 + local.minute) * MINUTE < b for a, b in spans)

    start = int(middle.timestamp()) * 1000 + shift * HOUR
    end = start + length * HOUR
    minutes = [at for at in range(start, end, MINUTE) if naive(at)]
    assert service.site(where, start, end) == union((at, at + MINUTE) for at in minutes)
    inside = set(minutes)
    for at in range(start, end, 7 * MINUTE):
        assert service.is_in_service(where, None, at) is (at in inside)
        assert service.is_in_service(where, terminal(), at + MINUTE - 1) is (at in inside)


def test_who_asks_of_another_instant_meanwhile_changes_no_answer() -> None:
    """As a thread would that comes between a question and its answer: here while the calendar is asked."""
    holiday, workday = ms("2026-10-05T10:00+08:00"), ms("2026-10-12T10:00+08:00")

    class Asked(WorkCalendar):
        between = False

        def is_workday(self, day: date) -> bool:
            if not self.between:
                self.between = True
                assert service.is_in_service(site(), None, workday)
                self.between = False
            return super().is_workday(day)

    calendar = Asked({2026: ([date(2026, 10, 10)], [date(2026, 10, n) for n in range(1, 8)])})
    service = ServiceTimes(ZoneInfo("Asia/Shanghai"), {"village": ("workdays", OFFICE)}, calendar)
    assert not service.is_in_service(site(), None, holiday)
    assert service.is_in_service(site(), None, workday)
    assert not service.is_in_service(site(), None, holiday)

"""Local days as instants: where a day's log, its digests and its report begin and end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo

Day = tuple[str, int, int]


def local_days(zone: tzinfo) -> Callable[[int], Day]:
    """A function from an instant (ms) to the local day that holds it: name YYYY-MM-DD, start and end in ms."""

    def day_of(at: int) -> Day:
        day = datetime.fromtimestamp(at / 1000, zone).date()
        start, end = (
            int(datetime.combine(d, time(), zone).astimezone(UTC).timestamp() * 1000)
            for d in (day, day + timedelta(days=1))
        )
        return day.isoformat(), start, end

    return day_of


def start_of(zone: tzinfo, day: date, after: int = 0) -> int:
    """When a local day begins (or the one `after` so many days), ms."""
    return int(datetime.combine(day + timedelta(days=after), time(), zone).timestamp() * 1000)


def local_month(zone: tzinfo, at: int) -> tuple[int, int]:
    """The local calendar month that holds `at`, `[start, end)` in ms."""
    first = datetime.fromtimestamp(at / 1000, zone).date().replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    start, end = (int(datetime.combine(d, time(), zone).timestamp() * 1000) for d in (first, following))
    return start, end

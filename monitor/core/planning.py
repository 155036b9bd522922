"""How planned windows 计划检修 are declared: how far back, when a second person is needed, and repetition.

The rules are docs/rules.md §5 and docs/workorders.md. Local times are naive datetimes, as clocks on the wall show them.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum

from monitor.core.calendar import WorkCalendar
from monitor.core.sites import Inventory
from monitor.core.timeline import Interval
from monitor.core.window import Window
from monitor.errors import MonitorError

#: A retroactive window reaches back so many working days, the day on which it is declared not counted.
REACHES_BACK_DAYS = 3
#: A window is no longer than this, and a series ends within it.
LONGEST_DAYS = 366


class Repeat(StrEnum):
    """How a window comes again: on the same weekday, or on the same day of each month that has it."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"


def check_places(scope: str, inventory: Inventory) -> None:
    """Raises MonitorError where the scope names a township, site or terminal that the inventory does not have."""
    kind, _, which = scope.partition(":")
    known = {
        "township": lambda: which in inventory.townships,
        "site": lambda: which in inventory.sites,
        "terminal": lambda: tuple(which.split("/")) in inventory.terminals,
    }.get(kind)
    if known is not None and not known():
        raise MonitorError(f"{scope}：清单中没有这个{ {'township': '乡镇', 'site': '站点', 'terminal': '机位'}[kind] }")


def earliest_start(calendar: WorkCalendar, zone: tzinfo, now: int) -> int:
    """From when on a window that is declared at `now` (ms) may begin: the local midnight three working days before.

    Raises MonitorError where a year is needed that the calendar does not cover.
    """
    day = datetime.fromtimestamp(now / 1000, zone).date()
    working = 0
    while working < REACHES_BACK_DAYS:
        day -= timedelta(days=1)
        working += calendar.is_workday(day)
    return instant(datetime.combine(day, time()), zone)


def is_retroactive(window: Window, inventory: Inventory, down: Iterable[tuple[str, str]]) -> bool:
    """Declared after its start, or while one of its terminals is `down` ((site, terminal) of outages that go on)."""
    if window.at > window.start:
        return True
    return any(site in inventory.sites and window.covers(inventory.sites[site], kind) for site, kind in down)


def check_declared(window: Window, earliest: int) -> None:
    """Raises MonitorError (Chinese: people declare windows) where a window cannot be declared as it is."""
    if window.start >= window.end:
        raise MonitorError("计划检修的开始时间必须早于结束时间")
    if window.end - window.start > LONGEST_DAYS * 86_400_000:
        raise MonitorError(f"一次计划检修最长 {LONGEST_DAYS} 天")
    if not window.reason.strip():
        raise MonitorError("计划检修须写明事由")
    if window.start < earliest:
        raise MonitorError(f"事后补录最多追溯 {REACHES_BACK_DAYS} 个工作日，开始时间过早")


def occurrences(start: datetime, end: datetime, repeat: Repeat, last: date, zone: tzinfo) -> list[Interval]:
    """`[start, end)` (local) and what follows from it by the rule, up to the local day `last` inclusive, as ms.

    Every one shows the same times on the wall, whatever the clock does in between. Raises MonitorError.
    """
    if last < start.date() or last > start.date() + timedelta(days=LONGEST_DAYS):
        raise MonitorError(f"重复的截止日期须在首次之后、{LONGEST_DAYS} 天之内")
    found = []
    for day in _days(start.date(), repeat, last):
        moved = day - start.date()
        one = (instant(start + moved, zone), instant(end + moved, zone, last=True))
        if one[0] < one[1]:
            found.append(one)
    return found


def _days(first: date, repeat: Repeat, last: date) -> Iterator[date]:
    if repeat is Repeat.WEEKLY:
        day = first
        while day <= last:
            yield day
            day += timedelta(days=7)
        return
    year, month = first.year, first.month
    while date(year, month, 1) <= last:
        if first.day <= monthrange(year, month)[1] and (day := date(year, month, first.day)) <= last:
            yield day
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def instant(local: datetime, zone: tzinfo, *, last: bool = False) -> int:
    """The instant (ms) at which the wall shows `local`: the first, or the `last` where it shows it twice.

    Where a clock change skips it, the instant of the change.
    """
    there = local.replace(tzinfo=zone, fold=int(last)).astimezone(UTC)
    if there.astimezone(zone).replace(tzinfo=None) == local.replace(fold=0):
        return int(there.timestamp() * 1000)
    # Skipped: the change lies between the two readings, a second of it is where the offset becomes another.
    one, other = (int(local.replace(tzinfo=zone, fold=f).timestamp()) for f in (1, 0))
    before = _offset(one, zone)
    while other - one > 1:
        middle = (one + other) // 2
        one, other = (middle, other) if _offset(middle, zone) == before else (one, middle)
    return other * 1000


def _offset(at_s: int, zone: tzinfo) -> timedelta | None:
    return datetime.fromtimestamp(at_s, zone).utcoffset()

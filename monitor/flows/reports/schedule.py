"""Months that seal themselves: an approver allows it once, for the configured day (docs/reports.md, Sealing).

What allows it is the approver's own record in the audit log: it stands in a chain, and each report that the service
seals names it by its number.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor
from monitor.core.days import start_of
from monitor.core.period import Period, month_of
from monitor.errors import MonitorError
from monitor.flows.acting import acting
from monitor.settings import Settings
from monitor.store import audit

STOPPED = "停止自动定稿"


class Approval(NamedTuple):
    """Who allowed it and when (ms); `n`: the number of the audit record."""

    n: int
    at_ms: int
    who: str


async def schedule(engine: AsyncEngine, settings: Settings, actor: Actor, at_ms: int, *, on: bool) -> str:
    """Allow it from now on, or no longer; answers what was written down. Raises MonitorError."""
    if on and not settings.reports.seal_on_day:
        raise MonitorError("reports.seal_on_day 为 0：配置中没有自动定稿日")
    what = _says(settings) if on else STOPPED
    async with acting(engine, actor, Action.MONTH_SCHEDULE, what, at_ms):
        pass  # the record is all that there is
    return what


async def approved(connection: AsyncConnection, settings: Settings) -> Approval | None:
    """What allows it now. An approval is for a day: with another one configured it allows nothing."""
    found = await audit.newest(connection, Action.MONTH_SCHEDULE)
    if found is None or found.what != _says(settings) or not settings.reports.seal_on_day:
        return None
    return Approval(found.n, found.at_ms, found.who)


def due_months(settings: Settings, approval: Approval, now: int) -> Iterator[Period]:
    """The months whose day has come since it was allowed, oldest first, whether they were sealed or not."""
    zone = settings.zone
    month = month_of(_local(settings, approval.at_ms)).before()
    while month is not None and sealing_day(settings, month, 0) <= now:
        if sealing_day(settings, month, 1) > approval.at_ms:
            yield month
        month = month_of(_local(settings, month.interval(zone)[1]))


def sealing_day(settings: Settings, month: Period, after: int) -> int:
    """When the configured day after a month begins (or the one `after` so many days), ms."""
    return start_of(settings.zone, month.last, settings.reports.seal_on_day + after)


def _says(settings: Settings) -> str:
    return f"每月 {settings.reports.seal_on_day} 日自动定稿上月报告"


def _local(settings: Settings, ms: int) -> date:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(settings.zone).date()

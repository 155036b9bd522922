"""Sealed reports as they were kept: for whoever renders, lists or compares them."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.report_figures import Difference
from monitor.errors import MonitorError
from monitor.store import reports
from monitor.store.reports import Kept


async def sealed(connection: AsyncConnection, period: str) -> bytes | None:
    """The facts of the newest sealed report of a period, byte for byte; None where nothing was sealed."""
    found = await reports.newest(connection, period)
    return None if found is None else await reports.facts(connection, found.n)


async def about(connection: AsyncConnection, period: str, revision: int | None = None) -> tuple[Kept, list[Difference]]:
    """A sealed report (the newest, or a revision), and in what it differs from the revision before.

    Raises MonitorError where there is none.
    """
    found = await reports.newest(connection, period, revision)
    if found is None:
        which = "" if revision is None else f"第 {revision} 次更正版的"
        raise MonitorError(f"{period} 没有{which}定稿的报告")
    return found, await reports.differences(connection, found.n)

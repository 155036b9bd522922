"""Sealed reports as they were kept: for whoever renders, lists or compares them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.report import ReportFacts
from monitor.core.report_figures import Difference
from monitor.errors import MonitorError
from monitor.flows.reports import facts_json
from monitor.store import reports
from monitor.store.reports import Kept


@dataclass(frozen=True, slots=True)
class Standing:
    """A sealed report as it is rendered. `data`: its facts byte for byte; `before`: the revision that it took the place
    of, and its facts."""

    kept: Kept
    data: bytes
    facts: ReportFacts
    before: tuple[Kept, ReportFacts] | None


async def standing(connection: AsyncConnection, period: str, revision: int | None = None) -> Standing | None:
    """The newest sealed report of a period, or a revision; None where there is none."""
    found = await reports.newest(connection, period, revision)
    if found is None:
        return None
    data = await reports.facts(connection, found.n)
    former = await reports.newest(connection, period, found.revision - 1) if found.revision else None
    before = None
    if former is not None:
        before = former, facts_json.read(await reports.facts(connection, former.n))
    return Standing(found, data, facts_json.read(data), before)


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
        which = "" if revision is None else f"第 {revision} 版"
        raise MonitorError(f"{period} 没有{which}定稿的报告")
    return found, await reports.differences(connection, found.n)

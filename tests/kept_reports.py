"""A sealed report as a row, without asking whether it may be sealed."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.report import ReportFacts
from monitor.flows.reports import facts_json
from monitor.store import reports


async def keep(engine: AsyncEngine, facts: ReportFacts) -> None:
    """As if somebody had sealed these facts."""
    row = reports.Sealed(
        period=facts.period,
        revision=0,
        at_ms=facts.as_of,
        sealed_by="王审批",
        approval=None,
        reason="",
        rules=facts.rules,
        software=facts.software,
        facts=reports.pack(facts_json.chunks(facts)),
        differences=reports.pack_differences([]),
    )
    async with engine.begin() as connection:
        await reports.append(connection, row)

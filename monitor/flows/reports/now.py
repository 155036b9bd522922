"""The facts of a month as the database has them now, as the JSON that is sealed."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from monitor import __version__
from monitor.core.chain import rendered
from monitor.core.period import Period
from monitor.flows.history import eras_in
from monitor.flows.replay import figures
from monitor.flows.reports.measured import measured, outages_of
from monitor.inventory.load import Loaded
from monitor.store.chains import heads
from monitor.store.database import snapshot


async def facts_now(engine: AsyncEngine, loaded: Loaded, period: Period, at_ms: int) -> bytes:
    """Canonical JSON of the whole report. (A stand-in until `facts.gather` is here.)"""
    settings = loaded.settings
    interval = period.interval(settings.zone)
    counted = await figures(engine, loaded, interval)
    async with snapshot(engine) as connection:
        await eras_in(connection, loaded)
        outages = [{**o, "over": None, "counted_here": 0, "overdue_here": 0, "exempted": False}
                   for o in await outages_of(connection, interval)]  # fmt: skip
        known = sorted((tag, head.n, head.hash) for tag, head in (await heads(connection)).items())
    return rendered(
        {
            "v": 1,
            "period": period.name,
            "start": interval[0],
            "end": interval[1],
            "as_of": at_ms,
            "demo": settings.demo,
            "rules": "method 1",
            "software": f"zhdj-monitor {__version__}",
            **measured(counted),
            "days": [],
            "outages": outages,
            "evidence": {"observers": [settings.observer], "days": [], "heads": known},
        }
    )

"""This month so far, from what the database says: availability, coverage, maintenance rate by level."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.days import local_month
from monitor.core.figures import Figures
from monitor.flows.replay import figures
from monitor.inventory.load import Loaded
from monitor.publish.views import FIGURE_LEVELS, LevelFigures, MonthFigures


async def month_so_far(engine: AsyncEngine, loaded: Loaded, now: int) -> MonthFigures:
    """The local month that holds `now` (ms), up to `now`. Raises what the database raises."""
    start, _ = local_month(loaded.settings.zone, now)
    return month_figures(await figures(engine, loaded, (start, now)))


def month_figures(counted: Figures) -> MonthFigures:
    """By level, for metrics and pages: seconds, ratios, rates and verdicts."""
    sums = counted.sums()
    levels = {}
    for level in FIGURE_LEVELS:
        measure, rate = sums[level], counted.site_rates[level]
        levels[level] = LevelFigures(
            up_s=measure.up / 1000,
            down_s=measure.down / 1000,
            unknown_s=measure.unknown / 1000,
            planned_s=measure.planned / 1000,
            availability=measure.availability,
            coverage=measure.coverage,
            rate=rate.rate,
            rate_high=rate.rate_high,
            maintained=rate.maintained,
            failed=rate.failed,
            unproven=rate.unproven,
            planned=rate.planned,
        )
    return MonthFigures(counted.period[0], counted.period[1], levels)

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
    bare, lenient = counted.without_retroactive, counted.after_exemptions
    return MonthFigures(
        *counted.period,
        _by_level(counted),
        _by_level(bare) if bare is not None else None,
        _by_level(lenient) if lenient is not None else None,
    )


def _by_level(counted: Figures) -> dict[str, LevelFigures]:
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
    return levels

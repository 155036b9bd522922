"""What the service does about sealed reports: it seals on the configured day, and says where one is no longer right.

It never restates by itself: why figures changed, a person must say.
"""

from __future__ import annotations

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import SYSTEM
from monitor.core.period import parse
from monitor.errors import MonitorError
from monitor.flows.days import local_day
from monitor.flows.reports.schedule import approved, due_months, sealing_day
from monitor.flows.reports.seal import difference_now, seal, why_not
from monitor.inventory.load import Loaded
from monitor.publish.board import Board
from monitor.store import report_changes, reports
from monitor.store.database import looking
from monitor.store.reports import Kept

log = structlog.get_logger()

#: So many of the newest sealed months are counted again every day, whatever is known to have changed: the evidence
#: itself may have (a log put back, a row changed by hand). Older ones are left to `verify`.
COUNTED_DAILY = 2
#: An act stands in the database some time after the instant that it bears.
SLACK_MS = 120_000


class Keeping:
    """Of one service; `step` every minute."""

    def __init__(self, engine: AsyncEngine, board: Board) -> None:
        self.engine = engine
        self.board = board
        self._day = ""
        self._looked: int | None = None  # up to when changes were looked for
        self._due: dict[int, tuple[str, int]] = {}  # by a report's number: its month, and how many values differ

    async def step(self, loaded: Loaded, at_ms: int) -> None:
        """Raises what the database raises."""
        if loaded.settings.demo:
            return  # played: nothing is sealed, so nothing can be wrong
        await self._seal(loaded, at_ms)
        await self._recount(loaded, at_ms)

    async def _seal(self, loaded: Loaded, at_ms: int) -> None:
        """Every month whose day has come; also those whose day passed while nobody ran."""
        settings, waiting = loaded.settings, ""
        async with looking(self.engine) as connection:
            approval = await approved(connection, settings)
            sealed = {kept.period for kept in await reports.listed(connection)}
        if approval is not None:
            for month in due_months(settings, approval, at_ms):
                if month.name in sealed:
                    continue
                async with looking(self.engine) as connection:
                    why = await why_not(connection, loaded, month, at_ms)
                if not why:
                    try:
                        made = await seal(self.engine, loaded, SYSTEM, month.name, at_ms, approval=approval.n)
                    except MonitorError as error:  # somebody was quicker, or the right was missing
                        log.warning("report.not_sealed", month=month.name, error=str(error))
                    else:
                        log.info("report.sealed", month=month.name, n=made.n, approval=approval.n)
                elif at_ms >= sealing_day(settings, month, 2):
                    waiting = why  # a day late already: somebody should know
        self.board.warn("report not sealed", waiting)

    async def _recount(self, loaded: Loaded, at_ms: int) -> None:
        """Where something changed that a sealed month depends on, and once a day the newest ones anyhow."""
        async with looking(self.engine) as connection:
            in_force = await reports.in_force(connection)
            changed = []
            if self._looked is None or await report_changes.anything(connection, self._looked):
                changed = [kept for kept in in_force if await self._changed(connection, loaded, kept)]
        today = local_day(at_ms, loaded.settings).isoformat()
        if today != self._day:
            changed += [kept for kept in in_force[-COUNTED_DAILY:] if kept not in changed]
        for kept in changed:
            await self._compare(loaded, kept, at_ms)
        self._day = today
        self._looked = at_ms - SLACK_MS
        numbers = {kept.n for kept in in_force}
        self._due = {n: due for n, due in self._due.items() if n in numbers}
        self.board.restatements_due = len(self._due)
        says = ", ".join(f"{month} ({count} values differ)" for month, count in sorted(self._due.values()))
        self.board.warn("report to be restated", says and f"{says}; zhdj-monitor report restate MONTH --reason ...")

    async def _changed(self, connection: AsyncConnection, loaded: Loaded, kept: Kept) -> bool:
        period = parse(kept.period)
        since = max(kept.at_ms - SLACK_MS, self._looked or 0)
        days = period.first.isoformat(), period.last.isoformat()
        return await report_changes.since(connection, period.interval(loaded.settings.zone), days, since)

    async def _compare(self, loaded: Loaded, kept: Kept, at_ms: int) -> None:
        found = await difference_now(self.engine, loaded, kept, at_ms)
        if found:
            if kept.n not in self._due:
                log.warning("report.differs", month=kept.period, values=len(found), first=found[0].part)
            self._due[kept.n] = kept.period, len(found)
        else:
            self._due.pop(kept.n, None)

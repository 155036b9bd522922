"""The story of an alert on its way to people: taken from Alertmanager, kept, told at least once (docs/alerts.md).

    Outbox.take()   the webhook: what is new goes into the table, in one transaction, before Alertmanager is answered
    Outbox.step()   every second: ends that were held back, messages through the outlets, the watchdog

What is said of an alert, and whether it is over, stands in flows/telling; who is on duty in flows/duty. Where the
database takes nothing, `take` tells at once and is done only when every outlet took it: until then Alertmanager tries
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.alerts import (
    DROPPED,
    FIRING,
    HELD,
    RESOLVED,
    WAITING,
    WATCHDOG,
    Alert,
    Telling,
    message,
    pause_ms,
    townships,
    what_to_do,
)
from monitor.errors import MonitorError
from monitor.flows.duty import Roster
from monitor.flows.telling import has_lasted, is_long_back, looked_at, telling_of
from monitor.flows.watchdog import Watchdog
from monitor.publish.board import Board
from monitor.publish.outlets import LONGEST, NotSent, send
from monitor.publish.views import OutboxFigures
from monitor.settings import Settings
from monitor.store import outbox
from monitor.store.database import looking, writing

log = structlog.get_logger()

#: Tellings that may be open at once; more than a county with everything down needs through ten outlets.
MOST_OPEN = 20_000
#: What was not taken after this long is given up, and counted; what is over is forgotten after a month.
GIVE_UP_MS, KEEP_MS = 7 * 86_400_000, 31 * 86_400_000
#: How long the database may take to keep what came in: Alertmanager waits.
KEEP_S = 5.0
#: So many failures in a row are a warning that the service shows.
TRIES = 3
#: Between two looks at what is held, at the roster's file, at ends that nobody told us, and at old rows (ms).
LOOK_MS, ENDS_MS, PRUNE_MS = 5_000, 60_000, 3_600_000
#: The receiver that alerts of our own are for.
DUTY = "duty"
DATABASE_AWAY = (SQLAlchemyError, OSError, TimeoutError)


class Outbox:
    """Of one service. `folder`: of monitor.toml, where the roster is; None: there is none."""

    def __init__(self, engine: AsyncEngine, settings: Settings, board: Board, folder: Path | None) -> None:
        self.engine = engine
        self.settings = settings
        self.board = board
        self.figures = board.outbox = OutboxFigures()
        self.woken = asyncio.Event()
        outlets = settings.alerts.outlets
        self.figures.sent = dict.fromkeys(outlets, 0)
        self.figures.failed = dict.fromkeys(outlets, 0)
        self.figures.waiting = dict.fromkeys(outlets, 0)
        self._watchdog = Watchdog(settings.alerts, board, self.figures, lambda own: self.take(DUTY, [own]))
        self._roster = Roster(board, folder, settings.zone)
        self._taking = asyncio.Lock()
        self._busy = asyncio.Lock()  # an outlet has one message at a time, also while the database is away
        self._free_at: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._sent_unmarked: dict[int, int] = {}  # n -> when, of what the database was not told of yet
        self._told: dict[tuple[str, str, str, int], Telling] = {}  # without the database: outlet, alert, status, start
        self._looked = self._ends_looked = self._pruned = 0

    # --- in -----------------------------------------------------------------------------------------------------

    async def take(self, receiver: str, alerts: Sequence[Alert]) -> None:
        """What Alertmanager tells `receiver`: done when it cannot be lost any more.

        Raises MonitorError where it can: Alertmanager is to try again.
        """
        now = self.board.now()
        if any(alert.name == WATCHDOG and alert.status == FIRING for alert in alerts):
            self.figures.watchdog_ms = now
        alerts = [alert for alert in alerts if alert.name != WATCHDOG]
        outlets = [name for name, outlet in self.settings.alerts.outlets.items() if receiver in outlet.takes]
        if not alerts:
            return
        if not outlets:
            self.board.warn(f"receiver_{receiver}", "no outlet of [alerts.outlets] takes what is for it")
            return
        self.board.warn(f"receiver_{receiver}", "")
        try:
            # One after the other: Alertmanager's second try must see what the first one kept.
            async with asyncio.timeout(KEEP_S), self._taking:
                count = await self._keep(outlets, alerts, now)
        except DATABASE_AWAY as error:
            log.warning("outbox.without_database", error=type(error).__name__, alerts=len(alerts))
            count = await self._tell_at_once(outlets, alerts, now)
        self.figures.taken += count
        self.figures.known += len(alerts) * len(outlets) - count
        self.woken.set()

    async def _keep(self, outlets: Sequence[str], alerts: Sequence[Alert], now: int) -> int:
        observer = self.settings.observer
        new: list[Telling] = []
        async with writing(self.engine) as connection:
            if await outbox.count_open(connection, observer) + len(alerts) * len(outlets) > MOST_OPEN:
                self.figures.refused += len(alerts)
                raise MonitorError(f"{MOST_OPEN} tellings wait already")
            for outlet in outlets:
                known = await outbox.newest(connection, observer, outlet, (a.fingerprint for a in alerts))
                for alert in alerts:
                    last = known.get(alert.fingerprint) or self._told_last(outlet, alert)
                    if (telling := await self._new(connection, outlet, alert, last, now)) is not None:
                        known[alert.fingerprint] = telling
                        new.append(telling)
            await outbox.add(connection, observer, new)
        return len(new)

    async def _new(
        self, connection: AsyncConnection, outlet: str, alert: Alert, last: Telling | None, now: int
    ) -> Telling | None:
        if last is not None and last.alert.starts_ms < alert.starts_ms and has_lasted(self.board, alert, last):
            # Prometheus lost sight of it, and Alertmanager told no end (it was inhibited, or killed): there was none.
            await outbox.goes_on(connection, None, last.n, alert.starts_ms)
            last = last._replace(alert=last.alert._replace(starts_ms=alert.starts_ms))
        todo = what_to_do(last, alert, now)
        if todo == "goes_on" and last is not None:
            begun = await outbox.begun(connection, self.settings.observer, outlet, alert.fingerprint)
            await outbox.goes_on(connection, last.n, begun and begun.n, alert.starts_ms)
            last = begun and begun._replace(alert=begun.alert._replace(starts_ms=alert.starts_ms))
            todo = what_to_do(last, alert, now)
        if todo == "known":
            return None
        telling = telling_of(self.board, outlet, alert, last, now)
        return telling._replace(reminder=todo == "remind")

    def _told_last(self, outlet: str, alert: Alert) -> Telling | None:
        """While the database was away."""
        found = [t for (o, f, _, _), t in self._told.items() if (o, f) == (outlet, alert.fingerprint)]
        return max(found, key=lambda t: t.made_ms, default=None)

    # --- out ----------------------------------------------------------------------------------------------------

    async def step(self) -> None:
        """One round. Raises what a database that is away raises; what was sent is remembered and not sent again."""
        now = self.board.now()
        await self._watchdog.look(now)
        if now - self._looked >= LOOK_MS:
            self._looked = now
            await self._roster.look(now)
        if now - self._ends_looked >= ENDS_MS:
            self._ends_looked = now
            await self._end_what_is_back(now)
        await self._mark()
        async with looking(self.engine) as connection:
            tellings = await outbox.open_ones(connection, self.settings.observer)
        waiting = [t for t in tellings if t.state == WAITING and t.n not in self._sent_unmarked]
        waiting += await self._release([t for t in tellings if t.state == HELD])
        old = [t.n for t in waiting if now - t.made_ms > GIVE_UP_MS]
        if old or now - self._pruned >= PRUNE_MS:
            self._pruned = now
            async with writing(self.engine) as connection:
                await outbox.put(connection, old, DROPPED)
                await outbox.prune(connection, now - KEEP_MS)
            waiting = [t for t in waiting if t.n not in old]
        by_outlet = {name: [t for t in waiting if t.outlet == name] for name in self.settings.alerts.outlets}
        self.figures.waiting = {name: len(some) for name, some in by_outlet.items()}
        self.figures.oldest_ms = min((t.made_ms for t in waiting), default=None)
        async with self._busy:
            due = [name for name, some in by_outlet.items() if some and self._free_at.get(name, 0) <= now]
            await asyncio.gather(*(self._send(name, by_outlet[name], now) for name in due))
        await self._mark()

    async def _end_what_is_back(self, now: int) -> None:
        """Ends that Alertmanager does not tell: what was inhibited, or outside the hours of its route, or what it was
        killed over when Prometheus ended it, it forgets."""
        async with looking(self.engine) as connection:
            begun = await outbox.without_end(connection, self.settings.observer)
        back = [t for t in begun if t.outlet in self.settings.alerts.outlets and is_long_back(self.board, t, now)]
        if not back:
            return
        async with self._taking, writing(self.engine) as connection:
            still = {t.n for t in await outbox.without_end(connection, self.settings.observer)}
            ends = [
                telling_of(self.board, t.outlet, t.alert._replace(status=RESOLVED, ends_ms=now), t, now)
                for t in back
                if t.n in still
            ]
            await outbox.add(connection, self.settings.observer, ends)
        log.warning("outbox.ended", alerts=len(ends))

    async def _release(self, held: Sequence[Telling]) -> list[Telling]:
        """Those whose thing is back by now."""
        looked = [looked_at(self.board, t) for t in held]
        over = [t for t in looked if t.state == WAITING]
        ended = {
            t.n: end
            for t, was in zip(looked, held, strict=True)
            if (end := t.alert.ends_ms) is not None and end != was.alert.ends_ms
        }
        if over or ended:
            async with writing(self.engine) as connection:
                for n, end in ended.items():
                    await outbox.ended(connection, n, end)
                await outbox.put(connection, [t.n for t in over], WAITING)
        return over

    async def _send(self, name: str, tellings: Sequence[Telling], now: int) -> bool:
        """One message, as much as it takes; then the outlet rests."""
        outlet = self.settings.alerts.outlets[name]
        text, told = message(tellings, self.settings.zone, now, LONGEST[outlet.kind])
        people = self._roster.on_duty(now, townships(told))
        self._free_at[name] = now + int(60_000 / outlet.per_min)
        try:
            await send(outlet, text, people)
        except NotSent as error:
            self._failures[name] = failures = self._failures.get(name, 0) + 1
            self.figures.failed[name] += 1
            self._free_at[name] = max(self._free_at[name], now + pause_ms(failures))
            log.warning("outbox.failed", outlet=name, tries=failures, alerts=len(told), error=str(error))
            if failures >= TRIES:
                self.board.warn(f"outlet_{name}", f"{failures} failures in a row: {error}")
            if told[0].n:
                with suppress(*DATABASE_AWAY):  # it only says why; the others that are being sent go on
                    async with writing(self.engine) as connection:
                        await outbox.failed(connection, [t.n for t in told], str(error))
            return False
        self._failures[name] = 0
        self._free_at[name] = self.board.now() + int(60_000 / outlet.per_min)  # from when it was taken: robots count
        self.figures.sent[name] += 1
        self.board.warn(f"outlet_{name}", "")
        self._sent_unmarked |= dict.fromkeys((t.n for t in told if t.n), now)
        log.info("outbox.sent", outlet=name, alerts=len(told), people=len(people))
        return True

    async def _mark(self) -> None:
        """Tell the database what was sent."""
        if not self._sent_unmarked:
            return
        done = dict(self._sent_unmarked)
        async with writing(self.engine) as connection:
            await outbox.sent(connection, list(done), max(done.values()))
        for n in done:
            self._sent_unmarked.pop(n, None)
        if self._sent_unmarked:
            self.woken.set()

    async def _tell_at_once(self, outlets: Sequence[str], alerts: Sequence[Alert], now: int) -> int:
        """Without the database: done when every outlet took it. Raises MonitorError otherwise."""
        count, missing = 0, []
        async with self._busy:
            for name in outlets:
                new = [
                    telling_of(self.board, name, a, last, now)
                    for a in alerts
                    if what_to_do(last := self._told_last(name, a), a, now) in ("tell", "remind")
                    # The end of what the database may know of.
                    or (a.status == RESOLVED and last is None)
                ]
                if any(t.state == HELD for t in new):  # resolved, and not back: only the database can keep it
                    missing.append(name)
                    new = [t for t in new if t.state == WAITING]
                while new:
                    if self._free_at.get(name, 0) > self.board.now():
                        missing.append(name)
                        break
                    _, told = message(new, self.settings.zone, now, LONGEST[self.settings.alerts.outlets[name].kind])
                    if not await self._send(name, told, self.board.now()):
                        missing.append(name)
                        break
                    for t in told:
                        self._told[name, t.alert.fingerprint, t.alert.status, t.alert.starts_ms] = t
                    count += len(told)
                    new = [t for t in new if t not in told]
        for key in list(self._told)[:-MOST_OPEN]:
            del self._told[key]
        if missing:
            self.figures.refused += len(alerts)
            raise MonitorError(f"the database is away, and not all could be told through {', '.join(missing)}")
        return count

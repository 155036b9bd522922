"""The board: what is true now, in memory, for metrics and for whoever must not wait for the database."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from monitor.clock import Clock
from monitor.core.beats import HeartbeatWatch
from monitor.core.course import Course
from monitor.core.engine import Engine
from monitor.core.eras import Era
from monitor.core.figures import Counter
from monitor.core.outage import Outage
from monitor.core.sites import UPLINK, Level
from monitor.core.status import site_state
from monitor.core.terminal import TerminalWatch
from monitor.core.timeline import BEGINNING, DOWN, RANK, UP, Value
from monitor.core.uplink import FIXED, Line, lines
from monitor.core.window import Window
from monitor.inventory.load import Loaded
from monitor.publish.views import (
    CalendarYear,
    Counters,
    MoneyFigures,
    MonthFigures,
    OutboxFigures,
    SiteView,
    Space,
    TerminalView,
)

#: As many sites, or a tenth of all, may be down one by one.
MANY = 9
_SERVICE = {"ok": True, "fail": False, "na": None}


class Board:
    """A view over the engine, with what is counted beside it. Read and written on the event loop only."""

    def __init__(self, loaded: Loaded, eras: Sequence[Era], engine: Engine, clock: Clock) -> None:
        self.loaded = loaded
        self.inventory = loaded.inventory
        self.service = loaded.service
        self.eras = eras
        self.parameters = eras[-1].parameters
        self.engine = engine
        self.clock = clock
        self.counters = Counters()
        self.month: MonthFigures | None = None
        self.money: MoneyFigures | None = None  # of this year's funds; None where there is none
        self.windows: Sequence[Window] = ()
        self.orders: Mapping[str, tuple[int, int]] | None = None  # level -> work orders not closed, of these overdue
        self.sealed: Mapping[str, int] = {}  # month -> when its report was sealed, ms
        self.outbox: OutboxFigures | None = None  # None: alerts go nowhere from here
        self.space: Mapping[str, Space] = {}  # of our folders, by what they hold
        self.queues: dict[str, int] = {}  # what waits inside, by what it waits for
        self.restatements_due: int | None = None  # sealed reports whose figures are others by now
        self.troubles: dict[str, str] = {}  # what keeps the service from its job, by part
        self.warnings: dict[str, str] = {}  # what somebody should look at meanwhile, likewise

    def follow(self, loaded: Loaded, eras: Sequence[Era], engine: Engine) -> None:
        """Another inventory, other hours or limits hold from now on: those of the last era."""
        self.loaded, self.engine, self.eras = loaded, engine, eras
        now = eras[-1]
        self.inventory, self.parameters, self.service = now.inventory, now.parameters, now.service
        counters, terminals, checks = self.counters, now.inventory.terminals, now.inventory.checks
        counters.services = {key: said for key, said in counters.services.items() if key[:2] in terminals}
        counters.certificates = {key: at for key, at in counters.certificates.items() if key in checks}

    # --- told by the observer -----------------------------------------------------------------------------------

    def heard(self, via: str, beats: int, missing: int = 0) -> None:
        """So many beats were taken, and so many before them never came."""
        self.counters.heartbeat(via, beats, missing)

    def said(self, site: str, terminal: str, services: Mapping[str, str]) -> None:
        """A terminal told how its services do."""
        for name, said in services.items():
            self.counters.services[site, terminal, name] = _SERVICE.get(said)

    def probed(self, check: str, ok: bool, duration_s: float) -> None:
        """A probe's result was taken."""
        self.counters.probe(check, ok, duration_s)

    def certificate(self, site: str, terminal: str, check: str, expiry: int) -> None:
        """A probe saw a certificate that ends at `expiry` (ms). It is true until another one is seen."""
        self.counters.certificates[site, terminal, check] = expiry

    def refused(self, via: str, reason: str) -> None:
        """Something was refused."""
        self.counters.refuse(via, reason)

    def confirmed(self, delay_ms: int) -> None:
        """An outage was confirmed this long after it could have been."""
        self.counters.detection_delay.observe(delay_ms / 1000)

    def trouble(self, part: str, what: str) -> None:
        """Something is wrong with a part, or ("") no longer."""
        _tell(self.troubles, part, what)

    def warn(self, part: str, what: str) -> None:
        """Somebody should look at a part, or ("") no longer; the service does its job."""
        _tell(self.warnings, part, what)

    # --- asked by metrics and pages -----------------------------------------------------------------------------

    def ready(self) -> list[str]:
        """Empty when the service can do its job, else why not."""
        blind = {c.channel for c in self.inventory.checks.values()}
        lost = [f"channel {name}: lost" for name, observed in self.channels().items() if not observed and name in blind]
        return [f"{part}: {what}" for part, what in self.troubles.items()] + lost

    def now(self) -> int:
        """Milliseconds UTC."""
        return self.clock.now()

    def open_after(self) -> dict[str, float]:
        """By level: counted seconds of an outage after which it has a work order, and people are told."""
        limits = self.loaded.settings.maintenance.open_after_min
        return {str(level): limits.of(level) * 60 for level in Level}

    def back_since(self, township: str, after: int) -> int | None:
        """When the first sign came, after that instant (ms), that the line of a township works again; None: no sign."""
        villages = self.inventory.villages_of.get(township, ())
        own = [s.site_id for s in self.inventory.sites.values() if s.township_code == township]
        found = [self.standing(v, FIXED) for v in villages] + [self.standing(site, (UPLINK,)) for site in own]
        return min(
            (since for value, since in found if value == UP and since is not None and since > after), default=None
        )

    def years(self) -> list[CalendarYear]:
        """Are the working days of this local year and of the next known?"""
        year = datetime.fromtimestamp(self.clock.now() / 1000, self.loaded.settings.zone).year
        covers = self.loaded.calendar.covers
        return [CalendarYear(year, "this", covers(year)), CalendarYear(year + 1, "next", covers(year + 1))]

    def standing(self, site: str, kinds: Collection[str] = ()) -> tuple[Value | None, int | None]:
        """What is true now of a site, or of these terminals of it together: `up` if any is, and since when (ms).

        None: nothing of it is watched any more.
        """
        named = kinds or [t.kind for t in self.inventory.terminals_of.get(site, ())]
        known = [self.engine.terminals.get((site, kind)) for kind in named]
        watched = [w for w in known if w is not None and any(check.ended is None for check in w.watches)]
        if not watched:
            return None, None
        best = max((w.timeline[-1].value for w in watched), key=lambda v: RANK[v])
        since = [at for w in watched if w.timeline[-1].value == best and (at := _since(w)) != BEGINNING]
        # All down since the last of them went; up since the first of them came.
        return best, (max(since) if best == DOWN else min(since)) if since else None

    def many_are_down(self) -> bool:
        """As ZhdjManySitesOffline asks (docs/alerts.md), whatever the hour: service hours that end bring none back."""
        behind = {code for code, line in self._lines() if line.is_up is False}
        sites = [s for s in self.inventory.sites.values() if s.township_code not in behind]
        down = [
            s
            for s in sites
            if DOWN in (self.standing(s.site_id)[0], s.level is Level.VILLAGE and self.standing(s.site_id, FIXED)[0])
        ]
        return len(down) > max(len(self.inventory.sites) / 10, MANY)

    def channels(self) -> dict[str, bool]:
        """Is the channel observed?"""
        return {name: not channel.is_lost for name, channel in self.engine.channels.items()}

    def terminals(self) -> Iterator[TerminalView]:
        """Every position of the inventory."""
        now = self.clock.now()
        counter = Counter(self.eras, self.windows)
        for key, terminal in self.inventory.terminals.items():
            site = self.inventory.sites[terminal.site_id]
            watch = self.engine.terminals[key]
            outage = watch.book.current
            last = watch.timeline[-1]
            limit_ms = self.parameters.repair_limit_ms[site.level]
            yield TerminalView(
                site=terminal.site_id,
                kind=terminal.kind,
                level=str(site.level),
                township=site.township_code,
                value=last.value,
                since=last.at if len(watch.timeline) > 1 else None,
                last_seen=watch.seen,
                pending=last.value == UP and _is_pending(watch, now),
                counted_outage_s=_counted_s(counter.course(*key), watch, outage, now) if outage else None,
                repair_limit_s=limit_ms / 1000 if outage else None,
            )

    def sites(self) -> Iterator[SiteView]:
        """Every site of the inventory."""
        now = self.clock.now()
        service = self.service
        open_windows = [w for w in self.windows if w.start <= now < w.end]
        for site in self.inventory.sites.values():
            timelines = self.engine.site_timelines(site.site_id)
            yield SiteView(
                site=site.site_id,
                name=site.name,
                level=str(site.level),
                township=site.township_code,
                township_name=site.township_name,
                state=site_state([t[-1].value for t in timelines]),
                in_service=service.is_in_service(site, None, now),
                planned=any(w.covers(site) for w in open_windows),
            )

    def uplinks(self) -> Iterator[tuple[str, bool | None]]:
        """Of each township's line: does it work?"""
        return ((code, line.is_up) for code, line in self._lines())

    def lines(self) -> dict[str, Line]:
        """Of each township's line, what is known of it."""
        return dict(self._lines())

    def _lines(self) -> Iterator[tuple[str, Line]]:
        terminals = self.engine.terminals

        def status(site: str, kind: str) -> tuple[Value, int | None] | None:
            watch = terminals.get((site, kind))
            if watch is None or not watch.watches:
                return None
            return watch.timeline[-1].value, _since(watch)

        return lines(
            self.inventory,
            self.service,
            self.clock.now(),
            status,
            lambda site, kind: terminals[site, kind].book.current,
        )


def _counted_s(course: Course, watch: TerminalWatch, outage: Outage, now: int) -> float:
    return course.counted_down_ms(watch.timeline, (outage.start, now)) / 1000


def _is_pending(watch: TerminalWatch, now: int) -> bool:
    """Is a beat due that has not come, and nothing decided yet?"""
    return any(
        isinstance(w, HeartbeatWatch) and w.deadline is not None and now > w.deadline - w.grace for w in watch.watches
    )


def _since(watch: TerminalWatch) -> int:
    """Since when it is what it is, ms; of one that is down: its outage, also where we lost sight of it in between."""
    last, outage = watch.timeline[-1], watch.book.current
    return outage.start if last.value == DOWN and outage is not None else last.at


def _tell(told: dict[str, str], part: str, what: str) -> None:
    if what:
        told[part] = what
    else:
        told.pop(part, None)

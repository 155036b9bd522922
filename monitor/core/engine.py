"""The engine: evidence in order of time -> timelines of checks and terminals, and outages (docs/rules.md §1–§4).

It has no clock. Time passes through the evidence itself: an event on a channel at `at` proves that the channel lived
until then, and decides every silence whose time ran out before. So the same log always gives the same timelines, live,
after a crash, in a replay and in an audit. Instants must not decrease, and at equal instants evidence comes in the
order of the table in §7 (channel, will, heartbeat, probe).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any

from monitor.core.beats import HeartbeatWatch
from monitor.core.channel import Channel
from monitor.core.digest import Digest, expected
from monitor.core.heartbeat import LATE_LIMIT_MS
from monitor.core.outage import Outage, OutageBook
from monitor.core.probe import ProbeWatch
from monitor.core.sites import CHANNELS, Inventory
from monitor.core.status import NOTHING_KNOWN, Status, site_status
from monitor.core.timeline import BEGINNING, DOWN, UNKNOWN, UP, Step, Timeline, new_timeline, replace, roll_up, value_at
from monitor.core.watch import Watch

#: Local days, as ms: the day that holds an instant -> (its name YYYY-MM-DD, its start, its end).
Days = Callable[[int], tuple[str, int, int]]

_CHOOSE: dict[str, Callable[..., int]] = {"any": max, "all": min}


class TerminalWatch:
    """A terminal: its checks, their roll-up, its outages. A single check's timeline is the terminal's own."""

    __slots__ = ("book", "key", "kind", "seen", "site", "timeline", "watches")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.site, self.kind = site, kind = key
        self.watches: list[Watch] = []
        self.timeline: Timeline = new_timeline()
        self.book = OutageBook(site, kind)
        self.seen: int | None = None  # when it last proved to live (ms)


class Engine:
    """All checks of an inventory. Every method takes `at`, ms; those that judge return the reason of a refusal."""

    def __init__(self, inventory: Inventory, policy: str, days: Days) -> None:
        self.inventory = inventory
        self.channels = {name: Channel(name) for name in CHANNELS}
        self.terminals: dict[tuple[str, str], TerminalWatch] = {}
        self.watches: dict[tuple[str, str, str], Watch] = {}
        self.sites: dict[str, Status] = {}  # what is true now of each site
        self.confirmed: list[int] = []  # instants at which outages could be confirmed, until somebody takes them
        self.digests: list[Digest] = []  # of days that ended, until somebody takes them
        self.at = BEGINNING
        self._choose = _CHOOSE[policy]
        self.day_of = days
        self._day = ("", BEGINNING, BEGINNING)
        self._began = BEGINNING
        self._heaps: dict[str, list[tuple[int, int]]] = {name: [] for name in CHANNELS}
        # By channel and terminal; keys are the inventory's own, here as everywhere: of 150,000 each copy takes 12 MB.
        self._beats: dict[str, dict[tuple[str, str], HeartbeatWatch]] = {name: {} for name in CHANNELS}
        self._of_channel: dict[str, list[Watch]] = {name: [] for name in CHANNELS}
        self._changed: set[Watch] = set()
        self._changed_terminals: dict[TerminalWatch, None] = {}
        self._numbered: list[Watch] = []
        for place in inventory.terminals:
            self.terminals[place] = TerminalWatch(place)
        for key, check in inventory.checks.items():
            channel = self.channels[check.channel]
            kind = HeartbeatWatch if check.is_heartbeat else ProbeWatch
            watch: Watch = kind(check, channel, len(self._numbered))
            terminal = self.terminals.get((check.site_id, check.terminal))
            if terminal is None:
                terminal = TerminalWatch((check.site_id, check.terminal))
                self.terminals[terminal.key] = terminal
            terminal.watches.append(watch)
            watch.terminal = terminal
            self._numbered.append(watch)
            self.watches[key] = watch
            self._of_channel[check.channel].append(watch)
            if isinstance(watch, HeartbeatWatch):
                self._beats[check.channel][terminal.key] = watch
        for terminal in self.terminals.values():
            if len(terminal.watches) == 1:
                terminal.timeline = terminal.watches[0].timeline

    # --- evidence -----------------------------------------------------------------------------------------------

    def beat(
        self, at: int, site: str, kind: str, via: str, sent: int | None = None, boot: Any = None, seq: Any = None
    ) -> str | None:
        """A heartbeat; `sent` is corrected by the terminal's clock offset already."""
        watch = self._beats[via].get((site, kind))
        if watch is None:
            return self._unknown(site, kind)
        channel = watch.channel
        late = False
        # Most beats were sent after the last restore, and need no further look.
        if sent is not None and sent <= at and (channel.is_lost or sent <= channel.restores[-1]):
            late = channel.gap_at(sent, at)
            if late and at - sent > LATE_LIMIT_MS:
                return "too_late"
        # Of several at one instant the first one has done it.
        if at != channel.evidence_at or at != self.at or channel.is_lost:
            self._evidence(at, channel)
        watch.received += 1
        watch.last = at
        if watch.first is None:
            watch.first = at
        terminal: TerminalWatch = watch.terminal
        if late and sent is not None:
            watch.late += 1
            since = watch.late_beat(sent, [at, sent, via, boot, seq])
            terminal.seen = max(sent, terminal.seen or sent)
        else:
            terminal.seen = at
            since = watch.beat(at, [at, sent, via, boot, seq])
        if since is not None:
            self._moved(watch, since)
        if watch.deadline is not None and not watch.queued:
            self._queue(watch)
        return None

    def will(self, at: int, site: str, kind: str, via: str, goodbye: bool = False) -> str | None:
        """Contact ended: the broker says so, or the device itself (`goodbye`)."""
        watch = self._beats[via].get((site, kind))
        if watch is None:
            return self._unknown(site, kind)
        self._evidence(at, watch.channel)
        self._after(watch, watch.will(at, "goodbye" if goodbye else "will"))
        return None

    def result(self, at: int, site: str, kind: str, check: str, ok: bool) -> str | None:
        """A probe ended."""
        watch = self.watches.get((site, kind, check))
        if not isinstance(watch, ProbeWatch):
            return self._unknown(site, kind)
        self._evidence(at, watch.channel)
        watch.count(at)
        if ok:
            watch.terminal.seen = at
        else:
            watch.failed += 1
        self._after(watch, watch.result(at, ok))
        return None

    def restored(self, at: int, name: str) -> None:
        """The channel works. If it already did, this is a sign of life and changes nothing else."""
        self._pass(at, self.channels[name])
        self._restore(at, self.channels[name])

    def lost(self, at: int, name: str, since: int | None = None) -> None:
        """The channel is lost, from `since` on where that is given (§1)."""
        self._tick(at)
        channel = self.channels[name]
        if since is None:
            self._pass(at, channel)
        if channel.lose(at, since):
            for watch in self._of_channel[name]:
                self._after(watch, watch.rejudge())

    def finish(self, at: int) -> None:
        """The end of a replay: a channel that is not lost counts as observed up to here (§1)."""
        for channel in self.channels.values():
            if not channel.is_lost:
                self._pass(at, channel)
        self._tick(at)

    # --- time ---------------------------------------------------------------------------------------------------

    def _evidence(self, at: int, channel: Channel) -> None:
        self._pass(at, channel)
        if channel.is_lost:
            self._restore(at, channel)
        channel.evidence_at = at

    def _tick(self, at: int) -> None:
        if at >= self._day[2]:
            self._turn_day(at)
        self.at = at

    def _pass(self, at: int, channel: Channel) -> None:
        """The channel lived up to `at`: what would have been decided before is decided now."""
        if at >= self._day[2]:
            self._turn_day(at)
        self.at = at
        if channel.is_lost:
            return
        channel.life = at
        heap = self._heaps[channel.name]
        while heap and heap[0][0] < at:
            due, number = heappop(heap)
            watch = self._numbered[number]
            watch.queued = False
            if watch.deadline is None:
                continue
            if watch.deadline < at:
                due = watch.deadline
                since = watch.rejudge()
                if since is not None and watch.timeline[-1].value == DOWN:
                    self.confirmed.append(due)
                self._after(watch, since)
            else:
                self._queue(watch)

    def _restore(self, at: int, channel: Channel) -> None:
        if channel.restore(at):
            for watch in self._of_channel[channel.name]:
                self._after(watch, watch.rejudge())

    def _queue(self, watch: Watch) -> None:
        if watch.deadline is not None and not watch.queued:
            watch.queued = True
            heappush(self._heaps[watch.channel.name], (watch.deadline, watch.number))

    def _after(self, watch: Watch, since: int | None) -> None:
        if since is not None:
            self._moved(watch, since)
        self._queue(watch)

    def _moved(self, watch: Watch, since: int) -> None:
        """A check's timeline differs from `since` on: so may its terminal's, and the outages."""
        self._changed.add(watch)
        terminal: TerminalWatch = watch.terminal
        if len(terminal.watches) > 1:
            lo = max(since, BEGINNING + 1)
            merged = roll_up([w.timeline for w in terminal.watches], self._choose, lo)
            if replace(terminal.timeline, lo, merged) is None:
                return
        self._changed_terminals[terminal] = None
        terminal.book.revise(terminal.timeline, since)
        site = terminal.site
        self.sites[site] = site_status(self.site_timelines(site), self.sites.get(site, NOTHING_KNOWN))

    def _unknown(self, site: str, kind: str) -> str:
        return "no_such_check" if (site, kind) in self.terminals else "unknown_terminal"

    # --- what changed, for the database -------------------------------------------------------------------------

    def changes(self) -> Iterator[tuple[Watch, int, list[Step]]]:
        """(check, from, its steps from there on) for each check whose timeline differs since the last call."""
        for watch in sorted(self._changed, key=lambda w: w.number):
            lo = watch.changed_from
            watch.changed_from = None
            if lo is not None:
                yield watch, lo, [s for s in watch.timeline if s.at >= lo]
        self._changed.clear()

    def changed_terminals(self) -> list[TerminalWatch]:
        """The terminals whose timelines changed since the last call."""
        result = list(self._changed_terminals)
        self._changed_terminals.clear()
        return result

    def changed_outages(self, terminals: list[TerminalWatch]) -> list[Outage]:
        """The outages of these terminals (what `changed_terminals` gave) that changed since the last call."""
        result: list[Outage] = []
        for terminal in terminals:
            result.extend(terminal.book.take_changed())
        return result

    def site_timelines(self, site: str) -> list[Timeline]:
        """The timelines of a site's terminals that have checks: what its own follows from (§4)."""
        kinds = (t.kind for t in self.inventory.terminals_of.get(site, ()))
        watched = (self.terminals[site, kind] for kind in kinds)
        return [t.timeline for t in watched if t.watches]

    # --- days and checkpoints -----------------------------------------------------------------------------------

    def digests_so_far(self) -> list[Digest]:
        """The counts of the day that goes on, as of now."""
        name, start, end = self._day
        if not name:
            return []
        lo, hi = max(start, self._began), min(self.at, end)
        return [
            Digest(w.check.key, name, expected(w.interval, lo, hi), w.received, w.failed, w.late, w.first, w.last)
            for w in self._numbered
        ]

    def _turn_day(self, at: int) -> None:
        if self._day[0]:
            self.at = self._day[2]
            self.digests.extend(self.digests_so_far())
            for watch in self._numbered:
                watch.load_day((0, 0, 0, None, None))
        else:
            self._began = at
        self._day = self.day_of(at)
        self._forget(at - LATE_LIMIT_MS)

    def _forget(self, before: int) -> None:
        """Cut every terminal's timelines at its last up before anything that can still change."""
        for terminal in self.terminals.values():
            limit = min([before, *(w.forget(before) for w in terminal.watches)])
            limit = min([limit, *(w.changed_from for w in terminal.watches if w.changed_from is not None)])
            i = len(terminal.timeline) - 1
            while i > 0 and (terminal.timeline[i].at > limit or terminal.timeline[i].value != UP):
                i -= 1
            if i <= 0:
                continue
            at = terminal.timeline[i].at
            for timeline in {id(t): t for t in (terminal.timeline, *(w.timeline for w in terminal.watches))}.values():
                there = value_at(timeline, at)
                rest = [s for s in timeline if s.at > there.at]
                timeline[:] = [*new_timeline(), *([there] if there.value != UNKNOWN else []), *rest]
            terminal.book.forget(at)

    def state(self) -> dict[str, Any]:
        """Everything that judging needs from the past, as plain values (JSON)."""
        return {
            "at": self.at,
            "day": list(self._day),
            "began": self._began,
            "channels": {name: c.state() for name, c in self.channels.items()},
            "checks": [[*w.check.key, w.day_state(), w.state()] for w in self._numbered],
            "sites": [[site, *status] for site, status in self.sites.items()],
            "terminals": [[*k, t.seen, t.book.state()] for k, t in self.terminals.items()],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave; checks and terminals that the inventory no longer has are left out."""
        self.at, self._day, self._began = state["at"], tuple(state["day"]), state["began"]
        for name, channel in state["channels"].items():
            self.channels[name].load(channel)
        for site, kind, check, day, rest in state["checks"]:
            watch = self.watches.get((site, kind, check))
            if watch is not None:
                watch.load_day(day)
                watch.load(rest)
                self._queue(watch)
        self.sites = {site: Status(*status) for site, *status in state["sites"] if site in self.inventory.sites}
        for site, kind, seen, book in state["terminals"]:
            terminal = self.terminals.get((site, kind))
            if terminal is None:
                continue
            terminal.seen = seen
            terminal.book.load(book)
            if len(terminal.watches) == 1:
                terminal.timeline = terminal.watches[0].timeline
            elif terminal.watches:
                terminal.timeline[:] = roll_up([w.timeline for w in terminal.watches], self._choose)
        self.tell_all()

    def tell_all(self) -> None:
        """All that is known counts as changed: an empty database knows none of it."""
        for watch in self._numbered:
            if len(watch.timeline) > 1:
                watch.changed_from = watch.timeline[1].at
                self._changed.add(watch)
        for terminal in self.terminals.values():
            if len(terminal.timeline) > 1 or terminal.book.outages:
                self._changed_terminals[terminal] = None
                terminal.book.tell_all()

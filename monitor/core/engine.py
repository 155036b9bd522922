"""The engine: evidence in order of time -> timelines of checks and terminals, and outages (docs/rules.md §1–§4).

It has no clock. Time passes through the evidence itself: an event on a channel at `at` proves that the channel lived
until then, and decides every silence whose time ran out before. So the same log always gives the same timelines, live,
after a crash, in a replay and in an audit. Instants must not decrease, and at equal instants evidence comes in the
order of the table in §7 (channel, will, heartbeat, probe).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from monitor.core.beats import HeartbeatWatch
from monitor.core.channel import Channel, Variant
from monitor.core.digest import Digest, expected
from monitor.core.heartbeat import BELIEVED_MS, LATE_LIMIT_MS
from monitor.core.outage import Outage
from monitor.core.probe import ProbeWatch
from monitor.core.sites import CHANNELS, Check, Inventory
from monitor.core.status import NOTHING_KNOWN, Status, site_status
from monitor.core.terminal import TerminalWatch
from monitor.core.timeline import BEGINNING, DOWN, Step, Timeline
from monitor.core.watch import Watch

#: Local days, as ms: the day that holds an instant -> (its name YYYY-MM-DD, its start, its end).
Days = Callable[[int], tuple[str, int, int]]


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
        self.gone: list[tuple[str, str]] = []  # terminals, and sites (terminal ""), that the inventory lost
        self._policies: list[tuple[int, str]] = [(BEGINNING, policy)]  # since when which holds
        self.day_of = days
        self._day = ("", BEGINNING, BEGINNING)
        self._began = BEGINNING
        self._heaps: dict[str, list[tuple[int, int]]] = {name: [] for name in CHANNELS}
        # By channel and terminal; keys are the inventory's own, here as everywhere: of 150,000 each copy takes 12 MB.
        self._beats: dict[str, dict[tuple[str, str], HeartbeatWatch]] = {name: {} for name in CHANNELS}
        self._of_channel: dict[str, list[Watch]] = {name: [] for name in CHANNELS}
        self._changed: set[Watch] = set()
        self._changed_terminals: dict[TerminalWatch, None] = {}
        self._numbered: dict[int, Watch] = {}
        self._next_number = 0
        for key in inventory.terminals:
            self.terminals[key] = TerminalWatch(key)
        for place, check in inventory.checks.items():
            self._watch(place, check, self.channels[check.channel])
        for terminal in self.terminals.values():
            terminal.share()

    def _watch(self, place: tuple[str, str, str], check: Check, channel: Channel) -> Watch:
        """Begin to watch. `place`: the check's key, the inventory's own."""
        kind = HeartbeatWatch if check.is_heartbeat else ProbeWatch
        watch: Watch = kind(check, channel, self._next_number)
        self._next_number += 1
        terminal = self.terminals.get((check.site_id, check.terminal))
        if terminal is None:
            terminal = TerminalWatch((check.site_id, check.terminal))
            self.terminals[terminal.key] = terminal
        terminal.watches += (watch,)
        watch.terminal = terminal
        self._numbered[watch.number] = watch
        self.watches[place] = watch
        self._of_channel[check.channel].append(watch)
        if isinstance(watch, HeartbeatWatch):
            self._beats[check.channel][terminal.key] = watch
        return watch

    # --- evidence -----------------------------------------------------------------------------------------------

    def beat(
        self,
        at: int,
        site: str,
        kind: str,
        via: str,
        sent: int | None = None,
        boot: Any = None,
        seq: Any = None,
        services: Mapping[str, str] | None = None,
    ) -> str | None:
        """A heartbeat; `sent` is corrected by the terminal's clock offset already. `services`: what it says of them,
        which is counted and judges nothing."""
        watch = self._beats[via].get((site, kind))
        if watch is None:
            return self._unknown(site, kind)
        channel = watch.channel
        late = False
        # Most beats were sent after the last restore, and need no further look.
        if sent is not None and sent <= at and (channel.is_lost or sent <= channel.restores[-1]):
            late = at - sent <= BELIEVED_MS and channel.gap_at(sent, at)
            if late and at - sent > LATE_LIMIT_MS:
                return "too_late"
        main = self.channels[via]
        # Of several at one instant the first one has done it.
        if at != main.evidence_at or at != self.at or main.is_lost:
            self._evidence(at, main)
        watch.received += 1
        watch.last = at
        if watch.first is None:
            watch.first = at
        if services:
            watch.hear(services)
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
        if watch.deadline is not None and watch.queued is None:
            self._queue(watch)
        return None

    def will(self, at: int, site: str, kind: str, via: str, goodbye: bool = False) -> str | None:
        """Contact ended: the broker says so, or the device itself (`goodbye`)."""
        watch = self._beats[via].get((site, kind))
        if watch is None:
            return self._unknown(site, kind)
        self._evidence(at, self.channels[via])
        self._after(watch, watch.will(at, "goodbye" if goodbye else "will"))
        return None

    def result(self, at: int, site: str, kind: str, check: str, ok: bool) -> str | None:
        """A probe ended."""
        watch = self.watches.get((site, kind, check))
        if not isinstance(watch, ProbeWatch):
            return self._unknown(site, kind)
        self._evidence(at, self.channels["probe"])
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
            watch = self._numbered.get(number)
            if watch is None or watch.queued != due:  # its row ended or changed since
                continue
            watch.queued = None
            if watch.deadline is None:
                continue
            if watch.deadline > due:  # it moved since: its turn is later, and the order that of the deadlines
                self._queue(watch)
                continue
            due = watch.deadline
            since = watch.rejudge()
            if since is not None and watch.timeline[-1].value == DOWN:
                self.confirmed.append(due)
            self._after(watch, since)

    def _restore(self, at: int, channel: Channel) -> None:
        if channel.restore(at):
            for watch in self._of_channel[channel.name]:
                self._after(watch, watch.rejudge())

    def _queue(self, watch: Watch) -> None:
        if watch.deadline is not None and watch.queued is None:
            watch.queued = watch.deadline
            heappush(self._heaps[watch.channel.name], (watch.deadline, watch.number))

    def _after(self, watch: Watch, since: int | None) -> None:
        if since is not None:
            self._moved(watch, since)
        self._queue(watch)

    def _moved(self, watch: Watch, since: int) -> None:
        """A check's timeline differs from `since` on: so may its terminal's, and the outages."""
        self._changed.add(watch)
        terminal: TerminalWatch = watch.terminal
        if terminal.roll(since, self._policies):
            self._terminal_moved(terminal, since)

    def _terminal_moved(self, terminal: TerminalWatch, since: int) -> None:
        self._changed_terminals[terminal] = None
        terminal.book.revise(terminal.timeline, since)
        site = terminal.key[0]
        if site in self.inventory.sites:
            self.sites[site] = site_status(self.site_timelines(site), self.sites.get(site, NOTHING_KNOWN))

    def has(self, site: str, kind: str) -> bool:
        """Is there such a terminal, or (kind "") such a site?"""
        return (site, kind) in self.terminals if kind else site in self.inventory.sites

    def _unknown(self, site: str, kind: str) -> str:
        return "no_such_check" if (site, kind) in self.terminals else "unknown_terminal"

    # --- what changed, for the database -------------------------------------------------------------------------

    def changes(self) -> Iterator[tuple[Watch, int, list[Step]]]:
        """(check, from, its steps from there on) for each check whose timeline differs since the last call."""
        found: dict[tuple[str, str, str], tuple[Watch, int, list[Step]]] = {}
        for watch in sorted(self._changed, key=lambda w: (w.began or BEGINNING, w.number)):
            lo = watch.changed_from
            watch.changed_from = None
            if lo is None:
                continue
            steps = [s for s in watch.timeline if s.at >= lo]
            if watch.check.key in found:  # it was removed and came back
                _, lo, before = found[watch.check.key]
                while before and steps and before[-1].value == steps[0].value:
                    del steps[0]
                steps = before + steps
            found[watch.check.key] = watch, lo, steps
        self._changed.clear()
        yield from found.values()

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
        return [t.timeline for t in watched if any(w.ended is None for w in t.watches)]

    # --- other inventories --------------------------------------------------------------------------------------

    def adopt(self, at: int, inventory: Inventory, policy: str) -> None:
        """From `at` on this inventory and this policy hold. What was before was judged by what held before.

        For a check whose row ends or is another one, the channel counts as lost from its last sign of life on; for a
        row that begins, as restored at `at` (docs/rules.md, "What held when").
        """
        self._tick(at)
        before, self.inventory = self.inventory, inventory
        for key in inventory.terminals:
            if key not in self.terminals:
                self.terminals[key] = TerminalWatch(key)
                self._changed_terminals[self.terminals[key]] = None
        touched: dict[TerminalWatch, None] = {}
        variants: dict[tuple[Channel, bool], Variant] = {}

        def variant(channel: Channel, *, ended: bool) -> Variant:
            main = self.channels[channel.name]
            if (channel, ended) not in variants:
                variants[channel, ended] = Variant.changed(channel, main, at, ended=ended)
            return variants[channel, ended]

        for place, watch in list(self.watches.items()):
            check = inventory.checks.get(place)
            if check is not None and _terms(check) == _terms(watch.check):
                watch.check = check
            elif check is not None:
                watch.queued = None  # its time may run out sooner now
                self._after(watch, watch.follow(check, variant(watch.channel, ended=False), at))
            else:
                touched[watch.terminal] = None
                self._after(watch, watch.follow(watch.check, variant(watch.channel, ended=True), at))
                self._end(watch, at)
        begun: dict[str, Variant] = {}
        for place, check in inventory.checks.items():
            if place not in self.watches:
                if check.channel not in begun:
                    begun[check.channel] = Variant.begun(self.channels[check.channel], at)
                watch = self._watch(place, check, begun[check.channel])
                watch.began = at
                touched[watch.terminal] = None
                self._after(watch, watch.rejudge())
        if policy != self._policies[-1][1]:
            self._policies.append((at, policy))
            touched |= dict.fromkeys(t for t in self.terminals.values() if len(t.watches) > 1)
        for of_terminal in touched:
            of_terminal.regroup(at, self._policies)
            self._terminal_moved(of_terminal, at)
        self._let_go(before, at)

    def _end(self, watch: Watch, at: int) -> None:
        """No row any more: what it says up to `at` stands."""
        check = watch.check
        watch.ended, watch.deadline = at, None
        del self.watches[check.key]
        self._of_channel[check.channel].remove(watch)
        if isinstance(watch, HeartbeatWatch):
            del self._beats[check.channel][check.site_id, check.terminal]

    def _let_go(self, before: Inventory, at: int) -> None:
        """Terminals and sites that the inventory has no more: an outage that goes on is over for us."""
        kept = set(self.inventory.terminals) | set(self.inventory.checks_of)
        for key in [k for k in self.terminals if k not in kept]:
            terminal = self.terminals.pop(key)
            terminal.book.closed = at
            self._terminal_moved(terminal, BEGINNING)
            self.gone.append(key)
        for site in before.sites:
            if site not in self.inventory.sites:
                self.sites.pop(site, None)
                self.gone.append((site, ""))
        for site in self.inventory.sites:
            if site not in before.sites or self.inventory.terminals_of[site] != before.terminals_of.get(site):
                self.sites[site] = site_status(self.site_timelines(site), self.sites.get(site, NOTHING_KNOWN))

    # --- days and checkpoints -----------------------------------------------------------------------------------

    def digests_so_far(self) -> list[Digest]:
        """The counts of the day that goes on, as of now."""
        name, start, end = self._day
        if not name:
            return []
        lo, hi = max(start, self._began), min(self.at, end)
        found: dict[tuple[str, str, str], Digest] = {}
        for w in self._numbered.values():
            fit = expected(w.interval, max(lo, w.began or lo), min(hi, w.ended or hi))
            said = tuple((service, ok, failed) for service, (ok, failed) in sorted(w.said.items()))
            digest = Digest(w.check.key, name, fit, w.received, w.failed, w.late, w.first, w.last, said)
            known = found.get(digest.check)
            found[digest.check] = known.joined(digest) if known else digest  # removed, and back on the same day
        return list(found.values())

    def _turn_day(self, at: int) -> None:
        if self._day[0]:
            self.at = self._day[2]
            self.digests.extend(self.digests_so_far())
            self._numbered = {n: w for n, w in self._numbered.items() if w.ended is None}
            for watch in self._numbered.values():
                watch.load_day((0, 0, 0, None, None))
        else:
            self._began = at
        self._day = self.day_of(at)
        for terminal in self.terminals.values():
            terminal.forget(at - LATE_LIMIT_MS)
        for main in self.channels.values():
            watches = self._of_channel[main.name]
            used = {w.channel for w in watches}
            main.variants = [v for v in main.variants if v in used]
            for channel in (main, *main.variants):
                needed = (w.needs(at - LATE_LIMIT_MS) for w in watches if w.channel is channel)
                channel.forget(min([channel.number_at(at - BELIEVED_MS), *(n for n in needed if n is not None)]))

    def state(self, pack: Callable[[list[Any]], Any] = list) -> dict[str, Any]:
        """Everything that judging needs from the past, as plain values (JSON).

        `pack` is called with what is said of each check and terminal: whoever turns it into bytes at once is spared
        millions of small values that stand beside each other.
        """
        ended = [w for t in self.terminals.values() for w in t.watches if w.number not in self._numbered]
        return {
            "at": self.at,
            "day": list(self._day),
            "began": self._began,
            "policies": self._policies,
            "channels": {name: c.state() for name, c in self.channels.items()},
            "variants": {name: [v.state() for v in c.variants] for name, c in self.channels.items() if c.variants},
            "checks": [
                pack([*w.check.key, w.day_state(), w.state(), self._row(w)]) for w in (*self._numbered.values(), *ended)
            ],
            "sites": [[site, *status] for site, status in self.sites.items()],
            "terminals": [pack(t.state(self._policies[-1][1])) for t in self.terminals.values()],
        }

    def _row(self, watch: Watch) -> list[Any] | None:
        """What is special about a check's row: since and until when it holds, its channel's variant; of one that has
        ended, what it was, and whether its terminal is still the one that the inventory has."""
        variants: Sequence[Channel] = self.channels[watch.check.channel].variants
        number = next((i for i, v in enumerate(variants) if v is watch.channel), None)
        if watch.began is None and watch.ended is None and number is None:
            return None
        row = [watch.check.interval_ms, watch.check.grace_ms, watch.check.failures] if watch.ended is not None else []
        terminal: TerminalWatch = watch.terminal
        return [watch.began, watch.ended, number, row, self.terminals.get(terminal.key) is terminal]

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave; checks and terminals that the inventory does not have are left out."""
        self.at, self._day, self._began = state["at"], tuple(state["day"]), state["began"]
        if state["policies"][-1][1] == self._policies[-1][1]:
            self._policies = [(since, policy) for since, policy in state["policies"]]
        for name, channel in state["channels"].items():
            self.channels[name].load(channel)
        for name, variants in state.get("variants", {}).items():
            for one in variants:
                variant = Variant(self.channels[name], BEGINNING)
                variant.load(one)
                self.channels[name].variants.append(variant)
        for site, kind, check, day, rest, row in state["checks"]:
            watch = self._loaded_watch((site, kind, check), row)
            if watch is not None:
                watch.load_day(day)
                watch.load(rest)
                self._queue(watch)
        self.sites = {site: Status(*status) for site, *status in state["sites"] if site in self.inventory.sites}
        for site, kind, *rest in state["terminals"]:
            terminal = self.terminals.get((site, kind))
            if terminal is not None:
                terminal.load(rest, self._policies)
        self.tell_all()

    def _loaded_watch(self, key: tuple[str, str, str], row: list[Any] | None) -> Watch | None:
        """The watch of a check that a state tells of, made anew where its row has ended."""
        began, ended, number, terms, kept = row or (None, None, None, [], True)
        if ended is None:
            watch = self.watches.get(key)
        else:
            check = Check(*key, "", *terms)
            kind = HeartbeatWatch if check.is_heartbeat else ProbeWatch
            watch = kind(check, self.channels[check.channel], self._next_number)
            self._next_number += 1
            self._numbered[watch.number] = watch
            # One that was removed meanwhile is over, also where another stands in its place.
            watch.terminal = (self.terminals.get(key[:2]) if kept else None) or TerminalWatch(key[:2])
            watch.terminal.watches += (watch,)
            if ended < self._day[1]:
                del self._numbered[watch.number]  # only for what its terminal was
        if watch is not None and row is not None:
            watch.began, watch.ended = began, ended
            if number is not None:
                watch.channel = self.channels[watch.check.channel].variants[number]
        return watch

    def tell_all(self) -> None:
        """All that is known counts as changed: an empty database knows none of it."""
        ended = (w for t in self.terminals.values() for w in t.watches if w.ended is not None)
        for watch in (*self._numbered.values(), *ended):
            if len(watch.timeline) > 1:
                watch.changed_from = watch.timeline[1].at
                self._changed.add(watch)
        for terminal in self.terminals.values():
            if len(terminal.timeline) > 1 or terminal.book.outages:
                self._changed_terminals[terminal] = None
                terminal.book.tell_all()


def _terms(check: Check) -> tuple[int, int, int]:
    """What of a row decides how evidence is judged."""
    return check.interval_ms, check.grace_ms, check.failures

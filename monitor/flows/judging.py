"""One line of a log, judged: what live service, recovery, replay and audit have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec

from monitor.core.changes import Collector
from monitor.core.days import local_days
from monitor.core.engine import Engine
from monitor.core.first_form import is_first_form, todays_form
from monitor.core.timeline import BEGINNING
from monitor.core.window import Window
from monitor.errors import MonitorError
from monitor.evidence.lines import (
    AnyLine,
    ChannelLine,
    HeartbeatLine,
    InventoryLine,
    OpenedLine,
    ProbeLine,
    WillLine,
    WindowLine,
    millis,
)
from monitor.flows.told_windows import ToldWindows
from monitor.inventory.load import Loaded
from monitor.inventory.versions import Version, eras_of, loaded_of, pack, settings_from, text_of
from monitor.store.versions import Held


class Judge:
    """An engine, fed with lines in their order. `refused` counts what the rules reject, by reason.

    `versions` and `eras` say what held when: what the log tells, and until it tells something what `loaded` says.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.settings = loaded.settings
        self.refused: Counter[str] = Counter()
        self.began = False
        self._counts_services = True
        self.told: list[InventoryLine] = []  # the versions that the log tells of; their bodies are kept packed
        self._bodies: dict[int, bytes] = {}
        self._begin([Version(0, BEGINNING, loaded)], BEGINNING)

    def _begin(self, versions: list[Version], at: int) -> None:
        """Nothing was judged yet: with what held at `at`."""
        self.versions = versions
        self.eras = eras_of(versions)
        self.taken = sum(era.since <= at for era in self.eras)
        era = self.eras[self.taken - 1]
        self.engine = Engine(era.inventory, era.parameters.terminal_policy, local_days(self.settings.zone))
        self.collector = Collector(self.engine)
        self.windows = ToldWindows(era.inventory)

    def _begin_again(self, versions: list[Version], at: int) -> None:
        """Other versions than was thought until now; what the log said so far stands."""
        before, collector, windows = self.engine, self.collector, self.windows
        self._begin(versions, at)
        if before.at > BEGINNING:
            self.engine.load(before.state())
            self.engine.digests = before.digests
        for window in windows.load(windows.state(at)):
            self.windows.put(window)
        self.collector.windows, self.collector.versions = collector.windows, collector.versions

    @property
    def loaded(self) -> Loaded:
        """What the newest version says that holds already; its settings may hold from the next month's start only."""
        era = self.eras[self.taken - 1]
        newest = next(v for v in reversed(self.versions) if v.since <= era.since)
        return replace(newest.loaded, service=era.service)

    def pass_to(self, at: int) -> bool:
        """What holds from an instant up to `at` on is taken up, each at its own. False if there was nothing."""
        if self.taken == len(self.eras) or self.eras[self.taken].since > at:
            return False
        while self.taken < len(self.eras) and self.eras[self.taken].since <= at:
            era = self.eras[self.taken]
            self.taken += 1
            self.engine.adopt(era.since, era.inventory, era.parameters.terminal_policy)
            self.windows.inventory = era.inventory
        return True

    def finish(self, at: int) -> None:
        """The end of a replay, `Engine.finish`."""
        self.pass_to(at)
        self.engine.finish(at)

    def tell(self, line: InventoryLine, at: int, loaded: Loaded | None = None) -> None:
        """The log tells, at `at`, of a version of the inventory. The first one held always. `loaded`: what its body
        says, where that was read already (a large one takes seconds)."""
        self._counts_services = True
        if any(known.number == line.number for known in self.told):
            return
        loaded = loaded_of(line.body, self.settings) if loaded is None else loaded
        if self.told:
            version = Version(line.number, max(millis(line.since), at), loaded)
            self.versions = sorted([*self.versions, version], key=lambda v: (v.since, v.number))
            self.eras = [*self.eras[: self.taken], *(e for e in eras_of(self.versions) if e.since >= at)]
        elif loaded.digest == self.versions[0].loaded.digest:
            version = replace(self.versions[0], number=line.number)
            self.versions = [version]
        else:
            version = Version(line.number, BEGINNING, loaded)
            self._begin_again([version], at)
        self._keep(line, version)

    def expect(self, line: InventoryLine) -> None:
        """The log, which is older than versions are, will tell of this as its first one: what comes before is judged
        by it, too. Call it before anything is judged."""
        if line.digest != self.versions[0].loaded.digest:
            self._begin([Version(0, BEGINNING, loaded_of(line.body, self.settings))], BEGINNING)

    def _head(self, line: OpenedLine, state: dict[str, Any]) -> None:
        """Begin with what the head of a day says."""
        if line.versions:
            since = [BEGINNING, *(max(millis(told.since), millis(told.at)) for told in line.versions[1:])]
            told = zip(line.versions, since, strict=True)
            versions = [Version(one.number, at, loaded_of(one.body, self.settings)) for one, at in told]
            self._begin(versions, state["at"])
            self.told = []
            for one, version in zip(line.versions, versions, strict=True):
                self._keep(one, version)
        if is_first_form(state):
            # That program did not count by day what beats say of services, so its rows say nothing of them, nor may
            # what is worked out again from its log. It never told of an inventory; its successor does so first.
            self._counts_services = False
            state = todays_form(state, self.engine.inventory, self.eras[0].parameters.terminal_policy)
        self.engine.load(state)
        for window in self.windows.load(state.get("windows", [])):
            self.declare(window)

    def _keep(self, line: InventoryLine, version: Version) -> None:
        """For the database, which lists the versions, and for the heads of days."""
        since = version.since if version.since > BEGINNING else millis(line.since)
        self.collector.rows += version.loaded.inventory.checks
        body = self._bodies[line.number] = pack(version.loaded)
        self.told.append(msgspec.structs.replace(line, body=msgspec.Raw()))
        self.collector.versions.append(Held(line.number, since, line.digest, line.files, body, line.by))

    def needed(self, at: int) -> list[InventoryLine]:
        """The versions that it takes to judge on from `at`: what held since the oldest outage began, and all later."""
        going = (t.book.current for t in self.engine.terminals.values())
        oldest = min([at, *(o.start for o in going if o is not None)])
        first = max(i for i, v in enumerate(self.versions) if i == 0 or settings_from(v.loaded, v.since) <= oldest)
        lines = {line.number: line for line in self.told}
        needed = [lines[v.number] for v in self.versions[first:] if v.number in lines]
        return [msgspec.structs.replace(told, body=msgspec.Raw(text_of(self._bodies[told.number]))) for told in needed]

    def declare(self, window: Window) -> None:
        """The log tells of a planned window."""
        self.windows.put(window)
        self.collector.windows.append(window)

    def _down(self) -> Iterator[tuple[str, str]]:
        return (key for key, terminal in self.engine.terminals.items() if terminal.book.current is not None)

    def apply(self, line: AnyLine, at: int) -> str | None:
        """Judge one line; returns the reason of a refusal."""
        self.pass_to(at)
        engine = self.engine
        reason: str | None = None
        if isinstance(line, HeartbeatLine):
            sent = millis(line.sent_at) if line.sent_at is not None else None
            services = line.services if self._counts_services else None
            reason = engine.beat(at, line.site, line.terminal, line.via, sent, line.boot, line.seq, services)
        elif isinstance(line, ProbeLine):
            reason = engine.result(at, line.site, line.terminal, line.check, line.ok)
        elif isinstance(line, WillLine):
            reason = engine.will(at, line.site, line.terminal, line.via, line.kind == "goodbye")
        elif isinstance(line, ChannelLine):
            if line.event == "restored":
                engine.restored(at, line.channel)
            else:
                engine.lost(at, line.channel, millis(line.since) if line.since is not None else None)
        elif isinstance(line, WindowLine):
            self.declare(self.windows.read(line, at, self._down()))
        elif isinstance(line, InventoryLine):
            self.tell(line, at)
            self.pass_to(at)
        elif line.state is not None and not self.began:
            try:
                self._head(line, line.state)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError):
                wrote = f"it was written by version {line.version or 'unknown'}"
                raise MonitorError(f"this version does not understand the head of this day ({wrote})") from None
        self.began = True
        self.engine.confirmed.clear()  # how late it was confirmed says something of a live service only
        if reason is not None:
            self.refused[reason] += 1
        return reason

"""The fleet: all devices and targets of an inventory, their scripts, and cuts by hand."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import aiohttp

from monitor.clock import Clock
from monitor.core.sites import Inventory, Level
from monitor.errors import MonitorError
from monitor.fleet.actor import Actor
from monitor.fleet.casting import (
    Doors,
    Workshop,
    canaries_of,
    cast_of,
    exists,
    face_of,
    playable,
    uplinks_of,
)
from monitor.fleet.device import Face
from monitor.fleet.script import SCRIPTS, Behaviour, Episode, Fault, script, site_script
from monitor.fleet.targets import TcpTarget
from monitor.fleet.truth import TruthWriter

#: HTTP devices share these connections; each asks for one for some milliseconds of its interval.
CONNECTIONS = 64
#: Timers in one piece would not notice a suspended machine.
_LONGEST_NAP_S = 30.0


class Fleet:
    """Plays an inventory against a running service.

    `script_s`: how long the scripts are (None: endless); all that they take down is up again by then.
    `scale`: makes scripts quicker below 1, not the devices. `behaviours` overrides what the seed draws.
    `today`: the local day, for devices that are not there yet.
    """

    def __init__(
        self,
        inventory: Inventory,
        doors: Doors,
        truth: TruthWriter,
        *,
        seed: int,
        play: str = "gentle",
        script_s: float | None = None,
        scale: float = 1.0,
        behaviours: Mapping[tuple[str, str], Behaviour] | None = None,
        canaries: Sequence[str] = (),
        today: date | None = None,
    ) -> None:
        if play not in SCRIPTS:
            raise MonitorError(f"unknown script {play!r}: expected one of {', '.join(SCRIPTS)}")
        self.clock = Clock()
        self.tally: Counter[str] = Counter()
        self.actors: list[Actor] = []
        self.started = asyncio.Event()
        self._inventory = inventory
        self._doors = doors
        self._truth = truth
        self._seed = seed
        self._play = play
        self._script_ms = None if script_s is None else round(script_s * 1000)
        self._scale = scale
        self._behaviours = behaviours or {}
        self._canary_targets = canaries
        self._today = today or datetime.now(UTC).date()
        self._uplinks: dict[str, list[TcpTarget]] = {}
        self._canaries: list[TcpTarget] = []
        self._faces: list[Face] = []
        self._cut: set[str] = set()
        self._muted = False
        self._start = 0

    async def run(self, duration_s: float | None = None) -> None:
        """Play for so long, or until cancelled. Raises MonitorError without an address or a token."""
        _allow_many_files()
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        try:
            async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
                tasks = self._assemble(Workshop(self._doors, session, self.clock, self.tally, self._seed), group)
                self.started.set()
                try:
                    await _nap(duration_s)
                finally:
                    for face in self._faces:
                        face.close()
                for task in tasks:
                    task.cancel()
        except BaseExceptionGroup as several:
            refused = several.subgroup(MonitorError)
            while refused is not None:
                first = refused.exceptions[0]
                if not isinstance(first, BaseExceptionGroup):
                    raise first from None
                refused = first
            raise
        finally:
            for actor in self.actors:
                actor.finish()

    # By hand.

    def cut(self, township: str) -> int:
        """The township's line is gone: its own site, its villages and its uplink go silent.

        Returns the number of terminals; cutting twice changes nothing. Raises MonitorError for a code that is
        no township's.
        """
        return self._line(township, True)

    def restore(self, township: str) -> int:
        """The line is back; what its own script holds down stays down."""
        return self._line(township, False)

    def cut_monitor(self, on: bool = True) -> None:
        """The monitor's own line: canaries vanish, nobody can be heard, all live. No part of the truth.

        Devices keep their beats meanwhile and deliver them late, with the moment at which they were sent.
        """
        self._muted = on
        for target in self._canaries:
            target.mute(on)
        for lines in self._uplinks.values():
            for line in lines:
                line.mute(on)
        for actor in self.actors:
            actor.mute(on)

    def state(self) -> dict[str, Any]:
        """What is going on, for people and scripts."""
        return {
            "script": self._play,
            "seed": self._seed,
            "running_s": round((self.clock.now() - self._start) / 1000, 1) if self._start else 0.0,
            "terminals": len(self.actors),
            "down": sum(actor.is_down for actor in self.actors),
            "cut": sorted(self._cut),
            "monitor_cut": self._muted,
            "tally": dict(sorted(self.tally.items())),
        }

    def _line(self, township: str, cut: bool) -> int:
        known = self._inventory.townships
        if township not in known:
            listed = ", ".join(f"{code} {name}" for code, name in known.items())
            raise MonitorError(f"no township {township!r}: expected monitor or one of {listed}")
        if cut:
            self._cut.add(township)
        else:
            self._cut.discard(township)
        for line in self._uplinks.get(township, []):
            if cut:
                line.fail(Fault.SILENCE)
            else:
                line.recover()
        members = [actor for actor in self.actors if self._is_member(actor, township)]
        for actor in members:
            if cut:
                actor.down("township", Fault.SILENCE)
            else:
                actor.up("township")
        return len(members)

    def _is_member(self, actor: Actor, township: str) -> bool:
        site = self._inventory.sites[actor.cast.site]
        return site.township_code == township and site.level is not Level.COUNTY

    # The play.

    def _assemble(self, shop: Workshop, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        self._start = self.clock.now()
        self._uplinks = uplinks_of(self._inventory, self.tally)
        self._canaries = canaries_of(self._canary_targets, self.tally)
        scripts: list[tuple[Actor, Iterable[Episode]]] = []
        for terminal in self._inventory.terminals.values():
            checks = self._inventory.checks_of.get(terminal.key, ())
            playing = [c for c in checks if playable(c)]
            if not playing or not exists(terminal, self._inventory, self._today):
                continue
            cast = cast_of(terminal, playing, self._seed, self._behaviours)
            actor = Actor(cast, [face_of(c, cast, shop) for c in playing], self.clock, self._truth.write)
            self.actors.append(actor)
            # A check that cannot be played, ICMP for one, would go on answering: no faults, so that the truth
            # is true.
            play = self._play if len(playing) == len(checks) else "still"
            scripts.append((actor, script(play, self._seed, cast, self._script_ms, self._scale)))
        self._faces = [face for actor in self.actors for face in actor.faces]
        self._faces += [line for lines in self._uplinks.values() for line in lines] + self._canaries
        tasks = [group.create_task(face.run()) for face in self._faces]
        tasks += [group.create_task(self._act(actor, episodes)) for actor, episodes in scripts]
        for site_id in self._inventory.sites:
            episodes = site_script(self._play, self._seed, site_id, self._script_ms, self._scale)
            tasks.append(group.create_task(self._power(site_id, episodes)))
        return tasks

    async def _act(self, actor: Actor, episodes: Iterable[Episode]) -> None:
        for episode in episodes:
            await self._reach(episode.start_ms)
            actor.begin(episode)
            await self._reach(episode.end_ms)
            actor.end(episode)

    async def _power(self, site_id: str, episodes: Iterable[Episode]) -> None:
        members = [actor for actor in self.actors if actor.cast.site == site_id]
        for episode in episodes:
            await self._reach(episode.start_ms)
            for actor in members:
                actor.down("power", episode.fault)
            await self._reach(episode.end_ms)
            for actor in members:
                actor.up("power")

    async def _reach(self, moment_ms: int) -> None:
        """That many ms after the start, not earlier."""
        # An instant is waited for, not a state: no event could tell of it.
        while (left_s := (self._start + moment_ms - self.clock.now()) / 1000) > 0:  # noqa: ASYNC110
            await asyncio.sleep(min(left_s, _LONGEST_NAP_S))


async def _nap(duration_s: float | None) -> None:
    if duration_s is None:
        await asyncio.Event().wait()
    else:
        await asyncio.sleep(duration_s)


def _allow_many_files() -> None:
    """A connection or a listener for each device: more than many machines allow by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

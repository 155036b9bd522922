"""Outages 停机, and the identity that they keep when evidence revises them (docs/rules.md §5).

An outage is a longest row of down spans with nothing but unknown between them. Its key is the terminal and the moment
at which it was first said to begin; orders and costs hang on the key, so it stays although late evidence moves the
beginning, and an outage that is merged into another or turns out not to have been says so and is kept.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, Final, Literal

from monitor.core.timeline import BEGINNING, DOWN, UP, Edge, Step, load_timeline, timeline_state

State = Literal["open", "ended", "merged", "gone"]
#: States of outages that are; the others once were said to be.
ALIVE = ("open", "ended")


@dataclass(frozen=True, slots=True)
class Outage:
    """`start`, `end`: ms; `end` is that of the last down span, None while it is down. `over`: when it was up again.

    state `open`: no up has followed; `ended`; `merged` into the outage `successor`; `gone`: it never was.
    `successor` of an outage split off from another names that one.
    """

    key: str
    site: str
    terminal: str
    start: int
    end: int | None
    over: int | None
    state: State
    start_edge: Edge | None
    end_edge: Edge | None
    successor: str = ""


def outage_key(site: str, terminal: str, start: int) -> str:
    """`511723001001/tv/20261001T003000Z`, milliseconds only where there are some."""
    seconds, ms = divmod(start, 1000)
    moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%S")
    return f"{site}/{terminal}/{moment}{f'.{ms:03d}' if ms else ''}Z"


def outages_in(
    timeline: Sequence[Step], start: Step | None = None
) -> list[tuple[int, int | None, int | None, Edge | None, Edge | None]]:
    """(start, end, over, start edge, end edge) of each outage of a terminal's timeline, oldest first.

    `start`: how the outage began in whose midst the timeline begins.
    """
    result: list[tuple[int, int | None, int | None, Edge | None, Edge | None]] = []
    end: Step | None = None
    for step in timeline:
        if step.at == BEGINNING:
            continue
        if step.value == DOWN:
            start = start or step
            end = None
        elif start is not None:
            end = end or step
            if step.value == UP:
                result.append((start.at, end.at, step.at, start.edge, _end(end, step)))
                start = None
    if start is not None:
        result.append((start.at, end.at if end else None, None, start.edge, end.edge if end else None))
    return result


def _end(end: Step, up: Step) -> Edge | None:
    """Out of sight before it came back: it ended anywhere between the two."""
    if end is up or up.edge is None:
        return up.edge
    return up.edge._replace(earliest=end.at)


_NONE: Final[Mapping[str, Outage]] = {}


class OutageBook:
    """The outages of one terminal, as far back as its timeline is kept."""

    __slots__ = ("alive", "begun", "changed", "closed", "outages", "site", "terminal")

    def __init__(self, site: str, terminal: str) -> None:
        self.site = site
        self.terminal = terminal
        # Most terminals have none, and share the empty ones.
        self.outages = _NONE
        self.alive: Sequence[Outage] = ()  # open and ended ones, oldest first
        self.changed = _NONE
        self.closed: int | None = None  # since when the terminal is not in the inventory any more (ms)
        self.begun: Step | None = None  # of the outage in whose midst the timeline was cut

    @property
    def current(self) -> Outage | None:
        """The outage that goes on."""
        return self.alive[-1] if self.alive and self.alive[-1].state == "open" else None

    def revise(self, timeline: Sequence[Step], since: int = BEGINNING) -> None:
        """Take the timeline's word, which differs from `since` (ms) on, for what the outages are.

        An outage keeps the key of the oldest known one that it overlaps. Others that it overlaps are merged into it;
        what overlaps none any more is gone; a new one that overlaps one whose key is taken was split off from it.
        """
        # No outage reaches over an up: what lies before the last one that still stands is as it was.
        first = bisect_left(timeline, since, key=_at) - 1
        while first > 0 and timeline[first].value != UP:
            first -= 1
        first = max(first, 0)
        k = bisect_left(self.alive, timeline[first].at, key=_start)
        known, told = self.alive[k:], [*self.alive[:k]]
        heirs: dict[str, str] = {}
        j = 0
        for start, end, over, start_edge, end_edge in outages_in(timeline[first:], None if first else self.begun):
            if over is None and self.closed is not None:
                over, end = self.closed, min(end or self.closed, self.closed)
            while j < len(known) and known[j].over is not None and known[j].over <= start:  # type: ignore[operator]
                j += 1
            mine = [o for o in takewhile(lambda o: over is None or o.start < over, known[j:])]  # noqa: B023
            free = [o.key for o in mine if o.key not in heirs]
            split = next((heirs[o.key] for o in mine if o.key in heirs), "") if not free else ""
            key = free[0] if free else self._new_key(start, heirs)
            heirs.update(dict.fromkeys(free, key))
            heirs[key] = key
            state: State = "open" if over is None else "ended"
            before = self.outages.get(key)
            link = split or (before.successor if before and before.state in ALIVE else "")
            told.append(Outage(key, self.site, self.terminal, start, end, over, state, start_edge, end_edge, link))
        for old in known:
            heir = heirs.get(old.key)
            if heir is None:
                self._put(replace(old, state="gone", successor=""))
            elif heir != old.key:
                self._put(replace(old, state="merged", successor=heir))
        for outage in told[k:]:
            self._put(outage)
        self.alive = told or ()

    def _new_key(self, start: int, heirs: Mapping[str, str]) -> str:
        key = outage_key(self.site, self.terminal, start)
        while key in heirs or (key in self.outages and self.outages[key].state in ALIVE):
            key += "'"  # the moment is taken by another outage, which has since been moved
        return key

    def _put(self, outage: Outage) -> None:
        if self.outages.get(outage.key) != outage:
            self.outages = {**self.outages, outage.key: outage}
            self.changed = {**self.changed, outage.key: outage}

    def take_changed(self) -> list[Outage]:
        """Those that changed since the last call."""
        changed, self.changed = self.changed, _NONE
        return [*changed.values()]

    def tell_all(self) -> None:
        """All that are known count as changed."""
        self.changed = self.outages

    def forget(self, timeline: Sequence[Step], i: int) -> None:
        """Let go of what was over at step i, where the timeline will be cut, and of what came to nothing before it."""
        before = timeline[i].at
        for step in timeline[1 : i + 1]:
            if step.value == UP:
                self.begun = None
            elif step.value == DOWN and self.begun is None:
                self.begun = step
        self.alive = [o for o in self.alive if o.over is None or o.over > before] or ()
        keep = {o.key for o in self.alive}
        self.outages = {
            k: o for k, o in self.outages.items() if k in keep or (o.state not in ALIVE and o.start >= before)
        } or _NONE

    def state(self) -> list[Any]:
        """Everything, as plain values, for a checkpoint."""
        known = [
            [o.key, o.start, o.end, o.over, o.state, _list(o.start_edge), _list(o.end_edge), o.successor]
            for o in self.outages.values()
        ]
        return [known, timeline_state([self.begun]) if self.begun else []]

    def load(self, state: list[Any]) -> None:
        """Take over what `state` gave."""
        known, begun = state
        self.begun = load_timeline(begun)[0] if begun else None
        outages: dict[str, Outage] = {}
        for key, start, end, over, kind, first, last, successor in known:
            edges = (Edge(*first) if first else None, Edge(*last) if last else None)
            outages[key] = Outage(key, self.site, self.terminal, start, end, over, kind, *edges, successor)
        self.outages = outages or _NONE
        self.alive = sorted((o for o in outages.values() if o.state in ALIVE), key=_start) or ()


def _list(edge: Edge | None) -> list[Any] | None:
    return list(edge) if edge else None


def _at(step: Step) -> int:
    return step.at


def _start(outage: Outage) -> int:
    return outage.start

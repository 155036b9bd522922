"""What is true now: the value of a terminal, the state of a site, and since when (docs/rules.md §4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from monitor.core.timeline import BEGINNING, DOWN, RANK, UP, Step, Value

SiteState = Literal["online", "impaired", "offline", "unknown"]


class Status(NamedTuple):
    """`since`: ms, None where it was never otherwise. `how` contact ended, or why nothing is known."""

    value: str
    since: int | None
    how: str = ""


NOTHING_KNOWN = Status("unknown", None)


def site_state(values: Sequence[Value]) -> SiteState:
    """Of a site's terminals that have checks: offline if all are down, impaired if it is online and some are down."""
    best = max(values, key=lambda v: RANK[v], default="unknown")
    if best == UP:
        return "impaired" if DOWN in values else "online"
    return "offline" if best == DOWN else "unknown"


def terminal_status(timeline: Sequence[Step]) -> Status:
    """Of a terminal, as its timeline has it at its end."""
    last = timeline[-1]
    return Status(last.value, None if last.at == BEGINNING else last.at, last.edge.how if last.edge else "")


def site_status(timelines: Sequence[Sequence[Step]], before: Status) -> Status:
    """Of a site, from the timelines of its terminals that have checks; `before` stands while the state is the same."""
    state = site_state([t[-1].value for t in timelines])
    if state == before.value or not timelines:
        return before
    last = max((t[-1] for t in timelines), key=lambda step: step.at)
    return Status(state, None if last.at == BEGINNING else last.at, last.edge.how if last.edge else "")

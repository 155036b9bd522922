"""What is true now: the value of a terminal, the state of a site, and since when (availability.md §4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from monitor.core.timeline import BEGINNING, DOWN, RANK, UP, Step, Value, value_at

SiteState = Literal["online", "impaired", "offline", "unknown"]


class Status(NamedTuple):
    """`since`: ms, None where it was never otherwise. `how` contact ended, or why nothing is known."""

    value: str
    since: int | None
    how: str = ""


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


def site_status(timelines: Sequence[Sequence[Step]]) -> Status:
    """Of a site, from the timelines of its terminals that have checks."""
    state = site_state([t[-1].value for t in timelines])
    since: int | None = None
    how = ""
    for instant in sorted({s.at for t in timelines for s in t if s.at > BEGINNING}, reverse=True):
        steps = [value_at(t, instant) for t in timelines]
        if site_state([s.value for s in steps]) != state:
            break
        since = instant
        how = next((s.edge.how for s in steps if s.at == instant and s.edge is not None), how)
    return Status(state, since, how)

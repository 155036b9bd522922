"""What silence means: the rules of a heartbeat check (docs/rules.md §2).

`judge` looks at the time between two consecutive beats and nothing else. It is the whole of the rules; how evidence
arrives, is revised and is remembered stands in :mod:`monitor.core.beats`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from monitor.core.channel import Channel
from monitor.core.timeline import DOWN, UNKNOWN, Edge, Step

#: A late beat that arrives longer than this after it was sent is rejected (§2).
LATE_LIMIT_MS = 72 * 3_600_000
#: A beat that seems to have taken longer than this is not believed to be late: nobody remembers whether the channel was
#: observed then. It stands at the time it was received.
BELIEVED_MS = 31 * 24 * 3_600_000


class Beat(NamedTuple):
    """A beat, at the instant where it stands (ms). `evidence` is what came in: received, sent, via, boot, seq."""

    at: int
    late: bool = False
    evidence: Any = None


class Will(NamedTuple):
    """The end of contact as the broker (`will`) or the device itself (`goodbye`) told it."""

    at: int
    how: str


class Judgement(NamedTuple):
    """Steps after `x` and before `y`, and the instant c whose passing would decide more (None: nothing would)."""

    steps: list[Step]
    deadline: int | None


def first_will(wills: Sequence[Will], after: int, before: int | None) -> Will | None:
    """The first will later than `after` and before `before`."""
    for will in wills:
        if will.at > after:
            return will if before is None or will.at < before else None
    return None


def judge(
    x: Beat | None,
    y: int | None,
    wills: Sequence[Will],
    channel: Channel,
    interval: int,
    grace: int,
    first: int | None = None,
    terms: Callable[[int], tuple[int, int]] | None = None,
) -> Judgement:
    """Rules 1–4 for consecutive beats x < y (x None: before the first beat ever; y None: none came yet).

    The value at x itself is up, and not part of the answer unless a late x ends it at once. Undecided silence is what
    it is called until it is decided: up (pending) under rule 2, unknown under rule 4.

    `first`: the number of the loss from whose restore on rule 4 is to judge; what lies before is settled. None: all.
    `terms`: interval and grace as they held at an instant, where they changed; `interval` and `grace` held at x.
    """
    tolerance = interval + grace
    losses, restores = channel.losses, channel.restores
    steps: list[Step] = []
    before = x.evidence if x else None
    last_seen = x.at if x else None
    gap = 0  # index of the loss after which rule 4 goes on

    if first is not None:
        gap = first - channel.dropped
    elif x is not None:
        c = x.at + tolerance
        if y is not None and y <= c:
            return Judgement(steps, None)
        will = first_will(wills, x.at, y)
        due = min(x.at + interval, will.at) if will else x.at + interval
        following = channel.loss_at(x.at) if x.late else channel.next_loss(2 * x.at)
        loss = x.at if x.late else losses[following] >> 1 if following is not None else None
        if loss is None or loss > c:
            if loss is None and y is None and channel.life <= c:
                return Judgement(steps, c)
            steps.append(Step(due, DOWN, _down(last_seen, due, c, will, before)))
            if loss is not None and (y is None or loss < y):
                steps.append(Step(loss, UNKNOWN, Edge(loss, loss, "channel")))
        else:
            steps.append(Step(min(due, loss), UNKNOWN, Edge(loss, loss, "channel")))
        if following is None:
            return Judgement(steps, None)
        gap = following

    while gap < len(restores):
        b = restores[gap]
        if y is not None and b >= y:
            break
        if terms is not None:
            interval, grace = terms(b)
            tolerance = interval + grace
        will = first_will(wills, b - 1, y)
        due = min(b + interval, will.at) if will else b + interval
        c = b + tolerance
        gap += 1
        if y is not None and y <= c:
            continue  # a later restore may have been given less time
        loss = losses[gap] >> 1 if gap < len(losses) else None
        if loss is not None and loss <= c:
            continue
        if loss is None and y is None and channel.life <= c:
            return Judgement(steps, c)
        steps.append(Step(due, DOWN, _down(last_seen, due, c, will, before)))
        if loss is None or (y is not None and loss >= y):
            break
        steps.append(Step(loss, UNKNOWN, Edge(loss, loss, "channel")))
    return Judgement(steps, None)


def _down(last_seen: int | None, due: int, confirmed: int, will: Will | None, before: Any) -> Edge:
    """A silent device may have lived on until the silence was too long; a will tells that it no longer did."""
    if will is None or will.at > due:
        return Edge(last_seen, confirmed, "silence", before)
    earliest = will.at if will.how == "goodbye" else last_seen
    return Edge(earliest, will.at, will.how, before, [will.at, will.how])


def back(previous: Beat | None, beat: Beat, tolerance: int) -> Edge:
    """Back again: a device that lives beats at least every I + G, so it came back at most that long ago."""
    earliest = beat.at - tolerance
    if previous is not None:
        earliest = max(earliest, previous.at)
    return Edge(earliest, beat.at, "beat", previous.evidence if previous else None, beat.evidence)

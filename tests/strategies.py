"""Hypothesis strategies: random histories of one check, in valid file order, for ``model.judge``.

The instants that matter are aimed at: the due time and the confirmation of the last beat and of the last
restore, an earlier event's own instant, each also one second off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests import model
from tests.model import LATE_LIMIT, Event

# At equal times the file is in the order channel, window, will, heartbeat, probe (section 7).
RANK = {"restored": 0, "lost": 0, "will": 2, "beat": 3, "late": 3, "ok": 4, "fail": 4}

HEARTBEAT_MOVES = (
    *("beat",) * 6,
    *("late",) * 4,
    *("lost",) * 3,
    *("restored",) * 3,
    *("will",) * 2,
    *("gap",) * 3,
    *("run", "other", "blink", "twice", "burst"),
)
PROBE_MOVES = (
    *("ok",) * 5,
    *("fail",) * 7,
    *("lost",) * 2,
    *("restored",) * 2,
    "run",
    "other",
    "blink",
    "twice",
)


@dataclass(frozen=True)
class History:
    """One check with its events; ``until`` is the end of the replay, never before the last event."""

    kind: str  # "heartbeat" or "probe"
    interval: int
    grace: int | None
    failures: int | None
    events: tuple[Event, ...]
    until: int

    @property
    def args(self) -> tuple[str, int, int | None, int | None, list[Event], int]:
        """The arguments of ``model.judge`` and ``model.check_values``."""
        return self.kind, self.interval, self.grace, self.failures, list(self.events), self.until


def in_file_order(events: list[Event], kind: str) -> list[Event]:
    """Stable: lines of one kind at one instant stay in the order in which they were drawn."""
    other = 4 if kind == "probe" else 3
    return sorted(events, key=lambda event: (event[0], RANK.get(event[1], other)))


def _open_questions(events: list[Event]) -> set[int]:
    """The lines whose meaning the text leaves open (``CHOICES`` in test_model.py): a ``since`` that is the
    line's own instant or is moved up to it by a restore there; a beat sent and received at the instant of a
    loss, sent at a loss at the first restore, or sent at a future instant at which the channel was lost."""
    channel = model.observe(events)
    if not channel.restores:
        return set()
    first = channel.restores[0][0]
    restored = {event[0] for event in events if event[1] == "restored"}
    lines = set()
    for line, event in enumerate(events):
        if event[1] == "lost" and len(event) > 2 and (event[2] >= event[0] or event[0] in restored):
            lines.add(line)
        elif event[1] == "late" and not channel.observed(event[2]):
            at, sent_at = event[0], event[2]
            if sent_at == first or sent_at >= at:
                lines.add(line)
    return lines


@st.composite
def histories(
    draw: st.DrawFn,
    kind: str,
    max_moves: int = 40,
    late_limit: int = LATE_LIMIT,
    long_jumps: bool = True,
    ambiguous: bool = False,
) -> History:
    """A history of one check. ``long_jumps``: some hold a silence of about ``late_limit``.

    ``ambiguous=False`` leaves out the few cases that the text does not decide.
    """
    heartbeat = kind == "heartbeat"
    interval = draw(st.integers(1, 30), label="interval")
    grace = draw(st.one_of(st.just(0), st.integers(1, 30)), label="grace") if heartbeat else None
    failures = None if heartbeat else draw(st.integers(1, 4), label="failures")
    reach = interval + grace if grace is not None else interval * ((failures or 0) + 1)
    near = st.sampled_from((0, 0, 0, -1, 1))

    now = draw(st.sampled_from((0, 0, 0, 1, 7)))
    events: list[Event] = []
    if draw(st.sampled_from((True, True, True, True, False))):
        events.append((now, "restored"))
    instants = [now]  # instants worth hitting again: of events, and what they stand at
    anchors = [now]  # the last beat (or result) and the last restore
    jumps = draw(st.sampled_from((0, 0, 0, 1))) if long_jumps else 0

    def advance() -> int:
        """The next instant, at or after now."""
        how = draw(st.sampled_from(("regular", "regular", "aim", "aim", "same", "short", "any")))
        if how == "same":
            return now
        if how == "short":
            return now + draw(st.integers(1, 3))
        if how == "any":
            return now + draw(st.integers(0, 3 * reach))
        if how == "regular":
            return now + interval
        target = draw(st.sampled_from(anchors)) + draw(st.sampled_from((interval, reach))) + draw(near)
        return max(now, target)

    def earlier() -> int:
        """An instant to look back to: one that matters, or any."""
        if draw(st.booleans()):
            return draw(st.sampled_from(instants)) + draw(near)
        return draw(st.integers(max(0, now - 4 * reach), now))

    def note(at: int, *event: Any) -> None:
        events.append((at, *event))
        instants.append(at)

    moves = st.sampled_from(HEARTBEAT_MOVES if heartbeat else PROBE_MOVES)
    least = draw(st.sampled_from((1, min(6, max_moves), max(1, max_moves // 2))))
    for move in draw(st.lists(moves, min_size=least, max_size=max_moves), label="moves"):
        if jumps and draw(st.sampled_from((False, False, False, True))):
            jumps -= 1
            now = max(now, draw(st.sampled_from(instants)) + late_limit + draw(st.integers(-2, 2)))
        else:
            now = advance()
        evidence = "beat" if heartbeat else draw(st.sampled_from(("ok", "fail")))
        if move == "lost":
            how = draw(st.sampled_from(("plain", "plain", "since", "since", "since")))
            if how == "plain":
                note(now, "lost")
            else:
                since = max(0, min(earlier(), now if ambiguous else now - 1))
                instants.append(since)
                note(now, "lost", since)
        elif move == "restored":
            note(now, "restored")
            anchors[:] = [*anchors[-1:], now]
        elif move == "blink":  # lost and restored, or restored and lost, at one instant, perhaps twice
            pair = draw(st.sampled_from((("lost", "restored"), ("restored", "lost"))))
            for event in pair * draw(st.integers(1, 2)):
                note(now, event)
            anchors[:] = [*anchors[-1:], now]
        elif move == "late":
            sent_at = min(earlier(), now) if draw(st.integers(0, 5)) else now + draw(st.integers(1, 2 * reach))
            instants.append(sent_at)
            note(now, "late", sent_at)
        elif move == "gap":  # lost, and back with what was sent meanwhile, perhaps just too late
            lost_at = now
            note(now, "lost")
            now = advance()
            if draw(st.booleans()):
                note(now, "lost", max(0, min(earlier(), now - 1)))
            if jumps:
                jumps -= 1
                now = draw(st.integers(lost_at, now)) + late_limit + draw(st.integers(-1, 1))
                if draw(st.booleans()):
                    note(now, draw(st.sampled_from(("restored", "other", "will"))))
                    now += draw(st.integers(0, 2))
                for _ in range(draw(st.integers(1, 3))):
                    note(now, "late", now - late_limit + draw(st.integers(-2, 2)))
            else:
                now = advance()
                note(now, draw(st.sampled_from(("restored", "restored", "beat", "other", "will"))))
                restored_at = now
                now += draw(st.sampled_from((0, 1, 1, interval)))
                aims = (
                    lost_at,
                    restored_at,
                    *anchors,
                    *(a + interval for a in anchors),
                    *(a + reach for a in anchors),
                )
                for _ in range(draw(st.integers(0, 4))):
                    if draw(st.booleans()):
                        sent_at = draw(st.integers(lost_at, restored_at))
                    else:
                        sent_at = draw(st.sampled_from(aims)) + draw(near)
                    instants.append(sent_at)
                    note(now, "late", max(0, min(sent_at, now)))
                anchors[:] = [*anchors[-1:], restored_at]
        elif move == "burst":  # what a broker kept: several late beats at once, in any order
            for _ in range(draw(st.integers(2, 5))):
                sent_at = min(earlier(), now)
                instants.append(sent_at)
                note(now, "late", sent_at)
        elif move == "run":  # a row of regular ones
            for _ in range(draw(st.integers(2, 6))):
                now += interval
                note(now, evidence)
            anchors[:] = [*anchors[-1:], now]
        elif move == "twice":
            note(now, evidence)
            note(now, "beat" if heartbeat else draw(st.sampled_from(("ok", "fail"))))
            anchors[:] = [*anchors[-1:], now]
        else:  # beat, will, other, ok, fail
            note(now, move)
            if move in ("beat", "ok", "fail"):
                anchors[:] = [*anchors[-1:], now]

    events = in_file_order(events, kind)
    while not ambiguous and (lines := _open_questions(events)):  # without these, others may become open
        events = [event for line, event in enumerate(events) if line not in lines]
    tail = draw(st.sampled_from((0, 1, interval, interval + 1, reach, reach + 1, 3 * reach)), label="tail")
    last = max((event[0] for event in events), default=now)
    return History(kind, interval, grace, failures, tuple(events), max(1, last + tail))


def heartbeat_histories(**options: Any) -> st.SearchStrategy[History]:
    """Histories of a heartbeat check; the options are those of ``histories``."""
    return histories("heartbeat", **options)


def probe_histories(**options: Any) -> st.SearchStrategy[History]:
    """Histories of a probe check; the options are those of ``histories``."""
    return histories("probe", **options)


VALUES = st.sampled_from(("up", "down", "unknown"))


@st.composite
def value_lists(draw: st.DrawFn, length: int) -> list[str]:
    """A timeline of ``length`` seconds made of a few spans."""
    out: list[str] = []
    while len(out) < length:
        out.extend([draw(VALUES)] * draw(st.integers(1, max(1, length // 3))))
    return out[:length]


@st.composite
def predicates(draw: st.DrawFn, length: int) -> list[bool]:
    """A predicate on ``length`` seconds made of a few spans, such as service hours or windows."""
    out: list[bool] = []
    value = draw(st.booleans())
    while len(out) < length:
        out.extend([value] * draw(st.integers(1, max(1, length // 2))))
        value = not value
    return out[:length]

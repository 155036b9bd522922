"""A heartbeat check as evidence arrives: in order, late, doubled, while the channel comes and goes."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from monitor.core.channel import Channel
from monitor.core.heartbeat import Beat, Will, back, judge
from monitor.core.sites import Check
from monitor.core.timeline import BEGINNING, UP, Edge, Step, load_timeline, timeline_state, value_at
from monitor.core.watch import Watch

#: As Beat(...), without a step through Python: it is made for every beat.
_new_beat = tuple.__new__


class Silence:
    """The time between two beats that a late beat could still split, with the wills that came in it.

    `settled`: the number of the loss up to whose restore nothing can change any more, None where all still can.
    """

    __slots__ = ("edge", "settled", "wills", "x", "y")

    def __init__(self, x: Beat | None, edge: Edge | None) -> None:
        self.x = x
        self.edge = edge  # how x came back, if it did
        self.y: Beat | None = None
        self.wills: tuple[Will, ...] = ()
        self.settled: int | None = None

    @property
    def start(self) -> int:
        return self.x.at if self.x else BEGINNING


class HeartbeatWatch(Watch):
    """Keeps the last beat, and of the silences before it those in which a late beat could still stand."""

    __slots__ = ("open", "silences", "terms")

    def __init__(self, check: Check, channel: Channel, number: int) -> None:
        super().__init__(check, channel, number)
        self.terms: tuple[tuple[int, int, int], ...] = ()  # (since, interval, grace) of its rows, where they changed
        self.open = Silence(None, None)
        self.silences: tuple[Silence, ...] = ()

    def beat(self, at: int, evidence: Any) -> int | None:
        """An ordinary beat, received at `at` on an observed channel. Returns as `timeline.replace` does."""
        last = self.open
        x = last.x
        if x is not None and at == x.at:
            return None
        if x is not None and self.timeline[-1].value == UP and at - x.at <= self.patience and not x.late:
            last.x = _new_beat(Beat, (at, False, evidence))
            last.edge = None
            if last.wills:
                last.wills = ()
            self.deadline = at + self.patience
            return None
        beat = Beat(at, False, evidence)
        last.y = beat
        patience = self.interval + self.grace  # a row that has changed holds for what comes from now on
        if patience != self.patience:
            self.patience = patience
        following = Silence(beat, back(x, beat, self.patience))
        lo, steps = self._judged(last)
        steps.append(Step(at, UP, following.edge))
        self.open = following
        self._keep(last)
        self.deadline = at + self.patience
        return self.put(lo, steps)

    def late_beat(self, sent: int, evidence: Any) -> int | None:
        """A beat that stands at `sent`, when the channel was lost: it can only turn unknown into up (§2)."""
        found = self._around(sent)
        if found is None:
            return None
        beat = Beat(sent, True, evidence)
        first, second = Silence(found.x, found.edge), Silence(beat, back(found.x, beat, self._patience_at(sent)))
        first.y, second.y = beat, found.y
        first.settled = found.settled
        first.wills = tuple(w for w in found.wills if w.at < sent)
        second.wills = tuple(w for w in found.wills if w.at >= sent)  # one at a restore counts for that
        lo, steps = self._judged(first)
        steps.append(Step(sent, UP, second.edge))
        steps += self._judged(second)[1]
        if found.y is None:
            self.open = second
            self._keep(first)
            return self.put(lo, steps)
        self.silences = tuple(s for s in self.silences if s is not found)
        self._keep(first)
        self._keep(second)
        y = found.y
        edge = back(beat, y, self._patience_at(y.at))
        for following in (*self.silences, self.open):
            if following.x == y:
                following.edge = edge
        there = value_at(self.timeline, y.at)
        if there.value == UP:
            steps.append(Step(y.at, UP, edge))
        else:  # a late beat after which nothing is known: so far nobody saw that something began there
            own = there.edge if there.at == y.at else Edge(y.at, y.at, "channel")
            steps.append(Step(y.at, there.value, own))
        return self.put(lo, steps, y.at)

    def will(self, at: int, how: str) -> int | None:
        """The end of contact was told. Only the first one since the last beat, and since each restore, matters."""
        wills = self.open.wills
        restores = self.channel.restores
        if wills and (not restores or wills[-1].at >= restores[-1]):
            return None
        self.open.wills = (*wills, Will(at, how))
        return self.rejudge()

    def rejudge(self) -> int | None:
        lo, steps = self._judged(self.open)
        return self.put(lo, steps)

    def follow(self, check: Check, channel: Channel, at: int) -> int | None:
        self.terms = (
            *(self.terms or ((BEGINNING, self.interval, self.grace),)),
            (at, check.interval_ms, check.grace_ms),
        )
        self.check, self.channel = check, channel
        self.interval, self.grace = check.interval_ms, check.grace_ms
        return self.rejudge()

    def _terms_at(self, instant: int) -> tuple[int, int]:
        """Interval and grace of the row that held at an instant."""
        _, interval, grace = next(row for row in reversed(self.terms) if row[0] <= instant)
        return interval, grace

    def _patience_at(self, instant: int) -> int:
        return sum(self._terms_at(instant)) if self.terms else self.patience

    def forget(self, before: int) -> int:
        if self.open.start >= before and not self.silences:
            return self.open.start  # like almost all
        self.silences = tuple(s for s in self.silences if s.y is not None and s.y.at >= before)
        for silence in (*self.silences, self.open):
            self._settle(silence, before)
        return self._from(self.silences[0] if self.silences else self.open)

    def needs(self, before: int) -> int | None:
        if self.open.start >= before and not self.silences:
            return None
        return min(
            self.channel.number_at(s.start) if s.settled is None else s.settled for s in (*self.silences, self.open)
        )

    def _settle(self, silence: Silence, before: int) -> None:
        """No beat will stand before `before` any more: what rules 1 to 4 say up to the last restore there is final.

        A loss of no length is left out: the instant of its restore is that of a step before it, too.
        """
        x, channel = silence.x, self.channel
        if x is not None and x.at + self._patience_at(x.at) >= before:
            return
        i = bisect_left(channel.restores, before) - 1
        while i >= 0 and channel.losses[i] >> 1 == channel.restores[i]:
            i -= 1
        number = channel.dropped + i
        if i < 0 or channel.restores[i] <= silence.start or number <= (silence.settled or 0):
            return
        silence.settled = number
        silence.wills = tuple(w for w in silence.wills if w.at >= channel.restores[i])

    def _from(self, silence: Silence) -> int:
        """The instant from which on a silence is judged."""
        if silence.settled is None:
            return silence.start
        return self.channel.restores[silence.settled - self.channel.dropped]

    def _judged(self, silence: Silence) -> tuple[int, list[Step]]:
        """Where the judgement of a silence begins, and its steps. Sets the deadline if the silence is the open one."""
        y = silence.y.at if silence.y else None
        held = self._terms_at if self.terms else None
        interval, grace = held(silence.start) if held else (self.interval, self.grace)
        judgement = judge(silence.x, y, silence.wills, self.channel, interval, grace, silence.settled, held)
        if silence.y is None:
            self.deadline = judgement.deadline
        if silence.settled is not None:
            return self._from(silence), judgement.steps
        if silence.x is None:
            return BEGINNING + 1, judgement.steps
        return silence.x.at, [Step(silence.x.at, UP, silence.edge), *judgement.steps]

    def _keep(self, silence: Silence) -> None:
        """Keep a silence that has ended, if a late beat could still change its judgement: it holds a loss."""
        x, y = silence.x, silence.y
        if y is None or (x is not None and y.at - x.at <= self._patience_at(x.at)):
            return
        if x is not None and not x.late:
            i = self.channel.next_loss(2 * x.at)
            if i is None or self.channel.losses[i] >> 1 >= y.at:
                return
        i = bisect_left(self.silences, silence.start, key=lambda s: s.start)
        self.silences = (*self.silences[:i], silence, *self.silences[i:])

    def _around(self, instant: int) -> Silence | None:
        """The silence in which `instant` lies, beats excluded; None where it would change nothing."""
        if self.open.start < instant:
            return self.open
        i = bisect_left(self.silences, instant, key=lambda s: s.start) - 1
        if i < 0:
            return None
        found = self.silences[i]
        return found if found.y is not None and instant < found.y.at else None

    def state(self) -> list[Any]:
        silences = [_plain(s) for s in (*self.silences, self.open)]
        return [timeline_state(self.timeline), silences, self.deadline, self.patience, self.terms]

    def load(self, state: list[Any]) -> None:
        self.timeline = load_timeline(state[0])
        *silences, self.open = [_silence(s) for s in state[1]]
        self.silences = tuple(silences)
        self.deadline, self.patience = state[2:4]
        self.terms = tuple(tuple(row) for row in state[4])


def _plain(silence: Silence) -> list[Any]:
    x, y = silence.x, silence.y
    edge = list(silence.edge) if silence.edge else None
    return [list(x) if x else None, list(y) if y else None, edge, [list(w) for w in silence.wills], silence.settled]


def _silence(state: list[Any]) -> Silence:
    x, y, edge, wills, settled = state
    silence = Silence(Beat(*x) if x else None, Edge(*edge) if edge else None)
    silence.y = Beat(*y) if y else None
    silence.wills = tuple(Will(*w) for w in wills)
    silence.settled = settled
    return silence

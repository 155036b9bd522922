"""A probe check: results, streaks of failures, and how long a result holds (docs/rules.md §3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from monitor.core.channel import Channel
from monitor.core.sites import Check
from monitor.core.timeline import BEGINNING, DOWN, UNKNOWN, UP, Edge, Step, load_timeline, timeline_state
from monitor.core.watch import Watch


class ProbeWatch(Watch):
    """What is still open begins at `base`: the last success, or the first failure of the streak that goes on.

    Nothing is open at `BEGINNING`: before the first result, and long after the last.
    """

    __slots__ = ("base", "base_edge", "row", "streak", "streak_after_success", "success", "times", "until")

    def __init__(self, check: Check, channel: Channel, number: int) -> None:
        super().__init__(check, channel, number)
        self.row = check  # that held when the last result came
        self.base = BEGINNING
        self.base_edge: Edge | None = None
        self.until = BEGINNING  # the last result
        self.streak = 0  # failures in a row, each linked to the next
        self.streak_after_success = False  # a linked success stands directly before it
        self.success: int | None = None  # the last success
        self.times: list[int] = []  # the first failures of the streak, N at most

    def result(self, at: int, ok: bool) -> int | None:
        """A probe ended at `at` on an observed channel. Returns as `timeline.replace` does."""
        near = at - self.until <= self.patience
        linked = near and self.channel.losses[-1] <= 2 * self.until
        if self.row is not self.check:
            self.row, self.patience = self.check, self.check.patience_ms
        since = self._success(at, near, linked) if ok else self._failure(at, linked)
        self.until = at
        self.deadline = at + self.patience
        return since

    def _success(self, at: int, near: bool, linked: bool) -> int | None:
        before, first_failure, streak = self.until, self.base, self.streak
        edge = None
        if streak:
            healed = linked and streak < self.row.failures and self.streak_after_success
            edge = Edge(before, at, "ok", [before, False], [at, True])
        else:
            healed = False
            if at == self.base:
                return None
            if near and self.base > BEGINNING:
                if self.timeline[-1].value == UP:
                    self.base, self.base_edge, self.success = at, None, at
                    return None
                lo, steps = self.base, [Step(self.base, UP, self.base_edge)]
                self.base, self.base_edge, self.success = at, None, at
                return self.put(lo, steps)
            earliest = before if self.success is not None else None
            edge = Edge(earliest, at, "ok", [before, True] if self.success is not None else None, [at, True])
        self.base, self.base_edge, self.success = at, edge, at
        self.streak, self.times = 0, []
        if healed:
            return self.put(first_failure, [Step(first_failure, UP), Step(at, UP, edge)])
        return self.put(at, [Step(at, UP, edge)])

    def _failure(self, at: int, linked: bool) -> int | None:
        if self.streak and linked:
            self.streak += 1
            if len(self.times) < self.row.failures:
                self.times.append(at)
            if self.streak != self.row.failures:
                return None
        else:
            self.streak_after_success = linked and not self.streak and self.base > BEGINNING
            self.base, self.streak, self.times = at, 1, [at]
        before = [self.success, True] if self.success is not None else None
        if self.streak >= self.row.failures:
            self.base_edge = Edge(self.success, self.base, "probe", before, list(self.times))
        else:
            self.base_edge = Edge(self.success, self.base, "undecided", before, list(self.times))
        return self.put(self.base, [self._opening()])

    def _opening(self) -> Step:
        if not self.streak:
            return Step(self.base, UP, self.base_edge)
        confirmed = self.streak >= self.row.failures
        return Step(self.base, DOWN if confirmed else UNKNOWN, self.base_edge)

    def follow(self, check: Check, channel: Channel, at: int) -> int | None:
        self.check, self.channel = check, channel
        self.interval = check.interval_ms
        return self.rejudge()

    def rejudge(self) -> int | None:
        """The last result holds until the channel is lost or its life has passed, whichever comes first."""
        if self.base == BEGINNING:
            return None
        lo = self._open_from
        steps = [self._opening()] if lo == self.base else []
        end = self.until + self.patience
        i = self.channel.next_loss(2 * self.until)
        loss = self.channel.losses[i] >> 1 if i is not None else None
        self.deadline = None
        if loss is not None and loss < end:
            steps.append(Step(loss, UNKNOWN, Edge(loss, loss, "channel")))
        elif loss is not None or self.channel.life > end:
            steps.append(Step(end, UNKNOWN, Edge(end, end, "expired")))
        else:
            self.deadline = end
        return self.put(lo, steps)

    @property
    def _open_from(self) -> int:
        """A streak that is confirmed is down up to its last failure, whatever comes."""
        return self.until if self.streak >= self.row.failures else self.base

    def forget(self, before: int) -> int:
        if self.until + self.patience < min(before, self.channel.evidence_at):
            self.base = BEGINNING  # how far the last result reaches is decided: no loss can stand there any more
        return before if self.base == BEGINNING else min(before, self._open_from)  # what a probe says is never late

    def needs(self, before: int) -> int | None:
        return None if self.base == BEGINNING or self.until >= before else self.channel.number_at(self.until)

    def state(self) -> list[Any]:
        edge = list(self.base_edge) if self.base_edge else None
        rest = [self.base, edge, self.until, self.streak, self.streak_after_success, self.success, self.times]
        return [timeline_state(self.timeline), *rest, self.deadline, self.patience, self.row.failures]

    def load(self, state: list[Any]) -> None:
        (timeline, self.base, edge, self.until, self.streak, self.streak_after_success, self.success, self.times,
         self.deadline, self.patience, failures) = state  # fmt: skip
        row = (self.patience // (failures + 1), failures)
        if row != (self.check.interval_ms, self.check.failures):
            self.row = replace(self.check, interval_ms=row[0], failures=row[1])
        self.timeline = load_timeline(timeline)
        self.base_edge = Edge(*edge) if edge else None

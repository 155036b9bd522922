"""A terminal as the evidence so far has it: its checks, what they are rolled up to (docs/rules.md §4), its outages."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

from monitor.core.outage import OutageBook
from monitor.core.timeline import (
    BEGINNING,
    UNKNOWN,
    Edge,
    Step,
    Timeline,
    load_timeline,
    new_timeline,
    replace,
    roll_up,
    timeline_state,
    value_at,
)
from monitor.core.watch import Watch

#: The rules of rolling up, `any` or `all`, by the instant since when each holds; the first one always did.
Policies = Sequence[tuple[int, str]]

_CHOOSE: dict[str, Callable[..., int]] = {"any": max, "all": min}


class TerminalWatch:
    """Of one that only ever had one check the timeline is that check's own (`shared`). `watches` holds checks that have
    ended, too, as long as what was before their end may change."""

    __slots__ = ("book", "key", "seen", "shared", "timeline", "watches")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.watches: tuple[Watch, ...] = ()
        self.timeline: Timeline = new_timeline()
        self.book = OutageBook(*key)
        self.seen: int | None = None  # when it last proved to live (ms)
        self.shared = False

    def share(self) -> None:
        """Where it has one check alone, that one's timeline is its own."""
        self.shared = len(self.watches) == 1
        if self.shared:
            self.timeline = self.watches[0].timeline

    def roll(self, since: int, policies: Policies) -> bool:
        """A check's timeline differs from `since` on: roll up anew. Does its own differ, too?"""
        if self.shared:
            return True
        lo = max(since, BEGINNING + 1)
        return replace(self.timeline, lo, self._rolled(lo, policies)) is not None

    def regroup(self, at: int, policies: Policies) -> None:
        """Its checks, or the rule, are others from `at` on."""
        if len(self.timeline) == 1 and len(self.watches) == 1 and self.watches[0].ended is None:
            self.share()
        elif self.shared:
            self.timeline, self.shared = list(self.timeline), False
        if not self.shared:
            replace(self.timeline, at, self._rolled(at, policies))

    def _rolled(self, lo: int, policies: Policies) -> Timeline:
        """Of its checks, each in the time for which it had a row, from `lo` on."""
        cuts = {at for w in self.watches for at in (w.began, w.ended) if at is not None and at >= lo}
        cuts |= {at for at, _ in policies if at >= lo}
        result: Timeline = []
        borders = sorted({lo, *cuts})
        for i, start in enumerate(borders):
            end = borders[i + 1] if i + 1 < len(borders) else None
            parts = [
                w.timeline
                for w in self.watches
                if (w.began is None or w.began <= start) and (w.ended is None or w.ended > start)
            ]
            policy = next(policy for since, policy in reversed(policies) if since <= start)
            steps = roll_up(parts, _CHOOSE[policy], start) if parts else [Step(start, UNKNOWN)]
            if start in cuts and (not parts or all(value_at(t, start).at < start for t in parts)):
                steps[0] = steps[0]._replace(edge=Edge(start, start, "inventory"))  # no evidence changed anything there
            result += [step for step in steps if end is None or step.at < end]
        return result

    def forget(self, before: int) -> None:
        """Cut timelines at their last step before anything that can still change, `before` at the latest."""
        limit = min([before, *[w.forget(before) for w in self.watches if w.ended is None]])
        if not self.book.outages and all(len(w.timeline) < 3 for w in self.watches) and self.shared:
            return  # up since it is known: almost all
        limit = min([limit, *(w.changed_from for w in self.watches if w.changed_from is not None)])
        i = bisect_left(self.timeline, limit, key=_at) - 1
        if i > 0:
            self.book.forget(self.timeline, i)
        for timeline in {id(t): t for t in (self.timeline, *(w.timeline for w in self.watches))}.values():
            del timeline[1 : max(1, bisect_left(timeline, limit, key=_at) - 1)]
        if not self.shared:
            self.watches = tuple(w for w in self.watches if w.ended is None or w.ended > limit)

    def state(self, policy: str) -> list[Any]:
        """Its key, and all that judging needs from the past beside its checks', as plain values. `policy`: of now."""
        return [*self.key, self.seen, self.book.state(), self._rolled_up(policy)]

    def load(self, state: list[Any], policies: Policies) -> None:
        """Take over what `state` gave behind the key, once its checks have taken over theirs."""
        self.seen, book, rolled_up = state
        self.book.load(book)
        if rolled_up and rolled_up[:-1] == self._parts(policies[-1][1]):
            self.timeline, self.shared = load_timeline(rolled_up[-1]), False
        elif len(self.watches) == 1:
            self.share()
        elif self.watches:
            self.timeline, self.shared = new_timeline(), False
            replace(self.timeline, BEGINNING + 1, self._rolled(BEGINNING + 1, policies))

    def _rolled_up(self, policy: str) -> list[Any]:
        """What it is rolled up from, and its timeline, which may reach back beyond theirs; nothing where it is that of
        its only check."""
        if self.shared or (not self.watches and len(self.timeline) == 1):
            return []
        return [*self._parts(policy), timeline_state(self.timeline)]

    def _parts(self, policy: str) -> list[str]:
        """The rule, and the checks with their times."""
        return [policy, *sorted(f"{w.check.check} {w.began} {w.ended}" for w in self.watches)]


def _at(step: Step) -> int:
    return step.at

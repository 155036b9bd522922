"""What heartbeat and probe checks share: a timeline, what of it changed, and the counts of the day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from monitor.core.channel import Channel
from monitor.core.sites import Check
from monitor.core.timeline import Step, Timeline, new_timeline, replace

#: What a beat may say of a service, and where that is counted.
_WORDS = {"ok": 0, "fail": 1}
#: Most devices say nothing of services, and share the empty book.
_NOTHING: Final[dict[str, list[int]]] = {}
#: Patiences that there are, one number each: of 150,000 checks each copy takes 5 MB.
_patiences: Final[dict[int, int]] = {}


class Watch:
    """One check as the evidence so far has it. Subclasses know the rules; the engine asks them.

    `deadline` is the instant whose passing (while the channel lives) would decide something, None if nothing would.
    `changed_from` is the first instant from which the timeline differs from what was last written down.
    """

    __slots__ = (
        "began", "changed_from", "channel", "check", "deadline", "ended", "failed", "first", "grace", "interval",
        "last", "late", "number", "patience", "queued", "received", "said", "terminal", "timeline",
    )  # fmt: skip

    def __init__(self, check: Check, channel: Channel, number: int) -> None:
        self.check = check
        self.channel = channel
        self.number = number
        self.interval = check.interval_ms
        self.grace = check.grace_ms
        self.patience = _patiences.setdefault(check.patience_ms, check.patience_ms)
        self.timeline: Timeline = new_timeline()
        self.changed_from: int | None = None
        self.deadline: int | None = None
        self.queued: int | None = None  # the deadline that the engine waits for
        self.terminal: Any = None
        self.began: int | None = None  # since when it has a row (ms), None: since ever
        self.ended: int | None = None  # since when it has none any more
        self.first: int | None = None  # of the local day: when the first and the last evidence came (ms)
        self.last: int | None = None
        self.received = 0
        self.failed = 0
        self.late = 0
        self.said = _NOTHING  # of the device's services: how many beats said ok, and fail

    def count(self, at: int) -> None:
        """One more piece of evidence today."""
        self.received += 1
        self.last = at
        if self.first is None:
            self.first = at

    def hear(self, services: Mapping[str, str]) -> None:
        """A beat told how the device's services do: ok, fail, or na, which says nothing."""
        for name, word in services.items():
            if word in _WORDS:
                counts = self.said.get(name)
                if counts is None:
                    self.said = self.said or {}
                    counts = self.said[name] = [0, 0]
                counts[_WORDS[word]] += 1

    def follow(self, check: Check, channel: Channel, at: int) -> int | None:
        """Its row is another one from `at` on, and so `channel` another one for it. Returns as `rejudge` does."""
        raise NotImplementedError

    def rejudge(self) -> int | None:
        """Judge what is still open, after the channel or the time moved. Returns as `timeline.replace` does."""
        raise NotImplementedError

    def forget(self, before: int) -> int:
        """Let go of what ended before `before`. Returns the earliest instant that may still be judged anew."""
        raise NotImplementedError

    def needs(self, before: int) -> int | None:
        """The number of the oldest loss of the channel that judging still asks for, None where that is none before
        `before`. Call `forget(before)` first."""
        raise NotImplementedError

    def state(self) -> list[Any]:
        """Everything that judging needs from the past, as plain values, for a checkpoint."""
        raise NotImplementedError

    def load(self, state: list[Any]) -> None:
        """Take over what `state` gave."""
        raise NotImplementedError

    def put(self, lo: int, steps: list[Step], hi: int | None = None) -> int | None:
        """Replace `[lo, hi]` and remember from where on the written timeline is out of date."""
        since = replace(self.timeline, lo, steps, hi)
        if since is not None and (self.changed_from is None or since < self.changed_from):
            self.changed_from = since
        return since

    def day_state(self) -> list[Any]:
        counts = [self.received, self.failed, self.late, self.first, self.last]
        return [*counts, self.said] if self.said else counts

    def load_day(self, state: Sequence[Any]) -> None:
        self.received, self.failed, self.late, self.first, self.last, *said = state
        self.said = {name: list(counts) for name, counts in said[0].items()} if said else _NOTHING

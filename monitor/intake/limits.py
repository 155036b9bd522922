"""Limits on what comes in (docs/security.md): a token bucket for each device or address, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable


class RateLimit:
    """`per_s` in the long run, `burst` at once, for each key; the keys unused for longest are forgotten.

    A forgotten key starts with a full bucket: with `keys` at several times the devices that there are, only
    those who invent keys are forgotten.
    """

    def __init__(self, *, per_s: float, burst: float, keys: int = 20_000) -> None:
        self._per_s = per_s
        self._burst = burst
        self._keys = keys
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def allow(self, key: Hashable, now_s: float) -> bool:
        """Take one. `now_s`: a clock that does not jump, seconds."""
        left, since = self._buckets.get(key, (self._burst, now_s))
        left = min(self._burst, left + max(0.0, now_s - since) * self._per_s)
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now_s)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._keys:
            self._buckets.popitem(last=False)
        return allowed


#: Beats of one device. The burst lets a whole array of late beats through (docs/interfaces.md: 1,000), or what a
#: broker kept while we were away: those fill gaps, and refusing them would leave unknown what was up.
BEATS_PER_S = 10.0
BEATS_BURST = 1000.0

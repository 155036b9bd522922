"""Limits on what comes in (docs/security.md): a token bucket for each device or address, in bounded memory."""

from __future__ import annotations

from collections.abc import Hashable


class RateLimit:
    """`per_s` in the long run, `burst` at once, for each key; keys unused for long are forgotten.

    Of a key's bucket one number is kept: when it will be full again. Keys live in two generations of half of `keys`
    each; when the younger is full, the older goes. A forgotten key starts with a full bucket: with `keys` at several
    times the devices that there are, only those who invent keys are forgotten.
    """

    def __init__(self, *, per_s: float, burst: float, keys: int = 20_000) -> None:
        self._token_s = 1 / per_s
        self._whole_s = (burst + 1) * self._token_s
        #: A bucket that needs longer than this to be full has no token left; a hundredth of one for rounding.
        self._empty_s = (burst - 0.99) * self._token_s
        self._half = max(1, keys // 2)
        self._full_at: dict[Hashable, float] = {}
        self._older: dict[Hashable, float] = {}

    def __len__(self) -> int:
        """Keys that are remembered."""
        return len(self._full_at.keys() | self._older.keys())

    def allow(self, key: Hashable, now_s: float) -> bool:
        """Take one. `now_s`: a steady clock, seconds."""
        full_at = self._full_at.get(key)
        if full_at is None:
            full_at = self._older.get(key, now_s)
        if not now_s < full_at <= now_s + self._whole_s:
            full_at = now_s  # it has been full for a while, or the clock was set back, for which nobody is to blame
        allowed = full_at - now_s <= self._empty_s
        self._full_at[key] = full_at + self._token_s if allowed else full_at
        if len(self._full_at) >= self._half:
            self._older, self._full_at = self._full_at, {}
        return allowed


#: Beats of one device. The burst lets a whole array of late beats through (docs/interfaces.md: 1,000), or what a
#: broker kept while we were away: those fill gaps, and refusing them would leave unknown what was up.
BEATS_PER_S = 10.0
BEATS_BURST = 1000.0

"""A histogram as Prometheus counts one: how many observations there were up to each bound."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

#: Of one probe. The limit of a probe is 5 s by default, so what times out stands in the last two.
PROBE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: From the moment an outage could be confirmed to the moment it was: timers fire within milliseconds; more
#: passes only where the channel had to show life again first.
DELAY_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)


class Histogram:
    """`bounds` are inclusive upper ends, ascending; the last bucket (+Inf) is implied."""

    __slots__ = ("_counts", "bounds", "sum")

    def __init__(self, bounds: Sequence[float] = DELAY_SECONDS) -> None:
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise ValueError("expected ascending bounds, at least one")
        self.bounds = tuple(float(b) for b in bounds)
        self._counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one observation. Negative ones count as 0: the clock's fault, and a sum must not fall."""
        value = max(value, 0.0)
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self._counts)

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """(upper bound, observations up to it), the last with infinity and all of them."""
        return zip((*self.bounds, float("inf")), accumulate(self._counts), strict=True)

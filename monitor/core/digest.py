"""Daily digests: how much evidence a check gave on a local day, for years in which the evidence itself is gone."""

from __future__ import annotations

from typing import NamedTuple

Said = tuple[tuple[str, int, int], ...]


class Digest(NamedTuple):
    """`expected`: whole intervals of the day in which the log ran; `first`, `last`: the first and last arrival, ms.

    `said`: what its beats said of the device's services, each with how many said ok and how many fail, by name.
    """

    check: tuple[str, str, str]
    day: str
    expected: int
    received: int
    failed: int
    late: int
    first: int | None
    last: int | None
    said: Said = ()

    def joined(self, other: Digest) -> Digest:
        """With what another row of the same check gave on the same day."""
        instants = [at for at in (self.first, self.last, other.first, other.last) if at is not None]
        return Digest(
            self.check, self.day, self.expected + other.expected, self.received + other.received,
            self.failed + other.failed, self.late + other.late,
            min(instants, default=None), max(instants, default=None), _added(self.said, other.said),
        )  # fmt: skip


def _added(one: Said, other: Said) -> Said:
    sums: dict[str, tuple[int, int]] = {}
    for name, ok, failed in (*one, *other):
        before = sums.get(name, (0, 0))
        sums[name] = (before[0] + ok, before[1] + failed)
    return tuple((name, *sums[name]) for name in sorted(sums))


def expected(interval_ms: int, start: int, end: int) -> int:
    """How many beats or results fit into `[start, end)`."""
    return max(0, end - start) // interval_ms

"""Daily digests: how much evidence a check gave on a local day, for years in which the evidence itself is gone."""

from __future__ import annotations

from typing import NamedTuple


class Digest(NamedTuple):
    """`expected`: whole intervals of the day in which the log ran; `first`, `last`: the first and last arrival, ms."""

    check: tuple[str, str, str]
    day: str
    expected: int
    received: int
    failed: int
    late: int
    first: int | None
    last: int | None

    def joined(self, other: Digest) -> Digest:
        """With what another row of the same check gave on the same day."""
        instants = [at for at in (self.first, self.last, other.first, other.last) if at is not None]
        return Digest(
            self.check, self.day, self.expected + other.expected, self.received + other.received,
            self.failed + other.failed, self.late + other.late,
            min(instants, default=None), max(instants, default=None),
        )  # fmt: skip


def expected(interval_ms: int, start: int, end: int) -> int:
    """How many beats or results fit into `[start, end)`."""
    return max(0, end - start) // interval_ms

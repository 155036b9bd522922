"""The time of day that cannot jump: UTC anchored once to CLOCK_BOOTTIME, which counts suspend too."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from time import CLOCK_BOOTTIME, clock_gettime_ns

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wall_ms() -> int:
    """What the machine's own clock says, milliseconds UTC; it may jump."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Milliseconds that never jump and count suspend (CLOCK_BOOTTIME); the origin means nothing."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Clock:
    """now() = anchor + steady time since then. `drift_ms` tells how far the wall clock has moved from it."""

    def __init__(self) -> None:
        self.anchor()

    def anchor(self) -> None:
        """Take the wall clock's word anew: a loss of all channels (docs/faults.md), so the caller must say so."""
        self._offset = wall_ms() - steady_ms()

    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return clock_gettime_ns(CLOCK_BOOTTIME) // 1_000_000 + self._offset  # steady_ms(), asked for every beat

    def follow(self) -> None:
        """Go along with a wall clock that is being corrected in small steps, by 1 ms at most."""
        drift = self.drift_ms()
        self._offset += (drift > 0) - (drift < 0)

    def drift_ms(self) -> int:
        """Wall clock minus this clock: positive when the wall clock went forward."""
        return wall_ms() - self.now()


def to_iso(ms: int) -> str:
    """2026-10-01T08:00:00Z, with three digits of a second only where they are not zero."""
    text = (_EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ms % 1000:03d}Z" if ms % 1000 else text + "Z"


def from_datetime(moment: datetime) -> int:
    """Milliseconds since the epoch. Raises ValueError for a naive datetime: nobody knows what it means."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; write it with Z or an offset")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_iso(text: str) -> int:
    """Milliseconds since the epoch. Raises ValueError where the text is no instant or has no offset."""
    return from_datetime(datetime.fromisoformat(text))

"""Beats that were never heard, by the number that a device gives each of them (`seq`, within one boot)."""

from __future__ import annotations

#: A leap longer than this is a device's fault, not beats that were lost: what a broker keeps, with room.
LONGEST_GAP = 200_000


class Sequences:
    """The last number of each device on each way. What comes late or twice is behind it and changes nothing."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, str], tuple[str, int]] = {}

    def missing(self, device: tuple[str, str, str], boot: str | None, seq: int | None) -> int:
        """How many were left out before this one, since the last. Without a boot nobody can tell."""
        if boot is None or seq is None:
            return 0
        last_boot, last = self._last.get(device, (None, 0))
        if boot != last_boot:
            self._last[device] = (boot, seq)
            return 0
        if seq <= last:
            return 0
        self._last[device] = (boot, seq)
        gap = seq - last - 1
        return gap if gap <= LONGEST_GAP else 0

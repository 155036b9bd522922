"""Beats that were never heard, by the number that a device gives each of them (`seq`, within one boot)."""

from __future__ import annotations

from collections.abc import Mapping

#: A leap longer than this is a device's fault, not beats that were lost: what a broker keeps, with room.
LONGEST_GAP = 200_000
_NOTHING: Mapping[tuple[str, str], tuple[str, int]] = {}


class Sequences:
    """The last number of each device on each way. What comes late or twice is behind it and changes nothing."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[str, dict[tuple[str, str], tuple[str, int]]] = {}

    def kept(self, device: tuple[str, str], via: str, boot: str) -> str:
        """The boot as it is kept already: it stands in several places, and is the same from beat to beat."""
        known = self._last.get(via, _NOTHING).get(device)
        return known[0] if known is not None and known[0] == boot else boot

    def missing(self, device: tuple[str, str], via: str, boot: str | None, seq: int | None) -> int:
        """How many were left out before this one, since the last. Without a boot nobody can tell."""
        if boot is None or seq is None:
            return 0
        mine = self._last.setdefault(via, {})
        last_boot, last = mine.get(device, (None, 0))
        if boot == last_boot and seq <= last:
            return 0
        mine[device] = (boot, seq)
        if boot != last_boot:
            return 0
        gap = seq - last - 1
        return gap if gap <= LONGEST_GAP else 0

"""The last uptime that each SNMP agent told, to know those whose clock stands still."""

from __future__ import annotations

from collections import OrderedDict

#: Targets remembered; the one that has been silent or still for longest goes first.
MOST = 200_000


class Uptimes:
    """Of the targets that were asked lately."""

    def __init__(self) -> None:
        self._first: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def still_s(self, target: str, ticks: int, now_s: float) -> float:
        """For how many seconds this has been the answer."""
        known = self._first.get(target)
        if known is not None and known[0] == ticks:
            return now_s - known[1]
        self._first[target] = (ticks, now_s)
        self._first.move_to_end(target)
        if len(self._first) > MOST:
            self._first.popitem(last=False)
        return 0.0

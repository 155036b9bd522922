"""Clocks of terminals: the smallest received − sent seen lately is taken for how much a clock is off (§2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: "Lately": between one and two times this many ordinary beats.
LATELY = 60
#: A beat that took longer than this waited somewhere: it says nothing of how the clock is now.
WAITED_MS = 60_000


class ClockOffsets:
    """One estimate a terminal. A new boot starts anew: a device without a battery wakes up in another year."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        # boot, least of now, least of before, how many; and of the last beat that waited: received, sent
        self._known: dict[tuple[str, str], list[Any]] = {}

    def state(self, pack: Callable[[list[Any]], Any] = list) -> list[Any]:
        """Everything, as plain values, for a checkpoint; `pack` as in `Engine.state`."""
        return [pack([*terminal, *known]) for terminal, known in self._known.items()]

    def load(self, state: list[Any]) -> None:
        """Take over what `state` gave."""
        self._known = {(site, kind): known for site, kind, *known in state}

    def correct(self, terminal: tuple[str, str], received: int, sent: int, boot: str | None) -> int:
        """`sent` as the monitor's clock would have said it (ms, never before 1970); what is learnt from it is kept."""
        took = received - sent
        known = self._known.get(terminal)
        if known is None or known[0] != boot:
            self._known[terminal] = [boot, took, took, 1, None, None]
            return received
        _, least, before, count, waited, _ = known
        if took < least:
            known[1] = least = took
        offset: int = least if least < before else before
        if took - offset <= WAITED_MS:
            if count < LATELY:
                known[3] = count + 1
            else:
                known[1:4] = [took, least, 1]
            if waited is not None:
                known[4] = known[5] = None
        elif known[4] is not None and _steady(received - known[4], sent - known[5]):
            self._known[terminal] = [boot, took, took, 1, None, None]
            return received
        else:
            known[4], known[5] = received, sent
        return max(0, sent + offset)  # a clock that fell back by thousands of years: no calendar has that day


def _steady(received: int, sent: int) -> bool:
    """Between two beats that seem to have waited: as much time passed there as here. Then nothing waited; the clock
    was set back. What was kept comes in faster than it was sent, and what comes twice was sent at once."""
    return received > 0 and 2 * abs(received - sent) < received

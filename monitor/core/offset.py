"""Clocks of terminals: the smallest received − sent seen lately is taken for how much a clock is off (§2)."""

from __future__ import annotations

from typing import Any

#: "Lately": between one and two times this many ordinary beats.
LATELY = 60
#: A beat that took longer than this waited somewhere: it says nothing of how the clock is now.
WAITED_MS = 60_000


class ClockOffsets:
    """One estimate a terminal. A new boot starts anew: a device without a battery wakes up in another year."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], list[Any]] = {}  # boot, least of now, least of before, how many

    def correct(self, terminal: tuple[str, str], received: int, sent: int, boot: str | None) -> int:
        """`sent` as the monitor's clock would have said it (ms); what is learnt from it is kept."""
        took = received - sent
        known = self._known.get(terminal)
        if known is None or known[0] != boot:
            self._known[terminal] = [boot, took, took, 1]
            return received
        known[1] = min(known[1], took)
        offset: int = min(known[1], known[2])
        if took - offset <= WAITED_MS:
            known[3] += 1
            if known[3] > LATELY:
                known[1:] = [took, known[1], 1]
        return sent + offset

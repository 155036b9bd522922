"""The planned windows that a log tells of: read from its lines, carried on in the head of each day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, replace
from typing import Any

from monitor.core.planning import is_retroactive
from monitor.core.sites import Inventory
from monitor.core.window import Window, check_scope
from monitor.evidence.lines import WindowLine, millis, moment

#: A day's head carries the windows that ended later than this before it: as long as evidence is kept.
KEPT_MS = 396 * 86_400_000


class ToldWindows:
    """What the log has said of windows so far. The same window again tells what became of it."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self._told: dict[tuple[str, int, int, int], Window] = {}

    def put(self, window: Window) -> None:
        self._told[window.identity] = window

    def missing(self, windows: Iterable[Window], now: int) -> list[Window]:
        """Those of `windows` that the log does not tell of yet, or not as they are."""
        recent = (w for w in windows if w.end > now - KEPT_MS)
        return [w for w in recent if self._told.get(w.identity) != w]

    def read(self, line: WindowLine, at: int, down: Iterator[tuple[str, str]]) -> Window:
        """What a line says. In a trace (no `declared`) all windows are approved; `down`: terminals that are down."""
        window = Window(check_scope(line.scope), millis(line.start), millis(line.end), line.reason, at)
        if line.declared is None:
            retroactive = is_retroactive(window, self.inventory, down)
            return replace(window, retroactive=retroactive, approved=at if retroactive else None)
        return replace(
            window,
            at=millis(line.declared),
            by=line.declared_by,
            retroactive=line.retroactive,
            approved=None if line.approved is None else millis(line.approved),
            approved_by=line.approved_by,
            cancelled=None if line.cancelled is None else millis(line.cancelled),
        )

    def state(self, at: int) -> list[list[Any]]:
        """For the head of a day that begins at `at`, as plain values."""
        self._told = {key: w for key, w in self._told.items() if w.end > at - KEPT_MS}
        return [list(astuple(window)) for window in self._told.values()]

    @staticmethod
    def load(state: Iterable[list[Any]]) -> Iterator[Window]:
        """What `state` gave."""
        return (Window(*values) for values in state)


def line_of(window: Window, at: int) -> WindowLine:
    """The line that tells of a window, taken up at `at` (ms)."""
    return WindowLine(
        moment(at),
        window.scope,
        moment(window.start),
        moment(window.end),
        window.reason,
        moment(window.at),
        window.by,
        window.retroactive,
        None if window.approved is None else moment(window.approved),
        window.approved_by,
        None if window.cancelled is None else moment(window.cancelled),
    )

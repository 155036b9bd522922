"""Progress of long commands: on a terminal alone, and only of what takes longer than two seconds."""

from __future__ import annotations

import time

from rich.console import Console

QUIET_S = 2.0
EVERY_S = 0.2


class Progress:
    """Call it with what is being done and how far it is."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._next = time.monotonic() + QUIET_S

    def __call__(self, what: str, count: int) -> None:
        if self._console.is_terminal and time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY_S
            self._console.print(f"{what}: {count:,}" if count else what, end="\r", overflow="ellipsis")

"""Who is on duty: the roster's file, read anew when it changes (docs/alerts.md, The roster)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import tzinfo
from pathlib import Path

import structlog

from monitor.core.roster import Duty, on_duty
from monitor.errors import ConfigError
from monitor.inventory.roster import NAME, read_roster
from monitor.publish.board import Board

log = structlog.get_logger()


class Roster:
    """Of one service. `folder`: of monitor.toml, where the roster is; None: there is none. Its times are of `zone`."""

    def __init__(self, board: Board, folder: Path | None, zone: tzinfo) -> None:
        self.board = board
        self.folder = folder
        self.zone = zone
        self._turns: list[Duty] = []
        self._stamp: object = None

    def on_duty(self, now: int, townships: Iterable[str]) -> list[Duty]:
        """As core/roster.py has it, by what holds."""
        return on_duty(self._turns, now, townships)

    async def look(self, now: int) -> None:
        """Read its file, if it changed. One with mistakes changes nothing."""
        if self.folder is None:
            return
        stamp = await asyncio.to_thread(_stamp, self.folder)
        if stamp != self._stamp:
            self._stamp = stamp
            codes = set(self.board.inventory.townships)
            try:
                self._turns = await asyncio.to_thread(read_roster, self.folder, self.zone, codes)
                self.board.warn(NAME, "")
            except ConfigError as error:
                log.error("roster.refused", mistakes=[str(m) for m in error.mistakes])
                self.board.warn(NAME, f"what held holds on: {error.mistakes[0]}")
        if stamp and NAME not in self.board.warnings and not self.on_duty(now, ("",)):
            self.board.warn("duty", "nobody is on duty now")
        else:
            self.board.warn("duty", "")


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    paths = (folder / f"{NAME}.{suffix}" for suffix in ("csv", "xlsx"))
    return tuple((p.name, p.stat().st_mtime_ns, p.stat().st_size) for p in paths if p.exists())

"""What follows from the evidence, on its way into the database: whole cuts, in their order (docs/architecture.md).

What the database does not take waits; what is too much to wait is dropped, because it stands in the log, and is caught
up from there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog
from sqlalchemy.exc import SQLAlchemyError

from monitor.core.changes import Changes
from monitor.publish.board import Board
from monitor.store.view import Position, View

log = structlog.get_logger()

#: Rows that may wait for the database. Beyond it they are dropped.
WAITING_ROWS = 200_000
#: Rows of one transaction, about: it must end within its time, and preparing it must not hold up the loop.
ROWS_AT_ONCE = 5_000
#: Of one transaction, seconds.
SAVE_S = 60.0
#: A database that has not answered for so long is away, seconds.
ANSWER_S = 10.0


class Saving:
    """Of one county's cuts. `catch_up` writes all that follows from the log up to a position; it may raise whatever a
    database or a disk does."""

    def __init__(self, view: View, board: Board, catch_up: Callable[[Position], Awaitable[object]]) -> None:
        self._view = view
        self._board = board
        self._catch_up_to = catch_up
        self._waiting: deque[tuple[Changes, Position]] = deque()
        self.rows = 0  # that wait; 0 while it catches up from the log
        self._behind = False
        self._durable = Position("", 0, 0)
        self._asked: float | None = None  # since when the database is being asked (the loop's clock)

    def take(self, changes: Sequence[Changes], durable: Position) -> None:
        """A cut ended at `durable`; this follows from it."""
        self._durable = durable
        if self._behind:
            return
        for one in changes:
            self._waiting.append((one, durable))
            self.rows += one.size
        if self.rows > WAITING_ROWS:
            self._fall_behind()

    async def save(self) -> None:
        """Write what follows from the cuts so far; what the database does not take waits."""
        loop = asyncio.get_running_loop()
        try:
            while self._behind or self._waiting:
                self._asked = loop.time()
                if self._behind:
                    await self._catch_up()
                else:
                    await self._save_some()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            failed(self._board, "database", error)
            return
        finally:
            self._asked = None
        self._board.trouble("database", "")

    def look(self) -> None:
        """Says of a database that hangs that it does."""
        if self._asked is not None and (asked_s := asyncio.get_running_loop().time() - self._asked) > ANSWER_S:
            failed(self._board, "database", TimeoutError(f"no answer for {asked_s:.0f} s"))

    def _fall_behind(self) -> None:
        self._waiting.clear()
        self.rows = 0
        self._behind = True

    async def _catch_up(self) -> None:
        """Up to here; the cuts that come meanwhile wait again."""
        until, self._behind = self._durable, False
        try:
            await self._catch_up_to(until)
        except BaseException:
            self._fall_behind()
            raise
        log.info("database.caught_up", file=until.file, offset=until.offset)

    async def _save_some(self) -> None:
        """The oldest of what waits, in whole cuts."""
        batch: list[tuple[Changes, Position]] = []
        rows = 0
        for waiting in self._waiting:
            if batch and rows + waiting[0].size > ROWS_AT_ONCE and waiting[1] != batch[-1][1]:
                break
            batch.append(waiting)
            rows += waiting[0].size
        async with asyncio.timeout(SAVE_S):
            await self._view.save([c for c, _ in batch], batch[-1][1])
        if not self._behind:  # otherwise they were dropped meanwhile
            for _ in batch:
                self.rows -= self._waiting.popleft()[0].size


def failed(board: Board, part: str, error: Exception) -> None:
    """A part is in trouble: say it once, and show it for as long as it lasts."""
    what = (str(error) or type(error).__name__).splitlines()[0][:200]
    if part not in board.troubles:
        log.error(f"{part}.failed", error=what)
    board.trouble(part, what)

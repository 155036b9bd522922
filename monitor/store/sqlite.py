"""SQLite's driver with one turn of its thread for a statement, where it takes four (cursor, run, fetch, close).

aiosqlite runs everything on a thread of the connection. A turn there and back is 16 µs of CPU, and a wait for a
processor where others have it; for most statements that is more than what SQLite does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import aiosqlite

T = TypeVar("T")
#: Rows that come along with a statement: all of most answers, and little of a long one, which is fetched part by part.
ALONG = 100


class Cursor:
    """What SQLAlchemy asks of a driver's cursor (`sqlalchemy.connectors.asyncio.AsyncIODBAPICursor`)."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cursor: sqlite3.Cursor | None = None
        self._along: list[Any] = []
        #: May there be more than came along?
        self._has_more = False

    async def __aenter__(self) -> Cursor:
        return self

    @property
    def description(self) -> Any:
        """Of the columns; None of a statement without an answer."""
        return None if self._cursor is None else self._cursor.description

    @property
    def rowcount(self) -> int:
        """As sqlite3 says it."""
        return -1 if self._cursor is None else self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        """As sqlite3 says it."""
        return None if self._cursor is None else self._cursor.lastrowid

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement and take its first rows along."""

        def run(connection: sqlite3.Connection) -> tuple[sqlite3.Cursor, list[Any]]:
            cursor = connection.execute(sql, parameters)
            return cursor, [] if cursor.description is None else cursor.fetchmany(ALONG)

        self._cursor, self._along = await self._connection.turn(run)
        self._has_more = len(self._along) == ALONG

    async def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each."""
        self._cursor = await self._connection.turn(lambda connection: connection.executemany(sql, parameters))

    async def fetchone(self) -> Any:
        """The next row, None after the last."""
        return next(iter(await self.fetchmany(1)), None)

    async def fetchmany(self, size: int = 1) -> list[Any]:
        """The next rows: those that came along, or so many others."""
        found, self._along = self._along[:size], self._along[size:]
        return found or await self._others(lambda cursor: cursor.fetchmany(size))

    async def fetchall(self) -> list[Any]:
        """The rows that are left."""
        found, self._along = self._along, []
        return found + await self._others(sqlite3.Cursor.fetchall)

    async def _others(self, fetch: Callable[[sqlite3.Cursor], list[Any]]) -> list[Any]:
        cursor = self._cursor
        if cursor is None or not self._has_more:
            return []
        found = await self._connection.turn(lambda _: fetch(cursor))
        self._has_more = bool(found)
        return found

    async def close(self) -> None:
        """An answer that was fetched whole has let go of the database already."""
        cursor = self._cursor
        if cursor is not None and self._has_more:
            self._has_more = False
            await self._connection.turn(lambda _: cursor.close())


class Connection(aiosqlite.Connection):
    """aiosqlite's, with the cursors above."""

    def cursor(self) -> Cursor:  # type: ignore[override]  # it asks the thread for one
        """It is made with the statement."""
        return Cursor(self)

    async def turn(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What a function says on the connection's thread."""
        found: T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return found


def connect(database: str, **options: Any) -> Connection:
    """As `aiosqlite.connect`, for SQLAlchemy's `async_creator_fn`."""
    connection = Connection(partial(sqlite3.connect, database, **options), ALONG)
    connection._thread.daemon = True  # as SQLAlchemy does: a connection nobody closed must not hold the process
    return connection

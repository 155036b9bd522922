"""Opening the database: SQLite with WAL by default, PostgreSQL by its URL; every statement has a time limit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from socket import gaierror
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Connection, Table, event, inspect, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from monitor.errors import MonitorError

#: How long a statement may run and how long one waits for a lock.
STATEMENT_LIMIT_S = 30
#: How long a loop looks for what is new.
LOOK_S = 10.0
#: How long connections may take to end.
LEAVE_S = 5.0
#: PostgreSQL's advisory lock of whoever makes or alters the tables; any number that others do not take.
UPGRADE_LOCK = 0x7A68646A


MIGRATIONS = Path(__file__).parent / "migrations"
#: The connections of each engine, PostgreSQL's alone.
_connections: WeakKeyDictionary[AsyncEngine, WeakSet[Any]] = WeakKeyDictionary()


def create(url: str) -> AsyncEngine:
    """An engine for `sqlite+aiosqlite:///...` or `postgresql+asyncpg://...`. Raises MonitorError for anything else."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise MonitorError(
            "database.url: expected sqlite+aiosqlite:///path or postgresql+asyncpg://user@host/name"
        ) from None
    match parsed.drivername:
        case "sqlite+aiosqlite":
            if parsed.database and parsed.database != ":memory:":
                try:
                    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise MonitorError(f"the database {parsed.database} cannot be made: {error.strerror}") from None
            engine = create_async_engine(parsed, connect_args={"timeout": STATEMENT_LIMIT_S})
            event.listen(engine.sync_engine, "connect", _sqlite)
            return engine
        case "postgresql+asyncpg":
            options: dict[str, Any] = {
                "timeout": 10,
                "command_timeout": STATEMENT_LIMIT_S,
                "server_settings": {
                    "statement_timeout": str(STATEMENT_LIMIT_S * 1000),
                    "application_name": "zhdj-monitor",
                    # What is acknowledged survives a power loss, whatever the database's own setting is.
                    "synchronous_commit": "on",
                },
            }
            engine = create_async_engine(
                parsed, pool_size=5, max_overflow=5, pool_timeout=10, pool_pre_ping=True, connect_args=options
            )
            there = _connections.setdefault(engine, WeakSet())
            event.listen(engine.sync_engine, "connect", lambda connection, _: there.add(connection.driver_connection))
            return engine
        case other:
            raise MonitorError(f"database.url: expected sqlite+aiosqlite or postgresql+asyncpg, not {other}")


def _sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # FULL: a cut that the database says it follows must survive a power loss.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def revisions() -> list[str]:
    """The versions of the tables that this program knows, oldest first: files bear the number of theirs."""
    return sorted(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _upgrade(connection: Connection) -> None:
    """One after the other, where several start at once: to the end of the transaction that the caller began."""
    if inspect(connection).has_table("alembic_version"):
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
        if found == revisions()[-1:]:
            return
    # Late: it takes as long to load as everything else of a command, and is needed once a release.
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@asynccontextmanager
async def opened(url: str, *, there: bool = False) -> AsyncIterator[AsyncEngine]:
    """The database with its tables as this version wants them, disposed of at the end.

    `there`: what is asked for was written before; a file that is not there is a mistake (another folder, say), and an
    empty database in its place would answer as if nothing had ever been.

    Raises MonitorError where it cannot be opened; the URL is told without its password.
    """
    if there:
        _demand_file(url)
    engine = create(url)
    try:
        try:
            async with engine.begin() as connection:
                await connection.run_sync(_upgrade)
        except (OSError, TimeoutError, SQLAlchemyError) as error:
            what = str(error).splitlines()[0] or type(error).__name__
            raise MonitorError(f"the database {engine.url.render_as_string()} cannot be opened: {what}") from error
        yield engine
    finally:
        with suppress(TimeoutError):  # a server that hangs: what it does not take leave of ends with the process
            async with asyncio.timeout(LEAVE_S):
                await engine.dispose()


def _demand_file(url: str) -> None:
    with suppress(ArgumentError):  # which `create` says
        parsed = make_url(url)
        name = parsed.database
        if parsed.drivername == "sqlite+aiosqlite" and name and name != ":memory:" and not os.path.lexists(name):
            where = "" if os.path.isabs(name) else f" in {Path.cwd()}: run this where the service runs"
            raise MonitorError(f"there is no database {name}{where}")


def away(error: Exception) -> str:
    """What an error says, in a line, of a database that is away, hung, locked or full; "" for any other."""
    match error:
        case IntegrityError() | DataError() | ProgrammingError():
            return ""
        case DBAPIError() | NoConnection() | TimeoutError() | ConnectionError() | gaierror():
            return (str(error).splitlines() or [""])[0] or type(error).__name__
        case _:
            return ""


def sever(engine: AsyncEngine) -> None:
    """Drop every connection without a word. Whoever waits for an answer gets an error at once: a task that was
    cancelled while its server hangs would otherwise end only when its statement's time is over."""
    for connection in tuple(_connections.get(engine, ())):
        connection.terminate()


#: Writers of this process take turns on SQLite: its own waiting is not fair, and sleeps longer the longer it waits.
_turns: WeakKeyDictionary[AsyncEngine, asyncio.Lock] = WeakKeyDictionary()


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction of a person's act: what it reads stays true until it ends.

    On SQLite nobody else writes meanwhile (BEGIN IMMEDIATE). On PostgreSQL lock the rows that a decision rests on
    (`with_for_update`).
    """
    if engine.dialect.name != "sqlite":
        async with engine.begin() as connection:
            yield connection
        return
    async with _turns.setdefault(engine, asyncio.Lock()), engine.begin() as connection:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


@asynccontextmanager
async def looking(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A short read of a loop's, given up with TimeoutError after ten seconds: also where the loop was told to stop
    meanwhile, which a driver whose server hangs would otherwise answer only when its statement's time is over."""
    async with asyncio.timeout(LOOK_S), engine.connect() as connection:
        yield connection


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A reader that sees one moment for as long as it reads, while others write."""
    async with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            await connection.exec_driver_sql("BEGIN")
        else:
            await connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


#: An insert with `on_conflict_do_nothing` and `on_conflict_do_update`, which both databases say alike, by the database.
INSERTS: Mapping[str, Callable[[Table], postgresql.Insert]] = {
    "sqlite": sqlite.insert,  # type: ignore[dict-item]  # the same methods
    "postgresql": postgresql.insert,
}


def insert_into(connection: AsyncConnection, table: Table) -> postgresql.Insert:
    """That of the connection's database."""
    return INSERTS[connection.dialect.name](table)

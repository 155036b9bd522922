"""Opening the database: SQLite with WAL by default, PostgreSQL by its URL; every statement has a time limit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from monitor.errors import MonitorError

#: How long a statement may run and how long one waits for a lock.
STATEMENT_LIMIT_S = 30
#: PostgreSQL's advisory lock of whoever makes or alters the tables; any number that others do not take.
UPGRADE_LOCK = 0x7A68646A


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
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
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
                },
            }
            return create_async_engine(
                parsed, pool_size=5, max_overflow=5, pool_timeout=10, pool_pre_ping=True, connect_args=options
            )
        case other:
            raise MonitorError(f"database.url: expected sqlite+aiosqlite or postgresql+asyncpg, not {other}")


def _sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # FULL: a cut that the database says it follows must survive a power loss.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _upgrade(connection: Connection) -> None:
    """One after the other, where several start at once: to the end of the transaction that the caller began."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK})")
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AsyncEngine]:
    """The database with its tables as this version wants them, disposed of at the end.

    Raises MonitorError where it cannot be opened; the URL is told without its password.
    """
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
        await engine.dispose()

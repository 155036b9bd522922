"""The whole database as one file, consistent while others write, and back again (docs/backup.md)."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.errors import MonitorError
from monitor.store.bundle import Progress, silent
from monitor.store.database import create, revisions

#: SQLite: pages between two words of progress; at a time, so that a stop is heard.
_PAGES = 4_096
_DUMP_LIMIT_S = 24 * 3600
#: Schemas that `put_aside` made: what was there before a restore is no part of the next backup.
_ASIDE = "before_restore_"


def is_sqlite(url: str) -> bool:
    return make_url(url).drivername.startswith("sqlite")


def sqlite_file(url: str) -> Path:
    """Raises MonitorError for a database in memory."""
    name = make_url(url).database
    if not name or name == ":memory:":
        raise MonitorError("database.url: a database in memory cannot be kept")
    return Path(name)


def known_revisions() -> set[str]:
    """The versions of the tables that this program can bring up to its own."""
    return set(revisions())


# --- SQLite -----------------------------------------------------------------------------------------------------------


def copy_sqlite(url: str, target: Path, progress: Progress = silent) -> str:
    """A copy as of now, in one file; answers the version of its tables. The service goes on reading and writing.

    Raises MonitorError where there is no database, or it cannot be read.
    """
    source = sqlite_file(url)
    if not source.exists():
        raise MonitorError(f"{source}: there is no database")
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as live,
            closing(sqlite3.connect(target)) as copy,
        ):
            # A transaction of our own: what is read is of one moment, and writers do not make the copy begin anew.
            live.isolation_level = None
            live.execute("BEGIN")
            live.execute("SELECT count(*) FROM sqlite_master").fetchone()
            size = live.execute("PRAGMA page_size").fetchone()[0]
            done = 0

            def copied(_status: int, left: int, total: int) -> None:
                nonlocal done
                progress("database/monitor.db", (total - left - done) * size)
                done = total - left

            live.backup(copy, pages=_PAGES, progress=copied)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a -wal beside it
            return check_sqlite(copy)
    except sqlite3.Error as error:
        raise MonitorError(f"{source}: cannot be copied: {error}") from None


def check_sqlite(connection: sqlite3.Connection) -> str:
    """Is it sound, and which version of the tables has it? Raises MonitorError."""
    (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if sound != "ok":
        raise MonitorError(f"the database is damaged: {sound}")
    try:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    except (sqlite3.Error, TypeError):
        raise MonitorError("the database has no tables of zhdj-monitor") from None


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


async def dump_postgres(url: str, target: Path) -> None:
    """`pg_dump`: a copy as of one moment; the service goes on. Raises MonitorError with what pg_dump says."""
    arguments = ["--format=custom", "--compress=0", "--no-owner", "--no-privileges", f"--file={target}"]
    await _run("pg_dump", [*arguments, f"--exclude-schema={_ASIDE}*"], url)


async def restore_postgres(url: str, dump: Path) -> None:
    """Into an empty schema `public`, all of it or nothing. Raises MonitorError with what pg_restore says."""
    arguments = ["--no-owner", "--no-privileges", "--schema=public", "--exit-on-error", "--single-transaction"]
    name = make_url(url).database or ""
    await _run("pg_restore", [*arguments, f"--dbname={name}", str(dump)], url)


async def _run(program: str, arguments: list[str], url: str) -> None:
    path = shutil.which(program)
    if path is None:
        raise MonitorError(f"{program} was not found; install PostgreSQL's client (Debian: postgresql-client)")
    command = [path, "--no-password", *arguments]
    # Where and as whom stands in the environment: a command line is for everybody to read.
    environment = {**os.environ, **_environment(make_url(url))}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603  # arguments of our own
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_DUMP_LIMIT_S,
            check=False,
        )

    done = await asyncio.to_thread(run)
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise MonitorError(f"{program}: {said[:500]}")


def _environment(url: URL) -> Mapping[str, str]:
    query = {key: value for key, value in url.query.items() if isinstance(value, str)}
    found = {
        "PGHOST": url.host or query.get("host"),
        "PGPORT": str(url.port) if url.port else query.get("port"),
        "PGUSER": url.username,
        "PGPASSWORD": str(url.password) if url.password else None,
        "PGDATABASE": url.database,
        "PGSSLMODE": query.get("ssl"),
    }
    return {key: value for key, value in found.items() if value}


async def revision_of(url: str) -> str | None:
    """The version of the tables in a PostgreSQL database, None where there are none of ours."""
    async with _connected(url) as connection:
        there = await connection.execute(text("SELECT to_regclass('public.alembic_version')"))
        if there.scalar() is None:
            return None
        return str((await connection.execute(text("SELECT version_num FROM public.alembic_version"))).scalar())


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create(url)
    try:
        async with engine.begin() as connection:
            yield connection
    except (OSError, TimeoutError, SQLAlchemyError) as error:
        what = str(error).splitlines()[0] or type(error).__name__
        raise MonitorError(f"the database {engine.url.render_as_string()}: {what}") from error
    finally:
        await engine.dispose()


# --- what is there before a restore -----------------------------------------------------------------------------------


async def has_tables(url: str) -> bool:
    """Is there anything in the database that a restore would be in the way of?"""
    if is_sqlite(url):
        path = sqlite_file(url)
        # A -wal without its database would be taken for that of the one that is restored.
        return any(part.exists() and part.stat().st_size > 0 for part in (path, path.with_name(path.name + "-wal")))
    async with _connected(url) as connection:
        query = (
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'"
        )
        return bool((await connection.execute(text(query))).scalar())


async def put_aside(url: str, stamp: str) -> str:
    """Take what is there out of the way; nothing is lost. Answers where it is now. `stamp`: digits and letters."""
    if is_sqlite(url):
        path = sqlite_file(url)
        target = path.with_name(f"{path.name}.{_ASIDE}{stamp}")
        _rename(path, target)
        return str(target)
    async with _connected(url) as connection:
        await connection.execute(text(f"ALTER SCHEMA public RENAME TO {_ASIDE}{stamp}"))
        await connection.execute(text("CREATE SCHEMA public"))
        await connection.execute(text("GRANT USAGE ON SCHEMA public TO PUBLIC"))
    return f"schema {_ASIDE}{stamp}"


async def put_back(url: str, stamp: str) -> None:
    """The restore did not come about: what `put_aside` moved is where it was."""
    if is_sqlite(url):
        path = sqlite_file(url)
        _rename(path.with_name(f"{path.name}.{_ASIDE}{stamp}"), path)
        return
    async with _connected(url) as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text(f"ALTER SCHEMA {_ASIDE}{stamp} RENAME TO public"))


def _rename(path: Path, target: Path) -> None:
    """A SQLite file with what belongs to it: without its -wal it would not be whole."""
    for suffix in ("-wal", "-shm", ""):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(target.with_name(target.name + suffix))

"""Somebody acts: the right is asked, the act and its audit record are one transaction, refusals are kept as well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor, demand
from monitor.errors import MonitorError
from monitor.store import audit
from monitor.store.database import writing

log = structlog.get_logger()


@asynccontextmanager
async def acting(
    engine: AsyncEngine,
    actor: Actor,
    action: Action,
    what: str,
    at_ms: int,
    *,
    township: str | None = None,
    drafted_by: str | None = None,
) -> AsyncIterator[AsyncConnection]:
    """The write transaction of an act; it is audited as done with the act itself, at `at_ms`.

    `what`: on what, in a few words that an auditor understands. Raises core.access.Forbidden where the right is
    missing; whatever is raised in the block undoes the act, is audited (a MonitorError as refused, anything else as
    failed) in a transaction of its own, and is raised again.
    """
    try:
        demand(actor, action, township=township, drafted_by=drafted_by)
        async with writing(engine) as connection:
            yield connection
            await audit.write(connection, at_ms, actor.name, action, what, "done")
    except MonitorError as error:
        await refused(engine, actor.name, action, what, at_ms, "refused", str(error))
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        await refused(engine, actor.name, action, what, at_ms, "failed", reason)
        raise


@asynccontextmanager
async def acting_or_trying(
    engine: AsyncEngine,
    actor: Actor,
    action: Action,
    what: str,
    at_ms: int,
    *,
    township: str | None = None,
    dry_run: bool,
) -> AsyncIterator[AsyncConnection]:
    """As `acting`; `dry_run`: the same right is asked, and the connection is there to read, nothing is audited."""
    if dry_run:
        demand(actor, action, township=township)
        async with engine.connect() as connection:
            yield connection
        return
    async with acting(engine, actor, action, what, at_ms, township=township) as connection:
        yield connection


async def refused(
    engine: AsyncEngine, who: str, action: str, what: str, at_ms: int, outcome: audit.Outcome, reason: str
) -> None:
    """Audit what did not come about. A database that does not even take that is told in the log alone."""
    try:
        async with writing(engine) as connection:
            await audit.write(connection, at_ms, who, action, what, outcome, reason)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        log.error("audit.failed", who=who, action=action, outcome=outcome, error=type(error).__name__)

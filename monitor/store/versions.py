"""Versions of the inventory in the database: proposed, approved, withdrawn, and held since the log took them up.

Bodies are what `inventory/versions.pack` made; here they are bytes. Instants are ms UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.errors import MonitorError
from monitor.store.database import insert_into
from monitor.store.tables import inventory_version as table

State = Literal["proposed", "approved", "withdrawn", "held"]
#: The first version is what the service began with; whoever proposes before it ever ran does not take its number.
FIRST_PROPOSED = 2

_ABOUT = [column for column in table.c if column.name != "body"]


@dataclass(frozen=True, slots=True)
class Stored:
    """A version without its body. `files`: digest of the configuration's own files when it was proposed, or ""."""

    number: int
    from_ms: int
    state: State
    digest: str
    files: str
    proposed_by: str
    proposed_ms: int
    approved_by: str
    approved_ms: int | None
    held_ms: int | None

    @property
    def since(self) -> int:
        """From when on it holds, or is meant to."""
        return self.from_ms if self.held_ms is None else self.held_ms


@dataclass(frozen=True, slots=True)
class Held:
    """A version as the log tells of it: it holds since `since`. `by`: who approved it."""

    number: int
    since: int
    digest: str
    files: str
    body: bytes
    by: str


async def propose(
    connection: AsyncConnection, from_ms: int, digest: str, files: str, body: bytes, who: str, at_ms: int
) -> int:
    """A version that waits for approval; answers its number. Call it in a write transaction."""
    await alone(connection)
    last = (await connection.execute(select(func.max(table.c.number)))).scalar()
    number = max(FIRST_PROPOSED, 1 + int(last or 0))
    values = {"number": number, "from_ms": from_ms, "state": "proposed", "digest": digest, "files": files}
    await connection.execute(insert(table).values(**values, body=body, proposed_by=who, proposed_ms=at_ms))
    return number


async def alone(connection: AsyncConnection) -> None:
    """Nobody else changes versions until the transaction ends (on SQLite nobody does anyway)."""
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE")


async def approve(connection: AsyncConnection, number: int, who: str, at_ms: int) -> bool:
    """From its instant on it is due. False where it does not wait for that."""
    waits = and_(table.c.number == number, table.c.state == "proposed")
    done = await connection.execute(
        update(table).where(waits).values(state="approved", approved_by=who, approved_ms=at_ms)
    )
    return done.rowcount == 1


async def withdraw(connection: AsyncConnection, number: int) -> bool:
    """It never holds. False where it holds already, or was withdrawn before."""
    open_ = and_(table.c.number == number, table.c.state.in_(("proposed", "approved")))
    done = await connection.execute(update(table).where(open_).values(state="withdrawn"))
    return done.rowcount == 1


async def rows(connection: AsyncConnection) -> list[Stored]:
    """All versions by their numbers."""
    return [_stored(row) for row in await connection.execute(select(*_ABOUT).order_by(table.c.number))]


async def get(connection: AsyncConnection, number: int) -> tuple[Stored, bytes]:
    """A version and its body. Raises MonitorError where there is none of this number."""
    row = (await connection.execute(select(table).where(table.c.number == number))).first()
    if row is None:
        raise MonitorError(f"没有编号为 {number} 的清单版本")
    return _stored(row), bytes(row.body)


async def due(connection: AsyncConnection, now: int) -> list[tuple[Stored, bytes]]:
    """Approved ones whose instant has come and that nobody took up yet, in the order in which they are to hold."""
    waits = and_(table.c.state == "approved", table.c.from_ms <= now)
    query = select(table).where(waits).order_by(table.c.from_ms, table.c.number)
    return [(_stored(row), bytes(row.body)) for row in await connection.execute(query)]


async def held(connection: AsyncConnection, told: Iterable[Held]) -> None:
    """The log took these up. What it says counts: rows that are not there (a rebuild) are made from it."""
    for one in told:
        said = {"state": "held", "held_ms": one.since, "digest": one.digest, "files": one.files, "body": one.body}
        new = {
            "number": one.number,
            "from_ms": one.since,
            "proposed_by": one.by,
            "proposed_ms": one.since,
            "approved_by": one.by,
            "approved_ms": one.since,
        }
        statement = insert_into(connection, table).values(**new, **said)
        await connection.execute(statement.on_conflict_do_update(index_elements=[table.c.number], set_=said))


def _stored(r: Any) -> Stored:
    return Stored(
        r.number, r.from_ms, r.state, r.digest, r.files,
        r.proposed_by, r.proposed_ms, r.approved_by, r.approved_ms, r.held_ms,
    )  # fmt: skip

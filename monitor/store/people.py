"""People, their sessions, and failed attempts to sign in. Passwords come here hashed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.access import Actor, Role
from monitor.store.database import insert_into
from monitor.store.tables import attempt, person, session


class Person(NamedTuple):
    """Somebody who may sign in; `townships` None: all of them. Times in ms."""

    name: str
    roles: frozenset[Role]
    townships: frozenset[str] | None
    password: str
    password_ms: int
    created_ms: int
    disabled_ms: int | None

    @property
    def actor(self) -> Actor:
        return Actor(self.name, self.roles, self.townships)


class Session(NamedTuple):
    """A session by the hash of its token. Times in ms."""

    hash: str
    person: str
    origin: str
    created_ms: int
    seen_ms: int
    ends_ms: int


class Attempt(NamedTuple):
    """Failures since the last success under a name, and until when it is locked (ms)."""

    failures: int
    locked_ms: int


def _person(row: Any) -> Person:
    return Person(
        row.name,
        frozenset(Role(r) for r in json.loads(row.roles)),
        None if row.townships is None else frozenset(json.loads(row.townships)),
        row.password,
        row.password_ms,
        row.created_ms,
        row.disabled_ms,
    )


def _listed(values: Iterable[str] | None) -> str | None:
    return None if values is None else json.dumps(sorted(values), ensure_ascii=False)


async def everybody(connection: AsyncConnection) -> list[Person]:
    """All people by name, also those who are disabled."""
    return [_person(row) for row in await connection.execute(select(person).order_by(person.c.name))]


async def find(connection: AsyncConnection, name: str) -> Person | None:
    """Somebody by name, also one who is disabled."""
    row = (await connection.execute(select(person).where(person.c.name == name))).one_or_none()
    return None if row is None else _person(row)


async def alone(connection: AsyncConnection) -> None:
    """Nobody else adds or changes people until the transaction ends (on SQLite nobody does anyway)."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE person IN SHARE ROW EXCLUSIVE MODE"))


async def is_empty(connection: AsyncConnection) -> bool:
    """Is there nobody at all, not even disabled?"""
    return (await connection.execute(select(person.c.name).limit(1))).first() is None


async def add(
    connection: AsyncConnection,
    name: str,
    roles: Iterable[Role],
    townships: Iterable[str] | None,
    password: str,
    at_ms: int,
) -> None:
    """A new person; `password` is its hash."""
    values = {
        "name": name,
        "roles": _listed(roles),
        "townships": _listed(townships),
        "password": password,
        "password_ms": at_ms,
        "created_ms": at_ms,
    }
    await connection.execute(insert(person).values(values))


async def set_roles(
    connection: AsyncConnection, name: str, roles: Iterable[Role], townships: Iterable[str] | None
) -> None:
    """Other roles from now on."""
    values = {"roles": _listed(roles), "townships": _listed(townships)}
    await connection.execute(update(person).where(person.c.name == name).values(values))


async def set_password(connection: AsyncConnection, name: str, password: str, at_ms: int) -> None:
    """Another password (its hash)."""
    values = {"password": password, "password_ms": at_ms}
    await connection.execute(update(person).where(person.c.name == name).values(values))


async def set_disabled(connection: AsyncConnection, name: str, at_ms: int | None) -> None:
    """Disabled since `at_ms`; None: enabled again."""
    await connection.execute(update(person).where(person.c.name == name).values(disabled_ms=at_ms))


# --- sessions -----------------------------------------------------------------------------------------------------


async def open_session(connection: AsyncConnection, new: Session) -> None:
    """A new session; sessions that have ended by then go."""
    await connection.execute(delete(session).where(session.c.ends_ms <= new.created_ms))
    await connection.execute(insert(session).values(new._asdict()))


async def find_session(connection: AsyncConnection, token_hash: str) -> Session | None:
    """A session by its token's hash, whether it still holds or not."""
    row = (await connection.execute(select(session).where(session.c.hash == token_hash))).one_or_none()
    return None if row is None else Session(*row)


async def see_session(connection: AsyncConnection, token_hash: str, at_ms: int) -> None:
    """Used at `at_ms`."""
    await connection.execute(update(session).where(session.c.hash == token_hash).values(seen_ms=at_ms))


async def end_session(connection: AsyncConnection, token_hash: str) -> None:
    """That session is over."""
    await connection.execute(delete(session).where(session.c.hash == token_hash))


async def end_sessions(connection: AsyncConnection, name: str) -> None:
    """All sessions of somebody are over."""
    await connection.execute(delete(session).where(session.c.person == name))


# --- attempts -----------------------------------------------------------------------------------------------------

#: Names that are remembered at most: somebody may try any.
MOST_NAMES = 10_000


async def attempts(connection: AsyncConnection, name: str, at_ms: int) -> Attempt:
    """Failures under a name; its row is made if there is none, and locked until the transaction ends."""
    new = {"name": name, "failures": 0, "at_ms": at_ms, "locked_ms": 0}
    await connection.execute(insert_into(connection, attempt).values(new).on_conflict_do_nothing())
    wanted = select(attempt.c.failures, attempt.c.locked_ms).where(attempt.c.name == name).with_for_update()
    return Attempt(*(await connection.execute(wanted)).one())


async def count_attempt(connection: AsyncConnection, name: str, at_ms: int, now: Attempt) -> None:
    """So many failures now, of a name that `attempts` was asked for."""
    values = {"failures": now.failures, "at_ms": at_ms, "locked_ms": now.locked_ms}
    await connection.execute(update(attempt).where(attempt.c.name == name).values(values))
    many = (await connection.execute(select(func.count()).select_from(attempt))).scalar() or 0
    if many > MOST_NAMES:
        oldest = select(attempt.c.name).order_by(attempt.c.at_ms).limit(many - MOST_NAMES)
        await connection.execute(delete(attempt).where(attempt.c.name.in_(oldest)))


async def forget_attempts(connection: AsyncConnection, name: str) -> None:
    """Signed in, or let in again by an admin."""
    await connection.execute(delete(attempt).where(attempt.c.name == name))

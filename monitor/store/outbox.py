"""Rows of the outbox: what is to be told through which outlet, and what became of it (core/alerts.py)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.alerts import DROPPED, HELD, SENT, WAITING, Alert, Telling
from monitor.store.tables import outbox

_SOME = 500


async def newest(
    connection: AsyncConnection, observer: str, outlet: str, fingerprints: Iterable[str]
) -> dict[str, Telling]:
    """Of each alert that was ever told through the outlet (or is to be), the last telling, by fingerprint."""
    wanted = sorted(set(fingerprints))
    found: dict[str, Telling] = {}
    for i in range(0, len(wanted), _SOME):
        last = (
            select(func.max(outbox.c.n))
            .where(
                outbox.c.observer == observer,
                outbox.c.outlet == outlet,
                outbox.c.fingerprint.in_(wanted[i : i + _SOME]),
            )
            .group_by(outbox.c.fingerprint)
        )
        for row in await connection.execute(select(outbox).where(outbox.c.n.in_(last))):
            found[row.fingerprint] = _telling(row)
    return found


async def begun(connection: AsyncConnection, observer: str, outlet: str, fingerprint: str) -> Telling | None:
    """The last telling of the alert's beginning."""
    query = (
        select(outbox)
        .where(
            outbox.c.observer == observer,
            outbox.c.outlet == outlet,
            outbox.c.fingerprint == fingerprint,
            outbox.c.status == "firing",
        )
        .order_by(outbox.c.n.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).first()
    return None if row is None else _telling(row)


async def add(connection: AsyncConnection, observer: str, tellings: Sequence[Telling]) -> None:
    """Their numbers are given here."""
    if tellings:
        await connection.execute(insert(outbox), [_row(observer, t) for t in tellings])


async def goes_on(connection: AsyncConnection, held: int | None, begun: int | None, starts_ms: int) -> None:
    """The end `held` was none: what was told as begun is the alert that Prometheus says began at `starts_ms`."""
    if held is not None:
        await connection.execute(delete(outbox).where(outbox.c.n == held))
    if begun is not None:
        await connection.execute(update(outbox).where(outbox.c.n == begun).values(starts_ms=starts_ms))


async def without_end(connection: AsyncConnection, observer: str) -> list[Telling]:
    """What was sent as begun, and of which nothing was heard since."""
    last = select(func.max(outbox.c.n)).where(outbox.c.observer == observer)
    last = last.group_by(outbox.c.outlet, outbox.c.fingerprint)
    query = select(outbox).where(outbox.c.n.in_(last), outbox.c.status == "firing", outbox.c.state == SENT)
    return [_telling(row) for row in await connection.execute(query.order_by(outbox.c.n))]


async def open_ones(connection: AsyncConnection, observer: str) -> list[Telling]:
    """Those that wait or are held, oldest first."""
    query = select(outbox).where(outbox.c.observer == observer, outbox.c.state.in_((WAITING, HELD)))
    return [_telling(row) for row in await connection.execute(query.order_by(outbox.c.n))]


async def count_open(connection: AsyncConnection, observer: str) -> int:
    query = select(func.count()).where(outbox.c.observer == observer, outbox.c.state.in_((WAITING, HELD)))
    return int((await connection.execute(query)).scalar_one())


async def sent(connection: AsyncConnection, numbers: Sequence[int], at_ms: int) -> None:
    for some in _pieces(numbers):
        values = {"state": SENT, "sent_ms": at_ms, "error": "", "tries": outbox.c.tries + 1}
        await connection.execute(update(outbox).where(some).values(values))


async def failed(connection: AsyncConnection, numbers: Sequence[int], error: str) -> None:
    """They wait on."""
    for some in _pieces(numbers):
        await connection.execute(update(outbox).where(some).values(error=error, tries=outbox.c.tries + 1))


async def put(connection: AsyncConnection, numbers: Sequence[int], state: str) -> None:
    """In another state; nothing else of them changes."""
    for some in _pieces(numbers):
        await connection.execute(update(outbox).where(some).values(state=state))


async def retry(connection: AsyncConnection, at_ms: int, numbers: Sequence[int] | None) -> int:
    """What was given up waits again, as if heard of at `at_ms`; None: all of it. Returns how many."""
    values = {"state": WAITING, "made_ms": at_ms, "error": ""}
    which: Iterable[ColumnElement[bool]] = [true()] if numbers is None else _pieces(numbers)
    count = 0
    for some in which:
        count += (
            await connection.execute(update(outbox).where(outbox.c.state == DROPPED, some).values(values))
        ).rowcount
    return count


async def ended(connection: AsyncConnection, n: int, ends_ms: int) -> None:
    await connection.execute(update(outbox).where(outbox.c.n == n).values(ends_ms=ends_ms))


async def prune(connection: AsyncConnection, before_ms: int) -> None:
    """Forget what was heard before that instant."""
    await connection.execute(delete(outbox).where(outbox.c.made_ms < before_ms))


async def listed(connection: AsyncConnection, states: Sequence[str], limit: int) -> list[Telling]:
    """The newest `limit`, newest first."""
    query = select(outbox).where(outbox.c.state.in_(states)).order_by(outbox.c.n.desc()).limit(limit)
    return [_telling(row) for row in await connection.execute(query)]


def _pieces(numbers: Sequence[int]) -> Iterable[ColumnElement[bool]]:
    return [outbox.c.n.in_(numbers[i : i + _SOME]) for i in range(0, len(numbers), _SOME)]


def _row(observer: str, t: Telling) -> dict[str, Any]:
    alert = {"labels": dict(t.alert.labels), "annotations": dict(t.alert.annotations)}
    return {
        "observer": observer,
        "outlet": t.outlet,
        "fingerprint": t.alert.fingerprint,
        "status": t.alert.status,
        "starts_ms": t.alert.starts_ms,
        "ends_ms": t.alert.ends_ms,
        "since_ms": t.since_ms,
        "alert": json.dumps(alert, ensure_ascii=False),
        "reminder": t.reminder,
        "state": t.state,
        "tries": t.tries,
        "made_ms": t.made_ms,
        "sent_ms": t.sent_ms,
        "error": t.error,
    }


def _telling(row: Row[Any]) -> Telling:
    said = json.loads(row.alert)
    alert = Alert(row.fingerprint, row.status, row.starts_ms, row.ends_ms, said["labels"], said["annotations"])
    return Telling(
        row.n, row.outlet, alert, row.since_ms, row.state, row.made_ms, row.reminder, row.tries, row.sent_ms, row.error
    )

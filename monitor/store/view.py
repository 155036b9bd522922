"""Writing what follows from the log: everything of some cuts in one transaction, with the cut that it follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Table, bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.changes import Changes
from monitor.core.sites import Inventory
from monitor.core.timeline import BEGINNING, RANK
from monitor.store import tables
from monitor.store.edges import to_text


class Position(NamedTuple):
    """How far an observer's rows follow its log: bytes of the plain text of `file`, the instant of its last line."""

    file: str
    offset: int
    at: int


class View:
    """The database as the view of one observer's log."""

    def __init__(self, engine: AsyncEngine, observer: str) -> None:
        self.engine = engine
        self.observer = observer
        self._ids: dict[tuple[str, str, str], int] = {}

    async def number_checks(self, inventory: Inventory) -> None:
        """Give every check of the inventory its number, in the inventory's order."""
        async with self.engine.begin() as connection:
            rows: list[Any] = list(await connection.execute(select(tables.check)))
            self._ids = {(r.site, r.terminal, r.check): r.id for r in rows}
            new = [k for k in inventory.checks if k not in self._ids]
            top = max(self._ids.values(), default=0)
            self._ids.update({key: number for number, key in enumerate(new, top + 1)})
            if new:
                values = [{"id": self._ids[k], "site": k[0], "terminal": k[1], "check": k[2]} for k in new]
                await connection.execute(insert(tables.check), values)

    async def position(self) -> Position | None:
        """The last cut that the rows follow, None for an empty database."""
        async with self.engine.connect() as connection:
            row = (await connection.execute(select(tables.cut).where(tables.cut.c.observer == self.observer))).first()
        return Position(row.file, row.offset, row.at_ms) if row else None

    async def save(self, changes: Sequence[Changes], position: Position) -> None:
        """All or nothing. What stands later in `changes` wins."""
        async with self.engine.begin() as connection:
            for one in changes:
                await self._spans(connection, one)
                await self._rows(connection, one)
            cut = {"observer": self.observer, "file": position.file, "offset": position.offset, "at_ms": position.at}
            await _put(connection, tables.cut, ("observer",), [cut])

    async def _spans(self, connection: AsyncConnection, changes: Changes) -> None:
        if not changes.spans:
            return
        gone = [{"c": self._ids[key], "lo": lo} for key, lo, _ in changes.spans]
        condition = (tables.span.c.check_id == bindparam("c")) & (tables.span.c.start_ms >= bindparam("lo"))
        await connection.execute(delete(tables.span).where(condition), gone)
        rows = [
            {"check_id": self._ids[key], "start_ms": s.at, "value": RANK[s.value], "edge": to_text(s.edge)}
            for key, _, steps in changes.spans
            for s in steps
            if s.at > BEGINNING
        ]
        if rows:
            await connection.execute(insert(tables.span), rows)

    async def _rows(self, connection: AsyncConnection, changes: Changes) -> None:
        outages = [
            {
                "key": o.key,
                "site": o.site,
                "terminal": o.terminal,
                "start_ms": o.start,
                "end_ms": o.end,
                "over_ms": o.over,
                "state": o.state,
                "start_edge": to_text(o.start_edge),
                "end_edge": to_text(o.end_edge),
                "successor": o.successor,
            }
            for o in changes.outages
        ]
        await _put(connection, tables.outage, ("key",), outages)
        statuses = [
            {"site": site, "terminal": terminal, "value": s.value, "since_ms": s.since, "how": s.how}
            for (site, terminal), s in changes.statuses.items()
        ]
        await _put(connection, tables.status, ("site", "terminal"), statuses)
        digests = [
            {
                "check_id": self._ids[d.check],
                "day": int(d.day.replace("-", "")),
                "expected": d.expected,
                "received": d.received,
                "failed": d.failed,
                "late": d.late,
                "first_ms": d.first,
                "last_ms": d.last,
            }
            for d in changes.digests
        ]
        await _put(connection, tables.digest, ("check_id", "day"), digests)
        losses = [
            {
                "observer": self.observer,
                "channel": c,
                "n": n,
                "lost_ms": lost if lost > BEGINNING else None,
                "restored_ms": end,
            }
            for c, n, lost, end in changes.losses
        ]
        await _put(connection, tables.loss, ("observer", "channel", "n"), losses)
        windows = [
            {"scope": w.scope, "start_ms": w.start, "end_ms": w.end, "declared_ms": w.at, "reason": w.reason}
            for w in changes.windows
        ]
        await _put(connection, tables.window, ("scope", "start_ms", "end_ms", "declared_ms"), windows)


async def _put(connection: AsyncConnection, table: Table, key: Iterable[str], rows: list[dict[str, Any]]) -> None:
    """Insert rows, in place of those with the same key. Of rows with one key the last counts."""
    if not rows:
        return
    key = tuple(key)
    unique = {tuple(r[k] for k in key): r for r in rows}
    condition = [table.c[k] == bindparam(f"key_{k}") for k in key]
    await connection.execute(
        delete(table).where(*condition), [{f"key_{k}": r[k] for k in key} for r in unique.values()]
    )
    await connection.execute(insert(table), list(unique.values()))

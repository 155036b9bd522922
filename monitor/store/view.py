"""Writing what follows from the log: everything of some cuts in one transaction, with the cut that it follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Table, bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.changes import Changes
from monitor.core.digest import Digest
from monitor.core.sites import Inventory
from monitor.core.timeline import BEGINNING, RANK, Edge
from monitor.store import tables, versions, windows
from monitor.store.database import insert_into
from monitor.store.digests import Counts, pack, unpack
from monitor.store.edges import pack as pack_edge


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

    async def _number(self, connection: AsyncConnection, keys: Iterable[tuple[str, str, str]]) -> None:
        """Give checks that have none their numbers."""
        new = {key: key for key in keys if key not in self._ids}
        if not new:
            return
        # A name stands in memory once: the keys are the inventory's own, not copies from rows.
        new |= {key: key for key in self._ids}

        async def known() -> dict[tuple[str, str, str], int]:
            rows = await connection.execute(select(tables.check))
            return {new.get(key, key): r.id for r in rows for key in ((r.site, r.terminal, r.check),)}

        self._ids = await known()
        if unnumbered := [key for key in new if key not in self._ids]:
            values = [{"site": k[0], "terminal": k[1], "check": k[2], "observer": self.observer} for k in unnumbered]
            # Another observer that starts on the same database may have been quicker: the number is that one's.
            await connection.execute(insert_into(connection, tables.check).on_conflict_do_nothing(), values)
            self._ids = await known()

    async def number_checks(self, inventory: Inventory) -> None:
        """Give every check of the inventory its number, in the inventory's order."""
        async with self.engine.begin() as connection:
            await self._number(connection, inventory.checks)

    async def position(self) -> Position | None:
        """The last cut that the rows follow, None for an empty database."""
        async with self.engine.connect() as connection:
            row = (await connection.execute(select(tables.cut).where(tables.cut.c.observer == self.observer))).first()
        return Position(row.file, row.offset, row.at_ms) if row else None

    async def save(self, changes: Sequence[Changes], position: Position) -> None:
        """All or nothing. What stands later in `changes` wins."""
        known = self._ids
        try:
            await self._save(changes, position)
        except BaseException:
            self._ids = known  # numbers that were given in it are none
            raise

    async def _save(self, changes: Sequence[Changes], position: Position) -> None:
        async with self.engine.begin() as connection:
            await self.write(connection, changes)
            cut = {"observer": self.observer, "file": position.file, "offset": position.offset, "at_ms": position.at}
            await _put(connection, tables.cut, ("observer",), [cut])

    async def write(self, connection: AsyncConnection, changes: Sequence[Changes]) -> None:
        """The rows alone, in a transaction of the caller's."""
        await self._number(connection, (key for one in changes for key in one.checks))
        for one in changes:
            await self._spans(connection, one)
            await self._rows(connection, one)

    async def _spans(self, connection: AsyncConnection, changes: Changes) -> None:
        if not changes.spans:
            return
        gone = [{"c": self._ids[key], "lo": lo} for key, lo, _ in changes.spans]
        condition = (tables.span.c.check_id == bindparam("c")) & (tables.span.c.start_ms >= bindparam("lo"))
        await connection.execute(delete(tables.span).where(condition), gone)
        rows = [
            {"check_id": self._ids[key], "start_ms": s.at, "value": RANK[s.value], "edge": pack_edge(s.edge, s.at)}
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
                **_edge("start", o.start_edge),
                **_edge("end", o.end_edge),
                "successor": o.successor,
            }
            for o in changes.outages
        ]
        await _put(connection, tables.outage, ("key",), outages)
        for site, terminal in changes.gone:
            of = tables.status.c
            await connection.execute(delete(tables.status).where(of.site == site, of.terminal == terminal))
        await versions.held(connection, changes.versions)
        statuses = [
            {"site": site, "terminal": terminal, "value": s.value, "since_ms": s.since, "how": s.how}
            for (site, terminal), s in changes.statuses.items()
        ]
        await _put(connection, tables.status, ("site", "terminal"), statuses)
        await self._digests(connection, changes.digests)
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
        for window in changes.windows:
            await windows.follow(connection, window)

    async def _digests(self, connection: AsyncConnection, digests: Sequence[Digest]) -> None:
        """Beside what is known of the same days already: a day's checks need not all come at once."""
        days: dict[int, dict[int, Counts]] = {}
        for d in digests:
            counts = Counts(d.expected, d.received, d.failed, d.late, d.first, d.last, d.said)
            days.setdefault(int(d.day.replace("-", "")), {})[self._ids[d.check]] = counts
        for day, checks in days.items():
            key = (tables.digest.c.observer == self.observer) & (tables.digest.c.day == day)
            known = (await connection.execute(select(tables.digest.c.body).where(key))).scalar()
            whole = {**(unpack(known) if known else {}), **checks}
            row = {"observer": self.observer, "day": day, "body": pack(whole)}
            await _put(connection, tables.digest, ("observer", "day"), [row])


def _edge(name: str, edge: Edge | None) -> dict[str, Any]:
    """What an outage keeps of an edge: the evidence stands with the span."""
    return {
        f"{name}_earliest_ms": edge.earliest if edge else None,
        f"{name}_latest_ms": edge.latest if edge else None,
        f"{name}_how": edge.how if edge else None,
    }


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

"""Numbers without gaps for tables that only grow: the next one is known under a lock, until the transaction ends."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection


async def next_number(connection: AsyncConnection, table: Table) -> int:
    """The number after the last of `table` (column `n`, from 1). Nobody else writes there until the caller's
    transaction ends: on SQLite because it is the one writer, on PostgreSQL by a lock that lets others read."""
    if connection.dialect.name == "postgresql":
        await connection.exec_driver_sql(f'LOCK TABLE "{table.name}" IN SHARE ROW EXCLUSIVE MODE')
    last = (await connection.execute(select(func.max(table.c.n)))).scalar()
    return 1 + int(last or 0)


def as_list(texts: Sequence[str]) -> str:
    """A column that holds a list of texts."""
    return json.dumps(list(texts), ensure_ascii=False)


def of_list(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))

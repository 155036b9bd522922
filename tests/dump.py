"""All rows of a database, to compare two views of one log."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine

from monitor.store.tables import metadata

#: What follows from the log.
FOLLOWS = ("check", "span", "outage", "status", "loss", "digest", "window")
#: What is called differently in every database: surrogate keys, and the observer (a replay has a name of its own).
NAMES = (("window", "id"), ("loss", "observer"), ("digest", "observer"))


async def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every table of FOLLOWS, sorted, without NAMES."""
    engine = create_async_engine(url)
    result: dict[str, list[tuple[Any, ...]]] = {}
    try:
        async with engine.connect() as connection:
            for table in map(metadata.tables.__getitem__, FOLLOWS):
                columns = [c for c in table.c if (table.name, c.name) not in NAMES]
                found = await connection.execute(select(*columns))
                result[table.name] = sorted((tuple(r) for r in found), key=repr)
    finally:
        await engine.dispose()
    return result

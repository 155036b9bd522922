"""What held when, as the database has it: what every figure that covers a past is counted by."""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.eras import Era
from monitor.core.timeline import BEGINNING
from monitor.inventory.load import Loaded
from monitor.inventory.versions import Version, eras_of, unpack
from monitor.store import versions

#: The last answer: versions are many bytes and change a few times a year.
_last: list[tuple[object, list[Version], list[Era]]] = []


async def eras_in(connection: AsyncConnection, files: Loaded) -> list[Era]:
    """By the versions that the log took up; `files`, as if it had held for ever, where there are none (a trace)."""
    return (await held_in(connection, files))[1]


async def held_in(connection: AsyncConnection, files: Loaded) -> tuple[list[Version], list[Era]]:
    """As `eras_in`, and before them the versions that they follow from."""
    held = [v for v in await versions.rows(connection) if v.state == "held"]
    if not held:
        alone = [Version(0, BEGINNING, files)]
        return alone, eras_of(alone)
    asked = (files.settings, [(v.number, v.since, v.digest) for v in held])
    for known, found, eras in _last:
        if known == asked:
            return found, eras
    bodies = [(await versions.get(connection, v.number))[1] for v in held]

    def read() -> tuple[list[Version], list[Era]]:
        read = [unpack(body, files.settings) for body in bodies]
        found = [Version(v.number, v.since, loaded) for v, loaded in zip(held, read, strict=True)]
        return found, eras_of(found)

    # In a thread: a large inventory's takes seconds, and beats come in meanwhile.
    answer = await asyncio.to_thread(read)
    _last[:] = [(asked, *answer)]
    return answer

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
_last: list[tuple[object, list[Era]]] = []


async def eras_in(connection: AsyncConnection, files: Loaded) -> list[Era]:
    """By the versions that the log took up; `files`, as if it had held for ever, where there are none (a trace)."""
    held = [v for v in await versions.rows(connection) if v.state == "held"]
    if not held:
        return eras_of([Version(0, BEGINNING, files)])
    asked = (files.settings, [(v.number, v.since, v.digest) for v in held])
    for known, eras in _last:
        if known == asked:
            return eras
    bodies = [(await versions.get(connection, v.number))[1] for v in held]

    def read() -> list[Era]:
        found = [unpack(body, files.settings) for body in bodies]
        return eras_of([Version(v.number, v.since, loaded) for v, loaded in zip(held, found, strict=True)])

    # In a thread: a large inventory's takes seconds, and beats come in meanwhile.
    answer = await asyncio.to_thread(read)
    _last[:] = [(asked, answer)]
    return answer

"""What held when, as the database has it: what every figure that covers a past is counted by."""

from __future__ import annotations

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
    found = []
    for v in held:
        _, body = await versions.get(connection, v.number)
        found.append(Version(v.number, v.since, unpack(body, files.settings)))
    _last[:] = [(asked, eras_of(found))]
    return _last[0][1]

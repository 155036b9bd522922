"""The configuration's own files, looked at: do they say something that the log does not tell of yet?

The database holds the versions of the inventory; the files are imports. Whoever changes them and starts the service, or
tells it to reload, imports them: they hold from then on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from monitor.clock import to_iso
from monitor.core.timeline import BEGINNING
from monitor.errors import MonitorError
from monitor.inventory.differences import differences
from monitor.inventory.load import Loaded
from monitor.inventory.versions import pack, unpack
from monitor.store import versions
from monitor.store.database import looking, writing

if TYPE_CHECKING:
    from monitor.flows.observe import Observer

log = structlog.get_logger()

#: Who imports a file that was changed on the server: whoever may change it there.
BY_FILES = "files"


async def follow_files(observer: Observer, files: Loaded) -> bool:
    """A new version where the files changed since they were last looked at.

    It is written down before the log takes it up, so that nobody else is given its number; if we die between the two,
    the next start takes it up. Raises what the database raises, MonitorError for another time zone.
    """
    zones = observer.loaded.settings.zone, files.settings.zone
    if zones[0] != zones[1]:
        raise MonitorError(f"timezone: {zones[0]} cannot become {zones[1]}: days and months of the past would change")
    engine = observer.view.engine
    told = {line.number: (line.files, line.digest) for line in observer.judge.told}
    async with looking(engine) as connection:
        known = told | _counting(await versions.rows(connection))
    if not told:
        # The log is older than versions are, or new (perhaps somebody imported already): the files held until now.
        taken = observer.version(1, BEGINNING, files, files.digest, BY_FILES)
        if not known:
            return taken
    if files.digest in known[max(known)]:
        return False
    for what in differences(observer.judge.loaded, files):
        log.info("inventory.changed", what=what.what, key=what.key, kind=what.kind, column=what.column)
    body = await asyncio.to_thread(pack, files)
    now = observer.clock.now()
    async with writing(engine) as connection:
        number = await versions.propose(connection, now, files.digest, files.digest, body, BY_FILES, now)
        await versions.approve(connection, number, BY_FILES, now)
        later = [v for v in await versions.rows(connection) if v.state in _COUNT and v.since > now]
    for one in later:
        # It was made without what the files say now, and its own files or tables hold from that day on.
        log.warning("inventory.waiting_version", number=one.number, since=to_iso(one.since), undoes=number)
    return await _take_up(observer, number, now, body, files.digest, BY_FILES)


async def follow_database(observer: Observer, ahead_ms: int) -> None:
    """Versions that were approved and are due within `ahead_ms`. Raises what the database raises."""
    now = observer.clock.now()
    async with looking(observer.view.engine) as connection:
        due = await versions.due(connection, now + ahead_ms)
    told = {line.number for line in observer.judge.told}
    for stored, body in due:
        if stored.number not in told:
            await _take_up(observer, stored.number, stored.from_ms, body, stored.files, stored.approved_by)


async def _take_up(observer: Observer, number: int, since: int, body: bytes, files: str, by: str) -> bool:
    # In a thread: a large inventory's takes seconds.
    loaded = await asyncio.to_thread(unpack, body, observer.loaded.settings)
    return observer.version(number, since, loaded, files, by)


_COUNT = ("approved", "held")


def _counting(rows: list[versions.Stored]) -> dict[int, tuple[str, str]]:
    """Of each version that holds or will: the digest of the files when it was made, and its own."""
    return {v.number: (v.files, v.digest) for v in rows if v.state in _COUNT}

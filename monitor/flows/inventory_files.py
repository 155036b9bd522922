"""The configuration's own files, looked at: do they say something that the log does not tell of yet?

The database holds the versions of the inventory; the files are imports. Whoever changes them and starts the service, or
tells it to reload, imports them: they hold from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from monitor.core.timeline import BEGINNING
from monitor.inventory.differences import differences
from monitor.inventory.load import Loaded
from monitor.inventory.versions import unpack
from monitor.store import versions
from monitor.store.database import looking

if TYPE_CHECKING:
    from monitor.flows.observe import Observer

log = structlog.get_logger()

#: Who imports a file that was changed on the server: whoever may change it there.
BY_FILES = "files"


async def follow_files(observer: Observer, files: Loaded) -> bool:
    """A new version where the files changed since they were last looked at. Raises what the database raises."""
    told = observer.judge.told
    async with looking(observer.view.engine) as connection:
        stored = await versions.rows(connection)
    if not told and not stored:
        return observer.version(1, BEGINNING, files, files.digest, BY_FILES)
    if not told:
        # The log is older than versions are, or new while somebody imported already: the files held until now.
        observer.version(1, BEGINNING, files, files.digest, BY_FILES)
    known = {line.number: (line.files, line.digest) for line in told}
    known |= {v.number: (v.files, v.digest) for v in stored if v.state in ("approved", "held")}
    newest = known[max(known)]
    if files.digest in newest:
        return False
    before = observer.judge.loaded
    number = 1 + max([*known, *(v.number for v in stored)])
    for one in differences(before, files):
        log.info("inventory.changed", what=one.what, key=one.key, kind=one.kind, column=one.column)
    return observer.version(number, observer.clock.now(), files, files.digest, BY_FILES)


async def follow_database(observer: Observer, ahead_ms: int) -> None:
    """Versions that were approved and are due within `ahead_ms`. Raises what the database raises."""
    now = observer.clock.now()
    async with looking(observer.view.engine) as connection:
        due = await versions.due(connection, now + ahead_ms)
    told = {line.number for line in observer.judge.told}
    for stored, body in due:
        if stored.number not in told:
            loaded = unpack(body, observer.loaded.settings)
            observer.version(stored.number, max(now, stored.from_ms), loaded, stored.files, stored.approved_by)

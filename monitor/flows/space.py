"""How much room is left where our folders lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import URL, make_url

from monitor.publish.views import Space
from monitor.settings import Settings

#: Where Debian's PostgreSQL keeps its data, which may be a disk of its own.
POSTGRESQL = Path("/var/lib/postgresql")


def folders(settings: Settings) -> dict[str, Path]:
    """What is written on this machine, by what it holds; a database elsewhere has no folder here."""
    found = {"evidence": Path(settings.evidence.folder), "papers": Path(settings.papers.folder)}
    url = make_url(settings.database.url.get_secret_value())
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        found["database"] = Path(url.database).parent
    if url.get_backend_name() == "postgresql" and _is_here(url) and POSTGRESQL.exists():
        found["database"] = POSTGRESQL
    return found


def _is_here(url: URL) -> bool:
    """On this machine: over its loopback, or a socket's folder."""
    host = str(url.host or url.query.get("host", ""))
    return host in ("", "localhost", "127.0.0.1", "::1") or host.startswith("/")


def space(settings: Settings) -> Mapping[str, Space]:
    """Of each folder's file system, as an ordinary user may fill it. One that cannot be asked is left out."""
    result = {}
    for name, folder in folders(settings).items():
        try:
            found = os.statvfs(_existing(folder))
        except OSError:
            continue
        result[name] = Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
    return result


def _existing(folder: Path) -> Path:
    """The folder, or where it will be made."""
    folder = folder.absolute()
    return next((p for p in (folder, *folder.parents) if p.exists()), folder)

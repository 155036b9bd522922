"""The product itself as a subprocess: `python -m monitor serve --config DIR`, asked from outside only.

Everything that a test must know of how the service is started stands here:

    await register_tokens(database, tokens)   # before the start
    with start_service(folder, http_port) as service:
        ...
    outages = read_outages(database)
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from sqlalchemy import insert

from monitor.core.sites import UPLINK
from monitor.core.token import DEVICE, hash_token
from monitor.fleet.compare import Judged
from monitor.store import tables
from monitor.store.database import opened
from tests.services import HOST, Service

ROOT = Path(__file__).resolve().parents[1]
#: Rows of outages that still are what they say; the others were merged into one of these, or never were.
STANDING = ("open", "ended")


class Monitor(Service):
    """`serve` on the configuration in `config`, whose http.listen is 127.0.0.1 and this port."""

    name: ClassVar[str] = "monitor"

    def __init__(self, config: Path, http_port: int, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(config.parent, port=http_port)
        self.config = config
        self.environment = dict(environment or {})

    @property
    def base(self) -> str:
        return f"http://{HOST}:{self.port}"

    def command(self) -> Sequence[str]:
        # The checkout's own code, warnings as they would be for people, and nothing of the tests' settings.
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        variables = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **self.environment}
        return [
            "env",
            *(f"{name}={value}" for name, value in variables.items()),
            *(sys.executable, "-m", "monitor", "serve", "--config", str(self.config)),
        ]

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base}/readyz", timeout=2) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def start_service(config: Path, http_port: int, environment: Mapping[str, str] | None = None) -> Monitor:
    """A context manager: runs while the block does, ready from its beginning, ended in order after it."""
    return Monitor(config, http_port, environment)


async def register_tokens(database: Path, tokens: Mapping[str, str]) -> None:
    """Tokens by `site/terminal` for a service that has not started yet; its database is made if need be."""
    rows = [
        {
            "kind": DEVICE,
            "hash": hash_token(token),
            "label": name,
            "terminals": json.dumps([name]),
            "mosquitto": "",
            "created_ms": 0,
        }
        for name, token in tokens.items()
    ]
    async with opened(f"sqlite+aiosqlite:///{database}") as engine, engine.begin() as connection:
        await connection.execute(insert(tables.token), rows)


def read_outages(database: Path) -> list[Judged]:
    """What the service says of terminals, from its SQLite file; ended with their last down span."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        rows = connection.execute(
            "SELECT site, terminal, start_ms, end_ms FROM outage"
            " WHERE terminal NOT IN ('', ?) AND state IN (?, ?) ORDER BY start_ms",
            (UPLINK, *STANDING),
        ).fetchall()
    return [Judged(*row) for row in rows]

"""Which disks are watched: all that this machine's part of the service writes to."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from monitor.flows import space
from monitor.settings import Database, Settings


@pytest.mark.parametrize(
    ("url", "watched"),
    [
        ("sqlite+aiosqlite:////srv/zhdj/monitor.db", "/srv/zhdj"),
        ("sqlite+aiosqlite:///:memory:", None),
        ("postgresql+asyncpg://zhdj@/zhdj?host=/var/run/postgresql", "data"),
        ("postgresql+asyncpg://zhdj@localhost/zhdj", "data"),
        ("postgresql+asyncpg://zhdj@db.example/zhdj", None),
    ],
)
def test_the_databases_disk_is_watched_where_it_is_ours(
    url: str, watched: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "POSTGRESQL", tmp_path)
    settings = Settings(database=Database(url=SecretStr(url)))
    expected = {"data": tmp_path, None: None}.get(watched, Path(watched or ""))
    assert space.folders(settings).get("database") == expected
    assert space.space(settings)["evidence"].size > 0

"""A month to seal: three sites heard once an hour by the real observer on a driven clock, from 30 September to 5
November 2026, played once and copied for every test, on SQLite and PostgreSQL.

V1/tv is silent from 30 October 00:00 to 31 October 12:00 (local): 36 hours, 未维护到位. On the 15th the broker is lost
for four hours.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import from_datetime
from monitor.core.access import Actor, Role
from monitor.flows.days import chain_closed_days
from monitor.flows.observe import Observer
from monitor.inventory.load import Loaded, load
from monitor.settings import Settings
from monitor.store.database import opened
from monitor.store.tables import metadata
from monitor.store.view import View
from tests.small_county import DrivenClock

ZONE = Settings().zone
HOUR = 3_600_000
APPROVER = Actor("王审批", frozenset({Role.APPROVER}))
SECOND = Actor("郑审批", frozenset({Role.APPROVER}))
OPERATOR = Actor("李运维", frozenset({Role.OPERATOR}))
SITES = ("C1", "T1", "V1")


def at(month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    """Local, of 2026."""
    return from_datetime(datetime(2026, month, day, hour, minute, tzinfo=ZONE))


#: The last evidence; the 5th of November, ten o'clock.
NOW = at(11, 5, 10)
SILENT = at(10, 30), at(10, 31, 12)
LOST = at(10, 15, 10), at(10, 15, 14)


def write_config(folder: Path, url: str, *, top: str = "") -> Path:
    """The configuration's folder below `folder`; everything is kept there."""
    config = folder / "config"
    config.mkdir(parents=True, exist_ok=True)
    sites = "C1,县级站点,county,T0,开江县,\nT1,镇一站点,township,T1,镇一,C1\nV1,镇一一村,village,T1,镇一,T1\n"
    checks = "".join(f"{site},tv,heartbeat-mqtt,,3600,1800,\n" for site in SITES)
    head = "site_id,name,level,township_code,township_name,uplink\n"
    (config / "sites.csv").write_text(head + sites, encoding="utf-8")
    (config / "checks.csv").write_text(f"site_id,terminal,check,target,interval_s,grace_s,failures\n{checks}")
    (config / "monitor.toml").write_text(
        f'observer = "test"\n{top}\n[database]\nurl = "{url}"\n[evidence]\nfolder = "{folder}/evidence"\n'
        f'[papers]\nfolder = "{folder}/papers"\n[anchors]\nfile = "{folder}/anchors.jsonl"\n'
        "[maintenance]\nplanned_sites = { county = 1, township = 1, village = 1 }\n",
        encoding="utf-8",
    )
    return config


async def play(folder: Path) -> Path:
    """Into a database on SQLite, from the beginning; once for all tests of a process."""
    if (folder / "config").exists():
        return folder
    folder.mkdir()
    url = f"sqlite+aiosqlite:///{folder / 'monitor.db'}"
    loaded = load(write_config(folder, url), serving=False)
    clock = DrivenClock(at(9, 30, 20))
    async with opened(url) as engine:
        observer = Observer(loaded, clock, View(engine, "test"), folder / "evidence")
        await observer.start()
        seq = 0
        try:
            while clock.at < NOW:
                clock.at += HOUR
                seq += 1
                if LOST[0] <= clock.at < LOST[1]:
                    observer.lost("mqtt")
                    continue
                for site in SITES:
                    if site == "V1" and SILENT[0] <= clock.at < SILENT[1]:
                        continue
                    refused = observer.heartbeat(site, "tv", "mqtt", sent_at=clock.at, boot="b", seq=seq)
                    assert refused is None
                observer.alive("mqtt")
                if seq % 12 == 0 or clock.at >= NOW:
                    await observer.cut()
                    await observer.save()
        finally:
            observer.log.close()
        await chain_closed_days(engine, loaded.settings, NOW)
    return folder


@dataclass
class Sealing:
    """A copy of what was played."""

    folder: Path
    config: Path
    loaded: Loaded
    engine: AsyncEngine


@asynccontextmanager
async def sealing(played: Path, folder: Path, url: str, *, top: str = "") -> AsyncIterator[Sealing]:
    """The copy, in the database of `url`."""
    shutil.copytree(played / "evidence", folder / "evidence")
    config = write_config(folder, url, top=top)
    if url.startswith("sqlite"):
        shutil.copyfile(played / "monitor.db", url.partition(":///")[2])
    async with opened(url) as engine:
        if not url.startswith("sqlite"):
            await _copy(f"sqlite+aiosqlite:///{played / 'monitor.db'}", engine)
        yield Sealing(folder, config, load(config, serving=False), engine)


async def _copy(source: str, to: AsyncEngine) -> None:
    async with opened(source) as engine, engine.connect() as old, to.begin() as new:
        for table in metadata.sorted_tables:
            rows = [dict(row._mapping) for row in await old.execute(select(table))]
            if rows:
                await new.execute(insert(table), rows)


def quiet() -> Callable[[str, int], None]:
    """Progress that nobody looks at."""
    return lambda what, count: None

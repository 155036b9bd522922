"""What somebody can do who holds the database: statements of their own, and hashes worked out anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import delete, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.access import Action, Actor, Role
from monitor.core.chain import BEGINNING, canonical, link
from monitor.core.walk import Anchor
from monitor.evidence import anchors
from monitor.flows.acting import acting
from monitor.flows.chains import records
from monitor.flows.verify import Found, verify
from monitor.settings import Anchors, Database, Evidence, Papers, Settings
from monitor.store import evidence_days, tables
from monitor.store.chains import heads
from monitor.store.database import opened, writing
from monitor.store.evidence_days import Day

NOW = 1_790_812_800_000
ANCHORED = "2026-10-01T00:00:00Z"
WHO = Actor("wang", frozenset({Role.OPERATOR}))


def settings_of(folder: Path, url: str = "") -> Settings:
    """Everything below `folder`."""
    return Settings(
        database=Database(url=SecretStr(url or f"sqlite+aiosqlite:///{folder / 'monitor.db'}")),
        evidence=Evidence(folder=str(folder / "evidence")),
        anchors=Anchors(file=str(folder / "anchors.jsonl")),
        papers=Papers(folder=str(folder / "papers")),
    )


async def act(engine: AsyncEngine, count: int, start: int = 0) -> None:
    """So many audited acts."""
    for i in range(start, start + count):
        async with acting(engine, WHO, Action.WORKORDER_WRITE, f"工单 {i}", NOW + i):
            pass


async def close_days(engine: AsyncEngine, count: int, start: int = 1) -> None:
    """So many days of October 2026 whose logs are gone (of 2020: none needs to be there)."""
    for i in range(start, start + count):
        async with writing(engine) as connection:
            day = Day("kaijiang", 20200900 + i, i, f"{i:064x}", "")
            await evidence_days.append(connection, day, NOW + i)


async def anchor(engine: AsyncEngine, settings: Settings) -> None:
    """Write the present heads down outside the database, as the service does."""
    async with engine.connect() as connection:
        now = await heads(connection)
    anchors.add(Path(settings.anchors.file), [Anchor(ANCHORED, tag, h.n, h.hash) for tag, h in now.items()])


async def checked(engine: AsyncEngine, settings: Settings) -> Found:
    """What verify says."""
    return await verify(engine, settings, NOW, progress=lambda what, count: None)


async def run(engine: AsyncEngine, *statements: str) -> None:
    """As the database's owner."""
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def forge(engine: AsyncEngine, tag: str) -> None:
    """Make a chain hold again in itself after its rows were changed: every hash, and the head, worked out anew."""
    table = tables.audit if tag == "audit" else tables.evidence_day
    async with engine.begin() as connection:
        n, previous = 0, BEGINNING
        async for some in records(connection, tag):
            for record in some:
                n += 1
                previous = link(tag, n, previous, canonical(record.body))
                moved = update(table).where(table.c.n == record.n).values(n=n, hash=previous)
                await connection.execute(moved)
        await connection.execute(delete(tables.chain_head).where(tables.chain_head.c.tag == tag))
        await connection.execute(tables.chain_head.insert().values(tag=tag, n=n, hash=previous))


@asynccontextmanager
async def kept(url: str, folder: Path, *, records: int = 20) -> AsyncIterator[tuple[AsyncEngine, Settings]]:
    """A database with so many audit records and closed days, anchored at the end."""
    settings = settings_of(folder, url)
    async with opened(url) as engine:
        await act(engine, records)
        await close_days(engine, records)
        await anchor(engine, settings)
        yield engine, settings

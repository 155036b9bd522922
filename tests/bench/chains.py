"""Hash chains: how fast `verify` walks one, and how many acts a second are durable with their audit record."""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import Any

from sqlalchemy import insert

from monitor.core.access import Action
from monitor.core.chain import BEGINNING, canonical, link
from monitor.evidence.anchors import Anchors
from monitor.flows.acting import acting
from monitor.flows.verify import walked as walked_chain
from monitor.store import tables
from monitor.store.chains import heads
from monitor.store.database import opened, snapshot
from tests.bench.results import How, Result, cpu_s, least
from tests.tampering import NOW, WHO

RECORDS = 100_000
WRITERS = 50


def row(n: int) -> dict[str, Any]:
    """What an act of a person leaves behind, about."""
    return {
        "at_ms": NOW + n * 1_000,
        "who": "李明",
        "action": "workorder.write",
        "what": f"工单 2026-{n:06d}：终端设备，更换电源适配器",
        "outcome": "done",
        "reason": "",
    }


async def fill(url: str, count: int) -> None:
    """A chain of so many records, as they would stand there."""
    previous = BEGINNING
    async with opened(url) as engine, engine.begin() as connection:
        for start in range(1, count + 1, 5_000):
            some = []
            for n in range(start, min(start + 5_000, count + 1)):
                values = row(n)
                previous = link("audit", n, previous, canonical({"v": 1, "tag": "audit", **values}))
                some.append({**values, "n": n, "hash": previous})
            await connection.execute(insert(tables.audit), some)
        await connection.execute(insert(tables.chain_head).values(tag="audit", n=count, hash=previous))


async def walked(url: str, count: int) -> float:
    """CPU seconds of a walk from the rows, as `verify` does it, SQLite's thread included."""
    async with opened(url) as engine, snapshot(engine) as connection:
        start = time.process_time()
        walk = await walked_chain(connection, "audit", Anchors(), lambda name, count: None)
        walk.end((await heads(connection))["audit"])
        taken = time.process_time() - start
    assert (walk.n, walk.fault) == (count, None)
    return taken


async def acted(url: str, each: int) -> float:
    """Acts a second of so many writers at once, each durable and audited."""

    async def write(name: int) -> None:
        for i in range(each):
            async with acting(engine, WHO, Action.WORKORDER_WRITE, f"{name}/{i}", NOW):
                pass

    async with opened(url) as engine:
        start = time.perf_counter()
        await asyncio.gather(*map(write, range(WRITERS)))
        return WRITERS * each / (time.perf_counter() - start)


def chains(how: How) -> list[Result]:
    """The yardstick of the walk: hashing as many bytes, and nothing else."""
    count = RECORDS // 10 if how.quick else RECORDS
    url = f"sqlite+aiosqlite:///{how.folder / 'chain.db'}"
    asyncio.run(fill(url, count))
    best = min(asyncio.run(walked(url, count)) for _ in range(how.rounds(3)))
    body = canonical({"v": 1, "tag": "audit", **row(1)}) + bytes(80)

    def hashing() -> None:
        for _ in range(count):
            hashlib.sha256(body).hexdigest()

    alone = count / cpu_s(hashing, 3)
    acts = asyncio.run(acted(f"sqlite+aiosqlite:///{how.folder / 'acts.db'}", 4 if how.quick else 20))
    walk = "verify a chain from its rows, SQLite (yardstick: SHA-256 alone)"
    return [
        Result(walk, count / best, "links a CPU s", alone, least(50_000)),
        Result(f"acts of {WRITERS} people at once, audited and synced, SQLite", acts, "acts/s", None, least(100)),
    ]

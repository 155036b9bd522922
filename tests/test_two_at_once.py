"""Services that start at once on the same empty database."""

from __future__ import annotations

import asyncio
import json
import sys

from sqlalchemy import select

from monitor.core.sites import Check, Inventory, Level, Site, Terminal
from monitor.store import tables
from monitor.store.database import opened
from monitor.store.view import View
from tests.serving import environment


def county(villages: int) -> Inventory:
    sites = [Site(f"V{n}", f"V{n}", Level.VILLAGE, "T", "T") for n in range(villages)]
    checks = [Check(site.site_id, "pc", "icmp", "192.0.2.1") for site in sites]
    return Inventory.of(sites, [Terminal(site.site_id, "pc") for site in sites], checks)


async def start(url: str, name: str) -> None:
    """What each process does, as a service does it; prints the numbers that it goes by."""
    async with opened(url) as engine:
        view = View(engine, name)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await view.number_checks(county(300))
        print(json.dumps([view._ids[key] for key in county(300).checks]))


async def test_observers_start_at_once(database_url: str) -> None:
    """All make the tables if there are none; each check has one number, which all go by."""
    code = "import asyncio, sys; from tests.test_two_at_once import start; asyncio.run(start(*sys.argv[1:]))"
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, database_url, f"observer-{n}"),
            stdin=pipe, stdout=pipe, stderr=pipe, env=environment(),
        )
        for n in range(4)
    ]  # fmt: skip
    try:
        async with asyncio.timeout(90):
            for process in processes:
                assert process.stdout is not None
                assert await process.stdout.readline() == b"ready\n", (await process.communicate())[1].decode()
            ended = await asyncio.gather(*(process.communicate(b"\n") for process in processes))
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
    assert [process.returncode for process in processes] == [0] * 4, [said.decode() for _, said in ended]
    first, *others = [json.loads(out) for out, _ in ended]
    assert others == [first] * 3
    async with opened(database_url) as engine, engine.connect() as connection:
        rows = list(await connection.execute(select(tables.check.c.id).order_by(tables.check.c.id)))
    assert sorted(first) == [row.id for row in rows]

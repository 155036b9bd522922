"""Clerks who register, each with a connection of their own, as a process that can be killed.

    python -m tests.ledger_clerk URL '[[1, 2], [3]]'

One clerk for each inner list, all at once; each registers its entries in order, the same request key for the same
entry. A line of JSON follows every answer, after the database has acknowledged it: what was told may be relied on.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import date

import structlog

from monitor.errors import MonitorError
from monitor.flows.ledger.stepping import register
from monitor.store.database import create
from tests.ledgers import ask


async def clerk(url: str, name: int, entry_ids: list[int], begin: asyncio.Event) -> None:
    engine = create(url)
    try:
        await begin.wait()
        for entry_id in entry_ids:
            said: dict[str, object] = {"clerk": name, "id": entry_id}
            try:
                answer = await register(ask(engine, key=f"entry-{entry_id}"), [entry_id], date(2020, 3, 5), "记-1")
                said |= answer["registered"][0]
            except MonitorError as error:
                said["refused"] = str(error)
            sys.stdout.write(json.dumps(said, ensure_ascii=False) + "\n")
            sys.stdout.flush()
    finally:
        await engine.dispose()


async def main(url: str, work: list[list[int]]) -> None:
    begin = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for name, entry_ids in enumerate(work):
            group.create_task(clerk(url, name, entry_ids, begin))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)  # the parent says go
        begin.set()


if __name__ == "__main__":
    # What is logged is not for the parent.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))

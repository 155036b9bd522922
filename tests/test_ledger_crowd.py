"""Fifty people register at once, and the power goes: the budget holds, numbers have no gap and no double, and what was
acknowledged is there."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.chain import BEGINNING, canonical, link
from monitor.core.ledger import Source
from monitor.flows.ledger.checking import contradictions
from monitor.flows.ledger.money_in import adjust_fund
from monitor.flows.ledger.stepping import approve
from monitor.store.database import opened
from monitor.store.ledger import chain, entries, funds
from tests.faults import counted
from tests.ledgers import APPROVER, ROOT, ask, drafted, opened_fund
from tests.services import Postgres

EACH = 1_000
SENTENCE = "专项资金余额不足：可用 9.99 元，本笔 10.00 元"
Said = dict[str, Any]


class Clerks:
    """A process of clerks; what it has told so far is in `said`, also after it was killed."""

    def __init__(self, url: str, work: Sequence[Sequence[int]]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.ledger_clerk", url, json.dumps(work)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def told(self) -> list[Said]:
        """Everything that it says until it ends, or is killed. A line that the end tore says nothing."""
        out, _ = self.process.communicate(timeout=120)
        return [json.loads(line) for line in out.split("\n")[:-1]]


@contextmanager
def clerks(url: str, processes: Sequence[Sequence[Sequence[int]]]) -> Iterator[list[Clerks]]:
    """All of them, ready to begin."""
    running = [Clerks(url, work) for work in processes]
    try:
        for one in running:
            one.wait_until_ready()
        yield running
    finally:
        for one in running:
            one.process.kill()
            one.process.wait()


async def prepared(engine: AsyncEngine, count: int, budget_fen: int) -> list[int]:
    """A fund and so many approved entries."""
    await opened_fund(engine, 2 * 10**9)
    ids = [await drafted(engine, EACH) for _ in range(count)]
    await approve(ask(engine, APPROVER), ids)
    less = budget_fen - 2 * 10**9
    await adjust_fund(ask(engine), 2020, "", less, "江财预〔2020〕9号", date(2020, 6, 1), Source.APPROPRIATION)
    return ids


async def sound(engine: AsyncEngine, said: Sequence[Said]) -> int:
    """The ledger agrees with itself and with everything that was acknowledged; answers how many are registered."""
    async with engine.connect() as connection:
        assert await contradictions(connection) == []
        fund = await funds.load(connection, 1)
        rows = await entries.registered(connection, 1)
        records = await chain.records(connection, chain.TAG, 0, 1_000_000)
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert fund.spent_fen == EACH * len(rows) <= fund.budget_fen
    before = BEGINNING
    for n, record in enumerate(records, 1):
        assert record.n == n
        assert record.hash == link(chain.TAG, n, before, canonical(record.body))
        before = record.hash
    by_id = {row["id"]: row for row in rows}
    for one in said:
        if "number" in one:
            assert (by_id[one["id"]]["number"], by_id[one["id"]]["chain_hash"]) == (one["number"], one["hash"]), one
    return len(rows)


async def fifty_at_once(url: str, processes: int) -> None:
    """Twenty-five entries, each registered by two people at once; the money is enough for fifteen."""
    async with opened(url) as engine:
        ids = await prepared(engine, 25, 15 * EACH + 999)
        twice = [*ids, *ids]  # fifty clerks, two for each entry
        work = [[[entry_id] for entry_id in twice[n::processes]] for n in range(processes)]
        with clerks(url, work) as running:
            for one in running:
                one.go()
            said = [line for one in running for line in await asyncio.to_thread(one.told)]
        assert len(said) == 50
        done = {line["id"] for line in said if "number" in line}
        assert len(done) == 15
        # Whoever came second to the same entry got the first answer, and whoever came too late the sentence.
        answers = {json.dumps({k: v for k, v in line.items() if k != "clerk"}) for line in said if "number" in line}
        assert len(answers) == 15
        counted(f"{processes} processes, 50 clerks for 25 entries: 15 registered, what is over the budget refused")
        assert {line["refused"] for line in said if "refused" in line} == {SENTENCE}
        assert await sound(engine, said) == 15


async def killed_in_between(url: str, kills: int, seed: int) -> None:
    """A process of clerks is killed again and again; others go on with the same keys until all is registered."""
    rng = Random(seed)
    said: list[Said] = []
    async with opened(url) as engine:
        ids = await prepared(engine, 40 * (kills + 1), 10**9)
        for _ in range(kills):
            with clerks(url, [[ids[n::4] for n in range(4)]]) as (one,):
                one.go()
                # The moment is the test's subject: nothing is waited for.
                await asyncio.sleep(rng.uniform(0.05, 0.5))
                one.process.kill()
                said += await asyncio.to_thread(one.told)
            await sound(engine, said)
        told = len(said)
        with clerks(url, [[ids[n::4] for n in range(4)]]) as (one,):
            one.go()
            said += await asyncio.to_thread(one.told)
        assert not [line for line in said if "refused" in line]
        assert await sound(engine, said) == len(ids)
        assert {line["id"] for line in said} == set(ids)
        counted(f"{kills} kills of clerks, {told} entries acknowledged before one, {len(ids)} registered, none lost")


@pytest.mark.timeout(300)
async def test_fifty_people_register_the_last_yuan_at_once(database_url: str) -> None:
    await fifty_at_once(database_url, processes=3)


@pytest.mark.timeout(300)
async def test_nothing_that_was_acknowledged_is_lost_when_clerks_are_killed(database_url: str) -> None:
    await killed_in_between(database_url, kills=2, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_fifty_processes_register_the_last_yuan_at_once(database_url: str) -> None:
    await fifty_at_once(database_url, processes=50)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_clerks_are_killed_again_and_again(database_url: str) -> None:
    await killed_in_between(database_url, kills=25, seed=2)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_postgresql_itself_is_killed_again_and_again(tmp_path: Path) -> None:
    with Postgres(durable=True) as cluster:
        url = cluster.create_database()
        rng = Random(3)
        said: list[Said] = []
        async with opened(url) as engine:
            ids = await prepared(engine, 400, 10**9)
        for _ in range(10):
            with clerks(url, [[ids[n::4] for n in range(4)]]) as (one,):
                one.go()
                await asyncio.sleep(rng.uniform(0.2, 0.8))
                await asyncio.to_thread(cluster.kill)
                one.process.kill()
                said += await asyncio.to_thread(one.told)
            await asyncio.to_thread(cluster.start)
            async with opened(url) as engine:
                await sound(engine, said)
        told = len(said)
        with clerks(url, [[ids]]) as (one,):
            one.go()
            said += await asyncio.to_thread(one.told)
        async with opened(url) as engine:
            assert await sound(engine, said) == len(ids)
        counted(f"10 kills of PostgreSQL, {told} entries acknowledged before one, {len(ids)} registered, none lost")

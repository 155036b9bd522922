"""The cost ledger with 100,000 entries: registering one by one, each durable; a list, the totals, its chain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Actor, Role
from monitor.core.chain import BEGINNING, canonical, link
from monitor.core.ledger import State
from monitor.core.workorder import CAUSES
from monitor.evidence.anchors import Anchors
from monitor.flows.ledger import looking
from monitor.flows.ledger.stepping import approve, register
from monitor.flows.verify import walked
from monitor.store import tables
from monitor.store.database import opened
from monitor.store.ledger import chain
from monitor.store.ledger.entries import Wanted
from tests.bench.child import tell
from tests.bench.results import How, Result, in_child, least, most
from tests.ledgers import APPROVER, TODAY, WHERE, ask, county, drafted, opened_fund, sites
from tests.services import Postgres

AUDITOR = Actor("sun", frozenset({Role.AUDITOR}))
#: Sites that an entry is for, on average.
SITES = 3
COUNT = 100_000
MINE = 300


async def filled(engine: AsyncEngine, count: int) -> None:
    """So many registered entries over a year, as registering would have left them."""
    fund_id = await opened_fund(engine, 10**12)
    places = [(site.site_id, site.township_code) for site in county().sites.values()]
    entries = [
        {
            "id": n, "fund_id": fund_id, "state": "draft", "dated": _day(n), "memo": f"更换机顶盒 {n}",
            "amount_fen": 1_000 + n % 997, "econ_class": ("30213", "30227")[n % 2], "cost_class": "",
            "purpose": "平台维护", "payee": "开江广电", "work_order": str(1 + n // 3), "acceptance": "",
            "split": "equal", "batch": "", "drafted_by": "li", "drafted_ms": n,
        }
        for n in range(1, count + 1)
    ]  # fmt: skip
    shares = [
        {"entry_id": n, "site": site, "township": township, "share_fen": fen}
        for n in range(1, count + 1)
        for (site, township), fen in zip(_some(places, n), _split(1_000 + n % 997), strict=True)
    ]
    orders = [
        {
            "id": n, "kind": "site", "site": places[n % len(places)][0], "township": places[n % len(places)][1],
            "level": "village", "state": "closed", "opened_ms": n, "opened_by": "system", "closed_ms": n + 1,
            "cause": tuple(CAUSES.values())[n % len(CAUSES)],
        }
        for n in range(1, 2 + count // 3)
    ]  # fmt: skip
    async with engine.begin() as connection:
        for rows, into in ((orders, tables.work_order), (entries, tables.entry), (shares, tables.entry_site)):
            for start in range(0, len(rows), 5_000):
                await connection.execute(insert(into), rows[start : start + 5_000])
        values: dict[Any, Any] = {"state": "approved", "approved_by": "wang", "approved_ms": 1}
        await connection.execute(update(tables.entry).values(values))
        # Links need the rows as registered, and a registered row cannot be changed: so they are worked out before.
        await _linked(connection)
        await connection.execute(
            text(
                "INSERT INTO fund_sum (fund_id, month, econ_class, site, township, spent_fen) "
                "SELECT e.fund_id, substr(e.paid_on, 1, 7), e.econ_class, s.site, s.township, sum(s.share_fen) "
                "FROM entry e JOIN entry_site s ON s.entry_id = e.id GROUP BY 1, 2, 3, 4, 5"
            )
        )
        await connection.execute(
            update(tables.fund).values(spent_fen=sum(row["amount_fen"] for row in entries), last_number=count)
        )
    postgresql = engine.dialect.name == "postgresql"
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        # What autovacuum does within minutes.
        await connection.execute(text("VACUUM ANALYZE" if postgresql else "ANALYZE"))
        if postgresql:
            await connection.execute(text("SELECT setval(pg_get_serial_sequence('entry', 'id'), max(id)) FROM entry"))


async def _linked(connection: AsyncConnection) -> None:
    before = BEGINNING
    after, hashes = 0, []
    while True:
        ids = range(after + 1, after + 5_001)
        found = (
            await connection.execute(chain.ROWS.where(tables.entry.c.id.in_(ids)).order_by(tables.entry.c.id))
        ).all()
        if not found:
            break
        shares, _ = await chain.parts(connection, ids)
        for row in found:
            values = {
                "number": row.id,
                "registered_by": "li",
                "registered_ms": 2,
                "paid_on": row.dated,
                "voucher": "记-1",
            }
            body = chain.body_to_be(chain.Written(row, shares[row.id], []), values)
            before = link(chain.TAG, row.id, before, canonical(body))
            hashes.append({"i": row.id, "h": before})
        after += 5_000
    statement = text(
        "UPDATE entry SET state = 'registered', number = id, chain_n = id, registered_by = 'li', registered_ms = 2, "
        "paid_on = dated, voucher = '记-1', chain_hash = :h WHERE id = :i"
    )
    for start in range(0, len(hashes), 5_000):
        await connection.execute(statement, hashes[start : start + 5_000])
    await connection.execute(insert(tables.chain_head).values(tag=chain.TAG, n=len(hashes), hash=before))


def _day(n: int) -> str:
    return f"2020-{1 + n % 12:02d}-{1 + n % 28:02d}"


def _some(places: list[tuple[str, str]], n: int) -> list[tuple[str, str]]:
    return [places[(n * 7 + k * 31) % len(places)] for k in range(SITES)]


def _split(amount: int) -> list[int]:
    each, left = divmod(amount, SITES)
    return [each + (k < left) for k in range(SITES)]


async def ledger(url: str, count: int, rounds: int) -> None:
    """One clerk registers; then what people look at, and the chain."""
    async with opened(url) as engine:
        await filled(engine, count)
        ids = [await drafted(engine, 1_000 + n, sites(SITES)) for n in range(MINE)]
        await approve(ask(engine, APPROVER), ids)
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE bare (n INTEGER)"))
        if engine.dialect.name == "sqlite":
            async with engine.connect() as connection:  # what filling left to do is none of registering's work
                await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        start = time.perf_counter()
        for n in range(MINE):
            async with engine.begin() as connection:
                await connection.execute(text("INSERT INTO bare VALUES (:n)"), {"n": n})
        bare = MINE / (time.perf_counter() - start)
        start, cpu = time.perf_counter(), time.process_time()
        for entry_id in ids:
            await register(ask(engine, key=f"r{entry_id}"), [entry_id], date(2020, 12, 30), "记-1")
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu

        async def listed() -> None:
            found = await looking.list_entries(engine, AUDITOR, WHERE, Wanted(state=State.REGISTERED, month="2020-06"))
            assert len(found) == 100

        async def of_site() -> None:
            assert len(await looking.list_entries(engine, AUDITOR, WHERE, Wanted(site=sites(1)[0]))) == 100

        async def totals() -> None:
            found = await looking.totals(engine, AUDITOR, county(), WHERE, TODAY)
            assert found.fund.last_number == count + MINE
            assert found.by["cause"].keys() >= set(CAUSES.values())

        taken = {}
        for work in (listed, of_site, totals):
            times = []
            for _ in range(rounds):
                start = time.perf_counter()
                await work()
                times.append(time.perf_counter() - start)
            taken[work.__name__] = sorted(times)[len(times) // 2] * 1000
        async with engine.connect() as connection:
            wall_start, start = time.perf_counter(), time.process_time()
            walk = await walked(connection, chain.TAG, Anchors(), lambda name, count: None)
            links, links_wall = (walk.n / (time.process_time() - start), walk.n / (time.perf_counter() - wall_start))
        assert (walk.n, walk.fault) == (count + MINE, None)
    tell(per_s=MINE / wall, cpu_ms=cpu / MINE * 1000, bare=bare, links=links, links_wall=links_wall, **taken)


def cost_ledger(how: How) -> Iterator[Result]:
    count = COUNT // 10 if how.quick else COUNT
    Path(how.folder / "ledger").mkdir(parents=True, exist_ok=True)
    yield from _results("SQLite", f"sqlite+aiosqlite:///{how.folder}/ledger/bench.db", count, how)
    with Postgres(durable=True) as cluster:
        yield from _results("PostgreSQL", cluster.create_database(), count, how)


def _results(where: str, url: str, count: int, how: How) -> Iterator[Result]:
    said = in_child("ledger:ledger", url=url, count=count, rounds=how.rounds(9))
    of = f"of {count:,} entries, {where}"
    name = f"ledger {of}: register, durable (yardstick: bare commits)"
    # The ratio says what rights, rules, chain and audit cost; the promise is entries a second.
    yield Result(name, said["per_s"], "entries/s", said["bare"], least(100, "value"))
    yield Result(f"ledger {of}: CPU of registering one", said["cpu_ms"], "ms CPU")
    yield Result(f"ledger {of}: list a month", said["listed"], "ms", None, most(100))
    yield Result(f"ledger {of}: list a site", said["of_site"], "ms", None, most(100))
    yield Result(f"ledger {of}: totals by everything", said["totals"], "ms", None, most(100))
    yield Result(f"ledger {of}: bodies from rows, and their links", said["links"], "links a CPU s", None, least(50_000))
    yield Result(f"ledger {of}: the same, by the wall clock", said["links_wall"], "links/s")

"""Somebody with the database owner's rights changes the cost ledger: `verify` says where. With plain SQL."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.flows.ledger.reversing import reverse
from monitor.flows.ledger.stepping import approve, register
from monitor.settings import Settings
from monitor.store import tables
from monitor.store.database import opened
from tests.ledgers import APPROVER, ask, opened_fund, registered, sites
from tests.tampering import anchor, checked, run, settings_of

CHAIN = "ledger"
#: Of an entry's columns those that its link does not cover, and why not.
FREE = {
    "chain_n": "its place",  # found as a gap or as an extra row
    "chain_hash": "the hash itself",  # found, too: below
    "batch": "which import brought it says nothing of the money",
    "state": "a chain's row is registered: `ledger check` says it",
    "fund_id": "the fund's name and year are covered",
    "stage_id": "the contract's number and the stage's are covered",
}
COVERED = [c.name for c in tables.entry.columns if c.name not in FREE]
NUMBERS = ("id", "number", "amount_fen", "reverses", "drafted_ms", "approved_ms", "registered_ms")


async def written(engine: AsyncEngine, settings: Settings) -> None:
    """Six registered entries, the last a red one, anchored; then the triggers are gone."""
    await opened_fund(engine)
    for n in range(5):
        await registered(engine, 100 + n, sites(3))
    red = (await reverse(ask(engine), 2, ask(engine).today, 10))["id"]
    await approve(ask(engine, APPROVER), [red])
    await register(ask(engine), [red], ask(engine).today, "记-红")
    await anchor(engine, settings)
    async with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            found = await connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            names = list(found.scalars())
        else:
            names = []
    off = [f"DROP TRIGGER {name}" for name in names] or ["SET session_replication_role = replica"]
    if engine.dialect.name == "sqlite":
        await run(engine, *off)


async def spoil(engine: AsyncEngine, *statements: str) -> None:
    """As the owner: on PostgreSQL with triggers and foreign keys switched off."""
    first = ["SET session_replication_role = replica"] if engine.dialect.name == "postgresql" else []
    last = ["SET session_replication_role = DEFAULT"] if first else []
    if not first:
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver = raw.driver_connection
            assert driver is not None
            await driver.execute("PRAGMA foreign_keys = OFF")
            for statement in statements:
                await driver.execute(statement)
            await driver.commit()
            await driver.execute("PRAGMA foreign_keys = ON")
        return
    await run(engine, *first, *statements, *last)


async def first_bad(engine: AsyncEngine, settings: Settings) -> tuple[int, str] | None:
    found = await checked(engine, settings)
    assert [walk.tag for walk in found.chains if walk.fault is not None] in ([], [CHAIN])
    fault = next((walk.fault for walk in found.chains if walk.fault is not None), None)
    return (fault.n, fault.kind) if fault else None


async def test_every_column_of_an_entry_its_shares_and_its_papers_are_covered(
    database_url: str, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, database_url)
    async with opened(database_url) as engine:
        await written(engine, settings)
        assert await first_bad(engine, settings) is None
        for column in COVERED:
            other = "7777" if column in NUMBERS else "'x'"
            async with engine.connect() as connection:
                old = (await connection.exec_driver_sql(f"SELECT {column} FROM entry WHERE chain_n = 3")).scalar()
            await spoil(engine, f"UPDATE entry SET {column} = {other} WHERE chain_n = 3")
            assert await first_bad(engine, settings) == (3, "changed"), column
            back = "NULL" if old is None else str(old) if column in NUMBERS else f"'{old}'"
            await spoil(engine, f"UPDATE entry SET {column} = {back} WHERE chain_n = 3")
            assert await first_bad(engine, settings) is None, column
        site = sites(1)[0]
        for there, back in (
            (f"UPDATE entry_site SET share_fen = 0 WHERE entry_id = 3 AND site = '{site}'", "share_fen = 34"),
            (f"UPDATE entry_site SET township = 'x' WHERE entry_id = 3 AND site = '{site}'", "township = '511723'"),
        ):
            await spoil(engine, there)
            assert await first_bad(engine, settings) == (3, "changed"), there
            await spoil(engine, re.sub(r"SET .* WHERE", f"SET {back} WHERE", there))
            assert await first_bad(engine, settings) is None
        await spoil(engine, f"INSERT INTO entry_paper (entry_id, sha256) VALUES (4, '{'0' * 64}')")
        assert await first_bad(engine, settings) == (4, "changed")
        await spoil(engine, "DELETE FROM entry_paper", "UPDATE fund SET name = 'x'")
        assert await first_bad(engine, settings) == (1, "changed")


@pytest.mark.parametrize(
    ("statement", "bad"),
    [
        ("DELETE FROM entry WHERE chain_n = 3", (3, "missing")),
        ("DELETE FROM entry WHERE chain_n > 4", (5, "cut")),
        ("DELETE FROM entry_site WHERE entry_id = 2", (2, "changed")),
        ("UPDATE entry SET chain_hash = 'f' WHERE chain_n = 5", (5, "changed")),
    ],
)
async def test_deleted_rows_a_cut_tail_and_changed_hashes_are_found(
    database_url: str, tmp_path: Path, statement: str, bad: tuple[int, str]
) -> None:
    settings = settings_of(tmp_path, database_url)
    async with opened(database_url) as engine:
        await written(engine, settings)
        await spoil(engine, statement)
        assert await first_bad(engine, settings) == bad


async def test_an_old_backup_put_back_is_found(database_url: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, database_url)
    async with opened(database_url) as engine:
        await written(engine, settings)
        hashed = "(SELECT chain_hash FROM entry WHERE chain_n = 4)"
        await spoil(
            engine,
            f"UPDATE chain_head SET n = 4, hash = {hashed} WHERE tag = 'ledger'",
            "DELETE FROM entry WHERE chain_n > 4",
            "UPDATE fund SET last_number = 4, spent_fen = 406",
        )
        assert await first_bad(engine, settings) == (5, "older")

"""Hash chains: the documented form, one writer of many, nothing half done."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor, Forbidden, Role
from monitor.core.chain import BEGINNING, canonical, link, rendered
from monitor.errors import MonitorError
from monitor.flows.acting import acting
from monitor.store import audit, chains, tables
from monitor.store.database import opened, writing
from tests.tampering import NOW, WHO, checked, settings_of

DOCS = (Path(__file__).parents[1] / "docs" / "chains.md").read_text(encoding="utf-8")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(st.text(max_size=8), VALUES, max_size=6).map(lambda d: {**d, "v": 1, "tag": "t", "at_ms": 1})


@given(BODIES)
def test_a_body_is_written_in_one_way_and_says_the_same(body: dict[str, Any]) -> None:
    data = canonical(body)
    assert json.loads(data) == body
    assert canonical(dict(reversed(body.items()))) == data


@given(st.dictionaries(st.text(max_size=8), st.text() | VALUES, max_size=6) | BODIES)
@example({"\ud83d": "\udc00"})
@example({"": 2**64, "\x7f": '\x00\x1f\u2028/\\"\b\f\n\r\t'})
def test_verify_writes_the_same_bytes_in_its_quicker_way(body: dict[str, Any]) -> None:
    assert chains.quickly_rendered(body) == rendered(body)


@given(BODIES, BODIES, st.integers(1, 2**53))
def test_the_hash_covers_tag_number_predecessor_and_body(one: dict[str, Any], other: dict[str, Any], n: int) -> None:
    whole = link("t", n, BEGINNING, canonical(one))
    assert whole != link("u", n, BEGINNING, canonical(one))
    assert whole != link("t", n + 1, BEGINNING, canonical(one))
    assert whole != link("t", n, whole, canonical(one))
    assert (whole == link("t", n, BEGINNING, canonical(other))) == (canonical(one) == canonical(other))


@pytest.mark.parametrize("value", [1.5, float("nan"), b"x", {1, 2}, object()])
def test_what_programs_write_differently_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical({"v": 1, "tag": "t", "at_ms": 1, "x": [value]})


def test_version_tag_and_time_must_be_there() -> None:
    for missing in ("v", "tag", "at_ms"):
        body = {"v": 1, "tag": "t", "at_ms": 1}
        del body[missing]
        with pytest.raises(TypeError):
            canonical(body)


def test_the_documented_example_is_right() -> None:
    """Worked out as docs/chains.md tells it, with none of our code."""
    bodies = re.findall(r"^    body +(\{.*\})$", DOCS, re.MULTILINE)
    hashes = re.findall(r"^    h\(\d\) +([0-9a-f]{64})$", DOCS, re.MULTILINE)
    assert len(bodies) == len(hashes) == 2
    previous = "0" * 64
    for n, (body, expected) in enumerate(zip(bodies, hashes, strict=True), 1):
        previous = hashlib.sha256(f"audit\n{n}\n{previous}\n{body}".encode()).hexdigest()
        assert previous == expected
        assert canonical(json.loads(body)) == body.encode()


async def numbers(engine: AsyncEngine) -> list[int]:
    async with engine.connect() as connection:
        return list((await connection.execute(select(tables.audit.c.n).order_by(tables.audit.c.n))).scalars())


async def test_fifty_writers_leave_one_chain_without_gaps(database_url: str, tmp_path: Path) -> None:
    """Half of them in another engine, as another process has."""
    async with opened(database_url) as one, opened(database_url) as other:

        async def write(engine: AsyncEngine, name: str) -> None:
            for i in range(4):
                actor = Actor(name, frozenset({Role.OPERATOR}))
                async with acting(engine, actor, Action.WORKORDER_WRITE, str(i), NOW):
                    pass

        async with asyncio.timeout(60):
            await asyncio.gather(*(write((one, other)[i % 2], f"w{i}") for i in range(50)))
        assert await numbers(one) == list(range(1, 201))
        assert (await checked(one, settings_of(tmp_path, database_url))).faults == []


async def test_what_is_undone_leaves_no_gap_and_is_audited(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url) as engine:

        async def half(connection: AsyncConnection) -> None:
            await chains.append(connection, "ledger", {"v": 1, "tag": "ledger", "at_ms": NOW})
            raise ZeroDivisionError("in the middle")

        with pytest.raises(ZeroDivisionError):
            async with acting(engine, WHO, Action.WORKORDER_WRITE, "order 1", NOW) as connection:
                await half(connection)
        with pytest.raises(MonitorError):
            async with acting(engine, WHO, Action.WORKORDER_WRITE, "order 2", NOW):
                raise MonitorError("专项资金余额不足")
        with pytest.raises(Forbidden):
            async with acting(engine, WHO, Action.LEDGER_APPROVE, "entry 3", NOW):
                pytest.fail("came in")
        async with acting(engine, WHO, Action.WORKORDER_WRITE, "order 4", NOW):
            pass
        async with engine.connect() as connection:
            rows = await audit.rows(connection)
            assert await chains.heads(connection) == {"audit": (4, rows[-1]["hash"])}
        assert [(r["what"], r["outcome"]) for r in rows] == [
            ("order 1", "failed"),
            ("order 2", "refused"),
            ("entry 3", "refused"),
            ("order 4", "done"),
        ]
        assert rows[0]["reason"] == "ZeroDivisionError: in the middle"
        assert rows[1]["reason"] == "专项资金余额不足"


async def test_two_chains_in_one_transaction_do_not_lock_each_other_out(database_url: str) -> None:
    async with opened(database_url) as engine:

        async def write(i: int) -> None:
            async with acting(engine, WHO, Action.WORKORDER_WRITE, str(i), NOW) as connection:
                await chains.append(connection, "ledger", {"v": 1, "tag": "ledger", "at_ms": NOW + i})

        async with asyncio.timeout(60):
            await asyncio.gather(*(write(i) for i in range(30)))
        async with engine.connect() as connection:
            assert {tag: head.n for tag, head in (await chains.heads(connection)).items()} == {
                "ledger": 30,
                "audit": 30,
            }


@pytest.mark.parametrize("what", ["\0", "\ud800", "x" * 10_000, "'; DROP TABLE audit", "‮\n\t", ""])
async def test_whatever_is_written_there_is_kept_and_holds(database_url: str, tmp_path: Path, what: str) -> None:
    async with opened(database_url) as engine:
        async with acting(engine, WHO, Action.WORKORDER_WRITE, what, NOW):
            pass
        assert (await checked(engine, settings_of(tmp_path, database_url))).faults == []


async def test_the_same_number_twice_is_refused_by_the_table(database_url: str) -> None:
    async with opened(database_url) as engine:
        async with acting(engine, WHO, Action.WORKORDER_WRITE, "x", NOW):
            pass
        with pytest.raises(IntegrityError):
            async with writing(engine) as connection:
                await connection.execute(tables.audit.insert().from_select(
                    [c.name for c in tables.audit.c], select(tables.audit)
                ))  # fmt: skip


async def test_on_sqlite_an_act_is_durable_when_it_is_told(tmp_path: Path) -> None:
    """WAL with FULL: a commit is synced before it is answered."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'monitor.db'}"
    async with opened(url) as engine, writing(engine) as connection:
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == 2
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "wal"
        other = sqlite3.connect(tmp_path / "monitor.db", timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):  # nobody else writes meanwhile
            other.execute("BEGIN IMMEDIATE")
        other.close()

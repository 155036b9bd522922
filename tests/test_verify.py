"""Whoever holds the database can change it; verify says what, and where. On SQLite and PostgreSQL, with plain SQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.core.walk import Fault
from monitor.flows.verify import Found
from tests.tampering import act, anchor, checked, close_days, forge, kept, run

CHAINS = [("audit", "audit"), ("evidence/kaijiang", "evidence_day")]
EVERY_COLUMN = [
    *(("audit", "audit", c) for c in ("at_ms", "who", "action", "what", "outcome", "reason", "hash")),
    *(("evidence/kaijiang", "evidence_day", c) for c in ("at_ms", "day", "bytes", "sha256", "digest", "hash")),
]
NUMBERS = ("at_ms", "day", "bytes")


def fault_of(found: Found, tag: str) -> Fault:
    """The one thing that is said of a chain; the others hold."""
    assert [w.tag for w in found.chains if w.fault is not None] == [tag]
    walk = next(w for w in found.chains if w.tag == tag)
    assert walk.fault is not None
    assert walk.fault in found.faults
    assert f"第 {walk.fault.n} 条" in walk.fault.says
    assert not found.as_json()["holds"]
    return walk.fault


async def test_what_nobody_touched_holds(database_url: str, tmp_path: Path) -> None:
    async with kept(database_url, tmp_path) as (engine, settings):
        await act(engine, 3, start=20)
        found = await checked(engine, settings)
        assert found.faults == []
        assert found.notes == []
        told = {w.tag: (w.n, w.anchored) for w in found.chains}
        assert told == {"audit": (23, 20), "evidence/kaijiang": (20, 20), "ledger": (0, 0), "report": (0, 0)}


@pytest.mark.parametrize(("tag", "table", "column"), EVERY_COLUMN)
async def test_a_changed_value_in_any_column_is_found(
    database_url: str, tmp_path: Path, tag: str, table: str, column: str
) -> None:
    other = "7" if column in NUMBERS else "'x'"
    async with kept(database_url, tmp_path, records=5) as (engine, settings):
        await run(engine, f"UPDATE {table} SET {column} = {other} WHERE n = 3")
        assert fault_of(await checked(engine, settings), tag)[1:3] == (3, "changed")


@pytest.mark.parametrize(("tag", "table"), CHAINS)
async def test_deleted_rows_are_found(database_url: str, tmp_path: Path, tag: str, table: str) -> None:
    async with kept(database_url, tmp_path) as (engine, settings):
        await run(engine, f"DELETE FROM {table} WHERE n IN (7, 8)")
        fault = fault_of(await checked(engine, settings), tag)
        assert fault[1:3] == (7, "missing")
        assert "第 7 至 8 条被删除" in fault.says


@pytest.mark.parametrize(("tag", "table"), CHAINS)
async def test_a_cut_tail_is_found_also_where_the_head_was_put_back(
    database_url: str, tmp_path: Path, tag: str, table: str
) -> None:
    async with kept(database_url, tmp_path) as (engine, settings):
        await run(engine, f"DELETE FROM {table} WHERE n > 15")
        fault = fault_of(await checked(engine, settings), tag)
        assert fault[1:3] == (16, "cut")  # the head says what became of them, the anchors only that they are gone
        assert "链尾的行被删除" in fault.says
        assert "锚点已记到第 20 条" in fault.says
        hashed = f"SELECT hash FROM {table} WHERE n = 15"
        await run(engine, f"UPDATE chain_head SET n = 15, hash = ({hashed}) WHERE tag = '{tag}'")
        assert fault_of(await checked(engine, settings), tag)[1:3] == (16, "older")


@pytest.mark.parametrize(("tag", "table"), CHAINS)
async def test_a_tail_that_no_anchor_had_seen_is_missed_by_the_head(
    database_url: str, tmp_path: Path, tag: str, table: str
) -> None:
    async with kept(database_url, tmp_path) as (engine, settings):
        await act(engine, 2, start=20)
        await close_days(engine, 2, start=21)
        await run(engine, f"DELETE FROM {table} WHERE n > 20")
        assert fault_of(await checked(engine, settings), tag)[1:3] == (21, "cut")


@pytest.mark.parametrize(("tag", "table"), CHAINS)
async def test_a_chain_that_was_rewritten_whole_does_not_fit_the_anchors(
    database_url: str, tmp_path: Path, tag: str, table: str
) -> None:
    async with kept(database_url, tmp_path) as (engine, settings):
        changed = "what = 'nothing'" if table == "audit" else "sha256 = 'f'"
        await run(engine, f"UPDATE {table} SET {changed} WHERE n = 4")
        await forge(engine, tag)
        assert fault_of(await checked(engine, settings), tag)[1:3] == (20, "rewritten")


@pytest.mark.parametrize(("tag", "table"), CHAINS)
async def test_an_old_backup_is_found_also_after_it_was_written_on(
    database_url: str, tmp_path: Path, tag: str, table: str
) -> None:
    async with kept(database_url, tmp_path, records=10) as (engine, settings):
        # What a backup of that moment would put back, in one table and its head.
        await act(engine, 10, start=10)
        await close_days(engine, 10, start=11)
        await anchor(engine, settings)
        hashed = f"SELECT hash FROM {table} WHERE n = 10"
        await run(
            engine,
            f"UPDATE chain_head SET n = 10, hash = ({hashed}) WHERE tag = '{tag}'",
            f"DELETE FROM {table} WHERE n > 10",
        )
        fault = fault_of(await checked(engine, settings), tag)
        assert fault[1:3] == (11, "older")
        assert "换回了旧的备份" in fault.says
        await act(engine, 20, start=100)
        await close_days(engine, 20, start=41)
        assert fault_of(await checked(engine, settings), tag)[1:3] == (20, "rewritten")


@pytest.mark.parametrize(("tag", "table"), CHAINS)
async def test_a_head_that_was_changed_or_deleted_is_found(
    database_url: str, tmp_path: Path, tag: str, table: str
) -> None:
    async with kept(database_url, tmp_path, records=5) as (engine, settings):
        await run(engine, f"UPDATE chain_head SET hash = 'f' WHERE tag = '{tag}'")
        assert fault_of(await checked(engine, settings), tag)[1:3] == (5, "head")
        await run(engine, f"DELETE FROM chain_head WHERE tag = '{tag}'")
        assert fault_of(await checked(engine, settings), tag)[1:3] == (5, "head")


@pytest.mark.parametrize(("tag", "table"), CHAINS)
async def test_a_row_that_was_added_by_hand_is_found(database_url: str, tmp_path: Path, tag: str, table: str) -> None:
    async with kept(database_url, tmp_path, records=5) as (engine, settings):
        columns = (
            "at_ms, who, action, what, outcome, reason, hash" if table == "audit" else "at_ms, bytes, sha256, hash"
        )
        more = "" if table == "audit" else ", observer, day, digest"
        also = "" if table == "audit" else ", observer, 19990101, digest"
        insert = f"INSERT INTO {table} (n, {columns}{more}) SELECT {{}}, {columns}{also} FROM {table} WHERE n = 5"
        await run(engine, insert.format(0))
        assert fault_of(await checked(engine, settings), tag)[1:3] == (0, "extra")
        await run(engine, f"DELETE FROM {table} WHERE n = 0", insert.format(6))
        assert fault_of(await checked(engine, settings), tag)[1:3] == (6, "changed")


async def test_a_whole_table_emptied_is_found(database_url: str, tmp_path: Path) -> None:
    async with kept(database_url, tmp_path, records=5) as (engine, settings):
        await run(engine, "DELETE FROM evidence_day", "DELETE FROM chain_head WHERE tag = 'evidence/kaijiang'")
        assert fault_of(await checked(engine, settings), "evidence/kaijiang")[1:3] == (1, "older")


async def test_a_chain_that_this_version_does_not_know_is_said(database_url: str, tmp_path: Path) -> None:
    async with kept(database_url, tmp_path, records=2) as (engine, settings):
        await run(engine, "INSERT INTO chain_head (tag, n, hash) VALUES ('reports', 3, 'f')")
        found = await checked(engine, settings)
        assert [(f.tag, f.kind) for f in found.faults] == [("reports", "unknown")]


async def test_without_anchors_that_is_said(database_url: str, tmp_path: Path) -> None:
    async with kept(database_url, tmp_path, records=2) as (engine, settings):
        Path(settings.anchors.file).unlink()
        found = await checked(engine, settings)
        assert found.faults == []
        assert ["没有锚点" in note for note in found.notes] == [True]

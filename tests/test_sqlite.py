"""SQLite's driver of our own (monitor/store/sqlite.py): nothing is lost or doubled where an answer comes in parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from monitor.store.database import opened
from monitor.store.sqlite import ALONG
from monitor.store.tables import chain_head

HEADS = [{"tag": f"{n:04d}", "n": n, "hash": ""} for n in range(3 * ALONG)]


@pytest.mark.parametrize("count", [0, 1, ALONG - 1, ALONG, ALONG + 1, 3 * ALONG])
async def test_every_row_comes_once_however_it_is_fetched(tmp_path: Path, count: int) -> None:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/a.db") as engine:
        async with engine.begin() as connection:
            if count:
                done = await connection.execute(insert(chain_head), HEADS[:count])
                assert done.rowcount == count
        query = select(chain_head.c.n).order_by(chain_head.c.tag)
        async with engine.connect() as connection:
            assert list((await connection.execute(query)).scalars()) == list(range(count))
            for size in (1, 7, ALONG, ALONG + 50):
                async with connection.stream(query.execution_options(yield_per=size)) as rows:
                    found = [row.n async for part in rows.partitions() for row in part]
                assert found == list(range(count))


async def test_an_answer_that_is_not_read_to_its_end_holds_nothing(tmp_path: Path) -> None:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/a.db") as engine:
        async with engine.begin() as connection:
            await connection.execute(insert(chain_head), HEADS)
        async with engine.connect() as connection:
            async with connection.stream(select(chain_head)) as rows:
                assert (await rows.fetchone()) is not None
            await connection.rollback()
            async with engine.begin() as other:
                await other.execute(chain_head.delete())
            assert (await connection.execute(select(chain_head))).all() == []


async def test_what_a_statement_changed_and_what_it_breaks_is_told(tmp_path: Path) -> None:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/a.db") as engine:
        async with engine.begin() as connection:
            await connection.execute(insert(chain_head), HEADS[:5])
            late = chain_head.update().where(chain_head.c.n >= bindparam("least")).values(hash="x")
            assert (await connection.execute(late, {"least": 2})).rowcount == 3
            made = insert(chain_head).values(tag="new", n=9, hash="").returning(chain_head.c.n)
            assert (await connection.execute(made)).scalar_one() == 9
        with pytest.raises(IntegrityError):
            async with engine.begin() as connection:
                await connection.execute(insert(chain_head), HEADS[:1])

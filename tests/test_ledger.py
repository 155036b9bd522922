"""The cost ledger: what a finance clerk, an approver and an auditor would notice. On SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.access import Forbidden
from monitor.core.ledger import LedgerRefused
from monitor.flows.ledger.stepping import approve, register
from monitor.store.database import opened
from monitor.store.ledger import entries, funds
from tests.ledgers import (
    APPROVER,
    BOTH,
    READER,
    approved,
    ask,
    county,
    new_entry,
    opened_fund,
    registered,
    sites,
)

PAID = date(2020, 3, 5)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    async with opened(database_url) as opened_engine:
        yield opened_engine


async def balance(engine: AsyncEngine, fund_id: int = 1) -> tuple[int, int]:
    """Spent and number of the last entry."""
    async with engine.connect() as connection:
        fund = await funds.load(connection, fund_id)
    return fund.spent_fen, fund.last_number


async def test_an_entry_goes_from_draft_to_registered_and_gets_the_next_number(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    first = await registered(engine, 10_000, sites(3))
    second = await registered(engine, 5_000)
    async with engine.connect() as connection:
        one, two = await entries.one(connection, first), await entries.one(connection, second)
    assert (one["number"], two["number"]) == (1, 2)
    assert one["shares"] == dict(zip(sites(3), (3_334, 3_333, 3_333), strict=True))
    assert (one["drafted_by"], one["approved_by"], one["registered_by"]) == ("li", "wang", "li")
    assert await balance(engine) == (15_000, 2)


async def test_the_next_fen_over_the_budget_is_refused_with_the_sentence(engine: AsyncEngine) -> None:
    await opened_fund(engine, 10_000)
    one_too_many = await approved(engine, 1)
    await registered(engine, 10_000)
    with pytest.raises(LedgerRefused, match=r"^专项资金余额不足：可用 0.00 元，本笔 0.01 元$"):
        await register(ask(engine), [one_too_many], PAID, "记-2")
    with pytest.raises(LedgerRefused, match=r"^专项资金余额不足：可用 0.00 元，本笔 0.01 元$"):
        await approved(engine, 1)
    assert await balance(engine) == (10_000, 1)


async def test_nobody_approves_what_they_drafted_and_nobody_without_the_role(engine: AsyncEngine) -> None:
    from tests.ledgers import FINANCE

    await opened_fund(engine)
    from pathlib import Path

    from monitor.flows.ledger.drafting import draft

    own = (await draft(ask(engine, BOTH), county(), new_entry(100), Path("/nonexistent")))["id"]
    with pytest.raises(Forbidden):
        await approve(ask(engine, BOTH), [own])
    with pytest.raises(Forbidden):
        await approve(ask(engine, FINANCE), [own])
    with pytest.raises(Forbidden):
        await register(ask(engine, READER), [own], PAID, "记-1")
    await approve(ask(engine, APPROVER), [own])

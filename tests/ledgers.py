"""A ledger to test with: the sample county, some people, a fund; short names for what every test does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import from_iso
from monitor.core.access import Actor, Role
from monitor.core.sites import Inventory
from monitor.errors import MonitorError
from monitor.flows.ledger.asking import Asking, Where
from monitor.flows.ledger.drafting import NewEntry, draft
from monitor.flows.ledger.money_in import NewFund, add_fund
from monitor.flows.ledger.stepping import approve, register
from monitor.inventory.load import load
from monitor.store import tables

ROOT = Path(__file__).parent.parent
FINANCE = Actor("li", frozenset({Role.FINANCE}))
APPROVER = Actor("wang", frozenset({Role.APPROVER}))
#: Holds both roles, and still may not approve what they drafted.
BOTH = Actor("zhao", frozenset({Role.FINANCE, Role.APPROVER}))
READER = Actor("sun", frozenset({Role.AUDITOR}))
TODAY = date(2020, 12, 31)
AT = from_iso("2020-12-31T08:00:00Z")
FUND = "党建平台运行维护"
WHERE = Where(2020, FUND)
#: The class of repairs in the sample fund.
REPAIRS = "30213"


@cache
def county() -> Inventory:
    """The 234 sample sites."""
    return load(ROOT / "config", serving=False).inventory


def sites(count: int) -> list[str]:
    """The first so many sites."""
    return list(county().sites)[:count]


def ask(engine: AsyncEngine, actor: Actor = FINANCE, key: str = "", today: date = TODAY, at: int = AT) -> Asking:
    return Asking(engine, actor, at, today, key)


def new_fund(amount_fen: int = 25_000_000, **changed: Any) -> NewFund:
    fund = NewFund(
        2020,
        FUND,
        "农行专户 2201",
        ("平台维护",),
        (REPAIRS, "30227"),
        amount_fen,
        "江财预〔2020〕1号",
        date(2020, 1, 6),
    )
    return replace(fund, **changed)


def new_entry(amount_fen: int, of: Sequence[str] = (), **changed: Any) -> NewEntry:
    entry = NewEntry(
        WHERE, date(2020, 3, 2), "更换机顶盒", amount_fen, REPAIRS, of or sites(1), payee="开江广电", acceptance="验-17"
    )
    return replace(entry, **changed)


async def with_orders(engine: AsyncEngine, causes: Mapping[int, str]) -> None:
    """Work orders of these numbers and causes, as if opened by hand."""
    row = {"kind": "site", "site": sites(1)[0], "township": "511723", "level": "county", "state": "open"}
    rows = [{**row, "id": n, "opened_ms": n, "opened_by": "chen", "cause": cause} for n, cause in causes.items()]
    async with engine.begin() as connection:
        await connection.execute(insert(tables.work_order), rows)


async def opened_fund(engine: AsyncEngine, amount_fen: int = 25_000_000, **changed: Any) -> int:
    """The sample fund; answers its id."""
    return int((await add_fund(ask(engine), new_fund(amount_fen, **changed)))["id"])


async def drafted(engine: AsyncEngine, amount_fen: int, of: Sequence[str] = (), **changed: Any) -> int:
    folder = Path("/nonexistent")  # nothing is kept without papers
    made = await draft(ask(engine), county(), new_entry(amount_fen, of, **changed), folder)
    return int(made["id"])


async def approved(engine: AsyncEngine, amount_fen: int, of: Sequence[str] = (), **changed: Any) -> int:
    entry_id = await drafted(engine, amount_fen, of, **changed)
    await approve(ask(engine, APPROVER), [entry_id])
    return entry_id


async def registered(
    engine: AsyncEngine, amount_fen: int, of: Sequence[str] = (), paid_on: date = date(2020, 3, 5), **changed: Any
) -> int:
    entry_id = await approved(engine, amount_fen, of, **changed)
    await register(ask(engine), [entry_id], paid_on, "记-0001")
    return entry_id


@contextmanager
def refuses(sentence: str) -> Iterator[None]:
    """What happens in the block is refused, and the sentence says why."""
    with pytest.raises(MonitorError) as refused:
        yield
    assert sentence in str(refused.value)

"""An entry goes its way: approved by somebody else, registered with its number and its link, or given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.access import Action
from monitor.core.ledger import (
    APPROVING,
    REGISTERING,
    Books,
    Check,
    Entry,
    LedgerRefused,
    Problem,
    State,
    problems,
    text_problem,
    void_problem,
    year_problem,
)
from monitor.errors import MonitorError
from monitor.flows.ledger.asking import Answer, Asking, once
from monitor.flows.ledger.drafting import books_of
from monitor.store import chains
from monitor.store.ledger import chain, contracts, entries, funds


async def approve(asking: Asking, entry_ids: Sequence[int]) -> Answer:
    """Approve drafts of others: all of them or none."""
    drafters, townships = await _about(asking, entry_ids)

    async def work(connection: AsyncConnection) -> Answer:
        for entry_id in await _locked(connection, entry_ids):
            entry, books = await _standing(connection, entry_id, asking.today)
            _check(APPROVING, entry, books, of=len(entry_ids))
            values = {"state": State.APPROVED, "approved_by": asking.actor.name, "approved_ms": asking.at_ms}
            await entries.step(connection, entry_id, State.DRAFT, values)
        return {"ids": list(entry_ids), "state": State.APPROVED.value}

    what = f"approve {_ids(entry_ids)}"
    # Of several drafters it is oneself, if anybody, who stands in the way.
    own = asking.actor.name if asking.actor.name in drafters else None
    return await once(
        asking, Action.LEDGER_APPROVE, what, {"approve": list(entry_ids)}, work, townships=townships, drafted_by=own
    )


async def register(asking: Asking, entry_ids: Sequence[int], paid_on: date | None = None, voucher: str = "") -> Answer:
    """Register what is approved and paid, all of them or none; numbers 台账序号 and links follow in the given order.

    `paid_on` (local day) and `voucher` are of the payment; None and "": those that the draft brought along.
    """
    _, townships = await _about(asking, entry_ids)

    async def work(connection: AsyncConnection) -> Answer:
        await _locked(connection, entry_ids)
        done = [
            await _register(connection, asking, entry_id, paid_on, voucher, len(entry_ids)) for entry_id in entry_ids
        ]
        return {"registered": done}

    asked = {"register": list(entry_ids), "paid_on": paid_on, "voucher": voucher}
    what = f"register {_ids(entry_ids)}"
    return await once(asking, Action.LEDGER_REGISTER, what, asked, work, townships=townships)


async def _register(
    connection: AsyncConnection, asking: Asking, entry_id: int, paid_on: date | None, voucher: str, of: int
) -> Answer:
    entry, books = await _standing(connection, entry_id, asking.today)
    entry = replace(entry, paid_on=paid_on or entry.paid_on, voucher=voucher or entry.voucher)
    _check(REGISTERING, entry, books, of=of)
    number = await funds.number_next(connection, entry.fund_id, entry.amount_fen)
    if number is None:
        raise RuntimeError("the balance changed under the fund's lock")
    values = {
        "state": State.REGISTERED.value,
        "number": number,
        "paid_on": str(entry.paid_on),
        "voucher": entry.voucher,
        "registered_by": asking.actor.name,
        "registered_ms": asking.at_ms,
    }
    made = await chains.append(connection, chain.TAG, await chain.body_of(connection, entry_id, values))
    values |= {"chain_n": made.n, "chain_hash": made.hash}
    await entries.step(connection, entry_id, State.APPROVED, values)
    await entries.add_up(connection, entry_id)
    if entry.stage_id is not None:
        await contracts.pay(connection, entry.stage_id, entry.amount_fen)
    left = books.fund.available_fen - entry.amount_fen
    return {"id": entry_id, "number": number, "chain_n": made.n, "hash": made.hash, "available_fen": left}


async def give_up(asking: Asking, entry_ids: Sequence[int], reason: str) -> Answer:
    """Void 作废 what is not registered; the reason stands in the audit log."""
    _, townships = await _about(asking, entry_ids)

    async def work(connection: AsyncConnection) -> Answer:
        for entry_id in await _locked(connection, entry_ids):
            entry, books = await _standing(connection, entry_id, asking.today)
            found = [year_problem(books.fund), void_problem(entry), text_problem("原因", reason, 200)]
            if wrong := [problem for problem in found if problem]:
                raise LedgerRefused(wrong)
            await entries.step(connection, entry_id, entry.state, {"state": State.VOID})
        return {"ids": list(entry_ids), "state": State.VOID.value}

    asked = {"void": list(entry_ids), "reason": reason}
    what = f"void {_ids(entry_ids)}: {reason}"
    return await once(asking, Action.LEDGER_DRAFT, what, asked, work, townships=townships)


async def _about(asking: Asking, entry_ids: Sequence[int]) -> tuple[set[str], set[str]]:
    """Who drafted them and for which townships: neither ever changes."""
    if not entry_ids:
        raise MonitorError("没有可处理的分录")
    drafters: set[str] = set()
    townships: set[str] = set()
    async with asking.engine.connect() as connection:
        for entry_id in entry_ids:
            drafters.add(await entries.drafter_of(connection, entry_id))
            if asking.actor.townships is not None:
                townships.update((await entries.townships(connection, entry_id)).values())
    return drafters, townships


async def _locked(connection: AsyncConnection, entry_ids: Sequence[int]) -> Sequence[int]:
    """Lock the entries' funds, in one order for everybody, so that no two wait for each other."""
    for fund_id in sorted({await entries.fund_of(connection, entry_id) for entry_id in entry_ids}):
        await funds.load(connection, fund_id, lock=True)
    return entry_ids


async def _standing(connection: AsyncConnection, entry_id: int, today: date) -> tuple[Entry, Books]:
    entry = await entries.load(connection, entry_id)
    fund = await funds.load(connection, entry.fund_id)
    return entry, await books_of(connection, fund, entry, today)


def _check(checks: Sequence[Check], entry: Entry, books: Books, *, of: int) -> None:
    """Raises LedgerRefused; of several entries the sentences say which one is meant."""
    found = problems(checks, entry, books)
    if found:
        which = f"分录 {entry.entry_id}（{entry.memo}）：" if of > 1 else ""
        raise LedgerRefused([Problem(p.code, which + p.text) for p in found])


def _ids(entry_ids: Sequence[int]) -> str:
    some = ", ".join(map(str, entry_ids[:20]))
    return some if len(entry_ids) <= 20 else f"{some} and {len(entry_ids) - 20} more"

"""An entry goes its way: approved by somebody else, registered with its number and its link, or given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.access import Action
from monitor.core.ledger import Books, Entry, Fund, LedgerRefused, Problem, State
from monitor.core.ledger_rules import APPROVING, REGISTERING, Check, problems, text_problem, void_problem, year_problem
from monitor.errors import MonitorError
from monitor.flows.ledger.asking import Answer, Asking, once
from monitor.flows.ledger.drafting import books_of
from monitor.store import chains
from monitor.store.ledger import chain, contracts, entries, funds

# `batch` of the steps: the entries are those of an import that are in the right state now. A second try with the same
# request key finds none of them there any more, and is the same request all the same.


async def approve(asking: Asking, entry_ids: Sequence[int], batch: str = "") -> Answer:
    """Approve drafts of others: all of them or none."""
    async with asking.engine.connect() as connection:
        drafters = {await entries.drafter_of(connection, entry_id) for entry_id in entry_ids}

    async def work(connection: AsyncConnection) -> Answer:
        fund_of = await _locked(connection, entry_ids)
        for entry_id in entry_ids:
            entry = await entries.load(connection, entry_id)
            books = await books_of(connection, fund_of[entry_id], entry, asking.today)
            _check(APPROVING, entry, books, of=len(entry_ids))
            values = {"state": State.APPROVED.value, "approved_by": asking.actor.name, "approved_ms": asking.at_ms}
            await entries.step(connection, entry_id, State.DRAFT, values)
        return {"ids": list(entry_ids), "state": State.APPROVED.value}

    asked = {"approve": batch or list(entry_ids)}
    # Of several drafters it is oneself, if anybody, who stands in the way.
    own = asking.actor.name if asking.actor.name in drafters else None
    townships = await _townships(asking, entry_ids, batch)
    what = f"approve {_ids(entry_ids, batch)}"
    return await once(asking, Action.LEDGER_APPROVE, what, asked, work, townships=townships, drafted_by=own)


async def register(
    asking: Asking, entry_ids: Sequence[int], paid_on: date | None = None, voucher: str = "", batch: str = ""
) -> Answer:
    """Register what is approved and paid, all of them or none; numbers 台账序号 and links follow in the given order.

    `paid_on` (local day) and `voucher` are of the payment; None and "": those that the draft brought along.
    """

    async def work(connection: AsyncConnection) -> Answer:
        fund_of = await _locked(connection, entry_ids)
        done: list[Answer] = []
        for entry_id in entry_ids:
            # The entries before it have taken their money meanwhile.
            fund = fund_of[entry_id] if not done else await funds.load(connection, fund_of[entry_id].fund_id)
            done.append(await _register(connection, asking, fund, entry_id, paid_on, voucher, len(entry_ids)))
        return {"registered": done}

    asked = {"register": batch or list(entry_ids), "paid_on": paid_on, "voucher": voucher}
    townships = await _townships(asking, entry_ids, batch)
    what = f"register {_ids(entry_ids, batch)}"
    return await once(asking, Action.LEDGER_REGISTER, what, asked, work, townships=townships)


async def _register(
    connection: AsyncConnection, asking: Asking, fund: Fund, entry_id: int, paid_on: date | None, voucher: str, of: int
) -> Answer:
    written = await chain.read(connection, entry_id)
    entry = entries.entry_of(written)
    entry = replace(entry, paid_on=paid_on or entry.paid_on, voucher=voucher or entry.voucher)
    _check(REGISTERING, entry, await books_of(connection, fund, entry, asking.today), of=of)
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
    made = await chains.append(connection, chain.TAG, chain.body_to_be(written, values))
    values |= {"chain_n": made.n, "chain_hash": made.hash}
    await entries.step(connection, entry_id, State.APPROVED, values)
    await entries.add_up(connection, entry_id)
    if entry.stage_id is not None:
        await contracts.pay(connection, entry.stage_id, entry.amount_fen)
    left = fund.available_fen - entry.amount_fen
    return {"id": entry_id, "number": number, "chain_n": made.n, "hash": made.hash, "available_fen": left}


async def give_up(asking: Asking, entry_ids: Sequence[int], reason: str, batch: str = "") -> Answer:
    """Void 作废 what is not registered; the reason stands in the audit log."""

    async def work(connection: AsyncConnection) -> Answer:
        fund_of = await _locked(connection, entry_ids)
        for entry_id in entry_ids:
            entry = await entries.load(connection, entry_id)
            found = [year_problem(fund_of[entry_id]), void_problem(entry), text_problem("原因", reason, 200)]
            if wrong := [problem for problem in found if problem]:
                raise LedgerRefused(wrong)
            await entries.step(connection, entry_id, entry.state, {"state": State.VOID.value})
        return {"ids": list(entry_ids), "state": State.VOID.value}

    asked = {"void": batch or list(entry_ids), "reason": reason}
    townships = await _townships(asking, entry_ids, batch)
    what = f"void {_ids(entry_ids, batch)}: {reason}"
    return await once(asking, Action.LEDGER_DRAFT, what, asked, work, townships=townships)


async def _townships(asking: Asking, entry_ids: Sequence[int], batch: str) -> set[str]:
    """Whose money it is, which never changes; asked only of somebody who may not act everywhere."""
    if asking.actor.townships is None:
        return set()
    async with asking.engine.connect() as connection:
        of = entry_ids or await entries.of_batch(connection, batch, *State)
        return {code for one in of for code in (await entries.townships(connection, one)).values()}


async def _locked(connection: AsyncConnection, entry_ids: Sequence[int]) -> dict[int, Fund]:
    """The fund of each entry, locked: in one order for everybody, so that no two wait for each other."""
    if not entry_ids:
        raise MonitorError("没有可处理的分录")
    if len(entry_ids) == 1:
        return {entry_ids[0]: await funds.lock_of_entry(connection, entry_ids[0])}
    ids = await entries.funds_of(connection, entry_ids)
    locked = {fund_id: await funds.load(connection, fund_id, lock=True) for fund_id in sorted(set(ids.values()))}
    return {entry_id: locked[fund_id] for entry_id, fund_id in ids.items()}


def _check(checks: Sequence[Check], entry: Entry, books: Books, *, of: int) -> None:
    """Raises LedgerRefused; of several entries the sentences say which one is meant."""
    found = problems(checks, entry, books)
    if found:
        which = f"分录 {entry.entry_id}（{entry.memo}）：" if of > 1 else ""
        raise LedgerRefused([Problem(p.code, which + p.text) for p in found])


def _ids(entry_ids: Sequence[int], batch: str) -> str:
    if not entry_ids:
        return f"batch {batch}" if batch else ""
    some = ", ".join(map(str, entry_ids[:20]))
    return some if len(entry_ids) <= 20 else f"{some} and {len(entry_ids) - 20} more"

"""A registered entry is corrected: a red entry 红字冲销 takes it back, in whole or in part, as a draft at first."""

from __future__ import annotations

from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.access import Action
from monitor.core.allocation import allocate
from monitor.core.ledger import Entry, LedgerRefused, Problem, State
from monitor.core.ledger_rules import MAX_MEMO, WRITING, demand
from monitor.flows.ledger.asking import Answer, Asking, once
from monitor.flows.ledger.drafting import books_of
from monitor.store.ledger import entries, funds


async def reverse(
    asking: Asking, original_id: int, dated: date, amount_fen: int | None = None, memo: str = ""
) -> Answer:
    """Draft a red entry for a registered one; `amount_fen` is positive, None for all that is left of it.

    What comes back is taken from the sites by what is left of their shares, so that a whole reversal, in one step or in
    many, leaves nothing at any site. Registering it, in an open month, makes it count.
    """
    async with asking.engine.connect() as connection:
        townships = await entries.townships(connection, original_id)
        fund_id = (await entries.funds_of(connection, [original_id]))[original_id]

    async def work(connection: AsyncConnection) -> Answer:
        fund = await funds.load(connection, fund_id, lock=True)
        original = await entries.load(connection, original_id)
        if original.state is not State.REGISTERED:
            raise LedgerRefused([Problem("reversal", "只有已登记的分录才用红字冲销；草稿和已审批的可以作废")])
        back = await entries.reversed_shares(connection, original_id)
        left = {site: share - back.get(site, 0) for site, share in original.shares.items()}
        amount = sum(left.values()) if amount_fen is None else amount_fen
        if amount <= 0:
            why = "冲销金额应大于 0" if amount_fen is not None else f"第 {original.number} 号已全部冲销"
            raise LedgerRefused([Problem("reversal", why)])
        shares = allocate(-amount, left) if 0 < amount <= sum(left.values()) else {}
        month = original.paid_on.month if original.paid_on else 0
        red = Entry(
            fund_id=fund_id,
            dated=dated,
            memo=(memo or f"冲销{month}月第{original.number}号：{original.memo}")[:MAX_MEMO],
            amount_fen=-amount,
            econ_class=original.econ_class,
            cost_class=original.cost_class,
            purpose=original.purpose,
            payee=original.payee,
            shares={site: share for site, share in shares.items() if share},
            work_order=original.work_order,
            stage_id=original.stage_id,
            acceptance=original.acceptance,
            reverses=original_id,
            drafted_by=asking.actor.name,
        )
        demand(WRITING, red, await books_of(connection, fund, red, asking.today))
        entry_id = await entries.add(connection, red, townships, [], split="reversal", at_ms=asking.at_ms)
        return {"id": entry_id, "state": State.DRAFT.value, "amount_fen": -amount, "reverses": original_id}

    asked = {"reverse": [original_id, amount_fen, dated]}
    what = f"reverse {original_id}"
    return await once(asking, Action.LEDGER_DRAFT, what, asked, work, townships=townships.values())

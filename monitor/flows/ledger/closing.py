"""A month 月结 or year 年结 is closed: nothing goes in any more; what is left is 结余, or carried over 结转."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.access import Action
from monitor.core.ledger import Fund, LedgerRefused, Problem, Source
from monitor.core.ledger_rules import closing_problem, month_problem, year_problem
from monitor.flows.ledger.asking import Answer, Asking, Where, once
from monitor.store.ledger import funds, sums


async def close_month(asking: Asking, where: Where, month: int) -> Answer:
    """Close a month of a fund, and with it those before it."""

    async def work(connection: AsyncConnection) -> Answer:
        fund = await funds.load(connection, await funds.find(connection, where.year, where.fund), lock=True)
        if problem := month_problem(fund, month, asking.today):
            raise LedgerRefused([problem])
        period = f"{fund.year}-{month:02d}"
        spent = sum((await sums.spent(connection, fund.fund_id, "month", last=period)).values())
        return await _close(connection, asking, fund, period, spent, None)

    asked = {"close": [where.year, where.fund, month]}
    return await once(asking, Action.LEDGER_CLOSE, f"close {where.year}-{month:02d} {where.fund}", asked, work)


async def close_year(asking: Asking, where: Where, carry_document: str = "", carry_to: str = "") -> Answer:
    """Close the year of a fund. With a document number, what is left is carried over into next year's fund.

    `carry_to`: that fund's name, "" for the same name; it must be open already.
    """

    async def work(connection: AsyncConnection) -> Answer:
        fund_id = await funds.find(connection, where.year, where.fund)
        name = (await funds.load(connection, fund_id)).name
        target = await funds.find(connection, where.year + 1, carry_to or name) if carry_document else None
        # In one order for everybody who needs two, so that no two wait for each other.
        for one in sorted({fund_id, target or fund_id}):
            await funds.load(connection, one, lock=True)
        fund = await funds.load(connection, fund_id)
        unpaid, _ = await sums.pending(connection, fund_id)
        if problem := closing_problem(fund, unpaid, asking.today):
            raise LedgerRefused([problem])
        if target is not None:
            next_fund = await funds.load(connection, target)
            if problem := year_problem(next_fund):
                raise LedgerRefused([problem])
            if not fund.available_fen:
                raise LedgerRefused([Problem("carry_over", "没有结余可以结转")])
            change = {
                "kind": "carry_over",
                "source": Source.CARRY_OVER.value,
                "amount_fen": fund.available_fen,
                "document": carry_document,
                "dated": asking.today.isoformat(),
                "memo": f"{fund.year} 年度“{fund.name}”结转",
                "made_by": asking.actor.name,
                "made_ms": asking.at_ms,
            }
            await funds.change(connection, target, change)
        return await _close(connection, asking, fund, str(fund.year), fund.spent_fen, target)

    asked = {"close": [where.year, where.fund, carry_document, carry_to]}
    what = f"close {where.year} {where.fund}" + (f", carried over by {carry_document}" if carry_document else "")
    return await once(asking, Action.LEDGER_CLOSE, what, asked, work)


async def _close(
    connection: AsyncConnection, asking: Asking, fund: Fund, period: str, spent_fen: int, carried_to: int | None
) -> Answer:
    left = fund.budget_fen - spent_fen
    row = {
        "fund_id": fund.fund_id,
        "period": period,
        "budget_fen": fund.budget_fen,
        "spent_fen": spent_fen,
        "carried_fen": left if carried_to is not None else 0,
        "carried_to": carried_to,
        "closed_by": asking.actor.name,
        "closed_ms": asking.at_ms,
    }
    await funds.close(connection, row)
    return {
        "fund": fund.name,
        **{k: row[k] for k in ("period", "budget_fen", "spent_fen", "carried_fen")},
        "left_fen": left,
    }

"""A contract in instalments: signed, its stages, their acceptance with deductions 考核扣款."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.access import Action
from monitor.core.ledger import LedgerRefused, Problem
from monitor.core.ledger_rules import MAX_NAME, text_problem, year_problem
from monitor.core.money import in_yuan
from monitor.errors import MonitorError
from monitor.flows.ledger.asking import Answer, Asking, Where, once
from monitor.store.ledger import contracts, funds


async def add_contract(
    asking: Asking, where: Where, number: str, name: str, payee: str, amount_fen: int, signed_on: date
) -> Answer:
    """A contract of a fund; its stages follow."""

    async def work(connection: AsyncConnection) -> Answer:
        fund = await funds.load(connection, await funds.find(connection, where.year, where.fund), lock=True)
        _refuse(
            year_problem(fund),
            text_problem("合同编号", number, MAX_NAME),
            text_problem("合同名称", name, MAX_NAME),
            text_problem("乙方", payee, MAX_NAME),
            None if amount_fen > 0 else Problem("amount", "合同金额应大于 0"),
        )
        row = {
            "fund_id": fund.fund_id,
            "number": number,
            "name": name,
            "payee": payee,
            "amount_fen": amount_fen,
            "signed_on": signed_on.isoformat(),
            "made_by": asking.actor.name,
            "made_ms": asking.at_ms,
        }
        try:
            await contracts.add(connection, row)
        except IntegrityError:
            raise MonitorError(f"“{fund.name}”（{fund.year}）已有合同 {number}") from None
        return await _shown(connection, fund.fund_id, number)

    asked = {"contract": [where.year, where.fund, number, amount_fen]}
    what = f"contract {number}: {in_yuan(amount_fen)}, {payee}"
    return await once(asking, Action.LEDGER_DRAFT, what, asked, work)


async def add_stage(asking: Asking, where: Where, number: str, n: int, name: str, amount_fen: int) -> Answer:
    """A stage of a contract. All stages together are never more than the contract."""

    async def work(connection: AsyncConnection) -> Answer:
        fund = await funds.load(connection, await funds.find(connection, where.year, where.fund), lock=True)
        contract = await contracts.find(connection, fund.fund_id, number)
        known = await contracts.stages(connection, contract["id"])
        left = contract["amount_fen"] - sum(stage["amount_fen"] for stage in known)
        over = f"合同 {number} 尚未分配到阶段的金额为 {in_yuan(left)} 元，本阶段 {in_yuan(amount_fen)} 元"
        _refuse(
            year_problem(fund),
            text_problem("阶段名称", name, MAX_NAME),
            None if n > 0 else Problem("stage", "阶段序号应为 1 以上的整数"),
            None if amount_fen > 0 else Problem("amount", "阶段金额应大于 0"),
            Problem("stage", over) if amount_fen > left else None,
            Problem("stage", f"合同 {number} 已有第 {n} 阶段") if n in {stage["n"] for stage in known} else None,
        )
        row = {"contract_id": contract["id"], "n": n, "name": name, "amount_fen": amount_fen}
        await contracts.add_stage(connection, row)
        return await _shown(connection, fund.fund_id, number)

    asked = {"stage": [where.year, where.fund, number, n, amount_fen]}
    what = f"contract {number} stage {n}: {in_yuan(amount_fen)}"
    return await once(asking, Action.LEDGER_DRAFT, what, asked, work)


async def accept_stage(
    asking: Asking,
    where: Where,
    number: str,
    n: int,
    accepted_on: date,
    acceptance: str,
    deduction_fen: int = 0,
    reason: str = "",
) -> Answer:
    """A stage was accepted 验收: from now on it may be paid, without what is deducted. Once, and for good."""

    async def work(connection: AsyncConnection) -> Answer:
        fund = await funds.load(connection, await funds.find(connection, where.year, where.fund), lock=True)
        stage_id = await contracts.find_stage(connection, fund.fund_id, number, n)
        stage = await contracts.load_stage(connection, stage_id)
        _refuse(
            year_problem(fund),
            text_problem("验收单", acceptance, MAX_NAME),
            text_problem("扣款原因", reason, 200) if deduction_fen or reason else None,
            Problem("date", f"验收日期 {accepted_on} 晚于今天 {asking.today}") if accepted_on > asking.today else None,
            Problem("stage", f"第 {n} 阶段已于 {stage.accepted_on} 验收") if stage.accepted_on else None,
            None
            if 0 <= deduction_fen <= stage.amount_fen
            else Problem("amount", f"扣款应在 0 到阶段金额 {in_yuan(stage.amount_fen)} 元之间"),
        )
        values = {
            "accepted_on": accepted_on.isoformat(),
            "acceptance": acceptance,
            "accepted_by": asking.actor.name,
            "deduction_fen": deduction_fen,
            "deduction_reason": reason,
        }
        await contracts.accept(connection, stage_id, values)
        return await _shown(connection, fund.fund_id, number)

    asked = {"accept": [where.year, where.fund, number, n, accepted_on, acceptance, deduction_fen]}
    what = f"contract {number} stage {n} accepted {accepted_on}: {acceptance}, without {in_yuan(deduction_fen)}"
    return await once(asking, Action.LEDGER_DRAFT, what, asked, work)


async def _shown(connection: AsyncConnection, fund_id: int, number: str) -> Answer:
    contract = await contracts.find(connection, fund_id, number)
    return shown({**contract, "stages": await contracts.stages(connection, contract["id"])})


def shown(contract: Mapping[str, Any]) -> Answer:
    """A contract as commands and programs read it; `payable_fen` of a stage: what may still be paid now."""
    return {
        "number": contract["number"],
        "name": contract["name"],
        "payee": contract["payee"],
        "amount_fen": contract["amount_fen"],
        "signed_on": contract["signed_on"],
        "stages": [_stage(stage) for stage in contract["stages"]],
    }


def _stage(stage: Mapping[str, Any]) -> Answer:
    left = stage["amount_fen"] - stage["deduction_fen"] - stage["paid_fen"]
    names: Sequence[str] = (
        "n", "name", "amount_fen", "accepted_on", "acceptance", "deduction_fen", "deduction_reason", "paid_fen",
    )  # fmt: skip
    return {**{name: stage[name] for name in names}, "payable_fen": left if stage["accepted_on"] else 0}


def _refuse(*found: Problem | None) -> None:
    if wrong := [problem for problem in found if problem]:
        raise LedgerRefused(wrong)

"""A fund 专项资金 and its money: initial budget, adjustments, what it may pay; the year's economic classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.access import Action
from monitor.core.ledger import Fund, LedgerRefused, Problem, Source
from monitor.core.ledger_rules import MAX_NAME, text_problem, year_problem
from monitor.core.money import in_yuan
from monitor.errors import MonitorError
from monitor.flows.ledger.asking import Answer, Asking, once
from monitor.store.ledger import funds

_CODE = re.compile(r"\d{3,10}")
YEARS = range(2000, 2100)


@dataclass(frozen=True, slots=True)
class NewFund:
    """A fund as it is asked for; `amount_fen` is the initial budget 年初预算数, with its document number."""

    year: int
    name: str
    account: str
    purposes: Sequence[str]
    classes: Sequence[str]
    amount_fen: int
    document: str
    dated: date
    source: Source = Source.APPROPRIATION


async def add_fund(asking: Asking, new: NewFund) -> Answer:
    """Open a fund. Raises LedgerRefused, or MonitorError where the year has one of that name."""

    async def work(connection: AsyncConnection) -> Answer:
        known = await funds.classes(connection, new.year)
        found = [
            text_problem("专项资金名称", new.name, MAX_NAME),
            text_problem("专户", new.account, MAX_NAME),
            text_problem("文号", new.document, MAX_NAME),
            *(text_problem("用途", purpose, MAX_NAME) for purpose in new.purposes),
            None if new.purposes else Problem("purpose", "专款专用：应写明用途，至少一项"),
            None if new.classes else Problem("class", "专款专用：应写明可列支的支出经济分类，至少一项"),
            *(None if c in known else Problem("class", f"{new.year} 年度没有支出经济分类 {c}") for c in new.classes),
            None if new.amount_fen >= 0 else Problem("amount", "年初预算不能小于 0"),
            None if new.year in YEARS else Problem("year", f"年度应在 2000 到 2099 之间，实为 {new.year}"),
        ]
        if wrong := [problem for problem in found if problem]:
            raise LedgerRefused(wrong)
        row = {
            "year": new.year,
            "name": new.name,
            "account": new.account,
            "purposes": list(dict.fromkeys(new.purposes)),
            "classes": sorted(set(new.classes)),
            "created_by": asking.actor.name,
            "created_ms": asking.at_ms,
        }
        try:
            fund_id = await funds.add(connection, row)
        except IntegrityError:
            raise MonitorError(f"{new.year} 年度已有专项资金“{new.name}”") from None
        change = _change(asking, "initial", new.source, new.amount_fen, new.document, new.dated, "年初预算")
        await funds.change(connection, fund_id, change)
        return shown(await funds.load(connection, fund_id))

    asked = {"fund": [new.year, new.name, new.amount_fen, new.document]}
    what = f"fund {new.year} {new.name}: {in_yuan(new.amount_fen)}, {new.document}"
    return await once(asking, Action.LEDGER_DRAFT, what, asked, work)


async def adjust_fund(
    asking: Asking, year: int, name: str, amount_fen: int, document: str, dated: date, source: Source, memo: str = ""
) -> Answer:
    """Adjust a fund's budget, up or down. Never below what is registered, never in a closed year."""

    async def work(connection: AsyncConnection) -> Answer:
        fund = await funds.load(connection, await funds.find(connection, year, name), lock=True)
        found = [
            year_problem(fund),
            text_problem("文号", document, MAX_NAME),
            text_problem("说明", memo, 200) if memo else None,
            None if amount_fen else Problem("amount", "调整金额不能为 0"),
        ]
        if fund.available_fen + amount_fen < 0:
            less = f"调整后预算 {in_yuan(fund.budget_fen + amount_fen)} 元"
            found.append(Problem("overdrawn", f"{less}，低于已登记的 {in_yuan(fund.spent_fen)} 元"))
        if wrong := [problem for problem in found if problem]:
            raise LedgerRefused(wrong)
        change = _change(asking, "adjustment", source, amount_fen, document, dated, memo)
        await funds.change(connection, fund.fund_id, change)
        return shown(await funds.load(connection, fund.fund_id))

    asked = {"adjust": [year, name, amount_fen, document, dated, source]}
    # The amount too: of budgets nothing but the audit log stands in a chain.
    what = f"adjust {year} {name}: {in_yuan(amount_fen)}, {document}"
    return await once(asking, Action.LEDGER_DRAFT, what, asked, work)


async def edit_classes(asking: Asking, year: int, put: Mapping[str, str], remove: Sequence[str] = ()) -> Answer:
    """Change a year's table of economic classes: add or rename codes, remove some. Entries keep the codes they have."""

    async def work(connection: AsyncConnection) -> Answer:
        classes = await funds.classes(connection, year)
        wrong = [Problem("class", f"代码应为 3 到 10 位数字，实为 {code}") for code in put if not _CODE.fullmatch(code)]
        wrong += [problem for name in put.values() if (problem := text_problem("名称", name, MAX_NAME))]
        wrong += [Problem("class", f"{year} 年度没有支出经济分类 {code}") for code in remove if code not in classes]
        if year not in YEARS:
            wrong.append(Problem("year", f"年度应在 2000 到 2099 之间，实为 {year}"))
        if wrong:
            raise LedgerRefused(wrong)
        left = {code: name for code, name in {**classes, **put}.items() if code not in remove}
        await funds.put_classes(connection, year, dict(sorted(left.items())))
        return {"year": year, "classes": await funds.classes(connection, year)}

    asked = {"classes": [year, dict(put), list(remove)]}
    what = " ".join([f"classes {year}:", *(f"+{code}" for code in put), *(f"-{code}" for code in remove)])
    return await once(asking, Action.LEDGER_DRAFT, what, asked, work)


def shown(fund: Fund) -> Answer:
    """A fund as commands and programs read it; amounts in fen."""
    return {
        "id": fund.fund_id,
        "year": fund.year,
        "name": fund.name,
        "account": fund.account,
        "purposes": list(fund.purposes),
        "classes": list(fund.classes),
        "budget_fen": fund.budget_fen,
        "spent_fen": fund.spent_fen,
        "available_fen": fund.available_fen,
        "last_number": fund.last_number,
        "closed_month": fund.closed_month,
        "year_closed": fund.year_closed,
    }


def _change(
    asking: Asking, kind: str, source: Source, amount_fen: int, document: str, dated: date, memo: str
) -> dict[str, Any]:
    return {
        "kind": kind,
        "source": source.value,
        "amount_fen": amount_fen,
        "document": document,
        "dated": dated.isoformat(),
        "memo": memo,
        "made_by": asking.actor.name,
        "made_ms": asking.at_ms,
    }

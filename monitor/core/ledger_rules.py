"""What the ledger allows, and why not: every check that stands before a step (docs/ledger.md).

What is wrong is a value that can be listed: a check looks at an entry and at the books and answers a `Problem` or
None, and a step is a list of checks. Nobody is asked to mend one thing only to be told of the next.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from datetime import date

from monitor.core.ledger import COST_CLASSES, STATE_NAMES, Books, Entry, Fund, LedgerRefused, Problem, State
from monitor.core.money import in_yuan
from monitor.core.workorder import no_such_order

MAX_MEMO = 200
MAX_NAME = 100

Check = Callable[[Entry, Books], Problem | None]


def problems(checks: Sequence[Check], entry: Entry, books: Books) -> list[Problem]:
    """Everything that stands against it."""
    return [problem for check in checks if (problem := check(entry, books)) is not None]


def demand(checks: Sequence[Check], entry: Entry, books: Books) -> None:
    """Raises LedgerRefused where anything stands against it."""
    if found := problems(checks, entry, books):
        raise LedgerRefused(found)


def text_problem(what: str, text: str, longest: int) -> Problem | None:
    """What people write is printed, exported and chained: not empty, one line, nothing invisible."""
    if not text.strip():
        return Problem("empty", f"{what}不能为空")
    if len(text) > longest:
        return Problem("too_long", f"{what}最多 {longest} 字，实为 {len(text)} 字")
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text):
        return Problem("unprintable", f"{what}含有换行或不可见字符")
    return None


# --- what is written ------------------------------------------------------------------------------------------------


def _amount(entry: Entry, books: Books) -> Problem | None:
    if entry.amount_fen == 0:
        return Problem("amount", "金额不能为 0")
    if entry.reverses is None and entry.amount_fen < 0:
        return Problem("amount", "金额应大于 0；更正已登记的分录请用红字冲销")
    return None


def _memo(entry: Entry, books: Books) -> Problem | None:
    return text_problem("摘要", entry.memo, MAX_MEMO)


def _payee(entry: Entry, books: Books) -> Problem | None:
    return text_problem("收款人", entry.payee, MAX_NAME)


def _dated(entry: Entry, books: Books) -> Problem | None:
    if entry.dated > books.today:
        return Problem("date", f"业务日期 {entry.dated} 晚于今天 {books.today}")
    # A bill of the last days of a year is paid in the next.
    if not books.fund.year - 1 <= entry.dated.year <= books.fund.year:
        return Problem("date", f"业务日期 {entry.dated} 不属于 {books.fund.year} 年度的专项资金")
    return None


def _class(entry: Entry, books: Books) -> Problem | None:
    code, fund = entry.econ_class, books.fund
    if entry.reverses is not None:
        return None  # a red entry has its original's class, whatever the fund may pay by now
    if code not in books.classes:
        return Problem("class", f"{fund.year} 年度没有支出经济分类 {code or '（空）'}")
    if code not in fund.classes:
        return Problem(
            "class", f"专款专用：“{fund.name}”不得列支 {code} {books.classes[code]}，只可列支 {'、'.join(fund.classes)}"
        )
    return None


def _purpose(entry: Entry, books: Books) -> Problem | None:
    fund = books.fund
    if entry.reverses is None and entry.purpose not in fund.purposes:
        return Problem(
            "purpose",
            f"专款专用：“{entry.purpose or '（空）'}”不是“{fund.name}”的用途，只可用于 {'、'.join(fund.purposes)}",
        )
    return None


def _cost_class(entry: Entry, books: Books) -> Problem | None:
    if entry.cost_class and entry.cost_class not in COST_CLASSES:
        return Problem("cost_class", f"成本分类应为 {'、'.join(COST_CLASSES)} 之一，实为 {entry.cost_class}")
    return None


def _basis(entry: Entry, books: Books) -> Problem | None:
    if not (entry.work_order or entry.stage_id or entry.acceptance):
        return Problem("basis", "缺少依据：应有工单号、合同阶段或验收单之一（按需拨付）")
    for what, text in (("工单号", entry.work_order), ("验收单", entry.acceptance)):
        if text and (problem := text_problem(what, text, MAX_NAME)):
            return problem
    return None


def _order(entry: Entry, books: Books) -> Problem | None:
    if entry.work_order and not books.order_known:
        return Problem("order", f"{no_such_order(entry.work_order)}；未经本系统派单的，请以验收单为依据")
    return None


def _sites(entry: Entry, books: Books) -> Problem | None:
    if not entry.shares:
        if entry.reverses is not None:
            return None  # more than there is cannot be taken from sites: `_reversal` says so
        return Problem("sites", "应写明所用站点，至少一个")
    if sum(entry.shares.values()) != entry.amount_fen:
        return Problem("sites", "各站点分摊之和与金额不符")
    return None


def _stage(entry: Entry, books: Books) -> Problem | None:
    stage = books.stage
    if entry.stage_id is None or stage is None or entry.reverses is not None:
        return None
    name = f"合同 {stage.contract} 第 {stage.stage} 阶段"
    if stage.fund_id != books.fund.fund_id:
        return Problem("stage", f"{name}不属于“{books.fund.name}”（{books.fund.year}）")
    if stage.payee != entry.payee:
        return Problem("stage", f"收款人应为合同乙方 {stage.payee}，实为 {entry.payee}")
    if stage.accepted_on is None:
        return Problem("stage", f"{name}尚未验收，不得付款")
    if entry.amount_fen > stage.payable_fen:
        payable, amount = in_yuan(stage.payable_fen), in_yuan(entry.amount_fen)
        return Problem("stage", f"{name}可付 {payable} 元（已减考核扣款和已付），本笔 {amount} 元")
    return None


def _reversal(entry: Entry, books: Books) -> Problem | None:
    if entry.reverses is None:
        return None
    original = books.original
    if original is None or original.fund_id != entry.fund_id or original.state is not State.REGISTERED:
        return Problem("reversal", "红字冲销的应是同一专项资金中已登记的分录")
    if original.reverses is not None:
        return Problem("reversal", "红字分录不能再冲销；请重新登记正确的分录")
    if entry.amount_fen >= 0:
        return Problem("reversal", "红字金额应为负数")
    left = original.amount_fen - sum(books.reversed_shares.values())
    if -entry.amount_fen > left:
        amount = in_yuan(-entry.amount_fen)
        return Problem("reversal", f"第 {original.number} 号可冲销 {in_yuan(left)} 元，本次 {amount} 元")
    for site, share in entry.shares.items():
        there = original.shares.get(site, 0) - books.reversed_shares.get(site, 0)
        if -share > there:  # another red entry, drafted when this one was, has been registered since
            said = f"站点 {site} 可冲销 {in_yuan(there)} 元，本次 {in_yuan(-share)} 元"
            return Problem("reversal", f"第 {original.number} 号在{said}；请作废后重新冲销")
    return None


def _year_open(entry: Entry, books: Books) -> Problem | None:
    return year_problem(books.fund)


def year_problem(fund: Fund) -> Problem | None:
    """A closed year takes nothing."""
    if fund.year_closed:
        return Problem("year_closed", f"“{fund.name}” {fund.year} 年度已结账，不再接受任何登记、调整或冲销")
    return None


# --- the steps ------------------------------------------------------------------------------------------------------


def _in_state(state: State, step: str) -> Check:
    def check(entry: Entry, books: Books) -> Problem | None:
        if entry.state is state:
            return None
        return Problem("state", f"只有{STATE_NAMES[state]}的分录才能{step}，这笔是{STATE_NAMES[entry.state]}")

    return check


def balance(entry: Entry, books: Books) -> Problem | None:
    """The registered sum never exceeds the adjusted budget."""
    available = books.fund.available_fen
    if entry.amount_fen > available:
        return Problem(
            "overdrawn", f"专项资金余额不足：可用 {in_yuan(available)} 元，本笔 {in_yuan(entry.amount_fen)} 元"
        )
    return None


def _paid(entry: Entry, books: Books) -> Problem | None:
    fund, paid = books.fund, entry.paid_on
    if paid is None:
        return Problem("paid_on", "登记应有付款日期")
    if paid > books.today:
        return Problem("paid_on", f"付款日期 {paid} 晚于今天 {books.today}")
    if paid < entry.dated:
        return Problem("paid_on", f"付款日期 {paid} 早于业务日期 {entry.dated}")
    if paid.year != fund.year:
        return Problem("paid_on", f"付款日期 {paid} 不在 {fund.year} 年度内")
    if paid.month <= fund.closed_month:
        return Problem(
            "month_closed", f"{fund.year} 年 {paid.month} 月已月结，不再登记；更正请在未月结的月份用红字冲销"
        )
    return None


def _voucher(entry: Entry, books: Books) -> Problem | None:
    return text_problem("凭证号", entry.voucher, MAX_NAME)


WRITING: Sequence[Check] = (
    _year_open, _amount, _memo, _dated, _purpose, _class, _cost_class, _payee, _basis, _sites, _stage, _reversal,
)  # fmt: skip
#: An order is never deleted: what named one when it was drafted names one for good.
DRAFTING: Sequence[Check] = (*WRITING, _order)
APPROVING: Sequence[Check] = (_in_state(State.DRAFT, "审批"), *WRITING, balance)
#: The balance last and alone where nothing else is wrong: its sentence is a promise.
REGISTERING: Sequence[Check] = (_in_state(State.APPROVED, "登记"), *WRITING, _paid, _voucher, balance)


def void_problem(entry: Entry) -> Problem | None:
    """What is registered stays; what is not may be given up."""
    if entry.state in (State.DRAFT, State.APPROVED):
        return None
    if entry.state is State.REGISTERED:
        return Problem("state", "已登记的分录不可作废，更正请用红字冲销")
    return Problem("state", "这笔已经作废")


def month_problem(fund: Fund, month: int, today: date) -> Problem | None:
    """Why a month cannot be closed 月结. Closing a month closes those before it, too."""
    if problem := year_problem(fund):
        return problem
    if not 1 <= month <= 12:
        return Problem("month", f"月份应为 1 到 12，实为 {month}")
    if month <= fund.closed_month:
        return Problem("month", f"{fund.year} 年 {month} 月已经月结")
    if (fund.year, month) > (today.year, today.month):
        return Problem("month", f"{fund.year} 年 {month} 月尚未开始，不能月结")
    return None


def closing_problem(fund: Fund, unpaid: int, today: date) -> Problem | None:
    """Why a year cannot be closed 年结. `unpaid`: entries that are approved and not registered."""
    if problem := year_problem(fund):
        return problem
    if today.year < fund.year:
        return Problem("year", f"{fund.year} 年度尚未开始，不能结账")
    if unpaid:
        return Problem("unpaid", f"还有 {unpaid} 笔已批未付，应先登记或作废")
    return None


def forecast_fen(fund: Fund, pending_fen: int, contract_paid_fen: int, contract_open_fen: int, today: date) -> int:
    """What will be registered by the end of the year.

    Contracts are paid as agreed: what is paid, and what is open of their stages. Everything else goes on at the pace of
    the year so far, by days, the present one included. Never less than what is registered or approved; of a year that
    is over or closed nothing is guessed. (docs/ledger.md, Forecast)
    """
    certain = fund.spent_fen + pending_fen
    if fund.year_closed or today.year > fund.year:
        return certain
    begin, end = date(fund.year, 1, 1), date(fund.year, 12, 31)
    days, gone = (end - begin).days + 1, max((today - begin).days + 1, 1)
    other = fund.spent_fen - contract_paid_fen
    return max(certain, contract_paid_fen + contract_open_fen + other * days // gone)

"""The cost ledger 经费台账: what an entry, a fund and a contract's stage are (docs/ledger.md). Amounts are fen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from monitor.errors import MonitorError


class State(StrEnum):
    """草稿 → 已审批 → 已登记; what is not to be paid after all is 作废, which a registered entry can never be."""

    DRAFT = "draft"
    APPROVED = "approved"
    REGISTERED = "registered"
    VOID = "void"


STATE_NAMES: Mapping[str, str] = {"draft": "草稿", "approved": "已审批", "registered": "已登记", "void": "作废"}


class Source(StrEnum):
    """Where a fund's money comes from."""

    APPROPRIATION = "appropriation"
    CARRY_OVER = "carry_over"
    OTHER = "other"


SOURCE_NAMES: Mapping[str, str] = {"appropriation": "本年拨款", "carry_over": "上年结转", "other": "其他资金"}

#: Cost classes of GB/T 28827.7-2022, a second classification beside the economic one.
COST_CLASSES: Mapping[str, str] = {
    "environment": "基础环境",
    "hardware": "硬件",
    "software": "软件",
    "security": "安全",
    "management": "运维管理",
}

#: Economic classes 支出经济分类 that are shipped for a year, until the year's own table is edited.
ECON_CLASSES: Mapping[str, str] = {
    "30201": "办公费",
    "30206": "电费",
    "30207": "邮电费",
    "30213": "维修(护)费",
    "30214": "租赁费",
    "30226": "劳务费",
    "30227": "委托业务费",
    "30299": "其他商品和服务支出",
    "31002": "办公设备购置",
    "31003": "专用设备购置",
    "31007": "信息网络及软件购置更新",
}
#: The years that they are shipped for.
ECON_YEARS = range(2018, 2036)


@dataclass(frozen=True, slots=True)
class Fund:
    """A fund 专项资金 of a year, as it stands. `closed_month`: the last month that is closed, 0 for none."""

    fund_id: int
    year: int
    name: str
    account: str
    purposes: tuple[str, ...]
    classes: tuple[str, ...]
    budget_fen: int
    spent_fen: int
    last_number: int = 0
    closed_month: int = 0
    year_closed: bool = False

    @property
    def available_fen(self) -> int:
        """What may still be registered."""
        return self.budget_fen - self.spent_fen


@dataclass(frozen=True, slots=True)
class Stage:
    """An instalment of a contract. `paid_fen`: registered for it, reversals taken off."""

    contract: str
    stage: int
    fund_id: int
    payee: str
    amount_fen: int
    deduction_fen: int = 0
    accepted_on: date | None = None
    paid_fen: int = 0

    @property
    def payable_fen(self) -> int:
        """What may still be paid: the amount without the deductions 考核扣款 and without what is paid."""
        return self.amount_fen - self.deduction_fen - self.paid_fen


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of any state. A red one has a negative amount, and so have its shares; `shares`: fen by site."""

    fund_id: int
    dated: date
    memo: str
    amount_fen: int
    econ_class: str
    purpose: str
    payee: str
    shares: Mapping[str, int]
    cost_class: str = ""
    work_order: str = ""
    stage_id: int | None = None
    acceptance: str = ""
    reverses: int | None = None
    entry_id: int | None = None
    state: State = State.DRAFT
    drafted_by: str = ""
    approved_by: str = ""
    paid_on: date | None = None
    voucher: str = ""
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Books:
    """What must be known beside an entry: its fund, the year's classes, its stage, and what it reverses.

    `today`: the local day. `order_known`: there is a work order of the number that the entry names.
    `reversed_shares`: of `original`, by registered red entries, by site, as positive numbers.
    """

    fund: Fund
    today: date
    classes: Mapping[str, str] = field(default_factory=dict)
    stage: Stage | None = None
    original: Entry | None = None
    order_known: bool = True
    reversed_shares: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why not: a short stable word for programs, a sentence for people."""

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


class LedgerRefused(MonitorError):
    """A step that the rules do not allow; `problems` are all the reasons."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("；".join(p.text for p in self.problems))

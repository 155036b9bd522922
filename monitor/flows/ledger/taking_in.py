"""A year's entries from a table (XLSX, CSV): every mistake at once, or all of it as drafts, once.

What comes in goes the way of every entry: somebody else approves it, then it is registered, by its `batch`. The table
is checked as registering will check it, row after row against the balance that the rows before it leave.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.access import Action, demand
from monitor.core.ledger import COST_CLASSES, Entry, Fund, LedgerRefused, Stage, State
from monitor.core.ledger_rules import DRAFTING, REGISTERING, Check, balance, problems
from monitor.core.money import parse_fen
from monitor.core.sites import Inventory
from monitor.errors import ConfigError, Mistake, MonitorError
from monitor.flows.ledger.asking import Answer, Asking, Where, once
from monitor.flows.ledger.drafting import NewEntry, books_to_draft, prepared, townships_of
from monitor.flows.ledger.places import SPLIT_NAMES, Split, parse_weights, sites_of
from monitor.inventory.cells import a_date, narrow
from monitor.inventory.sheets import read_sheet
from monitor.inventory.spreadsheet import Row
from monitor.store.ledger import entries, funds, requests

T = TypeVar("T")
REQUIRED = ("日期", "摘要", "金额", "支出经济分类", "站点")
OPTIONAL = (
    "收款人", "用途", "工单号", "合同编号", "阶段", "验收单", "分摊", "权重", "成本分类", "付款日期", "凭证号",
)  # fmt: skip
MAX_ROWS = 10_000
#: The column that a problem of core/ledger.py is shown at.
COLUMNS: Mapping[str, str] = {
    "amount": "金额", "overdrawn": "金额", "date": "日期", "class": "支出经济分类", "purpose": "用途",
    "cost_class": "成本分类", "basis": "工单号", "order": "工单号", "sites": "站点", "stage": "合同编号",
    "paid_on": "付款日期", "month_closed": "付款日期",
}  # fmt: skip
#: What stands against a row that says when it was paid, and against one that does not: it is to be approved.
_AS_PAID: Sequence[Check] = tuple(dict.fromkeys((*DRAFTING, *REGISTERING)))
_AS_UNPAID: Sequence[Check] = (*DRAFTING, balance)
_APART = re.compile(r"[、,;；，\s]+")
_CODE = re.compile(r"(\d{3,10})\b.*")


@dataclass(frozen=True, slots=True)
class Read:
    """A table as it was understood: its entries with their row, and what is wrong with it."""

    file: str
    entries: Sequence[tuple[int, NewEntry]]
    mistakes: Sequence[Mistake]


def read(path: Path, where: Where, inventory: Inventory, classes: Mapping[str, str]) -> Read:
    """Understand a table by itself. Raises ConfigError where it is none."""
    table = read_sheet(path, REQUIRED, OPTIONAL)
    if len(table.rows) > MAX_ROWS:
        raise ConfigError([Mistake(table.file, 0, "", f"最多 {MAX_ROWS} 行，实为 {len(table.rows)} 行")])
    mistakes = list(table.mistakes)
    found: list[tuple[int, NewEntry]] = []
    for row in table.rows:
        if row.broken:
            continue
        before = len(mistakes)
        entry = _entry(table.file, row, where, inventory, classes, mistakes)
        if len(mistakes) == before and entry is not None:
            found.append((row.number, entry))
    return Read(table.file, found, mistakes)


def _entry(
    file: str, row: Row, where: Where, inventory: Inventory, classes: Mapping[str, str], mistakes: list[Mistake]
) -> NewEntry | None:
    def cell(column: str, meaning: Callable[[str], T]) -> T | None:
        try:
            return meaning(row.cells.get(column, ""))
        except ValueError as error:
            mistakes.append(Mistake(file, row.number, column, str(error)))
            return None

    dated = cell("日期", _day)
    amount = cell("金额", parse_fen)
    econ_class = cell("支出经济分类", lambda text: _class(text, classes))
    sites = cell("站点", lambda text: sites_of(inventory, [word for word in _APART.split(text) if word]))
    split = cell("分摊", _split)
    weights = cell("权重", lambda text: parse_weights(item for item in _APART.split(narrow(text)) if item))
    paid_on = cell("付款日期", lambda text: _day(text) if text else None)
    cost_class = cell("成本分类", _cost_class)
    stage = cell("阶段", _stage)
    if dated is None or amount is None or econ_class is None or sites is None or split is None or weights is None:
        return None
    return NewEntry(
        where, dated, row.cells["摘要"], amount, econ_class, sites,
        payee=row.cells.get("收款人", ""), purpose=row.cells.get("用途", ""), cost_class=cost_class or "",
        split="weights" if weights and not row.cells.get("分摊") else split, weights=weights,
        work_order=narrow(row.cells.get("工单号", "")), contract=narrow(row.cells.get("合同编号", "")),
        stage=stage or 0, acceptance=row.cells.get("验收单", ""),
        paid_on=paid_on, voucher=row.cells.get("凭证号", ""),
    )  # fmt: skip


def _day(text: str) -> date:
    try:
        found = a_date(text)
    except ValueError:
        found = None
    if found is None:
        raise ValueError(f"应为日期，如 2020-03-05，实为 {text[:40]!r}" if text else "应为日期，如 2020-03-05，实为空")
    return found


def _class(text: str, classes: Mapping[str, str]) -> str:
    """A code, a code with its name behind, or a name."""
    plain = narrow(text)
    if match := _CODE.fullmatch(plain):
        return match[1]
    named = [code for code, name in classes.items() if narrow(name) == plain]
    if len(named) != 1:
        raise ValueError(f"应为支出经济分类代码，如 30213，实为 {text[:40]!r}")
    return named[0]


def _split(text: str) -> Split:
    if not text:
        return "equal"
    if text not in SPLIT_NAMES:
        raise ValueError(f"应为 平均、按机位 或 按权重，实为 {text[:40]!r}")
    return SPLIT_NAMES[text]


def _cost_class(text: str) -> str:
    by_name = {name: key for key, name in COST_CLASSES.items()}
    if text and text not in by_name and text not in COST_CLASSES:
        raise ValueError(f"应为 {'、'.join(by_name)}，实为 {text[:40]!r}")
    return by_name.get(text, text)


def _stage(text: str) -> int:
    plain = narrow(text).removeprefix("第").removesuffix("阶段").removesuffix("期")
    if text and not (plain.isascii() and plain.isdigit() and int(plain) > 0):
        raise ValueError(f"应为阶段序号，如 1，实为 {text[:40]!r}")
    return int(plain or 0)


# --- against the books ------------------------------------------------------------------------------------------------


async def checked(
    connection: AsyncConnection, asking: Asking, fund: Fund, inventory: Inventory, table: Read
) -> list[Mistake]:
    """What the rules say of each row, with the balance and the stages as the rows before it leave them."""
    mistakes: list[Mistake] = []
    stages: dict[int, Stage] = {}
    for number, new in table.entries:
        try:
            entry = await prepared(connection, fund, inventory, new, asking.actor.name)
        except LedgerRefused as error:
            mistakes += [Mistake(table.file, number, COLUMNS.get(p.code, ""), p.text) for p in error.problems]
            continue
        except MonitorError as error:
            mistakes.append(Mistake(table.file, number, "合同编号", str(error)))
            continue
        books = await books_to_draft(connection, fund, entry, asking.today)
        if entry.stage_id is not None:
            books = replace(books, stage=stages.get(entry.stage_id, books.stage))
        # Without date and voucher of the payment a row is not said to be paid, and is not checked as if it were.
        checks = _AS_PAID if entry.paid_on or entry.voucher else _AS_UNPAID
        found = problems(checks, replace(entry, state=State.APPROVED), books)
        mistakes += [Mistake(table.file, number, COLUMNS.get(p.code) or _column(p.text), p.text) for p in found]
        if not found:
            fund = replace(fund, spent_fen=fund.spent_fen + entry.amount_fen)
            if entry.stage_id is not None and books.stage is not None:
                stages[entry.stage_id] = replace(books.stage, paid_fen=books.stage.paid_fen + entry.amount_fen)
    return mistakes


def _column(text: str) -> str:
    """A problem of a text begins with the name of its column."""
    return next((column for column in (*REQUIRED, *OPTIONAL) if text.startswith(column)), "")


async def dry_run(asking: Asking, where: Where, inventory: Inventory, path: Path) -> Answer:
    """What a table would bring: how many rows, how much, how many are there already, and every mistake."""
    demand(asking.actor, Action.LEDGER_DRAFT)
    async with asking.engine.connect() as connection:
        fund = await funds.load(connection, await funds.find(connection, where.year, where.fund))
        table = read(path, where, inventory, await funds.classes(connection, fund.year))
        table, already = await _new(connection, fund, table)
        mistakes = [*table.mistakes, *await checked(connection, asking, fund, inventory, table)]
    return {
        "rows": len(table.entries) + already,
        "already": already,
        "amount_fen": sum(new.amount_fen for _, new in table.entries),
        "mistakes": sorted(mistakes),
    }


async def take_in(asking: Asking, where: Where, inventory: Inventory, path: Path) -> Answer:
    """Make drafts of a table, all of it or nothing; rows that an earlier import brought are passed over.

    Raises ConfigError with every mistake.
    """
    async with asking.engine.connect() as connection:
        fund_id = await funds.find(connection, where.year, where.fund)
        table = read(path, where, inventory, await funds.classes(connection, where.year))
    if table.mistakes:
        raise ConfigError(sorted(table.mistakes))
    townships = {code for _, new in table.entries for code in townships_of(inventory, new.sites).values()}

    async def work(connection: AsyncConnection) -> Answer:
        fund = await funds.load(connection, fund_id, lock=True)
        fresh, already = await _new(connection, fund, table)
        if mistakes := await checked(connection, asking, fund, inventory, fresh):
            raise ConfigError(sorted(mistakes))
        keys = _keys(fund, table)
        batch = hashlib.sha256("".join(keys[number] for number, _ in fresh.entries).encode()).hexdigest()[:16]
        ids: list[int] = []
        for number, new in fresh.entries:
            entry: Entry = await prepared(connection, fund, inventory, new, asking.actor.name)
            codes = townships_of(inventory, new.sites)
            entry_id = await entries.add(connection, entry, codes, [], split=new.split, at_ms=asking.at_ms, batch=batch)
            await requests.claim(connection, keys[number], "import", {}, asking.at_ms)
            await requests.settle(connection, keys[number], {"id": entry_id})
            ids.append(entry_id)
        return {
            "batch": batch if ids else "",
            "added": len(ids),
            "already": already,
            "amount_fen": sum(new.amount_fen for _, new in fresh.entries),
        }

    asked = {"import": _digest([new for _, new in table.entries])}
    what = f"import {table.file} {where.year} {where.fund}"
    return await once(asking, Action.LEDGER_DRAFT, what, asked, work, townships=townships)


def _keys(fund: Fund, table: Read) -> dict[int, str]:
    """A key for each row: what it says, and how often the rows above it say the same."""
    seen: Counter[str] = Counter()
    keys: dict[int, str] = {}
    for number, new in table.entries:
        digest = _digest([new])
        seen[digest] += 1
        keys[number] = f"import:{fund.fund_id}:{digest}:{seen[digest]}"
    return keys


def _digest(of: Sequence[NewEntry]) -> str:
    def plain(value: Any) -> Any:
        return str(value)

    rows = [[getattr(new, name) for name in NewEntry.__slots__ if name != "papers"] for new in of]
    text = json.dumps(rows, ensure_ascii=False, sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()


async def _new(connection: AsyncConnection, fund: Fund, table: Read) -> tuple[Read, int]:
    """The rows that no earlier import brought, and how many it did."""
    keys = _keys(fund, table)
    known = await requests.known(connection, list(keys.values()))
    fresh = [(number, new) for number, new in table.entries if keys[number] not in known]
    return replace(table, entries=fresh), len(table.entries) - len(fresh)

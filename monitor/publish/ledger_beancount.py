"""A fund's year as plain text for beancount, so that its sums are checked by a program that is not ours.

Transactions come from the entries and their shares; the balances that are asserted come from the sums that were kept
while registering. `bean-check` finds whether the two agree to the fen.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from monitor.core.ledger import Fund
from monitor.core.money import yuan

_ODD = re.compile(r"[^A-Za-z0-9-]")
#: Beancount lets a balance be off by a fen unless it is told otherwise.
TOLERANCE = "~ 0.001"
SOURCES = {"appropriation": "Appropriation", "carry_over": "CarryOver", "other": "Other"}
ASSET = "Assets:Fund"
CARRIED = "Equity:CarriedOver"


def text(
    fund: Fund,
    changes: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    sums: Sequence[tuple[str, str, str, int]],
    carried_fen: int,
    names: Mapping[str, str],
) -> Iterator[str]:
    """Lines of the file. `sums`: (month, economic class, site, fen) as kept; `names`: of the sites."""
    accounts = _accounts({(code, site) for _, code, site, _ in sums} | _of_rows(rows))
    days = [date.fromisoformat(c["dated"]) for c in changes] + [date.fromisoformat(r["paid_on"]) for r in rows]
    opened = min([date(fund.year, 1, 1), *days])
    end = max([date(fund.year, 12, 31), *days]) + timedelta(days=1)
    yield "; 经费台账（辅助登记，不是会计账簿）；由 bean-check 核对"
    yield f'option "title" {_string(f"{fund.year} {fund.name}")}'
    yield 'option "operating_currency" "CNY"'
    yield ""
    yield f"{opened} open {ASSET} CNY"
    yield f"  account-name: {_string(fund.account)}"
    for source in SOURCES.values():
        yield f"{opened} open Equity:Source:{source} CNY"
    yield f"{opened} open {CARRIED} CNY"
    for code in sorted({code for code, _ in accounts}):
        yield f"{opened} open Expenses:C{code} CNY"  # nothing is posted there: for the balance of all below
    for (_, site), account in sorted(accounts.items()):
        yield f"{opened} open {account} CNY"
        yield f"  site: {_string(site)}"
        yield f"  site-name: {_string(names.get(site, ''))}"
    for change in changes:
        yield ""
        yield f"{change['dated']} * {_string(change['document'])} {_string(change['memo'])}"
        yield _posting(ASSET, change["amount_fen"])
        yield _posting(f"Equity:Source:{SOURCES[change['source']]}", -change["amount_fen"])
    for row in rows:
        yield ""
        yield from _transaction(row, accounts)
    if carried_fen:
        yield ""
        yield f'{fund.year}-12-31 * "结转下年"'
        yield _posting(ASSET, -carried_fen)
        yield _posting(CARRIED, carried_fen)
    yield ""
    yield from _balances(fund, changes, sums, carried_fen, accounts, end)


def _transaction(row: Mapping[str, Any], accounts: Mapping[tuple[str, str], str]) -> Iterator[str]:
    yield f"{row['paid_on']} * {_string(row['payee'])} {_string(row['memo'])}"
    yield f"  number: {row['number']}"
    for key, value in (
        ("voucher", row["voucher"]),
        ("work-order", row["work_order"]),
        ("contract", row["contract"] and f"{row['contract']} 第 {row['stage']} 阶段"),
        ("acceptance", row["acceptance"]),
        ("chain", row["chain_hash"]),
    ):
        if value:
            yield f"  {key}: {_string(value)}"
    if row["reverses_number"]:
        yield f"  reverses: {row['reverses_number']}"
    for site, fen in row["shares"].items():
        yield _posting(accounts[row["econ_class"], site], fen)
    yield _posting(ASSET, -row["amount_fen"])


def _balances(
    fund: Fund,
    changes: Sequence[Mapping[str, Any]],
    sums: Sequence[tuple[str, str, str, int]],
    carried_fen: int,
    accounts: Mapping[tuple[str, str], str],
    end: date,
) -> Iterator[str]:
    """At the end of each month what is left and what each class has taken; at the end of the year also each site."""
    by_class: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    by_account: dict[str, int] = dict.fromkeys(accounts.values(), 0)
    for month, code, site, fen in sums:
        by_class[code][month] += fen
        by_account[accounts[code, site]] += fen
    firsts = [date(fund.year, month, 1) for month in range(2, 13)] + [date(fund.year + 1, 1, 1)]
    for first in firsts:
        until = first.isoformat()
        budget = sum(c["amount_fen"] for c in changes if c["dated"] < until)
        taken = {code: sum(f for m, f in of.items() if f"{m}-01" < until) for code, of in by_class.items()}
        left = budget - sum(taken.values()) - (carried_fen if first.year > fund.year else 0)
        yield _balance(first, ASSET, left)
        for code, fen in sorted(taken.items()):
            yield _balance(first, f"Expenses:C{code}", fen)
    for account, fen in sorted(by_account.items()):
        yield _balance(end, account, fen)


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    return {(row["econ_class"], site) for row in rows for site in row["shares"]}


def _accounts(keys: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """An account for each class and site; what beancount does not allow in a name is replaced, distinctly."""

    def part(site: str) -> str:
        plain = _ODD.sub("-", site)
        return f"S{plain}" if plain == site else f"S{plain}-X{hashlib.sha256(site.encode()).hexdigest()[:8]}"

    return {(code, site): f"Expenses:C{code}:{part(site)}" for code, site in sorted(keys)}


def _balance(day: date, account: str, fen: int) -> str:
    return f"{day} balance {account}  {yuan(fen)} {TOLERANCE} CNY"


def _posting(account: str, fen: int) -> str:
    return f"  {account}  {yuan(fen)} CNY"


def _string(value: str) -> str:
    """As beancount quotes it; what people typed is one line already."""
    plain = "".join(c if c.isprintable() else " " for c in value)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'

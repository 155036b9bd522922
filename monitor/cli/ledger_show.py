"""`ledger list`, `show`, `totals`, `check`: looking at the cost ledger."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from monitor.cli.acting import AsJson, Caller, with_caller
from monitor.cli.ledger_tools import FundName, Year, a_month, asked, tell
from monitor.core.ledger import STATE_NAMES
from monitor.core.money import in_wan, in_yuan
from monitor.errors import MonitorError
from monitor.flows.ledger import checking, looking
from monitor.flows.ledger.asking import Asking, Where
from monitor.flows.ledger.figures import BREAKDOWNS, Figures
from monitor.inventory.load import Loaded
from monitor.store.ledger.entries import Wanted


def register(program: typer.Typer) -> None:
    """Add the commands of this file."""
    program.command("list")(list_entries)
    program.command()(show)
    program.command()(totals)
    program.command()(check)


@with_caller
def list_entries(
    caller: Caller,
    year: Annotated[int | None, typer.Option(help="年度; without it of all funds.")] = None,
    fund: FundName = "",
    state: Annotated[str, typer.Option(help=", ".join(STATE_NAMES))] = "",
    month: Annotated[str, typer.Option(help="Of the payment: 2020-03.")] = "",
    econ_class: Annotated[str, typer.Option("--class", help="支出经济分类.")] = "",
    site: Annotated[str, typer.Option(help="站点编号.")] = "",
    work_order: Annotated[str, typer.Option(help="工单号.")] = "",
    batch: Annotated[str, typer.Option(help="Of an import.")] = "",
    after: Annotated[int, typer.Option(help="编号 of the last one shown: go on behind it.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Entries, newest first."""
    if state and state not in STATE_NAMES:
        raise MonitorError(f"--state: 应为 {'、'.join(STATE_NAMES)} 之一，实为 {state!r}")
    wanted = Wanted(
        state=state, month=a_month(month, "--month"), econ_class=econ_class, site=site, work_order=work_order,
        batch=batch, after=after, limit=limit,
    )  # fmt: skip
    which = Where(year, fund) if year is not None else None
    found = asked(
        caller, "",
        lambda asking, _: looking.list_entries(asking.engine, asking.actor, which, replace(wanted, limit=limit + 1)),
    )  # fmt: skip
    if len(found) > limit:
        found = found[:limit]
        print(f"只列 {limit} 笔，还有更多：--after {found[-1]['id']} 接着往下列，或 --limit", file=sys.stderr)
    tell(found, as_json, lambda: map(_entry_line, found))


@with_caller
def show(
    caller: Caller,
    entry: Annotated[int, typer.Argument(help="编号 of the entry.")],
    as_json: AsJson = False,
) -> None:
    """One entry: basis, sites with their shares, papers, who did what, reversals, its link in the chain."""
    found = asked(caller, "", lambda asking, loaded: looking.show_entry(asking.engine, asking.actor, entry))
    tell(found, as_json, lambda: _entry_lines(found))


@with_caller
def totals(
    caller: Caller,
    year: Year,
    fund: FundName = "",
    by: Annotated[str, typer.Option(help=f"One breakdown only: {', '.join(BREAKDOWNS)}.")] = "",
    month: Annotated[str, typer.Option(help="Breakdowns of one month of payment: 2020-03.")] = "",
    as_json: AsJson = False,
) -> None:
    """Budget, registered, balance, 预算执行率, 已批未付, forecast; spent by class, township, site, cause, month."""
    if by and by not in BREAKDOWNS:
        raise MonitorError(f"--by: 应为 {'、'.join(BREAKDOWNS)} 之一，实为 {by!r}")
    first, last = (a_month(month, "--month"),) * 2 if month else ("0000-00", "9999-99")
    found = asked(
        caller, "",
        lambda asking, loaded: looking.totals(
            asking.engine, asking.actor, loaded.inventory, Where(year, fund), asking.today, first, last,
            orders=by == "work_order",
        ),
    )  # fmt: skip
    shown = [by] if by else list(found.by)
    tell(_totals(found, shown), as_json, lambda: _totals_lines(found, shown))


@with_caller
def check(caller: Caller, as_json: AsJson = False) -> None:
    """Hold the ledger against itself: sums, numbers, shares, reversals. Status 1 where something does not hold."""

    async def work(asking: Asking, _: Loaded) -> list[str]:
        return await checking.check(asking.engine, asking.actor)

    found = asked(caller, "", work)
    tell(found, as_json, lambda: found or ["台账与其合计一致"])
    if found:
        raise typer.Exit(1)


# --- shown ------------------------------------------------------------------------------------------------------------


def _entry_line(row: Mapping[str, Any]) -> str:
    number = f"第 {row['number']} 号" if row["number"] else ""
    fields = [row["id"], STATE_NAMES[row["state"]], number, row["paid_on"] or row["dated"], in_yuan(row["amount_fen"])]
    return "\t".join(map(str, [*fields, row["econ_class"], row["payee"], row["memo"]]))


def _entry_lines(row: Mapping[str, Any]) -> Iterator[str]:
    yield _entry_line(row)
    contract = f"合同 {row['contract']} 第 {row['stage']} 阶段" if row["contract"] else ""
    order = f"工单 {row['work_order']}" if row["work_order"] else ""
    basis = [order, contract, f"验收单 {row['acceptance']}" if row["acceptance"] else ""]
    yield f"{row['year']} {row['fund']}，用途 {row['purpose']}，依据 {'，'.join(text for text in basis if text)}"
    yield f"经办 {row['drafted_by']}，审批 {row['approved_by'] or '—'}，登记 {row['registered_by'] or '—'}"
    if row["voucher"]:
        yield f"凭证号 {row['voucher']}（会计账簿的编号，仅供核对）"
    if row["reverses"]:
        yield f"冲销第 {row['reverses_number']} 号"
    for red in row["reversals"]:
        yield f"被冲销 {in_yuan(-red['amount_fen'])}：编号 {red['id']}，{STATE_NAMES[red['state']]}"
    for sha256 in row["papers"]:
        yield f"附件 {sha256}"
    for site, share in row["shares"].items():
        yield f"  {site}\t{row['townships'][site]}\t{in_yuan(share)}"
    if row["chain_n"]:
        yield f"链 {row['chain_n']} {row['chain_hash']}"


def _totals(found: Figures, shown: Sequence[str]) -> dict[str, Any]:
    fund = found.fund
    return {
        "year": fund.year,
        "fund": fund.name,
        "budget_initial_fen": found.initial_fen,
        "budget_adjustment_fen": found.adjusted_fen,
        "budget_fen": fund.budget_fen,
        "budget_by_source_fen": found.sources,
        "spent_fen": fund.spent_fen,
        "period_spent_fen": found.period_fen,
        "available_fen": fund.available_fen,
        "carried_fen": found.carried_fen,
        "execution_rate_percent": found.execution_rate,
        "approved_unpaid": found.pending,
        "approved_unpaid_fen": found.pending_fen,
        "forecast_fen": found.forecast_fen,
        "by": {
            key: [
                {"key": each, "name": found.names.get(key, {}).get(each, ""), "spent_fen": spent}
                for each, spent in found.by[key].items()
            ]
            for key in shown
        },
    }


def _totals_lines(found: Figures, shown: Sequence[str]) -> Iterator[str]:
    fund = found.fund
    rate = "—" if found.execution_rate is None else f"{found.execution_rate}%"
    yield f"{fund.year} 年度“{fund.name}”（辅助台账，不是会计账簿）"
    budget = f"{in_yuan(fund.budget_fen)} 元（{in_wan(fund.budget_fen)} 万元）"
    yield f"调整后预算 {budget}，年初 {in_yuan(found.initial_fen)} 元"
    yield f"已登记 {in_yuan(fund.spent_fen)} 元，余额 {in_yuan(fund.available_fen)} 元，预算执行率 {rate}"
    yield f"已批未付 {found.pending} 笔 {in_yuan(found.pending_fen)} 元，全年预计 {in_yuan(found.forecast_fen)} 元"
    if found.carried_fen:
        yield f"结转下年 {in_yuan(found.carried_fen)} 元"
    for key in shown:
        for each, spent in found.by[key].items():
            yield "\t".join([BREAKDOWNS[key], each or "—", found.names.get(key, {}).get(each, ""), in_yuan(spent)])

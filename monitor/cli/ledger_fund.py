"""`ledger fund`, `ledger class`, `ledger contract`: where the money comes from, what it may pay, what is agreed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from monitor.cli.acting import AsJson, Caller, with_caller
from monitor.cli.ledger_tools import Day, FundName, Key, Money, Year, asked, fen, tell
from monitor.cli.showing import a_day
from monitor.core.ledger import SOURCE_NAMES, Source
from monitor.core.money import in_yuan
from monitor.errors import MonitorError
from monitor.flows.ledger import contract, looking, money_in
from monitor.flows.ledger.asking import Where

fund = typer.Typer(no_args_is_help=True)
classes = typer.Typer(no_args_is_help=True)
contracts = typer.Typer(no_args_is_help=True)

From = Annotated[str, typer.Option("--source", help="本年拨款 appropriation, 上年结转 carry_over, 其他资金 other.")]
Document = Annotated[str, typer.Option(help="文号 The number of the document.")]
Contract = Annotated[str, typer.Option("--contract", help="合同编号 The contract's number.")]


def _source(text: str) -> Source:
    by_name = {name: Source(key) for key, name in SOURCE_NAMES.items()}
    if text in by_name:
        return by_name[text]
    try:
        return Source(text)
    except ValueError:
        raise MonitorError(f"--source: 应为 {'、'.join((*SOURCE_NAMES, *by_name))} 之一，实为 {text!r}") from None


def _line(one: dict[str, Any]) -> str:
    closed = "已年结" if one["year_closed"] else f"已月结至 {one['closed_month']} 月" if one["closed_month"] else ""
    amounts = [in_yuan(one[name]) for name in ("budget_fen", "spent_fen", "available_fen")]
    return "\t".join([str(one["year"]), one["name"], one["account"], *amounts, closed])


@fund.command("add")
@with_caller
def add_fund(
    caller: Caller,
    year: Year,
    name: Annotated[str, typer.Option(help="专项资金 The fund's name.")],
    account: Annotated[str, typer.Option(help="专户 The dedicated account.")],
    amount: Money,
    document: Document,
    dated: Day,
    purpose: Annotated[list[str], typer.Option(help="用途 What it may be used for; may be repeated.")],
    econ_class: Annotated[list[str], typer.Option("--class", help="支出经济分类 What it may pay; may be repeated.")],
    source: From = Source.APPROPRIATION.value,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Open a fund 专项资金 with its initial budget."""
    new = money_in.NewFund(
        year, name, account, purpose, econ_class, fen(amount, "--amount"), document, a_day(dated, "--dated"),
        _source(source),
    )  # fmt: skip
    made = asked(caller, key, lambda asking, _: money_in.add_fund(asking, new))
    tell(made, as_json, lambda: [_line(made)])


@fund.command("adjust")
@with_caller
def adjust_fund(
    caller: Caller,
    year: Year,
    amount: Annotated[str, typer.Option(help="Such as 30,000.00 or -5000.")],
    document: Document,
    dated: Day,
    name: FundName = "",
    source: From = Source.APPROPRIATION.value,
    memo: Annotated[str, typer.Option(help="说明 Why.")] = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Adjust a fund's budget 预算调整, up or down."""
    changed, on, kind = fen(amount, "--amount"), a_day(dated, "--dated"), _source(source)
    made = asked(
        caller, key,
        lambda asking, _: money_in.adjust_fund(asking, year, name, changed, document, on, kind, memo),
    )  # fmt: skip
    tell(made, as_json, lambda: [_line(made)])


@fund.command("list")
@with_caller
def list_funds(
    caller: Caller,
    year: Annotated[int | None, typer.Option(help="年度 Of one year only.")] = None,
    as_json: AsJson = False,
) -> None:
    """Funds: budget, registered, balance, what is closed. As JSON also every change and closing."""
    found = asked(caller, "", lambda asking, _: looking.list_funds(asking.engine, asking.actor, year))
    tell(found, as_json, lambda: [_line(one) for one in found])


@classes.command("list")
@with_caller
def list_classes(caller: Caller, year: Year, as_json: AsJson = False) -> None:
    """The economic classes 支出经济分类 of a fiscal year."""
    found = asked(caller, "", lambda asking, _: looking.list_classes(asking.engine, asking.actor, year))
    tell(found, as_json, lambda: [f"{code}\t{name}" for code, name in found.items()])


@classes.command("edit")
@with_caller
def edit_classes(
    caller: Caller,
    year: Year,
    put: Annotated[list[str] | None, typer.Option("--set", help="30213=维修(护)费; may be repeated.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A code; may be repeated.")] = None,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Add, rename or remove economic classes of a year."""
    pairs = dict(text.partition("=")[::2] for text in put or [])
    made = asked(caller, key, lambda asking, _: money_in.edit_classes(asking, year, pairs, remove or []))
    tell(made["classes"], as_json, lambda: [f"{code}\t{name}" for code, name in made["classes"].items()])


# --- contracts --------------------------------------------------------------------------------------------------------


def _contract_lines(one: dict[str, Any]) -> list[str]:
    lines = ["\t".join([one["number"], one["name"], one["payee"], in_yuan(one["amount_fen"]), one["signed_on"]])]
    for stage in one["stages"]:
        accepted = f"{stage['accepted_on']} 验收" if stage["accepted_on"] else "未验收"
        deducted = f"扣款 {in_yuan(stage['deduction_fen'])}"
        paid = f"已付 {in_yuan(stage['paid_fen'])}，可付 {in_yuan(stage['payable_fen'])}"
        lines.append(f"  {stage['n']}\t{stage['name']}\t{in_yuan(stage['amount_fen'])}\t{accepted}\t{deducted}\t{paid}")
    return lines


@contracts.command("add")
@with_caller
def add_contract(
    caller: Caller,
    year: Year,
    number: Annotated[str, typer.Option(help="合同编号.")],
    name: Annotated[str, typer.Option(help="合同名称.")],
    payee: Annotated[str, typer.Option(help="乙方 Who is paid.")],
    amount: Money,
    signed: Day,
    fund_name: FundName = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """A contract that is paid in instalments."""
    total, on = fen(amount, "--amount"), a_day(signed, "--signed")
    made = asked(
        caller, key,
        lambda asking, _: contract.add_contract(asking, Where(year, fund_name), number, name, payee, total, on),
    )  # fmt: skip
    tell(made, as_json, lambda: _contract_lines(made))


@contracts.command("stage")
@with_caller
def add_stage(
    caller: Caller,
    year: Year,
    number: Contract,
    stage: Annotated[int, typer.Option(help="阶段序号 From 1.")],
    name: Annotated[str, typer.Option(help="阶段名称.")],
    amount: Money,
    fund_name: FundName = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """A stage 阶段 of a contract; it is payable once it is accepted."""
    part = fen(amount, "--amount")
    made = asked(
        caller, key,
        lambda asking, _: contract.add_stage(asking, Where(year, fund_name), number, stage, name, part),
    )  # fmt: skip
    tell(made, as_json, lambda: _contract_lines(made))


@contracts.command("accept")
@with_caller
def accept_stage(
    caller: Caller,
    year: Year,
    number: Contract,
    stage: Annotated[int, typer.Option(help="阶段序号.")],
    accepted: Day,
    paper: Annotated[str, typer.Option(help="验收单 The number of the acceptance paper.")],
    deduction: Annotated[str, typer.Option(help="考核扣款 What is deducted.")] = "0",
    reason: Annotated[str, typer.Option(help="扣款原因 Why.")] = "",
    fund_name: FundName = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """A stage was accepted 验收, with or without a deduction; once, and for good."""
    on, less = a_day(accepted, "--accepted"), fen(deduction, "--deduction")
    made = asked(
        caller, key,
        lambda asking, _: contract.accept_stage(
            asking, Where(year, fund_name), number, stage, on, paper, less, reason
        ),
    )  # fmt: skip
    tell(made, as_json, lambda: _contract_lines(made))


@contracts.command("list")
@with_caller
def list_contracts(caller: Caller, year: Year, fund_name: FundName = "", as_json: AsJson = False) -> None:
    """Contracts with their stages: accepted, deducted, paid, payable."""
    found = asked(
        caller, "",
        lambda asking, _: looking.list_contracts(asking.engine, asking.actor, Where(year, fund_name)),
    )  # fmt: skip
    tell(found, as_json, lambda: [line for one in found for line in _contract_lines(one)])

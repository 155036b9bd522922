"""`ledger`: the cost ledger 经费台账, an auxiliary register and not the books. Entries, closing, tables in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.cli import ledger_fund, ledger_show
from monitor.cli.acting import AsJson, Caller, with_caller
from monitor.cli.ledger_tools import Day, FundName, Key, Money, Year, a_month, asked, fen, tell
from monitor.cli.showing import a_day
from monitor.core.ledger import COST_CLASSES, State
from monitor.core.money import in_yuan
from monitor.errors import MonitorError
from monitor.flows.ledger import closing, giving_out, looking, reversing, stepping, taking_in
from monitor.flows.ledger.asking import Answer, Asking, Where
from monitor.flows.ledger.drafting import NewEntry, draft
from monitor.flows.ledger.places import SPLIT_NAMES, parse_weights, sites_of
from monitor.inventory.load import Loaded
from monitor.store.ledger.entries import of_batch

program = typer.Typer(no_args_is_help=True, help="经费台账: the cost ledger, an auxiliary register.")
program.add_typer(ledger_fund.fund, name="fund", help="专项资金: budgets and adjustments.")
program.add_typer(ledger_fund.classes, name="class", help="支出经济分类 of a fiscal year.")
program.add_typer(ledger_fund.contracts, name="contract", help="合同、阶段、验收与考核扣款.")
ledger_show.register(program)

Ids = Annotated[list[int] | None, typer.Argument(help="编号 of the entries (not the 台账序号).")]
Batch = Annotated[str, typer.Option(help="All entries of an import, by the batch that it told.")]


@program.command("draft")
@with_caller
def make_draft(
    caller: Caller,
    year: Year,
    amount: Money,
    dated: Day,
    memo: Annotated[str, typer.Option(help="摘要.")],
    econ_class: Annotated[str, typer.Option("--class", help="支出经济分类, such as 30213.")],
    site: Annotated[list[str], typer.Option(help="站点 What it is for: ids, townships, 村级, 全部; may be repeated.")],
    fund: FundName = "",
    payee: Annotated[str, typer.Option(help="收款人; of a contract: its 乙方.")] = "",
    purpose: Annotated[str, typer.Option(help="用途; not needed where the fund has one.")] = "",
    cost_class: Annotated[str, typer.Option(help=f"GB/T 28827.7: {', '.join(COST_CLASSES)}.")] = "",
    split: Annotated[str, typer.Option(help="分摊: equal, terminals (by positions), weights.")] = "equal",
    weight: Annotated[list[str] | None, typer.Option(help="site=weight, for --split weights; repeated.")] = None,
    work_order: Annotated[str, typer.Option(help="依据: 工单号.")] = "",
    contract: Annotated[str, typer.Option(help="依据: 合同编号, with --stage.")] = "",
    stage: Annotated[int, typer.Option(help="合同阶段.")] = 0,
    acceptance: Annotated[str, typer.Option(help="依据: 验收单.")] = "",
    paper: Annotated[list[Path] | None, typer.Option(help="附件 A file to keep with it; may be repeated.")] = None,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Draft an entry 草稿. It needs a basis 依据: a work order, a contract's stage, or an acceptance paper."""
    if split not in SPLIT_NAMES:
        raise MonitorError(f"--split: 应为 equal、terminals 或 weights，实为 {split!r}")
    total, on = fen(amount, "--amount"), a_day(dated, "--dated")

    async def work(asking: Asking, loaded: Loaded) -> Answer:
        try:
            sites = sites_of(loaded.inventory, site)
            weights = parse_weights(weight or [])
        except ValueError as error:
            raise MonitorError(str(error)) from None
        new = NewEntry(
            Where(year, fund), on, memo, total, econ_class, sites,
            payee=payee, purpose=purpose, cost_class=cost_class, split=SPLIT_NAMES[split], weights=weights,
            work_order=work_order, contract=contract, stage=stage, acceptance=acceptance, papers=paper or [],
        )  # fmt: skip
        return await draft(asking, loaded.inventory, new, Path(loaded.settings.papers.folder))

    made = asked(caller, key, work)
    tell(made, as_json, lambda: [f"{made['id']}\t草稿\t{in_yuan(made['amount_fen'])}"])


@program.command()
@with_caller
def approve(caller: Caller, ids: Ids = None, batch: Batch = "", key: Key = "", as_json: AsJson = False) -> None:
    """Approve 审批 drafts of others, all that are named or none."""

    async def work(asking: Asking, _: Loaded) -> Answer:
        return await stepping.approve(asking, await _meant(asking, ids, batch, State.DRAFT), batch)

    made = asked(caller, key, work)
    tell(made, as_json, lambda: [f"{one}\t已审批" for one in made["ids"]])


@program.command()
@with_caller
def register(
    caller: Caller,
    ids: Ids = None,
    paid: Annotated[str, typer.Option(help="付款日期; an import may have brought it.")] = "",
    voucher: Annotated[str, typer.Option(help="凭证号 of the books, as a reference.")] = "",
    batch: Batch = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Register 登记 what is approved and paid; it gets its number 台账序号 and is never changed again."""
    on = a_day(paid, "--paid") if paid else None

    async def work(asking: Asking, _: Loaded) -> Answer:
        return await stepping.register(asking, await _meant(asking, ids, batch, State.APPROVED), on, voucher, batch)

    made = asked(caller, key, work)
    done: Sequence[Mapping[str, Any]] = made["registered"]
    tell(made, as_json, lambda: [f"{one['id']}\t已登记\t第 {one['number']} 号\t{one['hash'][:16]}" for one in done])


@program.command()
@with_caller
def void(
    caller: Caller,
    ids: Ids = None,
    reason: Annotated[str, typer.Option(help="原因.")] = "",
    batch: Batch = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Give up 作废 what is not registered."""

    async def work(asking: Asking, _: Loaded) -> Answer:
        meant = await _meant(asking, ids, batch, State.DRAFT, State.APPROVED)
        return await stepping.give_up(asking, meant, reason, batch)

    made = asked(caller, key, work)
    tell(made, as_json, lambda: [f"{one}\t作废" for one in made["ids"]])


async def _meant(asking: Asking, ids: Sequence[int] | None, batch: str, *states: State) -> list[int]:
    if bool(ids) == bool(batch):
        raise MonitorError("应给出分录编号，或 --batch")
    if ids:
        return list(dict.fromkeys(ids))
    async with asking.engine.connect() as connection:
        return await of_batch(connection, batch, *states)


@program.command()
@with_caller
def reverse(
    caller: Caller,
    entry: Annotated[int | None, typer.Argument(help="编号 of the entry.")] = None,
    number: Annotated[int | None, typer.Option(help="台账序号 instead, with --year.")] = None,
    year: Annotated[int, typer.Option(help="年度.")] = 0,
    fund: FundName = "",
    amount: Annotated[str, typer.Option(help="Of the whole, this much; without it all that is left.")] = "",
    dated: Annotated[str, typer.Option(help="业务日期; without it today.")] = "",
    memo: Annotated[str, typer.Option(help="摘要; without it 冲销某月第某号.")] = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Draft a red entry 红字冲销 for a registered one; it is approved and registered as every entry."""
    part = fen(amount, "--amount") if amount else None

    async def work(asking: Asking, _: Loaded) -> Answer:
        entry_id = entry
        if entry_id is None:
            if number is None:
                raise MonitorError("应给出分录编号，或 --year 和 --number")
            entry_id = await looking.id_of_number(asking.engine, asking.actor, Where(year, fund), number)
        on = a_day(dated, "--dated") if dated else asking.today
        return await reversing.reverse(asking, entry_id, on, part, memo)

    made = asked(caller, key, work)
    tell(made, as_json, lambda: [f"{made['id']}\t草稿（红字）\t{in_yuan(made['amount_fen'])}"])


@program.command("close")
@with_caller
def close_period(
    caller: Caller,
    period: Annotated[str, typer.Argument(help="A month 2020-03 (and those before it), or a year 2020.")],
    fund: FundName = "",
    carry_document: Annotated[str, typer.Option(help="结转文号: carry what is left over into next year's fund.")] = "",
    carry_to: Annotated[str, typer.Option(help="That fund's name, where it is another one.")] = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Close a month 月结 or a year 年结: nothing goes in any more."""
    is_year = period.isdigit() and len(period) == 4
    if not is_year:
        a_month(period, "period")

    async def work(asking: Asking, _: Loaded) -> Answer:
        which = Where(int(period[:4]), fund)
        if is_year:
            return await closing.close_year(asking, which, carry_document, carry_to)
        return await closing.close_month(asking, which, int(period[5:]))

    made = asked(caller, key, work)
    left = f"结余 {in_yuan(made['left_fen'])}，其中结转 {in_yuan(made['carried_fen'])}"
    tell(made, as_json, lambda: [f"{made['period']} 已结：已登记 {in_yuan(made['spent_fen'])}，{left}"])


@program.command("import")
@with_caller
def import_table(
    caller: Caller,
    year: Year,
    table: Annotated[Path, typer.Argument(help="XLSX or CSV; columns: docs/ledger.md.")],
    fund: FundName = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; list every mistake (status 1).")] = False,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Drafts from a table: all of it or nothing, and a second time nothing more."""
    which = Where(year, fund)

    async def work(asking: Asking, loaded: Loaded) -> Answer:
        if dry_run:
            return await taking_in.dry_run(asking, which, loaded.inventory, table)
        return await taking_in.take_in(asking, which, loaded.inventory, table)

    made = asked(caller, key, work)
    if not dry_run:
        tell(made, as_json, lambda: [_taken(made)])
        return
    mistakes = made["mistakes"]
    plain = [{"row": m.row, "column": m.column, "message": m.message} for m in mistakes]
    summary = f"{made['rows']} 行，{made['already']} 行已导入，{in_yuan(made['amount_fen'])} 元，{len(mistakes)} 处错误"
    tell({**made, "mistakes": plain}, as_json, lambda: [*map(str, mistakes), summary])
    if mistakes:
        raise typer.Exit(1)


def _taken(made: Answer) -> str:
    batch = f"，批次 {made['batch']}" if made["batch"] else ""
    return f"{made['added']} 笔草稿，{in_yuan(made['amount_fen'])} 元{batch}"


@program.command()
@with_caller
def export(
    caller: Caller,
    year: Year,
    out: Annotated[Path, typer.Option(help="The file to write; it must not exist.")],
    form: Annotated[str, typer.Option("--format", help=" or ".join(giving_out.FORMATS))] = "xlsx",
    fund: FundName = "",
) -> None:
    """Registered entries of a year as a workbook, or as text that beancount's bean-check checks."""
    count = asked(
        caller, "",
        lambda asking, loaded: giving_out.export(asking, Where(year, fund), loaded.inventory, form, out),
    )  # fmt: skip
    print(f"{count} 笔: {out}")

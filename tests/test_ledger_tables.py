"""Tables in: every mistake, or all of it once. Tables out: numbers that are numbers, texts that are texts, sums that
a program which is not ours agrees with."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.ledger import _meant
from monitor.core.access import Actor, Forbidden, Role
from monitor.core.ledger import Source, State
from monitor.errors import ConfigError, MonitorError
from monitor.flows.ledger.asking import Answer
from monitor.flows.ledger.checking import contradictions
from monitor.flows.ledger.closing import close_month, close_year
from monitor.flows.ledger.contract import accept_stage, add_contract, add_stage
from monitor.flows.ledger.giving_out import export
from monitor.flows.ledger.money_in import add_fund, adjust_fund
from monitor.flows.ledger.reversing import reverse
from monitor.flows.ledger.stepping import approve, give_up, register
from monitor.flows.ledger.taking_in import dry_run, take_in
from monitor.store.database import opened
from monitor.store.ledger import entries, funds
from tests.ledgers import (
    APPROVER,
    BOTH,
    FUND,
    READER,
    WHERE,
    approved,
    ask,
    county,
    drafted,
    new_fund,
    opened_fund,
    registered,
    sites,
    with_orders,
)
from tests.services import program

PAID = date(2020, 3, 5)
HEADER = ["日期", "摘要", "金额", "支出经济分类", "收款人", "站点", "工单号", "付款日期", "凭证号"]
ROW = ["2020-03-02", "更换机顶盒", "1,234.50", "30213", "开江广电", "511723001", "17", "2020-03-05", "记-0001"]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/monitor.db") as opened_engine:
        await with_orders(opened_engine, {17: ""})
        yield opened_engine


def row(**changed: Any) -> list[Any]:
    return [changed.get(name, value) for name, value in zip(HEADER, ROW, strict=True)]


def table(path: Path, *rows: Sequence[Any], header: Sequence[str] = HEADER, encoding: str = "utf-8") -> Path:
    """A table, as CSV or XLSX by its name."""
    if path.suffix == ".xlsx":
        book = Workbook()
        sheet = book.worksheets[0]
        for one in (header, *rows):
            sheet.append(list(one))
        book.save(path)
        return path
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    path.write_bytes(text.getvalue().encode(encoding))
    return path


async def tried(engine: AsyncEngine, path: Path) -> list[str]:
    answer = await dry_run(ask(engine), WHERE, county(), path)
    return [str(mistake) for mistake in answer["mistakes"]]


async def taken(engine: AsyncEngine, path: Path) -> Answer:
    return await take_in(ask(engine), WHERE, county(), path)


async def count(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return len(await entries.wanted(connection, entries.Wanted(limit=10_000)))


@pytest.mark.parametrize("name", ["a.csv", "bom.csv", "gbk.csv", "utf16.csv", "a.xlsx", "A.XLSX"])
async def test_a_table_comes_in_whatever_program_wrote_it(engine: AsyncEngine, tmp_path: Path, name: str) -> None:
    await opened_fund(engine)
    encoding = {"bom.csv": "utf-8-sig", "gbk.csv": "gbk", "utf16.csv": "utf-16"}.get(name, "utf-8")
    amounts: list[Any] = ["1,234.50", "￥２", "0.01元"]  # noqa: RUF001  # full width is the subject
    if name.lower().endswith("xlsx"):
        amounts = [1234.5, 2, "0.01"]
    rows = [row(金额=amount, 日期=date(2020, 3, 2), 支出经济分类="30213 维修(护)费") for amount in amounts]
    path = tmp_path / ("x" + Path(name).suffix)
    made = await taken(engine, table(path if name != "A.XLSX" else path.with_suffix(".xlsx"), *rows, encoding=encoding))
    assert (made["added"], made["amount_fen"]) == (3, 123_651)


async def test_a_dry_run_lists_every_mistake_and_changes_nothing(engine: AsyncEngine, tmp_path: Path) -> None:
    await opened_fund(engine, 200_000)
    await close_month(ask(engine), WHERE, 1)
    path = table(
        tmp_path / "repairs.csv",
        row(金额="12,34"),
        row(日期="三月二日", 金额="1.005", 站点="某村"),
        row(支出经济分类="30207", 工单号=""),
        row(付款日期="2020-01-31", 日期="2020-01-05"),
        row(付款日期="2021-01-01"),
        row(凭证号=""),
        row(摘要=""),
        row(金额="-5"),
        row(金额="1,999.99"),
        row(金额="0.02"),
        row(工单号="GD-7", 金额="0.01"),
        row(工单号="18", 金额="0.01", 付款日期="", 凭证号=""),
    )
    expected = [
        "repairs.csv:2 [金额]: 应为金额，如 1,234.50 或 25万元，实为 '12,34'",
        "repairs.csv:3 [日期]: 应为日期，如 2020-03-05，实为 '三月二日'",
        "repairs.csv:3 [金额]: 金额应精确到分，实为 '1.005'",
        "repairs.csv:3 [站点]: 没有站点“某村”：应为站点编号、乡镇名、township:乡镇代码、县级、乡镇、村级或全部",
        "repairs.csv:4 [工单号]: 缺少依据：应有工单号、合同阶段或验收单之一（按需拨付）",
        "repairs.csv:4 [支出经济分类]: 专款专用：“党建平台运行维护”不得列支 30207 邮电费，只可列支 30213、30227",
        "repairs.csv:5 [付款日期]: 2020 年 1 月已月结，不再登记；更正请在未月结的月份用红字冲销",
        "repairs.csv:6 [付款日期]: 付款日期 2021-01-01 晚于今天 2020-12-31",
        "repairs.csv:7 [凭证号]: 凭证号不能为空",
        "repairs.csv:8 [摘要]: 摘要不能为空",
        "repairs.csv:9 [金额]: 金额应大于 0；更正已登记的分录请用红字冲销",
        "repairs.csv:11 [金额]: 专项资金余额不足：可用 0.01 元，本笔 0.02 元",
        "repairs.csv:12 [工单号]: 没有工单 GD-7：应为已开立的工单编号，如 17（见 workorder list --all）；"
        "未经本系统派单的，请以验收单为依据",
        "repairs.csv:13 [工单号]: 没有工单 18：应为已开立的工单编号，如 17（见 workorder list --all）；"
        "未经本系统派单的，请以验收单为依据",
    ]
    assert sorted(await tried(engine, path)) == sorted(expected)
    with pytest.raises(ConfigError):
        await taken(engine, path)
    assert await count(engine) == 0


async def test_rows_that_say_nothing_of_a_payment_stay_within_the_budget_too(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    """Approving would refuse them: the trial run says so first."""
    await opened_fund(engine, 300)
    path = table(tmp_path / "plan.csv", *(row(金额=amount, 付款日期="", 凭证号="") for amount in ("2", "1.01", "1")))
    assert await tried(engine, path) == ["plan.csv:3 [金额]: 专项资金余额不足：可用 1.00 元，本笔 1.01 元"]


async def test_a_real_run_with_one_mistake_brings_nothing(engine: AsyncEngine, tmp_path: Path) -> None:
    await opened_fund(engine)
    uses = ("", "平台维护", "慰问")
    with pytest.raises(ConfigError, match=r"repairs.csv:4 \[用途\]"):
        await taken(
            engine,
            table(tmp_path / "repairs.csv", *[[*row(), use] for use in uses], header=[*HEADER, "用途"]),
        )
    assert await count(engine) == 0
    with pytest.raises(ConfigError, match=r"缺少列 摘要"):
        await taken(engine, table(tmp_path / "short.csv", ["1", "2"], header=["日期", "金额"]))


async def test_a_table_that_grew_brings_what_is_new_only(engine: AsyncEngine, tmp_path: Path) -> None:
    await opened_fund(engine)
    rows = [row(), row(), row(金额="2")]  # two equal ones are two
    assert (await taken(engine, table(tmp_path / "a.csv", *rows)))["added"] == 3
    again = await taken(engine, table(tmp_path / "b.xlsx", *rows))
    assert (again["added"], again["already"], again["batch"]) == (0, 3, "")
    more = await taken(engine, table(tmp_path / "c.csv", *rows, row()))
    assert (more["added"], more["already"]) == (1, 3)
    assert await count(engine) == 4


async def test_what_came_in_is_approved_by_somebody_else_and_registered_as_it_stands(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    fund_id = await opened_fund(engine)
    path = table(tmp_path / "a.csv", *[row(金额=str(n), 站点="普安镇", 付款日期=f"2020-0{n}-28") for n in range(3, 8)])
    made = await take_in(ask(engine, BOTH), WHERE, county(), path)
    async with engine.connect() as connection:
        ids = await entries.of_batch(connection, made["batch"], State.DRAFT)
    with pytest.raises(Forbidden):
        await approve(ask(engine, BOTH), ids)
    await approve(ask(engine, APPROVER), ids)
    done = await register(ask(engine, BOTH), ids)
    assert [one["number"] for one in done["registered"]] == [1, 2, 3, 4, 5]
    async with engine.connect() as connection:
        assert (await funds.load(connection, fund_id)).spent_fen == 2_500
        assert await contradictions(connection) == []


async def test_a_second_try_of_a_whole_import_gets_the_first_answer(engine: AsyncEngine, tmp_path: Path) -> None:
    """Of the batch nothing is left in the state that the step wants; with the same key that is no other request."""
    await opened_fund(engine)
    here = frozenset({county().sites["511723001"].township_code})
    local = [Actor(one.name, one.roles, here) for one in (BOTH, APPROVER)]
    path = table(tmp_path / "a.csv", row(), row(金额="2"), row(金额="3"))
    batch = (await take_in(ask(engine, local[0]), WHERE, county(), path))["batch"]
    for _ in range(2):
        asking = ask(engine, local[1], key="a")
        told = await approve(asking, await _meant(asking, None, batch, State.DRAFT), batch)
        assert told == {"ids": [1, 2, 3], "state": "approved"}
    await give_up(ask(engine), [3], "重复")
    for _ in range(2):
        asking = ask(engine, local[0], key="r")
        done = await register(asking, await _meant(asking, None, batch, State.APPROVED), batch=batch)
        assert [one["number"] for one in done["registered"]] == [1, 2]
    asking = ask(engine, key="r")
    with pytest.raises(MonitorError, match="请求号 r 已用于另一笔业务"):
        await register(asking, [], voucher="记-9", batch=batch)
    with pytest.raises(MonitorError, match="没有可处理的分录"):
        await register(ask(engine), [], batch=batch)


async def test_who_may_not_draft_may_not_import_not_even_dry(engine: AsyncEngine, tmp_path: Path) -> None:
    await opened_fund(engine)
    path = table(tmp_path / "a.csv", row())
    with pytest.raises(Forbidden):
        await take_in(ask(engine, READER), WHERE, county(), path)
    with pytest.raises(Forbidden):
        await dry_run(ask(engine, READER), WHERE, county(), path)


async def test_stages_are_followed_row_by_row(engine: AsyncEngine, tmp_path: Path) -> None:
    await opened_fund(engine)
    await add_contract(ask(engine), WHERE, "KJ-1", "运维", "开江广电", 10_000, PAID)
    await add_stage(ask(engine), WHERE, "KJ-1", 1, "一季度", 10_000)
    await accept_stage(ask(engine), WHERE, "KJ-1", 1, PAID, "验-1")
    rows = [[*row(金额="60", 工单号="", 收款人=""), "KJ-1", "第1期"] for _ in range(2)]
    path = table(tmp_path / "a.csv", *rows, [*row(), "KJ-2", "1"], header=[*HEADER, "合同编号", "阶段"])
    assert await tried(engine, path) == [
        "a.csv:3 [合同编号]: 合同 KJ-1 第 1 阶段可付 40.00 元（已减考核扣款和已付），本笔 60.00 元",
        "a.csv:4 [合同编号]: 该专项资金的合同 KJ-2 没有第 1 阶段",
    ]


# --- out --------------------------------------------------------------------------------------------------------------

EVIL = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", '=HYPERLINK("http://x","y")', '"; drop', '反斜杠\\ 引号"']


async def a_year(engine: AsyncEngine) -> None:
    """A bit of everything: memos that mean harm, a reversal, an adjustment, odd fen over many sites."""
    await opened_fund(engine, 5_000_000)
    for n, memo in enumerate(EVIL):
        await registered(engine, 1_000 + n, sites(7), paid_on=date(2020, 3 + n, 28), memo=memo)
    await registered(engine, 123_457, sites(234), split="terminals", econ_class="30227")
    red = (await reverse(ask(engine), 2, PAID, 333))["id"]
    await approve(ask(engine, APPROVER), [red])
    await register(ask(engine), [red], date(2020, 12, 31), "记-红")
    await adjust_fund(ask(engine), 2020, FUND, -123, "江财预〔2020〕9号", date(2020, 7, 1), Source.OTHER)
    await drafted(engine, 77)


def bean_check(path: Path) -> tuple[int, str]:
    done = subprocess.run([program("bean-check"), str(path)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


async def test_a_program_that_is_not_ours_agrees_with_the_sums_and_finds_a_fen(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    await a_year(engine)
    out = tmp_path / "year.beancount"
    assert await export(ask(engine, READER), WHERE, county(), "beancount", out) == len(EVIL) + 2
    assert bean_check(out) == (0, "")
    text = out.read_text(encoding="utf-8")
    # The last posting's account and the fund, a fen more: the entry still balances, the sums no longer do.
    spoilt = text.replace("  Assets:Fund  -10.00 CNY", "  Assets:Fund  -10.01 CNY", 1)
    first = next(line for line in text.splitlines() if line.endswith("  1.43 CNY"))
    spoilt = spoilt.replace(first, first.replace("1.43", "1.44"), 1)
    (tmp_path / "spoilt.beancount").write_text(spoilt, encoding="utf-8")
    status, said = bean_check(tmp_path / "spoilt.beancount")
    assert status == 1
    assert "Balance failed for 'Assets:Fund'" in said


async def test_a_year_that_was_carried_over_balances_too(engine: AsyncEngine, tmp_path: Path) -> None:
    await opened_fund(engine, 1_000)
    await registered(engine, 300)
    after = ask(engine, today=date(2021, 1, 4))
    await add_fund(after, new_fund(5_000, year=2021, dated=date(2021, 1, 4)))
    await close_year(after, WHERE, "江财预〔2021〕2号")
    out = tmp_path / "year.beancount"
    await export(ask(engine, READER, today=date(2021, 1, 4)), WHERE, county(), "beancount", out)
    assert bean_check(out) == (0, "")


async def test_a_workbook_has_numbers_that_are_exact_and_texts_that_are_no_formulas(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    await a_year(engine)
    out = tmp_path / "year.xlsx"
    await export(ask(engine, READER), WHERE, county(), "xlsx", out)
    book = load_workbook(out)
    sheet = book["台账"]
    assert "不是会计账簿" in str(sheet["A1"].value)
    head = [cell.value for cell in sheet[2]]
    assert head[:4] == ["台账序号", "日期", "摘要", "金额（元）"]
    rows = list(sheet.iter_rows(min_row=3))
    assert [r[2].value for r in rows[: len(EVIL)]] == EVIL
    for one in book.worksheets:
        assert not [cell.coordinate for line in one.iter_rows() for cell in line if cell.data_type == "f"]
    assert all(r[2].quotePrefix for r in rows)
    assert [r[3].value for r in rows[:2]] == [10, 10.01]
    assert {r[3].data_type for r in rows} == {"n"}
    assert {r[3].number_format for r in rows} == {"#,##0.00"}
    shares = [r for r in book["站点分摊"].iter_rows(min_row=2, values_only=True)]
    by_number: dict[Any, int] = {}
    for share in shares:
        by_number[share[0]] = by_number.get(share[0], 0) + round(float(str(share[4])) * 100)
    assert by_number == {r[0].value: round(float(str(r[3].value)) * 100) for r in rows}
    totals = {str(line[0]): line[1] for line in book["汇总"].iter_rows(values_only=True)}
    assert (totals["调整后预算数"], totals["已登记"]) == (49_998.77, 1_301.45)


async def test_an_export_writes_over_nothing_and_is_not_for_everybody(engine: AsyncEngine, tmp_path: Path) -> None:
    await opened_fund(engine)
    await approved(engine, 5)
    out = tmp_path / "there.xlsx"
    out.write_text("mine")
    with pytest.raises(MonitorError, match="已存在"):
        await export(ask(engine, READER), WHERE, county(), "xlsx", out)
    assert out.read_text() == "mine"
    for actor in (
        Actor("v", frozenset({Role.VIEWER})),
        Actor("o", frozenset({Role.AUDITOR}), frozenset({"511723101"})),
    ):
        with pytest.raises(MonitorError):
            await export(ask(engine, actor), WHERE, county(), "xlsx", tmp_path / "new.xlsx")
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".xlsx") == ["there.xlsx"]

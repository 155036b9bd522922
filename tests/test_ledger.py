"""The cost ledger: what a finance clerk, an approver and an auditor would notice. On SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.access import Actor, Forbidden, Role
from monitor.core.chain import BEGINNING, canonical, link
from monitor.core.ledger import LedgerRefused, Source
from monitor.flows.ledger import looking
from monitor.flows.ledger.asking import Where
from monitor.flows.ledger.checking import check, contradictions
from monitor.flows.ledger.closing import close_month, close_year
from monitor.flows.ledger.contract import accept_stage, add_contract, add_stage
from monitor.flows.ledger.drafting import draft
from monitor.flows.ledger.figures import figures, money_so_far
from monitor.flows.ledger.money_in import add_fund, adjust_fund, edit_classes
from monitor.flows.ledger.reversing import reverse
from monitor.flows.ledger.stepping import approve, give_up, register
from monitor.store import audit, tables
from monitor.store.database import opened
from monitor.store.ledger import chain, entries, funds, sums
from tests.ledgers import (
    APPROVER,
    AT,
    BOTH,
    FINANCE,
    FUND,
    READER,
    TODAY,
    WHERE,
    approved,
    ask,
    county,
    drafted,
    new_entry,
    new_fund,
    opened_fund,
    refuses,
    registered,
    sites,
    with_orders,
)

PAID = date(2020, 3, 5)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    async with opened(database_url) as opened_engine:
        yield opened_engine


async def balance(engine: AsyncEngine, fund_id: int = 1) -> tuple[int, int]:
    """Spent and number of the last entry."""
    async with engine.connect() as connection:
        fund = await funds.load(connection, fund_id)
    return fund.spent_fen, fund.last_number


async def test_an_entry_goes_from_draft_to_registered_and_gets_the_next_number(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    first = await registered(engine, 10_000, sites(3))
    second = await registered(engine, 5_000)
    async with engine.connect() as connection:
        one, two = await entries.one(connection, first), await entries.one(connection, second)
    assert (one["number"], two["number"]) == (1, 2)
    assert one["shares"] == dict(zip(sites(3), (3_334, 3_333, 3_333), strict=True))
    assert (one["drafted_by"], one["approved_by"], one["registered_by"]) == ("li", "wang", "li")
    assert await balance(engine) == (15_000, 2)


async def test_the_next_fen_over_the_budget_is_refused_with_the_sentence(engine: AsyncEngine) -> None:
    await opened_fund(engine, 10_000)
    one_too_many = await approved(engine, 1)
    await registered(engine, 10_000)
    with pytest.raises(LedgerRefused, match=r"^专项资金余额不足：可用 0.00 元，本笔 0.01 元$"):
        await register(ask(engine), [one_too_many], PAID, "记-2")
    with pytest.raises(LedgerRefused, match=r"^专项资金余额不足：可用 0.00 元，本笔 0.01 元$"):
        await approved(engine, 1)
    assert await balance(engine) == (10_000, 1)


async def test_nobody_approves_what_they_drafted_and_nobody_without_the_role(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    own = (await draft(ask(engine, BOTH), county(), new_entry(100), Path("/nonexistent")))["id"]
    with pytest.raises(Forbidden):
        await approve(ask(engine, BOTH), [own])
    with pytest.raises(Forbidden):
        await approve(ask(engine, FINANCE), [own])
    with pytest.raises(Forbidden):
        await register(ask(engine, READER), [own], PAID, "记-1")
    await approve(ask(engine, APPROVER), [own])
    # What happened, and what was refused, is on record.
    async with engine.connect() as connection:
        said = [(r.who, r.outcome) for r in await connection.execute(select(tables.audit).order_by(tables.audit.c.n))]
    assert said[-5:] == [("zhao", "done"), ("zhao", "refused"), ("li", "refused"), ("sun", "refused"), ("wang", "done")]


async def test_somebody_limited_to_a_township_acts_for_its_sites_only(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    village = next(site for site in county().sites.values() if site.level == "village")
    other = next(site for site in county().sites.values() if site.township_code != village.township_code)
    local = Actor("chen", frozenset({Role.FINANCE}), frozenset({village.township_code}))
    folder = Path("/nonexistent")
    await draft(ask(engine, local), county(), new_entry(100, [village.site_id]), folder)
    with pytest.raises(Forbidden):
        await draft(ask(engine, local), county(), new_entry(100, [village.site_id, other.site_id]), folder)
    await drafted(engine, 100, [other.site_id])
    seen = await looking.list_entries(engine, local, WHERE, entries.Wanted())
    assert len(seen) == 1


async def test_a_work_order_that_there_is_not_is_no_basis(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    await with_orders(engine, {17: ""})
    for number in ("900", "017", "99999999999999999999", "外部工单 3"):
        with pytest.raises(LedgerRefused) as refused:
            await drafted(engine, 100, work_order=number)
        assert str(refused.value) == (
            f"没有工单 {number}：应为已开立的工单编号，如 17（见 workorder list --all）；"
            "未经本系统派单的，请以验收单为依据"
        )
    await drafted(engine, 100, work_order="17")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"econ_class": "30207"}, "专款专用：“党建平台运行维护”不得列支 30207 邮电费，只可列支 30213、30227"),
        ({"econ_class": "99999"}, "2020 年度没有支出经济分类 99999"),
        ({"purpose": "慰问困难党员"}, "专款专用：“慰问困难党员”不是“党建平台运行维护”的用途，只可用于 平台维护"),
        ({"acceptance": ""}, "缺少依据：应有工单号、合同阶段或验收单之一（按需拨付）"),
        ({"sites": []}, "应写明所用站点，至少一个"),
        ({"amount_fen": 0}, "金额不能为 0；应写明所用站点，至少一个"),
        ({"amount_fen": -1}, "金额应大于 0；更正已登记的分录请用红字冲销"),
        ({"memo": " "}, "摘要不能为空"),
        ({"memo": "换\n行"}, "摘要含有换行或不可见字符"),
        ({"memo": "长" * 201}, "摘要最多 200 字，实为 201 字"),
        ({"payee": ""}, "收款人不能为空"),
        (
            {"dated": date(2021, 1, 1)},
            "业务日期 2021-01-01 晚于今天 2020-12-31",
        ),
        ({"cost_class": "x"}, "成本分类应为 environment、hardware、software、security、management 之一，实为 x"),
        ({"split": "weights", "weights": {}}, "按权重分摊应为每个站点各给一个权重；不一致的站点：511723-C1"),
    ],
)
async def test_what_the_rules_do_not_allow_is_refused_at_the_draft(
    engine: AsyncEngine, changed: dict[str, Any], sentence: str
) -> None:
    await opened_fund(engine)
    new = replace(new_entry(100), **changed)
    with pytest.raises(LedgerRefused) as refused:
        await draft(ask(engine), county(), new, Path("/nonexistent"))
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("paid", "voucher", "sentence"),
    [
        (None, "记-1", "登记应有付款日期"),
        (date(2020, 3, 1), "记-1", "付款日期 2020-03-01 早于业务日期 2020-03-02"),
        (date(2021, 1, 2), "记-1", "付款日期 2021-01-02 晚于今天 2020-12-31"),
        (PAID, "", "凭证号不能为空"),
        (None, "", "登记应有付款日期；凭证号不能为空"),
    ],
)
async def test_registering_needs_the_day_of_the_payment_and_the_voucher(
    engine: AsyncEngine, paid: date | None, voucher: str, sentence: str
) -> None:
    await opened_fund(engine)
    entry_id = await approved(engine, 100)
    with pytest.raises(LedgerRefused) as refused:
        await register(ask(engine), [entry_id], paid, voucher)
    assert str(refused.value) == sentence
    assert await balance(engine) == (0, 0)


async def test_a_payment_in_another_year_is_not_of_this_fund(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    entry_id = await approved(engine, 100)
    with refuses("付款日期 2021-01-02 不在 2020 年度内"):
        await register(ask(engine, today=date(2021, 1, 4)), [entry_id], date(2021, 1, 2), "记-1")


async def test_steps_are_taken_in_order_and_once(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    entry_id = await drafted(engine, 100)
    with refuses("只有已审批的分录才能登记，这笔是草稿"):
        await register(ask(engine), [entry_id], PAID, "记-1")
    await approve(ask(engine, APPROVER), [entry_id])
    with refuses("只有草稿的分录才能审批，这笔是已审批"):
        await approve(ask(engine, APPROVER), [entry_id])
    await register(ask(engine), [entry_id], PAID, "记-1")
    with refuses("只有已审批的分录才能登记，这笔是已登记"):
        await register(ask(engine), [entry_id], PAID, "记-1")
    with refuses("已登记的分录不可作废，更正请用红字冲销"):
        await give_up(ask(engine), [entry_id], "误")
    second = await approved(engine, 200)
    await give_up(ask(engine), [second], "不再需要")
    with refuses("这笔是作废"):
        await register(ask(engine), [second], PAID, "记-1")
    with refuses("没有编号为 99 的分录"):
        await register(ask(engine), [99], PAID, "记-1")


async def test_of_several_all_are_registered_or_none(engine: AsyncEngine) -> None:
    await opened_fund(engine, 250)
    first, second = await approved(engine, 200), await approved(engine, 100)
    with pytest.raises(
        LedgerRefused, match=f"^分录 {second}（更换机顶盒）：专项资金余额不足：可用 0.50 元，本笔 1.00 元$"
    ):
        await register(ask(engine), [first, second], PAID, "记-1")
    assert await balance(engine) == (0, 0)
    await register(ask(engine), [second], PAID, "记-1")
    assert await balance(engine) == (100, 1)


async def test_a_second_try_with_the_same_key_changes_nothing(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    folder = Path("/nonexistent")
    made = [await draft(ask(engine, key="d1"), county(), new_entry(100), folder) for _ in range(2)]
    assert made[0] == made[1]
    with refuses("请求号 d1 已用于另一笔业务"):
        await draft(ask(engine, key="d1"), county(), new_entry(100, sites(2)), folder)
    await approve(ask(engine, APPROVER), [made[0]["id"]])
    told = [await register(ask(engine, key="r1"), [made[0]["id"]], PAID, "记-1") for _ in range(3)]
    assert told[0] == told[1] == told[2]
    assert await balance(engine) == (100, 1)
    with refuses("请求号 r1 已用于另一笔业务"):
        await register(ask(engine, key="r1"), [made[0]["id"]], PAID, "记-2")


async def test_a_refused_try_leaves_its_key_free(engine: AsyncEngine) -> None:
    await opened_fund(engine, 50)
    entry_id = await drafted(engine, 100)
    with pytest.raises(LedgerRefused):
        await approve(ask(engine, APPROVER, key="a"), [entry_id])
    await adjust_fund(ask(engine), 2020, FUND, 50, "江财预〔2020〕9号", PAID, Source.OTHER)
    await approve(ask(engine, APPROVER, key="a"), [entry_id])


async def test_red_entries_take_back_what_is_there_and_no_more(engine: AsyncEngine) -> None:
    fund_id = await opened_fund(engine, 1_000)
    original = await registered(engine, 1_000, sites(3))
    parts = []
    for amount in (400, 599):
        red = (await reverse(ask(engine), original, PAID, amount))["id"]
        await approve(ask(engine, APPROVER), [red])
        await register(ask(engine), [red], PAID, "记-9")
        parts.append(red)
    with refuses("第 1 号可冲销 0.01 元，本次 0.02 元"):
        await reverse(ask(engine), original, PAID, 2)
    rest = (await reverse(ask(engine), original, PAID))["id"]
    also = (await reverse(ask(engine), original, PAID))["id"]  # nothing is registered yet, so this is written
    await approve(ask(engine, APPROVER), [rest, also])
    await register(ask(engine), [rest], PAID, "记-9")
    with refuses("第 1 号可冲销 0.00 元，本次 0.01 元"):
        await register(ask(engine), [also], PAID, "记-9")
    with refuses("第 1 号已全部冲销"):
        await reverse(ask(engine), original, PAID)
    with refuses("红字分录不能再冲销"):
        await reverse(ask(engine), rest, PAID, 1)
    assert await balance(engine) == (0, 4)
    async with engine.connect() as connection:
        for by in sums.BY:
            assert set((await sums.spent(connection, fund_id, by)).values()) == {0}
        one = await entries.one(connection, parts[0])
        assert await contradictions(connection) == []
    assert (one["memo"], one["reverses_number"]) == ("冲销3月第1号：更换机顶盒", 1)


async def test_red_entries_that_were_drafted_side_by_side_take_no_site_below_nothing(engine: AsyncEngine) -> None:
    """Each was split by what was left when it was drafted: by the same fen."""
    fund_id = await opened_fund(engine, 1_000)
    original = await registered(engine, 3, sites(3))
    first, second = [(await reverse(ask(engine), original, PAID, 1))["id"] for _ in range(2)]
    await approve(ask(engine, APPROVER), [first, second])
    await register(ask(engine), [first], PAID, "记-9")
    sentence = f"第 1 号在站点 {sites(1)[0]} 可冲销 0.00 元，本次 0.01 元；请作废后重新冲销"
    with refuses(sentence):
        await register(ask(engine), [second], PAID, "记-9")
    await give_up(ask(engine), [second], "另行冲销")
    rest = (await reverse(ask(engine), original, PAID))["id"]
    await approve(ask(engine, APPROVER), [rest])
    await register(ask(engine), [rest], PAID, "记-9")
    async with engine.connect() as connection:
        assert set((await sums.spent(connection, fund_id, "site")).values()) == {0}
        assert await contradictions(connection) == []


async def test_only_what_is_registered_is_reversed(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    entry_id = await approved(engine, 100)
    with refuses("只有已登记的分录才用红字冲销"):
        await reverse(ask(engine), entry_id, PAID)


async def test_a_closed_month_takes_nothing_and_is_corrected_in_an_open_one(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    original = await registered(engine, 100)
    late = await approved(engine, 200)
    closed = await close_month(ask(engine), WHERE, 3)
    assert (closed["period"], closed["spent_fen"], closed["left_fen"]) == ("2020-03", 100, 24_999_900)
    sentence = "2020 年 3 月已月结，不再登记；更正请在未月结的月份用红字冲销"
    with refuses(sentence):
        await register(ask(engine), [late], PAID, "记-1")
    red = (await reverse(ask(engine), original, date(2020, 4, 1)))["id"]
    await approve(ask(engine, APPROVER), [red])
    with pytest.raises(LedgerRefused):
        await register(ask(engine), [red], PAID, "记-2")
    await register(ask(engine), [red], date(2020, 4, 1), "记-2")
    async with engine.connect() as connection:
        assert await sums.spent(connection, 1, "month") == {"2020-03": 100, "2020-04": -100}
    with refuses("2020 年 2 月已经月结"):
        await close_month(ask(engine), WHERE, 2)
    with refuses("尚未开始"):
        await close_month(ask(engine, today=date(2020, 5, 1)), WHERE, 6)


async def test_a_closed_year_takes_nothing_at_all_and_says_so(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    original = await registered(engine, 100)
    unpaid, written = await approved(engine, 200), await drafted(engine, 300)
    with refuses("还有 1 笔已批未付，应先登记或作废"):
        await close_year(ask(engine), WHERE)
    await give_up(ask(engine), [unpaid], "不付")
    await close_year(ask(engine), WHERE)
    sentence = "“党建平台运行维护” 2020 年度已结账，不再接受任何登记、调整或冲销"
    for attempt in (
        approve(ask(engine, APPROVER), [written]),
        draft(ask(engine), county(), new_entry(1), Path("/nonexistent")),
        reverse(ask(engine), original, date(2020, 12, 1)),
        adjust_fund(ask(engine), 2020, FUND, 1, "文", PAID, Source.OTHER),
        add_contract(ask(engine), WHERE, "1", "一", "甲", 1, PAID),
        close_month(ask(engine), WHERE, 12),
        close_year(ask(engine), WHERE),
    ):
        with refuses(sentence):
            await attempt


async def test_what_is_left_is_carried_over_into_the_next_years_fund(engine: AsyncEngine) -> None:
    await opened_fund(engine, 1_000)
    await registered(engine, 300)
    after = ask(engine, today=date(2021, 1, 4))
    with refuses("2021 年度没有专项资金"):
        await close_year(after, WHERE, "江财预〔2021〕2号")
    await add_fund(after, new_fund(5_000, year=2021, dated=date(2021, 1, 4)))
    closed = await close_year(after, WHERE, "江财预〔2021〕2号")
    assert (closed["left_fen"], closed["carried_fen"]) == (700, 700)
    async with engine.connect() as connection:
        found = await figures(connection, county(), Where(2021), date(2021, 1, 4))
    assert (found.fund.budget_fen, found.initial_fen, found.adjusted_fen) == (5_700, 5_000, 700)
    assert found.sources == {"appropriation": 5_000, "carry_over": 700, "other": 0}


async def test_a_stage_is_paid_once_it_is_accepted_and_without_its_deduction(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    await add_contract(ask(engine), WHERE, "KJ-1", "运维", "开江广电", 10_000, PAID)
    await add_stage(ask(engine), WHERE, "KJ-1", 1, "一季度", 6_000)
    with refuses("合同 KJ-1 尚未分配到阶段的金额为 40.00 元，本阶段 40.01 元"):
        await add_stage(ask(engine), WHERE, "KJ-1", 2, "二季度", 4_001)
    changed: dict[str, Any] = {"contract": "KJ-1", "stage": 1, "acceptance": "", "payee": "", "econ_class": "30227"}
    with refuses("合同 KJ-1 第 1 阶段尚未验收，不得付款"):
        await drafted(engine, 100, **changed)
    await accept_stage(ask(engine), WHERE, "KJ-1", 1, PAID, "验-1", 500, "超时")
    with refuses("第 1 阶段已于 2020-03-05 验收"):
        await accept_stage(ask(engine), WHERE, "KJ-1", 1, PAID, "验-1")
    with refuses("收款人应为合同乙方 开江广电，实为 别人"):
        await drafted(engine, 100, **(changed | {"payee": "别人"}))
    with refuses("可付 55.00 元（已减考核扣款和已付），本笔 55.01 元"):
        await drafted(engine, 5_501, **changed)
    first = await registered(engine, 5_000, **changed)
    with refuses("可付 5.00 元"):
        await drafted(engine, 501, **changed)
    red = (await reverse(ask(engine), first, PAID))["id"]
    await approve(ask(engine, APPROVER), [red])
    await register(ask(engine), [red], PAID, "记-2")
    await registered(engine, 5_500, **changed)
    async with engine.connect() as connection:
        assert await contradictions(connection) == []


async def test_a_budget_is_adjusted_but_never_below_what_is_registered(engine: AsyncEngine) -> None:
    await opened_fund(engine, 1_000)
    await registered(engine, 800)
    with refuses("调整后预算 7.99 元，低于已登记的 8.00 元"):
        await adjust_fund(ask(engine), 2020, FUND, -201, "江财预〔2020〕9号", PAID, Source.APPROPRIATION)
    made = await adjust_fund(ask(engine), 2020, FUND, -200, "江财预〔2020〕9号", PAID, Source.APPROPRIATION)
    assert (made["budget_fen"], made["available_fen"]) == (800, 0)
    # Of budgets only the audit log stands in a chain.
    async with engine.connect() as connection:
        said = [r["what"] for r in await audit.rows(connection) if r["outcome"] == "done"]
    assert (said[0], said[-1]) == (
        f"fund 2020 {FUND}: 10.00, 江财预〔2020〕1号", f"adjust 2020 {FUND}: -2.00, 江财预〔2020〕9号",
    )  # fmt: skip


async def test_a_year_has_its_own_table_of_economic_classes(engine: AsyncEngine) -> None:
    with refuses("2020 年度没有支出经济分类 50209"):
        await add_fund(ask(engine), new_fund(classes=("50209",)))
    await edit_classes(ask(engine), 2020, {"50209": "维修（护）费"}, ["30201"])
    await add_fund(ask(engine), new_fund(classes=("50209",)))
    async with engine.connect() as connection:
        of_2020, of_2021 = await funds.classes(connection, 2020), await funds.classes(connection, 2021)
    assert "30201" not in of_2020
    assert "50209" not in of_2021


async def test_the_database_itself_refuses_to_touch_what_is_registered(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    final = await registered(engine, 100)
    open_draft = await drafted(engine, 100)
    e, s, p = tables.entry, tables.entry_site, tables.entry_paper
    statements: list[Any] = [
        update(e).where(e.c.id == final).values(memo="别的"),
        update(e).where(e.c.id == final).values(state="void"),
        delete(e).where(e.c.id == final),
        update(s).where(s.c.entry_id == final).values(share_fen=1),
        delete(s).where(s.c.entry_id == final),
        insert(s).values(entry_id=final, site="x", township="t", share_fen=0),
        insert(p).values(entry_id=final, sha256="0" * 64),
        update(tables.fund_change).values(amount_fen=1),
        delete(tables.fund_change),
        update(e).where(e.c.id == open_draft).values(state="registered"),
        update(tables.fund).values(spent_fen=25_000_001),
    ]
    if engine.dialect.name == "sqlite":
        statements.append(text(f"INSERT OR REPLACE INTO entry SELECT * FROM entry WHERE id = {final}"))
    else:
        statements.append(text("TRUNCATE entry CASCADE"))
    for statement in statements:
        with pytest.raises(DBAPIError):
            async with engine.begin() as connection:
                await connection.execute(statement)
    async with engine.begin() as connection:
        await connection.execute(update(e).where(e.c.id == open_draft).values(memo="草稿可以改"))


async def test_the_chain_follows_from_the_rows_and_finds_what_was_changed(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    for amount in (100, 200, 300):
        await registered(engine, amount, sites(2))

    async def hashes() -> list[tuple[str, str]]:
        """What each link should be by the rows, and what is stored."""
        async with engine.connect() as connection:
            first = await chain.records(connection, chain.TAG, 0, 2)
            found = first + await chain.records(connection, chain.TAG, first[-1].n, 100)
        made, before = [], BEGINNING
        for record in found:
            made.append((link(chain.TAG, record.n, before, canonical(record.body)), record.hash))
            before = record.hash
        return made

    assert [a == b for a, b in await hashes()] == [True, True, True]
    async with engine.begin() as connection:  # as somebody may who owns the database
        if engine.dialect.name == "sqlite":
            await connection.execute(text("DROP TRIGGER entry_site_update"))
        else:
            await connection.execute(text("ALTER TABLE entry_site DISABLE TRIGGER ALL"))
        changed = update(tables.entry_site).where(tables.entry_site.c.entry_id == 2)
        await connection.execute(changed.values(share_fen=tables.entry_site.c.share_fen + 1))
    assert [a == b for a, b in await hashes()] == [True, False, True]
    async with engine.connect() as connection:
        assert any("分录 2" in sentence for sentence in await contradictions(connection))


async def test_papers_are_kept_by_content_and_stand_in_the_chain(engine: AsyncEngine, tmp_path: Path) -> None:
    await opened_fund(engine)
    invoice = tmp_path / "发票.pdf"
    invoice.write_bytes(b"%PDF-1.4 invoice")
    folder = tmp_path / "papers"
    made = await draft(ask(engine), county(), replace(new_entry(100), papers=[invoice, invoice]), folder)
    await approve(ask(engine, APPROVER), [made["id"]])
    await register(ask(engine), [made["id"]], PAID, "记-1")
    async with engine.connect() as connection:
        (record,) = await chain.records(connection, chain.TAG, 0, 10)
    (sha256,) = record.body["papers"]
    assert sha256 == hashlib.sha256(invoice.read_bytes()).hexdigest()
    assert (folder / sha256[:2] / sha256).read_bytes() == invoice.read_bytes()


async def test_figures_by_every_key_add_up_and_the_forecast_follows_its_formula(engine: AsyncEngine) -> None:
    await opened_fund(engine, 10_000_000)
    await add_contract(ask(engine), WHERE, "KJ-1", "运维", "开江广电", 400_000, PAID)
    for n in (1, 2):
        await add_stage(ask(engine), WHERE, "KJ-1", n, f"第{n}期", 200_000)
    await accept_stage(ask(engine), WHERE, "KJ-1", 1, PAID, "验-1", 10_000, "超时")
    stage: dict[str, Any] = {"contract": "KJ-1", "stage": 1, "work_order": "", "payee": "", "econ_class": "30227"}
    await registered(engine, 190_000, sites(234), split="terminals", **stage)
    await with_orders(engine, {8: ""})
    await registered(engine, 36_600, sites(5), work_order="８")  # noqa: RUF001  # full width is the subject
    await approved(engine, 777)
    async with engine.connect() as connection:
        found = await figures(connection, county(), WHERE, date(2020, 4, 30), orders=True)  # day 121 of 366
    assert {sum(by.values()) for by in found.by.values()} == {226_600}
    assert found.by["econ_class"] == {"30213": 36_600, "30227": 190_000}
    assert found.by["work_order"] == {"": 190_000, "8": 36_600}
    assert (found.pending, found.pending_fen) == (1, 777)
    assert found.execution_rate == "2.26"
    assert found.forecast_fen == 190_000 + 200_000 + 36_600 * 366 // 121
    async with engine.connect() as connection:
        after = await figures(connection, county(), WHERE, date(2021, 2, 1))
        money = await money_so_far(connection, UTC, AT)
    assert after.forecast_fen == 226_600 + 777
    assert money is not None
    assert (money.budget_fen, money.spent) == (10_000_000, {"30213": 36_600, "30227": 190_000})


async def test_money_is_told_by_the_cause_of_its_work_order(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    await with_orders(engine, {1: "市电", 2: "线路", 3: "线路", 4: ""})
    for order in ("1", "2", "3", "4", ""):
        await registered(engine, 100, work_order=order)
    async with engine.connect() as connection:
        found = await figures(connection, county(), WHERE, TODAY)
        money = await money_so_far(connection, UTC, AT)
    assert found.by["cause"] == {"": 200, "市电": 100, "线路": 200}
    assert money is not None
    assert (money.causes, money.sites, money.townships) == (found.by["cause"], {sites(1)[0]: 500}, {"511723": 500})


async def test_what_named_an_order_that_there_is_not_before_drafts_were_asked_is_listed(engine: AsyncEngine) -> None:
    await opened_fund(engine)
    await with_orders(engine, {7: ""})
    named = [await drafted(engine, 100) for _ in range(4)]
    async with engine.begin() as connection:
        for entry_id, order in zip(named, ("7", "GD-7", "2号", "8"), strict=True):
            said = update(tables.entry).where(tables.entry.c.id == entry_id).values(work_order=order)
            await connection.execute(said)
    await give_up(ask(engine), [named[3]], "重复")
    await approve(ask(engine, APPROVER), named[:3])
    await register(ask(engine), named[:3], PAID, "记-1")
    missing = [f"分录 {named[1]}: 没有工单 GD-7", f"分录 {named[2]}: 没有工单 2号"]
    assert await check(engine, READER) == missing
    # The red entry takes over what it reverses, the number too; a whole reversal mends it, a part does not.
    for entry_id, fen in ((named[1], 99), (named[2], None)):
        red = (await reverse(ask(engine), entry_id, PAID, fen))["id"]
        await approve(ask(engine, APPROVER), [red])
        await register(ask(engine), [red], PAID, "记-2")
    assert await check(engine, READER) == missing[:1]


async def test_what_was_committed_survives_a_power_cut(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            mode = (await connection.execute(text("PRAGMA synchronous"))).scalar()
            assert mode == 2  # FULL
            assert (await connection.execute(text("PRAGMA journal_mode"))).scalar() == "wal"
        else:
            assert (await connection.execute(text("SHOW synchronous_commit"))).scalar() == "on"


async def test_synchronous_commit_is_on_even_where_the_database_says_otherwise(postgres_url: str) -> None:
    async with opened(postgres_url) as engine, engine.begin() as connection:
        name = postgres_url.rpartition("/")[2]
        await connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    async with opened(postgres_url) as engine, engine.connect() as connection:
        assert (await connection.execute(text("SHOW synchronous_commit"))).scalar() == "on"

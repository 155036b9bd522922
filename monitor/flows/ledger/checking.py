"""The ledger held against itself: what is kept beside the entries must follow from them, to the fen."""

from __future__ import annotations

from sqlalchemy import Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor, demand
from monitor.core.ledger import State
from monitor.core.money import in_yuan
from monitor.store import orders
from monitor.store.ledger import funds, sums
from monitor.store.tables import entry, entry_site, fund_change, fund_sum, stage

_REGISTERED = entry.c.state == State.REGISTERED.value


async def contradictions(connection: AsyncConnection) -> list[str]:
    """What does not hold, in sentences; empty where all of it does. The chain is `verify`'s affair."""
    found: list[str] = []
    for fund in await funds.of_year(connection):
        name = f"{fund.year} {fund.name}"
        kept = await sums.of_entries(connection, fund.fund_id)
        if kept["spent_fen"] != fund.spent_fen:
            found.append(f"{name}: 已登记 {in_yuan(kept['spent_fen'])} 元，台账余额表为 {in_yuan(fund.spent_fen)} 元")
        if not kept["registered"] == kept["last_number"] == fund.last_number:
            found.append(f"{name}: 台账序号有缺号：{kept['registered']} 笔，最后一号 {fund.last_number}")
        if fund.spent_fen > fund.budget_fen:
            found.append(f"{name}: 已登记 {in_yuan(fund.spent_fen)} 元，超过预算 {in_yuan(fund.budget_fen)} 元")
        changed = await _sum(connection, select(fund_change.c.amount_fen).where(fund_change.c.fund_id == fund.fund_id))
        if changed != fund.budget_fen:
            found.append(f"{name}: 预算变动合计 {in_yuan(changed)} 元，预算为 {in_yuan(fund.budget_fen)} 元")
        summed = await _sum(connection, select(fund_sum.c.spent_fen).where(fund_sum.c.fund_id == fund.fund_id))
        if summed != fund.spent_fen:
            found.append(f"{name}: 分类合计 {in_yuan(summed)} 元，已登记 {in_yuan(fund.spent_fen)} 元")
    found += await _cube(connection)
    shares = func.coalesce(func.sum(entry_site.c.share_fen), 0)
    uneven = (
        select(entry.c.id)
        .outerjoin(entry_site, entry_site.c.entry_id == entry.c.id)
        .group_by(entry.c.id, entry.c.amount_fen)
        .having(shares != entry.c.amount_fen)
    )
    found += [f"分录 {i}: 站点分摊之和与金额不符" for i in (await connection.execute(uneven)).scalars()]
    unapproved = or_(entry.c.approved_by == "", entry.c.approved_by == entry.c.drafted_by)
    own = select(entry.c.id).where(_REGISTERED, unapproved)
    found += [f"分录 {i}: 未经另一人审批" for i in (await connection.execute(own)).scalars()]
    red = entry.alias()
    back = func.sum(red.c.amount_fen)
    over = (
        select(entry.c.id)
        .join(red, red.c.reverses == entry.c.id)
        .where(red.c.state == State.REGISTERED.value)
        .group_by(entry.c.id, entry.c.amount_fen)
        .having(entry.c.amount_fen + back < 0)
    )
    found += [f"分录 {i}: 冲销超过原金额" for i in (await connection.execute(over)).scalars()]
    found += await _orders(connection)
    paid = func.coalesce(func.sum(entry.c.amount_fen), 0)
    unpaid = (
        select(stage.c.id)
        .outerjoin(entry, (entry.c.stage_id == stage.c.id) & _REGISTERED)
        .group_by(stage.c.id, stage.c.paid_fen)
        .having(paid != stage.c.paid_fen)
    )
    found += [f"合同阶段 {i}: 已付与分录不符" for i in (await connection.execute(unpaid)).scalars()]
    return found


async def _orders(connection: AsyncConnection) -> list[str]:
    """Entries that name a work order that there is not: from before drafts were asked. A whole reversal mends it."""
    red = entry.alias()
    back = select(func.sum(red.c.amount_fen)).where(red.c.reverses == entry.c.id, red.c.state == State.REGISTERED.value)
    naming = select(entry.c.id, entry.c.work_order).where(
        func.coalesce(entry.c.work_order, "") != "",
        entry.c.state != State.VOID.value,
        entry.c.reverses.is_(None),
        entry.c.amount_fen + func.coalesce(back.scalar_subquery(), 0) != 0,
    )
    rows = (await connection.execute(naming.order_by(entry.c.id))).all()
    missing = await orders.unknown(connection, {number for _, number in rows})
    return [f"分录 {i}: 没有工单 {number}" for i, number in rows if number in missing]


async def _cube(connection: AsyncConnection) -> list[str]:
    """The sums by month, class, site and township against the entries' own."""
    month = func.substr(entry.c.paid_on, 1, 7)
    key = [entry.c.fund_id, month, entry.c.econ_class, entry_site.c.site, entry_site.c.township]
    query = select(*key, func.sum(entry_site.c.share_fen)).join(entry, entry.c.id == entry_site.c.entry_id)
    own = {tuple(r[:5]): int(r[5]) for r in await connection.execute(query.where(_REGISTERED).group_by(*key))}
    kept = {tuple(r[:5]): int(r[5]) for r in await connection.execute(select(fund_sum))}
    return [
        f"分类合计 {key}: 应为 {in_yuan(own.get(key, 0))} 元，实为 {in_yuan(kept.get(key, 0))} 元"
        for key in sorted(own.keys() | kept.keys())
        if own.get(key, 0) != kept.get(key, 0)
    ]


async def _sum(connection: AsyncConnection, of: Select[tuple[int]]) -> int:
    numbers = of.subquery()
    return int((await connection.execute(select(func.coalesce(func.sum(numbers.c[0]), 0)))).scalar_one())


async def check(engine: AsyncEngine, actor: Actor) -> list[str]:
    """The same, for somebody who may read the ledger."""
    demand(actor, Action.LEDGER_READ)
    async with engine.connect() as connection:
        return await contradictions(connection)

"""Contracts and their stages 合同与阶段."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.ledger import Stage
from monitor.errors import MonitorError
from monitor.store.tables import contract, stage


async def find(connection: AsyncConnection, fund_id: int, number: str) -> Mapping[str, Any]:
    """A contract of a fund. Raises MonitorError where there is none of that number."""
    query = select(contract).where(contract.c.fund_id == fund_id, contract.c.number == number)
    row = (await connection.execute(query)).first()
    if row is None:
        raise MonitorError(f"该专项资金没有合同 {number}")
    return dict(row._mapping)


async def find_stage(connection: AsyncConnection, fund_id: int, number: str, n: int) -> int:
    """The id of a stage. Raises MonitorError where there is none."""
    query = (
        select(stage.c.id)
        .join(contract, stage.c.contract_id == contract.c.id)
        .where(contract.c.fund_id == fund_id, contract.c.number == number, stage.c.n == n)
    )
    stage_id = (await connection.execute(query)).scalar()
    if stage_id is None:
        raise MonitorError(f"该专项资金的合同 {number} 没有第 {n} 阶段")
    return int(stage_id)


async def load_stage(connection: AsyncConnection, stage_id: int) -> Stage:
    """A stage as it stands; its fund's lock keeps it so."""
    query = select(stage, contract.c.number, contract.c.fund_id, contract.c.payee).join(
        contract, stage.c.contract_id == contract.c.id
    )
    row = (await connection.execute(query.where(stage.c.id == stage_id))).one()
    return Stage(
        contract=row.number,
        stage=row.n,
        fund_id=row.fund_id,
        payee=row.payee,
        amount_fen=row.amount_fen,
        deduction_fen=row.deduction_fen,
        accepted_on=date.fromisoformat(row.accepted_on) if row.accepted_on else None,
        paid_fen=row.paid_fen,
    )


async def add(connection: AsyncConnection, row: Mapping[str, Any]) -> None:
    await connection.execute(insert(contract).values(row))


async def add_stage(connection: AsyncConnection, row: Mapping[str, Any]) -> None:
    await connection.execute(insert(stage).values(paid_fen=0, deduction_fen=0, **row))


async def accept(connection: AsyncConnection, stage_id: int, values: Mapping[str, Any]) -> None:
    """Write a stage's acceptance and its deductions."""
    await connection.execute(update(stage).where(stage.c.id == stage_id).values(values))


async def pay(connection: AsyncConnection, stage_id: int, amount_fen: int) -> None:
    """An entry for the stage was registered (a red one: negative)."""
    paid = stage.c.paid_fen + amount_fen
    await connection.execute(update(stage).where(stage.c.id == stage_id).values(paid_fen=paid))


async def stages(connection: AsyncConnection, contract_id: int) -> Sequence[Mapping[str, Any]]:
    query = select(stage).where(stage.c.contract_id == contract_id).order_by(stage.c.n)
    return [dict(r._mapping) for r in await connection.execute(query)]


async def of_fund(connection: AsyncConnection, fund_id: int) -> Sequence[Mapping[str, Any]]:
    """The contracts of a fund, each with its stages."""
    query = select(contract).where(contract.c.fund_id == fund_id).order_by(contract.c.id)
    rows = [dict(r._mapping) for r in await connection.execute(query)]
    return [{**row, "stages": await stages(connection, row["id"])} for row in rows]

"""The chain of registered entries (tag `ledger`): what its bodies are, and how they are read back from the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.chain import Record
from monitor.store.tables import contract, entry, entry_paper, entry_site, fund, stage

TAG = "ledger"
_ROWS = (
    select(
        entry.c.chain_n, entry.c.chain_hash, entry.c.id, entry.c.registered_ms, fund.c.year, fund.c.name,
        entry.c.number, entry.c.dated, entry.c.memo, entry.c.amount_fen, entry.c.econ_class, entry.c.cost_class, entry.c.purpose,
        entry.c.payee, entry.c.work_order, contract.c.number.label("contract"), stage.c.n.label("stage"),
        entry.c.acceptance, entry.c.reverses, entry.c.drafted_by, entry.c.drafted_ms, entry.c.approved_by,
        entry.c.approved_ms, entry.c.registered_by, entry.c.paid_on, entry.c.voucher, entry.c.split,
    )
    .join(fund, fund.c.id == entry.c.fund_id)
    .outerjoin(stage, stage.c.id == entry.c.stage_id)
    .outerjoin(contract, contract.c.id == stage.c.contract_id)
)  # fmt: skip


def body(row: Any, shares: Sequence[Sequence[Any]], papers: Sequence[str]) -> dict[str, Any]:
    """What the hash of an entry covers: everything of it. `shares`: [site, township, fen] in order of the sites."""
    return {
        "v": 1,
        "tag": TAG,
        "at_ms": row.registered_ms,
        "id": row.id,
        "year": row.year,
        "fund": row.name,
        "number": row.number,
        "dated": row.dated,
        "memo": row.memo,
        "amount_fen": row.amount_fen,
        "econ_class": row.econ_class,
        "cost_class": row.cost_class,
        "purpose": row.purpose,
        "payee": row.payee,
        "work_order": row.work_order,
        "contract": row.contract,
        "stage": row.stage,
        "acceptance": row.acceptance,
        "reverses": row.reverses,
        "split": row.split,
        "drafted_by": row.drafted_by,
        "drafted_ms": row.drafted_ms,
        "approved_by": row.approved_by,
        "approved_ms": row.approved_ms,
        "registered_by": row.registered_by,
        "paid_on": row.paid_on,
        "voucher": row.voucher,
        "shares": shares,
        "papers": papers,
    }


async def body_of(connection: AsyncConnection, entry_id: int, registering: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an entry that is about to be registered with these values."""
    row = (await connection.execute(_ROWS.where(entry.c.id == entry_id))).one()
    shares, papers = await _parts(connection, entry.c.id == entry_id)
    whole = body(row, shares.get(entry_id, []), papers.get(entry_id, []))
    values = {key: value for key, value in registering.items() if key in whole}
    return whole | values | {"at_ms": registering["registered_ms"]}


async def records(connection: AsyncConnection, tag: str, after: int, limit: int) -> list[Record]:
    """Up to `limit` entries with a link greater than `after`, by link, their bodies made anew from the rows."""
    found = (
        await connection.execute(_ROWS.where(entry.c.chain_n > after).order_by(entry.c.chain_n).limit(limit))
    ).all()
    if not found:
        return []
    between = entry.c.chain_n.between(found[0].chain_n, found[-1].chain_n)
    shares, papers = await _parts(connection, between)
    return [
        Record(row.chain_n, body(row, shares.get(row.id, []), papers.get(row.id, [])), row.chain_hash) for row in found
    ]


async def _parts(connection: AsyncConnection, which: Any) -> tuple[dict[int, list[Any]], dict[int, list[str]]]:
    shares: dict[int, list[Any]] = {}
    s = entry_site.c
    query = select(s.entry_id, s.site, s.township, s.share_fen).join(entry, entry.c.id == s.entry_id).where(which)
    for entry_id, site, township, fen in await connection.execute(query):
        shares.setdefault(entry_id, []).append([site, township, fen])
    for parts in shares.values():
        parts.sort()  # not by the database, whose collation may be another one
    papers: dict[int, list[str]] = {}
    p = entry_paper.c
    sheets = select(p.entry_id, p.sha256).join(entry, entry.c.id == p.entry_id).where(which)
    for entry_id, sha256 in await connection.execute(sheets):
        papers.setdefault(entry_id, []).append(sha256)
    for sheet in papers.values():
        sheet.sort()
    return shares, papers

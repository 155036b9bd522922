"""The chain of registered entries (tag `ledger`): what its bodies are, and how they are read back from the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.chain import Record
from monitor.errors import MonitorError
from monitor.store.tables import contract, entry, entry_paper, entry_site, fund, stage

TAG = "ledger"
#: An entry with what its body names of its fund and contract.
ROWS = (
    select(entry, fund.c.year, fund.c.name, contract.c.number.label("contract"), stage.c.n.label("stage"))
    .join(fund, fund.c.id == entry.c.fund_id)
    .outerjoin(stage, stage.c.id == entry.c.stage_id)
    .outerjoin(contract, contract.c.id == stage.c.contract_id)
)


class Written(NamedTuple):
    """An entry as its rows have it; `shares`: [site, township, fen] in order of the sites; `papers`: their SHA-256."""

    row: Any
    shares: list[Any]
    papers: list[str]


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


async def read(connection: AsyncConnection, entry_id: int) -> Written:
    """An entry with everything that belongs to it. Raises MonitorError where there is none."""
    row = (await connection.execute(ROWS.where(entry.c.id == entry_id))).one_or_none()
    if row is None:
        raise MonitorError(f"没有编号为 {entry_id} 的分录")
    shares, papers = await parts(connection, entry_site.c.entry_id == entry_id, entry_paper.c.entry_id == entry_id)
    return Written(row, shares.get(entry_id, []), papers.get(entry_id, []))


def body_to_be(written: Written, registering: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an entry that is about to be registered with these values."""
    whole = body(written.row, written.shares, written.papers)
    values = {key: value for key, value in registering.items() if key in whole}
    return whole | values | {"at_ms": registering["registered_ms"]}


async def records(connection: AsyncConnection, tag: str, after: int, limit: int) -> list[Record]:
    """Up to `limit` entries with a link greater than `after`, by link, their bodies made anew from the rows."""
    found = (await connection.execute(ROWS.where(entry.c.chain_n > after).order_by(entry.c.chain_n).limit(limit))).all()
    if not found:
        return []
    ids = select(entry.c.id).where(entry.c.chain_n.between(found[0].chain_n, found[-1].chain_n))
    shares, papers = await parts(connection, entry_site.c.entry_id.in_(ids), entry_paper.c.entry_id.in_(ids))
    return [
        Record(row.chain_n, body(row, shares.get(row.id, []), papers.get(row.id, [])), row.chain_hash) for row in found
    ]


async def parts(
    connection: AsyncConnection, of_sites: ColumnElement[bool], of_papers: ColumnElement[bool]
) -> tuple[dict[int, list[Any]], dict[int, list[str]]]:
    shares: dict[int, list[Any]] = {}
    s = entry_site.c
    for entry_id, site, township, fen in await connection.execute(
        select(s.entry_id, s.site, s.township, s.share_fen).where(of_sites)
    ):
        shares.setdefault(entry_id, []).append([site, township, fen])
    for parts in shares.values():
        parts.sort()  # not by the database, whose collation may be another one
    papers: dict[int, list[str]] = {}
    p = entry_paper.c
    for entry_id, sha256 in await connection.execute(select(p.entry_id, p.sha256).where(of_papers)):
        papers.setdefault(entry_id, []).append(sha256)
    for sheet in papers.values():
        sheet.sort()
    return shares, papers

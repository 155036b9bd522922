"""The chain of registered entries (tag `ledger`): what its bodies are, and how they are read back from the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.chain import Record
from monitor.errors import MonitorError
from monitor.store.tables import contract, entry, entry_paper, entry_site, fund, stage

TAG = "ledger"
#: What a body holds of an entry, its fund and its contract, beside version, tag, shares and papers.
_BODY = {
    "acceptance": entry.c.acceptance,
    "amount_fen": entry.c.amount_fen,
    "approved_by": entry.c.approved_by,
    "approved_ms": entry.c.approved_ms,
    "at_ms": entry.c.registered_ms,
    "contract": contract.c.number,
    "cost_class": entry.c.cost_class,
    "dated": entry.c.dated,
    "drafted_by": entry.c.drafted_by,
    "drafted_ms": entry.c.drafted_ms,
    "econ_class": entry.c.econ_class,
    "fund": fund.c.name,
    "id": entry.c.id,
    "memo": entry.c.memo,
    "number": entry.c.number,
    "paid_on": entry.c.paid_on,
    "payee": entry.c.payee,
    "purpose": entry.c.purpose,
    "registered_by": entry.c.registered_by,
    "reverses": entry.c.reverses,
    "split": entry.c.split,
    "stage": stage.c.n,
    "voucher": entry.c.voucher,
    "work_order": entry.c.work_order,
    "year": fund.c.year,
}
#: Beside those, what else is read of an entry.
_MORE = (entry.c.fund_id, entry.c.state, entry.c.stage_id, entry.c.chain_n, entry.c.chain_hash)
ROWS = (
    select(*(column.label(key) for key, column in _BODY.items()), *_MORE)
    .join(fund, fund.c.id == entry.c.fund_id)
    .outerjoin(stage, stage.c.id == entry.c.stage_id)
    .outerjoin(contract, contract.c.id == stage.c.contract_id)
)
# Made once: registering is a few dozen statements, and building them anew would take a third of its time.
_ONE = ROWS.where(entry.c.id == bindparam("entry"))
_SHARES = select(entry_site.c.entry_id, entry_site.c.site, entry_site.c.township, entry_site.c.share_fen)
_PAPERS = select(entry_paper.c.entry_id, entry_paper.c.sha256)
_SHARES_OF_ONE = _SHARES.where(entry_site.c.entry_id == bindparam("entry"))
_PAPERS_OF_ONE = _PAPERS.where(entry_paper.c.entry_id == bindparam("entry"))


class Written(NamedTuple):
    """An entry as its rows have it; `shares`: [site, township, fen] in order of the sites; `papers`: their SHA-256."""

    row: Any
    shares: list[Any]
    papers: list[str]


def body(row: Any, shares: Sequence[Sequence[Any]], papers: Sequence[str]) -> dict[str, Any]:
    """What the hash of an entry covers: everything of it. `shares`: [site, township, fen] in order of the sites."""
    whole = dict(zip(_BODY, row, strict=False))  # the row begins with these columns, in this order
    whole["papers"] = papers
    whole["shares"] = shares
    whole["tag"] = TAG
    whole["v"] = 1
    return whole


async def read(connection: AsyncConnection, entry_id: int) -> Written:
    """An entry with everything that belongs to it. Raises MonitorError where there is none."""
    which = {"entry": entry_id}
    row = (await connection.execute(_ONE, which)).one_or_none()
    if row is None:
        raise MonitorError(f"没有编号为 {entry_id} 的分录")
    shares = [list(found[1:]) for found in await connection.execute(_SHARES_OF_ONE, which)]
    papers = [sha256 for _, sha256 in await connection.execute(_PAPERS_OF_ONE, which)]
    # Not by the database, whose order of texts may be another one.
    return Written(row, sorted(shares), sorted(papers))


def body_to_be(written: Written, registering: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an entry that is about to be registered with these values."""
    whole = body(written.row, written.shares, written.papers)
    values = {key: value for key, value in registering.items() if key in whole}
    return whole | values | {"at_ms": registering["registered_ms"]}


async def records(connection: AsyncConnection, tag: str, after: int, limit: int) -> list[Record]:
    """Up to `limit` entries with a link greater than `after`, by link, their bodies made anew from the rows."""
    rows = ROWS.where(entry.c.chain_n > after).order_by(entry.c.chain_n).limit(limit)
    found = (await connection.execute(rows)).all()
    if not found:
        return []
    ids = select(entry.c.id).where(entry.c.chain_n.between(found[0].chain_n, found[-1].chain_n))
    shares, papers = await parts(connection, ids)
    nothing: list[Any] = []
    result = []
    for row in found:
        made = body(row, nothing, nothing)
        made["shares"] = shares.get(made["id"], nothing)
        if papers:
            made["papers"] = papers.get(made["id"], nothing)
        result.append(Record(row[-2], made, row[-1]))
    return result


async def parts(connection: AsyncConnection, ids: Any) -> tuple[dict[int, list[Any]], dict[int, list[str]]]:
    """Shares and papers of entries, by their ids, each in its order."""
    shares: dict[int, list[Any]] = {}
    found = await connection.execute(_SHARES.where(entry_site.c.entry_id.in_(ids)))
    for entry_id, site, township, fen in found.all():
        if (some := shares.get(entry_id)) is None:
            shares[entry_id] = [(site, township, fen)]
        else:
            some.append((site, township, fen))
    for some in shares.values():
        if len(some) > 1:
            some.sort()
    papers: dict[int, list[str]] = {}
    for entry_id, sha256 in await connection.execute(_PAPERS.where(entry_paper.c.entry_id.in_(ids))):
        papers.setdefault(entry_id, []).append(sha256)
    for sheets in papers.values():
        sheets.sort()
    return shares, papers

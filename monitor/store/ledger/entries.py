"""Entries 分录 with their sites and papers: written, stepped on, listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.ledger import Entry, State
from monitor.errors import MonitorError
from monitor.store.database import INSERTS
from monitor.store.ledger import chain
from monitor.store.tables import contract, entry, entry_paper, entry_site, fund, fund_sum, stage

#: SQLite's and PostgreSQL's statements have a limit of variables; this many rows stay below both.
ROWS_AT_ONCE = 5_000


# Made once: building them anew for every entry would take a good part of the time that registering takes.
_STEP = update(entry).where(entry.c.id == bindparam("of"), entry.c.state == bindparam("before"))
_SUMMED = ["fund_id", "month", "econ_class", "site", "township", "spent_fen"]
_SHARES = (
    select(
        entry.c.fund_id, func.substr(entry.c.paid_on, 1, 7), entry.c.econ_class,
        entry_site.c.site, entry_site.c.township, entry_site.c.share_fen,
    )
    .join(entry, entry.c.id == entry_site.c.entry_id)
    .where(entry_site.c.entry_id == bindparam("of"))
)  # fmt: skip
_ADD_UP = {
    name: (_added := into(fund_sum).from_select(_SUMMED, _SHARES)).on_conflict_do_update(
        index_elements=_SUMMED[:5], set_={"spent_fen": fund_sum.c.spent_fen + _added.excluded.spent_fen}
    )
    for name, into in INSERTS.items()
}


async def add(
    connection: AsyncConnection,
    new: Entry,
    townships: Mapping[str, str],
    papers: Sequence[str],
    *,
    split: str,
    at_ms: int,
    batch: str = "",
) -> int:
    """A draft with its shares and papers; answers its id. `townships`: the township code of each site."""
    added = (
        insert(entry)
        .values(
            fund_id=new.fund_id,
            state=State.DRAFT.value,
            dated=new.dated.isoformat(),
            memo=new.memo,
            amount_fen=new.amount_fen,
            econ_class=new.econ_class,
            cost_class=new.cost_class,
            purpose=new.purpose,
            payee=new.payee,
            work_order=new.work_order or None,
            stage_id=new.stage_id,
            acceptance=new.acceptance,
            reverses=new.reverses,
            split=split,
            batch=batch,
            drafted_by=new.drafted_by,
            drafted_ms=at_ms,
            paid_on=new.paid_on.isoformat() if new.paid_on else None,
            voucher=new.voucher,
        )
        .returning(entry.c.id)
    )
    entry_id = int((await connection.execute(added)).scalar_one())
    shares = [
        {"entry_id": entry_id, "site": site, "township": townships[site], "share_fen": share}
        for site, share in new.shares.items()
    ]
    for start in range(0, len(shares), ROWS_AT_ONCE):
        await connection.execute(insert(entry_site), shares[start : start + ROWS_AT_ONCE])
    if papers:
        rows = [{"entry_id": entry_id, "sha256": sha256} for sha256 in dict.fromkeys(papers)]
        await connection.execute(insert(entry_paper), rows)
    return entry_id


async def funds_of(connection: AsyncConnection, entry_ids: Sequence[int]) -> dict[int, int]:
    """The fund of each entry, which never changes. Raises MonitorError for an entry that there is not."""
    found: dict[int, int] = {}
    for start in range(0, len(entry_ids), ROWS_AT_ONCE):
        some = entry.c.id.in_(entry_ids[start : start + ROWS_AT_ONCE])
        found |= {r.id: r.fund_id for r in await connection.execute(select(entry.c.id, entry.c.fund_id).where(some))}
    missing = [entry_id for entry_id in entry_ids if entry_id not in found]
    if missing:
        raise MonitorError(f"没有编号为 {missing[0]} 的分录")
    return found


async def drafter_of(connection: AsyncConnection, entry_id: int) -> str:
    """Who drafted an entry, which never changes. Raises MonitorError where there is no such entry."""
    found = (await connection.execute(select(entry.c.drafted_by).where(entry.c.id == entry_id))).scalar()
    if found is None:
        raise MonitorError(f"没有编号为 {entry_id} 的分录")
    return str(found)


async def numbered(connection: AsyncConnection, fund_id: int, number: int) -> int:
    """The id of the registered entry of that number 台账序号. Raises MonitorError where there is none."""
    query = select(entry.c.id).where(entry.c.fund_id == fund_id, entry.c.number == number)
    found = (await connection.execute(query)).scalar()
    if found is None:
        raise MonitorError(f"该专项资金没有第 {number} 号分录")
    return int(found)


async def load(connection: AsyncConnection, entry_id: int) -> Entry:
    """An entry as it stands, with its shares. Raises MonitorError where there is none."""
    return entry_of(await chain.read(connection, entry_id))


def entry_of(written: chain.Written) -> Entry:
    """What the rules need of an entry's rows."""
    row = written.row
    return Entry(
        entry_id=row.id,
        fund_id=row.fund_id,
        state=State(row.state),
        dated=date.fromisoformat(row.dated),
        memo=row.memo,
        amount_fen=row.amount_fen,
        econ_class=row.econ_class,
        cost_class=row.cost_class,
        purpose=row.purpose,
        payee=row.payee,
        shares={site: fen for site, _, fen in written.shares},
        work_order=row.work_order or "",
        stage_id=row.stage_id,
        acceptance=row.acceptance,
        reverses=row.reverses,
        drafted_by=row.drafted_by,
        approved_by=row.approved_by,
        paid_on=date.fromisoformat(row.paid_on) if row.paid_on else None,
        voucher=row.voucher,
        number=row.number,
    )


async def shares(connection: AsyncConnection, entry_id: int) -> dict[str, int]:
    """Fen by site."""
    query = select(entry_site.c.site, entry_site.c.share_fen).where(entry_site.c.entry_id == entry_id)
    return {r.site: r.share_fen for r in await connection.execute(query.order_by(entry_site.c.site))}


async def townships(connection: AsyncConnection, entry_id: int) -> dict[str, str]:
    """The township of each site of an entry, as it was when the entry was drafted."""
    query = select(entry_site.c.site, entry_site.c.township).where(entry_site.c.entry_id == entry_id)
    return {r.site: r.township for r in await connection.execute(query)}


async def papers(connection: AsyncConnection, entry_id: int) -> list[str]:
    query = select(entry_paper.c.sha256).where(entry_paper.c.entry_id == entry_id).order_by(entry_paper.c.sha256)
    return list((await connection.execute(query)).scalars())


async def reversed_shares(connection: AsyncConnection, entry_id: int) -> dict[str, int]:
    """What registered red entries have taken back of an entry, by site, as positive fen."""
    query = (
        select(entry_site.c.site, func.sum(entry_site.c.share_fen).label("fen"))
        .join(entry, entry.c.id == entry_site.c.entry_id)
        .where(entry.c.reverses == entry_id, entry.c.state == State.REGISTERED.value)
        .group_by(entry_site.c.site)
    )
    return {r.site: -int(r.fen) for r in await connection.execute(query)}


async def step(connection: AsyncConnection, entry_id: int, before: State, values: Mapping[str, Any]) -> None:
    """Change an entry that is in the state `before`; the fund's lock keeps it there."""
    done = await connection.execute(_STEP, {"of": entry_id, "before": before.value, **values})
    if done.rowcount != 1:
        raise RuntimeError(f"entry {entry_id} is no longer {before}, in spite of the lock")


async def add_up(connection: AsyncConnection, entry_id: int) -> None:
    """Add an entry that is being registered to the sums by month, class, site and township."""
    await connection.execute(_ADD_UP[connection.dialect.name], {"of": entry_id})


async def of_batch(connection: AsyncConnection, batch: str, *states: State) -> list[int]:
    """The ids of an import's entries that are in one of these states, in the order of the table that they came from."""
    wanted = entry.c.state.in_([state.value for state in states])
    query = select(entry.c.id).where(entry.c.batch == batch, wanted).order_by(entry.c.id)
    return list((await connection.execute(query)).scalars())


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries a list shows; what is None or empty does not narrow it."""

    fund_id: int | None = None
    state: str = ""
    month: str = ""  # 2026-10, of the payment
    econ_class: str = ""
    site: str = ""
    work_order: str = ""
    batch: str = ""
    after: int = 0  # an id: those before it in the list
    limit: int = 100
    townships: frozenset[str] | None = None  # codes; None: all of them


async def wanted(connection: AsyncConnection, which: Wanted) -> list[dict[str, Any]]:
    """Entries, newest first, with fund, contract and stage; shares and papers come with `one`."""
    conditions: list[ColumnElement[bool]] = []
    if which.fund_id is not None:
        conditions.append(entry.c.fund_id == which.fund_id)
    if which.state:
        conditions.append(entry.c.state == which.state)
    if which.month:
        # A range, so that the index on the date serves.
        conditions.append(entry.c.paid_on.between(f"{which.month}-01", f"{which.month}-31"))
    if which.econ_class:
        conditions.append(entry.c.econ_class == which.econ_class)
    if which.work_order:
        conditions.append(entry.c.work_order == which.work_order)
    if which.batch:
        conditions.append(entry.c.batch == which.batch)
    if which.after:
        conditions.append(entry.c.id < which.after)
    if which.site:
        of_site = select(entry_site.c.entry_id).where(entry_site.c.site == which.site)
        conditions.append(entry.c.id.in_(of_site))
    if which.townships is not None:
        of_township = select(entry_site.c.entry_id).where(entry_site.c.township.in_(which.townships))
        conditions.append(entry.c.id.in_(of_township))
    # First which ones, from indexes alone: whole rows of a month need not be sorted for the hundred that are shown.
    ids = select(entry.c.id).where(*conditions).order_by(entry.c.id.desc()).limit(which.limit)
    found = list((await connection.execute(ids)).scalars())
    result: list[dict[str, Any]] = []
    for start in range(0, len(found), ROWS_AT_ONCE):
        some = entry.c.id.in_(found[start : start + ROWS_AT_ONCE])
        result += [dict(r._mapping) for r in await connection.execute(_shown().where(some).order_by(entry.c.id.desc()))]
    return result


async def one(connection: AsyncConnection, entry_id: int) -> dict[str, Any]:
    """An entry with everything that belongs to it. Raises MonitorError where there is none."""
    row = (await connection.execute(_shown().where(entry.c.id == entry_id))).first()
    if row is None:
        raise MonitorError(f"没有编号为 {entry_id} 的分录")
    reversals = select(entry.c.id, entry.c.number, entry.c.state, entry.c.amount_fen).where(
        entry.c.reverses == entry_id
    )
    return {
        **row._mapping,
        "shares": await shares(connection, entry_id),
        "townships": await townships(connection, entry_id),
        "papers": await papers(connection, entry_id),
        "reversals": [dict(r._mapping) for r in await connection.execute(reversals.order_by(entry.c.id))],
    }


def _shown() -> Any:
    original = entry.alias()
    return (
        select(
            entry,
            fund.c.year,
            fund.c.name.label("fund"),
            contract.c.number.label("contract"),
            stage.c.n.label("stage"),
            original.c.number.label("reverses_number"),
        )
        .join(fund, fund.c.id == entry.c.fund_id)
        .outerjoin(stage, stage.c.id == entry.c.stage_id)
        .outerjoin(contract, contract.c.id == stage.c.contract_id)
        .outerjoin(original, original.c.id == entry.c.reverses)
    )


async def registered(connection: AsyncConnection, fund_id: int) -> list[dict[str, Any]]:
    """Every registered entry of a fund in order of its number, with its shares: for exports."""
    query = _shown().where(entry.c.fund_id == fund_id, entry.c.number.is_not(None)).order_by(entry.c.number)
    rows = [{**r._mapping, "shares": {}, "townships": {}, "papers": []} for r in await connection.execute(query)]
    by_id = {row["id"]: row for row in rows}
    of_fund = (entry.c.fund_id == fund_id) & entry.c.number.is_not(None)
    parts = select(entry_site).join(entry, entry.c.id == entry_site.c.entry_id).where(of_fund)
    for r in await connection.execute(parts.order_by(entry_site.c.entry_id, entry_site.c.site)):
        by_id[r.entry_id]["shares"][r.site] = r.share_fen
        by_id[r.entry_id]["townships"][r.site] = r.township
    sheets = select(entry_paper).join(entry, entry.c.id == entry_paper.c.entry_id).where(of_fund)
    for r in await connection.execute(sheets.order_by(entry_paper.c.entry_id, entry_paper.c.sha256)):
        by_id[r.entry_id]["papers"].append(r.sha256)
    return rows

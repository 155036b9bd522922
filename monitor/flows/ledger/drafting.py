"""An entry is drafted 草稿: its money split over sites, its papers kept, everything checked but the balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.access import Action
from monitor.core.allocation import Weight, allocate
from monitor.core.ledger import Books, Entry, Fund, LedgerRefused, Problem, State
from monitor.core.ledger_rules import DRAFTING, demand
from monitor.core.money import in_yuan
from monitor.core.sites import Inventory
from monitor.errors import MonitorError
from monitor.flows.ledger.asking import Answer, Asking, Where, once
from monitor.flows.ledger.places import Split, weights_of
from monitor.inventory.cells import narrow
from monitor.store import orders, papers
from monitor.store.ledger import contracts, entries, funds


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry as it is asked for. `purpose` "": the fund's only one; `payee` "": the contract's.

    `weights`: for split `weights`, by site. `papers`: files. `paid_on`, `voucher`: where they are known already.
    """

    where: Where
    dated: date
    memo: str
    amount_fen: int
    econ_class: str
    sites: Sequence[str]
    payee: str = ""
    purpose: str = ""
    cost_class: str = ""
    split: Split = "equal"
    weights: Mapping[str, Weight] = field(default_factory=dict)
    work_order: str = ""
    contract: str = ""
    stage: int = 0
    acceptance: str = ""
    papers: Sequence[Path] = ()
    paid_on: date | None = None
    voucher: str = ""


async def draft(asking: Asking, inventory: Inventory, new: NewEntry, folder: Path) -> Answer:
    """Write a draft; `folder` is where papers are kept. Raises MonitorError with every reason against it."""
    townships = townships_of(inventory, new.sites)

    async def work(connection: AsyncConnection) -> Answer:
        fund = await funds.load(connection, await funds.find(connection, new.where.year, new.where.fund), lock=True)
        entry = await prepared(connection, fund, inventory, new, asking.actor.name)
        demand(DRAFTING, entry, await books_to_draft(connection, fund, entry, asking.today))
        kept = [await papers.keep(connection, folder, path, asking.actor.name, asking.at_ms) for path in new.papers]
        entry_id = await entries.add(connection, entry, townships, kept, split=new.split, at_ms=asking.at_ms)
        return {
            "id": entry_id,
            "state": State.DRAFT.value,
            "amount_fen": entry.amount_fen,
            "shares": dict(entry.shares),
        }

    asked = {"draft": {name: str(getattr(new, name)) for name in NewEntry.__slots__}}
    what = f"draft {new.where.year} {new.where.fund} {in_yuan(new.amount_fen)}"
    return await once(asking, Action.LEDGER_DRAFT, what, asked, work, townships=townships.values())


def townships_of(inventory: Inventory, sites: Sequence[str]) -> dict[str, str]:
    """The township code of each site. Raises MonitorError for a site that is not in the inventory."""
    unknown = [site for site in sites if site not in inventory.sites]
    if unknown:
        raise MonitorError(f"没有站点：{'、'.join(unknown[:5])}")
    return {site: inventory.sites[site].township_code for site in sites}


async def prepared(
    connection: AsyncConnection, fund: Fund, inventory: Inventory, new: NewEntry, drafted_by: str
) -> Entry:
    """The entry with its contract looked up and its amount split. Raises LedgerRefused where that cannot be done."""
    payee, stage_id = new.payee, None
    if new.contract:
        stage_id = await contracts.find_stage(connection, fund.fund_id, new.contract, new.stage)
        payee = payee or (await contracts.load_stage(connection, stage_id)).payee
    try:
        shares = allocate(new.amount_fen, weights_of(inventory, new.sites, new.split, new.weights)) if new.sites else {}
    except ValueError as error:
        raise LedgerRefused([Problem("sites", str(error))]) from None
    return Entry(
        fund_id=fund.fund_id,
        dated=new.dated,
        memo=new.memo,
        amount_fen=new.amount_fen,
        econ_class=new.econ_class,
        cost_class=new.cost_class,
        purpose=new.purpose or (fund.purposes[0] if len(fund.purposes) == 1 else ""),
        payee=payee,
        # A site that gets nothing (more sites than fen, a weight of 0) is not one that the money is for.
        shares={site: share for site, share in shares.items() if share},
        work_order=narrow(new.work_order),
        stage_id=stage_id,
        acceptance=new.acceptance,
        drafted_by=drafted_by,
        paid_on=new.paid_on,
        voucher=new.voucher,
    )


async def books_of(connection: AsyncConnection, fund: Fund, entry: Entry, today: date) -> Books:
    """What must be known beside the entry, as it stands under the fund's lock."""
    original = await entries.load(connection, entry.reverses) if entry.reverses is not None else None
    back = await entries.reversed_shares(connection, entry.reverses) if entry.reverses is not None else {}
    return Books(
        fund=fund,
        today=today,
        classes=await funds.classes(connection, fund.year),
        stage=await contracts.load_stage(connection, entry.stage_id) if entry.stage_id is not None else None,
        original=original,
        reversed_shares=back,
    )


async def books_to_draft(connection: AsyncConnection, fund: Fund, entry: Entry, today: date) -> Books:
    """The same for an entry that is new: also whether there is the work order that it names."""
    books = await books_of(connection, fund, entry, today)
    known = not (entry.work_order and await orders.unknown(connection, [entry.work_order]))
    return replace(books, order_known=known)

"""Looking at the ledger: lists, one entry, totals. Whoever is limited to townships sees what is for their sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.access import Action, Actor, Forbidden, demand
from monitor.core.sites import Inventory
from monitor.flows.ledger import contract as contracts_flow
from monitor.flows.ledger.asking import Where
from monitor.flows.ledger.figures import Figures, figures
from monitor.flows.ledger.money_in import shown
from monitor.store.ledger import contracts, entries, funds
from monitor.store.ledger.entries import Wanted


async def list_entries(
    engine: AsyncEngine, actor: Actor, where: Where | None, wanted: Wanted
) -> Sequence[Mapping[str, Any]]:
    """Entries, newest first."""
    demand(actor, Action.LEDGER_READ)
    async with engine.connect() as connection:
        if where is not None:
            wanted = replace(wanted, fund_id=await funds.find(connection, where.year, where.fund))
        return await entries.wanted(connection, replace(wanted, townships=actor.townships))


async def show_entry(engine: AsyncEngine, actor: Actor, entry_id: int) -> Mapping[str, Any]:
    """One entry with shares, papers and reversals."""
    demand(actor, Action.LEDGER_READ)
    async with engine.connect() as connection:
        found = await entries.one(connection, entry_id)
    if actor.townships is not None and not actor.townships & set(found["townships"].values()):
        raise Forbidden(f"{actor.name} 的权限不含该分录的乡镇")
    return found


async def id_of_number(engine: AsyncEngine, actor: Actor, where: Where, number: int) -> int:
    """The id of a registered entry by its number 台账序号."""
    demand(actor, Action.LEDGER_READ)
    async with engine.connect() as connection:
        return await entries.numbered(connection, await funds.find(connection, where.year, where.fund), number)


async def totals(
    engine: AsyncEngine,
    actor: Actor,
    inventory: Inventory,
    where: Where,
    today: date,
    first: str = "0000-00",
    last: str = "9999-99",
    *,
    orders: bool = False,
) -> Figures:
    """A fund's figures; of townships and sites only what the actor may see."""
    demand(actor, Action.LEDGER_TOTALS)
    async with engine.connect() as connection:
        found = await figures(connection, inventory, where, today, first, last, orders=orders)
    if actor.townships is None:
        return found
    mine = {site.site_id for site in inventory.sites.values() if site.township_code in actor.townships}
    by = {
        **found.by,
        "township": {code: fen for code, fen in found.by["township"].items() if code in actor.townships},
        "site": {site: fen for site, fen in found.by["site"].items() if site in mine},
    }
    return replace(found, by=by)


async def list_funds(engine: AsyncEngine, actor: Actor, year: int | None) -> list[dict[str, Any]]:
    """Funds, each with its changes and closings."""
    demand(actor, Action.LEDGER_TOTALS)
    async with engine.connect() as connection:
        return [
            {
                **shown(fund),
                "changes": await funds.changes(connection, fund.fund_id),
                "closings": await funds.closings(connection, fund.fund_id),
            }
            for fund in await funds.of_year(connection, year)
        ]


async def list_classes(engine: AsyncEngine, actor: Actor, year: int) -> dict[str, str]:
    """A year's economic classes."""
    demand(actor, Action.LEDGER_TOTALS)
    async with engine.connect() as connection:
        return await funds.classes(connection, year)


async def list_contracts(engine: AsyncEngine, actor: Actor, where: Where) -> list[dict[str, Any]]:
    """A fund's contracts with their stages."""
    demand(actor, Action.LEDGER_READ)
    async with engine.connect() as connection:
        found = await contracts.of_fund(connection, await funds.find(connection, where.year, where.fund))
    return [contracts_flow.shown(one) for one in found]

"""Inspections 巡检: a round is planned, visits are written down, and how far a round has come (docs/register.md)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor, demand
from monitor.core.inspection import (
    Coverage,
    InspectionFigures,
    Round,
    Visit,
    check,
    coverage,
    in_force,
    inspection_figures,
    says_the_same,
    sites_in,
    tidy,
)
from monitor.core.window import check_scope
from monitor.core.workorder import no_such_order
from monitor.errors import ConfigError, Mistake, MonitorError
from monitor.flows.acting import acting, acting_or_trying
from monitor.flows.register import keep_papers, local_day, one_township, sees, township_of
from monitor.inventory.load import Loaded
from monitor.inventory.register_tables import KINDS
from monitor.inventory.round_tables import (
    VISIT_COLUMNS,
    VISIT_HEADINGS,
    VISIT_OPTIONAL,
    finding_cell,
    orders_cell,
    read_visits,
)
from monitor.inventory.sheets import by_headings, read_sheet
from monitor.publish.sheets import write_sheet
from monitor.store import inspections as rows
from monitor.store import orders
from monitor.store.numbering import next_number
from monitor.store.tables import inspection_round, inspection_visit


def scoped_sites(loaded: Loaded, scope: str, first: date, last: date) -> tuple[tuple[str, ...], str | None]:
    """The sites of a scope 范围 (county, level, township, site) in service in these days, and the township whose right
    it needs (None: the whole county's). Raises MonitorError for what is no such scope."""
    kind, _, which = check_scope(scope).partition(":")
    if kind == "terminal":
        raise MonitorError(f"范围应为 county、level:village、township:编号 或 site:编号，不是 {scope!r}")
    township = {"township": which, "site": township_of(loaded, which)}.get(kind)
    return sites_in(scope, loaded.inventory.sites.values(), first, last), township


async def plan(
    engine: AsyncEngine, loaded: Loaded, actor: Actor, name: str, scope: str, due_from: date, due_to: date, at_ms: int
) -> Round:
    """Plan a round of a scope's sites, to be visited on `due_from` to `due_to`. Raises MonitorError."""
    sites, township = scoped_sites(loaded, scope, due_from, due_to)
    what = f"巡检计划 {name} {scope} {due_from} 至 {due_to}"
    async with acting(engine, actor, Action.WORKORDER_WRITE, what, at_ms, township=township) as connection:
        if not name.strip():
            raise MonitorError("巡检应有名称")
        if due_to < due_from:
            raise MonitorError(f"截止日 {due_to} 早于开始日 {due_from}")
        if not sites:
            raise MonitorError(f"范围 {scope} 内没有在用站点")
        n = await next_number(connection, inspection_round)
        made = Round(n, name.strip(), scope, sites, due_from, due_to, actor.name, at_ms)
        await rows.add_round(connection, made)
    return made


async def cancel(engine: AsyncEngine, loaded: Loaded, actor: Actor, n: int, why: str, at_ms: int) -> None:
    """Give a round up; its visits stay. Raises MonitorError."""
    of = await find(engine, n)
    _, township = scoped_sites(loaded, of.scope, of.due_from, of.due_to)
    what = f"巡检计划 取消 第 {n} 号 {of.name}"
    async with acting(engine, actor, Action.WORKORDER_WRITE, what, at_ms, township=township) as connection:
        if not why.strip():
            raise MonitorError("取消应写明原因")
        if not await rows.cancel_round(connection, n, actor.name, at_ms, why.strip()):
            raise MonitorError(f"第 {n} 号巡检已取消")


async def visit(
    engine: AsyncEngine, loaded: Loaded, actor: Actor, new: Visit, at_ms: int, papers: Sequence[Path] = ()
) -> Visit:
    """Write a visit down; answers it with its number, author and papers. Raises MonitorError with the reason."""
    new = tidy(new)
    what = f"巡检 {new.site} {new.on} {new.who} {'到达' if new.reached else '未到'}"
    what += f" 更正第 {new.corrects} 号" if new.corrects is not None else ""
    township = township_of(loaded, new.site)
    async with acting(engine, actor, Action.WORKORDER_WRITE, what, at_ms, township=township) as connection:
        n = await next_number(connection, inspection_visit)
        if new.site not in loaded.inventory.sites:
            raise MonitorError(f"清单中没有站点 {new.site}")
        of = await _one(connection, new.round) if new.round is not None else None
        kinds = [t.kind for t in loaded.inventory.terminals_of[new.site]]
        check(new, of, await rows.visits(connection, site=new.site), kinds, local_day(loaded, at_ms))
        for number in await _unknown_orders(connection, [new]):
            raise MonitorError(no_such_order(number))
        files = await keep_papers(connection, loaded, papers, actor, at_ms)
        made = replace(new, n=n, by=actor.name, at_ms=at_ms, papers=files)
        await rows.add_visit(connection, made)
    return made


async def _unknown_orders(connection: AsyncConnection, visits: Iterable[Visit]) -> set[str]:
    """The numbers of work orders that these name and that there are not."""
    return await orders.unknown(connection, {f.work_order for v in visits for f in v.findings if f.work_order})


async def find(engine: AsyncEngine, n: int) -> Round:
    """A round by its number. Raises MonitorError."""
    async with engine.connect() as connection:
        return await _one(connection, n)


async def _one(connection: AsyncConnection, n: int) -> Round:
    found = await rows.rounds(connection, n)
    if not found:
        raise MonitorError(f"没有第 {n} 号巡检计划")
    return found[0]


async def all_rounds(engine: AsyncEngine, loaded: Loaded, at_ms: int) -> list[Coverage]:
    """Every round and how far it has come today."""
    async with engine.connect() as connection:
        known = await rows.rounds(connection)
        visits = await rows.visits(connection)
    return [coverage(one, visits, local_day(loaded, at_ms)) for one in known]


async def visits(engine: AsyncEngine, of_round: int | None = None, site: str | None = None) -> list[Visit]:
    """Visits as they were written down, by number: corrected ones too."""
    async with engine.connect() as connection:
        return await rows.visits(connection, of_round=of_round, site=site)


async def figures(engine: AsyncEngine, loaded: Loaded, first: date, last: date, at_ms: int) -> InspectionFigures:
    """Of the local days `first` to `last`, both included, for reports."""
    townships = {site.site_id: site.township_code for site in loaded.inventory.sites.values()}
    async with engine.connect() as connection:
        known = await rows.rounds(connection)
        made = await rows.visits(connection)
    return inspection_figures(known, made, first, last, local_day(loaded, at_ms), townships)


# --- sheets -----------------------------------------------------------------------------------------------------------

_HEADINGS = ("站点编号", "站点名称", "乡镇", "日期", "巡检人", "到达", *KINDS, "工单", "备注")


class Taken(NamedTuple):
    """What a sheet adds, and how many of its rows are known already."""

    visits: list[Visit]
    unchanged: int


async def sheet(engine: AsyncEngine, loaded: Loaded, actor: Actor, n: int, file: Path) -> int:
    """A sheet to take along on a round: a line for each visit so far, and one to fill in for each other site."""
    demand(actor, Action.STATUS_READ)
    of = await find(engine, n)
    made: dict[str, list[Visit | None]] = defaultdict(list)
    for one in in_force(await visits(engine, n)):
        made[one.site].append(one)
    lines = [
        _sheet_line(loaded, site, one)
        for site in of.sites
        if sees(loaded, actor, site)
        for one in (made.get(site) or [None])
    ]
    return await asyncio.to_thread(write_sheet, file, of.name[:31], _HEADINGS, lines)


def _sheet_line(loaded: Loaded, site: str, one: Visit | None) -> list[str]:
    there = loaded.inventory.sites.get(site)
    names = [site, there.name if there else "", there.township_name if there else ""]
    if one is None:
        return names + [""] * (len(_HEADINGS) - len(names))
    of = {f.terminal: f for f in one.findings}
    found = [finding_cell(of.get(kind)) for kind in KINDS.values()]
    said = [one.on.isoformat(), one.who, "是" if one.reached else "否"]
    return [*names, *said, *found, orders_cell(one.findings), one.note]


async def take_sheet(
    engine: AsyncEngine, loaded: Loaded, actor: Actor, n: int, file: Path, at_ms: int, *, dry_run: bool = False
) -> Taken:
    """Write down the visits of a sheet of round `n`: all of it or nothing. Raises ConfigError with every mistake."""
    table = await asyncio.to_thread(read_sheet, file, VISIT_COLUMNS, VISIT_OPTIONAL, VISIT_HEADINGS)
    rows_read, mistakes = read_visits(table, n)
    township = one_township(loaded, (row.visit.site for row in rows_read))

    async def taken(connection: AsyncConnection) -> Taken:
        of = await _one(connection, n)
        known = await rows.visits(connection, of_round=n)
        result = Taken([], 0)
        wrong = list(mistakes)
        fresh: list[int] = []
        for number, read in rows_read:
            new = tidy(read)
            own = [v for v in (*known, *result.visits) if v.site == new.site]
            same_day = [v for v in in_force(own) if v.on == new.on]
            if any(says_the_same(v, new) for v in same_day):
                result = result._replace(unchanged=result.unchanged + 1)
                continue
            try:
                if same_day:
                    raise MonitorError(f"第 {same_day[0].n} 号记录同日已登记，内容不同；更正请用 --corrects")
                kinds = [t.kind for t in loaded.inventory.terminals_of.get(new.site, ())]
                check(new, of, own, kinds, local_day(loaded, at_ms))
                result.visits.append(replace(new, n=-len(result.visits) - 1))
                fresh.append(number)
            except MonitorError as error:
                wrong.append(Mistake(table.file, number, "site_id", str(error)))
        unknown = await _unknown_orders(connection, result.visits)
        wrong += [
            Mistake(table.file, number, "work_order", no_such_order(order))
            for number, new in zip(fresh, result.visits, strict=True)
            for order in sorted({f.work_order for f in new.findings} & unknown)
        ]
        if wrong:
            raise ConfigError(by_headings(wrong, VISIT_HEADINGS))
        return result

    what = f"巡检 第 {n} 号 导入 {file.name}"
    async with acting_or_trying(
        engine, actor, Action.WORKORDER_WRITE, what, at_ms, township=township, dry_run=dry_run
    ) as connection:
        if dry_run:
            return await taken(connection)
        first = await next_number(connection, inspection_visit)
        found = await taken(connection)
        made = [replace(v, n=i, by=actor.name, at_ms=at_ms) for i, v in enumerate(found.visits, first)]
        for one in made:
            await rows.add_visit(connection, one)
    return found._replace(visits=made)

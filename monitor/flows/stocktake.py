"""The yearly stock-take 盘点: a sheet to take along, counts one by one or by the sheet, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor, demand
from monitor.core.register import Card, cards, on_day
from monitor.core.stocktake import OUTCOME_NAMES, Count, Outcome, Stocktake, judge, last_words, stocktake
from monitor.errors import ConfigError, Mistake, MonitorError
from monitor.flows.acting import acting, acting_or_trying
from monitor.flows.register import all_cards, keep_papers, local_day, one_township, read, sees, township_of
from monitor.inventory.load import Loaded
from monitor.inventory.register_tables import (
    COUNT_COLUMNS,
    COUNT_HEADINGS,
    COUNT_OPTIONAL,
    CountRow,
    read_counts,
)
from monitor.inventory.sheets import by_headings, read_sheet
from monitor.publish.sheets import write_sheet
from monitor.store import register as rows
from monitor.store.numbering import next_number
from monitor.store.tables import stock_count


class Counted(NamedTuple):
    """What a sheet adds, and how many of its rows are known already."""

    counts: list[Count]
    unchanged: int


async def count(
    engine: AsyncEngine,
    loaded: Loaded,
    actor: Actor,
    year: int,
    row: CountRow,
    at_ms: int,
    papers: Sequence[Path] = (),
) -> Count:
    """Write down what somebody saw at a position; the outcome follows. Raises MonitorError."""
    what = f"{year} 年盘点 {row.site}/{row.terminal} {row.on}"
    township = township_of(loaded, row.site)
    async with acting(engine, actor, Action.WORKORDER_WRITE, what, at_ms, township=township) as connection:
        n = await next_number(connection, stock_count)
        own = cards(await rows.records(connection, [(row.site, row.terminal)]))
        made = _judged(loaded, row, year, own, local_day(loaded, at_ms))
        files = await keep_papers(connection, loaded, papers, actor, at_ms)
        made = replace(made, n=n, by=actor.name, at_ms=at_ms, papers=files)
        await rows.add_counts(connection, [made])
    return made


async def take_sheet(
    engine: AsyncEngine, loaded: Loaded, actor: Actor, year: int, file: Path, at_ms: int, *, dry_run: bool = False
) -> Counted:
    """Write down a sheet that was filled in: all of it or nothing. Raises ConfigError with every mistake."""
    table = read_sheet(file, COUNT_COLUMNS, COUNT_OPTIONAL, COUNT_HEADINGS)
    sheet, mistakes = read_counts(table)
    township = one_township(loaded, (row.site for row in sheet))
    today = local_day(loaded, at_ms)

    async def judged(connection: AsyncConnection) -> Counted:
        known = all_cards(await rows.records(connection))
        last = last_words(await rows.counts(connection, year))
        result = Counted([], 0)
        wrong = list(mistakes)
        for row in sheet:
            own = [card for card in known if card.position == (row.site, row.terminal)]
            try:
                made = _judged(loaded, row, year, own, today)
            except MonitorError as error:
                wrong.append(Mistake(table.file, row.number, "seen", str(error)))
                continue
            before = last.get(made.position)
            if before is not None and made == replace(before, n=0, by="", at_ms=0, papers=()):
                result = result._replace(unchanged=result.unchanged + 1)
            else:
                result.counts.append(made)
                last[made.position] = made
        if wrong:
            raise ConfigError(by_headings(wrong, COUNT_HEADINGS))
        return result

    what = f"{year} 年盘点 导入 {file.name}"
    async with acting_or_trying(
        engine, actor, Action.WORKORDER_WRITE, what, at_ms, township=township, dry_run=dry_run
    ) as connection:
        if dry_run:
            return await judged(connection)
        n = await next_number(connection, stock_count)
        found = await judged(connection)
        made = [replace(c, n=i, by=actor.name, at_ms=at_ms) for i, c in enumerate(found.counts, n)]
        await rows.add_counts(connection, made)
    return found._replace(counts=made)


def _judged(loaded: Loaded, row: CountRow, year: int, own: Sequence[Card], today: date) -> Count:
    if row.on > today:
        raise MonitorError(f"{row.on} 在今天（{today}）之后；盘点只记已发生的事")
    if not own and (row.site, row.terminal) not in loaded.inventory.terminals:
        raise MonitorError(f"清单和台账中都没有机位 {row.site}/{row.terminal}")
    card = next(on_day(own, row.on), None)
    try:
        outcome, seen = judge(card, row.seen)
    except ValueError as error:
        raise MonitorError(str(error)) from None
    opened = card.opened.n if card else None
    return Count(0, year, row.site, row.terminal, row.on, outcome, opened, seen, row.note)


async def report(engine: AsyncEngine, loaded: Loaded, actor: Actor, year: int, at_ms: int) -> Stocktake:
    """A year's stock-take as it stands, of what `actor` may see; what had to be counted is what stands now, or stood
    on the year's last day."""
    demand(actor, Action.STATUS_READ)
    async with engine.connect() as connection:
        known = all_cards(await rows.records(connection))
        counts = [c for c in await rows.counts(connection, year) if sees(loaded, actor, c.site)]
    day = min(local_day(loaded, at_ms), date(year, 12, 31))
    standing = [card.position for card in on_day(known, day) if sees(loaded, actor, card.site)]
    return stocktake(year, counts, standing)


# --- sheets -----------------------------------------------------------------------------------------------------------

_HEADINGS = (
    "站点编号", "站点名称", "乡镇", "机位", "型号", "序列号", "资产编号", "实物", "盘点日期", "备注", "结果"
)  # fmt: skip


async def sheet(engine: AsyncEngine, loaded: Loaded, actor: Actor, year: int, file: Path, at_ms: int) -> int:
    """A sheet to take along: the cards that `actor` may see, and what was counted so far. 实物 takes a serial or asset
    number, √ or 无."""
    demand(actor, Action.STATUS_READ)
    known = on_day(all_cards(await read(engine)), local_day(loaded, at_ms))
    async with engine.connect() as connection:
        counts = await rows.counts(connection, year)
    standing = {card.position: card for card in known if sees(loaded, actor, card.site)}
    last = last_words(c for c in counts if sees(loaded, actor, c.site))
    lines = []
    for position in sorted({*standing, *last}):
        site, card, made = loaded.inventory.sites.get(position[0]), standing.get(position), last.get(position)
        thing = card.device if card else None
        lines.append(
            [
                position[0],
                site.name if site else "",
                site.township_name if site else "",
                position[1],
                *((thing.model, thing.serial, thing.asset) if thing else ("", "", "")),
                _seen(made),
                made.on.isoformat() if made else "",
                made.note if made else "",
                OUTCOME_NAMES[made.outcome] if made else "",
            ]
        )
    return write_sheet(file, f"{year}年盘点", _HEADINGS, lines)


def _seen(made: Count | None) -> str:
    if made is None:
        return ""
    return {Outcome.FOUND: "√", Outcome.MISSING: "无"}.get(made.outcome, made.seen)

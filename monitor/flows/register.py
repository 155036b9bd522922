"""The register of positions 机位台账: somebody writes a record, imports a sheet, asks what stands where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor
from monitor.core.register import ACT_NAMES, Act, Card, Device, Position, Record, cards, check, in_force, on_day
from monitor.core.register_sheet import Plan, plan
from monitor.core.sites import Inventory
from monitor.errors import ConfigError, Mistake, MonitorError
from monitor.flows.acting import acting, acting_or_trying
from monitor.inventory.load import Loaded
from monitor.inventory.register_tables import CARD_COLUMNS, CARD_HEADINGS, CARD_OPTIONAL, read_cards
from monitor.inventory.sheets import by_headings, read_sheet
from monitor.publish.sheets import Cell, write_sheet
from monitor.store import papers as kept
from monitor.store import register as rows
from monitor.store.numbering import next_number
from monitor.store.tables import position_record


def local_day(loaded: Loaded, at_ms: int) -> date:
    """The local day that holds an instant."""
    return datetime.fromtimestamp(at_ms / 1000, loaded.settings.zone).date()


def township_of(loaded: Loaded, site: str) -> str | None:
    """The township whose right an act at a site needs; None (the whole county's) for a site that is not known."""
    found = loaded.inventory.sites.get(site)
    return found.township_code if found else None


def one_township(loaded: Loaded, sites: Iterable[str]) -> str | None:
    """The township whose right an act at all of these needs: their one township, or the whole county's (None)."""
    codes = {township_of(loaded, site) for site in sites}
    return codes.pop() if len(codes) == 1 else None


def sees(loaded: Loaded, actor: Actor, site: str) -> bool:
    """May `actor` read about this site? Somebody limited to townships reads about those alone."""
    township = township_of(loaded, site)
    return actor.townships is None or (township is not None and actor.sees(township))


async def keep_papers(
    connection: AsyncConnection, loaded: Loaded, files: Sequence[Path], actor: Actor, at_ms: int
) -> tuple[str, ...]:
    """Their SHA-256, in the caller's transaction."""
    folder = Path(loaded.settings.papers.folder)
    return tuple([await kept.keep(connection, folder, file, actor.name, at_ms) for file in files])


# --- writing ----------------------------------------------------------------------------------------------------------


async def write(
    engine: AsyncEngine, loaded: Loaded, actor: Actor, record: Record, at_ms: int, papers: Sequence[Path] = ()
) -> Record:
    """Write a record down; answers it with its number, author and papers. Raises MonitorError with the reason."""
    site, terminal = record.position
    what = f"机位台账 {ACT_NAMES[record.act]} {site}/{terminal} {record.on}"
    what += f" {record.device}" if record.device else ""
    what += f" 更正第 {record.corrects} 号" if record.corrects is not None else ""
    township = township_of(loaded, site)
    async with acting(engine, actor, Action.WORKORDER_WRITE, what, at_ms, township=township) as connection:
        n = await next_number(connection, position_record)
        record = replace(record, n=n, by=actor.name, at_ms=at_ms)
        if record.corrects is None and record.device and record.position not in loaded.inventory.terminals:
            raise MonitorError(f"清单中没有机位 {site}/{terminal}")
        own = await rows.records(connection, [record.position])
        check(record, own, await _others(connection, record, own), local_day(loaded, at_ms))
        record = replace(record, papers=await keep_papers(connection, loaded, papers, actor, at_ms))
        await rows.add(connection, [record])
    return record


async def _others(connection: AsyncConnection, record: Record, own: Sequence[Record]) -> list[Card]:
    """Cards of other positions that share a mark with a device of this one."""
    marks = {mark for r in (*own, record) if r.device for mark in r.device.marks}
    others = await rows.bearing(connection, marks) - {record.position}
    return all_cards(await rows.records(connection, others)) if others else []


class Changes(NamedTuple):
    """What a correction puts in place of what a record said; None: as it was."""

    on: date | None = None
    device: Device | None = None
    act: Act | None = None


async def find(engine: AsyncEngine, n: int) -> Record:
    """A record by its number. Raises MonitorError."""
    async with engine.connect() as connection:
        found = next((r for r in await rows.records(connection) if r.n == n), None)
    if found is None:
        raise MonitorError(f"台账没有第 {n} 号记录")
    return found


async def correct(
    engine: AsyncEngine,
    loaded: Loaded,
    actor: Actor,
    n: int,
    changes: Changes,
    why: str,
    at_ms: int,
    papers: Sequence[Path] = (),
) -> Record:
    """A new record in the place of record `n`; `act` void: it never happened."""
    old = await find(engine, n)
    act = changes.act or old.act
    device = None if act in (Act.VOID, Act.REMOVED) else changes.device or old.device
    new = Record(0, *old.position, act, changes.on or old.on, device, why, corrects=n)
    return await write(engine, loaded, actor, new, at_ms, papers)


async def take_sheet(
    engine: AsyncEngine, loaded: Loaded, actor: Actor, file: Path, at_ms: int, *, dry_run: bool = False
) -> Plan:
    """Bring the register to what a sheet of cards says: all of it or nothing. Raises ConfigError with every mistake.

    `dry_run`: only say what would be written.
    """
    table = read_sheet(file, CARD_COLUMNS, CARD_OPTIONAL, CARD_HEADINGS)
    sheet, mistakes = read_cards(table, loaded.inventory)
    township = one_township(loaded, (row.site for row in sheet))
    today = local_day(loaded, at_ms)

    def planned(known: Sequence[Record], n: int) -> Plan:
        found = plan(sheet, known, n, today)
        wrong = mistakes + [Mistake(table.file, w.row, w.column, w.message) for w in found.wrong]
        if wrong:
            raise ConfigError(by_headings(wrong, CARD_HEADINGS))
        return found

    what = f"机位台账 导入 {file.name}"
    async with acting_or_trying(
        engine, actor, Action.WORKORDER_WRITE, what, at_ms, township=township, dry_run=dry_run
    ) as connection:
        if dry_run:
            known = await rows.records(connection)
            return planned(known, len(known) + 1)
        n = await next_number(connection, position_record)
        found = planned(await rows.records(connection), n)
        found.records = [replace(record, by=actor.name, at_ms=at_ms) for record in found.records]
        await rows.add(connection, found.records)
    return found


# --- asking -----------------------------------------------------------------------------------------------------------


async def read(engine: AsyncEngine) -> list[Record]:
    """Every record, by number."""
    async with engine.connect() as connection:
        return await rows.records(connection)


def all_cards(records: Iterable[Record]) -> list[Card]:
    """The cards of all positions, by position and day."""
    of: dict[Position, list[Record]] = defaultdict(list)
    for record in records:
        of[record.position].append(record)
    return [card for position in sorted(of) for card in cards(of[position])]


class Difference(NamedTuple):
    """Where register and inventory do not agree. `kind`: no_card 有位无卡, no_position 有卡无位, model 型号不符."""

    kind: str
    site: str
    terminal: str
    says: str


DIFFERENCE_NAMES = {"no_card": "有机位无卡片", "no_position": "有卡片无机位", "model": "型号不符"}


def differences(inventory: Inventory, known: Iterable[Card], day: date) -> list[Difference]:
    """On a local day: positions of the inventory without a card, cards without a position, other models."""
    standing = {card.position: card for card in on_day(known, day)}
    there = {t.key: t for t in inventory.terminals.values() if _in_service(inventory, t.key, day)}
    found = [Difference("no_card", *key, terminal.model) for key, terminal in there.items() if key not in standing]
    for position, card in standing.items():
        if position not in there:
            found.append(Difference("no_position", *position, str(card.device)))
        elif there[position].model and there[position].model != card.device.model:
            says = f"清单 {there[position].model}，台账 {card.device.model}"
            found.append(Difference("model", *position, says))
    return found


def _in_service(inventory: Inventory, key: Position, day: date) -> bool:
    dated = (inventory.sites[key[0]], inventory.terminals[key])
    return all(
        (d.commissioned_on is None or d.commissioned_on <= day) and (d.retired_on is None or day < d.retired_on)
        for d in dated
    )


@dataclass(frozen=True, slots=True)
class DeviceFigures:
    """Acts of a period: in all, by kind of terminal, by township code."""

    installed: int
    replaced: int
    removed: int
    replaced_by_kind: Mapping[str, int]
    replaced_by_township: Mapping[str, int]
    standing: int  # cards at the end of the last day


async def device_figures(engine: AsyncEngine, loaded: Loaded, first: date, last: date) -> DeviceFigures:
    """Of the local days `first` to `last`, both included, for reports."""
    records = await read(engine)
    of: dict[Position, list[Record]] = defaultdict(list)
    for record in records:
        of[record.position].append(record)
    acts = [r for own in of.values() for r in in_force(own) if first <= r.on <= last]
    kinds: dict[str, int] = defaultdict(int)
    townships: dict[str, int] = defaultdict(int)
    for record in acts:
        if record.act is Act.REPLACED:
            kinds[record.terminal] += 1
            townships[township_of(loaded, record.site) or ""] += 1
    number = {act: sum(r.act is act for r in acts) for act in Act}
    return DeviceFigures(
        number[Act.INSTALLED],
        number[Act.REPLACED],
        number[Act.REMOVED],
        dict(sorted(kinds.items())),
        dict(sorted(townships.items())),
        sum(1 for _ in on_day(all_cards(records), last)),
    )


# --- sheets -----------------------------------------------------------------------------------------------------------

_HEADINGS = (
    "站点编号", "站点名称", "乡镇", "机位", "型号", "序列号", "资产编号", "MAC地址", "安装日期", "拆除日期", "原因",
    "记录号",
)  # fmt: skip


def export(file: Path, inventory: Inventory, known: Iterable[Card]) -> int:
    """Write a sheet of cards that `take_sheet` reads back; returns how many."""
    return write_sheet(file, "机位台账", _HEADINGS, (_line(card, inventory) for card in known))


def _line(card: Card, inventory: Inventory) -> list[Cell]:
    site = inventory.sites.get(card.site)
    thing = card.device
    return [
        card.site,
        site.name if site else "",
        site.township_name if site else "",
        card.terminal,
        thing.model,
        thing.serial,
        thing.asset,
        thing.mac,
        card.since.isoformat(),
        card.until.isoformat() if card.until else "",
        (card.closed or card.opened).why,
        card.opened.n,
    ]

"""Declaring what a year's documents say and nobody measured: one value, a sheet of them, and confirming them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import RIGHTS, Action, Actor, demand
from monitor.core.declared import ACTIONS, NARRATIVE, TEXTS, Declared, Place, check, in_force, key_of, money_places
from monitor.core.evaluation import Indicator, Policy, check_band, number
from monitor.core.text import unguarded
from monitor.errors import ConfigError, Mistake, MonitorError
from monitor.flows.acting import acting
from monitor.flows.register import keep_papers
from monitor.inventory.load import Loaded
from monitor.inventory.sheets import by_headings, read_sheet
from monitor.publish.reports.template_files import Templates
from monitor.publish.sheets import write_sheet
from monitor.store import declared as rows
from monitor.store.numbering import next_number
from monitor.store.tables import declared_value

HEADINGS = ("项目编号", "项目", "内容", "说明")
_COLUMNS = {"项目编号": "key", "项目": "name", "内容": "text", "说明": "reason"}


def places(templates: Templates) -> dict[str, Place]:
    """All that may be declared of a year, by key, in the order of the documents."""
    found: list[Place] = [Place("annual", "年度总体目标实际完成情况（项目其他部分）", "money")]
    found += [
        Place(f"row.{row.row}", f"第 {row.row} 行 {row.level3}", row.who)
        for row in templates.goals.rows
        if row.source == "declared"
    ]
    found += money_places()
    form = next(iter(templates.forms.values()))
    found.append(Place("eval.execution", "预算执行率未达标原因", "money", 0, form.limits.reason))
    found.append(Place("eval.budget", "预算调整说明", "money", 0, form.limits.reason))
    for one in templates.forms.values():
        for i in one.indicators:
            who = "any" if i.figure else i.who
            limit = 0 if i.figure else 100
            found.append(Place(f"eval.{i.id}", i.level3, who, limit, one.limits.reason))
        found += [Place(f"text.{name}", title, "any", int(getattr(one.limits, name))) for name, title in TEXTS.items()]
    found += [Place(f"narrative.{name}", f"评价报告：{title}", "any") for name, title in NARRATIVE.items()]
    result: dict[str, Place] = {}
    for place in found:
        result.setdefault(place.key, place)
    return result


def check_value(new: Declared, templates: Templates) -> Place:
    """`core.declared.check`, and what the forms want of a row's value. Raises MonitorError."""
    place = check(new, places(templates))
    for form in templates.forms.values():
        for indicator in form.indicators:
            if new.key == f"eval.{indicator.id}" and new.text:
                _check_indicator(indicator, form.policy, new)
    return place


def _check_indicator(indicator: Indicator, policy: Policy, new: Declared) -> None:
    """A number, or of what is not one a band with its reason."""
    if indicator.nature != "定性" and number(new.text) is not None:
        return
    check_band(new.text, policy.bands)
    if not new.reason:
        raise MonitorError(f"{indicator.level3}：按档次评定应写理由（--reason）")


async def declare(
    engine: AsyncEngine, loaded: Loaded, templates: Templates, actor: Actor, new: Declared, at_ms: int,
    papers: Sequence[Path] = (),
) -> Declared:  # fmt: skip
    """Write down a value; it takes the place of the one before, which stays. Raises MonitorError."""
    new = replace(new, key=key_of(new.key), text=new.text.strip(), reason=new.reason.strip())
    place = places(templates).get(new.key)
    action = action_for(actor, place)
    async with acting(engine, actor, action, _what(new), at_ms) as connection:
        n = await next_number(connection, declared_value)
        check_value(new, templates)
        files = await keep_papers(connection, loaded, papers, actor, at_ms)
        made = replace(new, n=n, papers=files, by=actor.name, at_ms=at_ms)
        await rows.add(connection, made)
    return made


async def confirm(engine: AsyncEngine, actor: Actor, year: int, keys: Sequence[str], at_ms: int) -> list[Declared]:
    """A second person says that it is so; without keys everything that is not confirmed. Raises MonitorError."""
    async with engine.connect() as connection:
        known = in_force(await rows.of_year(connection, year))
    wanted = [key_of(key) for key in keys]
    missing = [key for key in wanted if key not in known]
    if missing:
        raise MonitorError(f"{year} 年度没有申报 {'、'.join(missing)}")
    found = [one for key, one in known.items() if (key in wanted or not wanted) and not one.confirmed_by]
    for one in found:
        what = f"确认 {_what(one)}（第 {one.n} 号）"
        async with acting(engine, actor, Action.INDICATOR_CONFIRM, what, at_ms, drafted_by=one.by) as connection:
            await next_number(connection, declared_value)  # nobody confirms the same twice
            if any(d.n == one.n and d.confirmed_by for d in await rows.of_year(connection, year)):
                raise MonitorError(f"第 {one.n} 号申报已确认")
            await rows.confirm(connection, one.n, actor.name, at_ms)
    return found


async def all_of(engine: AsyncEngine, actor: Actor, year: int) -> list[Declared]:
    """Everything that was declared of a year, by number."""
    demand(actor, Action.STATUS_READ)
    async with engine.connect() as connection:
        return await rows.of_year(connection, year)


def action_for(actor: Actor, place: Place | None) -> Action:
    """The right that is asked: of several that would do, the one that the actor has."""
    wanted = ACTIONS[place.who if place is not None else "any"]
    return next((action for action in wanted if actor.roles & RIGHTS[action]), wanted[0])


def _what(new: Declared) -> str:
    return f"{new.year} 年度申报值 {new.key}"


# --- sheets -----------------------------------------------------------------------------------------------------------


class Taken(NamedTuple):
    """What a sheet adds, and how many of its rows are known already."""

    values: list[Declared]
    unchanged: int


async def sheet(engine: AsyncEngine, templates: Templates, actor: Actor, year: int, file: Path) -> int:
    """A sheet to fill in, with what was declared so far; returns how many lines."""
    known = in_force(await all_of(engine, actor, year))
    lines = []
    for key, place in places(templates).items():
        said = known.get(key)
        lines.append([key, place.name, said.text if said else "", said.reason if said else ""])
    return await asyncio.to_thread(write_sheet, file, f"申报值{year}", HEADINGS, lines)


async def take_sheet(
    engine: AsyncEngine, templates: Templates, actor: Actor, year: int, file: Path, at_ms: int, *, dry_run: bool = False
) -> Taken:
    """Declare what a sheet says: all of it or nothing; what stands so already is passed over, and so are empty rows.

    Raises ConfigError with every mistake.
    """
    table = await asyncio.to_thread(read_sheet, file, ("key", "text"), ("name", "reason"), _COLUMNS)
    read = [(row.number, _of_row(row.cells, year)) for row in table.rows if not row.broken and row.cells["key"]]

    async def taken(connection: AsyncConnection) -> Taken:
        known = in_force(await rows.of_year(connection, year))
        result, wrong = Taken([], 0), list(table.mistakes)
        seen: set[str] = set()
        for at, new in read:
            if new.key in seen:
                wrong.append(Mistake(table.file, at, "key", f"{new.key} 出现两次"))
            seen.add(new.key)
            before = known.get(new.key, Declared(0, year, new.key, ""))
            if (before.text, before.reason) == (new.text, new.reason):
                result = result._replace(unchanged=result.unchanged + (new.key in known))
                continue
            try:
                check_value(new, templates)
            except MonitorError as error:
                wrong.append(Mistake(table.file, at, "text", str(error)))
            result.values.append(new)
        if wrong:
            raise ConfigError(by_headings(wrong, _COLUMNS))
        return result

    async with engine.connect() as connection:
        found = await taken(connection)
    allowed = places(templates)
    actions = sorted({action_for(actor, allowed[one.key]) for one in found.values}) or [Action.INDICATOR_MONEY]
    for action in actions:
        demand(actor, action)
    if dry_run:
        return found
    async with acting(engine, actor, actions[0], f"{year} 年度申报值 导入 {file.name}", at_ms) as connection:
        first = await next_number(connection, declared_value)
        found = await taken(connection)
        made = [replace(one, n=i, by=actor.name, at_ms=at_ms) for i, one in enumerate(found.values, first)]
        for one in made:
            await rows.add(connection, one)
    return found._replace(values=made)


def _of_row(cells: Mapping[str, str], year: int) -> Declared:
    return Declared(0, year, key_of(cells["key"]), unguarded(cells["text"]), unguarded(cells.get("reason", "")))

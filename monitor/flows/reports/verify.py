"""verify, of sealed reports: their figures worked out again, by way of the evidence log for as long as it is kept.

The log is replayed into a database of its own, from the head of the period's first day to where the period was settled;
several reports share one pass. Where days are gone, the service's own timelines must do. Windows and exemptions are
those of the rows that people made, as they stood when the report was sealed.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.chain import BEGINNING
from monitor.core.period import Period, parse
from monitor.core.report_figures import compared
from monitor.core.timeline import Interval
from monitor.core.walk import Fault
from monitor.errors import MonitorError
from monitor.evidence.reading import SUFFIXES
from monitor.flows.days import day_number, local_day
from monitor.flows.history import eras_in
from monitor.flows.judging import Judge
from monitor.flows.replay import rebuild, told_first
from monitor.flows.reports import facts_json
from monitor.flows.reports.measured import measured, parts_of
from monitor.flows.verify import Found, Progress, Recounted
from monitor.inventory.load import Loaded
from monitor.settings import Settings
from monitor.store import evidence_days, reports
from monitor.store.database import opened, snapshot
from monitor.store.reports import Kept
from monitor.store.view import View

#: So many values of a report are named; the others are counted.
NAMED = 10


@dataclass(frozen=True, slots=True)
class _Report:
    """A sealed report, and the log's days that its evidence stands in (empty: not all of them are there)."""

    kept: Kept
    period: Period
    facts: Mapping[str, Any]
    days: tuple[int, ...]


async def verify_reports(
    engine: AsyncEngine, loaded: Loaded, found: Found, *, quick: bool = False, progress: Progress
) -> None:
    """Add what is found to `found`, after `verify` itself. `quick`: from the stored timelines alone."""
    settings = loaded.settings
    async with snapshot(engine) as connection:
        logs = {} if quick else await asyncio.to_thread(_logs, settings)
        known = await evidence_days.days(connection, settings.observer)
        hashes = {0: BEGINNING}
        todo: list[_Report] = []
        for kept in await reports.listed(connection):
            hashes[kept.n] = kept.hash
            try:
                data = await reports.facts(connection, kept.n)
                facts_json.read(data)
                facts = msgspec.json.decode(data)
                period = parse(facts["period"])
                of_us = facts["evidence"]["observers"] == [settings.observer]
                reach = facts["start"], facts["settles_at"]
                days = _days(settings, reach, set(known), logs) if of_us else ()
            except (zstandard.ZstdError, MonitorError) as error:
                _bad(found, kept, [f"无法读取其中的数字（{error}）"])
                continue
            report = _Report(kept, period, facts, days)
            todo.append(report)
            _bad(found, kept, [*_form(report, hashes.get(kept.n - 1), settings), *_sums(report)])
            if not days and not quick:
                found.notes.append(f"报告 {called(kept.period, kept.revision)}：证据日志已不全，按库中的时间线重算")
        for group in _groups([r for r in todo if r.days]):
            await _by_log(connection, loaded, group, logs, found, progress)
        for report in todo:
            if not report.days:
                await _compare(connection, connection, loaded, report, found, progress, "spans")


def called(period: str, revision: int) -> str:
    """2026-10（定稿）"""
    return f"{period}（更正版 {revision}）" if revision else f"{period}（定稿）"


async def _by_log(
    connection: AsyncConnection,
    loaded: Loaded,
    group: Sequence[_Report],
    logs: Mapping[int, Path],
    found: Found,
    progress: Progress,
) -> None:
    files = [logs[day] for day in sorted({day for report in group for day in report.days})]
    with tempfile.TemporaryDirectory(prefix="zhdj-verify-") as aside:
        async with opened(f"sqlite+aiosqlite:///{aside}/monitor.db") as engine:
            view, judge = View(engine, loaded.settings.observer), Judge(loaded)
            what = f"{files[0].name} – {files[-1].name}"
            try:
                # Heads of a program that knew no versions do not say what held: a later day does.
                if (told := await asyncio.to_thread(told_first, [logs[day] for day in sorted(logs)])) is not None:
                    judge.expect(told)
                first = judge.loaded
                await view.number_checks(first.inventory)
                await rebuild(view, judge, files, torn_end=True, progress=lambda n: progress(what, n))
            except MonitorError as error:
                found.notes.append(f"证据日志无法重放（{error}），按库中的时间线重算")
                for report in group:
                    await _compare(connection, connection, loaded, report, found, progress, "spans")
                return
            async with engine.connect() as replayed:
                for report in group:
                    await _compare(connection, replayed, first, report, found, progress, "log")


async def _compare(
    connection: AsyncConnection,
    evidence: AsyncConnection,
    loaded: Loaded,
    report: _Report,
    found: Found,
    progress: Progress,
    how: Any,
) -> None:
    """`evidence`: the database whose timelines count; what people decided is read from the service's own."""
    kept = report.kept
    progress(f"报告 {called(kept.period, kept.revision)}", 0)
    eras = await eras_in(evidence, loaded)
    again = await measured(connection, evidence, loaded, eras, report.period, kept.at_ms)
    told = parts_of(report.facts)
    different = [d for part in told for d in compared(part, told[part], again[part])]
    means = "按证据日志" if how == "log" else "按库中的时间线"
    said = [
        f"{d.part} 定稿为 {_value(d.before)}，{means}重算为 {_value(d.after)}" for d in different[:NAMED]
    ]  # fmt: skip
    if len(different) > NAMED:
        said.append(f"……共 {len(different)} 处不符")
    _bad(found, kept, said)
    found.reports.append(Recounted(kept.period, kept.revision, how, len(different)))


# --- the report itself ------------------------------------------------------------------------------------------------


def _form(report: _Report, before: str | None, settings: Settings) -> list[str]:
    """Does it say of itself what its row says, and name the report before it?"""
    kept, facts = report.kept, report.facts
    said = []
    if (facts["period"], facts["rules"], facts["software"]) != (kept.period, kept.rules, kept.software):
        said.append("其中所写的期间、规则或程序版本与登记的不同")
    if (facts["start"], facts["end"]) != report.period.interval(settings.zone):
        said.append("其中所写的起止时间与期间不同")
    if before is not None and kept.previous != before:
        said.append(f"所引前一份报告的哈希为 {kept.previous}，链上为 {before}")
    return said


def _sums(report: _Report) -> list[str]:
    """Its own sums add up: the days to the period, the sites to the county."""
    facts = report.facts
    total = facts["counted"]["sums"]["total"]
    said = []
    for part in ("days", "sites"):
        for name in ("up", "down", "unknown", "planned"):
            added = sum(one["sum"][name] for one in facts[part])
            if facts[part] and added != total[name]:
                said.append(f"{part} 的 {name} 相加为 {added}，counted.sums.total.{name} 为 {total[name]}")
    return said


def _bad(found: Found, kept: Kept, said: Sequence[str]) -> None:
    name = called(kept.period, kept.revision)
    found.faults += [Fault(reports.TAG, kept.n, "figures", f"报告 {name}：{one}") for one in said]


def _value(value: Any) -> str:
    return "无" if value is None else str(value)


# --- which logs -------------------------------------------------------------------------------------------------------


def _logs(settings: Settings) -> dict[int, Path]:
    """This observer's logs that are there, closed or not, by day."""
    before, found = f"{settings.observer}-", {}
    folder = Path(settings.evidence.folder)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        suffix = next((s for s in SUFFIXES if path.name.endswith(s)), None)
        if suffix is None or not path.name.startswith(before):
            continue
        try:
            day = date.fromisoformat(path.name.removeprefix(before).removesuffix(suffix))
        except ValueError:
            continue
        found[day_number(day)] = path
    return found


def _days(settings: Settings, reach: Interval, known: set[int], logs: Mapping[int, Path]) -> tuple[int, ...]:
    """The days of the log from which `reach` follows; none if one of them is gone.

    A day's head tells all that was before, so it begins with the day that holds the period's beginning, or with the
    last one before it if nobody wrote on that day. It ends with the day that holds where the period was settled, or
    with the next one: until a line proves that time has passed, nothing is decided.
    """
    every = sorted(known | logs.keys())
    start, end = (day_number(local_day(at, settings)) for at in reach)
    first = max((day for day in every if day <= start), default=min(every, default=0))
    last = min((day for day in every if day >= end), default=max(every, default=0))
    days = tuple(day for day in every if first <= day <= last)
    return days if all(day in logs for day in days) else ()


def _groups(todo: Sequence[_Report]) -> list[list[_Report]]:
    """Reports whose days overlap, together: their logs are read once."""
    groups: list[list[_Report]] = []
    last = 0
    for report in sorted(todo, key=lambda r: r.days[0]):
        if groups and report.days[0] <= last:
            groups[-1].append(report)
        else:
            groups.append([report])
        last = max(last, report.days[-1])
    return groups

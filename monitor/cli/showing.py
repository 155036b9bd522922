"""How things are shown, JSON for programs, lines with tabs for people and `cut`; how days and positions are typed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from monitor.clock import from_iso, to_iso
from monitor.errors import MonitorError
from monitor.inventory.cells import a_date

Papers = Annotated[list[Path] | None, typer.Option("--paper", help="A photo or paper to keep; may be repeated.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")]
File = Annotated[Path, typer.Argument(help="A .xlsx or .csv.")]
From = Annotated[str, typer.Option("--from", help="The first day, 2026-01-01.")]
To = Annotated[str, typer.Option("--to", help="The last day, included.")]


def show(found: Any, lines: Iterable[Sequence[object]], as_json: bool) -> None:
    """`found` as JSON, or `lines`."""
    if as_json:
        show_json(found)
    else:
        show_lines(lines)


def show_json(found: Any) -> None:
    """JSON to stdout."""
    json.dump(found, sys.stdout, ensure_ascii=False, indent=1)
    print()


def show_lines(lines: Iterable[Sequence[object]]) -> None:
    """Lines with tabs between their cells; an empty one for None."""
    for line in lines:
        print("\t".join("" if cell is None else " ".join(str(cell).split()) for cell in line))


def show_one(found: Mapping[str, Any], as_json: bool) -> None:
    """One thing: JSON, or a line for each of its fields."""
    show(found, ((name, _cell(value)) for name, value in found.items()), as_json)


def _cell(value: object) -> object:
    return "，".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, Mapping) else value


def show_taken(
    what: str,
    made: Sequence[Mapping[str, Any]],
    lines: Iterable[Sequence[object]],
    unchanged: int,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """What a sheet brought: JSON with the new ones under `what`, or their `lines` and how many they are."""
    if as_json:
        show_json({"written": not dry_run, what: made, "unchanged": unchanged})
        return
    show_lines(lines)
    print(f"{written(dry_run)}：{len(made)}，不变 {unchanged}")


def written(dry_run: bool) -> str:
    """Whether what is shown was written down."""
    return "试算，未写入" if dry_run else "已写入"


def a_day(text: str, option: str) -> date:
    """Of what was typed after `option`. Raises MonitorError."""
    try:
        found = a_date(text)
    except ValueError:
        found = None
    if found is None:
        raise MonitorError(f"{option}: 应为日期，如 2026-10-01，实为 {text!r}")
    return found


def an_instant(text: str, option: str) -> int:
    """Milliseconds UTC of 2026-10-01T09:00+08:00. Raises MonitorError, also for one without its offset."""
    try:
        return from_iso(text)
    except ValueError:
        raise MonitorError(f"{option}: 应为带时差的时间，如 2026-10-01T09:00+08:00，实为 {text!r}") from None


def local_time(text: str, zone: ZoneInfo, option: str) -> datetime:
    """What a clock on the wall shows, as a naive datetime; `2026-10-01 08:00`, or with Z or an offset. Raises."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MonitorError(f"{option}: 应为时间，如 2026-10-01 08:00，实为 {text!r}") from None
    return moment if moment.tzinfo is None else moment.astimezone(zone).replace(tzinfo=None)


def iso(ms: int | None) -> str | None:
    return None if ms is None else to_iso(ms)


def shown(ms: int | None, zone: ZoneInfo) -> str:
    """Local time to the minute, as people read it."""
    return "" if ms is None else datetime.fromtimestamp(ms / 1000, zone).strftime("%Y-%m-%d %H:%M")


def a_position(text: str) -> tuple[str, str]:
    """site/terminal. Raises MonitorError."""
    site, _, terminal = text.partition("/")
    if not site or not terminal:
        raise MonitorError(f"应为机位，如 511723001010/pc，实为 {text!r}")
    return site, terminal

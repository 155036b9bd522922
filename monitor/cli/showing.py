"""How lists are shown: JSON for programs, lines with tabs for people and `cut`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

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
    """`found` as JSON, or `lines` with tabs between their cells."""
    if as_json:
        json.dump(found, sys.stdout, ensure_ascii=False, indent=1)
        print()
        return
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
        show({"written": not dry_run, what: made, "unchanged": unchanged}, (), True)
        return
    show(None, lines, False)
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


def iso(ms: int | None) -> str | None:
    return None if ms is None else to_iso(ms)


def a_position(text: str) -> tuple[str, str]:
    """site/terminal. Raises MonitorError."""
    site, _, terminal = text.partition("/")
    if not site or not terminal:
        raise MonitorError(f"应为机位，如 511723001010/pc，实为 {text!r}")
    return site, terminal

"""replay and rebuild: what follows from recorded evidence."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from monitor.cli import backups
from monitor.cli.acting import Config
from monitor.cli.showing import show_json
from monitor.clock import from_iso
from monitor.errors import MonitorError
from monitor.flows.judging import Judge
from monitor.flows.replay import LINES_A_CUT
from monitor.flows.replay import rebuild as rebuild_from
from monitor.flows.replay import replay as replay_traces
from monitor.inventory.load import load
from monitor.publish.answer import answer
from monitor.store.database import opened
from monitor.store.view import View

Traces = Annotated[list[Path], typer.Option("--trace", help="A trace or a folder of logs; may be repeated.")]

db = typer.Typer(no_args_is_help=True, help="The database.")


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    program.command()(replay)
    db.command()(upgrade)
    db.command()(rebuild)
    db.command("backup")(backups.make)
    db.command("restore")(backups.put_in_place)
    program.add_typer(db, name="db")


def _instant(text: str) -> int:
    try:
        return from_iso(text)
    except ValueError:
        raise MonitorError(f"expected an instant such as 2026-10-01T00:00:00Z, not {text!r}") from None


class _Progress:
    """Lines read so far, on a terminal only, and only for what takes longer than two seconds."""

    def __init__(self) -> None:
        self._since = datetime.now(UTC)
        self._console = Console(stderr=True)

    def __call__(self, lines: int) -> None:
        if self._console.is_terminal and (datetime.now(UTC) - self._since).total_seconds() > 2:
            self._console.print(f"{lines:,} lines", end="\r")


def replay(
    config: Config,
    trace: Traces,
    start: Annotated[str, typer.Option("--from", help="The period's beginning, ISO 8601 with Z.")],
    end: Annotated[str, typer.Option("--to", help="The period's end.")],
    database: Annotated[
        str | None, typer.Option(help="Keep the rows here, and go on from its last cut if it has one.")
    ] = None,
    cut_lines: Annotated[int, typer.Option(help="Lines between two cuts.", min=1)] = LINES_A_CUT,
) -> None:
    """Answer a recorded trace by the rules, on the trace's own clock, as JSON (docs/rules.md §7)."""
    period = (_instant(start), _instant(end))
    if period[0] >= period[1]:
        raise MonitorError(f"--from must lie before --to; {start} does not lie before {end}")
    loaded = load(config, serving=False)
    run = replay_traces(loaded, trace, period, url=database, lines_a_cut=cut_lines, progress=_Progress())
    figures, refused = asyncio.run(run)
    show_json(answer(figures, refused))


def upgrade(config: Config) -> None:
    """Give the database the tables that this version wants."""

    async def work() -> None:
        async with opened(load(config, serving=False).settings.database.url.get_secret_value()):
            pass

    asyncio.run(work())


def rebuild(
    config: Config,
    database: Annotated[str, typer.Option(help="An empty database, or one that follows the log up to some cut.")],
) -> None:
    """Write a database anew from the evidence log of this configuration."""
    loaded = load(config, serving=False)

    async def work() -> None:
        async with opened(database) as engine:
            view = View(engine, loaded.settings.observer)
            await view.number_checks(loaded.inventory)
            folder = Path(loaded.settings.evidence.folder)
            end = await rebuild_from(view, Judge(loaded), [folder], torn_end=True, progress=_Progress())
            print(f"{end.file}: {end.offset} bytes", file=sys.stderr)

    asyncio.run(work())

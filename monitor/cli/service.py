"""serve, simulate, fleet, check-config: what runs, and what is checked before it runs."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from monitor.app import serve as serve_until_stopped
from monitor.cli.acting import Config
from monitor.cli.check_config import check_config
from monitor.cli.demo import demo
from monitor.cli.logs import log_to_stderr
from monitor.errors import MonitorError
from monitor.fleet.control import CONTROL, fleet_control
from monitor.fleet.simulate import simulate as play
from monitor.fleet.tokens import TOKENS_FILE, read_tokens
from monitor.inventory.load import load


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    for function in (serve, demo, simulate, fleet):
        program.command()(function)
    program.command("check-config")(check)


def serve(config: Config) -> None:
    """The service, on real devices, until it is told to stop (SIGTERM, Ctrl-C)."""
    log_to_stderr()
    os.umask(0o027)  # the log, the database and what stands beside them are not for everybody
    asyncio.run(serve_until_stopped(load(config), config=config))


def simulate(
    config: Config,
    truth: Annotated[Path, typer.Option(help="Where to write what really happened (JSON lines).")],
    tokens: Annotated[
        Path | None,
        typer.Option(help=f"The devices' tokens; by default {TOKENS_FILE} beside the configuration's folder."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same faults.")] = 1,
    duration: Annotated[float | None, typer.Option(help="Seconds; without it until stopped.")] = None,
    script: Annotated[str, typer.Option(help="gentle, rough, hour or still.")] = "gentle",
    control: Annotated[str, typer.Option(help="Where it can be told to cut townships off.")] = CONTROL,
) -> None:
    """Play the fleet against a running service, with seeded faults, and write what really happened."""
    path = tokens or config.parent / TOKENS_FILE
    read_tokens(path)

    async def until_stopped() -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # asyncio.run runs us in one
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            await play(config, truth, seed, duration, path, script, control=control)
        except asyncio.CancelledError:
            return

    asyncio.run(until_stopped())


def fleet(
    action: Annotated[str, typer.Argument(help="cut, restore or state.")],
    target: Annotated[str, typer.Argument(help="A township's code, or monitor.")] = "",
    control: Annotated[str, typer.Option(help="Where the fleet is controlled.")] = CONTROL,
) -> None:
    """Tell a simulated fleet to cut a township (or the monitor's own line) off, and to restore it."""
    answer = asyncio.run(fleet_control(action, target, control))
    for key, value in answer.items():
        print(f"{key}: {value}")


def check(config: Config, json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Read everything; count it, or list every mistake with file, row, column and what was expected."""
    if not config.is_dir():
        raise MonitorError(f"{config}: no such folder; expected the folder of monitor.toml")
    raise typer.Exit(check_config(config, json))

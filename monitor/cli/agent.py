"""agent: what runs on a terminal. Its own package imports nothing of the rest and can go there alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(program: typer.Typer) -> None:
    """Add the command."""
    program.command()(agent)


def agent(
    config: Annotated[Path, typer.Option("--config", help="agent.toml")],
    check: Annotated[bool, typer.Option("--check", help="Read it and say what it means.")] = False,
) -> None:
    """Heartbeats of one terminal, until told to stop (SIGTERM, Ctrl-C): docs/agents.md."""
    # Late: everything else does without paho's threads.
    from monitor.agent.__main__ import main

    raise typer.Exit(main(["--config", str(config), *(["--check"] if check else [])]))

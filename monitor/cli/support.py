"""`zhdj-monitor support-bundle`: what somebody elsewhere needs to see, without secrets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.acting import Config
from monitor.clock import wall_ms
from monitor.flows.support import support_bundle


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    program.command("support-bundle")(make)


def make(
    config: Config,
    file: Annotated[Path, typer.Argument(help="Where to (a tar.gz); what is there already is not written over.")],
) -> None:
    """诊断包: versions, settings without secrets, health, metrics, sizes, units, the last logs, for whoever helps."""
    for name in asyncio.run(support_bundle(config, file, wall_ms())):
        print(name)

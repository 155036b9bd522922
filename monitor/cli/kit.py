"""token kit: tokens for all terminals in one go, in a folder per site that is carried there."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.cli.acting import Caller, manage, with_caller
from monitor.cli.tokens import make, now_in_force, span_ms
from monitor.clock import wall_ms
from monitor.core.sites import Inventory, Site, Terminal
from monitor.core.token import DEVICE
from monitor.errors import MonitorError
from monitor.flows.outputs import demand_folder
from monitor.intake.tokens import Token
from monitor.inventory.load import Loaded
from monitor.publish import kit
from monitor.store import tokens

#: In the index, of a terminal that was left out.
HAD_ONE = "had one"


def register(program: typer.Typer) -> None:
    """Onto `token`."""
    program.command("kit")(write_kit)


@with_caller
def write_kit(
    caller: Caller,
    out: Annotated[Path, typer.Option(help="The folder to make; it must not exist.")],
    url: Annotated[str, typer.Option(help="The monitor's address as the sites see it: https://monitor.example")],
    mqtt_host: Annotated[str, typer.Option(help="The broker, if it is not the host of --url.")] = "",
    mqtt_port: Annotated[int, typer.Option(help="Of the broker, with TLS.", min=1, max=65535)] = 8883,
    ca: Annotated[Path | None, typer.Option(help="A certificate (PEM) to trust, where it is our own.")] = None,
    contact: Annotated[str, typer.Option(help="Whom keepers call, for the sheet: 运维值班 0818-0000000")] = "",
    site: Annotated[list[str] | None, typer.Option(help="Only this site; may be repeated.")] = None,
    overlap: Annotated[
        str, typer.Option(help="Also terminals that have a token: it ends after this time (24h). Else left out.")
    ] = "",
) -> None:
    """Issue tokens for all terminals that beat: a folder per site with programs filled in and a sheet to print."""
    if out.exists():
        raise MonitorError(f"{out} exists; a kit is written once and never over something else")
    demand_folder(out)
    over = span_ms(overlap, "--overlap") if overlap else None
    reach = kit.Reach(url, mqtt_host or str(urlsplit(url).hostname), mqtt_port, _certificate(ca), contact)
    loaded = now_in_force(caller.config)
    now = wall_ms()
    today = datetime.fromtimestamp(now / 1000, loaded.settings.zone).date()
    unknown = [one for one in site or [] if one not in loaded.inventory.sites]
    if unknown:
        raise MonitorError(f"--site: not in sites.csv: {', '.join(unknown)}")
    rows = manage(loaded, caller, f"kit: {out.name}", tokens.rows_of)
    valid = {row["terminals"] for row in rows if row["kind"] == DEVICE and Token.of_row(row).valid(now)}

    aside = out.with_name(f"{out.name}.partial")
    if aside.exists():
        raise MonitorError(f"{aside} is left of a run that did not end; its tokens were not issued: remove it")
    try:
        # Whatever the umask: it is full of tokens.
        aside.mkdir(mode=0o700, parents=True)
        issued, index = _write(aside, loaded, reach, today, site, valid if over is None else set())
        # The files first: a token that nobody was told of is only a row too many.
        end = now + (over or 0)
        what = f"kit: {len(issued)} device tokens of {len({row['site_id'] for row in index})} sites"
        change = partial(_rotate, issued=issued, at=now, end=end)
        manage(loaded, caller, what, change)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise MonitorError(f"{out}: cannot be written: {error.strerror}") from None
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    aside.rename(out)
    print(f"{len({row['site_id'] for row in index})} sites, {len(issued)} tokens: {out}", file=sys.stderr)
    if skipped := sum(row["token"] == HAD_ONE for row in index):
        print(f"{skipped} terminals have a token and were left out; --overlap issues a new one", file=sys.stderr)


async def _rotate(connection: AsyncConnection, issued: list[tokens.Issued], at: int, end: int) -> int:
    return await tokens.rotate(connection, issued, at, end)


def _write(
    folder: Path, loaded: Loaded, reach: kit.Reach, today: date, only: list[str] | None, valid: set[str]
) -> tuple[list[tokens.Issued], list[dict[str, object]]]:
    """All files; answers what is to be kept and the rows of the index."""
    inventory = loaded.inventory
    agent = kit.agent_archive()
    issued: list[tokens.Issued] = []
    index: list[dict[str, object]] = []
    slow: list[str] = []
    for site in inventory.sites.values():
        terminals = _serving(inventory, site, today)
        if not terminals or (only and site.site_id not in only):
            continue
        positions = [kit.position(t.kind, inventory.checks_of.get(t.key, ())) for t in terminals]
        sheet = kit.sheet(site, positions, loaded.settings, reach, today)
        _save(folder / site.site_id, {"keeper.html": sheet})
        for terminal in terminals:
            check = kit.heartbeat(inventory.checks_of.get(terminal.key, ()))
            name = f"{site.site_id}/{terminal.kind}"
            row: dict[str, object] = {
                "site_id": site.site_id, "name": site.name, "level": site.level, "township_name": site.township_name,
                "terminal": terminal.kind, "check": check.check if check else "", "token": "", "folder": "",
                "interval_s": f"{check.interval_ms / 1000:g}" if check else "", "issued_on": "",
            }  # fmt: skip
            index.append(row)
            if check is None:
                continue
            if f'["{name}"]' in valid:
                row["token"] = HAD_ONE
                continue
            if check.channel == "http" and check.interval_ms < 60_000:
                slow.append(name)
            text, kept = make(DEVICE, [name])
            issued.append(kept)
            _save(folder / name, kit.terminal_files(check, text, reach, agent))
            row |= {"folder": name, "token": kept.hash[:8], "issued_on": today.isoformat()}
    if not index:
        raise MonitorError("no site in service has a terminal")
    if not issued:
        raise MonitorError("every terminal that beats has a token already; --overlap 24h issues new ones")
    _save(folder, {"index.csv": kit.index_file(index)})
    if slow:
        print(f"below a minute only the agent beats, no task and no cron: {', '.join(slow[:5])}", file=sys.stderr)
    return issued, index


def _serving(inventory: Inventory, site: Site, today: date) -> list[Terminal]:
    """Terminals that are, or will be, in service."""
    ends = [site.retired_on]
    return [
        terminal
        for terminal in inventory.terminals_of.get(site.site_id, ())
        if all(end is None or today < end for end in (*ends, terminal.retired_on))
    ]


def _save(folder: Path, made: Mapping[str, bytes]) -> None:
    """Readable by the caller alone, and never over something that is there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, data in made.items():
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)


def _certificate(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MonitorError(f"--ca: cannot read {path}: {error.strerror}") from None
    if b"-----BEGIN CERTIFICATE-----" not in data or b"PRIVATE KEY" in data:
        raise MonitorError(f"--ca: expected a certificate in PEM and no key, in {path}")
    return data

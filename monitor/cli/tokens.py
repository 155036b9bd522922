"""Tokens: issue, revoke, and mosquitto's files from them."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from monitor.clock import wall_ms
from monitor.core.token import DEVICE, KINDS, RELAY, hash_token
from monitor.errors import MonitorError
from monitor.fleet.tokens import write_tokens
from monitor.intake.mosquitto import acl_file, password_file, password_hash
from monitor.intake.tokens import Token, new_token, relay_user
from monitor.inventory.load import load
from monitor.store import tokens
from monitor.store.database import opened

Config = Annotated[Path, typer.Option("--config", help="The folder of monitor.toml.")]

#: A relay's name, as it stands in mosquitto's files.
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

program = typer.Typer(no_args_is_help=True)


@program.command()
def issue(
    config: Config,
    out: Annotated[Path, typer.Option(help='Where to write {"site/terminal": "token"}; readable by you alone.')],
    terminal: Annotated[
        list[str] | None, typer.Option(help="site/terminal; may be repeated. Without it: every terminal that beats.")
    ] = None,
    kind: Annotated[
        str, typer.Option(help="device (one each), ping (one each, for URLs) or relay (one for all that are named).")
    ] = DEVICE,
    label: Annotated[str, typer.Option(help="What people call it.")] = "",
) -> None:
    """Issue tokens. They are shown in the file once; the database keeps hashes only."""
    if kind not in KINDS:
        raise MonitorError(f"--kind: expected {', '.join(KINDS)}, not {kind!r}")
    if out.exists():
        raise MonitorError(f"{out} exists; tokens are written once and never over something else")
    loaded = load(config)
    beating = dict.fromkeys(f"{c.site_id}/{c.terminal}" for c in loaded.inventory.checks.values() if c.is_heartbeat)
    names = terminal or list(beating)
    unknown = [name for name in names if name not in beating]
    if unknown:
        raise MonitorError(f"no terminal with a heartbeat check: {', '.join(unknown)}; expected site/terminal")
    if kind == RELAY and not LABEL.fullmatch(label):
        raise MonitorError("--label: a relay needs one, of letters, digits, - and _; it signs in on MQTT as @label")
    groups = [names] if kind == RELAY else [[name] for name in names]
    plain = {relay_user(label) if kind == RELAY else group[0]: new_token(kind) for group in groups}
    issued = [
        tokens.Issued(kind, hash_token(text), group, label, password_hash(text) if kind in (DEVICE, RELAY) else "")
        for group, text in zip(groups, plain.values(), strict=True)
    ]

    async def work() -> None:
        async with opened(loaded.settings.database.url.get_secret_value()) as engine:
            await tokens.keep(engine, issued, wall_ms())

    # The file first: a token that nobody was told of is only a row too many.
    write_tokens(out, plain)
    asyncio.run(work())
    print(f"{len(issued)} tokens: {out}")


@program.command()
def revoke(config: Config, terminal: Annotated[str, typer.Argument(help="site/terminal")]) -> None:
    """Revoke the device and ping tokens of a terminal; the running service follows within seconds."""
    loaded = load(config)

    async def work() -> int:
        async with opened(loaded.settings.database.url.get_secret_value()) as engine:
            return await tokens.revoke(engine, terminal, wall_ms())

    count = asyncio.run(work())
    if not count:
        raise MonitorError(f"no valid token speaks for {terminal} alone")
    print(f"{count} revoked")


@program.command()
def mosquitto(config: Config, out: Annotated[Path, typer.Option(help="The folder for `passwords` and `acl`.")]) -> None:
    """Write mosquitto's password and ACL files from the tokens; `kill -HUP` has it read them."""
    loaded = load(config)
    settings = loaded.settings.mqtt
    if not settings.username or not settings.password.get_secret_value():
        raise MonitorError("mqtt.username and mqtt.password: expected the service's own account at the broker")

    async def work() -> list[dict[str, Any]]:
        async with opened(loaded.settings.database.url.get_secret_value()) as engine:
            return await tokens.rows(engine)

    now = wall_ms()
    hashes: dict[str, str] = {}
    relays: dict[str, list[str]] = {}
    for row in asyncio.run(work()):
        if not row["mosquitto"] or not Token.of_row(row).valid(now):
            continue
        names = json.loads(row["terminals"])
        if row["kind"] == RELAY:
            relays[relay_user(row["label"])] = names
            names = [relay_user(row["label"])]
        hashes.update(dict.fromkeys(names, row["mosquitto"]))
    hashes[settings.username] = password_hash(settings.password.get_secret_value())
    out.mkdir(parents=True, exist_ok=True)
    for name, text in (("passwords", password_file(hashes)), ("acl", acl_file([settings.username], relays))):
        path = out / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    print(f"{len(hashes)} users: {out}")

"""Tokens: issue, rotate, let expire, revoke, list; and mosquitto's files from them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.cli.acting import AsJson, Caller, Config, in_database, manage, with_caller
from monitor.cli.showing import show
from monitor.clock import to_iso, wall_ms
from monitor.core.token import DEVICE, KINDS, PING, RELAY, RELAY_MARK, hash_token
from monitor.errors import MonitorError
from monitor.fleet.tokens import write_tokens
from monitor.flows.inventory_import import in_force
from monitor.intake.mosquitto import password_hash
from monitor.intake.mosquitto_files import MosquittoFiles
from monitor.intake.tokens import Token, new_token, relay_user
from monitor.inventory.load import Loaded, load
from monitor.store import tokens

Out = Annotated[Path, typer.Option(help='Where to write {"site/terminal": "token"}; readable by you alone.')]
Who = Annotated[str, typer.Argument(help="site/terminal, or @label for a relay.")]

#: A relay's name, as it stands in mosquitto's files.
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_SPAN = re.compile(r"(\d{1,5})(s|m|h|d)")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

program = typer.Typer(no_args_is_help=True, help="Tokens of devices, relays and pings.")


def span_ms(text: str, option: str) -> int:
    """Milliseconds of 90s, 30m, 24h or 7d."""
    match = _SPAN.fullmatch(text)
    if not match:
        raise MonitorError(f"{option}: expected a time such as 30m, 24h or 7d, not {text!r}")
    return int(match[1]) * _UNIT_MS[match[2]]


def now_in_force(config: Path) -> Loaded:
    """The configuration with the inventory that the service judges by. Raises MonitorError."""
    own = load(config)
    return in_database(own, lambda engine: in_force(engine, own), there=False)


def make(kind: str, names: list[str], label: str = "") -> tuple[str, tokens.Issued]:
    """A new token and what is kept of it."""
    text = new_token(kind)
    mosquitto = password_hash(text) if kind in (DEVICE, RELAY) else ""
    return text, tokens.Issued(kind, hash_token(text), names, label, mosquitto)


@program.command()
@with_caller
def issue(
    caller: Caller,
    out: Out,
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
    _free(out)
    loaded = now_in_force(caller.config)
    names = terminal or list(_beating(loaded))
    _known(loaded, names)
    if kind == RELAY and not LABEL.fullmatch(label):
        raise MonitorError("--label: a relay needs one, of letters, digits, - and _; it signs in on MQTT as @label")
    groups = [names] if kind == RELAY else [[name] for name in names]
    made = {relay_user(label) if kind == RELAY else group[0]: make(kind, group, label) for group in groups}

    async def keep(connection: AsyncConnection) -> None:
        # The file first: a token that nobody was told of is only a row too many.
        write_tokens(out, {name: text for name, (text, _) in made.items()})
        await tokens.keep(connection, [kept for _, kept in made.values()], wall_ms())

    what = f"issue {len(made)} {kind}: {_some(made)}"
    manage(loaded, caller, what, keep)
    print(f"{len(made)} tokens: {out}", file=sys.stderr)


@program.command()
@with_caller
def rotate(
    caller: Caller,
    who: Who,
    out: Out,
    overlap: Annotated[str, typer.Option(help="How long the old one holds beside the new: 30m, 24h, 7d.")] = "24h",
    kind: Annotated[str, typer.Option(help="device or ping; a relay by its @label.")] = DEVICE,
) -> None:
    """A new token; the old ones expire after the overlap. On MQTT mosquitto takes the newest alone."""
    _free(out)
    over = span_ms(overlap, "--overlap")
    loaded = load(caller.config)
    now = wall_ms()
    kind = RELAY if who.startswith(RELAY_MARK) else kind
    if kind not in (DEVICE, PING, RELAY):
        raise MonitorError(f"--kind: expected device or ping, not {kind!r}")
    old = [row for row in in_database(loaded, tokens.rows, there=False) if row["kind"] == kind and _speaks(row) == who]
    old = [row for row in old if Token.of_row(row).valid(now)]
    if not old:
        raise MonitorError(f"no valid {kind} token of {who}; expected one to rotate (`token issue` makes the first)")
    text, kept = make(kind, json.loads(old[-1]["terminals"]), old[-1]["label"])

    async def change(connection: AsyncConnection) -> int:
        write_tokens(out, {who: text})
        return await tokens.rotate(connection, [kept], now, now + over)

    count = manage(loaded, caller, f"rotate {kind}: {who}", change)
    print(f"1 new token: {out}; {count} old until {to_iso(now + over)}", file=sys.stderr)


@program.command()
@with_caller
def expire(
    caller: Caller,
    who: Who,
    after: Annotated[str, typer.Option(help="From now: 30m, 24h, 7d.")],
) -> None:
    """Let the tokens of a terminal or relay end by themselves."""
    loaded = load(caller.config)
    now = wall_ms()
    end = now + span_ms(after, "--after")

    async def change(connection: AsyncConnection) -> int:
        return _some_of(who, await tokens.expire(connection, who, now, end))

    count = manage(loaded, caller, f"expire: {who}, {to_iso(end)}", change)
    print(f"{count} until {to_iso(end)}", file=sys.stderr)


@program.command()
@with_caller
def revoke(caller: Caller, who: Who) -> None:
    """Revoke the tokens of a terminal (device and ping) or relay; the running service follows within seconds."""

    async def change(connection: AsyncConnection) -> int:
        return _some_of(who, await tokens.revoke(connection, who, wall_ms()))

    count = manage(load(caller.config), caller, f"revoke: {who}", change)
    print(f"{count} revoked", file=sys.stderr)


@program.command("list")
@with_caller
def list_tokens(
    caller: Caller,
    as_json: AsJson = False,
    everything: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
) -> None:
    """Which tokens there are, by the beginning of their hash; the tokens themselves nobody knows any more."""
    now = wall_ms()
    known = manage(load(caller.config), caller, "list", tokens.rows_of)
    found = [_shown(row, now) for row in known]
    found = [one for one in found if everything or one["state"] == "valid"]
    columns = ("id", "kind", "who", "state", "created_at")
    lines = ([*(one[c] for c in columns), one["revoked_at"] or one["expires_at"]] for one in found)
    show(found, lines, as_json)


@program.command()
def mosquitto(config: Config, out: Annotated[Path, typer.Option(help="The folder for `passwords` and `acl`.")]) -> None:
    """Write mosquitto's password and ACL files from the tokens; `kill -HUP` has it read them.

    With mqtt.files in monitor.toml the running service does it by itself.
    """
    loaded = load(config)
    settings = loaded.settings.mqtt
    made = MosquittoFiles(out, settings.username, settings.password.get_secret_value())
    made.write(in_database(loaded, tokens.rows, there=False), wall_ms())
    print(f"{made.users} users: {out}", file=sys.stderr)


def _some(names: Iterable[str]) -> str:
    """The first few, for the audit log."""
    listed = list(names)
    return ", ".join(listed[:20]) + (" ..." if len(listed) > 20 else "")


def _some_of(who: str, count: int) -> int:
    if not count:
        raise MonitorError(f"no valid token speaks for {who} alone")
    return count


def _free(out: Path) -> None:
    if out.exists():
        raise MonitorError(f"{out} exists; tokens are written once and never over something else")


def _beating(loaded: Loaded) -> dict[str, None]:
    return dict.fromkeys(f"{c.site_id}/{c.terminal}" for c in loaded.inventory.checks.values() if c.is_heartbeat)


def _known(loaded: Loaded, names: list[str]) -> None:
    unknown = [name for name in names if name not in _beating(loaded)]
    if unknown:
        raise MonitorError(f"no terminal with a heartbeat check: {', '.join(unknown)}; expected site/terminal")


def _speaks(row: dict[str, Any]) -> str:
    """site/terminal or @label; for what speaks for several without being a relay, all of them."""
    if row["kind"] == RELAY:
        return relay_user(row["label"])
    return " ".join(json.loads(row["terminals"]))


def _shown(row: dict[str, Any], now: int) -> dict[str, Any]:
    token = Token.of_row(row)
    revoked = token.revoked_at is not None and token.revoked_at <= now
    times = {name: to_iso(row[name]) if row[name] is not None else None for name in ("expires_at", "revoked_at")}
    return {
        "id": row["hash"][:8],
        "kind": row["kind"],
        "who": _speaks(row),
        "label": row["label"],
        "terminals": json.loads(row["terminals"]),
        "state": "valid" if token.valid(now) else "revoked" if revoked else "expired",
        "created_at": to_iso(row["created_at"]),
        **times,
    }

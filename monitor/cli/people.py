"""People: set up, changed, listed, signed in and out (docs/security.md, People)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.acting import (
    AsJson,
    Caller,
    Config,
    PasswordFile,
    act,
    actor_of,
    ask_password,
    in_database,
    store_token,
    stored_token,
    with_caller,
)
from monitor.cli.showing import show
from monitor.clock import to_iso, wall_ms
from monitor.core.access import Action, Actor, Role
from monitor.errors import MonitorError
from monitor.flows import people
from monitor.flows.acting import acting
from monitor.inventory.load import Loaded, load
from monitor.store import people as rows
from monitor.store.people import Person

Name = Annotated[str, typer.Argument(help="The person's name.")]
Roles = Annotated[
    list[str], typer.Option("--role", help="viewer, operator, finance, approver, auditor or admin; may be repeated.")
]
Townships = Annotated[
    list[str] | None, typer.Option("--township", help="Only this one (its code); may be repeated. Without it: all.")
]
NewPassword = Annotated[
    Path | None, typer.Option("--new-password-file", help="A file that holds the new password; otherwise it is asked.")
]

program = typer.Typer(no_args_is_help=True, help="People: who may do what, signing in and out.")


def _roles(names: list[str]) -> frozenset[Role]:
    unknown = sorted(set(names) - set(Role))
    if unknown:
        raise MonitorError(f"--role: expected {', '.join(Role)}, not {', '.join(unknown)}")
    return frozenset(map(Role, names))


def _townships(loaded: Loaded, codes: list[str] | None) -> frozenset[str] | None:
    known = {site.township_code for site in loaded.inventory.sites.values()}
    unknown = sorted(set(codes or ()) - known)
    if unknown:
        raise MonitorError(f"--township: no township {', '.join(unknown)} in sites.csv")
    return frozenset(codes) if codes else None


@program.command()
@with_caller
def add(caller: Caller, name: Name, role: Roles, township: Townships = None, new_password: NewPassword = None) -> None:
    """Add a person. The first of all is an admin, and needs nobody who is signed in."""
    roles = _roles(role)
    loaded = load(caller.config, serving=False)

    async def work(engine: AsyncEngine) -> None:
        townships = _townships(loaded, township)
        async with engine.connect() as connection:
            first = await rows.is_empty(connection)
        actor = None if first else await actor_of(engine, loaded, caller)
        # --password-file is the acting person's; where nobody acts yet, it can only be the new one's.
        password = ask_password(new_password or (caller.password_file if first else None), new=True)
        await people.add_person(engine, actor, name, roles, townships, password, wall_ms())

    in_database(loaded, work, there=False)
    print(f"{name}: {', '.join(sorted(roles))}", file=sys.stderr)


@program.command("list")
@with_caller
def list_people(caller: Caller, as_json: AsJson = False) -> None:
    """Who there is, with roles and townships."""

    async def work(engine: AsyncEngine, actor: Actor, _: Loaded) -> list[Person]:
        async with acting(engine, actor, Action.USER_MANAGE, "user list", wall_ms()) as connection:
            return await rows.everybody(connection)

    found = [_shown(one) for one in act(caller, work)]
    show(found, map(_line, found), as_json)


@program.command()
@with_caller
def role(caller: Caller, name: Name, role: Roles, township: Townships = None) -> None:
    """Other roles and townships, in place of the present ones; that person signs in again."""
    roles = _roles(role)

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> None:
        await people.change_roles(engine, actor, name, roles, _townships(loaded, township), wall_ms())

    act(caller, work)
    print(f"{name}: {', '.join(sorted(roles))}", file=sys.stderr)


@program.command()
@with_caller
def password(caller: Caller, name: Name, new_password: NewPassword = None) -> None:
    """A new password: one's own, or by an admin somebody else's, whose lock is lifted with it."""

    async def work(engine: AsyncEngine, actor: Actor, _: Loaded) -> None:
        await people.change_password(engine, actor, name, ask_password(new_password, new=True), wall_ms())

    act(caller, work)
    print(f"{name}: password changed, all sessions ended", file=sys.stderr)


@program.command()
@with_caller
def disable(caller: Caller, name: Name) -> None:
    """Let somebody do nothing any more. Nobody is deleted: what they did stays theirs."""
    _set_disabled(caller, name, True)


@program.command()
@with_caller
def enable(caller: Caller, name: Name) -> None:
    """Let somebody in again who was disabled."""
    _set_disabled(caller, name, False)


def _set_disabled(caller: Caller, name: str, disabled: bool) -> None:
    async def work(engine: AsyncEngine, actor: Actor, _: Loaded) -> None:
        await people.set_disabled(engine, actor, name, disabled, wall_ms())

    act(caller, work)
    print(f"{name}: {'disabled' if disabled else 'enabled'}", file=sys.stderr)


@program.command("sign-in")
def sign_in(config: Config, name: Name, password_file: PasswordFile = None) -> None:
    """Sign in on this machine, as this user of it, until `sign-out` or until the session ends."""
    loaded = load(config, serving=False)

    async def work(engine: AsyncEngine) -> str:
        limits = loaded.settings.sign_in
        person, token = await people.sign_in(engine, limits, name, ask_password(password_file), wall_ms())
        store_token(config, token)
        return ", ".join(sorted(person.roles))

    roles = in_database(loaded, work)
    print(f"{name}: {roles}", file=sys.stderr)


@program.command("sign-out")
def sign_out(config: Config) -> None:
    """End the session."""
    token = stored_token(config)
    if token is None:
        raise MonitorError("没有登录")
    in_database(load(config, serving=False), lambda engine: people.sign_out(engine, token, wall_ms()))
    store_token(config, None)


def _line(one: Mapping[str, Any]) -> tuple[str, ...]:
    state = "disabled" if one["disabled_at"] else "enabled"
    return one["name"], ",".join(one["roles"]), ",".join(one["townships"] or ["all"]), state


def _shown(one: Person) -> dict[str, Any]:
    return {
        "name": one.name,
        "roles": sorted(one.roles),
        "townships": None if one.townships is None else sorted(one.townships),
        "created_at": to_iso(one.created_ms),
        "password_at": to_iso(one.password_ms),
        "disabled_at": None if one.disabled_ms is None else to_iso(one.disabled_ms),
    }

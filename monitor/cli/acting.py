"""Who acts on the command line: whoever signed in (`user sign-in`), or `--as NAME --password-file FILE` in scripts.

A command that asks who acts is told so as its `caller` (`with_caller`).
A session's token stands in the user's own configuration directory, mode 0600, by the configuration that it is for.
A password is never an argument or a variable: other users of the machine, and logs, would see it.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import os
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.cli.logs import log_to_stderr
from monitor.clock import wall_ms
from monitor.core.access import SYSTEM, Action, Actor
from monitor.errors import MonitorError
from monitor.flows import people
from monitor.flows.acting import acting
from monitor.flows.inventory_import import in_force
from monitor.inventory.load import Loaded, load
from monitor.store import people as rows
from monitor.store.database import opened

T = TypeVar("T")
Config = Annotated[Path, typer.Option("--config", help="The folder of monitor.toml.")]
As = Annotated[str | None, typer.Option("--as", help="Who acts, for scripts; with --password-file.")]
PasswordFile = Annotated[Path | None, typer.Option(help="A file that holds the password, readable by you alone.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]

_CONFIG = Parameter("config", Parameter.POSITIONAL_OR_KEYWORD, annotation=Config)
_AS = Parameter("as_name", Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=As)
_PASSWORD_FILE = Parameter("password_file", Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=PasswordFile)


class Caller(NamedTuple):
    """What a command is told of who acts: by `--as` and `--password-file`, or (None) by who signed in to `config`."""

    config: Path
    as_name: str | None
    password_file: Path | None


def with_caller(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options --config, --as and --password-file: its first parameter, `caller`, holds them."""

    @wraps(command)
    def called(config: Path, as_name: str | None, password_file: Path | None, **others: Any) -> None:
        command(Caller(config, as_name, password_file), **others)

    _, *own = signature(command, eval_str=True).parameters.values()
    # Where Typer looks for what a command is told.
    called.__signature__ = Signature([_CONFIG, *own, _AS, _PASSWORD_FILE])  # type: ignore[attr-defined]
    return called


def in_database(loaded: Loaded, work: Callable[[AsyncEngine], Awaitable[T]], *, there: bool = True) -> T:
    """Run `work` with the database. `there`: as of `opened`. What a database says that fails meanwhile passes through:
    the console script puts it into words."""

    async def run() -> T:
        async with opened(loaded.settings.database.url.get_secret_value(), there=there) as engine:
            return await work(engine)

    return asyncio.run(run())


def act(caller: Caller, work: Callable[[AsyncEngine, Actor, Loaded], Awaitable[T]]) -> T:
    """Run `work` with the database, who acts, and the inventory in force.

    Raises MonitorError where nobody is signed in.
    """
    log_to_stderr()
    loaded = load(caller.config, serving=False)

    async def run(engine: AsyncEngine) -> T:
        actor = await actor_of(engine, loaded, caller)
        return await work(engine, actor, await in_force(engine, loaded))

    return in_database(loaded, run)


async def actor_of(engine: AsyncEngine, loaded: Loaded, caller: Caller) -> Actor:
    """Who acts: `--as`, or whoever signed in to this configuration. Raises MonitorError where that is nobody."""
    limits = loaded.settings.sign_in
    if caller.as_name is not None:
        if caller.password_file is None:
            raise MonitorError("--as 须同时给出 --password-file")
        found = await people.check(engine, limits, caller.as_name, read_password(caller.password_file), wall_ms())
        return found.actor
    token = stored_token(caller.config)
    person = await people.signed_in(engine, limits, token, wall_ms()) if token else None
    if person is None:
        raise MonitorError(
            "没有登录，或登录已失效：zhdj-monitor user sign-in NAME（脚本用 --as NAME --password-file FILE）"
        )
    return person.actor


def manage(loaded: Loaded, caller: Caller, what: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    """Run `work` in an admin's transaction that changes tokens. As long as there is nobody at all, a county that is
    being set up, whoever can run the command may, and `system` stands in the audit log."""

    async def run(engine: AsyncEngine) -> T:
        async with engine.connect() as connection:
            nobody = caller.as_name is None and await rows.is_empty(connection)
        actor = SYSTEM if nobody else await actor_of(engine, loaded, caller)
        async with acting(engine, actor, Action.TOKEN_MANAGE, what, wall_ms()) as connection:
            return await work(connection)

    return in_database(loaded, run, there=False)


# --- passwords --------------------------------------------------------------------------------------------------------


def read_password(path: Path) -> str:
    """The first line of a file that nobody else may read. Raises MonitorError."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            line = file.readline(1024).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise MonitorError(f"{path}: cannot be read: {getattr(error, 'strerror', 'not UTF-8')}") from None
    if mode & 0o077:
        raise MonitorError(f"{path}: others may read it; expected mode 0600 (chmod 600 {path})")
    if not line:
        raise MonitorError(f"{path}: expected a password on the first line")
    return line


def ask_password(path: Path | None, *, new: bool = False) -> str:
    """From the file, or from the terminal; a new one is asked for twice. Raises MonitorError."""
    if path is not None:
        return read_password(path)
    if not sys.stdin.isatty():
        option = "--new-password-file" if new else "--password-file"
        raise MonitorError(f"不在终端上，无法询问密码：请用 {option} FILE")
    password = _typed("密码 Password: ")
    if new and _typed("再次输入 Again: ") != password:
        raise MonitorError("两次输入的密码不同")
    return password


def _typed(prompt: str) -> str:
    """Ctrl-C ends the question: an event loop's own handling of it would wait for an answer first."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return getpass.getpass(prompt)
    finally:
        signal.signal(signal.SIGINT, before)


# --- the session's file -----------------------------------------------------------------------------------------------


def _sessions_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "zhdj-monitor" / "sessions.json"


def _sessions() -> dict[str, Any]:
    try:
        found = json.loads(_sessions_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def stored_token(config: Path) -> str | None:
    """The token of whoever signed in to this configuration."""
    token = _sessions().get(str(config.resolve()))
    return token if isinstance(token, str) else None


def store_token(config: Path, token: str | None) -> None:
    """Keep the token (None: forget it), for nobody else to read."""
    sessions = _sessions()
    sessions.pop(str(config.resolve()), None)
    if token is not None:
        sessions[str(config.resolve())] = token
    path = _sessions_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, aside = tempfile.mkstemp(dir=path.parent)  # made with mode 0600
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(sessions, file, indent=1)
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        raise

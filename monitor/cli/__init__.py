"""The command line: one file per family of commands; each calls one function."""

from __future__ import annotations

import sys
from collections import UserDict
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from monitor.errors import ConfigError, MonitorError

HELP = """智慧党建平台运行监测: watches the sites, judges availability by published rules, keeps the evidence.

Exit status: 0 done; 1 it ran and what it checked does not hold; 2 the call or the configuration is wrong.
"""

#: What a wrong call raises; Typer has no public name for it.
USAGE: type[Exception] = typer.BadParameter.__bases__[0]

#: Command or family -> its files; a further one adds its commands to the family.
COMMANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("serve", "demo", "simulate", "fleet", "check-config"), ("service",)),
    **dict.fromkeys(("replay", "db"), ("evidence",)),
    "explain": ("explain",),
    **dict.fromkeys(("verify", "archive", "audit"), ("chains",)),
    "agent": ("agent",),
    "support-bundle": ("support",),
    "window": ("windows",),
    "workorder": ("workorders",),
    "inventory": ("inventory",),
    "alerts": ("alerts",),
    "token": ("tokens", "kit"),
    "user": ("people",),
    "ledger": ("ledger",),
    "register": ("register", "stocktakes"),
    "inspection": ("inspections",),
    "report": ("reports", "reports_kept", "reports_year"),
    "meeting": ("meetings",),
}


@cache
def _command(name: str) -> Any:
    first, *further = (import_module(f"{__name__}.{file}") for file in COMMANDS[name])
    if not hasattr(first, "program"):  # it adds single commands
        whole = typer.Typer()
        first.register(whole)
        return get_group(whole).commands[name]
    for file in further:
        file.register(first.program)
    family = get_group(first.program)
    family.name = name
    return family


class _Loaded(UserDict[str, Any]):
    """Each when it is asked for: to load them all takes a second, and every call is of one."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(COMMANDS))

    def __getitem__(self, name: str) -> Any:
        super().__getitem__(name)
        return _command(name)


class _Program(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Loaded()


program = typer.Typer(cls=_Program, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@program.callback(help=HELP)
def _options() -> None:
    """There are none; without a callback Typer would want a command here."""


def main() -> None:
    """The console script: a mistake of the caller is one line (a configuration's: one each), never a traceback."""
    try:
        # Not in Typer's standalone mode, which answers a missing option with a box of five lines.
        sys.exit(program(standalone_mode=False))
    except ConfigError as error:
        for mistake in error.mistakes:
            print(mistake, file=sys.stderr)
        sys.exit(2)
    except MonitorError as error:
        print(f"zhdj-monitor: {error}", file=sys.stderr)
        sys.exit(2)
    except USAGE as error:
        text = error.format_message()  # type: ignore[attr-defined]
        # Called with nothing at all, it has shown its help and says no more.
        if text:
            print(f"zhdj-monitor: {text} (--help says more)", file=sys.stderr)
        sys.exit(2)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        # What has no words here, and what a service meets while it runs (a group), is a defect of ours.
        if said := _of_a_file(error) or _of_the_database(error):
            print(f"zhdj-monitor: {said}", file=sys.stderr)
            sys.exit(2)
        raise


def _of_a_file(error: Exception) -> str:
    """What is said of a file that the caller named; "" where something else failed."""
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename is not None else ""


def _of_the_database(error: Exception) -> str:
    """What a command says whose database failed in the middle; "" where something else did."""
    if "sqlalchemy" not in sys.modules:  # late: most of what a command loads
        return ""
    from monitor.store.database import away

    why = away(error)
    # Whether the last step was kept cannot be known from here.
    return f"数据库不可用（{why}）：是否已完成，请先查询再重试" if why else ""

"""The command line: one file per family of commands; each calls one function.

Exit status: 0 done; 1 it ran and what it checked does not hold; 2 the call or the configuration is wrong.
"""

from __future__ import annotations

import sys

import typer

from monitor.cli import evidence, service, tokens
from monitor.errors import ConfigError, MonitorError

program = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
for family in (service, evidence):
    family.register(program)
program.add_typer(tokens.program, name="token", help="Tokens of devices, relays and pings.")


def main() -> None:
    """The console script: a mistake of the caller is one line (a configuration's: one each), never a traceback."""
    try:
        program()
    except ConfigError as error:
        for mistake in error.mistakes:
            print(mistake, file=sys.stderr)
        sys.exit(2)
    except MonitorError as error:
        print(f"zhdj-monitor: {error}", file=sys.stderr)
        sys.exit(2)

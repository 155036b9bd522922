"""The command line: one file per family of commands; each calls one function."""

from __future__ import annotations

import sys

import typer

from monitor.cli import (
    agent,
    alerts,
    chains,
    evidence,
    explain,
    inspections,
    inventory,
    kit,
    ledger,
    meetings,
    people,
    register,
    reports,
    reports_kept,
    reports_year,
    service,
    support,
    tokens,
    windows,
    workorders,
)  # fmt: skip
from monitor.errors import ConfigError, MonitorError

HELP = """智慧党建平台运行监测: watches the sites, judges availability by published rules, keeps the evidence.

Exit status: 0 done; 1 it ran and what it checked does not hold; 2 the call or the configuration is wrong.
"""

#: What a wrong call raises; Typer has no public name for it.
USAGE: type[Exception] = typer.BadParameter.__bases__[0]

program = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=HELP)
for family in (service, evidence, explain, chains, agent, support):
    family.register(program)
tokens.program.command("kit")(kit.write_kit)
program.add_typer(windows.program, name="window", help="Planned windows 计划检修.")
program.add_typer(workorders.program, name="workorder", help="Work orders 工单.")
program.add_typer(inventory.program, name="inventory", help="Versions of the inventory 站点清单.")
program.add_typer(alerts.program, name="alerts", help="Alerts on their way to people: outbox, outlets, roster 值班表.")
program.add_typer(tokens.program, name="token", help="Tokens of devices, relays and pings.")
program.add_typer(people.program, name="user", help="People: who may do what, signing in and out.")
program.add_typer(ledger.program, name="ledger", help="经费台账: the cost ledger, an auxiliary register.")
program.add_typer(register.program, name="register", help="机位台账: which device stands where; 盘点.")
program.add_typer(inspections.program, name="inspection", help="巡检: planned rounds and visits.")
reports_kept.register(reports.program)
reports_year.register(reports.program)
program.add_typer(reports.program, name="report", help="报告: reports of a month, or of any other period.")
program.add_typer(meetings.program, name="meeting", help="会议保障: meetings and who joined.")


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

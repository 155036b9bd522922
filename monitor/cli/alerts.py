"""alerts: what waits to be told, what could not be, a message to try an outlet, who is on duty (docs/alerts.md)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.acting import AsJson, Caller, Config, act, in_database, with_caller
from monitor.cli.showing import iso, show
from monitor.clock import wall_ms
from monitor.core.access import Action, Actor
from monitor.core.alerts import DROPPED, HELD, SENT, WAITING, Telling
from monitor.core.roster import Duty, on_duty
from monitor.errors import MonitorError
from monitor.flows.acting import acting
from monitor.inventory.load import Loaded, load
from monitor.inventory.roster import read_roster
from monitor.publish.outlets import NotSent, send
from monitor.store import outbox

program = typer.Typer(no_args_is_help=True, help="Alerts on their way to people: outbox, outlets, roster 值班表.")
TEST = "【测试】这是监测系统的测试消息，收到请忽略。"


@program.command("outbox")
def list_outbox(
    config: Config,
    everything: Annotated[bool, typer.Option("--all", help="Also what was sent.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many.")] = 200,
    as_json: AsJson = False,
) -> None:
    """What waits, what is held until its site is back, and what was given up."""
    states = (WAITING, HELD, DROPPED, SENT) if everything else (WAITING, HELD, DROPPED)

    async def read(engine: AsyncEngine) -> list[Telling]:
        async with engine.connect() as connection:
            return await outbox.listed(connection, states, limit)

    found = [_shown(t) for t in in_database(load(config, serving=False), read)]
    columns = ("n", "outlet", "state", "status", "alert", "object", "since", "tries", "sent", "error")
    show(found, ([each[c] for c in columns] for each in found), as_json)


@program.command()
@with_caller
def retry(
    caller: Caller,
    numbers: Annotated[list[int] | None, typer.Argument(help="Of what was given up; none: all of it.")] = None,
) -> None:
    """Send what was given up after all. (What waits is tried again by itself.)"""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> int:
        now, what = wall_ms(), f"retry alerts: {' '.join(map(str, numbers or [])) or 'all'}"
        async with acting(engine, actor, Action.ALERT_ACKNOWLEDGE, what, now) as connection:
            return await outbox.retry(connection, now, numbers)

    print(f"{act(caller, work)} wait again", file=sys.stderr)


@program.command("test")
@with_caller
def send_test(
    caller: Caller,
    outlet: Annotated[str, typer.Argument(help="Its name in [alerts.outlets].")],
) -> None:
    """Send a test message through an outlet, now, to whoever is on duty."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> None:
        known = loaded.settings.alerts.outlets
        if outlet not in known:
            raise MonitorError(f"no outlet {outlet!r}; there are {', '.join(known) or 'none'}")
        people = on_duty(_roster(caller.config, loaded), wall_ms(), ("",))
        async with acting(engine, actor, Action.ALERT_ACKNOWLEDGE, f"test outlet {outlet}", wall_ms()):
            pass
        try:
            await send(known[outlet], TEST, people)
        except NotSent as error:
            raise MonitorError(f"{outlet}: {error}") from None

    act(caller, work)
    print(f"{outlet}: sent", file=sys.stderr)


@program.command()
def duty(
    config: Config,
    township: Annotated[str, typer.Option(help="Its code; without it: for the whole county.")] = "",
    as_json: AsJson = False,
) -> None:
    """Who is on duty now. Exit status 1 where nobody is."""
    loaded = load(config, serving=False)
    found = on_duty(_roster(config, loaded), wall_ms(), (township,))
    show([_person(d) for d in found], ((d.name, _masked(d.mobile), iso(d.to_ms)) for d in found), as_json)
    if not found:
        print("此刻无人值班（值班表：docs/alerts.md）", file=sys.stderr)
        raise typer.Exit(1)


def _roster(config: Path, loaded: Loaded) -> list[Duty]:
    return read_roster(config, loaded.settings.zone, set(loaded.inventory.townships))


def _masked(mobile: str) -> str:
    return f"{mobile[:3]}****{mobile[-4:]}" if len(mobile) > 7 else mobile


def _person(duty: Duty) -> dict[str, Any]:
    return {
        "name": duty.name,
        "mobile": _masked(duty.mobile),
        "from": iso(duty.from_ms),
        "to": iso(duty.to_ms),
        "townships": sorted(duty.townships),
    }


def _shown(t: Telling) -> dict[str, Any]:
    return {
        "n": t.n,
        "outlet": t.outlet,
        "state": t.state,
        "status": t.alert.status,
        "alert": t.alert.name,
        "township": t.alert.township,
        "object": t.alert.annotations.get("object", ""),
        "since": iso(t.since_ms),
        "made": iso(t.made_ms),
        "sent": iso(t.sent_ms),
        "tries": t.tries,
        "error": t.error,
    }

"""verify, archive, audit: what proves that nothing was changed, and who did what."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.acting import AsJson, Caller, Config, act, in_database, with_caller
from monitor.cli.progress import Progress
from monitor.cli.showing import show, show_json
from monitor.clock import from_datetime, from_iso, to_iso, wall_ms
from monitor.core.access import Actor
from monitor.errors import MonitorError
from monitor.flows.archive import archive as write_archive
from monitor.flows.auditing import audited
from monitor.flows.reports.verify import called, verify_reports
from monitor.flows.verify import Found
from monitor.flows.verify import verify as verify_chains
from monitor.inventory.load import Loaded, load
from monitor.settings import Settings

audit = typer.Typer(no_args_is_help=True, help="Who did what, and what became of it.")


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    program.command()(verify)
    program.command()(archive)
    audit.command("list")(list_audit)
    program.add_typer(audit, name="audit")


def verify(
    config: Config,
    anchors: Annotated[
        Path | None, typer.Option(help="An auditor's own copy of the anchors, in place of the configured file.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Work sealed reports out from the stored timelines, not from the logs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Walk every hash chain from its rows, compare with the anchors, read the kept evidence logs and the papers again,
    and work out the figures of sealed reports from the logs.

    Exit status 1 if anything does not hold; the first bad record of each chain is named. Whoever can read the
    configuration may run it: it changes nothing.
    """
    if anchors is not None and not anchors.is_file():
        raise MonitorError(f"--anchors {anchors}: no such file")

    loaded = load(config, serving=False)

    async def work(engine: AsyncEngine) -> Found:
        progress = Progress()
        found = await verify_chains(engine, loaded.settings, wall_ms(), anchors_file=anchors, progress=progress)
        await verify_reports(engine, loaded, found, quick=quick, progress=progress)
        return found

    found = in_database(loaded, work)
    if as_json:
        show_json(found.as_json())
    else:
        for walk in found.chains:
            state = "相符" if walk.fault is None else "不符"
            print(f"链 {walk.tag}：{walk.n} 条，锚点至第 {walk.anchored} 条，{state}")
        print(f"证据日志：核对 {found.days} 天")
        print(f"附件：核对 {found.papers} 份")
        for report in found.reports:
            how = "按证据日志重算" if report.how == "log" else "按时间线重算"
            state = "不符" if report.parts else "相符"
            print(f"报告 {called(report.period, report.revision)}：{how}，{state}")
        for fault in found.faults:
            print(fault.says)
        for note in found.notes:
            print(f"注意：{note}")
        print("核对通过" if not found.faults else f"核对不通过：{len(found.faults)} 处不符")
    if found.faults:
        sys.exit(1)


@with_caller
def archive(
    caller: Caller,
    year: Annotated[int, typer.Argument(help="A local year that has begun, such as 2026.")],
    out: Annotated[Path, typer.Option(help="A folder that is empty or not there yet.")],
    evidence: Annotated[bool, typer.Option("--evidence", help="With the evidence logs that are still kept.")] = False,
) -> None:
    """Write a year out as files that can be read and verified without this program (`python3 verify_archive.py`)."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> tuple[str, list[str]]:
        return await write_archive(
            engine, actor, loaded.settings, year, out, wall_ms(), evidence=evidence, progress=Progress()
        )

    digest, faults = act(caller, work)
    print(f"{out}: manifest.json sha256 {digest}", file=sys.stderr)
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        sys.exit(1)


@with_caller
def list_audit(
    caller: Caller,
    start: Annotated[str | None, typer.Option("--from", help="From this local day or instant on.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="To this local day (inclusive) or instant.")] = None,
    who: Annotated[str | None, typer.Option(help="Of this person alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """The audit log, oldest first. Auditor, approver and admin read all of it, finance what they did themselves."""

    async def work(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> list[dict[str, Any]]:
        settings = loaded.settings
        period = (_instant(start, settings), _instant(end, settings, last=True))
        return await audited(engine, actor, wall_ms(), start_ms=period[0], end_ms=period[1], who=who)

    zone = load(caller.config, serving=False).settings.zone
    found = [{**row, "at": to_iso(row["at_ms"])} for row in act(caller, work)]
    show(found, (_line(row, zone) for row in found), as_json)


def _line(row: Mapping[str, Any], zone: ZoneInfo) -> tuple[object, ...]:
    at = datetime.fromtimestamp(row["at_ms"] / 1000, zone).isoformat(timespec="seconds")
    return row["n"], at, row["who"], row["action"], row["outcome"], row["what"], row["reason"]


def _instant(text: str | None, settings: Settings, *, last: bool = False) -> int | None:
    """A local day's beginning (`last`: its end), or an instant with its offset, in ms."""
    if text is None:
        return None
    try:
        if len(text) == len("2026-10-01"):
            day = date.fromisoformat(text) + timedelta(days=1 if last else 0)
            return from_datetime(datetime.combine(day, time(), settings.zone))
        return from_iso(text)
    except (ValueError, OverflowError):
        raise MonitorError(f"应为日期，如 2026-10-01，或带 Z 的时间，实为 {text!r}") from None

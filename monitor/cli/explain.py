"""explain: a figure of a period, line by line, down to its evidence (docs/explain.md)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.acting import AsJson, Config, in_database
from monitor.clock import wall_ms
from monitor.core.explanation import GroupExplanation, OutageExplanation, SiteExplanation
from monitor.core.period import parse
from monitor.errors import MonitorError
from monitor.flows.inventory_import import in_force
from monitor.flows.outputs import demand_folder
from monitor.flows.reports.explain_group import explain_group
from monitor.flows.reports.explain_outage import explain_outage
from monitor.flows.reports.explain_site import explain_site
from monitor.flows.reports.write import put
from monitor.inventory.load import load
from monitor.publish.documents import text
from monitor.publish.documents.blocks import Document
from monitor.publish.reports.explain import compose_site
from monitor.publish.reports.explain_group import compose_group
from monitor.publish.reports.explain_outage import compose_outage

Explanation = SiteExplanation | GroupExplanation | OutageExplanation
FORMATS = ("text", "json", "html", "xlsx", "docx", "pdf")


def register(program: typer.Typer) -> None:
    """Add this family's command."""
    program.command()(explain)


def explain(
    config: Config,
    period: Annotated[str | None, typer.Argument(help="2026-10, 2026-Q3, 2026-H1, 2026; not with --outage.")] = None,
    site: Annotated[str | None, typer.Option(help="site_id: all of its terminals, and the site's own figures.")] = None,
    terminal: Annotated[str | None, typer.Option(help="With --site: one terminal alone (tv, mobile, pc).")] = None,
    township: Annotated[str | None, typer.Option(help="A township's code: what each site adds to it.")] = None,
    level: Annotated[str | None, typer.Option(help="county, township, village or total: likewise.")] = None,
    outage: Annotated[str | None, typer.Option(help="An outage's key: from its evidence to the evaluation.")] = None,
    as_format: Annotated[str, typer.Option("--format", help=", ".join(FORMATS))] = "text",
    out: Annotated[Path | None, typer.Option(help="The folder for the file; needed for all but text and json.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="On the terminal: all rows of every table.")] = False,
    log: Annotated[bool, typer.Option("--log/--no-log", help="Look the evidence up in the log.")] = True,
    as_json: AsJson = False,
) -> None:
    """Why is it this figure? The arithmetic, the spans, the evidence, windows, orders, rules (docs/explain.md).

    Exit status 1: the parts do not add up to what was counted.
    """
    if as_format not in FORMATS:
        raise MonitorError(f"--format: 应为 {'、'.join(FORMATS)}，实为 {as_format!r}")
    asked = [name for name in (site, township, level, outage) if name is not None]
    if len(asked) != 1:
        raise MonitorError("须指明 --site、--township、--level、--outage 之一")
    if terminal is not None and site is None:
        raise MonitorError("--terminal 须与 --site 同用")
    if (period is None) != (outage is not None):
        raise MonitorError("须给出期间，如 2026-10" if outage is None else "--outage 不需要期间")
    format_name = "json" if as_json else as_format
    if format_name not in ("text", "json") and out is None:
        raise MonitorError(f"--format {format_name} 须同时给出 --out 文件夹")
    if out is not None:
        demand_folder(out)
    # Nothing of it is seen where stderr is no terminal.
    with Console(stderr=True).status(f"{period or outage}：汇总"):
        own = load(config, serving=False)
        parsed = parse(period) if period is not None else None

        async def read(engine: AsyncEngine) -> Explanation:
            loaded, now = await in_force(engine, own), wall_ms()
            if parsed is None:
                return await explain_outage(engine, loaded, outage or "", now, locate=log)
            if site is not None:
                return await explain_site(engine, loaded, parsed, site, terminal, now, locate=log)
            group, which = ("township", township) if township is not None else ("level", level)
            return await explain_group(engine, loaded, parsed, group, which or "", now)

        told = in_database(own, read)
    data = rendered(told, format_name, everything)
    if out is None:
        sys.stdout.write(data.decode())
    else:
        path = out / f"{_name(told)}.{'txt' if format_name == 'text' else format_name}"
        print(put(format_name, path, iter([data])).path, file=sys.stderr)
    if not told.adds_up():
        print("zhdj-monitor: 各部分相加与统计结果不符", file=sys.stderr)
        raise SystemExit(1)


def composed(told: Explanation) -> Document:
    """The blocks that every format renders."""
    match told:
        case SiteExplanation():
            return compose_site(told)
        case GroupExplanation():
            return compose_group(told)
        case OutageExplanation():
            return compose_outage(told)


def rendered(told: Explanation, format_name: str, everything: bool = False) -> bytes:
    """A file's bytes. The JSON is canonical: sorted keys, UTF-8."""
    if format_name == "json":
        return msgspec.json.format(msgspec.json.encode(told, order="sorted"), indent=1) + b"\n"
    document = composed(told)
    if format_name == "text":
        return text.render(document, everything).encode()
    from monitor.publish.documents.formats import FORMATS as RENDERERS  # its libraries take half a second

    return RENDERERS[format_name](document)


def _name(told: Explanation) -> str:
    """`explain-2026-10-V1-tv`"""
    match told:
        case SiteExplanation():
            parts = [told.about.period, told.site, *([told.terminal] if told.terminal else [])]
        case GroupExplanation():
            parts = [told.about.period, told.id]
        case OutageExplanation():
            parts = [told.key.replace("/", "-")]
    return "-".join(["explain", *parts])

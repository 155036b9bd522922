"""report: the month's report, or that of any other period, in the formats that are handed in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.acting import AsJson, Config, in_database
from monitor.cli.showing import show_json
from monitor.clock import wall_ms
from monitor.core.period import Period, parse
from monitor.core.report import ReportFacts
from monitor.errors import MonitorError
from monitor.flows.inventory_import import in_force
from monitor.flows.outputs import demand_folder
from monitor.flows.reports import facts_json
from monitor.flows.reports.facts import gather
from monitor.flows.reports.kept import Standing, standing
from monitor.flows.reports.write import wanted, write
from monitor.inventory.load import load

program = typer.Typer(no_args_is_help=True, help="报告: reports of a month, or of any other period.")
Formats = Annotated[
    list[str], typer.Option("--format", help="json, html, xlsx, docx, pdf or all; may be repeated.", metavar="FORMAT")
]
Out = Annotated[Path | None, typer.Option(help="The folder of the files. Without it JSON goes to stdout.")]


@program.command()
def month(
    config: Config,
    which: Annotated[str, typer.Argument(metavar="MONTH", help="2026-10.")],
    formats: Formats = ["json"],  # noqa: B006  # nobody changes it
    out: Out = None,
    revision: Annotated[int | None, typer.Option(help="Of a sealed month: 0 as first sealed.", min=0)] = None,
    preview: Annotated[bool, typer.Option("--preview", help="As it would be now, also of a sealed month.")] = False,
    as_json: AsJson = False,
) -> None:
    """月度运行维护报告: a month's report as it was sealed, and until then a preview."""
    asked = parse(which)
    if asked.form != "month":
        raise MonitorError(f"report month：应为月份，如 2026-10，实为 {which!r}（其他期间：report period）")
    _report(config, asked, formats, out, as_json, sealed=not preview, revision=revision)


@program.command()
def period(
    config: Config,
    which: Annotated[
        str, typer.Argument(metavar="PERIOD", help="2026-10, 2026-Q3, 2026-H1, 2026, 2026-03-01..2026-05-15.")
    ],
    formats: Formats = ["json"],  # noqa: B006  # nobody changes it
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """绩效运行监控: a preview of any period in the month's form; the last day is included."""
    _report(config, parse(which), formats, out, as_json)


def _report(
    config: Path,
    asked: Period,
    formats: list[str],
    out: Path | None,
    as_json: bool,
    *,
    sealed: bool = False,
    revision: int | None = None,
) -> None:
    names = wanted(formats)
    if out is None and names != ["json"]:
        raise MonitorError("--out：除 json 外的格式须指明输出文件夹")
    if out is not None:
        demand_folder(out)
    loaded = load(config, serving=False)
    # Nothing of it is seen where stderr is no terminal.
    with Console(stderr=True).status(f"{asked.name}：汇总") as status:

        async def read(engine: AsyncEngine) -> tuple[ReportFacts, Standing | None]:
            if sealed:
                async with engine.connect() as connection:
                    kept = await standing(connection, asked.name, revision)
                if kept is not None:
                    return kept.facts, kept
                if revision is not None:
                    raise MonitorError(f"{asked.name} 没有第 {revision} 版定稿的报告")
            return await gather(engine, await in_force(engine, loaded), asked, wall_ms()), None

        facts, kept = in_database(loaded, read)
        if out is not None:
            written = write(facts, names, out, lambda what: status.update(f"{asked.name}：{what}"), kept)
    if out is None:
        for piece in facts_json.chunks(facts) if kept is None else [kept.data]:
            sys.stdout.buffer.write(piece)
        print()
        return
    found = [{"format": w.format, "path": str(w.path), "bytes": w.bytes, "sha256": w.sha256} for w in written]
    if as_json:
        show_json(found)
    else:
        for one in written:
            print(one.path, file=sys.stderr)

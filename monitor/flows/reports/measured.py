"""What follows from evidence of a report's figures, in the shape of its JSON: counted anew, to be held against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.figures import Figures
from monitor.core.outage import ALIVE
from monitor.core.timeline import Interval
from monitor.store.tables import outage

#: Of an outage, what follows from evidence alone.
OUTAGE = ("key", "site", "terminal", "start", "end", "start_earliest", "start_latest", "start_how")


def measured(figures: Figures) -> dict[str, Any]:
    """Sums, verdicts and rates: of the county by level, of the townships, of every site and terminal."""
    bare, lenient = figures.without_retroactive, figures.after_exemptions
    terminals: dict[str, list[dict[str, Any]]] = {}
    for m in figures.terminals:
        one = {"terminal": m.terminal, "sum": asdict(m.measure), "verdict": m.verdict}
        terminals.setdefault(m.site.site_id, []).append(one)
    return {
        "counted": counted(figures),
        "without_retroactive": counted(bare) if bare is not None else None,
        "after_exemptions": counted(lenient) if lenient is not None else None,
        "townships": [{"id": code, "sum": asdict(m)} for code, m in figures.by_township().items()],
        "sites": [
            {
                "site": m.site.site_id,
                "sum": asdict(m.measure),
                "verdict": m.verdict,
                "terminals": terminals.get(m.site.site_id, []),
            }
            for m in figures.sites
        ],
    }


def counted(figures: Figures) -> dict[str, Any]:
    """`core.report.Counted` as JSON has it."""
    return {
        "sums": {level: asdict(measure) for level, measure in figures.sums().items()},
        "sites": {level: asdict(rate) for level, rate in figures.site_rates.items()},
        "terminals": {level: asdict(rate) for level, rate in figures.terminal_rates.items()},
    }


def of_report(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The same parts of a report's JSON."""
    sites = [{name: s[name] for name in ("site", "sum", "verdict")} | {"terminals": s["terminals"]}
             for s in facts["sites"]]  # fmt: skip
    townships = [{"id": t["id"], "sum": t["sum"]} for t in facts["townships"]]
    parts = {name: facts[name] for name in ("counted", "without_retroactive", "after_exemptions")}
    return {**parts, "townships": townships, "sites": sites}


async def outages_of(connection: AsyncConnection, period: Interval) -> list[dict[str, Any]]:
    """The outages that reach into a period, as far as evidence tells of them."""
    o = outage.c
    query = (
        select(o.key, o.site, o.terminal, o.start_ms, o.end_ms, o.start_earliest_ms, o.start_latest_ms, o.start_how)
        .where(o.state.in_(ALIVE), o.start_ms < period[1], or_(o.over_ms.is_(None), o.over_ms > period[0]))
        .order_by(o.start_ms, o.key)
    )
    return [dict(zip(OUTAGE, row, strict=True)) for row in await connection.execute(query)]

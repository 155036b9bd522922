"""A year as it might have been, staged month by month: for tests of what a year's documents say."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from monitor.clock import from_iso
from monitor.core.declared import Declared
from monitor.core.maintenance import Verdict, site_verdict
from monitor.core.report import RateFacts, Sum
from monitor.core.sites import Level
from monitor.core.year import Month, year_of
from monitor.core.year_facts import FundYear, MonthFacts, SourceMoney
from monitor.flows.reports.year import Known, Names

ROOT = Path(__file__).parent
LEVELS = {Level.COUNTY: 2, Level.TOWNSHIP: 13, Level.VILLAGE: 219}
PLAN = {str(level): count for level, count in LEVELS.items()}
KINDS = ("tv", "mobile", "pc")
AT = from_iso("2021-01-10T01:00:00Z")
WHOLE = Sum(0, 0, 0, 0, 0, 0)

#: What was wrong: (month, site/terminal) -> verdict.
Wrong = Mapping[tuple[int, str], Verdict]


def same_text(one: str, other: str) -> bool:
    """Do two texts say the same, width and white space aside?"""
    return _plain(one) == _plain(other)


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


@cache
def places() -> dict[str, Level]:
    return {f"{level}{n}": level for level, count in LEVELS.items() for n in range(count)}


def month(year: int, n: int, wrong: Wrong, absent: Sequence[str] = ()) -> Month:
    """All of the county's 234 sites with three terminals each, maintained but for what is `wrong`."""
    terminals: dict[tuple[str, str], tuple[Level, Verdict]] = {}
    sites: dict[str, tuple[Level, Verdict]] = {}
    for site, level in places().items():
        if site in absent:
            continue
        own = {kind: wrong.get((n, f"{site}/{kind}"), "maintained") for kind in KINDS}
        terminals |= {(site, kind): (level, verdict) for kind, verdict in own.items()}
        sites[site] = (level, site_verdict(own.values()))
    return Month(f"{year}-{n:02d}", sites, terminals, PLAN)


def known(year: int = 2020, wrong: Wrong | None = None, **changed: Any) -> Known:
    """A whole year with 250,000.00 yuan registered of as much."""
    months = [month(year, n, wrong or {}) for n in range(1, 13)]
    found = Known(
        year=year,
        start=from_iso(f"{year - 1}-12-31T16:00:00Z"),
        end=from_iso(f"{year}-12-31T16:00:00Z"),
        as_of=AT,
        timezone="Asia/Shanghai",
        complete=True,
        coverage_min=9_000,
        months=[facts_of(m, 0) for m in months],
        ways={"counted": months},
        sums={level: WHOLE for level in (*PLAN, "total")},
        names={site: Names(f"站点{site}", "") for site in places()},
        ledger=[SourceMoney("appropriation", None, None, None, 25_000_000, 0, 25_000_000)],
        funds=[FundYear("党建平台运行维护", 25_000_000, 25_000_000, 0, 238)],
        software="0.1.0",
        rules="1",
    )
    return replace(found, **changed)


def facts_of(m: Month, spent_fen: int) -> MonthFacts:
    one = year_of([m])
    rates = [
        {k: RateFacts(r.planned, r.maintained, r.failed, r.unproven) for k, r in of.items()}
        for of in (one.sites, one.terminals)
    ]
    sums = {level: WHOLE for level in (*PLAN, "total")}
    return MonthFacts(m.month, "settled", sums, rates[0], rates[1], 0, spent_fen)


@cache
def table_2020() -> dict[str, Any]:
    """The yearly table of the 2020 accounts, verbatim."""
    found: dict[str, Any] = json.loads((ROOT / "data" / "performance_2020.json").read_text(encoding="utf-8"))
    return found


def declared_2020() -> list[Declared]:
    """What people declared for 2020: the rows that nobody measures, and the rest of the project."""
    said = {f"row.{r['row']}": r["actual"] for r in table_2020()["rows"] if r["source"] == "declared" and r["actual"]}
    said["annual"] = "全年已完成救助人数457余人，完成支付救助资金50万元"
    said["money.initial.appropriation"] = said["money.executed.appropriation"] = "50万元"
    return [Declared(n, 2020, key, text, "", (), "li", AT, "wang", AT) for n, (key, text) in enumerate(said.items(), 1)]

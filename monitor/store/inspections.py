"""Rows of inspections: rounds, visits and what they found."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.inspection import Finding, Result, Round, Visit
from monitor.store.numbering import as_list, of_list
from monitor.store.tables import inspection_finding, inspection_round, inspection_visit


async def rounds(connection: AsyncConnection, n: int | None = None) -> list[Round]:
    """All rounds, or the one with this number, by number."""
    wanted = select(inspection_round).order_by(inspection_round.c.n)
    if n is not None:
        wanted = wanted.where(inspection_round.c.n == n)
    return [
        Round(
            r.n, r.name, r.scope, of_list(r.sites), date.fromisoformat(r.due_from), date.fromisoformat(r.due_to),
            r.made_by, r.made_ms, r.cancelled_ms, r.cancelled_why,
        )
        for r in await connection.execute(wanted)
    ]  # fmt: skip


async def add_round(connection: AsyncConnection, new: Round) -> None:
    values = {
        "n": new.n,
        "name": new.name,
        "scope": new.scope,
        "sites": as_list(new.sites),
        "due_from": new.due_from.isoformat(),
        "due_to": new.due_to.isoformat(),
        "made_by": new.by,
        "made_ms": new.at_ms,
    }
    await connection.execute(insert(inspection_round).values(values))


async def cancel_round(connection: AsyncConnection, n: int, by: str, at_ms: int, why: str) -> bool:
    """Whether there was such a round, not cancelled before."""
    c = inspection_round.c
    values = {"cancelled_by": by, "cancelled_ms": at_ms, "cancelled_why": why}
    open_one = update(inspection_round).where(c.n == n, c.cancelled_ms.is_(None))
    return (await connection.execute(open_one.values(values))).rowcount == 1


async def visits(
    connection: AsyncConnection,
    *,
    of_round: int | None = None,
    site: str | None = None,
) -> list[Visit]:
    """Visits with what they found, by number; corrected ones too."""
    c, f = inspection_visit.c, inspection_finding.c
    wanted = select(inspection_visit).order_by(c.n)
    findings = select(inspection_finding).join(inspection_visit, c.n == f.visit).order_by(f.visit, f.terminal)
    if of_round is not None:
        wanted, findings = wanted.where(c.round == of_round), findings.where(c.round == of_round)
    if site is not None:
        wanted, findings = wanted.where(c.site == site), findings.where(c.site == site)
    found: dict[int, list[Finding]] = defaultdict(list)
    for row in await connection.execute(findings):
        found[row.visit].append(Finding(row.terminal, Result(row.result), row.note, row.work_order))
    return [
        Visit(
            r.n, r.round, r.site, date.fromisoformat(r.on_day), r.who, r.reached, tuple(found[r.n]), r.note,
            r.made_by, r.made_ms, r.corrects, of_list(r.papers),
        )
        for r in await connection.execute(wanted)
    ]  # fmt: skip


async def add_visit(connection: AsyncConnection, new: Visit) -> None:
    values = {
        "n": new.n,
        "round": new.round,
        "site": new.site,
        "on_day": new.on.isoformat(),
        "who": new.who,
        "reached": new.reached,
        "note": new.note,
        "corrects": new.corrects,
        "papers": as_list(new.papers),
        "made_by": new.by,
        "made_ms": new.at_ms,
    }
    await connection.execute(insert(inspection_visit).values(values))
    findings = [
        {"visit": new.n, "terminal": f.terminal, "result": f.result, "note": f.note, "work_order": f.work_order}
        for f in new.findings
    ]
    if findings:
        await connection.execute(insert(inspection_finding), findings)

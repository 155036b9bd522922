"""A level's, a township's or the county's figures of a period: what each site adds to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.eras import Era
from monitor.core.explaining import decider
from monitor.core.explanation import (
    GroupExplanation,
    MemberFacts,
)
from monitor.core.figures import Member
from monitor.core.measure import Measure
from monitor.core.period import Period
from monitor.core.sites import Level, Site
from monitor.errors import MonitorError
from monitor.flows.reports.explain import read
from monitor.inventory.load import Loaded
from monitor.store.database import snapshot


async def explain_group(
    engine: AsyncEngine, loaded: Loaded, period: Period, group: str, which: str, now: int
) -> GroupExplanation:
    """The figures of a `township` (by its code), of a `level`, or (`total`) of the county: what each site adds.

    Raises MonitorError where there is no such group.
    """
    async with snapshot(engine) as connection:
        it = await read(connection, loaded, period, now)
    names = _group_names(it.counter.eras, group)
    if which not in names:
        what = {"township": "乡镇", "level": "层级"}[group]
        raise MonitorError(f"没有{what} {which}，有：{'、'.join(_named(k, v) for k, v in names.items())}")
    of: Callable[[Site], str] = lambda s: "total"  # noqa: E731
    if which != "total":
        of = (lambda s: s.township_code) if group == "township" else (lambda s: str(s.level))
    sums = it.figures.by_township() if group == "township" else it.figures.sums()
    verdicts: dict[str, list[Member]] = {}
    for m in it.figures.terminals:
        verdicts.setdefault(m.site.site_id, []).append(m)
    members: list[MemberFacts] = []
    for m in it.figures.sites:
        added = [measure for found, measure in m.by(of) if found == which]
        if added:
            site = m.site
            why = [
                f"{t.terminal}:{decider(it.counter, t, it.period)}"
                for t in verdicts.get(site.site_id, [])
                if t.verdict != "maintained" and m.verdict == t.verdict
            ]
            measure = replace(sum(added, Measure()))
            members.append(
                MemberFacts(
                    site.site_id, site.name, str(site.level), site.township_code, measure, m.verdict,
                    measure == m.measure and of(site) == which, why,
                )
            )  # fmt: skip
    rated = which in it.figures.site_rates and group != "township"
    return GroupExplanation(
        it.about,
        group,
        which,
        names[which],
        members,
        sums.get(which, Measure()),
        it.figures.site_rates[which] if rated else None,
        it.figures.terminal_rates[which] if rated else None,
        it.counter.minima(it.period).coverage_min,
    )


def _group_names(eras: Sequence[Era], group: str) -> dict[str, str]:
    if group == "township":
        return {s.township_code: s.township_name for era in eras for s in era.inventory.sites.values()}
    return {**{str(level): "" for level in Level}, "total": ""}


def _named(key: str, name: str) -> str:
    return f"{key}（{name}）" if name else key

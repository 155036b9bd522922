"""What all explanations begin with and hold: the figures of a period, sites by name, orders, evidence in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor import __version__
from monitor.core.days import local_days
from monitor.core.explanation import About, Chain, LineFacts
from monitor.core.figures import Counter, Figures, Key
from monitor.core.period import Period, settles_at
from monitor.core.sites import Site
from monitor.core.timeline import Interval, Timeline
from monitor.errors import MonitorError
from monitor.flows.collecting import no_search_for_cycles
from monitor.flows.history import eras_in
from monitor.flows.order_acts import whole
from monitor.flows.reports.evidence_lines import Wanted, find
from monitor.flows.work_json import cost_json, exemption_json, iso, order_json
from monitor.inventory.load import Loaded
from monitor.store import reading
from monitor.store.exemptions import approved as exempted

METHOD = 1
#: Names of sites that are offered where one was misspelt.
_OFFERED = 3


class Read:
    """What all explanations of a period begin with: the figures of everything, and what they were counted from."""

    def __init__(self, about: About, counter: Counter, checks: Mapping[Key, Timeline], figures: Figures) -> None:
        self.about = about
        self.counter = counter
        self.checks = checks
        self.figures = figures

    @property
    def period(self) -> Interval:
        return (self.about.start, self.about.end)


async def read(connection: AsyncConnection, loaded: Loaded, period: Period, now: int) -> Read:
    """The figures of a period, up to `now` (ms). Raises MonitorError for a period that has not begun."""
    about = await _about(connection, loaded, period, now)
    whole = (about.start, about.end)
    with no_search_for_cycles():
        checks = await reading.timelines(connection, *whole)
        counter = Counter(await eras_in(connection, loaded), await reading.windows(connection))
        figures = await asyncio.to_thread(counter.count_all, whole, checks, await exempted(connection))
    return Read(about, counter, checks, figures)


async def _about(connection: AsyncConnection, loaded: Loaded, period: Period, now: int) -> About:
    """Raises MonitorError for a period that has not begun."""
    zone = loaded.settings.zone
    start, end = period.interval(zone)
    if start >= now:
        raise MonitorError(f"{period.name} 尚未开始，没有可以说明的数据")
    known = (await reading.known_until(connection)).values()
    return About(
        period.name, period.form, start, min(end, now), now, min(known, default=None), loaded.settings.timezone,
        METHOD, __version__, loaded.settings.demo, settles_at(end, loaded.inventory.checks.values()),
    )  # fmt: skip


def find_site(counter: Counter, site_id: str) -> Site:
    """Raises MonitorError, with those whose ids or names are like it."""
    site = counter.site(site_id)
    if site is not None:
        return site
    known = {s: i.name for era in counter.eras for s, i in era.inventory.sites.items()}
    by_name = {name: s for s, name in known.items()}
    like = [by_name.get(x, x) for x in get_close_matches(site_id, [*known, *by_name], _OFFERED, 0.5)]
    like = [*dict.fromkeys([*(s for s, name in known.items() if name == site_id), *like])][:_OFFERED]
    offer = "，相近的有 " + "、".join(f"{s}（{known[s]}）" for s in like) if like else ""
    raise MonitorError(f"清单中从未有过站点 {site_id}（共 {len(known)} 个站点{offer}）")


async def chain_of(engine: AsyncEngine, loaded: Loaded, number: int) -> Chain:
    """A work order with its history, papers, exemptions and costs."""
    told = await whole(engine, loaded, number)
    return Chain(
        order_json(told.order, told.signs),
        [{**event, "at": iso(event["at_ms"])} for event in told.history],
        [{**paper, "at": iso(paper["at_ms"])} for paper in told.papers],
        [exemption_json(e) for e in told.exemptions],
        [{**cost_json(c), "work_order": c["work_order"]} for c in told.costs],
    )


async def located(
    loaded: Loaded, site_id: str, observers: Sequence[str], wanted: set[Wanted]
) -> tuple[list[LineFacts], list[str]]:
    """In a thread: a day of a whole county's log is read in a second."""
    folder, day_of = Path(loaded.settings.evidence.folder), local_days(loaded.settings.zone)
    return await asyncio.to_thread(find, folder, observers, day_of, site_id, wanted)

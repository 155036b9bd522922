"""What follows from evidence of a report, counted anew from timelines, to be held against what was sealed.

The same functions that the facts are made of (flows/reports/facts.py), with what people decided as it stood then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.days import start_of
from monitor.core.eras import Era
from monitor.core.figures import Counter
from monitor.core.period import Period
from monitor.flows.collecting import no_search_for_cycles
from monitor.flows.reports import evidence, figures, outages
from monitor.flows.reports.facts import services
from monitor.inventory.load import Loaded
from monitor.store import exemptions, reading, windows

Json = dict[str, Any]

#: The parts of a report that follow from evidence, windows, exemptions and the inventory.
PARTS = (
    "counted",
    "without_retroactive",
    "after_exemptions",
    "townships",
    "kinds",
    "sites",
    "days",
    "heat",
    "minima",
    "services",
    "outages",
    "lines",
    "losses",
    "unknown",
)
#: Of an outage, what people said of it.
_SAID = ("cause", "order", "exempted")


async def measured(
    decided: AsyncConnection,
    timed: AsyncConnection,
    loaded: Loaded,
    eras: Sequence[Era],
    period: Period,
    at_ms: int,
) -> Json:
    """PARTS of a whole period. `timed`: the database whose timelines count; `decided`: the one where windows and
    exemptions stand, taken as of `at_ms`."""
    zone = loaded.settings.zone
    interval = period.interval(zone)
    counter = Counter(eras, await windows.counted_at(decided, at_ms))
    exempted = await exemptions.approved(decided, at_ms)
    with no_search_for_cycles():
        checks = await reading.timelines(timed, *interval)
        said = await services(timed, period)
        lost, observers = await evidence.losses(timed, interval), await evidence.observers(timed)
        rows = await outages.find(timed, interval, counter, ())

        def count() -> Json:
            counted = counter.count_all(interval, checks, exempted)
            bare, lenient = counted.without_retroactive, counted.after_exemptions
            days = [(start_of(zone, day), start_of(zone, day, 1)) for day in period.days()]
            heat = figures.heat(counted, counter, checks, period.days(), days)
            unknown = evidence.unknown(counted, counter, checks, lost, observers)
            of_terminals, of_lines = outages.facts(rows, counter, checks, interval)  # the last: it uses `checks` up
            made = {
                "counted": figures.counted(counted),
                "without_retroactive": None if bare is None else figures.counted(bare, counted),
                "after_exemptions": None if lenient is None else figures.counted(lenient, counted),
                "townships": figures.townships(counted),
                "kinds": figures.kinds(counted),
                "sites": figures.sites(counted, counter),
                "days": heat.days,
                "heat": heat.sites,
                "minima": figures.minima(counted, counter),
                "services": said,
                "outages": of_terminals,
                "lines": of_lines,
                "losses": lost,
                "unknown": unknown,
            }
            found: Json = msgspec.json.decode(msgspec.json.encode(made))
            return parts_of(found)

        # In a thread: a large county's month takes seconds.
        return await asyncio.to_thread(count)


def parts_of(facts: Mapping[str, Any]) -> Json:
    """PARTS of a report's JSON, in a form that can be compared: rows of the heat map by their sites, outages without
    what people said of them."""
    parts = {name: facts[name] for name in PARTS if name in facts}
    names = [site["site"] for site in facts["sites"]]
    rows = [list(row) for row in facts["heat"]]
    # More rows than sites, or fewer, are a difference as well.
    parts["heat"] = dict(zip(names, rows, strict=True)) if len(names) == len(rows) else rows
    # Losses have no name of their own.
    parts["losses"] = {f"{one['observer']}/{one['channel']}/{one['start']}": one for one in facts["losses"]}
    for name in ("outages", "lines") if "lines" in facts else ("outages",):
        parts[name] = [{key: value for key, value in one.items() if key not in _SAID} for one in facts[name]]
    return parts

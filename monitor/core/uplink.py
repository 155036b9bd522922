"""Is a township's line down? Its own check says so, or its villages all went at once (the issue's rule).

Without an own check: down when at least 80 % of the villages in service, three at least, had tv and pc go down without
a goodbye, with all these beginnings within five minutes of each other. What is switched off when the hours end goes at
once, too: what went before these hours began counts once it has missed half an hour in service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from monitor.core.outage import Outage
from monitor.core.service import ServiceTimes
from monitor.core.sites import UPLINK, Inventory, Level
from monitor.core.timeline import DOWN, UP, Value

SHARE_PERCENT = 80
AT_LEAST = 3
TOGETHER_MS = 5 * 60_000
#: By then people have switched on what they switched off; as shipped, no site is told sooner (docs/alerts.md).
SWITCHED_ON_MS = 30 * 60_000
_MINUTE, _DAY = 60_000, 86_400_000
#: These are behind a village's line whatever people do; a phone may be anywhere.
FIXED = ("tv", "pc")


class Line(NamedTuple):
    """`is_up` None: nobody can tell. `since`: ms, of a line that is down. `villages`: those that went down with it."""

    is_up: bool | None
    since: int | None = None
    villages: tuple[str, ...] = ()


def lines(
    inventory: Inventory,
    service: ServiceTimes,
    now: int,
    status: Callable[[str, str], tuple[Value, int | None] | None],
    outage: Callable[[str, str], Outage | None],
) -> Iterator[tuple[str, Line]]:
    """Every township's code and line at `now` (ms): from what a terminal's value (since when) and its outage are.
    `status` None: no check."""
    sites, terminals = inventory.sites, inventory.terminals

    def telling(site: str, kind: str) -> Outage | None:
        """The outage, if it says something of the line: it has run within these hours alone, or for long."""
        found, minute = outage(site, kind), now // _MINUTE * _MINUTE
        if found is None or found.start >= minute:
            return found
        since = max(found.start, minute - _DAY)
        missed = service.terminal(sites[site], terminals[site, kind], since, minute)
        unbroken = missed == [(since, minute)]
        return found if unbroken or sum(end - start for start, end in missed) >= SWITCHED_ON_MS else None

    own = {s.township_code: status(s.site_id, UPLINK) for s in sites.values() if s.level is Level.TOWNSHIP}
    for code in inventory.townships:
        villages = []
        for site in inventory.villages_of.get(code, ()):
            if not service.is_in_service(sites[site], None, now):
                continue
            there = [t for t in inventory.terminals_of[site] if service.is_in_service(sites[site], t, now)]
            known = {t.kind: status(site, t.kind) for t in there}
            fixed = [telling(site, kind) for kind in FIXED if known.get(kind) is not None]
            villages.append((site, any(s is not None and s[0] == UP for s in known.values()), fixed))
        value, since = own.get(code) or (None, None)
        yield code, line_of(value, since, villages)


def line_of(
    own: Value | None, own_since: int | None, villages: Iterable[tuple[str, bool, Sequence[Outage | None]]]
) -> Line:
    """A township's line, from its own check (None: it has none) and its villages in service.

    A village is (site, is anything of it up, the outages that go on at its tv and pc; None for one that is not down, or
    says nothing of the line).
    """
    known = list(villages)
    together = _together([(site, outages) for site, _, outages in known])
    if len(together) >= AT_LEAST and len(together) * 100 >= SHARE_PERCENT * len(known):
        beginnings = [start for _, starts in together for start in starts]
        return Line(False, min(beginnings), tuple(site for site, _ in together))
    if own == DOWN:
        return Line(False, own_since, tuple(site for site, any_up, _ in known if not any_up))
    if own == UP or (own is None and any(any_up for _, any_up, _ in known)):
        return Line(True)
    return Line(None)


def _together(villages: Sequence[tuple[str, Sequence[Outage | None]]]) -> list[tuple[str, list[int]]]:
    """The most villages whose tv and pc all went down, without goodbye, within five minutes."""
    gone: list[tuple[str, list[int]]] = []
    for site, outages in villages:
        starts = [o.start for o in outages if o is not None and not (o.start_edge and o.start_edge.how == "goodbye")]
        if len(starts) == len(outages) and starts:
            gone.append((site, starts))
    best: list[tuple[str, list[int]]] = []
    for left, first in enumerate(sorted({min(starts) for _, starts in gone})):
        if len(best) >= len(gone) - left:
            break  # fewer than that begin here or later
        inside = [g for g in gone if min(g[1]) >= first and max(g[1]) <= first + TOGETHER_MS]
        if len(inside) > len(best):
            best = inside
    return best

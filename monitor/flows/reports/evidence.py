"""What a period's figures stand on: planned windows, losses of channels, unknown time, what held when, the chains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.eras import Era
from monitor.core.figures import Counter, Figures, Key
from monitor.core.period import Period
from monitor.core.report import EraFacts, EvidenceFacts, LossFacts, UnknownFacts, WindowFacts
from monitor.core.sites import CHANNELS, UPLINK
from monitor.core.timeline import BEGINNING, FOREVER, UNKNOWN, Interval, Timeline, spans
from monitor.core.window import Window, intersect, length, subtract, union
from monitor.inventory.versions import Version, settings_from, settings_of
from monitor.store import chains
from monitor.store.tables import check, cut, evidence_day, loss
from monitor.store.windows import Declared

#: Losses of all channels so near each other (ms) have one reason.
_TOGETHER_MS = 2_000


# --- planned windows --------------------------------------------------------------------------------------------------


def windows(declared: Iterable[Declared], counter: Counter, figures: Figures) -> list[WindowFacts]:
    """Those that count in the period, by start and number."""
    lo, hi = figures.period
    result = []
    for one in declared:
        window = one.window.counted()
        approved = not one.window.retroactive or one.window.approved is not None
        if window is None or one.state == "rejected" or not approved or window.start >= hi or window.end <= lo:
            continue
        result.append(
            WindowFacts(
                one.id,
                window.scope,
                window.start,
                window.end,
                window.reason,
                window.retroactive,
                window.by,
                window.at,
                window.approved_by,
                _covered(window, counter, figures),
            )
        )
    return sorted(result, key=lambda w: (w.start, w.id))


def _covered(window: Window, counter: Counter, figures: Figures) -> int:
    """Ms in service that it covers: of a site while it belonged to the scope."""
    kind, _, which = window.scope.partition(":")
    place, _, terminal = which.partition("/")
    if kind in ("site", "terminal"):
        mine = [place] if counter.held(place) else []
    else:
        mine = [member.site.site_id for member in figures.sites]
    total = 0
    for site_id in mine:
        in_service = counter.course(site_id, terminal or None).counted(figures.period, True)[0]
        for held in counter.held(site_id):
            if window.covers(held.site, terminal or None):
                start = max(window.start, held.since, figures.period[0])
                total += in_service.inside(start, min(window.end, held.until, figures.period[1]))
    return total


# --- losses of channels and unknown time ------------------------------------------------------------------------------


async def losses(connection: AsyncConnection, period: Interval) -> list[LossFacts]:
    """Of all observers, those that lie in the period or reach into it, by start."""
    inside = or_(loss.c.lost_ms.is_(None), loss.c.lost_ms < period[1])
    query = select(loss).where(inside, or_(loss.c.restored_ms.is_(None), loss.c.restored_ms > period[0]))
    rows = [(r.observer, r.channel, r.lost_ms, r.restored_ms) for r in await connection.execute(query)]
    result = []
    for observer, channel, start, end in rows:
        others = {
            c for o, c, at, _ in rows if o == observer and start is not None and abs((at or 0) - start) <= _TOGETHER_MS
        }
        reason = "start" if start is None else "all" if others == set(CHANNELS) else "channel"
        known_end = end if end is not None and end <= period[1] else None
        result.append(LossFacts(observer, channel, period[0] if start is None else start, known_end, reason))
    return sorted(result, key=lambda one: (one.start, one.observer, one.channel))


async def observers(connection: AsyncConnection) -> dict[str, str]:
    """Site -> the observer that judges it."""
    rows = await connection.execute(select(check.c.site, check.c.observer).distinct())
    return {site: observer for site, observer in rows}


def unknown(
    figures: Figures,
    counter: Counter,
    checks: Mapping[Key, Timeline],
    lost: Sequence[LossFacts],
    observer_of: Mapping[str, str],
) -> list[UnknownFacts]:
    """Why the sites' counted time was unknown."""
    away: dict[tuple[str, str], list[Interval]] = {}
    for one in lost:
        away.setdefault((one.observer, one.channel), []).append((one.start, FOREVER if one.end is None else one.end))
    joined: dict[tuple[str, frozenset[str]], list[Interval]] = {}
    lengths: dict[str, int] = {}
    met: dict[str, int] = {}
    channels = _channels(counter)
    for member in figures.sites:
        if not member.measure.unknown:
            continue
        site = member.site.site_id
        course, timeline = counter.own(site, figures.period, checks)
        counted = course.counted(figures.period, True)[1].intervals
        nothing = [(a, b) for a, b, value in spans(timeline, *figures.period) if value == UNKNOWN]
        nothing = intersect(nothing, counted)
        mine = frozenset(channels.get(site, ()))
        if not mine:
            parts = {"no_check": nothing}
        else:
            key = (observer_of.get(site, ""), mine)
            if key not in joined:
                joined[key] = union(interval for channel in mine for interval in away.get((key[0], channel), []))
            first = timeline[1].at if len(timeline) > 1 else FOREVER
            before = intersect(nothing, [(BEGINNING, first)])
            rest = subtract(nothing, before)
            by_loss = intersect(rest, joined[key])
            parts = {"before": before, "channel": by_loss, "undecided": subtract(rest, by_loss)}
        for why, part in parts.items():
            if part:
                lengths[why] = lengths.get(why, 0) + length(part)
                met[why] = met.get(why, 0) + 1
    return [UnknownFacts(why, lengths[why], met[why]) for why in sorted(lengths)]


def _channels(counter: Counter) -> dict[str, set[str]]:
    """Site -> the channels of its terminals' checks, in any era."""
    result: dict[str, set[str]] = {}
    for era in counter.eras:
        for one in era.inventory.checks.values():
            if one.terminal != UPLINK:
                result.setdefault(one.site_id, set()).add(one.channel)
    return result


# --- what held when, and what it stands on ----------------------------------------------------------------------------


def eras(held: Sequence[Version], found: Sequence[Era], period: Interval) -> list[EraFacts]:
    """Those of the period: sites and checks by the version that held, parameters by that whose settings did."""
    ordered = sorted(held, key=lambda v: (v.since, v.number))
    result = []
    ends = [*(era.since for era in found[1:]), FOREVER]
    for era, end in zip(found, ends, strict=True):
        if era.since >= period[1] or end <= period[0]:
            continue
        version = next((v for v in reversed(ordered) if v.since <= era.since), ordered[0])
        judging = next((v for v in reversed(ordered) if settings_from(v.loaded, v.since) <= era.since), ordered[0])
        since = max(era.since, BEGINNING)
        result.append(
            EraFacts(
                since if since > BEGINNING else period[0],
                version.number,
                version.loaded.digest,
                dict(settings_of(judging.loaded)),
            )
        )
    return result


async def evidence(connection: AsyncConnection, period: Period) -> EvidenceFacts:
    """The closed days of the period with their places on the chains, and the newest link of every chain."""
    first, last = (day.year * 10_000 + day.month * 100 + day.day for day in (period.first, period.last))
    query = select(evidence_day.c.observer, evidence_day.c.day, evidence_day.c.hash)
    query = query.where(evidence_day.c.day.between(first, last))
    days = sorted(
        (observer, f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}", link)
        for observer, day, link in await connection.execute(query)
    )
    known = sorted((await connection.execute(select(cut.c.observer))).scalars())
    heads = [(tag, link.n, link.hash) for tag, link in sorted((await chains.heads(connection)).items())]
    return EvidenceFacts(known, days, heads)

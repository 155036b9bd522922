"""Reading timelines, outages, windows and states back, for measures, pages and reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, Select, Text, cast, func, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.outage import ALIVE, Outage
from monitor.core.sites import CHANNELS
from monitor.core.timeline import DOWN, UNKNOWN, UP, Edge, Step, Timeline, Value, new_timeline
from monitor.core.window import Window
from monitor.store.digests import said_in
from monitor.store.edges import unpack as unpack_edge
from monitor.store.tables import check, cut, digest, loss, outage, span, status
from monitor.store.windows import in_force as windows_in_force

_VALUES: tuple[Value, ...] = (DOWN, UNKNOWN, UP)
Key = tuple[str, str, str]
#: Rows that are taken over at a stretch: some milliseconds.
ROWS_AT_ONCE = 2_000
#: The same where a row holds a check's whole month.
CHECKS_AT_ONCE = 500
#: How a database puts the numbers of a group into one JSON list.
_list_of = {"sqlite": func.json_group_array, "postgresql": func.json_agg}
_decode = msgspec.json.Decoder(list[int]).decode
_new_step = tuple.__new__


async def timelines(
    connection: AsyncConnection, lo: int, hi: int, *, edges: bool = False, sites: Collection[str] | None = None
) -> dict[Key, Timeline]:
    """The timelines of all checks on `[lo, hi)` ms, and for a site with an outage that lasts into `lo` from where it
    began: limits run from there. Before what was read, a timeline says unknown. `sites`: of these few alone."""
    asked = select(check.c.id, check.c.site, check.c.terminal, check.c.check)
    mine = true() if sites is None else check.c.site.in_(sites)
    known = await connection.execute(asked.where(mine))
    keys_of: dict[int, Key] = {number: (site, terminal, name) for number, site, terminal, name in known}
    found: dict[int, Timeline] = {number: new_timeline() for number in keys_of}
    columns = [span.c.check_id, span.c.start_ms, span.c.value] + ([span.c.edge] if edges else [])
    # Two selects, each answered by the index on (over_ms, start_ms) alone: most outages of the month begin in it.
    keys = select(outage.c.key).where(outage.c.start_ms < lo)
    lasts = union_all(keys.where(outage.c.over_ms.is_(None)), keys.where(outage.c.over_ms > lo))
    lasting = (
        select(outage.c.site, func.min(outage.c.start_ms).label("began"))
        .where(outage.c.key.in_(lasts), outage.c.state.in_(("open", "ended")))
        .group_by(outage.c.site)
        .cte("lasting")
    )
    # An outer join: check by check, each by the key of `span`, and not the other way round.
    in_force = (span.c.check_id == check.c.id) & (span.c.start_ms == _in_force(lo))
    before = select(*columns).select_from(check.outerjoin(span, in_force))
    before = before.where(mine, check.c.site.not_in(select(lasting.c.site)))
    began = func.coalesce(_in_force(lasting.c.began), lasting.c.began)
    longer = (
        select(*columns)
        .join(check, span.c.check_id == check.c.id)
        .join(lasting, lasting.c.site == check.c.site)
        .where(mine, span.c.start_ms <= lo, span.c.start_ms >= began)
    )
    here = (span.c.start_ms > lo) & (span.c.start_ms < hi)
    if sites is not None:
        here &= span.c.check_id.in_(list(keys_of))
    inside = select(*columns).where(here)
    await _append(found, connection, before, edges)
    await _append(found, connection, longer.order_by(span.c.check_id, span.c.start_ms), edges)
    if edges:
        await _append(found, connection, inside.order_by(span.c.check_id, span.c.start_ms), edges)
    else:
        await _append_packed(found, connection, mine, lo, hi)
    return {key: found[number] for number, key in keys_of.items()}


async def some_timelines(connection: AsyncConnection, since: Mapping[tuple[str, str], int]) -> Mapping[Key, Timeline]:
    """The timelines of the checks of some terminals ((site, terminal)), each at least from its instant (ms) on."""
    rows = await connection.execute(select(check).where(check.c.site.in_({site for site, _ in since})))
    keys: dict[int, Key] = {r.id: (r.site, r.terminal, r.check) for r in rows if (r.site, r.terminal) in since}
    found: dict[int, Timeline] = {number: new_timeline() for number in keys}
    if since:
        lo = min(since.values())
        query = select(span.c.check_id, span.c.start_ms, span.c.value).join(check, span.c.check_id == check.c.id)
        query = query.where(span.c.check_id.in_(keys), span.c.start_ms >= func.coalesce(_in_force(lo), lo))
        await _append(found, connection, query.order_by(span.c.check_id, span.c.start_ms), False)
    return {key: found[number] for number, key in keys.items()}


async def edges_at(connection: AsyncConnection, site: str, terminal: str, at: int) -> list[tuple[str, Edge]]:
    """(check, edge with its evidence) of the checks of a terminal whose value changed at `at` (ms)."""
    query = select(check.c.check, span.c.edge).join(span, span.c.check_id == check.c.id)
    query = query.where(check.c.site == site, check.c.terminal == terminal, span.c.start_ms == at)
    found = [(name, unpack_edge(packed, at)) for name, packed in await connection.execute(query)]
    return [(name, edge) for name, edge in found if edge is not None]


def _in_force(instant: Any) -> Any:
    """Where the step of a check begins that holds at `instant` (ms, or a column of a table that is joined)."""
    earlier = span.alias()
    found = select(func.max(earlier.c.start_ms)).where(earlier.c.check_id == check.c.id, earlier.c.start_ms <= instant)
    return found.correlate_except(earlier).scalar_subquery()


async def _append(found: dict[int, Timeline], connection: AsyncConnection, query: Select[Any], edges: bool) -> None:
    """In parts: a large county's month has more than a million rows, and beats come in meanwhile."""
    async with connection.stream(query.execution_options(yield_per=ROWS_AT_ONCE)) as rows:
        async for part in rows.partitions():
            if edges:
                for check_id, start, value, edge in part:
                    if check_id is not None:
                        found[check_id].append(Step(start, _VALUES[value], unpack_edge(edge, start)))
            else:
                for check_id, start, value in part:
                    if check_id is not None:
                        found[check_id].append(_new_step(Step, (start, _VALUES[value], None)))


async def _append_packed(
    found: dict[int, Timeline], connection: AsyncConnection, mine: ColumnElement[bool], lo: int, hi: int
) -> None:
    """A row a check instead of one a step, with all of its steps as numbers: a third of the time."""
    numbers = _list_of[connection.dialect.name](span.c.start_ms * 4 + span.c.value)
    # A select of its own for each check: so no more is read than these steps, however many years there are.
    steps = select(cast(numbers, Text)).where(span.c.check_id == check.c.id, span.c.start_ms > lo, span.c.start_ms < hi)
    query = select(check.c.id, steps.scalar_subquery()).where(mine)
    async with connection.stream(query.execution_options(yield_per=CHECKS_AT_ONCE)) as rows:
        async for part in rows.partitions():
            for check_id, text in part:
                packed = _decode(text or "[]")
                packed.sort()
                found[check_id] += [_new_step(Step, (n >> 2, _VALUES[n & 3], None)) for n in packed]


async def first_evidence(connection: AsyncConnection) -> int | None:
    """When anything was known of any check for the first time (ms); None: nothing ever was."""
    first = select(func.min(span.c.start_ms)).where(span.c.check_id == check.c.id).scalar_subquery()
    found = await connection.execute(select(func.min(select(first.label("at")).select_from(check).subquery().c.at)))
    at: int | None = found.scalar()
    return at


async def observers(connection: AsyncConnection, site: str) -> list[str]:
    """Who judged the checks of a site: their logs hold its evidence."""
    found = await connection.execute(select(check.c.observer).where(check.c.site == site).distinct())
    return sorted(found.scalars())


async def an_outage(connection: AsyncConnection, key: str) -> Outage | None:
    """An outage by its key, whatever became of it; its edges without the evidence."""
    row = (await connection.execute(select(outage).where(outage.c.key == key))).first()
    return None if row is None else _outage(row)


async def outage_keys(connection: AsyncConnection, prefix: str, most: int) -> list[str]:
    """The newest keys that begin with `prefix` (`SITE/` or `SITE/TERMINAL/`), of outages that are."""
    query = select(outage.c.key).where(outage.c.key.startswith(prefix, autoescape=True))
    query = query.where(outage.c.state.in_(ALIVE)).order_by(outage.c.start_ms.desc()).limit(most)
    return list((await connection.execute(query)).scalars())


async def known_until(connection: AsyncConnection) -> dict[str, int]:
    """By site the instant (ms) up to which its rows follow the log of its observer; later nothing is decided yet."""
    query = select(check.c.site, func.min(cut.c.at_ms).label("at")).join(cut, cut.c.observer == check.c.observer)
    return {r.site: r.at for r in await connection.execute(query.group_by(check.c.site))}


async def windows(connection: AsyncConnection) -> list[Window]:
    """Every planned window that counts, as it counts."""
    return [w for told in await windows_in_force(connection) if (w := told.counted()) is not None]


async def statuses(connection: AsyncConnection) -> dict[tuple[str, str], tuple[str, int | None, str]]:
    """(site, terminal) -> value, since (ms), how; the site's own with terminal ""."""
    rows = await connection.execute(select(status))
    return {(r.site, r.terminal): (r.value, r.since_ms, r.how) for r in rows}


async def open_outages(connection: AsyncConnection) -> dict[tuple[str, str], Outage]:
    """The outages that go on, by (site, terminal); their edges without the evidence."""
    rows = await connection.execute(select(outage).where(outage.c.over_ms.is_(None), outage.c.state == "open"))
    return {(r.site, r.terminal): _outage(r) for r in rows}


def _outage(r: Row[Any]) -> Outage:
    return Outage(
        r.key, r.site, r.terminal, r.start_ms, r.end_ms, r.over_ms, r.state,
        _edge(r.start_earliest_ms, r.start_latest_ms, r.start_how),
        _edge(r.end_earliest_ms, r.end_latest_ms, r.end_how), r.successor,
    )  # fmt: skip


def _edge(earliest: int | None, latest: int | None, how: str | None) -> Edge | None:
    return Edge(earliest, latest, how) if latest is not None and how is not None else None


async def followed_to(connection: AsyncConnection, observer: str) -> int | None:
    """Up to which instant (ms) the rows say what the log says; None: they say nothing yet."""
    found = await connection.execute(select(cut.c.at_ms).where(cut.c.observer == observer))
    at: int | None = found.scalar()
    return at


async def said(connection: AsyncConnection, first: int, last: int) -> dict[str, dict[str, tuple[int, int]]]:
    """What beats said of services on the local days `first` to `last`, both as 20261001 and included: service -> the
    terminal (site/terminal) -> how many said ok, and fail. Days are known once they have ended."""
    rows = await connection.execute(select(digest.c.body).where(digest.c.day.between(first, last)))
    counts: dict[tuple[str, int], tuple[int, int]] = {}
    for row in rows:
        for number, words in said_in(row.body).items():
            for service, ok, failed in words:
                before = counts.get((service, number), (0, 0))
                counts[service, number] = (before[0] + ok, before[1] + failed)
    if not counts:
        return {}
    known = await connection.execute(select(check.c.id, check.c.site, check.c.terminal))
    names = {number: f"{site}/{terminal}" for number, site, terminal in known}
    result: dict[str, dict[str, tuple[int, int]]] = {}
    for (service, number), (ok, failed) in counts.items():
        of_service = result.setdefault(service, {})
        before = of_service.get(names[number], (0, 0))
        of_service[names[number]] = (before[0] + ok, before[1] + failed)
    return result


async def channels(connection: AsyncConnection, observer: str) -> list[tuple[str, bool, int | None]]:
    """(channel, is it observed, since when in ms) of one observer, in the order of the specification."""
    rows = await connection.execute(select(loss).where(loss.c.observer == observer).order_by(loss.c.n))
    last = {
        r.channel: (r.restored_ms is not None, r.restored_ms if r.restored_ms is not None else r.lost_ms) for r in rows
    }
    return [(name, *last.get(name, (False, None))) for name in CHANNELS]

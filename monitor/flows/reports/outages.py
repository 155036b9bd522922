"""The outages of a period, with the bounds of their edges, what is known of their causes, orders and exemptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Text, and_, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.cause import cause_of
from monitor.core.course import Course
from monitor.core.figures import Counter, Key
from monitor.core.measure import Counted
from monitor.core.outage import ALIVE
from monitor.core.report import OutageFacts
from monitor.core.sites import HEARTBEATS, UPLINK, Terminal
from monitor.core.timeline import FOREVER, Edge, Interval, Timeline
from monitor.store.edges import HOWS
from monitor.store.tables import check, outage, span, work_order, work_order_outage

ROWS_AT_ONCE = 2_000
#: The same where a row holds all outages of a site.
SITES_AT_ONCE = 500
_COLUMNS = [column for column in outage.c if column.name not in ("state", "successor")]
#: Key, site, terminal; start, end, over; of both edges earliest, latest, how.
_Row = tuple[
    str, str, str, int, int | None, int | None,
    int | None, int | None, str | None, int | None, int | None, str | None,
]  # fmt: skip
_rows = msgspec.json.Decoder(list[_Row]).decode
#: How a database puts values into a JSON list, and rows of a group into another.
_row_of = {"sqlite": func.json_array, "postgresql": func.json_build_array}
_list_of = {"sqlite": func.json_group_array, "postgresql": func.json_agg}
_BEAT = HOWS.index("beat")
_decode = msgspec.msgpack.Decoder(list).decode


class Ordered(NamedTuple):
    """What people say of an outage: the order that lists it, its cause, whether an exemption of it was approved."""

    order: str
    cause: str
    exempted: bool


class Found(NamedTuple):
    """Rows of outages of a period by start and key; by key what an order says, and the edges that tell a cause."""

    rows: list[_Row]
    orders: Mapping[str, Ordered]
    signs: Mapping[str, str]


def _inside(period: Interval) -> ColumnElement[bool]:
    over = or_(outage.c.over_ms.is_(None), outage.c.over_ms > period[0])
    return and_(outage.c.start_ms < period[1], over, outage.c.state.in_(ALIVE))


async def find(connection: AsyncConnection, period: Interval, counter: Counter, exempted: frozenset[int]) -> Found:
    """All that lie in the period or reach into it. `exempted`: the orders with an approved exemption."""
    listing = select(work_order_outage.c.key, work_order_outage.c.order_id, work_order.c.cause)
    listing = listing.join(work_order, work_order.c.id == work_order_outage.c.order_id)
    listing = listing.join(outage, outage.c.key == work_order_outage.c.key).where(_inside(period))
    orders = {
        key: Ordered(str(order), cause, order in exempted) for key, order, cause in await connection.execute(listing)
    }
    # A row a site instead of one an outage: half of the time.
    dialect = connection.dialect.name
    packed = _list_of[dialect](_row_of[dialect](*_COLUMNS))
    query = select(cast(packed, Text)).where(_inside(period)).group_by(outage.c.site)
    found: list[_Row] = []
    async with connection.stream(query.execution_options(yield_per=SITES_AT_ONCE)) as rows:
        async for part in rows.partitions():
            for (text,) in part:
                found += _rows(text)
    found.sort(key=_start_and_key)
    return Found(found, orders, await _signs(connection, period, counter))


def _start_and_key(row: _Row) -> tuple[int, str]:
    return row[3], row[0]


async def _signs(connection: AsyncConnection, period: Interval, counter: Counter) -> dict[str, str]:
    """Key of an outage -> what the first beat after it says of its cause, where it says something."""
    back = (span.c.check_id == check.c.id) & (span.c.start_ms == outage.c.over_ms)
    mine = (check.c.site == outage.c.site) & (check.c.terminal == outage.c.terminal)
    query = (
        select(outage.c.key, check.c.id, span.c.edge)
        .join(check, mine)
        .join(span, back)
        .where(outage.c.over_ms > period[0], outage.c.over_ms <= period[1], outage.c.start_ms < period[1])
        .where(outage.c.state.in_(ALIVE))
    )
    known = await connection.execute(select(check.c.id, check.c.site, check.c.terminal, check.c.check))
    intervals: dict[int, int] = {}
    for number, site, terminal, name in known:
        if name not in HEARTBEATS:
            continue
        of_it = (era.inventory.checks.get((site, terminal, name)) for era in reversed(counter.eras))
        intervals[number] = next((one.interval_ms for one in of_it if one is not None), 60_000)
    found: dict[str, str] = {}
    async with connection.stream(query.execution_options(yield_per=ROWS_AT_ONCE)) as rows:
        async for part in rows.partitions():
            for key, number, packed in part:
                if packed is None or number not in intervals:
                    continue
                earliest, latest, how, before, after = _decode(packed)
                # Instants relative to the edge will do: `cause_of` takes their differences.
                if how == _BEAT and (
                    sign := cause_of(Edge(earliest, latest, "beat", before, after), intervals[number])
                ):
                    found[key] = sign
    return found


def facts(
    found: Found, counter: Counter, checks: Mapping[Key, Timeline], period: Interval
) -> tuple[list[OutageFacts], list[OutageFacts]]:
    """Outages of terminals, and those of townships' lines."""
    outages: list[OutageFacts] = []
    lines: list[OutageFacts] = []
    for one in _facts(found, counter, checks, period):
        (lines if one.terminal == UPLINK else outages).append(one)
    return outages, lines


def _facts(found: Found, counter: Counter, checks: Mapping[Key, Timeline], period: Interval) -> Iterator[OutageFacts]:
    nobody = Ordered("", "", False)
    known: dict[tuple[str, str], tuple[Course, Timeline]] = {}
    whole: dict[int, Counted] = {}
    end_of_period = period[1]
    for key, site, terminal, start, _, over, se, sl, sh, ee, el, eh in found.rows:
        mine = known.get((site, terminal))
        if mine is None:
            mine = known[site, terminal] = _course(counter, checks, site, terminal)
        course, timeline = mine
        if start >= period[0]:
            counted = whole.get(id(course))
            if counted is None:
                counted = whole[id(course)] = course.counted(period, True)[1]
        else:
            counted = course.counted((start, end_of_period), False)[1]
        if over is not None and over > end_of_period:
            over = None
        is_over = over is not None
        clock = course.clock(timeline, (start, FOREVER if over is None else over), period, counted)
        ordered = found.orders.get(key, nobody)
        sign = found.signs.get(key, "")
        yield OutageFacts(
            key,
            site,
            terminal,
            start,
            clock.last if clock.last < end_of_period or is_over else None,
            over,
            se,
            sl,
            sh or "",
            ee if is_over else None,
            el if is_over else None,
            (eh or "") if is_over else "",
            clock.counted,
            clock.here,
            clock.overdue,
            ordered.cause or sign,
            sign,
            ordered.order,
            ordered.exempted,
        )


def _course(counter: Counter, checks: Mapping[Key, Timeline], site: str, terminal: str) -> tuple[Course, Timeline]:
    if terminal == UPLINK and (known := counter.site(site)) is not None:
        course = counter.course_of(known, Terminal(site, UPLINK))
    else:
        course = counter.course(site, terminal)
    return course, counter.terminal_timeline(site, terminal, checks)

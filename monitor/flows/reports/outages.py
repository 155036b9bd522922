"""The outages of a period, with the bounds of their edges, what is known of their causes, orders and exemptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from sys import intern
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
from monitor.core.sites import HEARTBEATS, UPLINK
from monitor.core.timeline import FOREVER, RANK, UP, Edge, Interval, Timeline
from monitor.core.window import Window
from monitor.store.edges import HOWS
from monitor.store.tables import check, outage, span, work_order, work_order_outage

ROWS_AT_ONCE = 2_000
#: The same where a row holds all outages of a terminal.
TERMINALS_AT_ONCE = 1_000
_COLUMNS = [column for column in outage.c if column.name not in ("site", "terminal", "state", "successor")]
#: Key; start, end, over; of both edges earliest, latest, how.
_Row = tuple[
    str, int, int | None, int | None,
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


_NOBODY = Ordered("", "", False)


class Found(NamedTuple):
    """Of a period: site, terminal and its outages as JSON; by key of an outage what an order says; by terminal and the
    instant at which it was over (ms) what the first beat afterwards says."""

    packed: list[tuple[str, str, str]]
    orders: Mapping[str, Ordered]
    signs: dict[tuple[str, str], dict[int, str]]


def _inside(period: Interval) -> ColumnElement[bool]:
    over = or_(outage.c.over_ms.is_(None), outage.c.over_ms > period[0])
    return and_(outage.c.start_ms < period[1], over, outage.c.state.in_(ALIVE))


async def find(connection: AsyncConnection, period: Interval, counter: Counter, exempted: Sequence[Window]) -> Found:
    """All that lie in the period or reach into it. `exempted`: as `store.exemptions.approved` has them."""
    spared = {(window.scope, window.start) for window in exempted}
    o = outage.c
    listing = select(o.key, o.site, o.terminal, o.start_ms, work_order.c.id, work_order.c.cause)
    listing = listing.join(work_order_outage, work_order_outage.c.key == outage.c.key)
    listing = listing.join(work_order, work_order.c.id == work_order_outage.c.order_id).where(_inside(period))
    orders = {
        key: Ordered(str(order), cause, (f"terminal:{site}/{terminal}", start) in spared)
        for key, site, terminal, start, order, cause in await connection.execute(listing)
    }
    # A row a terminal instead of one an outage: half of the time, and a fifth of the room.
    dialect = connection.dialect.name
    rows = _list_of[dialect](_row_of[dialect](*_COLUMNS))
    query = select(outage.c.site, outage.c.terminal, cast(rows, Text)).where(_inside(period))
    query = query.group_by(outage.c.site, outage.c.terminal)
    packed: list[tuple[str, str, str]] = []
    async with connection.stream(query.execution_options(yield_per=TERMINALS_AT_ONCE)) as found:
        async for part in found.partitions():
            packed += [(site, intern(terminal), text) for site, terminal, text in part]
    return Found(packed, orders, await _signs(connection, period, counter))


async def _signs(
    connection: AsyncConnection, period: Interval, counter: Counter
) -> dict[tuple[str, str], dict[int, str]]:
    """By terminal, when it came back -> what the first beat then says of the cause, where it says something."""
    # Check by check (the outer join sees to it): three times as fast as outage by outage.
    is_beat = check.c.check.in_(HEARTBEATS)
    inside = (span.c.start_ms > period[0]) & (span.c.start_ms <= period[1])
    back = (span.c.check_id == check.c.id) & inside & (span.c.value == RANK[UP])
    query = select(span.c.start_ms, check.c.id, span.c.edge).select_from(check.outerjoin(span, back)).where(is_beat)
    known = await connection.execute(select(check.c.id, check.c.site, check.c.terminal, check.c.check).where(is_beat))
    intervals: dict[int, int] = {}
    terminals: dict[int, tuple[str, str]] = {}
    for number, site, terminal, name in known:
        of_it = (era.inventory.checks.get((site, terminal, name)) for era in reversed(counter.eras))
        intervals[number] = next((one.interval_ms for one in of_it if one is not None), 60_000)
        terminals[number] = (site, terminal)
    signs: dict[tuple[str, str], dict[int, str]] = {}
    async with connection.stream(query.execution_options(yield_per=ROWS_AT_ONCE)) as rows:
        async for part in rows.partitions():
            for over, number, packed in part:
                if packed is None or number not in intervals:
                    continue
                earliest, latest, how, before, after = _decode(packed)
                # Instants relative to the edge will do: `cause_of` takes their differences.
                if how == _BEAT and (
                    sign := cause_of(Edge(earliest, latest, "beat", before, after), intervals[number])
                ):
                    signs.setdefault(terminals[number], {})[over] = sign
    return signs


def facts(
    found: Found, counter: Counter, checks: dict[Key, Timeline], period: Interval
) -> tuple[list[OutageFacts], list[OutageFacts]]:
    """Outages of terminals, and those of townships' lines. What was found and `checks` are used up."""
    outages: list[OutageFacts] = []
    lines: list[OutageFacts] = []
    counted_of: dict[int, Counted] = {}
    while found.packed:
        site, terminal, packed = found.packed.pop()
        course, timeline = _course(counter, checks, site, terminal)
        counted = counted_of.get(id(course))
        if counted is None:
            counted = counted_of[id(course)] = course.counted(period, True)[1]
        signs = found.signs.pop((site, terminal), {})
        mine = lines if terminal == UPLINK else outages
        for row in _rows(packed):
            before = course.counted((row[1], period[1]), False)[1] if row[1] < period[0] else counted
            ordered = found.orders.get(row[0], _NOBODY)
            mine.append(_fact(site, terminal, row, course, timeline, before, period, ordered, signs))
        for era in counter.eras:
            for one in era.inventory.checks_of.get((site, terminal), ()):
                checks.pop(one.key, None)
    outages.sort(key=_start_and_key)
    lines.sort(key=_start_and_key)
    return outages, lines


def _start_and_key(one: OutageFacts) -> tuple[int, str]:
    return one.start, one.key


def _fact(
    site: str,
    terminal: str,
    row: _Row,
    course: Course,
    timeline: Timeline,
    counted: Counted,
    period: Interval,
    ordered: Ordered,
    signs: Mapping[int, str],
) -> OutageFacts:
    key, start, _, over, start_earliest, start_latest, start_how, end_earliest, end_latest, end_how = row
    if over is None or over > period[1]:
        over = end_earliest = end_latest = end_how = None
    clock = course.clock(timeline, (start, FOREVER if over is None else over), period, counted)
    sign = "" if over is None else signs.get(over, "")
    return OutageFacts(
        key,
        site,
        terminal,
        start,
        None if over is None and clock.last >= period[1] else clock.last,
        over,
        start_earliest,
        start_latest,
        intern(start_how or ""),
        end_earliest,
        end_latest,
        intern(end_how or ""),
        clock.counted,
        clock.here,
        clock.overdue,
        ordered.cause or sign,
        sign,
        ordered.order,
        ordered.exempted,
    )


def _course(counter: Counter, checks: Mapping[Key, Timeline], site: str, terminal: str) -> tuple[Course, Timeline]:
    return counter.course(site, terminal), counter.terminal_timeline(site, terminal, checks)

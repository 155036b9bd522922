"""Outages keep their identity when evidence revises them, and say when they can have begun and ended."""

from __future__ import annotations

from datetime import UTC

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.days import local_days
from monitor.core.engine import Engine
from monitor.core.outage import Outage, OutageBook, outage_key
from monitor.core.sites import Check, Inventory, Level, Site, Terminal
from monitor.core.timeline import Edge, Step, Timeline, new_timeline, replace
from tests import strategies

KEY = ("S", "pc")


def engine(*checks: Check, policy: str = "any") -> Engine:
    inventory = Inventory.of([Site("S", "S", Level.VILLAGE, "T", "T")], [Terminal(*KEY)], checks)
    return Engine(inventory, policy, local_days(UTC))


def beats(interval: int = 60, grace: int = 30) -> Check:
    return Check("S", "pc", "heartbeat-mqtt", "", interval * 1000, grace * 1000)


def current(e: Engine) -> Outage:
    outage = e.terminals[KEY].book.current
    assert outage is not None
    return outage


def test_silence_began_between_the_last_beat_and_the_end_of_patience() -> None:
    e = engine(beats())
    e.restored(0, "mqtt")
    e.beat(10_000, *KEY, "mqtt", None, "boot-1", 7)
    e.restored(200_000, "mqtt")  # a sign of life of the channel: now the silence is confirmed
    outage = current(e)
    assert (outage.start, outage.end, outage.state) == (70_000, None, "open")
    assert outage.start_edge == Edge(10_000, 100_000, "silence", [10_000, None, "mqtt", "boot-1", 7])
    e.beat(400_000, *KEY, "mqtt", 399_000, "boot-2", 1)
    (ended,) = e.terminals[KEY].book.outages.values()
    assert (ended.key, ended.state, ended.end, ended.over) == (outage.key, "ended", 400_000, 400_000)
    # It came back at most I + G before its first beat: it would have spoken otherwise.
    after = [400_000, 399_000, "mqtt", "boot-2", 1]
    assert ended.end_edge == Edge(310_000, 400_000, "beat", [10_000, None, "mqtt", "boot-1", 7], after)


def test_a_will_and_a_goodbye_say_how_contact_ended() -> None:
    for goodbye, how, earliest in ((False, "will", 10_000), (True, "goodbye", 25_000)):
        e = engine(beats())
        e.restored(0, "mqtt")
        e.beat(10_000, *KEY, "mqtt")
        e.will(25_000, *KEY, "mqtt", goodbye)
        e.restored(200_000, "mqtt")
        edge = current(e).start_edge
        assert current(e).start == 25_000
        assert edge is not None
        assert (edge.how, edge.earliest, edge.latest, edge.after) == (how, earliest, 25_000, [25_000, how])


def test_a_probes_streak_stands_beside_its_edge() -> None:
    e = engine(Check("S", "pc", "tcp", "", 30_000, 0, 3))
    e.restored(0, "probe")
    for at, ok in ((5, True), (35, False), (65, False), (95, False), (125, True)):
        e.result(at * 1000, *KEY, "tcp", ok)
    (outage,) = e.terminals[KEY].book.outages.values()
    assert (outage.start, outage.end) == (35_000, 125_000)
    assert outage.start_edge == Edge(5_000, 35_000, "probe", [5_000, True], [35_000, 65_000, 95_000])
    assert outage.end_edge == Edge(95_000, 125_000, "ok", [95_000, False], [125_000, True])


def test_losing_sight_of_a_dead_terminal_does_not_end_its_outage() -> None:
    e = engine(beats())
    e.restored(0, "mqtt")
    e.beat(10_000, *KEY, "mqtt")
    e.restored(200_000, "mqtt")
    key = current(e).key
    e.lost(250_000, "mqtt")
    assert (current(e).key, current(e).end, current(e).over) == (key, 250_000, None)
    e.restored(300_000, "mqtt")
    e.restored(500_000, "mqtt")
    assert (current(e).key, current(e).end) == (key, None)
    e.beat(600_000, *KEY, "mqtt")
    (outage,) = e.terminals[KEY].book.outages.values()
    assert (outage.start, outage.end, outage.state) == (70_000, 600_000, "ended")


def test_down_needs_every_check_where_any_will_do() -> None:
    """The joint edge: it happened between the latest of the earliest and the latest of the latest moments."""
    e = engine(beats(), Check("S", "pc", "tcp", "", 30_000, 0, 1))
    e.restored(0, "mqtt")
    e.restored(0, "probe")
    e.beat(10_000, *KEY, "mqtt")
    e.result(50_000, *KEY, "tcp", True)
    e.result(65_000, *KEY, "tcp", False)
    assert e.terminals[KEY].book.current is None
    e.restored(101_000, "mqtt")
    outage = current(e)
    assert outage.start == 70_000
    assert outage.start_edge is not None
    assert (outage.start_edge.earliest, outage.start_edge.latest) == (50_000, 100_000)


def book(*steps: tuple[int, str]) -> tuple[OutageBook, Timeline]:
    timeline = new_timeline()
    replace(timeline, 0, [Step(at, value) for at, value in steps])  # type: ignore[arg-type]
    kept = OutageBook(*KEY)
    kept.revise(timeline)
    return kept, timeline


def revised(kept: OutageBook, timeline: Timeline, lo: int, hi: int, *steps: tuple[int, str]) -> dict[str, Outage]:
    replace(timeline, lo, [Step(at, value) for at, value in steps], hi)  # type: ignore[arg-type]
    kept.changed = {}
    kept.revise(timeline)
    return kept.changed


def test_a_moved_beginning_keeps_the_key() -> None:
    kept, timeline = book((0, "up"), (100_000, "down"), (200_000, "up"))
    changed = revised(kept, timeline, 100_000, 100_000, (100_000, "unknown"), (150_000, "down"))
    (outage,) = changed.values()
    assert (outage.key, outage.start) == (outage_key(*KEY, 100_000), 150_000)


def test_two_that_become_one_are_merged_into_the_older() -> None:
    kept, timeline = book((0, "up"), (100_000, "down"), (200_000, "up"), (300_000, "down"), (400_000, "up"))
    changed = revised(kept, timeline, 200_000, 200_000, (200_000, "unknown"))
    first, second = (changed[outage_key(*KEY, at)] for at in (100_000, 300_000))
    assert (first.state, first.start, first.end) == ("ended", 100_000, 400_000)
    assert (second.state, second.successor) == ("merged", first.key)


def test_one_that_becomes_two_says_what_it_was_split_from() -> None:
    kept, timeline = book((0, "up"), (100_000, "down"), (200_000, "unknown"), (300_000, "down"), (400_000, "up"))
    changed = revised(kept, timeline, 250_000, 250_000, (250_000, "up"))
    first, second = (changed[outage_key(*KEY, at)] for at in (100_000, 300_000))
    assert (first.end, first.over, first.state) == (200_000, 250_000, "ended")
    assert (second.state, second.successor) == ("ended", first.key)


def test_one_that_never_was_is_kept_as_gone() -> None:
    kept, timeline = book((0, "up"), (100_000, "down"), (200_000, "up"))
    changed = revised(kept, timeline, 100_000, 200_000)
    (outage,) = changed.values()
    assert outage.state == "gone"


@settings(max_examples=300, deadline=None)
@given(st.lists(strategies.value_lists(30), min_size=1, max_size=6))
def test_whatever_is_revised_the_living_are_the_timelines_outages(histories: list[list[str]]) -> None:
    """And nobody is forgotten: every key that was ever told is still there and leads to what it became."""
    kept = OutageBook(*KEY)
    told: set[str] = set()
    for values in histories:
        timeline = new_timeline()
        replace(timeline, 0, [Step(t * 1000, v) for t, v in enumerate(values)])  # type: ignore[arg-type]
        kept.revise(timeline)
        told |= set(kept.outages)
        alive = [o for o in kept.outages.values() if o.state in ("open", "ended")]
        down = {t for o in alive for t in range(o.start // 1000, (o.end if o.end is not None else 30_000) // 1000)}
        assert {t for t, v in enumerate(values) if v == "down"} <= down
        assert all(values[t] != "up" for t in down)
        assert len({o.start for o in alive}) == len(alive)
    assert told <= set(kept.outages)
    for outage in kept.outages.values():
        if outage.state == "merged":
            assert outage.successor in kept.outages

"""What is forgotten at a day's end is not missed: an engine that forgets answers like one that never does.

Days of a minute or two, and limits to match, so that a short history crosses all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core import engine as engine_module
from monitor.core.changes import Changes, Collector
from monitor.core.days import Day
from monitor.core.engine import Days, Engine
from monitor.core.outage import Outage
from monitor.core.sites import Check, Inventory, Level, Site, Terminal
from monitor.core.timeline import Edge, Step
from monitor.errors import MonitorError
from monitor.evidence.lines import OpenedLine, moment
from monitor.flows.judging import Judge
from monitor.inventory.load import load
from tests import strategies
from tests.model import Event
from tests.serving import beats, write_config

#: Instead of 72 hours and 31 days, seconds.
LATE_S, BELIEVED_S = 40, 150


@pytest.fixture(autouse=True, scope="module")
def _short_limits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "LATE_LIMIT_MS", LATE_S * 1000)
        patch.setattr(engine_module, "BELIEVED_MS", BELIEVED_S * 1000)
        yield


def one_day(_: int) -> Day:
    """It never ends: nothing is forgotten."""
    return "2026-01-01", -(1 << 60), 1 << 60


def days_of(seconds: int) -> Days:
    def day_of(at: int) -> Day:
        start = at // (seconds * 1000) * seconds * 1000
        return str(start), start, start + seconds * 1000

    return day_of


class Told:
    """All that an engine told a database, whatever it has forgotten since."""

    def __init__(self, inventory: Inventory, policy: str, days: Days) -> None:
        self._of = (inventory, policy, days)
        self.engine = Engine(*self._of)
        self.collector = Collector(self.engine)
        self.steps: dict[tuple[str, str, str], list[Step]] = {}
        self.outages: dict[str, Outage] = {}
        self.losses: dict[tuple[str, int], tuple[int, int | None]] = {}
        self.states: dict[Any, Any] = {}
        self.refused: list[str | None] = []

    def take(self) -> None:
        changes: Changes = self.collector.take()
        for key, lo, steps in changes.spans:
            self.steps[key] = [s for s in self.steps.get(key, []) if s.at < lo] + steps
        self.outages |= {o.key: o for o in changes.outages}
        self.losses |= {(name, n): (lost, restored) for name, n, lost, restored in changes.losses}
        self.states |= changes.statuses

    def restart(self) -> None:
        """From what the head of a day's log would hold."""
        self.take()
        state = msgspec.json.decode(msgspec.json.encode(self.engine.state()))
        self.engine = Engine(*self._of)
        self.engine.load(state)
        self.collector = Collector(self.engine)
        self.engine.tell_all()

    def feed(self, event: Event) -> None:
        at, channel, what, *rest = event
        at *= 1000
        via, kind, check = channel
        match what:
            case "restored":
                self.engine.restored(at, via)
            case "lost":
                self.engine.lost(at, via, rest[0] * 1000 if rest else None)
            case "beat" | "late":
                sent = rest[0] * 1000 if rest else None
                self.refused.append(self.engine.beat(at, "S", kind, via, sent))
            case "will":
                self.refused.append(self.engine.will(at, "S", kind, via))
            case _:
                self.refused.append(self.engine.result(at, "S", kind, check, what == "ok"))

    def said(self) -> dict[str, Any]:
        """By what it is about."""
        found: dict[str, dict[Any, Any]] = {
            "steps": self.steps,
            "outages": self.outages,
            "losses": self.losses,
            "states": self.states,
        }
        plain = {f"{what} {key}": msgspec.to_builtins(v) for what, rows in found.items() for key, v in rows.items()}
        return plain | {"refused": self.refused}


@st.composite
def days(draw: st.DrawFn) -> tuple[Inventory, str, list[Event], int]:
    """A terminal that beats and is probed, one that only beats now and then, one that is never heard."""
    beating = draw(strategies.heartbeat_histories(max_moves=60, late_limit=LATE_S))
    probes = draw(strategies.probe_histories(max_moves=30, late_limit=LATE_S))
    other = draw(st.sampled_from((5, 20, 60)))
    checks = [
        Check("S", "pc", "heartbeat-mqtt", "", beating.interval * 1000, (beating.grace or 0) * 1000),
        Check("S", "pc", "tcp", "", probes.interval * 1000, 0, probes.failures or 1),
        Check("S", "tv", "heartbeat-mqtt", "", other * 1000, other * 500),
        Check("S", "tv", "icmp", "", other * 1000, 0, 2),
        Check("S", "mobile", "heartbeat-mqtt", "", 3_000, draw(st.sampled_from((0, 3_000)))),
    ]
    kinds = [Terminal("S", kind) for kind in ("pc", "tv", "mobile")]
    inventory = Inventory.of([Site("S", "S", Level.VILLAGE, "T", "T")], kinds, checks)
    rank = strategies.RANK
    events: list[tuple[int, int, Event]] = []
    for history, via, mine, others in (
        (beating, "mqtt", ("mqtt", "pc", ""), ("mqtt", "tv", "")),
        (probes, "probe", ("probe", "pc", "tcp"), ("probe", "tv", "icmp")),
    ):
        for at, what, *rest in history.events:
            whose = others if what == "other" else mine
            what = ("beat" if via == "mqtt" else "ok") if what == "other" else what
            events.append((at, rank[what], (at, whose, what, *rest)))
    events.sort(key=lambda e: e[:2])
    until = max(beating.until, probes.until) + draw(st.sampled_from((0, LATE_S, 3 * LATE_S)))
    return inventory, draw(st.sampled_from(("any", "all"))), [e for _, _, e in events], until


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(days(), st.integers(7, 90), st.sets(st.integers(0, 120), max_size=4), st.integers(1, 9))
def test_who_forgets_daily_answers_like_who_never_does(
    told: tuple[Inventory, str, list[Event], int], day_s: int, restarts: set[int], every: int
) -> None:
    inventory, policy, events, until = told
    never = Told(inventory, policy, one_day)
    daily = Told(inventory, policy, days_of(day_s))
    for n, event in enumerate(events):
        if n in restarts:
            daily.restart()
        never.feed(event)
        daily.feed(event)
        if n % every == 0:
            never.take()
            daily.take()
    for one in (never, daily):
        one.engine.finish(until * 1000)
        one.take()
    mine, theirs = daily.said(), never.said()
    assert mine.keys() == theirs.keys()
    for key, said in mine.items():
        assert said == theirs[key], key


def checks_of_one_site(*checks: Check) -> Inventory:
    kinds = dict.fromkeys(c.terminal for c in checks)
    return Inventory.of([Site("S", "S", Level.VILLAGE, "T", "T")], [Terminal("S", k) for k in kinds], checks)


def test_what_is_kept_does_not_grow() -> None:
    """Channels that come and go all the time for a hundred days; somebody is never heard, and somebody dies."""
    inventory = checks_of_one_site(
        Check("S", "pc", "heartbeat-mqtt", "", 3_000, 3_000),
        Check("S", "tv", "heartbeat-mqtt", "", 3_000, 1_000),
        Check("S", "tv", "icmp", "", 10_000, 0, 2),
        Check("S", "mobile", "heartbeat-mqtt", "", 1_000, 1_000),
    )
    told = Told(inventory, "any", days_of(60))
    sizes = []
    for minute in range(100):
        for at in range(60 * minute, 60 * minute + 60, 10):
            told.feed((at, ("mqtt", "", ""), "lost", at - 2))
            told.feed((at + 2, ("mqtt", "", ""), "restored"))
            for n in range(3, 9):
                told.feed((at + n, ("mqtt", "pc", ""), "beat"))
            told.feed((at + 8, ("probe", "tv", "icmp"), "ok" if at < 60 else "fail"))
            if at < 60:
                told.feed((at + 8, ("mqtt", "tv", ""), "beat"))
            told.take()
        sizes.append(len(msgspec.json.encode(told.engine.state())))
    # As much as the limits hold, and then no more: five minutes after ten, and after a hundred.
    assert max(sizes[50:]) <= 1.05 * max(sizes[10:15])
    outages = {o.terminal: o for o in told.outages.values()}
    assert {kind: (o.start, o.state) for kind, o in outages.items()} == {
        "tv": (75_000, "open"),
        "mobile": (3_000, "open"),
    }


def test_a_probe_that_nobody_asks_any_more() -> None:
    """Lost while its last result still held, long ago: that loss is forgotten, and what it said stands."""
    check = Check("S", "pc", "tcp", "", 15_000, 0, 1)
    inventory = checks_of_one_site(check, Check("S", "tv", "tcp", "", 15_000, 0, 1))
    told = Told(inventory, "any", days_of(60))
    told.feed((10, ("probe", "pc", "tcp"), "ok"))
    for at in range(20, 1_000, 10):
        told.feed((at, ("probe", "", ""), "lost"))
        told.feed((at + 5, ("probe", "tv", "tcp"), "ok"))
        told.take()
    assert told.engine.channels["probe"].dropped > 50
    assert [(s.at, s.value) for s in told.steps[check.key]] == [(10_000, "up"), (20_000, "unknown")]


@pytest.mark.parametrize("kind", ["heartbeat-mqtt", "tcp"])
def test_evidence_that_comes_twice_keeps_what_is_known_of_the_edge(kind: str) -> None:
    check = Check("S", "pc", kind, "", 10_000, 0, 1)
    heartbeat = check.is_heartbeat
    whose = (check.channel, "pc", "" if heartbeat else kind)
    told = Told(checks_of_one_site(check), "any", one_day)
    for at in (10, 10, 50, 50):
        told.feed((at, whose, "beat" if heartbeat else "ok"))
    told.engine.finish(100_000)
    told.take()
    up = [s.edge for s in told.steps[check.key] if s.value == "up"]
    assert [edge and edge.latest for edge in up] == [10_000, 50_000]


def test_late_beats_in_any_order_have_the_same_edges() -> None:
    check = Check("S", "pc", "heartbeat-mqtt", "", 9_000, 16_000)
    found = []
    for order in ((35, 40), (40, 35)):
        told = Told(checks_of_one_site(check), "any", one_day)
        told.feed((0, ("mqtt", "", ""), "restored"))
        told.feed((28, ("mqtt", "", ""), "lost"))
        for sent in order:
            told.feed((50, ("mqtt", "pc", ""), "late", sent))
        told.take()
        found.append(told.steps[check.key])
    assert found[0] == found[1]
    assert found[0][-1] == Step(40_000, "unknown", Edge(40_000, 40_000, "channel"))


def test_a_beat_that_took_a_month_is_not_believed_to_be_late() -> None:
    """Nobody remembers then whether the channel was observed: the device lives now, and that is all that is taken."""
    check = Check("S", "pc", "heartbeat-mqtt", "", 10_000, 0)
    told = Told(checks_of_one_site(check), "any", one_day)
    told.feed((0, ("mqtt", "pc", ""), "beat"))
    told.feed((20, ("mqtt", "", ""), "lost"))
    told.feed((30, ("mqtt", "", ""), "restored"))
    told.feed((25 + BELIEVED_S, ("mqtt", "pc", ""), "late", 25))
    told.feed((26 + BELIEVED_S, ("mqtt", "pc", ""), "late", 25))
    assert told.refused == [None, "too_late", None]


@pytest.mark.parametrize("state", [{}, {"at": 1}, {"at": 1, "day": 3, "began": 0, "channels": [], "checks": []}])
def test_a_head_that_is_not_understood_is_said_to_be(state: dict[str, Any], tmp_path: Path) -> None:
    """Of another version, say: a sentence, and no half of a state."""
    loaded = load(write_config(tmp_path, http=1, mqtt=2, checks=[beats("V1", "pc", "mqtt")]))
    line = OpenedLine(moment(1_000), "test", "0.0.1", state=state)
    with pytest.raises(
        MonitorError, match=r"does not understand the head of this day \(it was written by version 0.0.1"
    ):
        Judge(loaded).apply(line, 1_000)

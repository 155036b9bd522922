"""The engine against the published cases and against a naive model that judges every second by hindsight."""

from __future__ import annotations

import json
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.days import local_days
from monitor.core.engine import Engine
from monitor.core.sites import Check, Inventory, Level, Site, Terminal
from monitor.core.timeline import Step, new_timeline, spans
from tests import model, strategies

CASES = json.loads((Path(__file__).parent / "conformance" / "rules.json").read_text(encoding="utf-8"))


def engine_of(kind: str, interval: int, grace: int, failures: int) -> Engine:
    site, terminal = Site("S", "S", Level.VILLAGE, "T", "T"), Terminal("S", "pc")
    other = Terminal("S", "tv")  # evidence of another terminal on the same channel
    check = Check("S", "pc", kind, "", interval * 1000, grace * 1000, failures)
    noise = Check("S", "tv", kind, "", 10**9, 0, 1)
    inventory = Inventory.of([site], [terminal, other], [check, noise])
    return Engine(inventory, "any", local_days(UTC))


def feed(engine: Engine, kind: str, event: Any) -> str | None:
    at, what, *rest = event
    at *= 1000
    channel = engine.inventory.checks["S", "pc", kind].channel
    match what:
        case "restored":
            engine.restored(at, channel)
        case "lost":
            engine.lost(at, channel, rest[0] * 1000 if rest else None)
        case "beat":
            return engine.beat(at, "S", "pc", channel)
        case "late":
            return engine.beat(at, "S", "pc", channel, rest[0] * 1000)
        case "will":
            return engine.will(at, "S", "pc", channel)
        case "other" if channel == "probe":
            return engine.result(at, "S", "tv", kind, True)
        case "other":
            return engine.beat(at, "S", "tv", channel)
        case _:
            return engine.result(at, "S", "pc", kind, what == "ok")
    return None


class Rows:
    """What a database would hold: the engine itself lets go of what nothing can change any more."""

    def __init__(self) -> None:
        self.steps: list[Step] = new_timeline()

    def follow(self, engine: Engine) -> None:
        for watch, lo, steps in engine.changes():
            if watch.check.terminal == "pc":
                self.steps = [s for s in self.steps if s.at < lo] + steps

    def spans(self, until: int) -> list[tuple[int, int, str]]:
        assert all(a.value != b.value for a, b in pairwise(self.steps)), "two rows say the same"
        return [(a // 1000, b // 1000, v) for a, b, v in spans(self.steps, 0, until * 1000)]


@pytest.mark.parametrize("case", CASES, ids=[c["rule"] for c in CASES])
def test_published_case(case: dict[str, Any]) -> None:
    check = case["check"]
    kind = check["check"]
    engine = engine_of(kind, check["interval_s"], check.get("grace_s", 0), check.get("failures", 1))
    rows = Rows()
    for event in case["events"]:
        feed(engine, kind, event)
    engine.finish(case["until"] * 1000)
    rows.follow(engine)
    assert rows.spans(case["until"]) == [tuple(s) for s in case["spans"]]


def against_the_model(history: strategies.History, restart_at: int | None) -> None:
    kind = "heartbeat-mqtt" if history.kind.startswith("heartbeat") else "tcp"
    rule = (kind, history.interval, history.grace or 0, history.failures or 1)
    engine = engine_of(*rule)
    rows = Rows()
    refused = 0
    for n, event in enumerate(history.events):
        if n == restart_at:
            # What a day's log begins with must be enough to go on from.
            rows.follow(engine)
            state = msgspec.json.decode(msgspec.json.encode(engine.state()))
            engine = engine_of(*rule)
            engine.load(state)
        refused += feed(engine, kind, event) is not None
        if n % 3 == 0:
            rows.follow(engine)
    engine.finish(history.until * 1000)
    rows.follow(engine)
    expected = model.judge(*history.args)
    assert rows.spans(history.until) == [tuple(s) for s in expected.spans]
    assert refused == expected.rejected


@settings(max_examples=500, deadline=None)
@given(strategies.heartbeat_histories())
def test_heartbeats_are_judged_as_the_model_does(history: strategies.History) -> None:
    against_the_model(history, None)


@settings(max_examples=500, deadline=None)
@given(strategies.probe_histories())
def test_probes_are_judged_as_the_model_does(history: strategies.History) -> None:
    against_the_model(history, None)


@settings(max_examples=500, deadline=None)
@given(strategies.heartbeat_histories(), st.integers(0, 40))
def test_a_checkpoint_is_enough_to_go_on_from(history: strategies.History, restart_at: int) -> None:
    against_the_model(history, restart_at)


@settings(max_examples=500, deadline=None)
@given(strategies.probe_histories(), st.integers(0, 40))
def test_a_checkpoint_is_enough_for_probes(history: strategies.History, restart_at: int) -> None:
    against_the_model(history, restart_at)

"""Inventories that change while the evidence comes in, against the naive model and a roll-up second by second.

The model knows no rows: what a change means for a check is put into the history of its channel, as a loss since its
last sign of life and a restore (docs/rules.md, "What held when").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitor.clock import from_iso
from monitor.core.changes import Collector
from monitor.core.engine import Engine
from monitor.core.outage import outages_in
from monitor.core.sites import Check, Inventory, Level, Site, Terminal
from monitor.core.timeline import Step, Value, new_timeline, spans
from monitor.evidence.lines import (
    ChannelLine,
    HeartbeatLine,
    InventoryLine,
    OpenedLine,
    WindowLine,
    decode,
    encode,
    moment,
)
from monitor.flows.judging import Judge
from monitor.inventory.load import Loaded, whole
from monitor.inventory.versions import body_of
from monitor.settings import Policy, Settings
from tests import model, strategies

CHANNELS = ("mqtt", "http", "probe")
Key = tuple[str, str, str]
Rows = dict[Key, tuple[int, int, int]]  # interval, grace (s), failures
Event = tuple[Any, ...]  # at (s), channel, what, key of a check, sent or since
FAST = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def days_of(seconds: int) -> Callable[[int], tuple[str, int, int]]:
    def day_of(at: int) -> tuple[str, int, int]:
        start = at // (seconds * 1000) * seconds * 1000
        return str(start), start, start + seconds * 1000

    return day_of


def inventory_of(rows: Rows, name: str = "", always: Sequence[str] = ()) -> Inventory:
    """`always`: kinds that are there without a check."""
    checks = [Check(*key, name, i * 1000, g * 1000, f) for key, (i, g, f) in rows.items()]
    places = dict.fromkeys([*((c.site_id, c.terminal) for c in checks), *(("S", kind) for kind in always)])
    sites = [Site(s, s + name, Level.VILLAGE, "T", "T") for s in dict.fromkeys(["S", *(s for s, _ in places)])]
    return Inventory.of(sites, [Terminal(*place, model=name) for place in places], checks)


@dataclass(frozen=True)
class Story:
    """What held from which second on (the first one always), and what came in."""

    versions: list[tuple[int, Rows, str]]
    events: list[Event]
    until: int

    def held(self, at: int) -> tuple[int, Rows, str]:
        return [v for n, v in enumerate(self.versions) if n == 0 or v[0] <= at][-1]


@dataclass
class Told:
    """An engine, and all that it told a database."""

    story: Story
    day_s: int
    kinds: Sequence[str] = ()
    name: str = ""
    engine: Engine = field(init=False)
    steps: dict[Key, list[Step]] = field(default_factory=dict)
    outages: dict[str, Any] = field(default_factory=dict)
    statuses: dict[Any, Any] = field(default_factory=dict)
    digests: dict[Any, Any] = field(default_factory=dict)
    refused: list[str | None] = field(default_factory=list)
    taken: int = 1

    def __post_init__(self) -> None:
        self._make(self.story.versions[0])

    def _make(self, version: tuple[int, Rows, str]) -> None:
        inventory = inventory_of(version[1], self.name, self.kinds)
        self.engine = Engine(inventory, version[2], days_of(self.day_s))
        self.collector = Collector(self.engine)

    def take(self) -> None:
        changes = self.collector.take()
        assert len({key for key, _, _ in changes.spans}) == len(changes.spans)
        for key, lo, steps in changes.spans:
            self.steps[key] = [s for s in self.steps.get(key, []) if s.at < lo] + steps
        self.outages |= {o.key: o for o in changes.outages}
        for gone in changes.gone:
            self.statuses.pop(gone, None)
        self.statuses |= changes.statuses
        for digest in changes.digests:
            assert (digest.check, digest.day) not in self.digests
            self.digests[digest.check, digest.day] = digest

    def restart(self) -> None:
        self.take()
        state = msgspec.json.decode(msgspec.json.encode(self.engine.state()))
        self._make(self.story.versions[self.taken - 1])
        self.engine.load(state)

    def pass_to(self, at: int) -> None:
        while self.taken < len(self.story.versions) and self.story.versions[self.taken][0] <= at:
            since, rows, policy = self.story.versions[self.taken]
            self.engine.adopt(since * 1000, inventory_of(rows, self.name, self.kinds), policy)
            self.taken += 1

    def feed(self, event: Event) -> None:
        at, channel, what, key, other = event
        self.pass_to(at)
        at, other = at * 1000, other * 1000 if other is not None else None
        engine = self.engine
        match what:
            case "restored":
                engine.restored(at, channel)
            case "lost":
                engine.lost(at, channel, other)
            case "beat" | "late":
                self.refused.append(engine.beat(at, key[0], key[1], channel, other))
            case "will":
                self.refused.append(engine.will(at, key[0], key[1], channel))
            case _:
                self.refused.append(engine.result(at, key[0], key[1], key[2], what == "ok"))

    def play(self, restarts: frozenset[int] | set[int] = frozenset(), every: int = 1) -> Told:
        for n, event in enumerate(self.story.events):
            if n in restarts:
                self.restart()
            self.feed(event)
            if n % every == 0:
                self.take()
        self.pass_to(self.story.until)
        if len(self.story.events) in restarts:
            self.restart()
        self.engine.finish(self.story.until * 1000)
        self.take()
        return self

    def rows(self) -> dict[Key, list[tuple[int, Value]]]:
        for steps in self.steps.values():
            assert all(a.at < b.at and a.value != b.value for a, b in pairwise([*new_timeline(), *steps]))
        return {key: [(s.at, s.value) for s in steps] for key, steps in self.steps.items() if steps}


# --- the naive judgement ----------------------------------------------------------------------------------------------


def channel_of(key: Key) -> str:
    return {"heartbeat-mqtt": "mqtt", "heartbeat-http": "http"}.get(key[2], "probe")


class Heartbeats(model.Heartbeats):
    """Where interval and grace changed: a beat's due time with those of the row when it came, an expectation's with
    those of the restore. Copied from the model, with `held` instead of one interval."""

    held: Callable[[int], tuple[int, int]]

    def value(self, t: int) -> str:
        there = [b for b in self.beats if b <= t]
        x = there[-1] if there else None
        y = next((b for b in self.beats if b > t), None)
        restores = [r for r in self.channel.restores if r[0] <= t]
        # The model judges one second with one interval: that of the beat where the beat decides, else of the restore.
        if x is not None:
            self.interval, self.grace = self.held(x)
            confirmed = x + self.interval + self.grace
            if y is not None and y <= confirmed:
                return "up"
            late = x not in self.ordinary
            if late and y is not None and any(b + sum(self.held(b)) >= y for b in there[:-1]):
                return "either"  # it came with a shorter interval into a silence that a longer one bears
            loss = (x, -1, 0) if late else self.channel.first_loss_after((x, 1, 0))
            if not (restores and loss is not None and restores[-1] >= loss):
                return super().value(t)
        if not restores:
            return super().value(t)
        b = restores[-1][0]
        self.interval, self.grace = self.held(b)
        due = b + self.interval
        will = self.first_will(b, y)
        due = due if will is None else min(due, will)
        confirmed = b + self.interval + self.grace
        loss = self.channel.first_loss_after(restores[-1])
        if (y is not None and y <= confirmed) or (loss is not None and loss[0] <= confirmed) or confirmed >= self.until:
            return "unknown"
        return "unknown" if t < due or (loss is not None and t >= loss[0]) else "down"


def judged(story: Story, key: Key) -> list[str]:
    """The value of each second by hindsight: each stretch of time with a row is a check of its own."""
    values = ["unknown"] * story.until
    borders = [v[0] for v in story.versions[1:]]
    stretches: list[tuple[int | None, int | None]] = []
    begin: int | None = None
    there = key in story.versions[0][1]
    for at, rows, _ in story.versions[1:]:
        if there and key not in rows:
            stretches.append((begin, at))
        if not there and key in rows:
            begin = at
        there = key in rows
    if there:
        stretches.append((begin, None))
    for first, end in stretches:
        for t, value in enumerate(_stretch(story, key, first, end, borders)):
            if (first is None or t >= first) and (end is None or t < end):
                values[t] = value
    return values


def _stretch(story: Story, key: Key, first: int | None, end: int | None, borders: list[int]) -> list[str]:
    name = channel_of(key)
    events: list[model.Event] = []
    own: list[int] = []
    whole: list[model.Event] = []  # of the channel itself, as all others see it
    pending = [at for at in borders if (first is None or at >= first)]

    def lost() -> bool:
        return model.observe(whole).is_lost

    def change(at: int) -> None:
        if first == at:
            if not lost():
                events.append((at, "restored"))
        elif lost():
            pass
        elif end == at:
            events.append((at, "lost", whole[-1][0]))
        elif end is None or at < end:
            before = [v for v in story.versions[:1]] + [v for v in story.versions[1:] if v[0] < at]
            if before[-1][1][key] != story.held(at)[1][key]:
                events.append((at, "lost", whole[-1][0]))
                events.append((at, "restored"))

    for at, channel, what, whose, other in story.events:
        while pending and pending[0] <= at:
            change(pending.pop(0))
        if channel != name:
            continue
        event = (at, what) if other is None else (at, what, other)
        if what not in ("lost", "restored") and whose not in story.held(at)[1]:
            continue  # refused
        if what == "late" and at - other > model.LATE_LIMIT:
            event = (at, what, other)
        whole.append(event)
        if (first is not None and at < first) or (end is not None and at >= end):
            continue
        if whose == key:
            own.append(len(events))
        elif what not in ("lost", "restored"):
            event = (at, "other")
        events.append(event)
    for at in pending:
        change(at)
    channel = model.observe(events)

    def held(at: int) -> tuple[int, int]:
        interval, grace, _ = story.held(at)[1].get(key) or story.held(max(0, first or 0))[1][key]
        return interval, grace

    mine = [(n, events[n]) for n in own]
    _, _, failures = row = story.held(first or 0)[1][key]
    if name != "probe":
        plain = model.heartbeats(row[0], row[1], channel, mine, story.until)
        watched = Heartbeats(**{k: getattr(plain, k) for k in plain.__dataclass_fields__})
        watched.held = held
        value = watched.value
    else:
        value = model.Probes(row[0], failures, channel, model.results_of(mine)).value
    return [value(t) for t in range(story.until)]


def values_of(steps: Sequence[Step], until: int) -> list[str]:
    line = [*new_timeline(), *steps]
    return [v for a, b, v in spans(line, 0, until * 1000) for _ in range((b - a) // 1000)]


# --- stories ----------------------------------------------------------------------------------------------------------

KEYS: tuple[Key, ...] = (
    ("S", "pc", "heartbeat-mqtt"),
    ("S", "pc", "tcp"),
    ("S", "pc", "heartbeat-http"),
    ("S", "tv", "heartbeat-mqtt"),
    ("S", "tv", "icmp"),
    ("R", "pc", "heartbeat-mqtt"),
)


def story_of(seed: int, max_changes: int = 4) -> Story:
    """Terms of beats change; of probes what decides nothing."""
    random = Random(seed)
    until = random.choice((60, 150, 400))
    length = {key: random.choice((1, 3, 5, 10, 20)) for key in KEYS}

    def row(key: Key, before: tuple[int, int, int] | None) -> tuple[int, int, int]:
        beats = channel_of(key) != "probe"
        interval = random.choice((1, 3, 5, 10, 20)) if beats else length[key]
        interval, grace, failures = before or (interval, random.choice((0, 3, 10)), random.choice((1, 2, 3)))
        if before and beats:
            return random.choice((interval, 2, 7, 15)), random.choice((0, 1, grace, 12)), failures
        return interval, grace + (before is not None), failures

    rows = {key: row(key, None) for key in KEYS if random.random() < 0.7} or {KEYS[0]: row(KEYS[0], None)}
    changes = list(
        random.choice((random.randrange(1, until), 10, 11, 30)) for _ in range(random.randint(0, max_changes))
    )
    versions = [(0, rows, random.choice(("any", "all")))]
    for at in sorted(set(changes)):
        _, before, policy = versions[-1]
        new = dict(before)
        for key in random.sample(KEYS, random.choice((0, 1, 2, 4))):
            if key in new and random.random() < 0.5:
                del new[key]
            else:
                new[key] = row(key, new.get(key))
        versions.append((at, new, random.choice((policy, "any", "all"))))

    events: list[tuple[int, int, Event]] = []

    def put(at: int, channel: str, what: str, key: Key | None = None, other: int | None = None) -> None:
        if 0 <= at <= until:
            events.append((at, strategies.RANK[what], (at, channel, what, key, other)))

    marks = [0, *(v[0] for v in versions[1:])]
    for channel in CHANNELS:
        if random.random() < 0.9:
            put(random.choice((0, 0, 2)), channel, "restored")
        for _ in range(random.choice((0, 1, 2, 4))):
            at = max(
                1, random.choice((random.randrange(until), random.choice(marks) + random.choice((-2, -1, 0, 1, 3))))
            )
            since = at - random.choice((1, 2, 5, 20, 60)) if random.random() < 0.6 else None
            put(at, channel, "lost", None, max(0, since) if since is not None else None)
            if random.random() < 0.3:
                put(at + random.randrange(10), channel, "lost", None, max(0, at - random.choice((3, 30))))
            put(at + random.choice((1, 4, 10, 50)), channel, "restored")
            marks += [at]
        for _ in range(random.choice((0, 3))):
            put(random.randrange(until), channel, "restored")
    for key in KEYS:
        channel = channel_of(key)
        at, lives = random.randrange(6), True
        while at <= until:
            if channel == "probe":
                put(at, channel, "ok" if lives != (random.random() < 0.15) else "fail", key)
            elif lives:
                if random.random() < 0.2:
                    sent = random.choice((at - 1, at - 3, at - 10, random.choice(marks), random.randrange(at + 1)))
                    put(at, channel, "late", key, max(0, min(sent, at)))
                else:
                    put(at, channel, "beat", key)
                if random.random() < 0.05:
                    put(at + random.randrange(4), channel, "will", key)
            if random.random() < 0.1:
                lives = not lives
            at += length[key] if random.random() < 0.8 else random.choice((0, 1, 30, random.randrange(60)))
            if random.random() < 0.1:
                at = max(at, random.choice(marks) + random.choice((-1, 0, 1)))
    events.sort(key=lambda e: e[:2])
    return Story(versions, _decided([e for _, _, e in events], versions), until)


def _decided(events: list[Event], versions: list[tuple[int, Rows, str]]) -> list[Event]:
    """Without what the rules leave open, and without instants at which several read the text differently: a beat sent
    at the instant of a change."""
    changed = {v[0] for v in versions}
    events = [e for e in events if not (e[2] == "late" and (e[4] in changed or e[4] >= e[0]))]
    restored = {(e[0], e[1]) for e in events if e[2] == "restored"}
    events = [e for e in events if not (e[2] == "lost" and e[4] is not None and (e[0], e[1]) in restored)]
    return [e for e in events if not (e[2] == "lost" and e[4] is not None and (e[4] >= e[0] or e[0] in changed))]


STORIES = st.integers(0, 1 << 30).map(story_of)


@settings(FAST, max_examples=120)
@given(STORIES, st.sampled_from((1, 5)), st.sampled_from((40, 100, 10_000)))
@example(story_of(6948), 1, 40)
@example(story_of(564186), 1, 40)
def test_each_second_is_judged_by_what_held_then(story: Story, every: int, day_s: int) -> None:
    told = Told(story, day_s).play(every=every)
    told.rows()
    for key in KEYS:
        found = values_of(told.steps.get(key, []), story.until)
        expected = judged(story, key)
        assert found == [f if e == "either" else e for f, e in zip(found, expected, strict=True)], key


@settings(FAST, max_examples=60)
@given(STORIES, st.sets(st.integers(0, 80), max_size=4), st.sampled_from((1, 5)), st.sampled_from((40, 100, 10_000)))
def test_a_restart_changes_nothing(story: Story, restarts: set[int], every: int, day_s: int) -> None:
    plain, again = Told(story, day_s).play(), Told(story, day_s).play(restarts, every)
    assert again.refused == plain.refused
    for what in ("steps", "outages", "statuses", "digests"):
        mine, theirs = (msgspec.to_builtins(list(getattr(t, what).items())) for t in (again, plain))
        assert sorted(mine, key=str) == sorted(theirs, key=str), what


@settings(FAST, max_examples=50)
@given(STORIES, st.booleans())
def test_a_terminal_is_rolled_up_from_the_checks_and_the_policy_of_each_second(story: Story, restarted: bool) -> None:
    told = Told(story, 10_000, kinds=("pc", "tv"))
    told.play(set(range(0, 500, 7)) if restarted else set())
    values = {key: values_of(told.steps.get(key, []), story.until) for key in KEYS}
    for kind in ("pc", "tv"):
        expected = []
        for t in range(story.until):
            _, rows, policy = story.held(t)
            there = [values[key][t] for key in rows if key[:2] == ("S", kind)]
            choose = max if policy == "any" else min
            expected.append(choose(there, key=model.KLEENE.__getitem__) if there else "unknown")
        timeline = told.engine.terminals["S", kind].timeline
        assert values_of(timeline[1:], story.until) == expected
        alive = [
            o for o in told.outages.values() if o.terminal == kind and o.site == "S" and o.state in ("open", "ended")
        ]
        found = sorted((o.start, o.end, o.over) for o in alive)
        assert found == [(start, end, over) for start, end, over, _, _ in outages_in(timeline)]


@settings(FAST, max_examples=30)
@given(STORIES, st.lists(st.integers(1, 399), max_size=4))
def test_what_changes_for_others_changes_nothing(story: Story, instants: list[int]) -> None:
    """Other names and targets, another site: all that is said of these is as if nothing had been."""
    rows, policy = story.versions[0][1:]
    still = replace(story, versions=story.versions[:1])
    other = {("Z", "tv", "heartbeat-mqtt"): (3, 0, 1), ("Z", "tv", "icmp"): (3, 0, 1)}
    versions = [(0, rows, policy)]
    for n, at in enumerate(sorted({i for i in instants if i < story.until})):
        versions.append((at, rows | (other if n % 2 == 0 else {}), policy))
    plain = Told(still, 100).play()
    changed = Told(replace(story, versions=versions), 100).play()
    renamed = Told(
        replace(story, versions=[v if n == 0 else (v[0], rows, policy) for n, v in enumerate(versions)]), 100
    )
    renamed.name = "new"
    renamed.play()
    for one in (changed, renamed):
        assert {k: v for k, v in one.steps.items() if k[0] != "Z" and v} == {k: v for k, v in plain.steps.items() if v}
        assert {k: o for k, o in one.outages.items() if o.site != "Z"} == plain.outages
        assert {k: s for k, s in one.statuses.items() if k[0] != "Z"} == plain.statuses
        assert {k: d for k, d in one.digests.items() if k[0][0] != "Z"} == plain.digests
        assert one.refused == plain.refused


@settings(FAST, max_examples=30)
@given(STORIES)
def test_a_change_touches_only_who_is_changed(story: Story) -> None:
    """Rows of a check that had the same terms throughout are those of an engine that never adopted."""
    same = [k for k in KEYS if len({v[1].get(k) for v in story.versions}) == 1 and k in story.versions[0][1]]
    # Whose evidence is refused elsewhere matters to a channel: keep that of the unchanged only.
    events = [e for e in story.events if e[3] is None or e[3] in same]
    plain = Told(replace(story, versions=story.versions[:1], events=events), 100).play()
    changed = Told(replace(story, events=events), 100).play()
    for key in same:
        assert changed.steps.get(key, []) == plain.steps.get(key, [])
        assert [d for (k, _), d in changed.digests.items() if k == key] == [
            d for (k, _), d in plain.digests.items() if k == key
        ]


def test_a_shorter_interval_is_waited_for_at_once() -> None:
    """A silence under the new row is confirmed when that says so, not when the old one would have."""
    key = KEYS[0]
    story = Story([(0, {key: (300, 900, 1)}, "any"), (100, {key: (5, 5, 1)}, "any")], [], 10_000)
    told = Told(story, 10_000)
    told.feed((0, "mqtt", "beat", key, None))
    told.feed((101, "mqtt", "restored", None, None))
    told.feed((110, "mqtt", "restored", None, None))
    told.take()
    assert told.steps[key] == []
    told.feed((111, "mqtt", "restored", None, None))
    told.take()
    assert [(step.at, step.value) for step in told.steps[key]] == [(105_000, "down")]
    assert [o.state for o in told.outages.values()] == ["open"]


def test_evidence_at_the_instant_of_a_change_is_the_channels() -> None:
    """A later loss cannot stand before it."""
    key = KEYS[0]
    story = Story([(0, {key: (5, 5, 1)}, "any"), (10, {key: (6, 5, 1)}, "any")], [], 10_000)
    told = Told(story, 10_000)
    for event in [(5, "mqtt", "beat", key, None), (10, "mqtt", "beat", key, None), (12, "mqtt", "lost", None, 6)]:
        told.feed(event)
    assert told.engine.channels["mqtt"].evidence_at == 10_000
    assert told.engine.channels["mqtt"].lost_at == 10_000


def test_a_terminal_that_is_removed_and_comes_back_is_not_gone() -> None:
    key = ("R", "pc", "heartbeat-mqtt")
    rows = {KEYS[0]: (5, 5, 1)}
    versions = [(0, rows | {key: (5, 5, 1)}, "any"), (50, rows, "any"), (60, rows | {key: (5, 5, 1)}, "any")]
    beats = [
        (at, "mqtt", "beat", k, None) for at in range(1, 100, 4) for k in (KEYS[0], key) if k != key or not 20 < at < 65
    ]
    told = Told(Story(versions, beats, 100), 10_000).play(every=1000)
    assert told.statuses["R", "pc"].value == told.statuses["S", "pc"].value == "up"
    assert told.statuses["R", ""].value == "online"
    [outage] = told.outages.values()
    assert (outage.over, outage.state) == (50_000, "ended")
    assert told.refused.count("unknown_terminal") == 0
    without = Told(Story(versions[:2], beats, 59), 10_000).play(every=1000)
    assert ("R", "pc") not in without.statuses
    assert ("R", "") not in without.statuses


# --- the log ----------------------------------------------------------------------------------------------------------

DAY = 86_400_000
#: Midnight in Asia/Shanghai.
NOVEMBER = from_iso("2026-10-31T16:00:00Z")
DECEMBER = NOVEMBER + 30 * DAY


def loaded_with(rows: Rows, policy: str = "any") -> Loaded:
    return whole(Settings(policy=Policy(terminal=policy)), inventory_of(rows))  # type: ignore[arg-type]


def line_of(number: int, at: int, since: int, loaded: Loaded) -> InventoryLine:
    """As a log has it: through its bytes."""
    line = InventoryLine(moment(at), number, moment(since), loaded.digest, msgspec.Raw(body_of(loaded)))
    read = decode(encode(line), "here")
    assert isinstance(read, InventoryLine)
    return read


BOTH: Rows = {KEYS[0]: (60, 60, 1), KEYS[1]: (60, 0, 2)}
ONE: Rows = {KEYS[0]: (60, 60, 1)}


def beat(judge: Judge, at: int) -> str | None:
    return judge.apply(HeartbeatLine(moment(at), "S", "pc", "mqtt"), at)


def test_the_first_version_decides_whatever_the_configuration_says() -> None:
    """A replay with another folder: the log knows better, and forgets nothing that it told before."""
    judge = Judge(loaded_with({KEYS[3]: (60, 60, 1)}))
    judge.apply(ChannelLine(moment(NOVEMBER), "mqtt", "restored"), NOVEMBER)
    judge.apply(WindowLine(moment(NOVEMBER), "county", moment(NOVEMBER), moment(DECEMBER)), NOVEMBER)
    assert beat(judge, NOVEMBER) is not None
    first = line_of(1, NOVEMBER + 1, NOVEMBER + 1, loaded_with(ONE))
    for _ in range(2):  # told twice is told once
        judge.apply(first, NOVEMBER + 1)
    assert [v.number for v in judge.versions] == [1]
    assert judge.loaded.digest == first.digest
    assert not judge.engine.channels["mqtt"].is_lost
    assert beat(judge, NOVEMBER + 2) is None
    changes = judge.collector.take()
    assert [held.number for held in changes.versions] == [1]
    assert len(changes.windows) == 1
    assert len(judge.windows.state(NOVEMBER)) == 1


def test_a_version_of_the_future_is_taken_up_at_its_instant_though_nothing_is_said_then() -> None:
    judge = Judge(loaded_with(ONE))
    judge.apply(line_of(1, NOVEMBER, NOVEMBER, loaded_with(ONE)), NOVEMBER)
    beat(judge, NOVEMBER + 1)
    since = NOVEMBER + 3 * DAY
    judge.apply(line_of(2, NOVEMBER + 2, since, loaded_with({KEYS[3]: (60, 60, 1)})), NOVEMBER + 2)
    beat(judge, since - 1)
    assert beat(judge, since + 2 * DAY) is not None
    assert judge.engine.terminals["S", "tv"].watches[0].began == since
    assert judge.loaded.digest == judge.versions[-1].loaded.digest
    [spans] = [steps for key, _, steps in judge.collector.take().spans if key == KEYS[0]]
    assert spans[-1].value == "unknown"
    judge.finish(since + 3 * DAY)
    judge = Judge(loaded_with(ONE))
    beat(judge, NOVEMBER)
    judge.apply(line_of(1, NOVEMBER, NOVEMBER, loaded_with(ONE)), NOVEMBER)
    judge.apply(line_of(2, NOVEMBER, since, loaded_with({KEYS[3]: (60, 60, 1)})), NOVEMBER)
    judge.finish(since + DAY)  # a replay that ends without a further line
    assert set(judge.engine.watches) == {KEYS[3]}


def opened_from(judge: Judge, at: int, configuration: Loaded) -> Judge:
    """Another that begins with the head of a day."""
    state = judge.engine.state() | {"windows": judge.windows.state(at)}
    head = OpenedLine(moment(at), "o", "1", 1, judge.loaded.digest, state, judge.needed(at))
    read = decode(encode(head), "here")
    other = Judge(configuration)
    other.apply(read, at)
    return other


def test_a_head_carries_versions_whose_settings_hold_from_the_next_month() -> None:
    """And those told in another order than they hold in."""
    told = [
        (1, NOVEMBER, NOVEMBER, loaded_with(BOTH)),
        (2, NOVEMBER + DAY, DECEMBER + DAY, loaded_with(ONE, "all")),
        (3, NOVEMBER + DAY, NOVEMBER + 15 * DAY, loaded_with(BOTH, "all")),
    ]
    judge = Judge(loaded_with(ONE))
    for number, at, since, loaded in told:
        judge.apply(line_of(number, at, since, loaded), at)
    for day in (2, 14, 15, 16, 29, 30, 31, 32, 45, 60, 61, 62, 69):
        at = NOVEMBER + day * DAY + 5_000
        beat(judge, at)
        other = opened_from(judge, at + 1, loaded_with({KEYS[4]: (1, 1, 1)}))
        for ahead in (0, 1, 20, 50):
            one, two = (opened_from(j, at + 1, loaded_with(ONE)) for j in (judge, other))
            for each in (one, two):
                beat(each, at + 2 + ahead * DAY)
            assert one.engine.state() == two.engine.state()
            assert one.loaded.digest == two.loaded.digest
            expected = "any" if at + 2 + ahead * DAY < DECEMBER else "all"
            assert one.engine.state()["policies"][-1][1] == expected
            assert len(one.engine.watches) == (2 if at + 2 + ahead * DAY < DECEMBER + DAY else 1)
        numbers = [line.number for line in judge.needed(at)]
        assert numbers == ([1, 3, 2] if at < DECEMBER else [3, 2] if at < NOVEMBER + 61 * DAY else [2])


def test_an_outage_that_signs_of_life_confirmed_ends_with_its_row() -> None:
    """Nobody else gave evidence on the channel: what was seen of the outage stands, and it is over with the row."""
    key = ("R", "pc", "heartbeat-mqtt")
    rows = {KEYS[0]: (5, 5, 1), ("S", "tv", "icmp"): (5, 0, 3)}
    events = [
        (1, "mqtt", "beat", key, None),
        (30, "mqtt", "restored", None, None),
        (49, "mqtt", "restored", None, None),
    ]
    told = Told(Story([(0, rows | {key: (5, 5, 1)}, "any"), (50, rows, "any")], events, 100), 10_000).play()
    [outage] = [o for o in told.outages.values() if o.site == "R"]
    assert (outage.start, outage.end, outage.over, outage.state) == (6_000, 49_000, 50_000, "ended")
    # Of a check that is given another interval it goes on.
    told = Told(Story([(0, {key: (5, 5, 1)}, "any"), (50, {key: (7, 5, 1)}, "any")], events, 100), 10_000).play()
    [outage] = told.outages.values()
    assert (outage.start, outage.over, outage.state) == (6_000, None, "open")

"""The fleet's plans and its truth: scripts, hearts, truth file, comparison, the demonstration's folder."""

from __future__ import annotations

import csv
import itertools
import json
import tomllib
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.sites import Check
from monitor.errors import MonitorError
from monitor.fleet.compare import Comparison, Judged, Sight, compare
from monitor.fleet.demo import DemoPorts, sample_inventory, write_demo
from monitor.fleet.heart import RUBBISH, Heart
from monitor.fleet.script import (
    HOUR_DOWN_MS,
    HOUR_UP_MS,
    SCRIPTS,
    Behaviour,
    Cast,
    Fault,
    down_intervals,
    script,
    site_script,
)
from monitor.fleet.tokens import TOKENS_FILE, demo_tokens, read_tokens
from monitor.fleet.truth import Down, TruthWriter, read_truth
from monitor.inventory.load import load

HOUR = 3_600_000
KEY = ("V1", "pc")
SIGHT = {KEY: Sight(5_000, 15_000)}

casts = st.builds(
    Cast,
    st.sampled_from(["V1", "V2", "T1"]),
    st.sampled_from(["tv", "mobile", "pc"]),
    st.sampled_from(["mqtt", "http", "probe"]),
    st.sampled_from(Behaviour),
)


@settings(max_examples=60)
@given(
    name=st.sampled_from(SCRIPTS),
    seed=st.integers(0, 2**32),
    cast=casts,
    duration=st.integers(0, 6 * HOUR),
    scale=st.floats(0.01, 2),
)
def test_a_script_is_the_same_again_and_makes_sense(
    name: str, seed: int, cast: Cast, duration: int, scale: float
) -> None:
    episodes = list(script(name, seed, cast, duration, scale))
    assert episodes == list(script(name, seed, cast, duration, scale))
    for episode in episodes:
        assert 0 <= episode.start_ms < episode.end_ms <= duration
        assert bool(episode.amount_ms) == (episode.fault is Fault.WRONG_CLOCK)
        # A will is known to MQTT only, and a goodbye to those who speak.
        assert episode.fault is not Fault.CUT or (cast.behaviour.wills and cast.via != "http")
        assert episode.fault is not Fault.GOODBYE or cast.via != "probe" or name == "hour"
    for one, other in itertools.pairwise(episodes):
        assert one.end_ms <= other.start_ms
    # A longer play begins the same.
    longer = itertools.islice(script(name, seed, cast, None, scale), len(episodes))
    assert list(longer) == episodes
    cuts = list(site_script(name, seed, cast.site, duration, scale))
    assert cuts == list(site_script(name, seed, cast.site, duration, scale))
    united = down_intervals([*episodes, *cuts])
    assert all(start < end for start, end in united)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(united))


def test_another_seed_or_device_is_another_story() -> None:
    cast = Cast("V1", "pc", "mqtt", Behaviour.PLAIN)
    stories = [list(script("rough", seed, cast, HOUR)) for seed in range(3)]
    stories.append(list(script("rough", 0, Cast("V2", "pc", "mqtt", Behaviour.PLAIN), HOUR)))
    assert all(stories)
    assert all(one != other for one, other in itertools.combinations(stories, 2))


def test_everything_happens_in_a_rough_play() -> None:
    seen: Counter[Fault] = Counter()
    for number, (via, behaviour) in enumerate(itertools.product(("mqtt", "http", "probe"), Behaviour)):
        cast = Cast(f"V{number}", "pc", via, behaviour)
        seen.update(e.fault for e in script("rough", 1, cast, 24 * HOUR))
    assert set(seen) == set(Fault)


def test_a_gentle_play_shows_something_in_a_minute_and_leaves_95_percent_online() -> None:
    casts = [Cast(f"V{n}", kind, "mqtt", Behaviour.BOTH) for n in range(234) for kind in ("tv", "mobile", "pc")]
    plans = {
        (c.site, c.terminal): down_intervals([*script("gentle", 7, c, HOUR), *site_script("gentle", 7, c.site, HOUR)])
        for c in casts
    }
    assert sum(start < 60_000 for plan in plans.values() for start, _ in plan) >= 3
    for moment in range(0, HOUR, 20_000):
        down = {key for key, plan in plans.items() if any(a <= moment < b for a, b in plan)}
        dark = [n for n in range(234) if all((f"V{n}", k) in down for k in ("tv", "mobile", "pc"))]
        assert len(dark) <= 0.05 * 234
        assert len(down) <= 0.1 * len(casts)


def test_the_hour_holds_enough_outages_for_its_statistics() -> None:
    for behaviour in Behaviour:
        casts = [Cast(f"{behaviour}-{n}", "pc", "mqtt", behaviour) for n in range(40)]
        plans = [down_intervals(script("hour", 1, cast, HOUR)) for cast in casts]
        assert sum(map(len, plans)) >= 150
        for plan in plans:
            assert all(HOUR_DOWN_MS[0] <= end - start <= HOUR_DOWN_MS[1] for start, end in plan)
            ups = [b[0] - a[1] for a, b in itertools.pairwise(plan)]
            assert all(HOUR_UP_MS[0] - 1 <= up <= HOUR_UP_MS[1] + 1 for up in ups)


@given(st.integers(1, 100_000), st.integers(0, 2**31), st.integers(0, 2**40))
def test_a_heart_beats_once_an_interval(interval: int, seed: int, now: int) -> None:
    heart = Heart("V1", "pc", interval, Random(seed))
    first = heart.next_due(now)
    assert now < first <= now + interval
    assert heart.next_due(first) == first + interval
    assert heart.next_due(first - 1) == first


def test_a_reboot_is_another_boot_that_counts_anew() -> None:
    heart = Heart("V1", "pc", 5_000, Random(1))
    first = [heart.beat(1_000_000), heart.beat(1_005_000)]
    assert [b["seq"] for b in first] == [1, 2]
    assert first[1]["uptime_s"] == 5
    heart.reboot()
    heart.skew_ms = 60_000
    again = heart.beat(1_010_000)
    assert again["seq"] == 1
    assert again["boot"] != first[0]["boot"]
    assert again["sent_at"] == "1970-01-01T00:17:50Z"


def test_the_truth_can_be_read_back(tmp_path: Path) -> None:
    downs = [Down("V1", "pc", 1_000, 2_001), Down("村", "tv", 1_700_000_000_123, None)]
    path = tmp_path / "deep" / "truth.jsonl"
    with TruthWriter(path) as truth:
        truth.write(downs[0])
        assert read_truth(path) == downs[:1]  # each line at once
        truth.write(downs[1])
    assert read_truth(path) == downs
    assert json.loads(path.read_text().splitlines()[0]) == {
        "site": "V1",
        "terminal": "pc",
        "down_from": "1970-01-01T00:00:01.000Z",
        "down_to": "1970-01-01T00:00:02.001Z",
    }
    path.write_text('{"site": "V1"}\n')
    with pytest.raises(MonitorError, match=r"truth\.jsonl:1: expected"):
        read_truth(path)
    with pytest.raises(MonitorError, match="cannot write"):
        TruthWriter(tmp_path)


def told(*outages: tuple[int, int | None]) -> list[Judged]:
    return [Judged(*KEY, start * 1000, None if end is None else end * 1000) for start, end in outages]


def real(*outages: tuple[int, int | None]) -> list[Down]:
    return [Down(*KEY, start * 1000, None if end is None else end * 1000) for start, end in outages]


# Judged, real, errors in intervals of 5 s, and the numbers matched, missed, overlooked, invented; seconds.
COMPARISONS: list[tuple[list[Judged], list[Down], list[float], tuple[int, int, int, int]]] = [
    (told((103, 132)), real((100, 130)), [-0.2], (1, 0, 0, 0)),
    (told(), real((100, 130)), [], (0, 1, 0, 0)),
    (told(), real((100, 112)), [], (0, 0, 1, 0)),  # too short to be surely seen
    (told((103, 117)), real((100, 112)), [0.4], (1, 0, 0, 0)),
    (told((50, 60)), real(), [], (0, 0, 0, 1)),
    (told((50, 60)), real((100, 130)), [], (0, 1, 0, 1)),
    (told((103, 110), (112, 130)), real((100, 130)), [-2.4], (1, 0, 0, 1)),  # an invented recovery
    (told((100, 163)), real((100, 130), (133, 160)), [0.6], (1, 0, 0, 0)),  # no beat need lie in 3 s
    (told((100, 163)), real((100, 140), (146, 160)), [4.6], (1, 0, 1, 0)),
    (told((100, 180)), real((100, 140), (150, 176)), [8.0], (1, 1, 0, 0)),  # a recovery went unseen
    (told((103, None)), real((100, None)), [], (1, 0, 0, 0)),
    (told((103, None)), real((100, 990)), [], (1, 0, 0, 0)),
    (told(), real((100, None)), [], (0, 1, 0, 0)),
    (told(), real((990, None)), [], (0, 0, 1, 0)),
]


@pytest.mark.parametrize(("judged", "truth", "errors", "numbers"), COMPARISONS)
def test_comparison(
    judged: list[Judged], truth: list[Down], errors: list[float], numbers: tuple[int, int, int, int]
) -> None:
    answer = compare(judged, truth, SIGHT, until_ms=1_000_000)
    assert (len(answer.matched), len(answer.missed), len(answer.overlooked), len(answer.invented)) == numbers
    assert answer.errors == pytest.approx(errors)
    assert answer.largest_error == pytest.approx(max(map(abs, errors), default=float("nan")), nan_ok=True)
    assert answer.of([KEY]) == answer
    assert answer.of([("V2", "pc")]) == Comparison()


def test_the_blind_miss_nothing_and_are_not_measured() -> None:
    # Blind from 120 on: of the first only 10 s were seen, the second was seen from its beginning.
    truth = real((110, 150), (200, 300))
    answer = compare(told((203, 303)), truth, SIGHT, 1_000_000, blind=[(120_000, 160_000)])
    assert (answer.overlooked, answer.missed, len(answer.errors)) == ([truth[0]], [], 1)
    answer = compare(told((203, 240)), truth, SIGHT, 1_000_000, blind=[(240_000, 310_000)])
    assert (answer.missed, len(answer.matched), answer.errors) == ([truth[0]], 1, [])
    # In sight for long enough before it, or after it, it has to be seen.
    for blind in ([(130_000, 200_000)], [(0, 111_000)], [(0, 112_000), (129_000, 140_000)]):
        assert compare([], real((110, 150)), SIGHT, 1_000_000, blind=blind).missed


def test_what_nobody_plays_is_invented() -> None:
    assert compare([Judged("V9", "pc", 0, 1)], [Down("V8", "pc", 0, None)], SIGHT, 10**6).invented


def test_sight_follows_the_rules() -> None:
    beat = Check("V1", "pc", "heartbeat-mqtt", "", 5_000, 10_000)
    probe = Check("V1", "pc", "tcp", "127.0.0.1:1", 6_000, 0, 3)
    assert Sight.of([beat]) == Sight(5_000, 15_000)
    assert Sight.of([probe]) == Sight(6_000, 18_000)
    assert Sight.of([beat, probe]) == Sight(6_000, 18_000)


def test_the_demonstration_is_a_configuration_like_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    write_demo(folder, tmp_path / "var", DemoPorts(mqtt=1999))
    loaded = load(folder)
    inventory, chosen = loaded.inventory, loaded.settings
    assert Counter(s.level for s in inventory.sites.values()) == {"village": 219, "township": 13, "county": 2}
    assert len(inventory.terminals) == 702
    assert chosen.demo
    assert chosen.mqtt.port == 1999
    assert chosen.maintenance.planned_sites.of("village") == 219
    targets = [c.target for c in inventory.checks.values() if c.target]
    assert len(set(targets)) == len(targets) == 234 + 15 + 13
    assert tomllib.loads((folder / "monitor.toml").read_text())["canaries"]["targets"][0][4:] not in targets
    # Whatever the sample says of dates: in the demonstration all are there.
    with (folder / "sites.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 234
    assert (sample_inventory() / "sites.csv").is_file()

    tokens = demo_tokens(folder, inventory)
    assert len(tokens) == len(set(tokens.values())) == 2 * 234
    assert (folder / TOKENS_FILE).stat().st_mode & 0o777 == 0o600
    assert demo_tokens(folder, inventory) == tokens == read_tokens(folder / TOKENS_FILE)


def test_tokens_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / TOKENS_FILE
    for text in ("[1]", '{"a": 1}', "{"):
        path.write_text(text)
        with pytest.raises(MonitorError, match="tokens"):
            read_tokens(path)
    with pytest.raises(MonitorError, match="cannot read"):
        read_tokens(tmp_path / "missing.json")


def test_rubbish_is_no_beat() -> None:
    """None of it may be taken for a beat by mistake: each is malformed, or too large."""
    for payload in RUBBISH:
        try:
            said = json.loads(payload)
        except (ValueError, RecursionError):
            continue
        assert not isinstance(said, dict) or not {"seq", "boot"} <= set(said)

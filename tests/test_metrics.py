"""/metrics: read back with Prometheus' own parsers, its linter, and hostile names."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import parser as text_parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from monitor.publish import metrics
from monitor.publish.histogram import DELAY_SECONDS, Histogram
from monitor.publish.views import LevelFigures, MonthFigures, SiteView, TerminalView
from tests.services import program
from tests.told import NOW, FakeBoard, county_board

DOCS = Path(__file__).parent.parent / "docs" / "metrics.md"
PLACE = {"site", "level", "township"}
#: Sample name -> labels, as spec/interfaces.md promises them.
PROMISED = {
    "zhdj_site_state": {"site", "name", "level", "township", "state"},
    "zhdj_terminal_up": PLACE | {"terminal"},
    "zhdj_terminal_last_seen_timestamp_seconds": PLACE | {"terminal"},
    "zhdj_site_in_service": PLACE,
    "zhdj_site_planned": PLACE,
    "zhdj_outage_counted_seconds": PLACE | {"terminal"},
    "zhdj_repair_limit_seconds": PLACE | {"terminal"},
    "zhdj_uplink_up": {"township"},
    "zhdj_service_ok": {"site", "terminal", "service"},
    "zhdj_certificate_expiry_timestamp_seconds": {"site", "terminal", "check"},
    "zhdj_availability_ratio": {"level"},
    "zhdj_coverage_ratio": {"level"},
    "zhdj_up_seconds": {"level"},
    "zhdj_down_seconds": {"level"},
    "zhdj_unknown_seconds": {"level"},
    "zhdj_maintenance_rate_ratio": {"level"},
    "zhdj_sites_verdict": {"level", "verdict"},
    "zhdj_workorders_open": {"level"},
    "zhdj_workorders_overdue": {"level"},
    "zhdj_budget_yuan": set(),
    "zhdj_spent_yuan": {"econ_class"},
    "zhdj_spent_township_yuan": {"township"},
    "zhdj_spent_site_yuan": {"site"},
    "zhdj_spent_cause_yuan": {"cause"},
    "zhdj_approved_unpaid_yuan": set(),
    "zhdj_forecast_yuan": set(),
    "zhdj_report_restatement_due": set(),
    "zhdj_channel_observed": {"channel"},
    "zhdj_heartbeats_received_total": {"via"},
    "zhdj_heartbeats_missing_total": {"via"},
    "zhdj_heartbeats_rejected_total": {"via", "reason"},
    "zhdj_probes_total": {"check", "result"},
    "zhdj_probe_duration_seconds_bucket": {"check", "result", "le"},
    "zhdj_detection_delay_seconds_bucket": {"le"},
}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def told(board: FakeBoard, openmetrics: bool = False, coverage_min: float = 0.9) -> str:
    return metrics.exposition(board, openmetrics=openmetrics, coverage_min=coverage_min).decode()


def read_text(text: str) -> list[Any]:
    return list(text_parser.text_string_to_metric_families(text))


def read_openmetrics(text: str) -> list[Any]:
    return list(openmetrics_parser.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def samples(families: Iterable[Any]) -> Samples:
    """Every sample once; a second one of the same name and labels is an error."""
    found: Samples = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"twice: {key}"
            found[key] = sample.value
    return found


def values(found: Samples, name: str, label: str) -> dict[str, float]:
    return {dict(labels)[label]: value for (sample, labels), value in found.items() if sample == name}


def test_names_and_labels_are_those_of_the_interface() -> None:
    found = samples(read_text(told(county_board())))
    for name, labels in PROMISED.items():
        assert {frozenset(dict(ls)) for sample, ls in found if sample == name} == {frozenset(labels)}, name


def test_both_formats_say_the_same() -> None:
    board = county_board()
    process = {name for name in metrics.FAMILIES if name.startswith("process_")} | {"process_cpu_seconds_total"}
    plain, om = samples(read_text(told(board))), samples(read_openmetrics(told(board, openmetrics=True)))
    assert {k: v for k, v in plain.items() if k[0] not in process} == {
        k: v for k, v in om.items() if k[0] not in process
    }
    assert told(board, openmetrics=True).endswith("# EOF\n")
    types = {f.name: f.type for f in read_openmetrics(told(board, openmetrics=True))}
    assert types == {name: kind for name, (kind, _) in metrics.FAMILIES.items()}


def test_234_sites_each_in_one_state() -> None:
    found = samples(read_text(told(county_board())))
    states: dict[str, list[str]] = {}
    for (name, labels), value in found.items():
        if name == "zhdj_site_state" and value == 1:
            states.setdefault(dict(labels)["site"], []).append(dict(labels)["state"])
    assert len(states) == 234
    assert all(len(s) == 1 for s in states.values())
    assert sum(name == "zhdj_site_state" for name, _ in found) == 4 * 234


def test_what_is_not_known_is_absent() -> None:
    board = FakeBoard(
        [SiteView("s", "村", "village", "t", "unknown")],
        [TerminalView("s", "tv", "village", "t", "unknown"), TerminalView("s", "pc", "village", "t", "down")],
        lines={"t": None},
    )
    found = samples(read_text(told(board)))
    assert values(found, "zhdj_terminal_up", "terminal") == {"pc": 0}
    names = {name for name, _ in found}
    assert not names & {"zhdj_uplink_up", "zhdj_outage_counted_seconds", "zhdj_coverage_ratio"}
    assert not names & {"zhdj_terminal_last_seen_timestamp_seconds", "zhdj_availability_ratio"}


def test_money_is_told_to_the_fen_and_absent_without_a_fund() -> None:
    found = samples(read_text(told(county_board())))
    assert values(found, "zhdj_spent_yuan", "econ_class") == {"30213": 123456.01, "30227": 50000.0}
    assert found["zhdj_budget_yuan", frozenset()] == 250000
    assert not {name for name, _ in samples(read_text(told(FakeBoard())))} & {"zhdj_budget_yuan", "zhdj_spent_yuan"}


def test_availability_is_hidden_below_the_least_coverage() -> None:
    levels = {
        "county": LevelFigures(availability=0.999997, coverage=0.9, rate=1.5),
        "township": LevelFigures(availability=1.0, coverage=0.8999999),
        "village": LevelFigures(),
    }
    board = FakeBoard(month=MonthFigures(0, NOW, levels))
    found = samples(read_text(told(board)))
    assert values(found, "zhdj_availability_ratio", "level") == {"county": 0.999997}
    assert values(found, "zhdj_maintenance_rate_ratio", "level") == {"county": 1.5}
    coverage = values(found, "zhdj_coverage_ratio", "level")
    assert coverage["county"] == 0.9
    assert coverage["township"] == 0.8999999
    assert math.isnan(coverage["village"])


def test_counters_begin_at_0_and_channels_are_always_there() -> None:
    found = samples(read_text(told(FakeBoard(observed={"mqtt": True}))))
    assert values(found, "zhdj_heartbeats_received_total", "via") == {"mqtt": 0, "http": 0}
    assert values(found, "zhdj_heartbeats_rejected_total", "reason")["malformed"] == 0
    assert values(found, "zhdj_channel_observed", "channel") == {"mqtt": 1, "http": 0, "probe": 0}


def test_a_histogram_is_cumulative() -> None:
    board = FakeBoard()
    for value in (0.05, 0.1, 0.2, 9999, -1):
        board.counters.detection_delay.observe(value)
    buckets = values(samples(read_text(told(board))), "zhdj_detection_delay_seconds_bucket", "le")
    assert list(buckets.values()) == [3, *[4] * (len(DELAY_SECONDS) - 1), 5]
    assert board.counters.detection_delay.count == 5
    assert board.counters.detection_delay.sum == pytest.approx(9999.35)
    with pytest.raises(ValueError, match="ascending"):
        Histogram((2.0, 1.0))


def test_promtool_finds_nothing_to_say() -> None:
    done = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=told(county_board()),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


ANY_NAME = st.text(max_size=400) | st.sampled_from(
    [
        '"',
        "\\",
        "\n",
        '\\n"} 1\n#',
        "\x00\x1f\x7f",
        "\r\n",
        "\u2028",
        "\u202eabc",
        "\ud800",
        "🀄" * 300,
        "",
        "{}",
    ]
)


@settings(deadline=None)
@given(st.lists(ANY_NAME, min_size=1, max_size=8, unique=True), st.booleans())
def test_no_name_breaks_the_text(names: list[str], openmetrics: bool) -> None:
    board = FakeBoard(
        [SiteView(name, name, "village", name, "online", township_name=name) for name in names],
        [TerminalView(name, "tv", "village", name, "up", last_seen=1) for name in names],
        lines=dict.fromkeys(names, True),
    )
    for name in names:
        board.counters.services[name, "tv", "learning"] = True
    text = told(board, openmetrics)
    found = samples((read_openmetrics if openmetrics else read_text)(text))
    for sample in ("zhdj_terminal_up", "zhdj_site_planned", "zhdj_service_ok"):
        assert len(values(found, sample, "site")) == len(names)
    shown = values(found, "zhdj_township_info", "name")
    assert all(len(name) <= metrics.LONGEST_LABEL + 9 for name in shown)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", text)
    # A name that is harmless stands there as it is.
    assert {n for n in names if n.isascii() and n.isalnum() and len(n) < 160} <= set(shown)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/html", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        ("text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.3", False),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=lots, ;;=,", False),
    ],
)  # fmt: skip
def test_the_client_chooses_the_format(accept: str, openmetrics: bool) -> None:
    assert metrics.wants_openmetrics(accept) is openmetrics


def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+).*? \| (.*?) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    kinds = {}
    for name, (kind, _) in metrics.FAMILIES.items():
        suffix = {"counter": "_total", "info": "_info"}.get(kind, "")
        kinds[name + suffix] = "gauge" if kind == "info" else kind
    assert {name: kind for name, (kind, _) in documented.items()} == kinds
    found: dict[str, set[str]] = {}
    for family in read_text(told(county_board())):
        for sample in family.samples:
            name = re.sub("_(bucket|sum|count)$", "", sample.name)
            found.setdefault(name, set()).update(set(sample.labels) - {"le"})
    assert found == {name: labels for name, (_, labels) in documented.items()}

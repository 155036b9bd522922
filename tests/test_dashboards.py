"""The dashboards: made by the generator, accepted by Grafana's schemas, and every query answered."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from monitor.intake.http_server import listen
from monitor.publish import metrics
from monitor.settings import Settings
from monitor.web.server import create_app
from tests.services import Prometheus, wait_for
from tests.told import county_board, county_overview

ROOT = Path(__file__).parent.parent
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
SCHEMAS = Path(__file__).parent / "grafana"
#: What Grafana puts in place of its variables, for Prometheus.
VARIABLES = {"$__rate_interval": "15s", "$level": ".*", "$township": ".*", "$__range": "1h"}


def load(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels but the headings."""
    return [p for p in board["panels"] if p["type"] != "row"]


def expressions(board: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in panels(board) for target in panel["targets"]]


def schema(name: str, definition: str) -> dict[str, Any]:
    """One definition of a schema, loosened where Grafana accepts more (tests/grafana/README.md)."""
    definitions = load(SCHEMAS / f"{name.replace('-', '')}.jsonschema.json")["definitions"]
    if "MatcherConfig" in definitions:
        definitions["MatcherConfig"]["properties"]["options"] = {}
        definitions["DynamicConfigValue"]["properties"]["value"] = {}
    return {"$ref": f"#/definitions/{definition}", "definitions": definitions}


def metric_names(expr: str) -> set[str]:
    return set(re.findall(r"\b(?:zhdj|process)_\w+", expr))


def test_committed_is_what_the_generator_makes(tmp_path: Path) -> None:
    # In a process of its own: importing the SDK warns, and warnings are errors here.
    generator = ROOT / "dashboards" / "generate.py"
    subprocess.run([sys.executable, str(generator), "--out", str(tmp_path)], check=True, timeout=60)
    assert [p.name for p in sorted(tmp_path.iterdir())] == [p.name for p in DASHBOARDS]
    for path in DASHBOARDS:
        made = (tmp_path / path.name).read_text(encoding="utf-8")
        assert made == path.read_text(encoding="utf-8"), "run python dashboards/generate.py"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.name)
def test_grafanas_schemas_accept_it(path: Path) -> None:
    board = load(path)
    jsonschema.validate(board, schema("dashboard", "Dashboard"))
    for panel in panels(board):
        jsonschema.validate(panel["options"], schema(panel["type"], "Options"))
        custom = panel["fieldConfig"]["defaults"].get("custom")
        if custom is not None:
            jsonschema.validate(custom, schema(panel["type"], "FieldConfig"))
        for target in panel["targets"]:
            jsonschema.validate(target, schema("prometheus", "Dataquery"))


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.name)
def test_every_panel_says_what_it_shows(path: Path) -> None:
    board = load(path)
    assert all(re.search("[\u4e00-\u9fff]", text) for text in (board["title"], board["description"]))
    for panel in panels(board):
        assert re.search("[\u4e00-\u9fff]", panel["title"]), panel["id"]
        assert len(panel["description"]) > 10, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
    titles = [panel["title"] for panel in panels(board)]
    assert len(titles) == len(set(titles))
    ids = [panel["id"] for panel in board["panels"]]
    assert sorted(ids) == list(range(1, len(ids) + 1))


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.name)
def test_panels_lie_beside_each_other(path: Path) -> None:
    places = [(p["id"], p["gridPos"]) for p in load(path)["panels"]]
    for _, g in places:
        assert g["w"] > 0
        assert g["h"] > 0
        assert g["x"] >= 0
        assert g["x"] + g["w"] <= 24
    for (a, p), (b, q) in combinations(places, 2):
        beside = p["x"] + p["w"] <= q["x"] or q["x"] + q["w"] <= p["x"]
        below = p["y"] + p["h"] <= q["y"] or q["y"] + q["h"] <= p["y"]
        assert beside or below, f"panels {a} and {b} overlap"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.name)
def test_queries_ask_for_metrics_that_exist_and_join_states_with_service(path: Path) -> None:
    known = set(metrics.FAMILIES)
    known |= {f"{name}_total" for name, (kind, _) in metrics.FAMILIES.items() if kind == "counter"}
    known |= {f"{name}_info" for name, (kind, _) in metrics.FAMILIES.items() if kind == "info"}
    known |= {f"{name}_bucket" for name, (kind, _) in metrics.FAMILIES.items() if kind == "histogram"}
    for expr in expressions(load(path)):
        assert metric_names(expr) <= known, expr
        if "zhdj_site_state" in expr:
            assert "on(site) (zhdj_site_in_service == 1 unless on(site) zhdj_site_planned == 1)" in expr
        if "_ratio" in expr:
            assert expr.startswith("floor("), "Grafana would round 99.9996 % up"


def ask(folder: Path, port: int) -> dict[str, list[dict[str, Any]]]:
    """Every expression of every dashboard and what a Prometheus that scrapes `port` says to it."""
    config = f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: zhdj-monitor
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
    scraped = "count_over_time(zhdj_channel_observed{channel='mqtt'}[1m]) >= 3"
    answers = {}
    with Prometheus(folder, config) as prometheus:
        wait_for(lambda: prometheus.query(scraped), 30, "three scrapes")
        for expr in sorted({e for path in DASHBOARDS for e in expressions(load(path))}):
            asked = expr
            for variable, value in VARIABLES.items():
                asked = asked.replace(variable, value)
            assert "$" not in asked.replace('"$1"', ""), asked
            answers[expr] = prometheus.query(asked)
    return answers


async def test_every_query_has_an_answer_on_a_real_prometheus(tmp_path: Path) -> None:
    board = county_board()

    async def load_overview() -> Any:
        return county_overview()

    app = create_app(board=board, settings=Settings(), load_overview=load_overview)
    async with listen(app, "127.0.0.1", 0) as listener:
        answers = await asyncio.to_thread(ask, tmp_path, listener.port)
    assert [expr for expr, answer in answers.items() if not answer] == []
    # One of the three offline sites is at rest and one in a window.
    (offline,) = (a for e, a in answers.items() if e.startswith("count(") and 'state="offline"' in e)
    assert offline[0]["value"][1] == "1"
    (table,) = (a for e, a in answers.items() if "group_left(township_name)" in e)
    assert [row["metric"]["township_name"] for row in table] == ["淙城街道"]
    ratios = next(a for e, a in answers.items() if "zhdj_availability_ratio" in e)
    assert {r["metric"]["level"]: r["value"][1] for r in ratios}["county"] == "0.9999"

"""The dashboards: made by the generator, accepted by Grafana's schemas, every query answered, every link alive."""

from __future__ import annotations

import asyncio
import json
import math
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from itertools import combinations
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest
import yaml  # type: ignore[import-untyped]
from aiohttp import web
from aiohttp.typedefs import Handler

from monitor.core.ledger import ECON_CLASSES
from monitor.intake.http_server import listen
from monitor.publish import metrics
from monitor.publish.views import CalendarYear, MoneyFigures, Space
from monitor.settings import Settings
from monitor.web.server import create_app
from tests.services import Prometheus, ServiceError, wait_for
from tests.told import NOW, FakeBoard, county_board, county_overview

ROOT = Path(__file__).parent.parent
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
SCHEMAS = Path(__file__).parent / "grafana"
SHIPPED = ROOT / "deploy" / "prometheus"
CHINESE = re.compile("[\u4e00-\u9fff]")
CONSOLE = "http://127.0.0.1:8080"

#: A village that is off, with all that a site can have; and one in a planned window.
OFF, PLANNED = "511723001005", "511723105014"
TOWNSHIP = "511723001"
#: What Grafana puts in place of its variables, for Prometheus: all; one township and site; one in a window.
_ALL = {"$__rate_interval": "15s", "$__range": "1h", "$level": ".*", "$terminal": "tv|mobile|pc", "$township": ".*"}
CHOICES = (
    {**_ALL, "$site": OFF},
    {**_ALL, "$township": TOWNSHIP, "$site": OFF},
    {**_ALL, "$site": PLANNED},
)


def load(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels but the headings."""
    return [p for p in board["panels"] if p["type"] != "row"]


def variables(board: dict[str, Any]) -> list[dict[str, Any]]:
    return list(board["templating"]["list"])


def asked_by_variables(board: dict[str, Any]) -> list[str]:
    """What variables ask: `query_result(...)` of an expression."""
    queries = [v["query"] for v in variables(board) if v["type"] == "query"]
    return [re.fullmatch(r"query_result\((.*)\)", query).group(1) for query in queries]  # type: ignore[union-attr]


def expressions(board: dict[str, Any]) -> list[str]:
    """Of panels, variables and annotations."""
    shown = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    return [*shown, *asked_by_variables(board), *(each["expr"] for each in board["annotations"]["list"])]


def recording() -> list[dict[str, Any]]:
    groups = yaml.safe_load((SHIPPED / "zhdj.recording.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def links(node: Any) -> Iterator[dict[str, Any]]:
    """Everything with an address, wherever it stands."""
    if isinstance(node, dict):
        if isinstance(node.get("url"), str):
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from links(each)


@cache
def schema(name: str, definition: str, part: str = "") -> jsonschema.Draft7Validator:
    """One definition of a schema, or one property of it, loosened where Grafana accepts more (grafana/README.md)."""
    definitions = load(SCHEMAS / f"{name.replace('-', '')}.jsonschema.json")["definitions"]
    if "MatcherConfig" in definitions:
        definitions["MatcherConfig"]["properties"]["options"] = {}
        definitions["DynamicConfigValue"]["properties"]["value"] = {}
    if "TableCellOptions" in definitions:
        definitions["TableCellOptions"]["anyOf"] = definitions["TableCellOptions"].pop("oneOf")
    asked: dict[str, Any] = {"$ref": f"#/definitions/{definition}"}
    if part:
        while "$ref" in asked:
            asked = definitions[asked["$ref"].removeprefix("#/definitions/")]
        asked = asked["properties"][part]
    return jsonschema.Draft7Validator({**asked, "definitions": definitions})


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
    schema("dashboard", "Dashboard").validate(board)
    for panel in panels(board):
        kind = panel["type"]
        schema(kind, "Options").validate(panel["options"])
        custom = panel["fieldConfig"]["defaults"].get("custom")
        if custom is not None:
            schema(kind, "FieldConfig").validate(custom)
        for target in panel["targets"]:
            schema("prometheus", "Dataquery").validate(target)
        # Grafana takes no wrong name in an override amiss, and shows nothing.
        for each in (each for override in panel["fieldConfig"]["overrides"] for each in override["properties"]):
            own, _, name = each["id"].rpartition(".")
            if name != "links":  # values' own are shorter than those of panels, of which the schema speaks
                schema(kind if own else "dashboard", "FieldConfig", name).validate(each["value"])


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.name)
def test_every_panel_says_what_it_shows(path: Path) -> None:
    board = load(path)
    assert all(CHINESE.search(text) for text in (board["title"], board["description"]))
    assert board["uid"] == f"zhdj-{path.stem}"
    for each in board["annotations"]["list"]:
        assert CHINESE.search(each["name"])
        assert each["target"]["expr"] == each["expr"]
    for panel in panels(board):
        defaults = panel["fieldConfig"]["defaults"]
        assert CHINESE.search(panel["title"]), panel["id"]
        assert len(panel["description"]) >= 5, panel["title"]
        assert CHINESE.search(panel["description"]), panel["title"]
        assert panel["description"].endswith("。"), panel["title"]
        assert defaults["unit"], panel["title"]
        assert defaults["thresholds"]["steps"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))
        if panel["type"] == "table":
            for heading in panel["transformations"][-1]["options"]["renameByName"].values():
                assert CHINESE.search(heading), panel["title"]
    titles = [panel["title"] for panel in panels(board)]
    assert len(titles) == len(set(titles))
    ids = [panel["id"] for panel in board["panels"]]
    assert sorted(ids) == list(range(1, len(ids) + 1))
    for variable in variables(board):
        assert CHINESE.search(variable["label"])
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board))) - {"datasource"}
    builtin = {"__rate_interval", "__range", "__all", "__url_time_range", "__field", "__data", "1"}
    assert used - builtin <= {v["name"] for v in variables(board)}


def test_titles_and_addresses_are_told_apart() -> None:
    boards = [load(path) for path in DASHBOARDS]
    assert len({b["title"] for b in boards}) == len({b["uid"] for b in boards}) == len(boards) == 8


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
def test_queries_ask_for_metrics_that_exist_and_states_on_the_one_clock(path: Path) -> None:
    known = set(metrics.FAMILIES) | {rule["record"] for rule in recording()}
    known |= {f"{name}_total" for name, (kind, _) in metrics.FAMILIES.items() if kind == "counter"}
    known |= {f"{name}_info" for name, (kind, _) in metrics.FAMILIES.items() if kind == "info"}
    known |= {f"{name}_bucket" for name, (kind, _) in metrics.FAMILIES.items() if kind == "histogram"}
    for expr in expressions(load(path)):
        names = set(re.findall(r"\b(?:zhdj[_:]|process_)[\w:]+", expr))
        assert names <= known, expr
        assert "zhdj_site_state" not in names, "zhdj:site_look is grey at night and blue in windows"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.name)
def test_no_percentage_is_rounded_up(path: Path) -> None:
    for panel in panels(load(path)):
        field = panel["fieldConfig"]
        shown = [
            override
            for override in field["overrides"]
            if {"id": "unit", "value": "percentunit"} in override["properties"]
        ]
        exprs = [t["expr"] for t in panel["targets"]]
        if field["defaults"]["unit"] == "percentunit":
            assert all("floor(" in expr for expr in exprs), panel["title"]
        assert sum("floor(" in expr for expr in exprs) >= len(shown), panel["title"]
        for expr in exprs:
            if "_ratio" in expr:
                assert "floor(" in expr, panel["title"]


def test_alerts_and_economic_classes_have_their_words() -> None:
    text = (ROOT / "dashboards" / "money.json").read_text(encoding="utf-8")
    for code, name in ECON_CLASSES.items():
        assert f'"{code}"' in text
        assert f'"{name}"' in text
    rules = yaml.safe_load((SHIPPED / "zhdj.rules.yml").read_text(encoding="utf-8"))
    county = (ROOT / "dashboards" / "county.json").read_text(encoding="utf-8")
    for alert in (r["alert"] for g in rules["groups"] for r in g["rules"] if "alert" in r):
        assert f'"{alert}"' in county


async def test_no_link_is_dead() -> None:
    uids = {load(path)["uid"]: {v["name"] for v in variables(load(path))} for path in DASHBOARDS}
    app = create_app(board=staged(), settings=Settings(), load_overview=_overview)
    pages: dict[str, str] = {}
    async with listen(app, "127.0.0.1", 0) as listener, aiohttp.ClientSession() as client:
        for path in DASHBOARDS:
            board = load(path)
            found = [each["url"] for each in links(board)]
            assert found
            for url in found:
                if match := re.match(r"/d/([\w-]+)(?:\?|$)", url):
                    assert match[1] in uids, url
                    assert set(re.findall(r"var-(\w+)=", url)) <= uids[match[1]], url
                    continue
                page, _, anchor = url.removeprefix("${console}").partition("#")
                assert url.startswith("${console}/"), url
                if page not in pages:
                    # As from a browser elsewhere, through the proxy: /metrics and /readyz are not for it.
                    headers = {"X-Forwarded-For": "192.0.2.1"}
                    async with client.get(f"http://127.0.0.1:{listener.port}{page}", headers=headers) as answer:
                        assert answer.status == 200, url
                        pages[page] = await answer.text()
                anchor = anchor.replace("${township}", TOWNSHIP)
                assert not anchor or f'id="{anchor}"' in pages[page], url
            tagged = [each for each in board["links"] if each["type"] == "dashboards"]
            assert [each["tags"] for each in tagged] == [["zhdj"]]
            assert board["tags"] == ["zhdj"]
            (console,) = (v for v in variables(board) if v["name"] == "console")
            assert console["query"] == CONSOLE


def staged() -> FakeBoard:
    """The county of tests/told.py; one village that is off has all that a site can have."""
    board = county_board()
    (off,) = (v for v in board.site_views if v.site == OFF)
    (planned,) = (v for v in board.site_views if v.planned)
    assert (off.state, off.township, planned.site) == ("offline", TOWNSHIP, PLANNED)
    for i, view in enumerate(board.terminal_views):
        if view.value == "unknown":
            board.terminal_views[i] = replace(view, last_seen=NOW - 3_600_000)
    for site in (OFF, TOWNSHIP):
        for i, service in enumerate(("video_conference", "emergency", "publicity", "supervision", "learning")):
            board.counters.services[site, "tv", service] = site == TOWNSHIP or i != 0
        board.counters.certificates[site, "tv", "https"] = NOW + 86_400_000
    return board


async def _overview() -> Any:
    return county_overview()


async def _go_on(board: FakeBoard) -> None:
    """Things happen while Prometheus looks, so that rates are more than 0."""
    while True:
        for via in ("mqtt", "http"):
            board.counters.heartbeat(via, missing=1)
            board.counters.refuse(via, "unauthorized")
        for check in ("icmp", "tcp"):
            board.counters.probe(check, True, 0.003)
        board.counters.detection_delay.observe(0.02)
        await asyncio.sleep(0.1)


def all_goes_wrong(board: FakeBoard) -> None:
    """At once, so that every alert has its reason, but those for which the service must be away."""
    behind = {code for code, is_up in board.lines.items() if is_up is False}
    villages = [v.site for v in board.site_views if v.level == "village" and v.township not in behind and not v.planned]
    fixed, long, near, *many = villages[:40]
    offline = {*many, "511723-C1", TOWNSHIP}
    # Counted seconds of outages, of repair limits of 54,000 s.
    counted = dict.fromkeys((*offline, fixed), 4000.0) | {long: 32_400.0, near: 48_600.0}
    for i, site in enumerate(board.site_views):
        if site.site in counted:
            state = "offline" if site.site in offline else "impaired"
            board.site_views[i] = replace(site, state=state, in_service=True)
    for i, each in enumerate(board.terminal_views):
        if each.site in counted and not (each.site == fixed and each.kind == "mobile"):
            seconds = counted[each.site]
            board.terminal_views[i] = replace(each, value="down", counted_outage_s=seconds, repair_limit_s=54_000.0)
    board.observed["mqtt"] = False
    board.troubles["log"] = "away"
    board.restatements_due = 1
    board.money = MoneyFigures(25_000_000, {"30213": 24_000_000}, 0, 25_000_000)
    board.orders = {"village": (4, 2)}
    board.space["evidence"] = Space(1 << 30, 100 << 30)
    board.queues["log_bytes"] = 9_000_000
    board.counters.certificates["511723-C1", "tv", "https"] = int(time.time() + 86_400) * 1000
    if board.outbox is not None:
        board.outbox.oldest_ms = int(time.time() - 3600) * 1000
    object.__setattr__(board, "years", lambda: [CalendarYear(2026, "this", False)])


def fired(prometheus: Prometheus) -> set[str]:
    found = prometheus.query('count by (alertname) (ALERTS{alertstate="firing"})')
    return {row["metric"]["alertname"] for row in found}


Answers = dict[str, list[list[dict[str, Any]]]]


def ask(
    folder: Path, port: int, board: FakeBoard, away: threading.Event
) -> tuple[Answers, dict[str, list[dict[str, Any]]], set[str]]:
    """Every expression of every dashboard, and every rule; what a Prometheus that scrapes `port` says to them. Then all
    goes wrong with `board`, and in the end nothing comes from there any more (`away`): which alerts did not fire?"""
    config = f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 500ms}}
rule_files: [zhdj.recording.yml, zhdj.rules.yml]
scrape_configs:
  - job_name: zhdj-monitor
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
    files = {name: (SHIPPED / name).read_text(encoding="utf-8") for name in ("zhdj.recording.yml", "zhdj.rules.yml")}
    files = {name: text.replace("interval: 1m", "interval: 500ms") for name, text in files.items()}
    # At once, and on any day of the month.
    rules = re.sub(r"(?m)^( +for:) \w+$", r"\1 0s", files["zhdj.rules.yml"]).replace("3600)) > 3", "3600)) > 0")
    files["zhdj.rules.yml"] = rules
    expected = set(re.findall(r"- alert: (\w+)", rules))
    of_away = {"ZhdjMonitorAbsent", "ZhdjScrapeFailing"}
    records = sorted({rule["record"] for rule in recording()})
    answers: Answers = {}
    with Prometheus(folder, config, files=files) as prometheus:
        # What is recorded last stands on what was recorded before, and is asked for over some time.
        last = "count_over_time(zhdj:services_known[1m]) >= 3 and on() count(ALERTS)"
        wait_for(lambda: prometheus.query(last), 30, "scrapes and rules")
        for expr in sorted({e for path in DASHBOARDS for e in expressions(load(path))}):
            answers[expr] = []
            for choice in CHOICES:
                asked = re.sub(r"\$(?!1\b)\w+", lambda match: choice[match[0]], expr)  # noqa: B023 - used at once
                answers[expr].append(prometheus.query(asked))
        # A fund of which nothing is spent yet: 0, not nothing.
        (left,) = (e for e in answers if e.startswith("zhdj_budget_yuan - "))
        assert (
            value(prometheus.query(left.replace("zhdj_spent_yuan", "zhdj_spent_yuan{econ_class='none'}"))) == "248999.5"
        )
        recorded = {name: prometheus.query(name) for name in records}
        all_goes_wrong(board)
        seen: set[str] = set()
        with suppress(ServiceError):
            wait_for(lambda: expected - of_away <= fired(prometheus), 20, "alerts", every=0.2)
        seen |= fired(prometheus)
        for change, is_up in ((away.set, 0), (away.clear, 1), (away.set, 0)):  # one gap is none
            change()
            wait_for(partial(prometheus.query, f'up{{job="zhdj-monitor"}} == {is_up}'), 20, "a scrape", every=0.2)
        with suppress(ServiceError):
            wait_for(lambda: of_away <= fired(prometheus), 20, "alerts", every=0.2)
        seen |= fired(prometheus)
    return answers, recorded, expected - seen


def value(answer: list[dict[str, Any]]) -> str:
    (row,) = answer
    return str(row["value"][1])


def _columns(panel: dict[str, Any], answers: Answers) -> None:
    """Every field that Grafana makes of the answers is shown or left out, and every column has one."""
    frames = []
    for target in panel["targets"]:
        answer = next(each for each in answers[target["expr"]] if each)
        labels = {label for row in answer for label in row["metric"]}
        value = "Value" if len(panel["targets"]) == 1 else f"Value #{target['refId']}"
        frames.append({*labels, "Time", value})
    *joins, organize = [t["options"] for t in panel["transformations"]]
    assert len(joins) == (len(frames) > 1)
    by = {join["byField"] for join in joins}
    assert all(by <= frame for frame in frames), panel["title"]
    fields: set[str] = set()
    for name in set().union(*frames):
        times = sum(name in frame for frame in frames)
        fields |= {name} if times == 1 or name in by else {f"{name} {i + 1}" for i in range(times)}
    hidden, shown = set(organize["excludeByName"]), set(organize["renameByName"])
    assert fields - hidden == shown, panel["title"]


async def test_every_query_has_an_answer_on_a_real_prometheus(tmp_path: Path) -> None:
    board = staged()
    app = create_app(board=board, settings=Settings(), load_overview=_overview)
    away = threading.Event()

    @web.middleware
    async def answers_or_not(request: web.Request, handler: Handler) -> web.StreamResponse:
        if away.is_set():
            raise web.HTTPServiceUnavailable
        return await handler(request)

    app.middlewares.append(answers_or_not)
    async with listen(app, "127.0.0.1", 0) as listener:
        going = asyncio.create_task(_go_on(board))
        answers, recorded, silent = await asyncio.to_thread(ask, tmp_path, listener.port, board, away)
        going.cancel()
    assert silent == set()

    def known(answer: list[dict[str, Any]]) -> bool:
        return any(not math.isnan(float(row["value"][1])) for row in answer)

    assert [expr for expr, each in answers.items() if not any(known(a) for a in each)] == []
    assert [name for name, answer in recorded.items() if not known(answer)] == []

    # One of the three that are offline is at rest and one in a window.
    everywhere = {expr: each[0] for expr, each in answers.items()}
    by_look = {
        look: value(everywhere[next(e for e in everywhere if e.startswith("count(") and f"== {look})" in e)])
        for look in "123450"
    }
    assert by_look == {"1": "229", "2": "1", "3": "1", "4": "1", "5": "1", "0": "1"}
    assert {r["metric"]["site"]: r["value"][1] for r in recorded["zhdj:site_up"]}[OFF] == "0"
    assert len(recorded["zhdj:site_up"]) == 231
    assert len(recorded["zhdj:site_known"]) == 232
    # 99.9997 % stays below 100 %, also here.
    (ratios,) = (a for e, a in everywhere.items() if "zhdj_availability_ratio" in e and "sum" not in e)
    assert {r["metric"]["level"]: r["value"][1] for r in ratios}["county"] == "0.9999"
    for path in DASHBOARDS:
        for panel in panels(load(path)):
            if panel["type"] == "table" and "groupingToMatrix" not in str(panel["transformations"]):
                _columns(panel, answers)
    # Titles of variables are names, their values codes.
    for path in DASHBOARDS:
        for variable in variables(load(path)):
            if variable["type"] == "query":
                assert re.search(r"\?<text>.*\?<value>", variable["regex"])
                assert variable["datasource"]["uid"] == "${datasource}"

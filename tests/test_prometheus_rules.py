"""The shipped files of Prometheus and Alertmanager: accepted, played, explained, and with a page to turn to."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from monitor.cli.check_config import RECEIVERS
from monitor.core.alerts import WATCHDOG
from monitor.publish import metrics
from monitor.settings import Outlet
from tests.services import ServiceError, program

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "deploy" / "prometheus"
RULES = (SHIPPED / "zhdj.rules.yml").read_text(encoding="utf-8")
TESTS = sorted((ROOT / "tests" / "prometheus").glob("*.test.yml"))


def promtool(*arguments: object) -> str:
    done = subprocess.run([program("promtool"), *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def groups(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load(text)["groups"])


def rules() -> list[dict[str, Any]]:
    return [rule for group in groups(RULES) for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """By name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def test_promtool_accepts_configuration_and_rules() -> None:
    promtool("check", "config", SHIPPED / "prometheus.yml")
    assert f"{len(rules())} rules found" in promtool("check", "rules", SHIPPED / "zhdj.rules.yml")


def test_amtool_accepts_alertmanagers_configuration() -> None:
    path = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    done = subprocess.run([program("amtool"), "check-config", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 inhibit rules" in done.stdout
    assert "1 templates" in done.stdout


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=ZhdjUplinkDown severity=critical about=line township=101", "duty"),
        ("alertname=ZhdjVillageSiteOffline severity=warning about=site township=101", "duty"),
        ("alertname=ZhdjCertificateExpiring severity=info", "office"),
        ("alertname=ZhdjMonitorAbsent severity=critical about=monitor", "monitor-away"),
        ("alertname=Watchdog severity=none", "watchdog"),
    ],
)
def test_alerts_go_to_whoever_is_to_be_told(labels: str, receiver: str) -> None:
    path = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    command = [program("amtool"), "config", "routes", "test", f"--config.file={path}", *labels.split()]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip() == receiver


def test_check_config_knows_the_receivers_that_are_shipped() -> None:
    shipped = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
    assert {*RECEIVERS, "watchdog"} == {receiver["name"] for receiver in shipped["receivers"]}


def test_the_mail_that_alertmanager_writes_itself(tmp_path: Path) -> None:
    gone = {
        **{"status": "firing", "labels": {}, "startsAt": "2026-10-12T02:00:00Z", "endsAt": "0001-01-01T00:00:00Z"},
        "annotations": alerts()["ZhdjMonitorAbsent"]["annotations"],
    }
    back = {**gone, "status": "resolved", "endsAt": "2026-10-12T03:10:05Z"}
    (tmp_path / "data.json").write_text(json.dumps({"status": "firing", "alerts": [gone, back]}))
    command = [
        *(program("amtool"), "template", "render", "--template.type=text", f"--template.data={tmp_path}/data.json"),
        f"--template.glob={ROOT}/deploy/alertmanager/zhdj.tmpl",
        '--template.text={{ template "zhdj.subject" . }}|{{ template "zhdj.text" . }}',
    ]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    assert said.startswith(
        "【告警】智慧党建运行监测：监测服务没有数据|【告警】监测系统：监测服务没有数据\n自 2026-10-12 10:00"
    )
    assert "10:00 至 2026-10-12 11:10（北京时间），历时 1h10m5s。" in said


def test_the_longest_time_to_a_message_is_that_of_the_shipped_files() -> None:
    """docs/alerts.md, Times, add it up from them: after confirmation and `open_after`, and for a line."""
    scraping = yaml.safe_load((SHIPPED / "prometheus.yml").read_text(encoding="utf-8"))["global"]
    route = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text(encoding="utf-8"))["route"]
    for other in route["routes"]:
        assert other["receiver"] == "watchdog" or not {"group_wait", "group_interval"} & set(other)
    seen = _seconds(scraping["scrape_interval"]) + _seconds(scraping["evaluation_interval"])
    outbox = 1 + 60 // Outlet.model_fields["per_min"].default
    said = " ".join((ROOT / "docs" / "alerts.md").read_text(encoding="utf-8").split())
    for name in ("ZhdjVillageSiteOffline", "ZhdjTownshipSiteOffline", "ZhdjCountySiteOffline", "ZhdjVillageFixedDown"):
        after = seen + _seconds(alerts()[name]["for"]) + _seconds(route["group_interval"]) + outbox
        assert f"outbox {outbox} s = **{after} s**" in said
    minutes, wait = _seconds(alerts()["ZhdjUplinkDown"]["for"]) // 60, _seconds(route["group_wait"])
    assert f"A line: confirmation 5 min + 15 + 15 s + `for` {minutes} min + {wait} s + {outbox} s" in said


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.name)
def test_promtool_plays_every_alert(path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", path)


@pytest.mark.parametrize("alert", [name for name in alerts() if name != WATCHDOG])
def test_each_alert_is_played_quiet_firing_and_resolved(alert: str) -> None:
    played = []
    for path in TESTS:
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            moments = [t for t in test["alert_rule_test"] if t["alertname"] == alert]
            fires = ["f" if t["exp_alerts"] else "q" for t in sorted(moments, key=lambda t: _seconds(t["eval_time"]))]
            played.append("".join(fires))
    assert any(re.fullmatch("q+f+q+", story) for story in played), played


def _seconds(span: str) -> int:
    return sum(int(n) * {"s": 1, "m": 60, "h": 3600}[unit] for n, unit in re.findall(r"(\d+)([smh])", span))


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_speaks_chinese_and_has_a_page(alert: str) -> None:
    rule = alerts()[alert]
    for name in ("summary", "description", *(("title", "place") if alert != WATCHDOG else ())):
        assert re.search("[\u4e00-\u9fff]|label", rule["annotations"][name]), name
    assert rule["labels"]["severity"] in ("critical", "warning", "info", "none")
    assert rule["labels"]["about"]
    assert rule["annotations"]["runbook_url"] == f"docs/值班手册.md#{alert}"
    handbook = ROOT / "docs" / "值班手册.md"
    assert f'<a id="{alert}"></a>' in handbook.read_text(encoding="utf-8")


def test_what_people_read_of_an_alert_holds_no_identifiers() -> None:
    """As it was played: places, kinds, parts are named, not `village` or `v tv`."""
    said = {
        words
        for path in TESTS
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for moment in test.get("alert_rule_test", ())
        for alert in moment["exp_alerts"]
        for name, words in alert["exp_annotations"].items()
        if name in ("summary", "place", "title", "object")
    }
    assert len(said) > 50
    assert [words for words in said if re.search(r"[a-z]{2}|\b[a-z]\b", words)] == []


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_is_explained(alert: str) -> None:
    assert f"`{alert}`" in (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_each_rule_asks_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    recorded = {each["record"] for each in rules() if "record" in each}
    names = set(re.findall(r"\bzhdj[\w:]+", rule["expr"]))
    labels = re.findall(r"zhdj[\w-]+(?=\")", rule["expr"])  # job="zhdj-monitor" is none
    assert names - set(labels) - {"zhdj"} <= set(metrics.FAMILIES) | recorded
    if names & {"zhdj_site_state", "zhdj_outage_counted_seconds"} and rule.get("record") != "zhdj:terminal_late":
        assert "zhdj:site_due" in rule["expr"]  # the one clock: switched off at night, or in a window, is no alert


def test_systemd_accepts_the_unit() -> None:
    try:
        analyze = program("systemd-analyze")
    except ServiceError:
        pytest.skip("systemd is not installed")
    unit = ROOT / "deploy" / "systemd" / "zhdj-monitor.service"
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, timeout=60)
    # The program is not installed where the unit looks for it; nothing else may be wrong.
    said = [line for line in done.stderr.splitlines() if unit.name in line]
    assert [line for line in said if "is not executable" not in line] == []
    text = unit.read_text(encoding="utf-8")
    assert "Restart=on-failure" in text
    assert "serve --config" in text

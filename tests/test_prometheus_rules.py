"""The shipped Prometheus files: accepted by promtool, tested by it, and with a page to turn to."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from monitor.publish import metrics
from tests.services import ServiceError, program

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "deploy" / "prometheus"
RULES = (SHIPPED / "zhdj.rules.yml").read_text(encoding="utf-8")
TESTS = sorted((ROOT / "tests" / "prometheus").glob("*.test.yml"))


def promtool(*arguments: object) -> str:
    done = subprocess.run([program("promtool"), *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> dict[str, str]:
    """Name of each alert -> the text of its rule."""
    parts = re.split(r"^\s+- alert: (\w+)\n", RULES, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_promtool_accepts_configuration_and_rules() -> None:
    promtool("check", "config", SHIPPED / "prometheus.yml")
    assert f"{len(alerts())} rules found" in promtool("check", "rules", SHIPPED / "zhdj.rules.yml")


@pytest.mark.parametrize("path", TESTS, ids=lambda p: p.name)
def test_promtool_plays_every_alert(path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", path)


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_is_played_quiet_and_firing(alert: str) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in TESTS)
    moments = re.findall(rf"alertname: {alert}\b(.{{0,24}})", text, re.DOTALL)
    assert any("exp_alerts: []" in rest for rest in moments)
    assert any(re.search(r"exp_alerts:\n", rest) for rest in moments)


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_speaks_chinese_and_has_a_page(alert: str) -> None:
    rule = alerts()[alert]
    for name in ("summary", "description"):
        text = re.search(rf"{name}: ((?:.|\n {{12,}})+)", rule)
        assert text, name
        assert re.search("[\u4e00-\u9fff]", text[1]), name
    assert re.search("severity: (critical|warning)", rule)
    page = re.search(r"runbook_url: docs/(\w+\.md)#([\w-]+)", rule)
    assert page
    handbook = (ROOT / "docs" / page[1]).read_text(encoding="utf-8")
    assert f'<a id="{page[2]}"></a>' in handbook
    assert f"（{alert}）" in handbook


@pytest.mark.parametrize("alert", alerts())
def test_each_alert_asks_for_metrics_that_exist(alert: str) -> None:
    expr = re.search(r"expr: ((?:.|\n {10,})+?)\n {8}\w", alerts()[alert])
    assert expr
    names = set(re.findall(r"\bzhdj_\w+", expr[1]))
    assert names
    assert names <= set(metrics.FAMILIES)
    if "zhdj_site_state" in names:
        # The one clock: switched off at night, or in a window, is no alert.
        assert "and on(site) zhdj_site_in_service == 1" in expr[1]
        assert "unless on(site) zhdj_site_planned == 1" in expr[1]


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

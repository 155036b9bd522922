"""`zhdj-monitor check-config`: says what a folder holds, or every mistake in it at once (docs/interfaces.md)."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from monitor.core import text
from monitor.errors import ConfigError
from monitor.inventory.load import Loaded, load, local_today
from monitor.inventory.roster import read_roster
from monitor.inventory.summary import Summary, summarize
from monitor.publish.reports.template_files import templates_of
from monitor.settings import Alerts

#: Of deploy/alertmanager/alertmanager.yml, but the watchdog's, which is for nobody.
RECEIVERS = ("duty", "office", "monitor-away")
_LEVELS = {"county": "县级", "township": "乡镇", "village": "村级"}
_KINDS = {"tv": "数字电视", "mobile": "移动终端", "pc": "PC端"}


def check_config(config: Path, json_output: bool) -> int:
    """Exit status: 0, or 2 where something is wrong. `config` is the folder of monitor.toml."""
    return run(config, json=json_output)


def run(folder: Path, *, json: bool, today: date | None = None) -> int:
    """Prints the summary to stdout, mistakes and warnings to stderr. `today`: local; else the clock's."""
    try:
        loaded = load(folder, today=today)
        read_roster(folder, loaded.settings.zone, set(loaded.inventory.townships))
        templates_of((today or local_today(loaded.settings)).year, folder)
    except ConfigError as error:
        if json:
            _print_json({"ok": False, "mistakes": [asdict(mistake) for mistake in error.mistakes]})
        for mistake in error.mistakes:
            print(mistake, file=sys.stderr)
        count = len(error.mistakes)
        print(f"{count} mistake{'s' * (count != 1)} 处错误", file=sys.stderr)
        return 2
    summary = summarize(loaded, today or local_today(loaded.settings))
    if json:
        _print_json(as_json(loaded, summary))
    else:
        print("\n".join(as_text(loaded, summary)))
    for warning in (*summary.warnings, *_missing(loaded.settings.alerts), *_unheard(loaded.settings.alerts)):
        print(f"warning 警告: {warning}", file=sys.stderr)
    return 0


def _missing(alerts: Alerts) -> list[str]:
    """Files of secrets that are not there (yet): without them nobody is told."""
    named = {"token_file": alerts.token_file, "outside_url_file": alerts.outside_url_file}
    for name, outlet in alerts.outlets.items():
        named |= {f"outlets.{name}.url_file": outlet.url_file, f"outlets.{name}.secret_file": outlet.secret_file}
    return [f"alerts.{key}: {file} is not there" for key, file in named.items() if file and not Path(file).is_file()]


def _unheard(alerts: Alerts) -> list[str]:
    """What is wrong and reaches nobody: receivers of the shipped alertmanager.yml, and this machine's own end."""
    if not alerts.token_file:
        return []
    taken = {receiver for outlet in alerts.outlets.values() for receiver in outlet.takes}
    lost = [receiver for receiver in RECEIVERS if receiver not in taken]
    said = [f"alerts.outlets: none takes what is for {', '.join(lost)}: nobody is told (没有出口接收，无人收到告警)"]
    outside = "alerts.outside_url_file is not set: nobody notices when this machine is gone (整机停机无人发现)"
    return (said if lost else []) + ([] if alerts.outside_url_file else [outside])


def as_json(loaded: Loaded, summary: Summary) -> dict[str, Any]:
    connection = summary.connection
    return {
        "ok": True,
        "day": summary.day.isoformat(),
        "timezone": loaded.settings.timezone,
        "sites": {**summary.sites, "total": sum(summary.sites.values())},
        "terminals": {**summary.terminals, "total": sum(summary.terminals.values())},
        "checks": {**summary.checks, "total": sum(summary.checks.values())},
        "uplinks": summary.uplinks,
        "connected": {**asdict(connection), "rate": connection.rate},
        "plan": {
            "sites": summary.planned_sites,
            "sites_in_service": summary.sites_in_service,
            "terminals": summary.planned_terminals,
            "terminals_in_service": summary.terminals_in_service,
        },
        "warnings": list(summary.warnings),
        "digest": loaded.digest,
    }


def as_text(loaded: Loaded, summary: Summary) -> list[str]:
    connection = summary.connection
    lines = [f"配置正确 configuration is sound ({summary.day}, {loaded.settings.timezone})", ""]
    lines += _block("站点 sites", summary.sites, _LEVELS)
    lines += _block("机位 terminals", summary.terminals, _KINDS)
    lines += _block("检测项 checks", summary.checks, {})
    lines.append(f"  其中乡镇线路 of these township uplinks: {summary.uplinks}")
    lines += [
        "",
        f"接入率 share connected: {percent(connection.connected, connection.in_service)}",
        f"  未监测 in service without a check: {connection.unwatched}",
        f"  未接入 commissioned later: {connection.ahead}",
        f"  已停用 retired: {connection.retired}",
        "",
        "计划与在用 plan and in service:",
    ]
    for level, label in _LEVELS.items():
        planned = summary.planned_terminals
        target = "-" if planned is None else str(planned[level])
        sites = f"站点 sites {summary.planned_sites[level]} / {summary.sites_in_service[level]}"
        terminals = f"机位 terminals {target} / {summary.terminals_in_service[level]}"
        lines.append(f"  {label} {level}: {sites}, {terminals}")
    return [*lines, "", f"sha256 {loaded.digest}"]


def percent(part: int, whole: int) -> str:
    """`98.29 % (690/702)`."""
    return f"{text.percent(part / whole)} ({part}/{whole})" if whole else "-"


def _block(title: str, counts: dict[str, int], labels: dict[str, str]) -> list[str]:
    lines = [f"{title}: {sum(counts.values())}"]
    return lines + [f"  {labels.get(name, '')} {name}: {n}".replace("   ", "  ") for name, n in counts.items()]


def _print_json(answer: dict[str, Any]) -> None:
    print(json.dumps(answer, ensure_ascii=False, indent=2))

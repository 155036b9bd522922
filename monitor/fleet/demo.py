"""The demonstration's configuration: the sample sites with checks of seconds, on loopback addresses.

The sample inventory is the repository's `config/` in a checkout (an editable install is one). In a wheel it
is the package's `monitor/config_sample`, which pyproject puts there:

    [tool.hatch.build.targets.wheel.force-include]
    "config" = "monitor/config_sample"
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from monitor.core.sites import UPLINK, Kind, Level
from monitor.errors import MonitorError

#: Targets live on 127.77.x.y, one address a site, so that they look like 234 machines.
NETWORK = "127.77"
CANARY_HOST = f"{NETWORK}.0.1"
TARGET_PORT = 7707
CHECK_COLUMNS = ("site_id", "terminal", "check", "target", "interval_s", "grace_s", "failures")


@dataclass(frozen=True, slots=True)
class DemoPorts:
    """Where the demonstration listens; probe targets take `targets` and the two ports after it."""

    http: str = "127.0.0.1:8080"
    mqtt: int = 1884
    targets: int = TARGET_PORT


def sample_inventory() -> Traversable:
    """The folder with the sample `sites.csv`. Raises MonitorError where there is none."""
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file() and (root / "config" / "sites.csv").is_file():
        return root / "config"
    packed = files("monitor") / "config_sample"
    if (packed / "sites.csv").is_file():
        return packed
    raise MonitorError("the sample inventory config/sites.csv is missing from this installation")


def write_demo(folder: Path, var: Path, ports: DemoPorts | None = None) -> None:
    """Write monitor.toml, sites.csv, terminals.csv and checks.csv to `folder`.

    The service's data goes below `var`. Files that are there already are written anew: they are ours.
    """
    ports = ports or DemoPorts()
    sites_csv = (sample_inventory() / "sites.csv").read_bytes()
    sites = list(csv.DictReader(io.StringIO(sites_csv.decode("utf-8-sig"))))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sites.csv").write_bytes(sites_csv)
    _write_csv(folder / "terminals.csv", ("site_id", "terminal"), [(s["site_id"], k) for s in sites for k in Kind])
    _write_csv(folder / "checks.csv", CHECK_COLUMNS, _checks(sites, ports.targets))
    (folder / "monitor.toml").write_text(_settings(sites, var, ports), encoding="utf-8")


def _checks(sites: list[dict[str, str]], port: int) -> list[tuple[str, ...]]:
    """Seconds instead of minutes; TCP instead of ICMP, which a dead loopback address would still answer."""
    rows: list[tuple[str, ...]] = []
    for number, site in enumerate(sites):
        name, level = site["site_id"], site["level"]
        host = f"{NETWORK}.{1 + number // 250}.{1 + number % 250}"
        rows.append((name, Kind.TV, "tcp", f"{host}:{port}", "5", "", "3"))
        if level != Level.VILLAGE:
            rows.append((name, Kind.TV, "http", f"http://{host}:{port + 1}/", "5", "", "3"))
        rows.append((name, Kind.MOBILE, "heartbeat-http", "", "15", "15", ""))
        rows.append((name, Kind.PC, "heartbeat-mqtt", "", "5", "10", ""))
        if level == Level.TOWNSHIP:
            rows.append((name, UPLINK, "tcp", f"{host}:{port + 2}", "5", "", "3"))
    return rows


def _settings(sites: list[dict[str, str]], var: Path, ports: DemoPorts) -> str:
    quoted = json.dumps  # a JSON string is a TOML string
    levels = [site["level"] for site in sites]
    planned = ", ".join(f"{level} = {levels.count(level)}" for level in Level)
    always = "\n".join(f'{level} = {{ days = "daily", hours = ["00:00-24:00"] }}' for level in Level)
    return f"""\
# Written by `zhdj-monitor demo`, anew at every start. 演示数据: simulated devices, sample sites.
timezone = "Asia/Shanghai"
observer = "demo"
demo = true

[service]
{always}

[maintenance]
planned_sites = {{ {planned} }}

[http]
listen = {quoted(ports.http)}

[mqtt]
embedded = true
host = "127.0.0.1"
port = {ports.mqtt}

[database]
url = {quoted(f"sqlite+aiosqlite:///{var / 'monitor.db'}")}

[evidence]
folder = {quoted(str(var / "evidence"))}

[anchors]
file = {quoted(str(var / "anchors.jsonl"))}

[papers]
folder = {quoted(str(var / "papers"))}

[probes]
concurrency = 200
timeout_s = 2

[canaries]
targets = [{quoted(f"tcp:{CANARY_HOST}:{ports.targets}")}]
every_s = 2
"""


def _write_csv(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)

"""What is carried to the sites: one folder each, with tokens, programs filled in, and a sheet for the keeper.

Names of files are ASCII: archives and USB sticks of old Windows machines garble others.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from monitor.core.sites import Check, Kind, Level, Site
from monitor.errors import MonitorError
from monitor.settings import ServiceHours, Settings

#: An address goes into scripts of three languages, so it is made of letters that none of them reads as its own.
URL = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9._~-]+)*/?")
HOST = re.compile(r"[A-Za-z0-9.-]+")
#: A timer that beats every N seconds is asked for no more than this, and for minutes no less than one.
MOST_S = 1800
LEVELS = {Level.COUNTY: "县级", Level.TOWNSHIP: "乡镇", Level.VILLAGE: "村级"}
KINDS = {Kind.TV: "数字电视", Kind.MOBILE: "移动终端", Kind.PC: "PC 端"}
BY_MQTT = ("agent.toml", "zhdj-agent.service", "install.sh", "README.txt")
BY_HTTP = (
    *BY_MQTT,
    *("zhdj-beat.ps1", "install.cmd"),
    *("zhdj-beat.sh", "zhdj-beat.conf", "zhdj-beat.service", "zhdj-beat.timer", "zhdj-goodbye.service"),
    "zhdj-beat.cron",
)
INDEX_COLUMNS = (
    *("site_id", "name", "level", "township_name", "terminal", "check", "interval_s"),
    *("folder", "token", "issued_on"),
)


@dataclass(frozen=True, slots=True)
class Reach:
    """How the monitor is reached from a site. `ca`: a PEM certificate to trust, b"" for the system's."""

    url: str
    mqtt_host: str
    mqtt_port: int = 8883
    ca: bytes = b""
    contact: str = ""

    def __post_init__(self) -> None:
        if not URL.fullmatch(self.url):
            raise MonitorError(f"--url: expected an address such as https://monitor.example, not {self.url!r}")
        if not HOST.fullmatch(self.mqtt_host):
            raise MonitorError(f"--mqtt-host: expected a name or an address, not {self.mqtt_host!r}")


@dataclass(frozen=True, slots=True)
class Position:
    """A terminal of a site for the sheet: what it is called, and how it is watched."""

    name: str
    how: str


def templates() -> Traversable:
    """The repository's deploy/agents in a checkout; in a wheel, monitor/kit_templates (pyproject puts it there)."""
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file() and (root / "deploy" / "agents").is_dir():
        return root / "deploy" / "agents"
    packed = files("monitor") / "kit_templates"
    if (packed / "keeper.html").is_file():
        return packed
    raise MonitorError("the templates of deploy/agents are missing from this installation")


def heartbeat(checks: Sequence[Check]) -> Check | None:
    """The check that a terminal's own program serves; over HTTP where it has both: that runs everywhere."""
    own = sorted((c for c in checks if c.is_heartbeat), key=lambda c: c.check != "heartbeat-http")
    return own[0] if own else None


def terminal_files(check: Check, token: str, reach: Reach, agent: bytes) -> dict[str, bytes]:
    """The folder of one terminal that beats. `agent`: zhdj-agent.pyz."""
    http = check.channel == "http"
    values = _values(check, reach, http)
    made: dict[str, bytes] = {}
    for name in BY_HTTP if http else BY_MQTT:
        text = (templates() / name).read_text(encoding="utf-8")
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        if name.endswith((".cmd", ".ps1", ".txt")):
            text = text.replace("\n", "\r\n")
        # With a byte order mark old Windows takes it for UTF-8.
        made[name] = text.encode("utf-8-sig" if name.endswith(".txt") else "utf-8")
    made["token"] = f"{token}\n".encode()
    made["zhdj-agent.pyz"] = agent
    if reach.ca:
        made["ca.pem"] = reach.ca
    return made


def _values(check: Check, reach: Reach, http: bool) -> dict[str, str]:
    url = reach.url.rstrip("/")
    ca = "ca.pem" if reach.ca else ""
    if http:
        line = f'transport = "http"\n\n[http]\nurl = "{url}"\nca_file = "{ca}"'
        windows = (
            "Windows 7 及以上：右键 install.cmd，选“以管理员身份运行”，看到 Installed 即可。\n"
            "  状态：C:\\ProgramData\\zhdj-beat\\last.txt，202 为正常。\n"
            "  卸载：管理员命令行运行 install.cmd remove\n\n"
        )
    else:
        line = f'transport = "mqtt"\n\n[mqtt]\nhost = "{reach.mqtt_host}"\nport = {reach.mqtt_port}\nca_file = "{ca}"'
        windows = "本机位走 MQTT，需要 Python 3.11：python zhdj-agent.pyz --config agent.toml\n\n"
    every_s = min(check.interval_ms / 1000, MOST_S)
    return {
        "SITE": check.site_id,
        "TERMINAL": check.terminal,
        "URL": url,
        "INTERVAL_S": f"{every_s:g}",
        "INTERVAL_MIN": str(max(1, int(every_s // 60))),
        "CA_FILE": "/etc/zhdj-beat/ca.pem" if reach.ca else "",
        "LINE": line,
        "WINDOWS": windows,
        "LINUX_WHAT": " （curl 加 systemd 定时器；有 Python 3.11 时也可 sh install.sh agent）" if http else "",
        "SERVICES_WHERE": " agent.toml 或 zhdj-beat.ps1 开头" if http else " agent.toml",
    }


def agent_archive() -> bytes:
    """zhdj-agent.pyz: the agent and paho-mqtt in one file that python3 runs, with nothing to install."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:

        def put(name: str, data: bytes) -> None:
            # Always the same bytes for the same program.
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)

        put("__main__.py", b"import sys\nfrom monitor.agent.__main__ import main\nsys.exit(main())\n")
        put("monitor/__init__.py", (_folder("monitor") / "__init__.py").read_bytes())
        for package in ("monitor.agent", "paho", "paho.mqtt"):
            for path in sorted(_folder(package).glob("*.py")):
                put(f"{package.replace('.', '/')}/{path.name}", path.read_bytes())
        # Its licences ask to go along.
        for file in metadata.files("paho-mqtt") or ():
            if "license" in str(file).lower():
                put(f"paho/{file.name}", file.read_binary())
    return b"#!/usr/bin/env python3\n" + made.getvalue()


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise MonitorError(f"{package} is missing from this installation")
    return Path(next(iter(found.submodule_search_locations)))


def sheet(site: Site, positions: Sequence[Position], settings: Settings, reach: Reach, issued_on: date) -> bytes:
    """站点管理员须知: HTML that any browser prints on one A4 page. No token stands on it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string((templates() / "keeper.html").read_text(encoding="utf-8"))
    limit = settings.maintenance.repair_limit_h.of(site.level)
    text = template.render(
        site=site,
        level=LEVELS[site.level],
        positions=positions,
        hours=hours_text(settings.service.get(str(site.level))),
        repair_limit=f"{limit:g}",
        contact=reach.contact,
        issued_on=f"{issued_on.year} 年 {issued_on.month} 月 {issued_on.day} 日",
    )
    return text.encode()


def hours_text(service: ServiceHours | None) -> str:
    """As people write it: 工作日 08:30-12:00、14:00-18:00."""
    if service is None:
        service = ServiceHours()
    hours = "全天" if service.hours == ("00:00-24:00",) else "、".join(service.hours)
    return f"{'工作日' if service.days == 'workdays' else '每天'} {hours}"


def position(kind: str, checks: Sequence[Check]) -> Position:
    """A terminal for the sheet."""
    name = KINDS.get(Kind(kind), kind)
    own = heartbeat(checks)
    if own is not None:
        return Position(name, f"每 {_span(own.interval_ms // 1000)}报一次")
    return Position(name, "由县里远程探测，不装程序" if checks else "暂未监测")


def _span(seconds: int) -> str:
    return f"{seconds // 60} 分钟" if seconds >= 60 and seconds % 60 == 0 else f"{seconds} 秒"


def index_file(rows: Sequence[Mapping[str, object]]) -> bytes:
    """What went where, for a spreadsheet. No token stands in it: `token` is the beginning of its hash."""
    made = io.StringIO()
    writer = csv.writer(made)
    writer.writerow(INDEX_COLUMNS)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in INDEX_COLUMNS])
    return made.getvalue().encode("utf-8-sig")


def _cell(value: object) -> str:
    text = str(value)
    # A spreadsheet would take it for a formula.
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text

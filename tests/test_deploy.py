"""deploy/: the installer lays the same files twice, and every file is accepted by the program that reads it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml  # type: ignore[import-untyped]

from monitor.core.alerts import FIRING, WAITING, Alert, Telling, message
from monitor.settings import load_settings
from tests.services import ServiceError, program

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
SCRIPTS = [
    "install", "bundle", "compose-setup", "bin/zhdj-monitor", "backup/zhdj-backup",
    "lib/place.sh", "lib/secrets.sh", "lib/machine.sh", "lib/release.sh", "lib/check.sh",
]  # fmt: skip


def run(*command: object, expect: int = 0, **more: Any) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **more
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def manifest(folder: Path) -> dict[str, tuple[str, str]]:
    """Every file, folder and link below: its mode, and its hash or where it leads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = oct(stat.S_IMODE(path.lstat().st_mode))
        if path.is_symlink():
            what = os.readlink(path)
        elif path.is_file():
            what = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            what = "folder"
        found[str(path.relative_to(folder))] = (mode, what)
    return found


def lay(root: Path, *more: object, expect: int = 0) -> str:
    return run("bash", DEPLOY / "install", "install", "--root", root, *more, expect=expect)


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("laid")
    config = shutil.copytree(ROOT / "config", tmp_path_factory.mktemp("county") / "config")
    (config / "reports").mkdir()
    (config / "reports" / "goals-2026.toml").write_text("# of this county")
    lay(root, "--config", config, "--name", "monitor.example", "--ntp", "10.0.0.1")
    return root


def test_twice_is_the_same(laid: Path) -> None:
    before = manifest(laid)
    assert len(before) > 60
    # What was said the first time is remembered.
    lay(laid)
    assert manifest(laid) == before
    # Nor by the installer that lies in the release itself.
    run("bash", laid / "opt/zhdj-monitor/current/deploy/install", "install", "--root", laid)
    assert manifest(laid) == before


def test_what_somebody_wrote_in_our_place_is_kept(laid: Path) -> None:
    ours = laid / "etc/mosquitto/conf.d/zhdj.conf"
    before = ours.read_bytes()
    ours.write_text("# mine\n")
    (laid / "etc/zhdj-monitor/monitor.toml").write_text('timezone = "Asia/Shanghai"\n# the county\'s\n')
    assert "kept what stood in" in lay(laid)
    assert ours.read_bytes() == before
    [kept] = (laid / "var/backups/zhdj-monitor/etc/etc/mosquitto/conf.d").iterdir()
    assert kept.read_text() == "# mine\n"
    assert "the county's" in (laid / "etc/zhdj-monitor/monitor.toml").read_text()


def test_what_is_said_anew_replaces_our_own(laid: Path) -> None:
    said = lay(laid, "--ntp", "10.0.0.2")
    assert "kept what stood in" not in said
    assert (laid / "etc/chrony/sources.d/zhdj.sources").read_text() == "server 10.0.0.2 iburst\n"
    assert "kept what stood in" not in lay(laid, "--ntp", "10.0.0.1")
    # Whatever was laid is listed, with its hash: `check` compares, `uninstall` takes it away.
    listed = dict(line.split("  ")[::-1] for line in (laid / "opt/zhdj-monitor/placed").read_text().splitlines())
    assert {"/etc/zhdj-monitor/install.conf", "/etc/zhdj-monitor/service.env"} <= listed.keys()
    for path, digest in listed.items():
        assert hashlib.sha256((laid / path.lstrip("/")).read_bytes()).hexdigest() == digest


def test_secrets_are_made_once_for_few_and_stand_nowhere_else(laid: Path) -> None:
    etc = laid / "etc/zhdj-monitor"
    named = ("secrets.env", "alertmanager-token", "grafana-admin-password", "tls/server.key", "tls/ca.key")
    modes = {name: (etc / name).stat().st_mode & 0o077 for name in named}
    assert {name: mode & 0o007 for name, mode in modes.items()} == dict.fromkeys(named, 0)
    assert modes["secrets.env"] == modes["tls/ca.key"] == modes["tls/server.key"] == 0
    password = (etc / "secrets.env").read_text().strip().removeprefix("ZHDJ_MQTT__PASSWORD=")
    assert re.fullmatch("[0-9a-f]{40}", password)
    tellers = [p for p in laid.rglob("*") if p.is_file() and not p.is_symlink() and password.encode() in p.read_bytes()]
    assert tellers == [etc / "secrets.env"]


def test_the_service_takes_what_the_installer_tells_it(laid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in (laid / "etc/zhdj-monitor/service.env").read_text().splitlines():
        if line.startswith("ZHDJ_"):
            monkeypatch.setenv(*line.split("=", 1))
    settings = load_settings(ROOT / "config")
    assert settings.database.url.get_secret_value().startswith("postgresql+asyncpg://zhdj@/zhdj?host=/")
    assert settings.http.listen == "127.0.0.1:8080"
    assert not settings.mqtt.embedded


def test_the_certificate_is_of_the_name_and_the_authority(laid: Path) -> None:
    tls = laid / "etc/zhdj-monitor/tls"
    run("openssl", "verify", "-CAfile", tls / "ca.pem", "-verify_hostname", "monitor.example", tls / "server.pem")
    run("openssl", "verify", "-CAfile", tls / "ca.pem", "-verify_ip", "127.0.0.1", tls / "server.pem")


def test_a_certificate_of_their_own(laid: Path, tmp_path: Path) -> None:
    tls = laid / "etc/zhdj-monitor/tls"
    lay(tmp_path, "--config", ROOT / "config", "--name", "x", "--cert", tls / "server.pem", "--key", tls / "server.key")
    assert (tmp_path / "etc/mosquitto/zhdj-tls/server.pem").read_bytes() == (tls / "server.pem").read_bytes()
    assert not (tmp_path / "etc/zhdj-monitor/tls/ca.key").exists()
    said = lay(tmp_path, "--cert", tls / "ca.pem", "--key", tls / "server.key", expect=2)
    assert "is not the key of" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", "a b"], "--name: expected a host name"),
        (["--name", "x"], "the first time --config DIR is needed"),
        (["--backup-to", "/a b"], "--backup-to: no spaces"),
        (["--colour", "red"], "--colour is not known"),
    ],
)
def test_mistakes_are_one_line_and_status_2(tmp_path: Path, arguments: list[str], said: str) -> None:
    message = lay(tmp_path, *arguments, expect=2)
    assert said in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("command", ["uninstall --root", "upgrade --root", "upgrade --config", "rollback --bundle"])
def test_what_a_command_would_not_read_is_refused(tmp_path: Path, command: str) -> None:
    """`uninstall --root DIR` would have taken the machine's own program away."""
    name, option = command.split()
    assert f"{option} does not go with {name}" in run(DEPLOY / "install", name, option, tmp_path, expect=2)


def test_the_county_s_configuration_is_read_once_and_whole(laid: Path) -> None:
    assert "was not read" in lay(laid, "--config", ROOT / "config")
    etc = laid / "etc/zhdj-monitor"
    assert {path.name for path in etc.glob("*.csv")} == {path.name for path in (ROOT / "config").glob("*.csv")}
    # By these its years are scored.
    assert (etc / "reports/goals-2026.toml").read_text() == "# of this county"


# --- Every shipped file is accepted by the program that reads it ------------------------------------------------------


@pytest.mark.parametrize("script", SCRIPTS)
def test_bash_reads_every_script(script: str) -> None:
    run("bash", "-n", DEPLOY / script)
    assert "/" not in Path(script).name
    if not script.startswith("lib/"):
        assert os.access(DEPLOY / script, os.X_OK)


def test_shellcheck_finds_nothing() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    run("shellcheck", "--severity=warning", *(DEPLOY / script for script in SCRIPTS))


def test_nginx_takes_it(laid: Path, tmp_path: Path) -> None:
    try:
        nginx = program("nginx")
    except ServiceError:
        pytest.skip("nginx is not installed")
    text = (laid / "etc/nginx/sites-available/zhdj-monitor.conf").read_text()
    assert "@" not in re.sub("#.*", "", text)
    text = text.replace("/etc/zhdj-monitor/", f"{laid}/etc/zhdj-monitor/").replace(
        "/var/log/zhdj-monitor", str(tmp_path)
    )
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"pid {tmp_path}/pid;\nerror_log {tmp_path}/log;\nevents {{}}\nhttp {{\n{text}\n}}\n")
    assert "test is successful" in run(nginx, "-t", "-c", conf, "-p", tmp_path)


def test_paths_with_tokens_are_in_no_log_of_nginx() -> None:
    text = (DEPLOY / "nginx/zhdj-monitor.conf").read_text()
    [block] = re.findall(r"location ~ \^/\(ping\|api/push\)/ \{(.*?)\n    \}", text, re.DOTALL)
    assert "access_log off;" in block
    assert "error_log /dev/null;" in block


def test_mosquitto_takes_it(laid: Path, tmp_path: Path) -> None:
    conf = tmp_path / "mosquitto.conf"
    text = "".join((laid / f"etc/mosquitto/conf.d/{name}").read_text() for name in ("zhdj.conf", "zhdj-tls.conf"))
    text = text.replace("/etc/mosquitto/", f"{laid}/etc/mosquitto/")
    for number, listener in enumerate(re.findall(r"^listener .*", text, re.MULTILINE)):
        text = text.replace(listener, f"listener 0 {tmp_path}/s{number}")
    conf.write_text(f"{text}persistence_location {tmp_path}/\nuser root\n")
    # 2.0 has no option for it: it must not end by itself.
    done = subprocess.run(
        ["timeout", "1", program("mosquitto"), "-c", str(conf)], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 124, done.stderr
    assert "Error" not in done.stderr


def test_prometheus_and_alertmanager_take_what_lies_there(laid: Path) -> None:
    lies = laid / "etc/prometheus/zhdj"
    assert "rule files found" in run(program("promtool"), "check", "config", lies / "prometheus.yml")
    assert "SUCCESS" in run(program("amtool"), "check-config", lies / "alertmanager" / "alertmanager.yml")
    # The token that Alertmanager shows and the one that the service expects are one file.
    service = (laid / "etc/zhdj-monitor/service.env").read_text()
    [token] = re.findall("^ZHDJ_ALERTS__TOKEN_FILE=(.*)$", service, re.MULTILINE)
    assert f"credentials_file: {token}" in (lies / "alertmanager" / "alertmanager.yml").read_text()


def test_systemd_takes_the_units(laid: Path) -> None:
    try:
        analyze = program("systemd-analyze")
    except ServiceError:
        pytest.skip("systemd is not installed")
    units = sorted((laid / "etc/systemd/system").glob("zhdj-*.*"))
    assert len(units) == 8
    done = subprocess.run([analyze, "verify", "--man=no", *map(str, units)], capture_output=True, text=True, timeout=60)
    # The programs are not installed where the units look for them; nothing else may be wrong.
    said = [line for line in done.stderr.splitlines() if "zhdj" in line and "is not executable" not in line]
    assert said == []
    rated = run(
        analyze, "security", "--offline=yes", "--no-pager", "--threshold=25", units[0].parent / "zhdj-monitor.service"
    )
    [level] = re.findall(r"Overall exposure level for zhdj-monitor.service: ([\d.]+)", rated)
    assert float(level) <= 1.5


def test_journald_logrotate_and_sysctl_files_are_laid(laid: Path) -> None:
    assert "MaxRetentionSec=190day" in (laid / "etc/systemd/journald.conf.d/zhdj-monitor.conf").read_text()
    assert "ping_group_range" in (laid / "etc/sysctl.d/60-zhdj-monitor.conf").read_text()
    assert (laid / "etc/chrony/sources.d/zhdj.sources").read_text() == "server 10.0.0.1 iburst\n"


def test_grafana_finds_the_dashboards_and_the_datasource(laid: Path) -> None:
    provisioning = laid / "etc/grafana/provisioning"
    [source] = yaml.safe_load((provisioning / "datasources/zhdj.yaml").read_text())["datasources"]
    [provider] = yaml.safe_load((provisioning / "dashboards/zhdj.yaml").read_text())["providers"]
    folder = laid / provider["options"]["path"].lstrip("/")
    dashboards = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    assert dashboards.keys() == {path.name for path in (ROOT / "dashboards").glob("*.json")}
    assert any(f'"uid": "{source["uid"]}"' in text for text in dashboards.values()) or all(
        "${" in text for text in dashboards.values()
    )
    lead_to_the_service(dashboards)


def lead_to_the_service(dashboards: dict[str, str]) -> None:
    """Links to the service's pages are opened on everybody's own computer, where 127.0.0.1 is nobody."""
    for name, text in dashboards.items():
        assert "127.0.0.1" not in text, name
        (console,) = (v for v in json.loads(text)["templating"]["list"] if v["name"] == "console")
        assert console["query"] == "https://monitor.example", name


def told(script: Path, *words: str, folder: Path) -> tuple[str, str]:
    """What `zhdj-backup` tells Alertmanager: the alert's name, and the message that people read of it."""
    (folder / "amtool").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (folder / "amtool").chmod(0o755)
    path = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    said = run("bash", script, *words, env=path).splitlines()
    if not said:
        return "", ""
    annotations = dict(line.removeprefix("--annotation=").split("=", 1) for line in said if "--annotation" in line)
    name = said[said.index("add") + 1]
    page, _, anchor = annotations["runbook_url"].partition("#")
    assert anchor == name
    assert f'<a id="{name}"></a>' in (ROOT / page).read_text(encoding="utf-8")
    assert f"| `{name}` | warning |" in (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    telling = Telling(1, "duty", Alert("f", FIRING, 0, None, {"severity": "warning"}, annotations), 0, WAITING, 0)
    return name, message([telling], ZoneInfo("Asia/Shanghai"), 0, 4_000)[0]


def test_a_failed_backup_is_told_in_words_and_with_its_page(tmp_path: Path) -> None:
    name, text = told(DEPLOY / "backup/zhdj-backup", "told", "zhdj-backup.service", folder=tmp_path)
    assert name == "ZhdjUnitFailed"
    assert text.startswith("【警告】监测系统：备份任务失败：zhdj-backup.service（08:00起）\n监测服务器上的")


def test_the_end_of_the_servers_own_certificate_is_told_a_month_before(laid: Path, tmp_path: Path) -> None:
    """Every terminal trusts it, and nobody looks at it for two years."""
    script = (DEPLOY / "backup/zhdj-backup").read_text(encoding="utf-8")
    assert "    certificate || " in script  # every night
    tls = tmp_path / "tls"
    shutil.copytree(laid / "etc/zhdj-monitor/tls", tls)
    (tmp_path / "script").write_text(script.replace("ETC=/etc/zhdj-monitor\n", f"ETC={tmp_path}\n"), encoding="utf-8")
    assert told(tmp_path / "script", "certificate", folder=tmp_path) == ("", "")
    request = ("openssl", "req", "-x509", "-new", "-key", tls / "server.key", "-subj", "/CN=x")
    run(*request, "-days", "20", "-out", tls / "server.pem")
    name, text = told(tmp_path / "script", "certificate", folder=tmp_path)
    assert name == "ZhdjServerCertificate"
    assert re.match(r"【警告】监测系统：监测服务器的证书即将到期：20\d\d-\d\d-\d\d（08:00起）\n到期后全部", text)


# --- Compose ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("composed") / "compose"
    for _ in range(2):
        run("bash", DEPLOY / "compose-setup", "--config", ROOT / "config", "--name", "monitor.example", "--out", out)
    return out


def test_compose_has_all_parts_pinned_and_checked(composed: Path) -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yml").read_text())
    services: dict[str, Any] = compose["services"]
    assert set(services) == {
        "monitor", "postgres", "mosquitto", "prometheus", "alertmanager", "grafana", "nginx"
    }  # fmt: skip
    for name, service in services.items():
        assert re.search(r":v?\d+\.\d+[\d.]*(-\w+)?$", service["image"]), name
        assert {"test", "interval", "timeout"} <= service["healthcheck"].keys(), name
        assert service["restart"] == "unless-stopped"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./compose/"):
                assert (composed / source.removeprefix("./compose/")).exists(), volume
            elif source.startswith("."):
                assert (DEPLOY / source).exists(), volume
            else:
                assert source in compose["volumes"], volume
    for secret in compose["secrets"].values():
        assert (composed / secret["file"].removeprefix("compose/")).stat().st_size > 40
    assert oct((composed / "monitor.env").stat().st_mode & 0o777) == "0o600"
    lead_to_the_service({path.name: path.read_text(encoding="utf-8") for path in (composed / "dashboards").iterdir()})


def test_docker_takes_it(composed: Path, tmp_path: Path) -> None:
    client = shutil.which("docker")
    if not client or subprocess.run([client, "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not installed")
    shutil.copy(DEPLOY / "compose.yml", tmp_path)
    shutil.copytree(composed, tmp_path / "compose")
    run(client, "compose", "-f", tmp_path / "compose.yml", "config", "--quiet")

"""The support bundle holds what helps and no secret, also where nothing works; and what systemd is told."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from monitor.app import _cut
from monitor.errors import MonitorError
from monitor.flows import support
from monitor.flows.support import Scrub, support_bundle
from monitor.publish.supervisor import ALIVE, READY, supervisor
from monitor.store.database import opened
from tests.service_under_test import ROOT
from tests.services import free_port

SECRETS = {
    "password of the broker": "br0ker-Passw0rd!",
    "password of the mail server": "m4il-secret",
    "bearer of /metrics": "metrics-bearer-77",
    "SNMP community": "n0tpublic",
    "token of a device": "zd_" + "q7w8e9r0" * 4,
    "ping token in a path": "zp_" + "abcdef12" * 4,
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "monitor.toml").write_text(
        f"""
[http]
listen = "127.0.0.1:1"
metrics_token = "{SECRETS["bearer of /metrics"]}"
[mqtt]
username = "monitor"
password = "{SECRETS["password of the broker"]}"
[database]
url = "sqlite+aiosqlite:///{tmp_path}/monitor.db"
[evidence]
folder = "{tmp_path}/evidence"
[papers]
folder = "{tmp_path}/papers"
[anchors]
password = "{SECRETS["password of the mail server"]}"
""",
        encoding="utf-8",
    )
    (folder / "sites.csv").write_text(
        "site_id,name,level,township_code,township_name,uplink\nC1,县政务中心,county,C,城区,\n", encoding="utf-8"
    )
    (folder / "checks.csv").write_text(
        "site_id,terminal,check,target,interval_s,grace_s,failures\n"
        f"C1,tv,snmp,{SECRETS['SNMP community']}@192.0.2.7,60,,3\n",
        encoding="utf-8",
    )
    return folder


def read(path: Path) -> dict[str, str]:
    with tarfile.open(path) as bundle:
        files = {m.name: bundle.extractfile(m) for m in bundle.getmembers()}
        return {name.removeprefix("zhdj-support/"): f.read().decode() for name, f in files.items() if f is not None}


async def test_it_tells_much_and_no_secret(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/monitor.db"):
        pass
    monkeypatch.setenv("ZHDJ_OBSERVER", "kaijiang-2")
    # Whatever programs say: here, every secret that there is.
    everything = "\n".join(
        f"GET /ping/{value} said {value} for postgresql://zhdj:{value}@db/zhdj" for value in SECRETS.values()
    )
    monkeypatch.setattr(support, "_run", lambda *_: everything)
    monkeypatch.setattr(support, "_get", lambda *_: everything)
    names = await support_bundle(config, tmp_path / "support.tar.gz", 1_700_000_000_000)

    parts = read(tmp_path / "support.tar.gz")
    assert sorted(parts) == names
    assert (tmp_path / "support.tar.gz").stat().st_mode & 0o777 == 0o600
    for what, secret in SECRETS.items():
        assert [name for name, text in parts.items() if secret in text] == [], what
    assert json.loads(parts["about.json"])["environment"] == ["ZHDJ_OBSERVER"]
    assert json.loads(parts["settings.json"])["mqtt"]["username"] == "monitor"
    assert json.loads(parts["inventory.json"])["sites"]["county"] == 1
    assert json.loads(parts["database.json"])["rows"]["token"] == 0
    assert "log/zhdj-monitor.service.txt" in parts
    with pytest.raises(MonitorError, match="written over"):
        await support_bundle(config, tmp_path / "support.tar.gz", 0)


async def test_it_is_made_where_nothing_works(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (config / "checks.csv").write_text("nonsense\n")
    await support_bundle(config, tmp_path / "support.tar.gz", 1_700_000_000_000)
    parts = read(tmp_path / "support.tar.gz")
    assert "no answer" in parts["readyz.json"]
    assert "is not there" in parts["units.txt"]
    assert "there is no database" in parts["database.json"]
    assert "checks.csv" in parts["inventory.json"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("postgresql+asyncpg://zhdj:pg-hunter2@db/zhdj", "postgresql+asyncpg://zhdj:***@db/zhdj"),
        ("GET /ping/0123456789/start HTTP/1.1", "GET /ping/***/start HTTP/1.1"),
        (
            "https://oapi.dingtalk.com/robot/send?access_token=77",
            "https://oapi.dingtalk.com/robot/send?access_token=***",
        ),
        ("site 511723001 is up", "site 511723001 is up"),
    ],
)
def test_what_looks_like_a_secret_is_masked(said: str, kept: str) -> None:
    assert Scrub(set())(said) == kept


def test_systemd_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        tell = supervisor({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        tell(READY)
        tell(ALIVE)
        assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"WATCHDOG=1"]
    tell(ALIVE)  # it went away: no trouble of ours
    supervisor({})(ALIVE)


def test_a_service_says_that_it_is_ready_lives_and_stops(config: Path, tmp_path: Path) -> None:
    (config / "checks.csv").write_text(
        "site_id,terminal,check,target,interval_s,grace_s,failures\nC1,pc,heartbeat-mqtt,,60,60,\n"
    )
    text = (config / "monitor.toml").read_text()
    text = text.replace(':1"', f':{free_port()}"').replace("[mqtt]", f"[mqtt]\nembedded = true\nport = {free_port()}")
    (config / "monitor.toml").write_text(text)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        command = [sys.executable, "-m", "monitor", "serve", "--config", str(config)]
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as service:
            try:
                assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"WATCHDOG=1"]
                service.terminate()
                while (said := systemd.recv(64)) == b"WATCHDOG=1":
                    pass
                assert said == b"STOPPING=1"
                assert service.wait(30) == 0
            finally:
                service.kill()


async def test_a_loop_that_comes_round_is_the_sign_of_life() -> None:
    class Cuts:
        async def cut(self) -> None: ...

    said: list[str] = []
    task = asyncio.create_task(_cut(Cuts(), 0.001, said.append))  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        while len(said) < 2:
            await asyncio.sleep(0.001)
    task.cancel()
    assert set(said) == {ALIVE}

"""People, audit log, verify and archive from the command line; a service that closes its days and anchors its heads."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from monitor.cli import program
from monitor.cli.acting import stored_token
from monitor.clock import from_iso, wall_ms
from monitor.core.access import Forbidden
from monitor.errors import MonitorError
from monitor.evidence import anchors
from monitor.flows import people
from monitor.inventory.load import load
from tests.folders import FILES
from tests.services import free_port, wait_for
from tests.serving import Serving, probe, run, write_config
from tests.test_observe import HOUR, live, observing

GOOD = "Correct-horse-9"


class Shell:
    """Commands in this process, on one configuration, as one user of the machine."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = folder / "config"
        self.folder = folder
        self.capsys = capsys

    def __call__(self, *arguments: object) -> str:
        """What it prints. Raises MonitorError."""
        self.capsys.readouterr()
        program([*map(str, arguments), "--config", str(self.config)], standalone_mode=False)
        return self.capsys.readouterr().out

    def json(self, *arguments: object) -> Any:
        return json.loads(self(*arguments, "--json"))

    def fails(self, *arguments: object) -> tuple[int, str]:
        """Exit status (it ran, and what it checked does not hold) and what it printed."""
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            program([*map(str, arguments), "--config", str(self.config)], standalone_mode=False)
        assert isinstance(end.value.code, int)
        return end.value.code, self.capsys.readouterr().out

    def password(self, name: str, text: str = GOOD, mode: int = 0o600) -> Path:
        path = self.folder / f"{name}.password"
        path.write_text(text + "\n")
        path.chmod(mode)
        return path

    def sql(self, statement: str) -> list[Any]:
        with sqlite3.connect(self.folder / "monitor.db") as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setattr(people, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    made = Shell(tmp_path, capsys)
    made.config.mkdir()
    for name, text in FILES.items():
        (made.config / name).write_text(text, encoding="utf-8")
    below = f"""[database]
url = "sqlite+aiosqlite:///{tmp_path}/monitor.db"
[evidence]
folder = "{tmp_path}/evidence"
[anchors]
file = "{tmp_path}/anchors.jsonl"
"""
    with (made.config / "monitor.toml").open("a", encoding="utf-8") as file:
        file.write(below)
    return made


def test_from_set_up_to_an_archive(shell: Shell) -> None:
    with pytest.raises(MonitorError, match="there is no database"):
        shell("user", "list")
    shell("user", "add", "chen", "--role", "admin", "--password-file", shell.password("chen"))
    with pytest.raises(MonitorError, match="没有登录"):
        shell("user", "add", "li", "--role", "admin", "--new-password-file", shell.password("li"))
    shell("user", "sign-in", "chen", "--password-file", shell.password("chen"))
    shell("user", "add", "li", "--role", "auditor", "--role", "finance", "--new-password-file", shell.password("li"))
    shell(
        "user", "add", "wang", "--role", "operator", "--township", "T1", "--new-password-file", shell.password("wang")
    )
    assert [(p["name"], p["roles"], p["townships"]) for p in shell.json("user", "list")] == [
        ("chen", ["admin"], None),
        ("li", ["auditor", "finance"], None),
        ("wang", ["operator"], ["T1"]),
    ]
    as_li = ("--as", "li", "--password-file", shell.password("li"))
    as_wang = ("--as", "wang", "--password-file", shell.password("wang"))
    with pytest.raises(Forbidden, match="wang 无权执行"):
        shell("audit", "list", *as_wang)
    audit = shell.json("audit", "list", *as_li)
    assert [(r["who"], r["action"], r["outcome"]) for r in audit] == [
        ("system", "user.manage", "done"),
        ("chen", "user.self", "done"),
        ("chen", "user.manage", "done"),
        ("chen", "user.manage", "done"),
        ("chen", "user.manage", "done"),
        ("wang", "audit.own", "refused"),
    ]
    assert shell.json("audit", "list", "--to", "2020-01-01", *as_li) == []
    assert {r["who"] for r in shell.json("audit", "list", "--who", "wang", *as_li)} == {"wang"}
    assert "核对通过" in shell("verify")
    line = shell("audit", "list", *as_li).splitlines()[0].split("\t")
    assert datetime.fromisoformat(line[1]).utcoffset() == timedelta(hours=8)
    assert abs(from_iso(line[1]) - audit[0]["at_ms"]) < 1000
    year = int(audit[0]["at"][:4])
    for wrong in (1999, year + 1, 99999):
        with pytest.raises(MonitorError, match=f"归档年份应为 2000 至 {year}，实为 {wrong}"):
            shell("archive", wrong, "--out", shell.folder / "never", *as_li)
    assert not (shell.folder / "never").exists()
    shell("archive", year, "--out", shell.folder / "out", *as_li)
    done = subprocess.run(
        [sys.executable, "-I", "-S", shell.folder / "out" / "verify_archive.py"], capture_output=True, timeout=60
    )
    assert done.returncode == 0
    shell("user", "sign-out")
    with pytest.raises(MonitorError, match="没有登录"):
        shell("user", "list")


def test_verify_names_the_bad_row_and_exits_with_1(shell: Shell) -> None:
    shell("user", "add", "chen", "--role", "admin", "--password-file", shell.password("chen"))
    shell("user", "sign-in", "chen", "--password-file", shell.password("chen"))
    shell.sql("UPDATE audit SET who = 'nobody' WHERE n = 1")
    status, said = shell.fails("verify")
    assert status == 1
    assert "链 audit 第 1 条：内容与其哈希不符" in said
    status, said = shell.fails("verify", "--json")
    assert (status, json.loads(said)["holds"]) == (1, False)
    assert json.loads(said)["chains"][0]["first_bad"] == 1
    with pytest.raises(MonitorError, match="no such file"):
        shell("verify", "--anchors", shell.folder / "none")


def test_the_sessions_file_is_for_its_owner_alone(shell: Shell) -> None:
    shell("user", "add", "chen", "--role", "admin", "--password-file", shell.password("chen"))
    shell("user", "sign-in", "chen", "--password-file", shell.password("chen"))
    path = shell.folder / "home" / "zhdj-monitor" / "sessions.json"
    assert path.stat().st_mode & 0o777 == 0o600
    token = stored_token(shell.config)
    assert token is not None
    assert shell.sql("SELECT count(*) FROM session") == [(1,)]
    assert token not in str(shell.sql("SELECT * FROM session"))
    path.write_text("{ torn")
    with pytest.raises(MonitorError, match="没有登录"):
        shell("user", "list")


def test_a_password_comes_from_a_file_of_ones_own_or_a_terminal(shell: Shell) -> None:
    with pytest.raises(MonitorError, match="others may read it"):
        shell("user", "add", "chen", "--role", "admin", "--password-file", shell.password("chen", mode=0o644))
    with pytest.raises(MonitorError, match="first line"):
        shell("user", "add", "chen", "--role", "admin", "--password-file", shell.password("chen", ""))
    with pytest.raises(MonitorError, match="cannot be read"):
        shell("user", "add", "chen", "--role", "admin", "--password-file", shell.folder / "none")
    with pytest.raises(MonitorError, match="--as 须同时给出 --password-file"):
        shell("user", "list", "--as", "chen")
    done = run("user", "add", "chen", "--role", "admin", "--config", shell.config)
    assert (done.returncode, done.stdout) == (2, "")
    assert "不在终端上" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("user", "add", "x", "--role", "king"), "--role: expected"),
        (("user", "add", "x", "--role", "admin", "--township", "T9"), "no township T9"),
        (("audit", "list", "--from", "yesterday"), "应为日期"),
        (("archive", "2026", "--out", "."), "empty folder"),
    ],
)
def test_a_wrong_call_says_what_is_expected(shell: Shell, arguments: tuple[str, ...], why: str) -> None:
    shell("user", "add", "chen", "--role", "admin", "--password-file", shell.password("chen"))
    shell("user", "sign-in", "chen", "--password-file", shell.password("chen"))
    more = ("--new-password-file", shell.password("x")) if arguments[0] == "user" else ()
    with pytest.raises(MonitorError, match=why):
        shell(*arguments, *more)


def test_tokens_are_the_admins_once_there_is_one(shell: Shell) -> None:
    out = shell.folder / "first.json"
    shell("token", "issue", "--out", out, "--terminal", "V1/pc")
    shell("user", "add", "chen", "--role", "admin", "--password-file", shell.password("chen"))
    with pytest.raises(MonitorError, match="没有登录"):
        shell("token", "issue", "--out", shell.folder / "second.json", "--terminal", "V1/pc")
    shell("user", "sign-in", "chen", "--password-file", shell.password("chen"))
    shell("user", "add", "li", "--role", "operator", "--new-password-file", shell.password("li"))
    as_li = ("--as", "li", "--password-file", shell.password("li"))
    with pytest.raises(Forbidden):
        shell("token", "rotate", "V1/pc", "--out", shell.folder / "second.json", *as_li)
    with pytest.raises(Forbidden):
        shell("token", "kit", "--out", shell.folder / "kit", "--url", "https://monitor.example", *as_li)
    assert not (shell.folder / "second.json").exists()
    assert not (shell.folder / "kit").exists()
    shell("token", "rotate", "V1/pc", "--out", shell.folder / "second.json")
    shell("token", "revoke", "V1/pc")
    with pytest.raises(MonitorError, match="no valid token"):
        shell("token", "revoke", "V1/pc")
    acts = [r for r in shell.json("audit", "list") if r["action"] == "token.manage"]
    assert [(r["who"], r["what"], r["outcome"]) for r in acts] == [
        ("system", "issue 1 device: V1/pc", "done"),
        ("li", "rotate device: V1/pc", "refused"),
        ("li", "kit: kit", "refused"),
        ("chen", "rotate device: V1/pc", "done"),
        ("chen", "revoke: V1/pc", "done"),
        ("chen", "revoke: V1/pc", "refused"),
    ]
    assert json.loads(out.read_text())["V1/pc"] not in str(acts)


def test_changes_of_people(shell: Shell) -> None:
    shell("user", "add", "chen", "--role", "admin", "--password-file", shell.password("chen"))
    shell("user", "sign-in", "chen", "--password-file", shell.password("chen"))
    shell("user", "add", "li", "--role", "viewer", "--new-password-file", shell.password("li"))
    shell("user", "role", "li", "--role", "approver", "--township", "T1")
    shell("user", "password", "li", "--new-password-file", shell.password("new", "Another-horse-8"))
    shell("user", "disable", "li")
    li = shell.json("user", "list")[1]
    assert (li["roles"], li["townships"], bool(li["disabled_at"])) == (["approver"], ["T1"], True)
    shell("user", "enable", "li")
    shell("user", "sign-in", "li", "--password-file", shell.password("new", "Another-horse-8"))
    with pytest.raises(Forbidden):
        shell("user", "disable", "chen")
    shell("user", "password", "li", "--new-password-file", shell.password("newer", "Third-horse-777"))
    with pytest.raises(MonitorError, match="没有登录"):
        shell("audit", "list")


def test_a_service_closes_the_days_that_ended_and_anchors_them(tmp_path: Path) -> None:
    """Days that ended while it was down are in the chain, and outside the database, soon after its start."""
    checks = [probe("V1", "tv", free_port()), ("T1", "tv", "icmp", "127.0.0.1", "60", "", "5")]
    checks.append(("V1", "pc", "heartbeat-mqtt", "", "60", "180", ""))
    config = write_config(tmp_path, http=free_port(), mqtt=free_port(), checks=checks, embedded=True)
    loaded = load(config)
    start = wall_ms() - 50 * HOUR

    async def two_days_ago() -> None:
        folder = Path(loaded.settings.evidence.folder)
        url = loaded.settings.database.url.get_secret_value()
        async with observing(loaded, url, folder, start) as observer:
            await live(observer, start + 26 * HOUR, every=30 * 60_000)

    asyncio.run(two_days_ago())
    path = tmp_path / "anchors.jsonl"

    def closed() -> int:
        return max((a.n for a in anchors.read(path).heads if a.tag == "evidence/test"), default=0)

    with Serving(config):
        wait_for(lambda: closed() >= 2, 60, "the days to be anchored")
    with Serving(config):
        pass  # a second start: nothing twice
    done = run("verify", "--config", config, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, found
    assert found["evidence_days"] == closed()
    assert found["notes"] == []
    for log in (tmp_path / "evidence").glob("*.zst"):
        log.unlink()
    done = run("verify", "--config", config, "--json")
    assert {f["kind"] for f in json.loads(done.stdout)["faults"]} == {"log_missing"}

"""`inventory ...` as a person types it: what it prints, how it ends, and who may."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from argon2 import PasswordHasher

from monitor.cli import program
from monitor.clock import wall_ms
from monitor.core.access import Forbidden
from monitor.errors import ConfigError, MonitorError
from monitor.flows import people
from monitor.store import versions
from monitor.store.database import opened, writing
from monitor.store.versions import Held
from tests.folders import append, replace, write_sound

ZONE = ZoneInfo("Asia/Shanghai")
PASSWORD = "Correct-horse-9"
Say = Callable[..., str]


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """The folder that somebody edits."""
    (tmp_path / "new").mkdir()
    return write_sound(tmp_path / "new")


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a command (`by` somebody): what it printed to stdout; afterwards `said.err` has the rest."""
    monkeypatch.setattr(people, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    config = tmp_path / "config"
    config.mkdir()
    write_sound(config)
    with (config / "monitor.toml").open("a") as file:
        file.write(f'[database]\nurl = "sqlite+aiosqlite:///{tmp_path}/monitor.db"\n')
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)

    def run(*words: object, by: str = "li", status: int = 0) -> str:
        capsys.readouterr()
        acting = ["--as", by, "--password-file", secret] if by else []
        ended = program([str(word) for word in (*words, *acting, "--config", config)], standalone_mode=False)
        assert (ended or 0) == status
        out, err = capsys.readouterr()
        (tmp_path / "stderr").write_text(err)
        return out

    run("user", "add", "chen", "--role", "admin", "--password-file", secret, by="")
    run("user", "add", "li", "--role", "operator", "--new-password-file", secret, by="chen")
    return run


def rows(folder: Path) -> list[Any]:
    with sqlite3.connect(folder / "monitor.db") as connection:
        return connection.execute("SELECT number, state FROM inventory_version ORDER BY number").fetchall()


def test_from_the_dry_run_to_the_approval(say: Say, new: Path, tmp_path: Path) -> None:
    replace("sites.csv", "V1,镇1村1", "V1,新村名")(new)
    tomorrow = (datetime.now(ZONE) + timedelta(days=1)).date()
    said = say("inventory", "import", new, "--from", tomorrow, "--dry-run")
    assert "~ 站点 V1 name：镇1村1 → 新村名" in said
    assert "试运行，没有写入" in said
    assert rows(tmp_path) == []
    said = say("inventory", "import", new, "--from", tomorrow)
    assert f"版本 2：1 处变动，自 {tomorrow} 00:00 起，待管理员审批" in said
    with pytest.raises(Forbidden):
        say("inventory", "approve", 2)
    assert "版本 2 已批准" in say("inventory", "approve", 2, by="chen")
    [version] = json.loads(say("inventory", "list", "--json"))
    since = datetime.combine(tomorrow, datetime.min.time(), ZONE)
    assert datetime.fromisoformat(version["from"]) == since
    assert (version["number"], version["state"], version["held"]) == (2, "approved", False)
    assert (version["proposed_by"], version["approved_by"]) == ("li", "chen")
    assert "已批准，未生效" in say("inventory", "list")
    shown = json.loads(say("inventory", "show", 2, "--json"))
    assert shown["body"]["sites"][2]["name"] == "新村名"
    assert "站点 3，机位 3，检测项 3" in say("inventory", "show", 2)
    assert "没有变动" in say("inventory", "import", new)
    replace("checks.csv", "60,180", "30,180")(new)
    say("inventory", "import", new, "--from", tomorrow)
    [found] = json.loads(say("inventory", "diff", 2, 3, "--json"))["differences"]
    assert found == {
        "what": "check",
        "key": "V1/pc/heartbeat-mqtt",
        "kind": "changed",
        "column": "interval_s",
        "before": "60",
        "after": "30",
    }
    assert "interval_s：60 → 30" in say("inventory", "diff", 2, 3)
    assert "版本 3 已撤回" in say("inventory", "withdraw", 3)
    assert rows(tmp_path) == [(2, "approved"), (3, "withdrawn")]


def test_mistakes_change_nothing(say: Say, new: Path, tmp_path: Path) -> None:
    append("checks.csv", "V9,tv,icmp,10.0.0.9,60,,5\nV1,tv,icmp,10.0.0.9,soon,,5\n")(new)
    with pytest.raises(ConfigError) as error:
        say("inventory", "import", new)
    assert [(m.file, m.row, m.column) for m in error.value.mistakes] == [
        ("checks.csv", 5, "site_id"),
        ("checks.csv", 5, "terminal"),
        ("checks.csv", 6, "interval_s"),
    ]
    answer = json.loads(say("inventory", "import", new, "--json", status=2))
    assert not answer["ok"]
    assert answer["mistakes"][2]["row"] == 6
    assert rows(tmp_path) == []


def test_json_says_what_would_change(say: Say, new: Path, tmp_path: Path) -> None:
    with (new / "monitor.toml").open("a") as file:
        file.write('[service.village]\nhours = ["08:00-20:00"]\n')
    answer = json.loads(say("inventory", "import", new, "--dry-run", "--json"))
    assert (answer["ok"], answer["base"], answer["proposed"]) == (True, None, None)
    keys = [d["key"] for d in answer["differences"]]
    assert keys == ["service.village.days", "service.village.hours"]
    assert "起生效" in answer["warnings"][0]
    done = json.loads(say("inventory", "import", new, "--json"))
    assert (done["proposed"]["number"], done["proposed"]["state"]) == (2, "proposed")


def test_a_wrong_call_says_why(say: Say, new: Path) -> None:
    replace("sites.csv", "V1,镇1村1", "V1,新村名")(new)
    for words, why in (
        ((new, "--from", "2026-10-01"), "已经过去"),
        ((new, "--from", "soon"), "应为日期"),
        ((new / "none",), "expected a folder"),
    ):
        with pytest.raises(MonitorError, match=why):
            say("inventory", "import", *words)
    with pytest.raises(MonitorError, match="没有登录"):
        say("inventory", "import", new, by="")
    with pytest.raises(MonitorError, match="没有编号为 7"):
        say("inventory", "show", 7)


def test_where_one_admin_is_alone_it_is_said(say: Say, new: Path, tmp_path: Path) -> None:
    replace("sites.csv", "V1,镇1村1", "V1,新村名")(new)
    secret = tmp_path / "password"
    say("user", "role", "chen", "--role", "admin", "--role", "operator", by="chen")
    say("inventory", "import", new, by="chen")
    assert "没有另一位管理员可以审批" in (tmp_path / "stderr").read_text()
    with pytest.raises(Forbidden, match="不能审批自己经办的事项"):
        say("inventory", "approve", 2, by="chen")
    say("user", "add", "sun", "--role", "admin", "--new-password-file", secret, by="chen")
    assert "生效时间已到" in say("inventory", "approve", 2, by="sun")


def test_the_configurations_own_folder_is_the_default(say: Say, tmp_path: Path) -> None:
    assert "没有变动" in say("inventory", "import")
    assert rows(tmp_path) == []


def test_commands_know_the_inventory_in_force_and_not_only_the_files(say: Say, new: Path, tmp_path: Path) -> None:
    append("sites.csv", "V7,镇1村7,village,T1,镇1,T1,,\n")(new)
    append("terminals.csv", "V7,pc,\n")(new)
    append("checks.csv", "V7,pc,heartbeat-mqtt,,60,180,\n")(new)
    say("inventory", "import", new)
    say("inventory", "approve", 2, by="chen")
    window = ("window", "add", "site:V7", "--from", "2099-01-01 08:00", "--to", "2099-01-01 09:00", "--reason", "x")
    with pytest.raises(MonitorError, match="V7"):
        say(*window)

    async def take_up() -> None:
        async with opened(f"sqlite+aiosqlite:///{tmp_path}/monitor.db") as engine, writing(engine) as connection:
            [(stored, body)] = await versions.due(connection, wall_ms())
            told = Held(stored.number, wall_ms(), stored.digest, stored.files, body, stored.approved_by)
            await versions.held(connection, [told])

    asyncio.run(take_up())
    say(*window)
    say("token", "issue", "--terminal", "V7/pc", "--out", tmp_path / "tokens.json", by="chen")
    assert list(json.loads((tmp_path / "tokens.json").read_text())) == ["V7/pc"]

"""Rotation with overlap, ends and revocation, on HTTP and on MQTT, with mosquitto's files kept in step."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli import program
from monitor.core.token import DEVICE, PING, RELAY, hash_token
from monitor.errors import MonitorError
from monitor.intake.mosquitto import password_hash
from monitor.intake.mosquitto_files import MosquittoFiles
from monitor.settings import Mqtt
from monitor.store import tokens
from monitor.store.database import opened
from tests.agents import Agent
from tests.brokers import _OWN, SHIPPED
from tests.services import HOST, Mosquitto, free_port, wait_for
from tests.serving import Serving, beats, write_config

H = 3_600_000


def token_command(config: Path, *arguments: object) -> None:
    """In this process: a new one takes seconds."""
    program(["token", str(arguments[0]), "--config", str(config), *map(str, arguments[1:])], standalone_mode=False)


def issued(path: Path, name: str) -> str:
    return str(json.loads(path.read_text())[name])


# --- with real parts ------------------------------------------------------------------------------------------------


def test_rotation_on_http_and_mqtt(tmp_path: Path) -> None:
    """One service, one mosquitto that it reloads by itself, an agent that gets its new token as a file."""
    http, mqtt = free_port(), free_port()
    files, pid_file = tmp_path / "mosquitto", tmp_path / "mosquitto.pid"
    checks = [beats("V1", "pc", "mqtt", 1, 2), beats("V1", "mobile", "http", 1, 2)]
    config = write_config(tmp_path, http=http, mqtt=mqtt, checks=checks)
    toml = config / "monitor.toml"
    toml.write_text(toml.read_text().replace("[mqtt]", f'[mqtt]\nfiles = "{files}"\npid_file = "{pid_file}"'))
    token_command(config, "issue", "--out", tmp_path / "first.json")
    first = {name: issued(tmp_path / "first.json", name) for name in ("V1/pc", "V1/mobile")}
    token_command(config, "mosquitto", "--out", files)
    lines = [line for line in SHIPPED.read_text().splitlines() if line and not line.startswith(("#", *_OWN))]
    broker = Mosquitto(tmp_path, lines=[*lines, f"pid_file {pid_file}"], port=mqtt)
    broker.password_file, broker.acl_file = files / "passwords", files / "acl"

    def post(token: str) -> int:
        data = json.dumps({"site": "V1", "terminal": "mobile"}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{HOST}:{http}/api/v1/heartbeats", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code)

    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "token").write_text(first["V1/pc"])
    (folder / "agent.toml").write_text(
        f'site = "V1"\nterminal = "pc"\ninterval_s = 0.5\n[mqtt]\nhost = "{HOST}"\nport = {mqtt}\ntls = false\n'
    )
    with broker, Serving(config) as service, Agent(folder / "agent.toml") as agent:
        wait_for(lambda: service.is_up("V1", "pc"), what="the agent to be up")
        wait_for(lambda: "Reloading config" in broker.output(), what="the reload at the start")
        assert post(first["V1/mobile"]) == 202
        for name in first:
            token_command(config, "rotate", name, "--overlap", "24h", "--out", tmp_path / f"{name[3:]}.json")
        new = {name: issued(tmp_path / f"{name[3:]}.json", name) for name in first}

        # mosquitto: the newest alone, and who is connected with the old one is thrown out.
        wait_for(lambda: "refused" in agent.output(), 20, "the old token to be refused")
        (folder / "token").write_text(new["V1/pc"])
        wait_for(lambda: "line up again" in agent.output(), 20, "the agent to come back")
        wait_for(lambda: service.is_up("V1", "pc"), what="the agent to be up again")
        # HTTP: both.
        wait_for(lambda: post(new["V1/mobile"]) == 202, what="the new token on HTTP", every=0.2)
        assert post(first["V1/mobile"]) == 202

        token_command(config, "revoke", "V1/mobile")
        wait_for(lambda: post(new["V1/mobile"]) == 401, what="the end of both", every=0.2)
        assert post(first["V1/mobile"]) == 401
        token_command(config, "expire", "V1/pc", "--after", "1s")
        wait_for(lambda: agent.output().count("refused") > 1, 20, "the new one to be refused")
    assert "V1/pc:" not in (files / "passwords").read_text()


# --- the tables and the files ---------------------------------------------------------------------------------------


def kept(kind: str, text: str, *terminals: str, label: str = "") -> tokens.Issued:
    return tokens.Issued(kind, hash_token(text), terminals, label, password_hash(text) if kind != PING else "")


async def ends(engine: Any) -> dict[str, int | None]:
    """When each expires, by the beginning of its hash."""
    return {row["hash"][:4]: row["expires_at"] for row in await tokens.rows(engine)}


async def each(engine: AsyncEngine, change: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """In a transaction of its own."""
    async with engine.begin() as connection:
        return await change(connection, *arguments)


def short(*texts: str) -> list[str]:
    return [hash_token(text)[:4] for text in texts]


async def test_rotating_ends_what_speaks_for_the_same_and_nothing_else(database_url: str) -> None:
    async with opened(database_url) as engine:
        everything = [
            *(kept(DEVICE, "old", "s1/pc"), kept(DEVICE, "other", "s2/pc"), kept(PING, "ping", "s1/pc")),
            *(kept(RELAY, "relay", "s1/pc", label="tv"), kept(RELAY, "relay2", "s1/pc", label="tv2")),
        ]
        await each(engine, tokens.keep, everything, 0)
        assert await each(engine, tokens.rotate, [kept(DEVICE, "new", "s1/pc")], H, 25 * H) == 1
        assert await each(engine, tokens.rotate, [kept(RELAY, "relay3", "s1/pc", label="tv")], H, 2 * H) == 1
        names = short("old", "other", "ping", "relay", "relay2", "new", "relay3")
        expected = [25 * H, None, None, 2 * H, None, None, None]
        assert await ends(engine) == dict(zip(names, expected, strict=True))
        # Once more: what ends sooner is left, what has ended is not counted.
        assert await each(engine, tokens.rotate, [kept(DEVICE, "newer", "s1/pc")], 2 * H, 50 * H) == 2
        assert (await ends(engine))[short("old")[0]] == 25 * H
        assert (await ends(engine))[short("new")[0]] == 50 * H
        assert await each(engine, tokens.expire, "@tv", 3 * H, 4 * H) == 1
        assert await each(engine, tokens.revoke, "s1/pc", 5 * H) == 4
        assert await each(engine, tokens.revoke, "@tv2", 5 * H) == 1
        assert await each(engine, tokens.rotate, [], 5 * H, 6 * H) == 0


def test_commands_that_find_nothing_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, http=1, mqtt=2, checks=[beats("V1", "pc", "mqtt"), beats("V2", "pc", "http")])
    for arguments, expected in (
        (("rotate", "V1/pc", "--out", tmp_path / "x"), "no valid device token of V1/pc"),
        (("rotate", "V1/pc", "--out", tmp_path / "x", "--overlap", "1 day"), "expected a time such as 30m"),
        (("rotate", "V1/pc", "--out", tmp_path / "x", "--kind", "key"), "--kind: expected device or ping"),
        (("rotate", "V1/pc", "--out", tmp_path), "never over something else"),
        (("expire", "V1/pc", "--after", "1h"), "no valid token"),
        (("revoke", "@nobody"), "no valid token"),
    ):
        with pytest.raises(MonitorError, match=expected):
            token_command(config, *arguments)
    assert not (tmp_path / "x").exists()
    token_command(config, "issue", "--out", tmp_path / "all.json")
    relay = ("--kind", "relay", "--label", "tv", "--terminal", "V1/pc", "--terminal", "V2/pc")
    token_command(config, "issue", "--out", tmp_path / "relay.json", *relay)
    token_command(config, "rotate", "@tv", "--overlap", "0s", "--out", tmp_path / "relay2.json")
    token_command(config, "revoke", "V2/pc")
    token_command(config, "mosquitto", "--out", tmp_path / "mosquitto")
    # What is for people stands beside, where a program that reads the answers does not stumble over it.
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 5
    token_command(config, "list", "--json", "--all")
    listed = json.loads(capsys.readouterr().out)
    assert [(one["who"], one["state"]) for one in listed] == [
        ("V1/pc", "valid"),
        ("V2/pc", "revoked"),
        ("@tv", "expired"),
        ("@tv", "valid"),
    ]
    assert listed[3]["terminals"] == ["V1/pc", "V2/pc"]
    assert issued(tmp_path / "relay2.json", "@tv").startswith("zr_")
    token_command(config, "list")
    assert len(capsys.readouterr().out.splitlines()) == 2


def row(text: str, terminal: str = "s1/pc", **more: Any) -> dict[str, Any]:
    made = {"kind": DEVICE, "hash": hash_token(text), "label": "", "terminals": json.dumps([terminal])}
    return {**made, "mosquitto": f"$7$1${text}$x", "created_at": 0, "expires_at": None, "revoked_at": None, **more}


def test_files_change_only_with_the_tokens(tmp_path: Path) -> None:
    folder = tmp_path / "zhdj"
    files = MosquittoFiles(folder, "monitor", "secret")
    rows = [row("old"), row("new"), row("away", "s2/pc", expires_at=H)]
    assert files.write(rows, 0)
    text = (folder / "passwords").read_text()
    assert "s1/pc:$7$1$new$x\n" in text
    assert "s2/pc:" in text
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}
    # The service's own line is kept, whoever writes: a new salt would be a change every time.
    assert not MosquittoFiles(folder, "monitor", "secret").write(rows, 0)
    assert MosquittoFiles(folder, "monitor", "another").write(rows, 0)
    assert files.write(rows, H)
    assert "s2/pc:" not in (folder / "passwords").read_text()
    (folder / "acl").unlink()
    assert files.write(rows, H)
    assert sorted(path.name for path in folder.iterdir()) == ["acl", "passwords"]


def test_a_stale_pid_file_signals_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pid_file = tmp_path / "pid"
    files = MosquittoFiles(tmp_path / "zhdj", "monitor", "secret", str(pid_file))
    for _ in range(2):
        files.follow([row("a")], 0)
    assert capsys.readouterr().out.count("mosquitto_files.failed") == 1  # said once
    pid_file.write_text("1\n")
    for _ in range(2):
        files.follow([row("a")], 0)
    assert "which is no mosquitto" in capsys.readouterr().out
    assert (tmp_path / "zhdj/passwords").exists()


def test_settings_that_do_not_fit_are_refused() -> None:
    assert MosquittoFiles.of(Mqtt()) is None
    with pytest.raises(MonitorError, match=r"mqtt\.username"):
        MosquittoFiles.of(Mqtt(files="x"))
    with pytest.raises(MonitorError, match="embedded"):
        MosquittoFiles.of(Mqtt(files="x", embedded=True, username="a", password=SecretStr("b")))

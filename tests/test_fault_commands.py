"""A command whose database fails in the middle of it: one line, status 2, nothing on stdout, and nothing half done.
What is asked again with the same key, once there is room, is done once."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from monitor.cli import main
from monitor.clock import wall_ms
from monitor.core.access import Actor, Role
from monitor.flows.people import add_person
from monitor.store.database import away, opened
from tests.faults import small_disk
from tests.ledgers import approved, opened_fund
from tests.services import Postgres
from tests.test_acting_cli import GOOD, Shell, shell

__all__ = ["shell"]  # a fixture

Said = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def said(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Said:
    """A command as the console script runs it, by 李: status, stdout, lines of stderr."""
    signed = ("--config", shell.config, "--password-file", shell.password("li"))

    def run(*arguments: object) -> tuple[int, str, list[str]]:
        who = () if "sign-in" in arguments else ("--as", "li")
        monkeypatch.setattr(sys, "argv", ["zhdj-monitor", *map(str, (*arguments, *signed, *who))])
        shell.capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = shell.capsys.readouterr()
        return int(end.value.code or 0), out, err.splitlines()

    return run


async def prepared(url: str) -> int:
    """李, of finance and operations, and an entry that is approved: its id."""
    async with opened(url) as engine:
        await add_person(engine, None, "admin", [Role.ADMIN], None, GOOD, wall_ms())
        admin = Actor("admin", frozenset({Role.ADMIN}))
        await add_person(engine, admin, "li", [Role.FINANCE, Role.OPERATOR], None, GOOD, wall_ms())
        await opened_fund(engine)
        return await approved(engine, 12_345)


def refused(said: Said, entry: int, *why: str) -> None:
    for command in (
        ("ledger", "register", entry, "--paid", "2020-03-05", "--voucher", "记-1", "--key", "k", "--json"),
        ("ledger", "void", entry, "--reason", "重复"),
        ("workorder", "open", "V1", "--fault", "花屏", "--json"),
        ("window", "add", "site:V1", "--from", "2030-01-05 09:00", "--to", "2030-01-05 10:00", "--reason", "换机柜"),
        ("user", "sign-in", "li"),
    ):
        status, out, lines = said(*command)
        assert (status, out) == (2, ""), command
        assert "数据库不可用" in lines[-1], (command, lines)
        assert any(word in lines[-1] for word in why), (command, lines)
        # What could not even be audited is an event of the log; nothing is a traceback.
        assert all(line.startswith('{"') for line in lines[:-1]), (command, lines)


def once(said: Said, entry: int) -> None:
    register = ("ledger", "register", entry, "--paid", "2020-03-05", "--voucher", "记-1", "--key", "k", "--json")
    told = [said(*register) for _ in range(2)]
    assert [status for status, _, _ in told] == [0, 0]
    assert told[0] == told[1]
    assert json.loads(told[0][1])["registered"][0]["number"] == 1
    assert said("ledger", "check")[:2] == (0, "台账与其合计一致\n")


def test_a_full_disk(shell: Shell, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(shell.folder / "disk", kib=4_000) as disk:
        file = disk.folder / "monitor.db"
        url = f"sqlite+aiosqlite:///{file}"
        monkeypatch.setenv("ZHDJ_DATABASE__URL", url)
        entry = asyncio.run(prepared(url))
        with closing(sqlite3.connect(file, isolation_level=None)) as reader:
            # Somebody reads: what is written needs room of its own, and cannot take the place of what was.
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM entry").fetchone() == (1,)
            with disk.full():
                refused(said, entry, "full")
        once(said, entry)


def test_a_database_that_takes_nothing(
    shell: Shell, said: Said, monkeypatch: pytest.MonkeyPatch, postgres: Postgres, postgres_url: str
) -> None:
    """A standby, or an administrator's switch."""
    name = postgres_url.rpartition("/")[2]
    monkeypatch.setenv("ZHDJ_DATABASE__URL", postgres_url)
    entry = asyncio.run(prepared(postgres_url))
    postgres.psql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    refused(said, entry, "read-only transaction")
    postgres.psql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    once(said, entry)


def test_what_is_no_database_that_is_away_is_not_called_so() -> None:
    assert away(OperationalError("SELECT 1", {}, Exception("database is locked"))).endswith("database is locked")
    assert away(TimeoutError()) == "TimeoutError"
    assert away(ConnectionResetError("reset by peer")) == "reset by peer"
    unique = IntegrityError("INSERT", {}, Exception("unique"))
    for other in (unique, FileNotFoundError(2, "no such file", "x"), ValueError("x")):
        assert away(other) == ""

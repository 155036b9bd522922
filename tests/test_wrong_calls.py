"""What a person does wrong: a file in the place of a folder, a folder that is not there, the wrong place to run from,
Ctrl-C at a question. One line each, and nothing is made, lost or gathered for nothing."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from pathlib import Path

import pytest

from monitor.cli import acting, main
from monitor.cli.workorders import _titles
from monitor.core.timeline import BEGINNING
from monitor.errors import MonitorError
from monitor.flows.support import support_bundle
from monitor.inventory.versions import pack
from monitor.publish.sheets import write_sheet
from monitor.store import versions
from monitor.store.versions import Held
from tests.small_county import county
from tests.test_acting_cli import Shell, shell

__all__ = ["shell"]


def test_the_place_of_the_files_is_asked_before_anything_is_gathered(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shell.folder / "file"
    file.write_text("mine")
    for module in ("explain", "reports", "reports_year"):  # would open the database, and gather
        monkeypatch.setattr(f"monitor.cli.{module}.load", lambda *a, **k: pytest.fail("gathers"))
    for command in (
        ("report", "month", "2026-01", "--format", "all"),
        ("report", "period", "2026-Q1", "--format", "pdf"),
        ("report", "year", "2026", "--format", "all"),
        ("explain", "2026-01", "--level", "total", "--format", "xlsx"),
    ):
        with pytest.raises(MonitorError, match="file 不是文件夹"):
            shell(*command, "--out", file)
        with pytest.raises(MonitorError, match="file 不是文件夹"):
            shell(*command, "--out", file / "below")
    assert file.read_text() == "mine"


def test_an_archive_has_nowhere_to_go(shell: Shell) -> None:
    shell("user", "add", "chen", "--role", "admin", "--password-file", shell.password("chen"))
    who = ("--as", "chen", "--password-file", shell.password("chen"))
    (shell.folder / "file").write_text("mine")
    with pytest.raises(MonitorError, match="不是文件夹"):
        shell("archive", "2026", "--out", shell.folder / "file" / "below", *who)
    with pytest.raises(MonitorError, match="没有文件夹"):
        shell("ledger", "export", "--year", "2026", "--out", shell.folder / "nowhere" / "x.xlsx", *who)
    with pytest.raises(MonitorError, match=r"cannot be (made|written)"):
        shell("archive", "2026", "--out", "/proc/zhdj-nowhere", *who)


@pytest.mark.parametrize("name", ["x.xlsx", "x.csv"])
def test_a_sheet_that_cannot_be_written_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    said: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", said.append)
    with pytest.raises(MonitorError, match="cannot be written"):
        write_sheet(tmp_path / "nowhere" / name, "表", ["列"], [["值"]])
    gc.collect()
    assert said == []
    assert write_sheet(tmp_path / name, "表", ["列"], [["值"]]) == 1
    with pytest.raises(MonitorError, match="exists"):
        write_sheet(tmp_path / name, "表", ["列"], [["值"]])


def test_where_there_is_no_database_none_is_made(shell: Shell) -> None:
    """Run from another folder, a relative path would give an empty one, in which everything agrees."""
    for command in (
        ("verify",),
        ("report", "month", "2026-01"),
        ("report", "year", "2026"),
        ("report", "list"),
        ("explain", "2026-01", "--level", "total"),
        ("workorder", "list"),
        ("inventory", "list"),
        ("user", "sign-in", "chen", "--password-file", shell.password("chen")),
    ):
        with pytest.raises(MonitorError, match=r"there is no database .*monitor\.db"):
            shell(*command)
    assert not (shell.folder / "monitor.db").exists()


def test_a_bundle_for_help_comes_from_a_configuration_that_is_wrong(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, url in enumerate(("nonsense", "mysql://x:secret-word@y/z")):
        monkeypatch.setenv("ZHDJ_DATABASE__URL", url)
        out = shell.folder / f"{number}.tar.gz"
        assert "database.json" in asyncio.run(support_bundle(shell.config, out, 0))


def test_ctrl_c_ends_a_question_for_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an event loop, which would wait for the answer first."""

    def question(prompt: str) -> str:
        signal.raise_signal(signal.SIGINT)
        time.sleep(0)
        return "answered after all"

    monkeypatch.setattr("getpass.getpass", question)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    async def work() -> None:
        acting.ask_password(None)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(work())
    assert signal.getsignal(signal.SIGINT) is before


def test_a_file_that_cannot_be_written_is_one_line_whatever_the_command(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZHDJ_MQTT__USERNAME", "monitor")
    monkeypatch.setenv("ZHDJ_MQTT__PASSWORD", "a-long-word")
    config = ("--config", str(shell.config))
    for command in (
        ("token", "issue", *config, "--out", "/proc/zhdj-nowhere"),
        ("token", "mosquitto", *config, "--out", "/proc/zhdj-nowhere"),
        ("demo", "--folder", "/proc/zhdj-nowhere"),
    ):
        monkeypatch.setattr(sys, "argv", ["zhdj-monitor", *command])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr().err.splitlines()
        assert end.value.code == 2, command
        assert "/proc/zhdj-nowhere" in said[-1], said
        assert not [line for line in said if "Traceback" in line]


async def test_an_order_of_a_village_that_is_no_more_is_called_by_its_name(tmp_path: Path) -> None:
    async with county(tmp_path, "sqlite+aiosqlite://") as it:
        await it.play(90, silent=("V1/tv",))
        [order] = await it.orders()
        name = it.loaded.inventory.sites["V1"].name
        async with it.engine.begin() as connection:
            known = it.loaded
            await versions.held(connection, [Held(1, BEGINNING, known.digest, "", pack(known), "chen")])
        del it.loaded.inventory.sites["V1"]  # type: ignore[attr-defined]
        assert await _titles(it.engine, it.loaded, [order]) == {order.id: name}

"""`register`, `inspection`, `meeting` as a person types them: who acts is known, lists speak JSON."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.cli import program
from monitor.cli.acting import store_token
from monitor.clock import wall_ms
from monitor.core.access import Actor, Forbidden, Role
from monitor.errors import ConfigError, MonitorError
from monitor.flows.people import add_person, sign_in
from monitor.settings import SignIn
from monitor.store.database import opened
from tests.folders import write_sound

Say = Callable[..., str]
PASSWORD = "correct horse battery 9"
ADMIN = Actor("chief", frozenset({Role.ADMIN}))


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A database with people in it, and the tokens of their sessions: hashing passwords takes its time."""
    path = tmp_path_factory.mktemp("people") / "monitor.db"

    async def sign_everybody_in() -> dict[str, str]:
        async with opened(f"sqlite+aiosqlite:///{path}") as engine:
            await add_person(engine, None, "chief", [Role.ADMIN], None, PASSWORD, wall_ms())
            tokens = {}
            people = (("lihua", Role.OPERATOR, None), ("guest", Role.VIEWER, None), ("county", Role.VIEWER, ["T0"]))
            for name, role, townships in people:
                await add_person(engine, ADMIN, name, [role], townships, PASSWORD, wall_ms())
                _, tokens[name] = await sign_in(engine, SignIn(), name, PASSWORD, wall_ms())
            return tokens

    return path, asyncio.run(sign_everybody_in())


@pytest.fixture
def say(
    signed_in: tuple[Path, dict[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Say:
    """Run a command as an operator (or `by` somebody else): what it printed. `status`: how it must end."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    folder = write_sound(tmp_path)
    database, tokens = signed_in
    shutil.copy(database, tmp_path / "monitor.db")
    with (folder / "monitor.toml").open("a") as file:
        file.write(f'[database]\nurl = "sqlite+aiosqlite:///{tmp_path}/monitor.db"\n')
        file.write(f'[papers]\nfolder = "{tmp_path}/papers"\n')

    def run(*words: object, status: int = 0, by: str = "lihua") -> str:
        store_token(folder, tokens.get(by))
        capsys.readouterr()
        ended = program([str(word) for word in (*words, "--config", folder)], standalone_mode=False)
        assert (ended or 0) == status, ended
        return capsys.readouterr().out

    return run


def test_the_register(say: Say, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"photo")
    assert "第 1 号记录" in say(
        "register", "install", "V1/pc", "--model", "DESKTOP", "--serial", "a1", "--on", "2026-10-02"
    )
    say("register", "replace", "V1/pc", "--model", "DESKTOP", "--asset", "ZC-2", "--on", "2026-10-05", "--paper", photo)
    say("register", "correct", 2, "--on", "2026-10-06", "--why", "日期抄错")
    history = json.loads(say("register", "list", "--history", "--json", by="guest"))
    assert [(r["n"], r["act"], r["on"], r["corrects"], r["by"]) for r in history] == [
        (1, "installed", "2026-10-02", None, "lihua"),
        (2, "replaced", "2026-10-05", None, "lihua"),
        (3, "replaced", "2026-10-06", 2, "lihua"),
    ]
    assert len(history[1]["papers"]) == 1
    (card,) = json.loads(say("register", "list", "--on", "2026-10-05", "--json"))
    assert (card["serial"], card["removed_on"]) == ("A1", "2026-10-06")
    assert "V1/pc" in say("register", "list", "--township", "T1")
    assert say("register", "list", "--site", "T1") == ""
    found = json.loads(say("register", "differences", "--json", status=1))
    assert [(d["kind"], d["site"], d["terminal"]) for d in found] == [("no_card", "T1", "tv"), ("no_card", "V1", "tv")]
    figures = json.loads(say("register", "figures", "--from", "2026-10-01", "--to", "2026-10-31", "--json"))
    assert figures["replaced"] == figures["replaced_by_kind"]["pc"] == 1


def test_sheets(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "cards.csv"
    file.write_text("站点编号,机位,型号,序列号,安装日期\nV1,pc,DESKTOP,A1,2026-10-01\nV1,tv,TV-55,T1,2026-10-01\n")
    assert "试算，未写入：安装 2" in say("register", "import", file, "--dry-run")
    assert json.loads(say("register", "list", "--json")) == []
    assert json.loads(say("register", "import", file, "--json"))["installed"] == 2
    assert "已写入：安装 0，更换 0，拆除 0，不变 2" in say("register", "import", file)
    say("register", "export", tmp_path / "out.xlsx")
    assert "不变 2" in say("register", "import", tmp_path / "out.xlsx")
    with pytest.raises(ConfigError) as error:
        say("register", "import", tmp_path / "sites.csv", "--dry-run")
    assert "缺少列 机位, 型号, 安装日期" in str(error.value)

    say("register", "count-sheet", 2026, tmp_path / "count.xlsx")
    assert "V1/pc 相符" in say("register", "count", 2026, "V1/pc", "√", "--on", "2026-10-08")
    report = json.loads(say("register", "stocktake", 2026, "--json", status=1))
    assert (report["cards"], report["outcomes"]["found"], report["outstanding"]) == (2, 1, ["V1/tv"])
    filled = tmp_path / "filled.csv"
    filled.write_text("站点编号,机位,实物,盘点日期\nV1,pc,√,2026-10-08\nV1,tv,T1,2026-10-08\n")
    assert "已写入：1，不变 1" in say("register", "count-import", 2026, filled)
    assert "卡片 2，相符 2，不符 0，盘亏 0，盘盈 0，未盘 0" in say("register", "stocktake", 2026)


def test_inspections(say: Say) -> None:
    plan = ("inspection", "plan", "十月巡检", "--scope", "township:T1", "--from", "2026-10-01", "--to", "2026-10-10")
    assert "2 个站点" in say(*plan)
    say("workorder", "open", "V1", "--fault", "屏幕不亮")
    found = ("--found", "pc=fault:屏幕不亮", "--found", "tv=ok", "--order", "pc=1")
    say("inspection", "visit", "V1", "--round", 1, "--who", "李华", "--on", "2026-10-09", *found)
    say("inspection", "visit", "T1", "--round", 1, "--who", "李华", "--on", "2026-10-09", "--not-reached")
    (one,) = json.loads(say("inspection", "list", "--overdue", "--json", by="guest"))
    assert (one["state"], one["reached"], one["missed"], one["coverage"]) == ("overdue", ["V1"], ["T1"], 0.5)
    shown = json.loads(say("inspection", "show", 1, "--json"))
    assert shown["visits"][0]["findings"][0] == {
        "terminal": "pc", "result": "fault", "note": "屏幕不亮", "work_order": "1"
    }  # fmt: skip
    assert "T1\t未到" in say("inspection", "show", 1)
    figures = json.loads(say("inspection", "figures", "--from", "2026-10-01", "--to", "2026-10-31", "--json"))
    assert (figures["sites"], figures["faults"], figures["coverage"]) == (1, 1, 0.5)
    say("inspection", "cancel", 1, "--why", "并入下季度")
    assert say("inspection", "list", "--overdue") == ""


def test_meetings(say: Say) -> None:
    times = ("--start", "2026-10-09T09:00+08:00", "--end", "2026-10-09T10:00+08:00")
    assert "3 个站点" in say("meeting", "plan", "视频会议", "--organiser", "组织部", "--scope", "county", *times)
    say("meeting", "note", 1, "V1", "--joined", "2026-10-09T09:02+08:00", "--quality", "清晰")
    say("meeting", "note", 1, "T1", "--not-reached")
    shown = json.loads(say("meeting", "show", 1, "--json"))
    assert (shown["planned"], shown["noted"], shown["reached"]) == (3, 2, 1)
    # This monitor was not there: it does not know.
    assert shown["seen"] == {"up": 0, "partly": 0, "down": 0, "unknown": 3}
    assert shown["sites"][2]["note"]["joined"] == "2026-10-09T01:02:00Z"
    assert "参会 1/3（33.33%）；监测：全程在线 0，部分离线 0，全程离线 0，未知 3" in say("meeting", "show", 1)
    assert json.loads(say("meeting", "list", "--json", by="guest"))[0]["title"] == "视频会议"
    figures = json.loads(say("meeting", "figures", "--from", "2026-10-09", "--to", "2026-10-09", "--json"))
    assert (figures["meetings"], figures["reached"]) == (1, 1)
    say("meeting", "cancel", 1, "--why", "改期")


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_a_rounds_sheet_is_taken_along_filled_in_and_taken_once(say: Say, tmp_path: Path, suffix: str) -> None:
    say("inspection", "plan", "十月巡检", "--scope", "county", "--from", "2026-10-01", "--to", "2026-10-10")
    say("workorder", "open", "V1", "--fault", "屏幕不亮")
    filled = tmp_path / "filled.csv"
    filled.write_text(
        "站点编号,日期,巡检人,到达,数字电视,PC端,工单,备注\n"
        "V1,2026-10-09,李华  王芳,是,正常,屏幕不亮,1,\nT1,2026-10-09,李华,否,,,,道路中断\nC1,,,,,,,\n"
    )
    assert "试算，未写入：2，不变 0" in say("inspection", "import", 1, filled, "--dry-run")
    assert json.loads(say("inspection", "show", 1, "--json"))["visits"] == []
    taken = json.loads(say("inspection", "import", 1, filled, "--json"))["visits"]
    assert [(v["n"], v["site"], v["reached"], v["by"]) for v in taken] == [
        (1, "V1", True, "lihua"),
        (2, "T1", False, "lihua"),
    ]
    assert [(f["terminal"], f["result"], f["note"], f["work_order"]) for f in taken[0]["findings"]] == [
        ("pc", "fault", "屏幕不亮", "1"), ("tv", "ok", "", "")
    ]  # fmt: skip
    assert "已写入：0，不变 2" in say("inspection", "import", 1, filled)
    out = tmp_path / f"out.{suffix}"
    assert say("inspection", "sheet", 1, out).startswith("3 ")
    assert "已写入：0，不变 2" in say("inspection", "import", 1, out)

    filled.write_text(
        "site_id,visited_on,who,reached,pc\nV1,2026-10-09,李华,是,正常\nT1,2026-10-08,李华,不知道,\n"
        "V9,2026-10-08,李华,是,\nC1,2026-10-08,,是,\nC1,2026-10-08,李,是,正常\n"
    )
    with pytest.raises(ConfigError) as error:
        say("inspection", "import", 1, filled)
    assert [(m.row, m.column) for m in error.value.mistakes] == [
        (2, "站点编号"), (3, "到达"), (4, "站点编号"), (5, "站点编号"), (6, "站点编号")
    ]  # fmt: skip


def test_a_rounds_sheet_names_orders_that_there_are(say: Say, tmp_path: Path) -> None:
    say("inspection", "plan", "十月巡检", "--scope", "county", "--from", "2026-10-01", "--to", "2026-10-10")
    say("workorder", "open", "V1", "--fault", "屏幕不亮")
    filled = tmp_path / "filled.csv"
    head = "站点编号,日期,巡检人,到达,数字电视,PC端,工单\n"
    filled.write_text(f"{head}V1,2026-10-09,李华,是,正常,屏幕不亮,2\nT1,2026-10-09,李华,是,黑屏,,tv=GD-7\n")
    for words in (("--dry-run",), ()):
        with pytest.raises(ConfigError) as error:
            say("inspection", "import", 1, filled, *words)
        assert [(m.row, m.message.partition("：")[0]) for m in error.value.mistakes] == [
            (2, "没有工单 2"), (3, "没有工单 GD-7")
        ]  # fmt: skip
    filled.write_text(f"{head}V1,2026-10-09,李华,是,正常,屏幕不亮,１\n")  # noqa: RUF001  # full width is the subject
    (taken,) = json.loads(say("inspection", "import", 1, filled, "--json"))["visits"]
    assert [f["work_order"] for f in taken["findings"]] == ["1", ""]


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_a_meetings_sheet_is_filled_in_and_taken_once(say: Say, tmp_path: Path, suffix: str) -> None:
    times = ("--start", "2026-10-09T09:00+08:00", "--end", "2026-10-09T10:00+08:00")
    say("meeting", "plan", "会", "--organiser", "组织部", "--scope", "county", *times)
    filled = tmp_path / "filled.csv"
    filled.write_text(
        "站点编号,参会,加入,离开,音画质量\nV1,是,09:02,2026-10-09T10:01:30+08:00,清晰\nT1,否,,,\nC1,,,,\n"
    )
    assert "试算，未写入：2，不变 0" in say("meeting", "import", 1, filled, "--dry-run")
    assert json.loads(say("meeting", "show", 1, "--json"))["noted"] == 0
    first, _ = json.loads(say("meeting", "import", 1, filled, "--json"))["notes"]
    assert (first["joined"], first["left"]) == ("2026-10-09T01:02:00Z", "2026-10-09T02:01:30Z")
    out = tmp_path / f"out.{suffix}"
    assert say("meeting", "sheet", 1, out).startswith("3 ")
    assert "已写入：0，不变 2" in say("meeting", "import", 1, out)
    filled.write_text("site_id,reached,joined\nV1,是,noon\nT1,也许,\nX1,是,\nV1,否,09:00\n")
    with pytest.raises(ConfigError) as error:
        say("meeting", "import", 1, filled)
    assert [(m.row, m.column) for m in error.value.mistakes] == [
        (2, "加入"), (3, "参会"), (4, "站点编号"), (5, "站点编号")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("register", "install", "V1", "--model", "X", "--serial", "1"), "应为机位"),
        (("register", "install", "V1/pc", "--model", "X"), "至少应填一项"),
        (("register", "install", "V1/pc", "--model", "X", "--serial", "1", "--on", "soon"), "--on: 应为日期"),
        (("register", "correct", "7", "--why", "错"), "没有第 7 号记录"),
        (("inspection", "visit", "V1", "--who", "李", "--found", "pc=broken"), "--found: 每个机位一次"),
        (("inspection", "visit", "V1", "--who", "李", "--order", "pc=1"), "--order: 同一机位应有"),
        (("inspection", "show", "3"), "没有第 3 号巡检计划"),
        (("meeting", "note", "1", "V1", "--joined", "2026-10-09T09:00"), "--joined: 应为带时差的时间"),
        (("meeting", "show", "3"), "没有第 3 号会议"),
    ],
)
def test_a_wrong_call_is_one_line(say: Say, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(MonitorError, match=says) as error:
        say(*words)
    assert "\n" not in str(error.value)


def test_a_viewer_reads_and_writes_nothing(say: Say) -> None:
    with pytest.raises(Forbidden):
        say("register", "install", "V1/pc", "--model", "X", "--serial", "1", by="guest")
    with pytest.raises(MonitorError):
        say("register", "list", by="nobody")


def test_somebody_limited_to_a_township_reads_about_its_sites_alone(say: Say, tmp_path: Path) -> None:
    say("register", "install", "V1/pc", "--model", "X", "--serial", "1", "--on", "2026-10-02")
    say("register", "count", 2026, "V1/pc", "√", "--on", "2026-10-03")
    for words in (("list",), ("list", "--history"), ("differences",)):
        assert json.loads(say("register", *words, "--json", by="county")) == []
    assert json.loads(say("register", "stocktake", 2026, "--json", by="county"))["counts"] == []
    assert say("register", "export", tmp_path / "out.csv", by="county").startswith("0 ")
    assert say("register", "count-sheet", 2026, tmp_path / "count.csv", by="county").startswith("0 ")
    say("inspection", "plan", "巡检", "--scope", "county", "--from", "2026-10-01", "--to", "2026-10-10")
    say("inspection", "visit", "V1", "--round", 1, "--who", "李华", "--on", "2026-10-09")
    shown = json.loads(say("inspection", "show", 1, "--json", by="county"))
    assert (shown["visits"], shown["reached"], shown["missed"]) == ([], [], ["C1"])
    times = ("--start", "2026-10-09T09:00+08:00", "--end", "2026-10-09T10:00+08:00")
    say("meeting", "plan", "会", "--organiser", "组织部", "--scope", "county", *times)
    assert [s["site"] for s in json.loads(say("meeting", "show", 1, "--json", by="county"))["sites"]] == ["C1"]

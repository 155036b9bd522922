"""The ledger's commands: JSON on what lists, statuses, who may what (test_ledger_year.py plays a whole year)."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from monitor.cli import program
from monitor.clock import wall_ms
from monitor.core.access import Actor, Forbidden, Role
from monitor.errors import MonitorError
from monitor.flows.people import add_person
from monitor.store.database import opened
from tests.ledgers import ROOT

PASSWORD = "Kaijiang-2020-ledger"
ADMIN = Actor("admin", frozenset({Role.ADMIN}))
STAFF = {"li": Role.FINANCE, "wang": Role.APPROVER, "sun": Role.VIEWER}


class Desk:
    """Commands as somebody, in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys
        self.status = 0
        self.err = ""

    def __call__(self, who: str, *arguments: object) -> str:
        """What it prints; its status stands in `status`, the rest in `err`. Raises MonitorError."""
        self.capsys.readouterr()
        signed = ["--config", self.folder / "config", "--as", who, "--password-file", self.folder / who]
        self.status = program(["ledger", *map(str, [*arguments, *signed])], standalone_mode=False) or 0
        out, self.err = self.capsys.readouterr()
        return out

    def json(self, who: str, *arguments: object) -> Any:
        return json.loads(self(who, *arguments, "--json"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/monitor.db"


@pytest.fixture
def desk(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.setenv("ZHDJ_DATABASE__URL", url)
    monkeypatch.setenv("ZHDJ_PAPERS__FOLDER", str(tmp_path / "papers"))

    async def people() -> None:
        async with opened(url) as engine:
            await add_person(engine, None, "admin", [Role.ADMIN], None, PASSWORD, wall_ms())
            for name, role in STAFF.items():
                await add_person(engine, ADMIN, name, [role], None, PASSWORD, wall_ms())
                (tmp_path / name).write_text(PASSWORD)
                (tmp_path / name).chmod(0o600)

    asyncio.run(people())
    return Desk(tmp_path, capsys)


def opened_fund(desk: Desk) -> None:
    desk(
        "li", "fund", "add", "--year", 2020, "--name", "运维", "--account", "专户", "--amount", "25万元",
        "--document", "1号", "--dated", "2020-01-06", "--purpose", "维护", "--class", "30213", "--class", "30227",
    )  # fmt: skip


def drafted(desk: Desk, amount: str, *more: object) -> Any:
    return desk.json(
        "li", "draft", "--year", 2020, "--amount", amount, "--dated", "2020-03-02", "--memo", "维修",
        "--class", "30213", "--payee", "开江广电", "--site", "普安镇", *more,
    )  # fmt: skip


@pytest.mark.timeout(180)
def test_an_entry_from_the_command_line_with_everything_as_json(desk: Desk) -> None:
    opened_fund(desk)
    invoice = desk.folder / "invoice.pdf"
    invoice.write_bytes(b"%PDF")
    made = drafted(desk, "￥1,234.50", "--acceptance", "验-7", "--paper", invoice, "--cost-class", "hardware")
    assert sum(made["shares"].values()) == 123_450
    with pytest.raises(Forbidden):
        desk("li", "approve", made["id"])
    assert desk.json("wang", "approve", made["id"]) == {"ids": [1], "state": "approved"}
    assert desk.json("li", "totals", "--year", 2020)["approved_unpaid_fen"] == 123_450
    done = desk.json("li", "register", made["id"], "--paid", "2020-03-05", "--voucher", "记-1")
    assert done["registered"][0]["number"] == 1
    (listed,) = desk.json("wang", "list", "--year", 2020, "--month", "2020-03", "--state", "registered")
    assert (listed["number"], listed["amount_fen"], listed["voucher"]) == (1, 123_450, "记-1")
    shown = desk.json("wang", "show", 1)
    assert (shown["cost_class"], len(shown["papers"]), shown["shares"]) == ("hardware", 1, made["shares"])
    red = desk.json("li", "reverse", "--year", 2020, "--number", 1, "--amount", "234.50", "--dated", "2020-03-06")
    assert red["amount_fen"] == -23_450
    totals = desk.json("sun", "totals", "--year", 2020, "--by", "township")  # a viewer sees totals ...
    assert [(one["name"], one["spent_fen"]) for one in totals["by"]["township"]] == [("普安镇", 123_450)]
    for command in (["list"], ["show", 1], ["check"], ["contract", "list", "--year", 2020]):
        with pytest.raises(Forbidden):  # ... and nothing else
            desk("sun", *command)
    (fund,) = desk.json("wang", "fund", "list")
    assert (fund["budget_fen"], fund["changes"][0]["document"]) == (25_000_000, "1号")
    assert desk.json("li", "class", "list", "--year", 2020)["30213"] == "维修(护)费"
    assert desk.json("li", "class", "edit", "--year", 2020, "--set", "30231=公务用车运行维护费")["30231"]
    assert desk.json("li", "contract", "list", "--year", 2020) == []
    assert "被冲销 234.50" in desk("wang", "show", 1)
    totals = desk("wang", "totals", "--year", 2020)
    assert "辅助台账，不是会计账簿" in totals
    assert "乡镇\t511723101\t普安镇\t1,234.50" in totals
    shown = desk.json("wang", "list", "--limit", 1)
    assert [one["id"] for one in shown] == [2]
    assert desk.err == "只列 1 笔，还有更多：--after 2 接着往下列，或 --limit\n"
    assert [one["id"] for one in desk.json("wang", "list", "--limit", 1, "--after", 2)] == [1]
    assert desk.err == ""


@pytest.mark.timeout(180)
def test_statuses_say_what_ran_and_does_not_hold(desk: Desk, url: str) -> None:
    opened_fund(desk)
    table = desk.folder / "a.csv"
    table.write_text("日期,摘要,金额,支出经济分类,站点\n2020-03-02,修,1.005,30213,全部\n", encoding="utf-8")
    tried = desk.json("li", "import", "--year", 2020, table, "--dry-run")
    assert desk.status == 1
    assert tried["mistakes"] == [{"row": 2, "column": "金额", "message": "金额应精确到分，实为 '1.005'"}]
    assert desk("wang", "check") == "台账与其合计一致\n"
    assert desk.status == 0

    async def spoil() -> None:
        async with opened(url) as engine, engine.begin() as connection:
            await connection.execute(text("UPDATE fund SET last_number = 7"))

    asyncio.run(spoil())
    assert "台账序号有缺号" in desk("wang", "check")
    assert desk.status == 1


WRONG: list[tuple[list[str], str]] = [
    (["draft", "--amount", "1e3"], "--amount: 应为金额"),
    (["draft", "--dated", "三月"], "--dated: 应为日期"),
    (["draft", "--site", "某村"], "没有站点“某村”"),
    (["draft", "--split", "odd"], "--split: 应为 equal、terminals 或 weights"),
    (["approve"], "应给出分录编号，或 --batch"),
    (["register", "5"], "没有编号为 5 的分录"),
    (["list", "--month", "2020-13"], "--month: 应为月份，如 2020-03"),
    (["list", "--state", "x"], "--state: 应为 draft"),
    (["totals", "--year", "2031"], "2031 年度应指明专项资金，现有：无"),
    (["close", "2020-13"], "period: 应为月份"),
    (["fund", "adjust", "--source", "x"], "--source: 应为 appropriation"),
    (["export", "--year", "2020", "--format", "odt", "--out", "x"], "--format: 应为 xlsx 或 beancount"),
    (["reverse"], "应给出分录编号"),
]


@pytest.mark.timeout(180)
def test_a_wrong_call_is_told_in_a_line(desk: Desk) -> None:
    given: dict[str, dict[str, Any]] = {
        "draft": {"--year": 2020, "--amount": "1", "--dated": "2020-03-02", "--memo": "修", "--class": "30213",
                  "--site": "全部"},
        "fund": {"--year": 2020, "--amount": "1", "--document": "9号", "--dated": "2020-03-02"},
    }  # fmt: skip
    for arguments, sentence in WRONG:
        words: list[object] = [*arguments]
        for option, value in given.get(arguments[0], {}).items():
            words += [] if option in words else [option, value]
        with pytest.raises(MonitorError) as refused:
            desk("li" if arguments[0] != "approve" else "wang", *words)
        assert sentence in str(refused.value), arguments

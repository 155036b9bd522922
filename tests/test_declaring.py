"""Declared values: verbatim, never lost, with papers and a second person's confirmation; sheets; rights."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli import program
from monitor.clock import from_iso, wall_ms
from monitor.core.access import Actor, Forbidden, Role
from monitor.core.declared import Declared, in_force
from monitor.errors import ConfigError, MonitorError
from monitor.flows import declaring
from monitor.flows.people import add_person
from monitor.inventory.load import Loaded, load
from monitor.publish.reports.template_files import templates_of
from monitor.store import declared as rows
from monitor.store.database import opened
from monitor.store.tables import audit, declared_confirmation, declared_value
from tests.folders import TODAY, write_sound
from tests.people import OF_T1, OPERATOR, VIEWER

NOW = from_iso("2027-01-05T09:00:00+08:00")
FINANCE = Actor("li", frozenset({Role.FINANCE}))
APPROVER = Actor("wang", frozenset({Role.APPROVER}))
BOTH = Actor("zhao", frozenset({Role.FINANCE, Role.APPROVER}))
TEMPLATES = templates_of(2026)
TEXT = "2026年全年共计完成救助457人，上半年完成救助239人，下半年完成救助218人。"


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    write_sound(tmp_path)
    with (tmp_path / "monitor.toml").open("a") as file:
        file.write(f'[papers]\nfolder = "{tmp_path}/papers"\n')
    return load(tmp_path, today=TODAY)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    async with opened(database_url) as found:
        yield found


async def say(
    engine: AsyncEngine, loaded: Loaded, key: str, text: str, reason: str = "", who: Actor = FINANCE, *papers: Path
) -> Declared:
    new = Declared(0, 2026, key, text, reason)
    return await declaring.declare(engine, loaded, TEMPLATES, who, new, NOW, papers)


async def known(engine: AsyncEngine) -> list[Declared]:
    async with engine.connect() as connection:
        return await rows.of_year(connection, 2026)


async def test_what_was_declared_stays_as_it_was_said_and_who_when_by_what_paper(
    engine: AsyncEngine, loaded: Loaded, tmp_path: Path
) -> None:
    paper = tmp_path / "名册.pdf"
    paper.write_bytes(b"%PDF-1.4 list")
    first = await say(engine, loaded, "2", f"  {TEXT} ", "", FINANCE, paper)
    assert (first.n, first.key, first.text, first.by) == (1, "row.2", TEXT, "li")
    assert first.papers == (hashlib.sha256(b"%PDF-1.4 list").hexdigest(),)
    await say(engine, loaded, "row.2", "更正")
    await say(engine, loaded, "row.14", "平台", who=OPERATOR)
    everything = await known(engine)
    assert [(d.n, d.key, d.text) for d in everything] == [
        (1, "row.2", TEXT), (2, "row.2", "更正"), (3, "row.14", "平台"),
    ]  # fmt: skip
    assert in_force(everything)["row.2"].n == 2
    await say(engine, loaded, "2", "")  # takes it back: the cell is empty again
    assert "row.2" not in in_force(await known(engine))
    async with engine.connect() as connection:
        audited = (await connection.execute(select(audit.c.who, audit.c.action, audit.c.what))).all()
    assert tuple(audited[0]) == ("li", "indicator.money", "2026 年度申报值 row.2")
    assert audited[2].action == "indicator.platform"


async def test_nobody_changes_or_deletes_a_declared_value(engine: AsyncEngine, loaded: Loaded) -> None:
    await say(engine, loaded, "2", TEXT)
    await declaring.confirm(engine, APPROVER, 2026, [], NOW)
    for table in (declared_value, declared_confirmation):
        for statement in (delete(table), update(table).values(made_by="x")):
            with pytest.raises(DBAPIError, match="rows are only added"):
                async with engine.begin() as connection:
                    await connection.execute(statement)


async def test_a_second_person_confirms(engine: AsyncEngine, loaded: Loaded) -> None:
    await say(engine, loaded, "2", TEXT, who=BOTH)
    with pytest.raises(Forbidden, match="不能审批自己经办的事项"):
        await declaring.confirm(engine, BOTH, 2026, ["2"], NOW)
    with pytest.raises(Forbidden):
        await declaring.confirm(engine, FINANCE, 2026, ["2"], NOW)
    with pytest.raises(MonitorError, match=r"没有申报 row\.3"):
        await declaring.confirm(engine, APPROVER, 2026, ["3"], NOW)
    assert [d.key for d in await declaring.confirm(engine, APPROVER, 2026, [], NOW)] == ["row.2"]
    assert await declaring.confirm(engine, APPROVER, 2026, [], NOW) == []
    [confirmed] = await known(engine)
    assert (confirmed.confirmed_by, confirmed.confirmed_ms) == ("wang", NOW)
    await say(engine, loaded, "2", "更正")  # a new value is not confirmed by the old one's confirmation
    assert in_force(await known(engine))["row.2"].confirmed_by == ""


async def test_what_cannot_be_declared_is_refused(engine: AsyncEngine, loaded: Loaded) -> None:
    for key, text, reason, says in (
        ("4", "25万元", "", "没有可申报的项目 row.4"),  # the ledger says it
        ("9", "100％", "", "没有可申报的项目 row.9"),  # the monitor does
        ("99", "x", "", "没有可申报的项目"),
        ("money.initial.appropriation", "很多", "", "应为金额"),
        ("money.executed.other", "-5", "", "不能为负"),
        ("eval.relief_people", "许多人", "", "档次"),
        ("eval.income", "达成预期 79", "走访", "应在 80 至 100 之间"),
        ("eval.income", "达成预期 90", "", "应写理由"),
        ("eval.execution", "", "因" * 101, "最多 100 字"),
        ("text.problems", "问" * 201, "", "最多 200 字"),
        ("eval.village", "219", "", "最多 0 字"),  # measured: only a reason may be given
    ):
        with pytest.raises(MonitorError, match=says):
            await say(engine, loaded, key, text, reason)
    for actor, key in ((VIEWER, "2"), (OPERATOR, "2"), (FINANCE, "14"), (OF_T1, "14"), (APPROVER, "text.problems")):
        with pytest.raises(Forbidden):
            await say(engine, loaded, key, "x", who=actor)
    assert await known(engine) == []
    await say(engine, loaded, "money.adjusted.appropriation", "-5万元")
    await say(engine, loaded, "eval.village", "", "两个站点搬迁")
    await say(engine, loaded, "text.problems", "问" * 200, who=OPERATOR)


async def test_a_sheet_goes_out_and_comes_back(engine: AsyncEngine, loaded: Loaded, tmp_path: Path) -> None:
    await say(engine, loaded, "2", TEXT)
    sheet = tmp_path / "sheet.csv"
    assert await declaring.sheet(engine, TEMPLATES, FINANCE, 2026, sheet) == len(declaring.places(TEMPLATES))
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == list(declaring.HEADINGS)
    for line in lines:
        if line[0] == "row.3":
            line[2] = "=2026年全年共计完成支付50万元。"  # a text, though it begins like a formula
        if line[0] == "eval.income":
            line[2:] = ["达成预期 95", "入户走访"]
    filled = tmp_path / "filled.csv"
    with filled.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(lines)
    found = await declaring.take_sheet(engine, TEMPLATES, FINANCE, 2026, filled, NOW, dry_run=True)
    assert ([d.key for d in found.values], found.unchanged) == (["row.3", "eval.income"], 1)
    assert len(await known(engine)) == 1
    with pytest.raises(Forbidden):
        await declaring.take_sheet(engine, TEMPLATES, OPERATOR, 2026, filled, NOW)
    await declaring.take_sheet(engine, TEMPLATES, FINANCE, 2026, filled, NOW)
    now = in_force(await known(engine))
    assert now["row.3"].text == "=2026年全年共计完成支付50万元。"
    assert (now["eval.income"].text, now["eval.income"].reason) == ("达成预期 95", "入户走访")
    again = await declaring.take_sheet(engine, TEMPLATES, FINANCE, 2026, filled, NOW)
    assert (again.values, again.unchanged) == ([], 3)


async def test_a_sheet_with_mistakes_changes_nothing(engine: AsyncEngine, tmp_path: Path) -> None:
    sheet = tmp_path / "wrong.csv"
    sheet.write_text("项目编号,内容\n2,有效\n4,25万元\n2,再次\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        await declaring.take_sheet(engine, TEMPLATES, FINANCE, 2026, sheet, NOW)
    assert [(m.row, m.column) for m in refused.value.mistakes] == [(3, "内容"), (4, "项目编号")]
    assert await known(engine) == []


async def test_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a clerk and an approver type them."""
    import asyncio

    (tmp_path / "config").mkdir()
    write_sound(tmp_path / "config")
    url = f"sqlite+aiosqlite:///{tmp_path}/monitor.db"
    monkeypatch.setenv("ZHDJ_DATABASE__URL", url)
    async with opened(url) as engine:
        await add_person(engine, None, "admin", [Role.ADMIN], None, "Kaijiang-2026-year", wall_ms())
        admin = Actor("admin", frozenset({Role.ADMIN}))
        for name, role in (("li", Role.FINANCE), ("wang", Role.APPROVER)):
            await add_person(engine, admin, name, [role], None, "Kaijiang-2026-year", wall_ms())
            (tmp_path / name).write_text("Kaijiang-2026-year")
            (tmp_path / name).chmod(0o600)

    async def run(who: str, *arguments: str) -> str:
        signed = ["--config", str(tmp_path / "config"), "--as", who, "--password-file", str(tmp_path / who)]
        await asyncio.to_thread(program, ["report", *arguments, *signed], standalone_mode=False)
        return capsys.readouterr().out

    assert await run("li", "declare", "2026", "2", "--text", TEXT) == "第 1 号申报：2026 年度 row.2\n"
    assert f"row.2\t第 2 行 完成贫困党员救助人数\t{TEXT}\t\tli " in await run("li", "declared", "2026")
    assert await run("wang", "confirm", "2026") == "已确认 1 项：row.2\n"
    [one] = json.loads(await run("wang", "declared", "2026", "--json"))
    assert (one["text"], one["by"], one["confirmed_by"]) == (TEXT, "li", "wang")
    assert (await run("li", "declare-sheet", "2026", str(tmp_path / "s.xlsx"))).endswith("行\n")
    said = await run("li", "declare-import", "2026", str(tmp_path / "s.xlsx"), "--dry-run")
    assert said == "将申报 0 项，不变 1 项\n"

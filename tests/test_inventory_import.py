"""Changing the inventory from the folder to the version that the service takes up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import from_iso
from monitor.core.access import Actor, Forbidden, Role
from monitor.core.timeline import BEGINNING
from monitor.errors import ConfigError, MonitorError
from monitor.flows import inventory_import as imports
from monitor.flows.inventory_import import Import
from monitor.inventory.load import load
from monitor.inventory.spreadsheet import read_table
from monitor.inventory.versions import pack, unpack
from monitor.store import audit, versions
from monitor.store.database import opened, writing
from monitor.store.versions import Held, Stored
from tests.people import OF_T1, OPERATOR, VIEWER

ADMIN = Actor("chen", frozenset({Role.ADMIN}))
BOTH = Actor("zhao", frozenset({Role.OPERATOR, Role.ADMIN}))
#: Monday, 2026-11-16, 10:00 in Asia/Shanghai.
NOW = from_iso("2026-11-16T02:00:00Z")
TODAY = date(2026, 11, 16)
DECEMBER = date(2026, 12, 1)

TOML = """timezone = "Asia/Shanghai"
[service.village]
days = "daily"
hours = ["08:30-18:00"]
"""
SITES = """site_id,name,level,township_code,township_name,uplink,commissioned_on,retired_on
C1,县级站点一,county,T0,县城,,,
T1,镇一站点,township,T1,镇一,C1,,
T2,镇二站点,township,T2,镇二,C1,,
V1,一村,village,T1,镇一,T1,,
V2,二村,village,T1,镇一,T1,,
V3,三村,village,T1,镇一,T1,,
"""
TERMINALS = "site_id,terminal,model\n" + "".join(f"{s},tv,TV-55\n" for s in ("C1", "T1", "T2", "V1", "V2", "V3"))
CHECKS = "site_id,terminal,check,target,interval_s,grace_s,failures\n" + "".join(
    f"{s},tv,heartbeat-mqtt,,60,180,\n" for s in ("C1", "T1", "T2", "V1", "V2", "V3")
)
FILES = {"monitor.toml": TOML, "sites.csv": SITES, "terminals.csv": TERMINALS, "checks.csv": CHECKS}


def write(folder: Path, *changes: tuple[str, str, str], without: str = "") -> Path:
    """The files, with (file, old text, new text) changed everywhere."""
    folder.mkdir(exist_ok=True)
    texts = dict(FILES)
    for name, old, new in changes:
        assert old in texts[name]
        texts[name] = texts[name].replace(old, new)
    for name, text in texts.items():
        if name != without:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


@dataclass
class Office:
    """A database that knows what the service began with, and the folder that it began with."""

    engine: AsyncEngine
    config: Path
    folder: Path
    now: int = NOW

    async def begin(self) -> None:
        """The service ran: version 1 is what the folder says."""
        loaded = load(self.config, serving=False)
        async with writing(self.engine) as connection:
            first = Held(1, BEGINNING, loaded.digest, loaded.digest, pack(loaded), "system")
            await versions.held(connection, [first])

    async def read(self, *changes: tuple[str, str, str], day: date | None = None, without: str = "") -> Import:
        write(self.folder, *changes, without=without)
        return await imports.read(self.engine, self.config, self.folder, day, self.now)

    async def propose(self, *changes: tuple[str, str, str], day: date | None = None, who: Actor = OPERATOR) -> Stored:
        return await imports.propose(self.engine, who, await self.read(*changes, day=day), self.now)

    async def approve(self, number: int, who: Actor = ADMIN) -> imports.Shown:
        return await imports.approve(self.engine, load(self.config, serving=False), who, number, self.now)

    async def take_up(self) -> list[int]:
        """What the running service does every few seconds."""
        async with writing(self.engine) as connection:
            due = await versions.due(connection, self.now)
            told = [Held(v.number, self.now, v.digest, v.files, body, v.approved_by) for v, body in due]
            await versions.held(connection, told)
        return [one.number for one in told]

    async def states(self) -> list[tuple[int, str]]:
        return [(v.number, v.state) for v in await imports.listed(self.engine, VIEWER)]


@pytest.fixture
async def office(tmp_path: Path, database_url: str) -> Any:
    async with opened(database_url) as engine:
        it = Office(engine, write(tmp_path / "config"), tmp_path / "new")
        await it.begin()
        yield it


MERGED = (
    ("sites.csv", "V1,一村,village,T1,镇一,T1,,", "V1,一二村,village,T1,镇一,T1,,"),
    ("sites.csv", "V2,二村,village,T1,镇一,T1,,", "V2,二村,village,T1,镇一,T1,,2026-12-01"),
)


async def test_two_villages_merge_from_the_day_on_and_not_before(office: Office) -> None:
    wanted = await office.read(*MERGED, day=DECEMBER)
    assert [str(one) for one in wanted.differences] == [
        "~ 站点 V1 name：一村 → 一二村",
        "~ 站点 V2 retired_on：（空） → 2026-12-01",
    ]
    assert (wanted.base, wanted.warnings) == (1, [])
    assert await office.states() == [(1, "held")]  # reading changes nothing
    proposed = await office.propose(*MERGED, day=DECEMBER)
    assert (proposed.number, proposed.from_ms) == (2, from_iso("2026-11-30T16:00:00Z"))
    assert await office.take_up() == []
    approved = await office.approve(2)
    assert [d.key for d in approved.differences] == ["V1", "V2"]
    assert await office.take_up() == []
    office.now = proposed.from_ms - 1
    assert await office.take_up() == []
    office.now += 1
    assert await office.take_up() == [2]
    assert await office.take_up() == []
    assert await office.states() == [(1, "held"), (2, "held")]
    async with office.engine.connect() as connection:
        stored, body = await versions.get(connection, 2)
        said = [(r["who"], r["action"], r["outcome"]) for r in await audit.rows(connection)]
    assert (stored.since, stored.approved_by) == (office.now, ADMIN.name)
    assert unpack(body, load(office.config).settings).digest == load(office.folder).digest == stored.digest
    assert said == [(OPERATOR.name, "inventory.propose", "done"), (ADMIN.name, "inventory.approve", "done")]


async def test_a_township_move_is_one_plain_difference(office: Office) -> None:
    moved = ("sites.csv", "V3,三村,village,T1,镇一,T1", "V3,三村,village,T2,镇二,T2")
    wanted = await office.read(moved)
    assert [str(d) for d in wanted.differences] == [
        "~ 站点 V3 划转：T1 镇一 → T2 镇二",
        "~ 站点 V3 uplink：T1 → T2",
    ]
    renamed = await office.read(("sites.csv", "镇二,", "新镇,"))
    assert [str(d) for d in renamed.differences] == ["~ 站点 T2 township_name：镇二 → 新镇"]


async def test_an_interval_changes_at_once(office: Office) -> None:
    wanted = await office.read(("checks.csv", "V1,tv,heartbeat-mqtt,,60,", "V1,tv,heartbeat-mqtt,,0.5,"))
    assert [str(d) for d in wanted.differences] == ["~ 检测项 V1/tv/heartbeat-mqtt interval_s：60 → 0.5"]
    assert (wanted.since, wanted.warnings) == (NOW, [])
    assert (await office.read(day=TODAY)).since == NOW


async def test_changed_hours_say_from_which_month(office: Office) -> None:
    hours = ("monitor.toml", "08:30-18:00", "09:00-17:00")
    wanted = await office.read(hours, day=date(2026, 11, 20))
    assert [str(d) for d in wanted.differences] == ["~ 设置 service.village.hours：08:30-18:00 → 09:00-17:00"]
    [warning] = wanted.warnings
    assert "从 2026-12-01 起生效（service.village.hours）" in warning
    assert (await office.read(hours, day=DECEMBER)).warnings == []


async def test_what_deserves_a_second_look_is_said(office: Office) -> None:
    sites = SITES.replace("V3,三村,village,T1,镇一,T1,,\n", "").replace("V2,二村,village,T1,镇一,T1,,\n", "")
    checks = "".join(line for line in CHECKS.splitlines(True) if not line.startswith("V"))
    terminals = "".join(line for line in TERMINALS.splitlines(True) if not line.startswith(("V2", "V3")))
    changes = (("sites.csv", SITES, sites), ("checks.csv", CHECKS, checks), ("terminals.csv", TERMINALS, terminals))
    wanted = await office.read(*changes)
    assert [str(d) for d in wanted.differences[:2]] == [
        "- 站点 V2 删除：二村（村级，T1 镇一）",
        "- 站点 V3 删除：三村（村级，T1 镇一）",
    ]
    assert [w.partition("：")[0].partition("，")[0] for w in wanted.warnings] == [
        "删除了 2 个站点",
        "村级的检测项全部删除",
    ]
    retired = ("sites.csv", "V2,二村,village,T1,镇一,T1,,", "V2,二村,village,T1,镇一,T1,,2026-11-01")
    [warning] = (await office.read(retired)).warnings
    assert "V2 的 retired_on（空 → 2026-11-01）早于生效日 2026-11-16" in warning
    with pytest.raises(MonitorError, match="时区不能更改"):
        await office.read(("monitor.toml", "Asia/Shanghai", "Asia/Urumqi"))


async def test_every_mistake_is_listed_and_nothing_changes(office: Office) -> None:
    with pytest.raises(ConfigError) as error:
        await office.read(
            ("sites.csv", "V1,一村,village", "V1,一村,hamlet"),
            ("sites.csv", "V2,二村,village,T1,镇一,T1,,", "V2,二村,village,T1,镇一,T9,2026-13-01,"),
            ("checks.csv", "V3,tv,heartbeat-mqtt,,60", "V3,tv,heartbeat-mqtt,,0"),
            ("checks.csv", "T1,tv,heartbeat", "T1,pc,heartbeat"),
        )
    found = [(m.file, m.row, m.column) for m in error.value.mistakes]
    assert found == [
        ("sites.csv", 5, "level"),
        ("sites.csv", 6, "commissioned_on"),
        ("sites.csv", 6, "uplink"),
        ("checks.csv", 3, "terminal"),
        ("checks.csv", 7, "interval_s"),
    ]
    assert all("expected" in m.message for m in error.value.mistakes)
    assert await office.states() == [(1, "held")]


async def test_spreadsheets_gbk_and_marks_say_the_same(office: Office) -> None:
    """A folder without monitor.toml keeps the settings; without a change there is nothing to propose."""
    write(office.folder, MERGED[0], without="monitor.toml")
    text = (office.folder / "sites.csv").read_text(encoding="utf-8")
    by_encoding = []
    for encoding in ("utf-8-sig", "gb18030", "utf-16"):
        (office.folder / "sites.csv").write_bytes(text.encode(encoding))
        by_encoding.append(await imports.read(office.engine, office.config, office.folder, DECEMBER, NOW))
    book = Workbook()
    assert book.active is not None
    for line in text.splitlines():
        book.active.append(line.split(","))
    (office.folder / "sites.csv").unlink()
    book.save(office.folder / "sites.xlsx")
    assert read_table(office.folder, "sites", ("site_id",)).file == "sites.xlsx"
    by_encoding.append(await imports.read(office.engine, office.config, office.folder, DECEMBER, NOW))
    for wanted in by_encoding:
        assert [str(d) for d in wanted.differences] == ["~ 站点 V1 name：一村 → 一二村"]
        assert wanted.loaded.digest == by_encoding[0].loaded.digest
        assert wanted.loaded.settings.service["village"].hours == ("08:30-18:00",)
    nothing = await imports.read(office.engine, office.config, office.config, None, NOW)
    assert (nothing.differences, nothing.warnings) == ([], [])


async def test_what_has_passed_cannot_be_changed(office: Office) -> None:
    with pytest.raises(MonitorError, match="生效日 2026-11-15 已经过去：已过去的时间由当时有效的清单判定"):
        await office.read(*MERGED, day=date(2026, 11, 15))


async def test_rights_and_the_second_person(office: Office) -> None:
    for who in (VIEWER, OF_T1, ADMIN):
        with pytest.raises(Forbidden):
            await office.propose(*MERGED, day=DECEMBER, who=who)
    assert (await office.propose(*MERGED, day=DECEMBER, who=BOTH)).number == 2
    for who in (OPERATOR, VIEWER, BOTH):
        with pytest.raises(Forbidden):
            await office.approve(2, who)
    await office.approve(2)
    with pytest.raises(MonitorError, match="不在待审批状态"):
        await office.approve(2)
    with pytest.raises(MonitorError, match="没有编号为 9 的清单版本"):
        await office.approve(9)


async def test_withdrawn_before_it_holds_and_not_after(office: Office) -> None:
    await office.propose(*MERGED, day=DECEMBER)
    assert (await imports.withdraw(office.engine, OPERATOR, 2, NOW)).state == "withdrawn"
    with pytest.raises(MonitorError, match="已撤回"):
        await imports.withdraw(office.engine, ADMIN, 2, NOW)
    await office.propose(*MERGED, day=DECEMBER)
    await office.approve(3)
    with pytest.raises(Forbidden):  # what an admin approved, an admin withdraws
        await imports.withdraw(office.engine, OPERATOR, 3, NOW)
    await imports.withdraw(office.engine, ADMIN, 3, NOW)
    await office.propose(*MERGED)
    await office.approve(4)
    assert await office.take_up() == [4]
    with pytest.raises(MonitorError, match="已生效，不能撤回"):
        await imports.withdraw(office.engine, ADMIN, 4, NOW)
    assert await office.states() == [(1, "held"), (2, "withdrawn"), (3, "withdrawn"), (4, "held")]


async def test_versions_hold_in_the_order_of_their_numbers(office: Office) -> None:
    await office.propose(*MERGED, day=DECEMBER)
    # One that would hold earlier and knows nothing of the merge: the merge would undo it, so it is refused.
    with pytest.raises(MonitorError, match=r"版本 2 定于 2026-12-01 00:00 生效.*inventory withdraw 2"):
        await office.propose(("checks.csv", ",60,180,", ",30,180,"))
    wanted = await office.read(*MERGED, ("checks.csv", ",60,180,", ",30,180,"), day=date(2026, 12, 5))
    assert any("版本 2 尚待审批" in warning for warning in wanted.warnings)
    await imports.propose(office.engine, OPERATOR, wanted, NOW)
    await office.approve(3)
    with pytest.raises(MonitorError, match="版本 3 提出在后而已批准"):
        await office.approve(2)
    # What was compared with a version that is no longer the newest is not written.
    with pytest.raises(MonitorError, match="重新导入"):
        await imports.propose(office.engine, OPERATOR, wanted, NOW)


async def test_a_rebuild_from_the_log_makes_the_rows_again(office: Office, tmp_path: Path) -> None:
    await office.propose(*MERGED)
    await office.approve(2)
    await office.take_up()
    told = []
    async with office.engine.connect() as connection:
        for number in (1, 2):
            stored, body = await versions.get(connection, number)
            told.append(Held(number, stored.since, stored.digest, stored.files, body, stored.approved_by))
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/again.db") as engine:
        for _ in range(2):  # told twice, it is the same
            async with writing(engine) as connection:
                await versions.held(connection, told)
        again = await imports.listed(engine, VIEWER)
        shown = await imports.show(engine, load(office.config, serving=False), VIEWER, 2)
    assert [(v.number, v.state, v.since) for v in again] == [(1, "held", BEGINNING), (2, "held", NOW)]
    assert [d.key for d in shown.differences] == ["V1", "V2"]


async def test_before_the_service_ever_ran_the_files_are_compared_with(tmp_path: Path) -> None:
    config = write(tmp_path / "config")
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/monitor.db") as engine:
        folder = write(tmp_path / "new", *MERGED)
        wanted = await imports.read(engine, config, folder, None, NOW)
        assert (wanted.base, len(wanted.differences), wanted.files) == (None, 2, load(config).digest)
        # Number 1 stays for what the service begins with.
        assert (await imports.propose(engine, OPERATOR, wanted, NOW)).number == 2

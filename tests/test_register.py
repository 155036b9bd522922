"""The register of positions in a database: written, corrected, imported, counted, and told apart from the inventory."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import from_iso
from monitor.core.access import Forbidden
from monitor.core.register import Act, Record, device, on_day
from monitor.core.stocktake import Outcome
from monitor.errors import ConfigError, MonitorError
from monitor.flows import register, stocktake
from monitor.flows.register import Changes
from monitor.inventory.load import Loaded, load
from monitor.inventory.register_tables import CountRow
from monitor.store.database import opened
from monitor.store.tables import audit, paper, position_record
from tests.folders import TODAY, write_sound
from tests.people import OF_T1, OPERATOR, VIEWER

NOW = from_iso("2026-10-12T10:00:00+08:00")
A, B = device("DESKTOP", "A1"), device("DESKTOP", "B2", "aabbccddeeff", "ZC-2")
HEADINGS = "站点编号,机位,型号,序列号,资产编号,MAC地址,安装日期,拆除日期,原因\n"


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    folder = tmp_path / "config"
    folder.mkdir()
    write_sound(folder)
    with (folder / "monitor.toml").open("a") as file:
        file.write(f'[papers]\nfolder = "{tmp_path}/papers"\n')
    return load(folder, today=TODAY)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    async with opened(database_url) as found:
        yield found


def record(act: Act, day: str, thing: object = None, site: str = "V1", terminal: str = "pc") -> Record:
    return Record(0, site, terminal, act, date.fromisoformat(day), thing, "换新")  # type: ignore[arg-type]


async def standing(engine: AsyncEngine) -> list[tuple[str, str, str]]:
    cards = register.all_cards(await register.read(engine))
    return [(c.site, c.terminal, c.device.serial) for c in on_day(cards, TODAY)]


async def test_what_is_done_at_a_position_is_written_with_its_author_papers_and_audit(
    engine: AsyncEngine, loaded: Loaded, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a photo")
    await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-01", A), NOW)
    made = await register.write(engine, loaded, OF_T1, record(Act.REPLACED, "2026-10-09", B), NOW, [photo])
    assert (made.n, made.by, len(made.papers)) == (2, "wang", 1)
    assert await register.read(engine) == [await register.find(engine, 1), made]
    assert await standing(engine) == [("V1", "pc", "B2")]
    async with engine.connect() as connection:
        audited = (await connection.execute(select(audit.c.who, audit.c.what, audit.c.outcome))).all()
        papers = (await connection.execute(select(paper.c.sha256))).scalars().all()
    assert audited[-1] == ("wang", "机位台账 更换 V1/pc 2026-10-09 DESKTOP 序列号 B2 资产编号 ZC-2", "done")
    assert papers == list(made.papers)


async def test_who_may_not_write_is_refused_and_that_is_audited(engine: AsyncEngine, loaded: Loaded) -> None:
    for actor, site, kind in ((VIEWER, "V1", "pc"), (OF_T1, "T0", "pc")):
        with pytest.raises(Forbidden):
            await register.write(engine, loaded, actor, record(Act.INSTALLED, "2026-10-01", A, site, kind), NOW)
    with pytest.raises(MonitorError, match="清单中没有机位 V9/pc"):
        await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-01", A, "V9"), NOW)
    with pytest.raises(MonitorError, match="只记已发生的事"):
        await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-13", A), NOW)
    assert await register.read(engine) == []
    async with engine.connect() as connection:
        outcomes = (await connection.execute(select(audit.c.outcome))).scalars().all()
    assert outcomes == ["refused"] * 4


async def test_a_correction_names_what_it_corrects_and_a_device_is_not_at_two_positions(
    engine: AsyncEngine, loaded: Loaded
) -> None:
    await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-01", A), NOW)
    with pytest.raises(MonitorError, match="序列号 A1 自 2026-10-01 至今登记在 V1/pc"):
        await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-02", A, "T1", "tv"), NOW)
    made = await register.correct(engine, loaded, OPERATOR, 1, Changes(device=B), "抄错", NOW)
    assert (made.corrects, made.on, made.device) == (1, date(2026, 10, 1), B)
    await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-02", A, "T1", "tv"), NOW)
    await register.correct(engine, loaded, OPERATOR, 2, Changes(act=Act.VOID), "没有这回事", NOW)
    assert await standing(engine) == [("T1", "tv", "A1")]
    assert len(await register.read(engine)) == 4


async def test_what_was_written_cannot_be_changed_or_deleted_even_in_the_database(
    engine: AsyncEngine, loaded: Loaded
) -> None:
    await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-01", A), NOW)
    for statement in (update(position_record).values(serial="X"), delete(position_record)):
        with pytest.raises(DBAPIError, match="rows are only added"):
            async with engine.begin() as connection:
                await connection.execute(statement)


async def test_of_many_at_once_one_installs_and_numbers_have_no_gap(engine: AsyncEngine, loaded: Loaded) -> None:
    same = [
        register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-01", device("PC", f"S{i}")), NOW)
        for i in range(8)
    ]
    found = await asyncio.gather(*same, return_exceptions=True)
    assert sum(isinstance(one, Record) for one in found) == 1
    assert all(isinstance(one, Record | MonitorError) for one in found), found
    await register.write(engine, loaded, OPERATOR, record(Act.REMOVED, "2026-10-02"), NOW)
    assert [r.n for r in await register.read(engine)] == [1, 2]


# --- sheets -----------------------------------------------------------------------------------------------------------


async def test_a_sheet_lists_every_mistake_and_writes_nothing(
    engine: AsyncEngine, loaded: Loaded, tmp_path: Path
) -> None:
    file = tmp_path / "cards.csv"
    file.write_text(
        HEADINGS
        + "V1,pc,DESKTOP,A1,,,2026/10/1,,\n"
        + "V1,PC端,DESKTOP,B2,,,2026-10-05,,\n"  # the one before is not closed
        + "V9,pc,DESKTOP,C3,,,2026-10-01,,\n"
        + "V1,tv,,D4,,,2026-10-01,,\n"
        + "V1,tv,TV,D4,,zz,2026-10-01,,\n"
        + "T1,tv,TV,E5,,,,,\n"
        + "T1,tv,TV,E5,,,2026-10-08,2026-10-02,\n"
        + "T1,tv,TV,A1,,,2026-10-03,,\n",  # the same thing as row 2
        encoding="gbk",
    )
    with pytest.raises(ConfigError) as error:
        await register.take_sheet(engine, loaded, OPERATOR, file, NOW, dry_run=True)
    places = [(m.row, m.column) for m in error.value.mistakes]
    assert places == [
        (2, "序列号"),
        (3, "安装日期"),
        (4, "站点编号"),
        (5, "型号"),
        (6, "序列号"),
        (7, "安装日期"),
        (8, "拆除日期"),
        (9, "序列号"),
    ]
    with pytest.raises(ConfigError):
        await register.take_sheet(engine, loaded, OPERATOR, file, NOW)
    assert await register.read(engine) == []


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
async def test_an_export_is_a_sheet_that_changes_nothing_and_another_register_takes(
    engine: AsyncEngine, loaded: Loaded, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / "cards.csv"
    file.write_text(
        HEADINGS
        + "V1,pc,DESKTOP,=A1,,,2026-10-01,2026-10-05,坏了\nV1,pc,DESKTOP,007,ZC-2,aa-bb-cc-dd-ee-ff,2026-10-05,,\n"
        + "T1,tv,TV-55,,ZC-3,,2026-09-01,,\n",
        encoding="utf-8",
    )
    tried = await register.take_sheet(engine, loaded, OPERATOR, file, NOW, dry_run=True)
    assert [r.act for r in tried.records] == [Act.INSTALLED, Act.REPLACED, Act.INSTALLED]
    assert await register.read(engine) == []
    await register.take_sheet(engine, loaded, OPERATOR, file, NOW)
    cards = register.all_cards(await register.read(engine))

    out = tmp_path / f"out.{suffix}"
    assert register.export(out, loaded.inventory, cards) == 3
    again = await register.take_sheet(engine, loaded, OPERATOR, out, NOW)
    assert (again.records, again.unchanged) == ([], 3)
    async with opened("sqlite+aiosqlite://") as other:
        await register.take_sheet(other, loaded, OPERATOR, out, NOW)
        taken = register.all_cards(await register.read(other))
        assert [(c.position, c.device, c.since, c.until) for c in taken] == [
            (c.position, c.device, c.since, c.until) for c in cards
        ]


async def test_no_cell_of_an_export_is_a_formula(engine: AsyncEngine, loaded: Loaded, tmp_path: Path) -> None:
    evil = device("=HYPERLINK(1)", "@SUM(1)")
    await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-01", evil), NOW)
    cards = register.all_cards(await register.read(engine))
    register.export(tmp_path / "out.csv", loaded.inventory, cards)
    register.export(tmp_path / "out.xlsx", loaded.inventory, cards)
    (_, row) = csv.reader(io.StringIO((tmp_path / "out.csv").read_text("utf-8-sig")))
    assert row[4:6] == ["'=HYPERLINK(1)", "'@SUM(1)"]
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx").active
    assert sheet is not None
    assert {cell.data_type for line in sheet.iter_rows() for cell in line} <= {"s", "inlineStr", "n"}
    assert sheet.cell(2, 5).value == "=HYPERLINK(1)"
    with pytest.raises(MonitorError, match="nothing is written over it"):
        register.export(tmp_path / "out.csv", loaded.inventory, cards)


async def test_register_and_inventory_side_by_side(engine: AsyncEngine, loaded: Loaded) -> None:
    await register.write(
        engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-01", device("TV-65", "T"), "V1", "tv"), NOW
    )
    await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-01", A), NOW)
    cards = register.all_cards(await register.read(engine))
    found = register.differences(loaded.inventory, cards, TODAY)
    assert [(d.kind, d.site, d.terminal) for d in found] == [("no_card", "T1", "tv"), ("model", "V1", "tv")]
    # Before the site was in service its cards have no position.
    early = register.differences(loaded.inventory, [c for c in cards if c.terminal == "pc"], date(2026, 9, 30))
    assert [d.kind for d in early] == ["no_card"]


async def test_figures_of_a_period(engine: AsyncEngine, loaded: Loaded) -> None:
    await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-09-30", A), NOW)
    await register.write(engine, loaded, OPERATOR, record(Act.REPLACED, "2026-10-05", B), NOW)
    await register.write(engine, loaded, OPERATOR, record(Act.REMOVED, "2026-10-06"), NOW)
    await register.correct(engine, loaded, OPERATOR, 3, Changes(act=Act.VOID), "没有拆", NOW)
    found = await register.device_figures(engine, loaded, date(2026, 10, 1), date(2026, 10, 31))
    assert (found.installed, found.replaced, found.removed, found.standing) == (0, 1, 0, 1)
    assert (found.replaced_by_kind, found.replaced_by_township) == ({"pc": 1}, {"T1": 1})


# --- stock-takes ------------------------------------------------------------------------------------------------------


def seen(what: str, site: str = "V1", terminal: str = "pc", day: str = "2026-10-10") -> CountRow:
    return CountRow(0, site, terminal, what, date.fromisoformat(day), "")


async def test_a_count_is_judged_by_the_card_of_its_day(engine: AsyncEngine, loaded: Loaded) -> None:
    await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-01", A), NOW)
    await register.write(engine, loaded, OPERATOR, record(Act.REPLACED, "2026-10-08", B), NOW)

    async def outcome(row: CountRow) -> Outcome:
        return (await stocktake.count(engine, loaded, OPERATOR, 2026, row, NOW)).outcome

    assert await outcome(seen("a1", day="2026-10-07")) is Outcome.FOUND
    assert await outcome(seen("a1")) is Outcome.DIFFERENT
    assert await outcome(seen("zc-2")) is Outcome.FOUND
    assert await outcome(seen("无")) is Outcome.MISSING
    assert await outcome(seen("X9", "T1", "tv")) is Outcome.SURPLUS
    for row, says in (
        (seen("√", "V1", "tv"), "没有卡片"),
        (seen("无", "V1", "tv"), "无须盘点"),
        (seen("A1", "V9"), "都没有机位"),
        (seen("A1", day="2026-10-13"), "只记已发生的事"),
    ):
        with pytest.raises(MonitorError, match=says):
            await outcome(row)
    report = await stocktake.report(engine, loaded, OPERATOR, 2026, NOW)
    assert (report.cards, report.agrees, report.outstanding) == (1, False, [])
    assert report.outcomes[Outcome.MISSING] == report.outcomes[Outcome.SURPLUS] == 1
    assert (await stocktake.report(engine, loaded, OPERATOR, 2025, NOW)).outstanding == []


async def test_a_sheet_is_taken_along_filled_in_and_taken_once(
    engine: AsyncEngine, loaded: Loaded, tmp_path: Path
) -> None:
    await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-01", A), NOW)
    await register.write(engine, loaded, OPERATOR, record(Act.INSTALLED, "2026-10-01", B, "V1", "tv"), NOW)
    file = tmp_path / "count.csv"
    assert await stocktake.sheet(engine, loaded, OPERATOR, 2026, file, NOW) == 2
    rows = list(csv.reader(io.StringIO(file.read_text("utf-8-sig"))))
    at = rows[0].index("实物")
    for row, what in zip(rows[1:], ["√", "B7"], strict=True):
        row[at : at + 2] = [what, "2026-10-11"]
    file.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")

    tried = await stocktake.take_sheet(engine, loaded, OPERATOR, 2026, file, NOW, dry_run=True)
    assert [c.outcome for c in tried.counts] == [Outcome.FOUND, Outcome.DIFFERENT]
    assert len((await stocktake.report(engine, loaded, OPERATOR, 2026, NOW)).outstanding) == 2
    await stocktake.take_sheet(engine, loaded, OPERATOR, 2026, file, NOW)
    again = await stocktake.take_sheet(engine, loaded, OPERATOR, 2026, file, NOW)
    assert (again.counts, again.unchanged) == ([], 2)
    report = await stocktake.report(engine, loaded, OPERATOR, 2026, NOW)
    assert [(c.n, c.by, c.seen) for c in report.counts] == [(1, "lihua", ""), (2, "lihua", "B7")]
    out = tmp_path / "again.csv"
    await stocktake.sheet(engine, loaded, OPERATOR, 2026, out, NOW)
    assert (await stocktake.take_sheet(engine, loaded, OPERATOR, 2026, out, NOW)).counts == []

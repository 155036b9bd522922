"""A year's archive holds its register, stock-take, inspections and meetings, to be read without the program."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from monitor.clock import from_iso
from monitor.core.access import Actor, Role
from monitor.core.inspection import Finding, Result, Visit
from monitor.core.meeting import Attendance
from monitor.core.register import Act, Record, device
from monitor.flows import inspections, meetings, register, stocktake
from monitor.flows.archive import archive
from monitor.inventory.load import load
from monitor.inventory.register_tables import CountRow
from monitor.store.database import opened
from tests.folders import TODAY, write_sound
from tests.people import OPERATOR

AUDITOR = Actor("zhao", frozenset({Role.AUDITOR}))
NOW = from_iso("2026-10-12T10:00:00+08:00")
NINE = from_iso("2026-10-12T09:00:00+08:00")
DAY = date(2026, 10, 9)


async def test_what_was_written_in_a_year_is_in_its_archive_and_no_others(database_url: str, tmp_path: Path) -> None:
    folder = write_sound(tmp_path)
    with (folder / "monitor.toml").open("a") as file:
        file.write(f'[papers]\nfolder = "{tmp_path}/papers"\n[anchors]\nfile = "{tmp_path}/anchors.jsonl"\n')
        file.write(f'[evidence]\nfolder = "{tmp_path}/evidence"\n')
    loaded = load(folder, today=TODAY)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"photo")
    found: dict[int, dict[str, list[dict[str, Any]]]] = {}
    async with opened(database_url) as engine:
        made = Record(0, "V1", "pc", Act.INSTALLED, DAY, device("PC", "A1"))
        paper = (await register.write(engine, loaded, OPERATOR, made, NOW, [photo])).papers[0]
        await stocktake.count(engine, loaded, OPERATOR, 2026, CountRow(0, "V1", "pc", "√", DAY, ""), NOW)
        await inspections.plan(
            engine, loaded, OPERATOR, "跨年巡检", "county", date(2026, 10, 1), date(2027, 1, 31), NOW
        )
        visit = Visit(0, 1, "V1", DAY, "李华", True, (Finding("pc", Result.OK),))
        await inspections.visit(engine, loaded, OPERATOR, visit, NOW)
        await meetings.plan(engine, loaded, OPERATOR, "会", "组织部", (NINE, NINE + 3_600_000), "county", NOW)
        await meetings.note(engine, loaded, OPERATOR, Attendance(0, 1, "V1", True, NINE), NOW)
        for year in (2025, 2026, 2027):
            out = tmp_path / str(year)
            await archive(engine, AUDITOR, loaded.settings, year, out, from_iso("2028-01-05T00:00:00Z"))
            found[year] = {
                path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
                for path in (out / "tables").glob("*.jsonl")
            }
    names = ("position_record", "stock_count", "inspection_round", "inspection_visit", "inspection_finding", "meeting",
             "meeting_note")  # fmt: skip
    assert {name: len(found[2026][name]) for name in names} == dict.fromkeys(names, 1)
    assert {name: len(found[2025].get(name, [])) for name in names} == dict.fromkeys(names, 0)
    # The register is its whole history, and the round goes on into the next year.
    following = {name for name in names if found[2027].get(name)}
    assert following == {"position_record", "inspection_round"}
    assert found[2026]["position_record"][0]["papers"] == [paper]
    assert found[2026]["inspection_round"][0]["sites"] == ["C1", "T1", "V1"]
    assert found[2026]["inspection_visit"][0]["reached"] is True

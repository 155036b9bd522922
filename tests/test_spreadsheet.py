"""Tables as people really make them: encodings, separators, workbooks, and limits."""

from __future__ import annotations

import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from monitor.errors import ConfigError
from monitor.inventory import spreadsheet, text_table, workbook
from monitor.inventory.spreadsheet import Table, read_table

TEXT = "site_id,名称,说明\n511723101201,峨城社区,“甲”\n511723101202,车家桥社区,\n"
WIDE_SITE = "ＳＩＴＥ"  # noqa: RUF001 - the width is the point
#: A spreadsheet knows no time zones.
MORNING = datetime(2026, 10, 1, 8, 30)  # noqa: DTZ001
MIDNIGHT = datetime(2026, 10, 2)  # noqa: DTZ001
HEADINGS = ("site_id", "名称")


def read(folder: Path) -> Table:
    return read_table(folder, "sites", HEADINGS)


def rows(table: Table) -> list[tuple[int, str, str]]:
    return [(row.number, row.cells["site_id"], row.cells["名称"]) for row in table.rows]


def mistakes(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read(folder)
    return [str(mistake) for mistake in error.value.mistakes]


def save(folder: Path, cells: list[list[Any]], title: str = "Sheet") -> Workbook:
    book = Workbook()
    assert book.active is not None
    book.active.title = title
    for row in cells:
        book.active.append(row)
    book.save(folder / "sites.xlsx")
    return book


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    (tmp_path / "sites.csv").write_bytes(TEXT.replace("\n", end).encode(encoding))
    assert rows(read(tmp_path)) == [(2, "511723101201", "峨城社区"), (3, "511723101202", "车家桥社区")]


@pytest.mark.parametrize("separator", [",", "\t", ";", "，"])
def test_separators(tmp_path: Path, separator: str) -> None:
    (tmp_path / "sites.csv").write_text(TEXT.replace(",", separator), encoding="utf-8")
    assert len(rows(read(tmp_path))) == 2


def test_rows_are_numbered_as_the_spreadsheet_shows_them(tmp_path: Path) -> None:
    text = '\n  \nsite_id , 名称,备注,,\n\n1 ,　甲村　,"第一行\n第二行",,\n,,,,\n2,\ufeff乙  村,,,\n'
    (tmp_path / "sites.csv").write_text(text, encoding="utf-8")
    table = read(tmp_path)
    assert rows(table) == [(5, "1", "甲村"), (7, "2", "乙 村")]
    assert table.rows[0].cells["备注"] == "第一行 第二行"


def test_headings_in_any_order_case_and_width(tmp_path: Path) -> None:
    (tmp_path / "sites.csv").write_text(f"名称,{WIDE_SITE}_id\n甲,1\n", encoding="utf-8")
    assert rows(read(tmp_path)) == [(2, "1", "甲")]


def test_titles_above_the_headings(tmp_path: Path) -> None:
    book = save(tmp_path, [["二〇二六年站点一览表"], ["制表：张三"], ["site_id", "名称", "说明"], [1, "甲村"]])
    assert book.active is not None
    book.active.merge_cells("A1:C1")
    book.save(tmp_path / "sites.xlsx")
    assert rows(read(tmp_path)) == [(4, "1", "甲村")]
    save(tmp_path, [["二〇二六年站点一览表"], ["site_id", "说明"], [1, "甲村"]])
    assert mistakes(tmp_path) == ["sites.xlsx:2: expected the column 名称; found site_id, 说明"]
    save(tmp_path, [["二〇二六年站点一览表"], ["编号", "说明"], [1, "甲村"]])
    assert mistakes(tmp_path) == ["sites.xlsx:1: expected the columns site_id, 名称; found 二〇二六年站点一览表"]


def test_the_line_that_is_not_gbk(tmp_path: Path) -> None:
    """Not the first with a Chinese character in it."""
    (tmp_path / "sites.csv").write_bytes(TEXT.encode("gb18030") + b"3,\x81\n")
    assert mistakes(tmp_path) == ["sites.csv:4: cannot be read from line 4; expected text in UTF-8 or GBK"]


def test_short_rows_end_in_empty_cells(tmp_path: Path) -> None:
    (tmp_path / "sites.csv").write_text("site_id,名称\n1\n", encoding="utf-8")
    assert rows(read(tmp_path)) == [(2, "1", "")]


def test_csv_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sites.csv").write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(spreadsheet, "MAX_ROWS", 2)
    assert mistakes(tmp_path) == ["sites.csv:3: is too long; expected at most 2 rows"]
    monkeypatch.setattr(text_table, "MAX_CSV_BYTES", 50)
    size = len(TEXT.encode())
    assert mistakes(tmp_path) == [f"sites.csv: is too large; expected at most 50 bytes, found {size}"]


def test_a_folder_of_that_name_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "sites.csv").mkdir()
    assert mistakes(tmp_path) == ["sites.csv: cannot be read: Is a directory"]


def test_a_workbook(tmp_path: Path) -> None:
    save(
        tmp_path,
        [
            [],
            ["site_id", "名称", "on", "seconds", "at", "flag", None],
            [511723101201, " 甲村 ", date(2026, 10, 1), 0.5, MORNING, True],
            [],
            [511723101202.0, "乙村", MIDNIGHT, 60.0],
        ],
    )
    table = read(tmp_path)
    assert table.file == "sites.xlsx"
    assert rows(table) == [(3, "511723101201", "甲村"), (5, "511723101202", "乙村")]
    assert [table.rows[0].cells[name] for name in ("on", "seconds", "at", "flag")] == [
        "2026-10-01",
        "0.5",
        "2026-10-01 08:30:00",
        "TRUE",
    ]
    assert [table.rows[1].cells[name] for name in ("on", "seconds", "flag")] == ["2026-10-02", "60", ""]


def test_the_first_visible_sheet_counts(tmp_path: Path) -> None:
    book = Workbook()
    assert book.active is not None
    book.active.append(["hidden"])
    book.active.sheet_state = "hidden"
    sheet = book.create_sheet("站点")
    sheet.append(list(HEADINGS))
    sheet.append(["1", "甲"])
    book.create_sheet("more").append(["site_id"])
    book.active = 1
    book.save(tmp_path / "sites.xlsx")
    assert rows(read(tmp_path)) == [(2, "1", "甲")]


def test_cells_of_a_workbook_that_cannot_be_read(tmp_path: Path) -> None:
    save(tmp_path, [list(HEADINGS), [5117231012010000, "甲"], ["2", "=A2&B2"]])
    assert [str(mistake) for mistake in read(tmp_path).mistakes] == [
        "sites.xlsx:2 [A]: expected text, found a number of more than 15 digits, of which Excel keeps 15",
        "sites.xlsx:3 [B]: expected a value, found the formula '=A2&B2' without a stored result",
    ]


def test_workbook_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, [list(HEADINGS), *[[str(n), "甲"] for n in range(5)], ["x"] * 257])
    assert mistakes(tmp_path) == ["sites.xlsx:7: expected at most 256 columns, found 257"]
    monkeypatch.setattr(spreadsheet, "MAX_ROWS", 3)
    assert mistakes(tmp_path) == ["sites.xlsx:4: is too long; expected at most 3 rows"]
    monkeypatch.setattr(workbook, "MAX_UNPACKED_BYTES", 1000)
    assert mistakes(tmp_path)[0].startswith("sites.xlsx: is too large; expected at most 1,000 bytes unpacked")
    monkeypatch.setattr(workbook, "MAX_XLSX_BYTES", 1000)
    assert mistakes(tmp_path)[0].startswith("sites.xlsx: is too large; expected at most 1,000 bytes, found")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "sites.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b" " * (workbook.MAX_UNPACKED_BYTES + 1))
    assert (tmp_path / "sites.xlsx").stat().st_size < 1_000_000
    assert mistakes(tmp_path)[0].startswith("sites.xlsx: is too large; expected at most 134,217,728 bytes unpacked")


def test_a_zip_that_is_no_workbook(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "sites.xlsx", "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert mistakes(tmp_path) == ["sites.xlsx: cannot be read as XLSX (KeyError); save it again"]

"""What is wrong with a sheet that a clerk filled in is said in Chinese, at the heading that stands in it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook

from monitor.errors import ConfigError
from monitor.inventory import spreadsheet, text_table, workbook
from monitor.inventory.register_tables import COUNT_COLUMNS, COUNT_HEADINGS, COUNT_OPTIONAL, read_counts
from monitor.inventory.sheets import by_headings, read_sheet

HEAD = "站点编号,机位,实物,盘点日期\n"
ROW = "V1,pc,√,2026-10-08\n"


def written(text: str, encoding: str = "utf-8") -> Callable[[Path], Path]:
    return lambda folder: _bytes(folder / "sheet.csv", text.encode(encoding))


def raw(name: str, data: bytes) -> Callable[[Path], Path]:
    return lambda folder: _bytes(folder / name, data)


def _bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def book(*cells: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        made = Workbook()
        for row in (HEAD.strip().split(","), list(cells)):
            made.worksheets[0].append(row)
        made.save(folder / "sheet.xlsx")
        return folder / "sheet.xlsx"

    return make


def no_book(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "sheet.xlsx", "w") as archive:
        archive.writestr("nothing.txt", "nothing")
    return folder / "sheet.xlsx"


MISTAKES: list[tuple[Callable[[Path], Path], str]] = [
    (raw("sheet.pdf", b""), "sheet.pdf: 文件名应以 .csv 或 .xlsx 结尾"),
    (written(""), "sheet.csv: 文件是空的；第一行应为列名：站点编号, 机位, 实物, 盘点日期"),
    (written(HEAD.replace("实物", "实物,机位")), "sheet.csv:1 [机位]: 这一列应只有一列，实有 2 列"),
    (written(HEAD.replace("机位,", "")), "sheet.csv:1: 缺少列 机位；现有 站点编号, 实物, 盘点日期"),
    (written("site_id,terminl,seen,counted_on\n"), "sheet.csv:1 [terminl]: 没有这一列；是否应为“机位”？"),
    (written(HEAD + "V1,pc,√,2026-10-08,,x\n"), "sheet.csv:2: 最多 4 格，实有 6 格；含逗号的内容应加引号"),
    (written(HEAD + "V1，pc，√，2026-10-08\n"), "sheet.csv:2: 各格应与第一行用同样的分隔符，这里是全角逗号（，）"),
    (written(HEAD + '"V1\n'), "sheet.csv:2: 不是完整的 CSV：引号应成对"),
    (raw("sheet.csv", b"\xff\xfea"), "sheet.csv: 标为 UTF-16，内容却不是；请重新保存"),
    (raw("sheet.csv", b"\0" * 9), "sheet.csv: 不是文本；应为 UTF-8 或 GBK 的 CSV（XLSX 的文件名应以 .xlsx 结尾）"),
    (raw("sheet.csv", (HEAD * 2).encode() + b"\xff"), "sheet.csv:3: 文件已损坏：第 3 行与其余各行编码不同；请重新保存"),
    (raw("sheet.csv", b"a\xff\xff"), "sheet.csv:1: 自第 1 行起无法读取；应为 UTF-8 或 GBK 文本"),
    (raw("sheet.xlsx", b"x"), "sheet.xlsx: 不是 XLSX 工作簿（是旧的 .xls、加密的文件？）；请另存为 XLSX 或 CSV"),
    (no_book, "sheet.xlsx: 无法按 XLSX 读取（KeyError）；请重新保存"),
    (lambda folder: folder / "none.csv", "none.csv: 文件无法读取（No such file or directory）"),
    (book("V1", "pc", "=A1", "2026-10-08"), "sheet.xlsx:2 [C]: 应为数值，这里是没有结果的公式 '=A1'"),
    (
        book("V1", "pc", 1234567890123456789, "2026-10-08"),
        "sheet.xlsx:2 [C]: 应为文本：超过 15 位的数字，Excel 只保留 15 位",
    ),
    (written(HEAD + ",pc,√,2026-10-08\n"), "sheet.csv:2 [站点编号]: 应为站点编号，实为空"),
    (written(HEAD + "V1,pc,√,\n"), "sheet.csv:2 [盘点日期]: 应为日期，如 2026-10-01，实为空"),
    (written(HEAD + "V1,pc,√,十月\n"), "sheet.csv:2 [盘点日期]: 应为日期，如 2026-10-01，实为 '十月'"),
    (
        written(HEAD + "V1,打印机,√,2026-10-08\n"),
        "sheet.csv:2 [机位]: 应为 数字电视（tv）、移动终端（mobile）、pc端（pc） 之一，实为 '打印机'",
    ),
]  # fmt: skip


def told(path: Path) -> list[str]:
    try:
        _, mistakes = read_counts(read_sheet(path, COUNT_COLUMNS, COUNT_OPTIONAL, COUNT_HEADINGS))
    except ConfigError as error:
        return [str(mistake) for mistake in error.mistakes]
    return [str(mistake) for mistake in by_headings(mistakes, COUNT_HEADINGS)]


@pytest.mark.parametrize(("make", "says"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_told_in_chinese(tmp_path: Path, make: Callable[[Path], Path], says: str) -> None:
    assert told(make(tmp_path)) == [says]


def test_what_is_too_large_is_told_in_chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = written(HEAD + ROW)(tmp_path)
    assert told(sound) == []
    filled = book("V1", "pc", "√", "2026-10-08")(tmp_path)
    for place, name, limit, path, says in (
        (text_table, "MAX_CSV_BYTES", 5, sound, r"文件过大：最多 5 字节，实为 \d+ 字节"),
        (workbook, "MAX_XLSX_BYTES", 5, filled, r"文件过大：最多 5 字节，实为 [\d,]+ 字节"),
        (workbook, "MAX_UNPACKED_BYTES", 5, filled, r"文件过大：最多 5 字节，实为 [\d,]+ 字节"),
        (workbook, "MAX_COLUMNS", 2, filled, r"最多 2 列，实有 4 列"),
        (spreadsheet, "MAX_ROWS", 1, sound, r"行数过多，最多 1 行"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, limit)
            [one] = told(path)
        assert re.search(says, one), one

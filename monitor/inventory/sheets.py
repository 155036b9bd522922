"""Sheets that clerks fill in, read as tables: what is wrong with them is said in Chinese, by the headings they wrote.

The tables of the configuration are read by the same code (inventory/spreadsheet.py), whose messages are English.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from monitor.errors import ConfigError, Mistake
from monitor.inventory.spreadsheet import Table, read_file

#: What the readers of tables say of a file's form -> the same in Chinese. A test makes every one of these mistakes.
_CHINESE: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(pattern, re.S), chinese)
    for pattern, chinese in (
        (r"expected a file whose name ends in .*", "文件名应以 .csv 或 .xlsx 结尾"),
        (r"is empty; expected a first row with the columns (.*)", "文件是空的；第一行应为列名：{0}"),
        (r"is too long; expected at most (.*) rows", "行数过多，最多 {0} 行"),
        (r"expected the column once, found it (\d+) times", "这一列应只有一列，实有 {0} 列"),
        (r"unknown column; expected (.*)\?", "没有这一列；是否应为“{0}”？"),
        (r"expected the columns? (.*); found (.*)", "缺少列 {0}；现有 {1}"),
        (r"expected at most (\d+) cells, found (\d+); .*", "最多 {0} 格，实有 {1} 格；含逗号的内容应加引号"),
        (r"expected cells separated as in the first row, .*", "各格应与第一行用同样的分隔符，这里是全角逗号（，）"),
        (r"is not CSV: .*", "不是完整的 CSV：引号应成对"),
        (r"is marked as UTF-16 but is not: .*", "标为 UTF-16，内容却不是；请重新保存"),
        (r"is not text; .*", "不是文本；应为 UTF-8 或 GBK 的 CSV（XLSX 的文件名应以 .xlsx 结尾）"),
        (r"is damaged: line (\d+) .*", "文件已损坏：第 {0} 行与其余各行编码不同；请重新保存"),
        (r"cannot be read from line (\d+); .*", "自第 {0} 行起无法读取；应为 UTF-8 或 GBK 文本"),
        (r"is too large; expected at most (\S+) bytes(?: unpacked)?, found (\S+?);?(?: save.*)?",
         "文件过大：最多 {0} 字节，实为 {1} 字节"),
        (r"cannot be read as XLSX \((.*)\); .*", "无法按 XLSX 读取（{0}）；请重新保存"),
        (r"cannot be read: (.*)", "文件无法读取（{0}）"),
        (r"expected at most (\d+) columns, found (.*)", "最多 {0} 列，实有 {1} 列"),
        (r"expected a value, found the formula (.*) without a stored result", "应为数值，这里是没有结果的公式 {0}"),
        (r"expected text, found a number of more than 15 digits.*", "应为文本：超过 15 位的数字，Excel 只保留 15 位"),
        (r"is not an XLSX workbook .*", "不是 XLSX 工作簿（是旧的 .xls、加密的文件？）；请另存为 XLSX 或 CSV"),
    )
)  # fmt: skip


def read_sheet(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    headings: Mapping[str, str] = MappingProxyType({}),
) -> Table:
    """As `spreadsheet.read_file`, with the mistakes of its form in Chinese. Raises ConfigError, likewise."""
    names = {column: heading for heading, column in headings.items()}
    try:
        table = read_file(path, required, optional, headings)
    except ConfigError as error:
        raise ConfigError([in_chinese(mistake, names) for mistake in error.mistakes]) from None
    return replace(table, mistakes=tuple(in_chinese(mistake, names) for mistake in table.mistakes))


def in_chinese(mistake: Mistake, names: Mapping[str, str] = MappingProxyType({})) -> Mistake:
    """A mistake of a sheet's form as a clerk reads it; `names`: the headings of columns."""
    for pattern, chinese in _CHINESE:
        if match := pattern.fullmatch(mistake.message):
            said = [", ".join(names.get(one, one) for one in (group or "").split(", ")) for group in match.groups()]
            return replace(mistake, message=chinese.format(*said), column=names.get(mistake.column, mistake.column))
    return replace(mistake, column=names.get(mistake.column, mistake.column))


def by_headings(mistakes: Sequence[Mistake], headings: Mapping[str, str]) -> list[Mistake]:
    """The same mistakes, each at its column's heading, in the sheet's order."""
    names = {column: heading for heading, column in headings.items()}
    return sorted(replace(one, column=names.get(one.column, one.column)) for one in mistakes)

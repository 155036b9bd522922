"""Tables by level that several parts show: rates, and the times behind them, each with the other ways of counting."""

from __future__ import annotations

from typing import Literal

from monitor.core import report_words as words
from monitor.core.report import RateFacts, Sum
from monitor.publish.documents.blocks import Cell, Column, Row, Table
from monitor.publish.reports.reading import Reading

#: Rows of other ways of counting stand below the measured ones, set in.
INSET = "　"


def state_of(reading: Reading, rate: RateFacts, sums: Sum) -> str:
    """达标, 未达标, or that nothing can be said."""
    if (reading.is_thin(sums) or not words.total(sums)) and not rate.failed:
        return "不能认定"
    return "达标" if words.met(rate) else "未达标"


def rate_table(reading: Reading, title: str, of: Literal["sites", "terminals"], anchor: str = "") -> Table:
    counted = reading.facts.counted
    rates = counted.sites if of == "sites" else counted.terminals
    thing = "站点" if of == "sites" else "机位"
    columns = [
        Column("层级", width=1.5),
        Column(f"计划{thing}", "count"),
        Column("维护到位", "count"),
        Column("未维护到位", "count"),
        Column("数据不足", "count"),
        Column("运行维护率", "percent", 1.4),
        Column("结论", width=1.1),
    ]
    rows = []
    for level in words.LEVEL_ORDER:
        sums = counted.sums[level]
        strong = level == "total"
        rows.append(Row(_rate_cells(reading, words.LEVELS[level], rates[level], sums), strong))
        for name, other, sites, terminals in reading.levels_beside(level):
            theirs = sites if of == "sites" else terminals
            rows.append(Row(_rate_cells(reading, INSET + name, theirs, other)))
    note = f"运行维护率 = 维护到位{thing}数 ÷ 计划{thing}数，只截不进。{beside_note(reading)}"
    return Table(title, columns, rows, note=note, anchor=anchor)


def _rate_cells(reading: Reading, name: str, rate: RateFacts, sums: Sum) -> list[Cell]:
    return [
        name,
        rate.planned,
        rate.maintained,
        rate.failed,
        rate.unproven,
        reading.rate_cell(rate, sums),
        state_of(reading, rate, sums),
    ]


TIME_COLUMNS = (
    Column("可用率", "percent", 2.0),
    Column("在线", "length", 2.0, fine=True),
    Column("中断", "length", 1.0),
    Column("数据完整率", "percent", 0.8),
    Column("未知", "length", 1.0),
    Column("计划检修", "length", 1.0),
    Column("中断次数", "count", 0.8),
)


def time_cells(reading: Reading, sums: Sum) -> list[Cell]:
    """In the order of TIME_COLUMNS."""
    return [
        reading.availability(sums),
        sums.up,
        sums.down,
        words.coverage(sums),
        sums.unknown,
        sums.planned,
        sums.outages,
    ]


def time_table(reading: Reading) -> Table:
    rows = []
    for level in words.LEVEL_ORDER:
        sums = reading.facts.counted.sums[level]
        rows.append(Row([words.LEVELS[level], *time_cells(reading, sums)], strong=level == "total"))
        for name, other, _, _ in reading.levels_beside(level):
            rows.append(Row([INSET + name, *time_cells(reading, other)]))
    note = f"按站点累计；站点的全部机位中断才算站点中断。{beside_note(reading)}"
    return Table("可用率与时长（按层级）", [Column("层级", width=0.8), *TIME_COLUMNS], rows, note=note, upright=True)


def beside_note(reading: Reading) -> str:
    """What the rows that are set in mean; nothing where there are none."""
    if not reading.ways:
        return ""
    return f"受影响的数字下一行为{'、'.join(f'“{way.name}”' for way in reading.ways)}口径。"

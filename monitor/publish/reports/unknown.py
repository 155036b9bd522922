"""Part 6: the time of which nothing is known: how much, why, whose fault, and what it leaves open."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.core import report_words as words
from monitor.publish.documents.blocks import Block, Column, Row, Section, Table, Text
from monitor.publish.reports.levels import INSET, beside_note
from monitor.publish.reports.reading import BRIEF, Reading
from monitor.publish.reports.sites import anchor

LOSSES: Mapping[str, str] = {
    "start": "首次接通以前",
    "all": "全部通道同时中断（监测服务停止、停顿，或监测侧线路故障）",
    "channel": "该通道中断（消息服务或监测侧连接故障）",
}
WHY: Mapping[str, str] = {
    "channel": "监测通道中断（监测自身的故障）",
    "before": "尚未收到任何数据（新接入的机位）",
    "no_check": "未设检测项",
    "undecided": "通道恢复后、重新收到数据以前",
}


def unknown(reading: Reading) -> Section:
    total = reading.total
    if total.unknown:
        first = (
            f"本期全县站点未知时长{words.hours(total.unknown)}，监测数据完整率"
            f"{words.percent(words.coverage(total))}。未知是没有监测证据的时间，既不算在线，也不算中断；"
            "监测自身的故障不记为站点的中断。"
        )
    elif words.total(total):
        first = "本期没有未知时长，应在线时间全部有监测证据。"
    else:
        first = "本期没有应在线时长。"
    blocks: list[Block] = [
        Text(first),
        _why(reading),
        _bounds(reading),
        _losses(reading),
        _most(reading),
    ]
    return Section("六、未知时长与数字的可信范围", "6 未知时长", blocks)


def _why(reading: Reading) -> Table:
    facts, whole = reading.facts, reading.total.unknown
    columns = [
        Column("原因", width=3.0),
        Column("未知时长", "length", 1.3),
        Column("占未知时长", "percent"),
        Column("涉及站点", "count", unit="个"),
    ]
    rows = [Row([WHY.get(u.why, u.why), u.length, words.part_of(u.length, whole), u.sites]) for u in facts.unknown]
    return Table("未知时长的原因", columns, rows, empty="没有未知时长。")


def _bounds(reading: Reading) -> Table:
    """The one place that gives figures also where too little is known: between which two the truth lies."""
    columns = [
        Column("层级", width=1.4),
        Column("数据完整率", "percent"),
        Column("可用率", "percent"),
        Column("下限", "percent"),
        Column("上限", "percent"),
        Column("未知时长", "length", 1.4),
    ]
    rows = []
    for level in words.LEVEL_ORDER:
        sums = reading.facts.counted.sums[level]
        cells = [words.coverage(sums), reading.availability(sums), *words.bounds(sums), sums.unknown]
        rows.append(Row([words.LEVELS[level], *cells], strong=level == "total"))
        for name, other, _, _ in reading.levels_beside(level):
            theirs = [words.coverage(other), reading.availability(other), *words.bounds(other), other.unknown]
            rows.append(Row([INSET + name, *theirs]))
    note = (
        "下限：未知时长全部按中断计；上限：未知时长全部按在线计。真实的可用率在两者之间。"
        f"监测数据不足的不给出可用率，上下限不作为评价结论。{beside_note(reading)}"
    )
    return Table("可用率的可信范围", columns, rows, note=note)


def _losses(reading: Reading) -> Table:
    facts = reading.facts
    columns = [
        Column("监测节点", width=0.9),
        Column("通道", width=1.0),
        Column("起", "instant", 1.5),
        Column("止", "instant", 1.5),
        Column("本期时长", "length", 1.2),
        Column("原因", width=2.4),
    ]
    rows = []
    for loss in facts.losses:
        here = min(loss.end if loss.end is not None else facts.as_of, facts.end) - max(loss.start, facts.start)
        rows.append(
            Row(
                [
                    loss.observer,
                    words.CHANNELS.get(loss.channel, loss.channel),
                    loss.start if loss.start > 0 else None,
                    loss.end if loss.end is not None else "未恢复",
                    max(here, 0),
                    LOSSES.get(loss.reason, loss.reason) or "未记录",
                ]
            )
        )
    rows.sort(key=lambda row: -_number(row.cells[4]))
    brief = rows[:BRIEF] if len(rows) > BRIEF else None
    note = "按自然时间计，由长到短；非服务时段的通道中断不产生未知时长。"
    return Table("监测通道中断记录", columns, rows, brief, note, empty="本期监测通道没有中断。", upright=True)


def _number(cell: object) -> int:
    return cell if isinstance(cell, int) else 0


def _most(reading: Reading) -> Table:
    sites = [site for site in reading.facts.sites if site.sum.unknown]
    sites.sort(key=lambda site: (-site.sum.unknown, site.site))
    columns = [
        Column("站点", width=1.5),
        Column("乡镇", width=1.2),
        Column("未知时长", "length", 1.4),
        Column("数据完整率", "percent"),
        Column("结论"),
    ]
    rows = [
        Row(
            [
                site.name,
                reading.township_name(site.township),
                site.sum.unknown,
                words.coverage(site.sum),
                words.VERDICTS.get(site.verdict, site.verdict),
            ],
            link=anchor(site.site),
        )
        for site in sites
    ]
    brief = rows[:BRIEF] if len(rows) > BRIEF else None
    return Table("未知时长较多的站点", columns, rows, brief, empty="没有未知时长的站点。")

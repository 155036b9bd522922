"""Part 9: what the figures stand on, so that others can check that nothing was changed: digests and chain heads."""

from __future__ import annotations

from monitor.core import report_words as words
from monitor.publish.documents.blocks import Block, Column, Row, Section, Table, Text
from monitor.publish.reports.reading import Reading
from monitor.publish.reports.standing import Seal

#: Days of this many hashes are shown on paper; all in the workbook.
DAYS_ON_PAPER = 62


def evidence(reading: Reading, seal: Seal | None) -> Section:
    facts = reading.facts
    blocks: list[Block] = [
        Text(
            "下列摘要（SHA-256）是监测日志、站点清单和各条记录链的“指纹”：内容有任何改动，指纹即不相同。"
            "核对命令：zhdj-monitor verify。摘要能够证明记录自形成以后未被改动，不能证明最初的记录真实。"
        )
    ]
    if seal is not None:
        blocks.append(_seal(reading, seal))
    blocks += [_heads(reading), _inventory(reading), _days(reading), _made(reading)]
    if not facts.evidence.days:
        blocks.insert(1, Text("本期尚无封存的监测日志。", warning=not facts.demo))
    return Section("九、摘要与记录链", "9 摘要与记录链", blocks)


def _seal(reading: Reading, seal: Seal) -> Table:
    rows = [
        Row(["定稿序号", f"第{seal.number}号"]),
        Row(["定稿人", seal.by]),
        Row(["定稿时间", words.full_instant(seal.at, reading.zone)]),
        Row(["本报告摘要", seal.hash]),
        Row(["上一份定稿报告摘要", seal.previous or "（首份）"]),
    ]
    return Table("定稿", [Column("项目"), Column("内容", width=3.5)], rows)


def _heads(reading: Reading) -> Table:
    columns = [Column("记录链", width=1.2), Column("最新序号", "count", 0.8), Column("最新摘要", width=3.5)]
    rows = [Row([chain_name(name), n, digest]) for name, n, digest in reading.facts.evidence.heads]
    return Table("各记录链链头", columns, rows, empty="尚无记录链。")


def chain_name(name: str) -> str:
    first, _, rest = name.partition("/")
    if first == "evidence":
        return f"监测日志 {rest}".strip()
    return words.CHAINS.get(name, name)


def _inventory(reading: Reading) -> Table:
    columns = [Column("站点清单", width=1.0), Column("执行起", width=1.4), Column("摘要", width=3.5)]
    rows = []
    for era in reading.facts.eras:
        early = era.since <= reading.facts.start
        since = "本期初以前" if early else words.full_instant(era.since, reading.zone)
        rows.append(Row([f"第{era.version}版", since, era.digest]))
    return Table("站点清单与参数的摘要", columns, rows)


def _days(reading: Reading) -> Table:
    columns = [Column("监测节点", width=0.9), Column("日期", "day", 0.9), Column("当日监测日志摘要", width=3.5)]
    rows = [Row([observer, day, digest]) for observer, day, digest in reading.facts.evidence.days]
    brief = rows[:DAYS_ON_PAPER] if len(rows) > DAYS_ON_PAPER else None
    return Table("每日监测日志的摘要", columns, rows, brief, empty="没有封存的监测日志。")


def _made(reading: Reading) -> Table:
    facts = reading.facts
    rows = [
        Row(["规则版本", facts.rules]),
        Row(["软件版本", facts.software]),
        Row(["监测节点", "、".join(facts.evidence.observers) or words.NO_FIGURE]),
        Row(["数据截至", words.full_instant(facts.as_of, reading.zone)]),
    ]
    return Table("生成本报告的程序", [Column("项目"), Column("内容", width=3.5)], rows)

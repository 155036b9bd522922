"""The way down: a block for each site, with its terminals, outages, orders, and the command that explains its figures.

On pages and in the workbook only; every row of the report that names a site leads here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from monitor.core import report_words as words
from monitor.core.report import SiteFacts, Sum
from monitor.publish.documents.blocks import Block, Cell, Column, Heading, Row, Section, Table, Text
from monitor.publish.reports.levels import INSET, time_cells
from monitor.publish.reports.outages import GOES_ON, OUTAGE_COLUMNS, order_state, outage_row
from monitor.publish.reports.reading import Reading
from monitor.publish.reports.sites import anchor, basis, fault

_MEASURES = (
    Column("可用率", "percent", 1.2),
    Column("在线", "length", 1.3),
    Column("中断", "length", 1.3),
    Column("数据完整率", "percent", 1.2),
    Column("未知", "length", 1.3),
    Column("计划检修", "length", 1.3),
    Column("中断次数", "count", 0.8),
    Column("超时限", "length", 1.1),
    Column("结论", width=1.0),
)


def annex(reading: Reading) -> Section:
    blocks: list[Block] = [_all(reading)]
    for site in reading.facts.sites:
        blocks += _site(reading, site)
    return Section("附：各站点明细", "站点明细", blocks, annex=True)


def command(reading: Reading, site: str) -> str:
    return f"zhdj-monitor explain {reading.facts.period} --site {site}"


def _cells(reading: Reading, sums: Sum, verdict: str) -> list[Cell]:
    return [*time_cells(reading, sums), sums.overdue, words.VERDICTS.get(verdict, verdict)]


def _all(reading: Reading) -> Table:
    columns = [
        Column("编号", width=1.2),
        Column("站点", width=1.4),
        Column("层级", width=0.7),
        Column("乡镇", width=1.1),
    ]
    rows = []
    for site in reading.facts.sites:
        place = [site.site, site.name, words.LEVELS.get(site.level, site.level), reading.township_name(site.township)]
        rows.append(Row([*place, *_cells(reading, site.sum, site.verdict)], link=anchor(site.site)))
        for way, other in reading.beside(f"site:{site.site}"):
            rows.append(Row([INSET + way, None, None, None, *_cells(reading, other.sum, other.verdict)]))
    return Table("全部站点", [*columns, *_MEASURES], rows, note="点选一行可查看该站点明细。", anchor="sites")


def _site(reading: Reading, site: SiteFacts) -> Iterator[Block]:
    level = words.LEVELS.get(site.level, site.level)
    yield Heading(f"{site.name}（{level}，{site.site}）", anchor(site.site))
    verdict = words.VERDICTS.get(site.verdict, site.verdict)
    why = "" if site.verdict == "maintained" else f"认定依据：{basis(reading, site)}。"
    yield Text(f"结论：{verdict}。{why}计算过程：{command(reading, site.site)}")
    rows = []
    for name, key, sums, said in _members(reading, site):
        rows.append(Row([name, *_cells(reading, sums, said)]))
        for way, other in reading.beside(key):
            rows.append(Row([INSET + way, *_cells(reading, other.sum, other.verdict)]))
    yield Table("", [Column("机位", width=1.2), *_MEASURES], rows)
    if outages := reading.outages_of.get(site.site):
        # The site's name stands above.
        rows = [replace(row, cells=row.cells[1:]) for row in (outage_row(reading, outage) for outage in outages)]
        yield Table("中断", OUTAGE_COLUMNS[1:], rows)
    if reading.orders_of.get(site.site):
        yield _orders(reading, site)


def _members(reading: Reading, site: SiteFacts) -> Iterator[tuple[str, str, Sum, str]]:
    yield "（站点）", f"site:{site.site}", site.sum, site.verdict
    for terminal in site.terminals:
        key = f"terminal:{site.site}/{terminal.terminal}"
        yield reading.kind_name(terminal.terminal), key, terminal.sum, terminal.verdict


def _orders(reading: Reading, site: SiteFacts) -> Table:
    columns = [
        Column("工单", width=1.1),
        Column("开立", "instant", 1.5),
        Column("恢复", "instant", 1.5),
        Column("关闭", "instant", 1.5),
        Column("状态", width=1.2),
        Column("原因"),
        Column("处理情况", width=1.5),
        Column("费用", "yuan", 1.0, "元"),
    ]
    rows = []
    for order in reading.orders_of[site.site]:
        line = "（乡镇线路）" if order.site != site.site else ""
        rows.append(
            Row(
                [
                    order.number + line,
                    order.opened,
                    order.restored if order.restored is not None else GOES_ON,
                    order.closed,
                    order_state(order),
                    fault((), [order]) if order.cause else "未填写",
                    order.work or None,
                    order.cost_fen,
                ]
            )
        )
    return Table("工单", columns, rows)

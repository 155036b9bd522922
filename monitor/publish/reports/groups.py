"""Part 2: by level, township (ranked), kind of terminal and service."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.core import report_words as words
from monitor.core.report import GroupFacts, RateFacts, Sum
from monitor.publish.documents.blocks import Block, Cell, Column, Row, Section, Table
from monitor.publish.reports.levels import INSET, TIME_COLUMNS, beside_note, rate_table, time_cells, time_table
from monitor.publish.reports.reading import Reading


def groups(reading: Reading) -> Section:
    blocks: list[Block] = [
        time_table(reading),
        rate_table(reading, "运行维护率（机位）", "terminals"),
        *_townships(reading),
        _kinds(reading),
        _services(reading),
    ]
    return Section("二、分层级、分乡镇、分终端、分服务情况", "2 分类情况", blocks)


def ranked(reading: Reading) -> Sequence[tuple[int | None, GroupFacts]]:
    """Townships by maintenance rate, then availability; equal ones share a rank. Those with too little evidence, or
    nothing counted, come last and have no rank, and so do the county's own sites."""

    def standing(group: GroupFacts) -> tuple[int, int]:
        return words.rate(group.rate) or 0, words.availability(group.sum) or 0

    def is_ranked(group: GroupFacts) -> bool:
        is_township = group.id not in reading.county_codes
        return is_township and words.total(group.sum) > 0 and not reading.is_thin(group.sum)

    known = [group for group in reading.facts.townships if is_ranked(group)]
    known.sort(key=lambda group: (*(-x for x in standing(group)), group.id))
    result: list[tuple[int | None, GroupFacts]] = []
    for i, group in enumerate(known, 1):
        before = result[-1] if result else None
        tied = before is not None and standing(before[1]) == standing(group)
        result.append((before[0] if before is not None and tied else i, group))
    return [*result, *((None, group) for group in reading.facts.townships if not is_ranked(group))]


def _townships(reading: Reading) -> list[Table]:
    rates, times = [], []
    for rank, group in ranked(reading):
        name = "县级站点" if group.id in reading.county_codes else group.name or group.id
        rates.append(Row([rank, name, *_rate_cells(reading, group.rate, group.sum), group.sum.down]))
        times.append(Row([name, *time_cells(reading, group.sum)]))
        for way, other in reading.beside(f"township:{group.id}"):
            rates.append(
                Row([None, INSET + way, *_rate_cells(reading, other.rate or group.rate, other.sum), other.sum.down])
            )
            times.append(Row([INSET + way, *time_cells(reading, other.sum)]))
    columns = [
        Column("名次", "count", 0.7),
        Column("乡镇", width=1.8),
        Column("实有站点", "count", 0.8),
        Column("维护到位", "count", 0.8),
        Column("未维护到位", "count", 0.8),
        Column("数据不足", "count", 0.8),
        Column("运行维护率", "percent", 1.3),
        Column("可用率", "percent", 1.3),
        Column("中断", "length", 1.4),
    ]
    note = (
        "含各乡镇本级及所辖村级站点，以实有站点为分母。先比运行维护率，再比可用率，相同者并列；"
        f"监测数据不足的和县级站点不排名。{beside_note(reading)}"
    )
    return [
        Table("各乡镇运行维护情况（按名次）", columns, rates, note=note, anchor="townships"),
        Table(
            "各乡镇可用率与时长",
            [Column("乡镇", width=0.8), *TIME_COLUMNS],
            times,
            note=beside_note(reading),
            upright=True,
        ),
    ]


def _rate_cells(reading: Reading, rate: RateFacts, sums: Sum) -> list[Cell]:
    return [
        rate.planned,
        rate.maintained,
        rate.failed,
        rate.unproven,
        reading.rate_cell(rate, sums),
        reading.availability(sums),
    ]


def _kinds(reading: Reading) -> Table:
    columns = [
        Column("终端", width=1.4),
        Column("机位", "count", 0.8),
        Column("维护到位", "count", 0.8),
        Column("未维护到位", "count", 0.8),
        Column("数据不足", "count", 0.8),
        Column("运行维护率", "percent", 1.2),
        Column("可用率", "percent", 1.2),
        Column("中断", "length", 1.3),
        Column("数据完整率", "percent", 1.2),
        Column("中断次数", "count", 0.8),
    ]

    def cells(rate: RateFacts, sums: Sum) -> list[Cell]:
        return [*_rate_cells(reading, rate, sums), sums.down, words.coverage(sums), sums.outages]

    rows = []
    for group in reading.facts.kinds:
        rows.append(Row([reading.kind_name(group.id), *cells(group.rate, group.sum)]))
        for way, other in reading.beside(f"kind:{group.id}"):
            rows.append(Row([INSET + way, *cells(other.rate or group.rate, other.sum)]))
    note = f"按机位累计，故中断时长多于按站点累计。{beside_note(reading)}"
    return Table("各类终端情况", columns, rows, note=note, upright=True)


def _services(reading: Reading) -> Table:
    columns = [
        Column("服务", width=1.3),
        Column("报告终端", "count", unit="个"),
        Column("报告正常", "count", unit="次"),
        Column("报告异常", "count", unit="次"),
        Column("曾报告异常的终端", "count", unit="个"),
        Column("正常占比", "percent"),
    ]
    rows = [
        Row(
            [
                words.SERVICES.get(service.service, service.service),
                service.terminals,
                service.ok,
                service.failed,
                service.terminals_failed,
                words.part_of(service.ok, service.ok + service.failed),
            ]
        )
        for service in reading.facts.services
    ]
    note = "由终端随心跳自报，反映其自测结果；未报告的终端不计，本表不参与运行维护率计算。"
    return Table("各项服务情况（终端自报）", columns, rows, note=note, empty="本期没有终端报告服务状态。")

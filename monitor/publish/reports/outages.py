"""Part 4: outages. On paper those that opened an order or were overdue, in the workbook every one; by cause; the
longest; the work orders."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.core import report_words as words
from monitor.core.report import OrderFacts, OutageFacts
from monitor.core.workorder import STATE_NAMES
from monitor.publish.documents.blocks import Block, Chart, Column, Row, Section, Table
from monitor.publish.reports.levels import INSET
from monitor.publish.reports.reading import Reading
from monitor.publish.reports.sites import anchor

#: How many of the longest outages are listed.
LONGEST = 10
GOES_ON = "未恢复"


def outages(reading: Reading) -> Section:
    blocks: list[Block] = [
        *_by_cause(reading),
        _longest(reading),
        _orders(reading),
        _all(reading),
        *_lines(reading),
    ]
    return Section("四、中断与工单", "4 中断与工单", blocks)


def cause(outage: OutageFacts) -> str:
    name = words.OUTAGE_CAUSES.get(outage.cause, outage.cause)
    return f"{name}（免责）" if outage.exempted else name


def _by_cause(reading: Reading) -> list[Block]:
    found: dict[str, list[OutageFacts]] = {}
    for outage in reading.outages:
        found.setdefault(words.OUTAGE_CAUSES.get(outage.cause, outage.cause), []).append(outage)
    spent = {words.OUTAGE_CAUSES.get(c, c): fen for c, fen in reading.facts.money.by_cause.items() if c}
    ordered = sorted(found, key=lambda name: (-sum(o.counted_here for o in found[name]), name))
    rows = [
        Row(
            [
                name,
                len(found[name]),
                sum(o.counted_here for o in found[name]),
                sum(1 for o in found[name] if o.overdue_here),
                sum(o.overdue_here for o in found[name]),
                sum(1 for o in found[name] if o.exempted),
                spent.get(name, 0),
            ]
        )
        for name in ordered
    ]
    every = reading.outages
    if rows:
        whole = [len(every), sum(o.counted_here for o in every), sum(1 for o in every if o.overdue_here)]
        exempted = sum(1 for o in every if o.exempted)
        fen = sum(spent.get(name, 0) for name in ordered)
        rows.append(Row(["合计", *whole, sum(o.overdue_here for o in every), exempted, fen], strong=True))
        for way, sums in reading.terminals_beside():
            rows.append(Row([INSET + way, sums.outages, sums.down, None, sums.overdue, None, None]))
    columns = [
        Column("原因", width=1.4),
        Column("中断次数", "count", 0.9),
        Column("计入时长", "length", 1.3),
        Column("超时限次数", "count", 0.9),
        Column("超时限时长", "length", 1.3),
        Column("其中免责", "count", 0.8),
        Column("维修费用", "yuan", unit="元"),
    ]
    note = (
        "按机位计。原因以工单填写的为准；没有填写的，以恢复后首次心跳所示为准（如设备重启过）；两者皆无的为未查明。"
        "计入时长只计应在线时间。维修费用为本期登记、注明工单的支出。"
    )
    chart = Chart(
        "中断时长（按原因）",
        "bar",
        ordered,
        {"计入时长": [sum(o.counted_here for o in found[name]) for name in ordered]},
        "length",
    )
    table = Table("中断原因", columns, rows, note=note, empty="本期没有中断。")
    return [table, chart] if rows else [table]


def _longest(reading: Reading) -> Table:
    longest = sorted(reading.outages, key=lambda o: (-o.counted_here, o.key))[:LONGEST]
    columns = [
        Column("名次", "count", 0.6),
        Column("站点", width=1.4),
        Column("机位"),
        Column("起", "instant", 1.5),
        Column("止", "instant", 1.5),
        Column("计入时长", "length", 1.2),
        Column("原因", width=1.1),
        Column("工单", width=1.1),
    ]
    rows = [
        Row(
            [
                i,
                reading.site_name(o.site),
                reading.kind_name(o.terminal),
                o.start,
                o.over if o.over is not None else GOES_ON,
                o.counted_here,
                cause(o),
                o.order or None,
            ],
            link=anchor(o.site),
        )
        for i, o in enumerate(longest, 1)
    ]
    return Table(
        f"本期最长的中断（前{LONGEST}位）",
        columns,
        rows,
        note=reading.as_measured,
        empty="本期没有中断。",
        upright=True,
    )


def order_state(order: OrderFacts) -> str:
    """`已关闭`, `已派单（超期）`, `已关闭（超期、免责）`."""
    marks = [word for word, holds in (("超期", order.overdue), ("免责", order.exempted)) if holds]
    state = STATE_NAMES.get(order.state, order.state)
    return f"{state}（{'、'.join(marks)}）" if marks else state


def _orders(reading: Reading) -> Table:
    columns = [
        Column("工单", width=1.1),
        Column("站点", width=1.4),
        Column("层级", width=0.7, fine=True),
        Column("开立", "instant", 1.5),
        Column("恢复", "instant", 1.5),
        Column("关闭", "instant", 1.5, fine=True),
        Column("状态", width=1.2),
        Column("原因", width=0.9),
        Column("处理情况", width=1.5, fine=True),
        Column("中断", "count", 0.6, "次", fine=True),
        Column("计入时长", "length", 1.2),
        Column("修复时限", "length", 1.0, fine=True),
        Column("费用", "yuan", 0.9, "元"),
    ]
    rows = [
        Row(
            [
                order.number,
                reading.site_name(order.site),
                words.LEVELS.get(order.level, order.level),
                order.opened,
                order.restored if order.restored is not None else GOES_ON,
                order.closed,
                order_state(order),
                words.OUTAGE_CAUSES.get(order.cause, order.cause) if order.cause else "未填写",
                order.work or None,
                len(order.outages),
                order.counted,
                order.limit,
                order.cost_fen,
            ],
            link=anchor(order.site) if order.site in reading.sites else "",
        )
        for order in reading.facts.orders
    ]
    note = (
        "本期开立的和期初未关闭的工单；标有“超期”的超过修复时限。恢复时间由监测测得，非人工填写；"
        "计入时长为其中最长一次中断。"
    )
    return Table("工单", columns, rows, note=note, empty="本期没有工单。", upright=True)


OUTAGE_COLUMNS = (
    Column("站点", width=1.4),
    Column("机位", width=0.9),
    Column("起", "instant", 1.5),
    Column("止", "instant", 1.5),
    Column("计入时长", "length", 1.2),
    Column("超时限", "length", 1.1),
    Column("断开方式", width=0.9),
    Column("最早开始", "instant", 1.5, fine=True),
    Column("最晚开始", "instant", 1.5, fine=True),
    Column("最早结束", "instant", 1.5, fine=True),
    Column("最晚结束", "instant", 1.5, fine=True),
    Column("恢复方式", width=0.9, fine=True),
    Column("原因", width=1.1),
    Column("工单", width=1.0),
)


def outage_row(reading: Reading, outage: OutageFacts, link: str = "") -> Row:
    """In the order of OUTAGE_COLUMNS."""
    return Row(
        [
            reading.site_name(outage.site),
            reading.kind_name(outage.terminal),
            outage.start,
            outage.over if outage.over is not None else GOES_ON,
            outage.counted_here,
            outage.overdue_here,
            words.HOW.get(outage.start_how, outage.start_how),
            outage.start_earliest,
            outage.start_latest,
            outage.end_earliest,
            outage.end_latest,
            words.HOW.get(outage.end_how, outage.end_how) if outage.over is not None else None,
            cause(outage),
            outage.order or None,
        ],
        link=link,
    )


def _all(reading: Reading) -> Table:
    def rows(found: Sequence[OutageFacts]) -> list[Row]:
        return [outage_row(reading, outage, anchor(outage.site)) for outage in found]

    notable = [outage for outage in reading.outages if outage.order or outage.overdue_here]
    note = (
        f"本期计入的机位中断共{len(reading.outages):,}次，其中开立工单或者超过修复时限的{len(notable)}次。"
        "纸面和网页列示后者；表格版列示全部，并附每次中断最早、最晚可能的起止时间。起止时间为自然时间，可早于本期；"
        "计入时长、超时限只计本期应在线时间。"
    )
    empty = "本期没有开立工单或者超过修复时限的中断。"
    return Table("中断明细", OUTAGE_COLUMNS, rows(reading.outages), rows(notable), note, empty, "outages", upright=True)


def _lines(reading: Reading) -> list[Block]:
    """Lines of townships are no positions and in no figure; said where there were any."""
    columns = [
        Column("乡镇", width=1.3),
        Column("起", "instant", 1.5),
        Column("止", "instant", 1.5),
        Column("计入时长", "length", 1.2),
        Column("断开方式", width=0.9),
        Column("原因", width=1.1),
        Column("工单", width=0.8),
    ]
    rows = []
    for line in reading.facts.lines:
        site = reading.sites.get(line.site)
        rows.append(
            Row(
                [
                    reading.township_name(site.township) if site else reading.township_name(line.site),
                    line.start,
                    line.over if line.over is not None else GOES_ON,
                    line.counted_here,
                    words.HOW.get(line.start_how, line.start_how),
                    cause(line),
                    line.order or None,
                ]
            )
        )
    note = "乡镇线路不是机位，其中断不计入任何站点的数字；受其影响的站点各按自己的中断计算。"
    return [Table("乡镇线路中断", columns, rows, note=note, upright=True)] if rows else []

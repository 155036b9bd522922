"""绩效评价: rate, verdicts, availability and coverage against the plan; counted otherwise; by month and township."""

from __future__ import annotations

from frame import Board
from grafana_foundation_sdk.models import units
from parts import GOOD, Column, bars, by_month, cells, linked, number, to_site, to_township
from promql import CHOSEN, CUT, availability, coverage, with_name, with_site
from words import GREEN, GREY, LEVELS, PURPLE, RED, VERDICTS, WAYS

from boards.county import CUT_SAID, month

LEVEL = 'level=~"$level|total"'


def plan(board: Board) -> None:
    exprs = (
        f"sum by(level) (zhdj_plan_sites{{{LEVEL}}})",
        *(f'sum by(level) (zhdj_sites_verdict{{verdict="{verdict}",{LEVEL}}})' for verdict in VERDICTS),
        f"sum by(level) ({CUT.format(f'zhdj_maintenance_rate_ratio{{{LEVEL}}}')})",
    )
    columns = (
        Column("level", "级别", words=LEVELS),
        Column("Value #A", "计划站点"),
        *(
            Column(f"Value #{ref}", text, colors=((None, GREY), (1, color)))
            for ref, (text, color) in zip("BCD", VERDICTS.values(), strict=True)
        ),
        Column("Value #E", "运行维护率", units.PercentUnit, 2, colors=((None, RED), (1, GREEN))),
    )
    text = f"本月至今各级站点的维护结论，与当年计划数对照。{CUT_SAID}"
    board.add(cells(exprs, columns, "level").decimals(0), "与计划对照", text, units.Short, 14, 8)
    exprs = tuple(
        f"sum by(level, way) ({CUT.format(f'zhdj_{name}_otherwise_ratio{{{LEVEL}}}')})"
        for name in ("availability", "maintenance_rate")
    )
    rows = 'label_join({}, "row", " ", "way", "level")'
    columns = (
        Column("way", "口径", words=WAYS),
        Column("level", "级别", words=LEVELS),
        Column("Value #A", "可用率", units.PercentUnit, 2),
        Column("Value #B", "运行维护率", units.PercentUnit, 2),
    )
    text = (
        "本月至今按另外两种口径的结果：不计事后补录的计划检修；扣除已批准的免责。只作对照，以上面的结果为准。"
        f"没有补录和免责时为空。{CUT_SAID}"
    )
    table = cells((rows.format(exprs[0]), f"sum by(row) ({rows.format(exprs[1])})"), columns, "row").no_value(
        "没有补录和免责"
    )
    board.add(table, "另外的口径", text, units.Short, 10, 8)


def months(board: Board) -> None:
    said = "最近一年，每月取月末的数，本月为至今；以定稿的月报为准。"
    text = f"{said}维护到位的站点 ÷ 当年计划站点。{CUT_SAID}"
    expr = "sum by(level) ({})"
    panel = by_month(expr.format(CUT.format(f"zhdj_maintenance_rate_ratio{{{LEVEL}}}")), "level", LEVELS, 2)
    board.add(panel, "各月运行维护率", text, units.PercentUnit, 12, 9)
    text = f"{said}完整率低于下限的不显示。{CUT_SAID}"
    panel = by_month(expr.format(CUT.format(f"zhdj_availability_ratio{{{LEVEL}}}")), "level", LEVELS, 2)
    board.add(panel, "各月可用率", text, units.PercentUnit, 12, 9)
    text = f"{said}有证据的时间占应在线时长的比例。{CUT_SAID}"
    panel = by_month(expr.format(CUT.format(f"zhdj_coverage_ratio{{{LEVEL}}}")), "level", LEVELS, 2)
    board.add(panel, "各月监测数据完整率", text, units.PercentUnit, 12, 9)
    text = f"{said}所选级别的站点数。"
    verdicts = 'sum by(verdict) (zhdj_sites_verdict{level!="total",level=~"$level"})'
    names = {verdict: text for verdict, (text, _) in VERDICTS.items()}
    board.add(by_month(verdicts, "verdict", names, 0), "各月维护结论", text, units.Short, 12, 9)


def places(board: Board) -> None:
    said = "所选时间内每分钟取样的近似值，以月报为准。"
    to = to_township("${__field.labels.township}")
    panel = bars(with_name(availability(CHOSEN, "township")), "{{name}}", *GOOD).decimals(2).max(1)
    text = f"{said}各乡镇站点在线的比例；点乡镇看该乡镇。{CUT_SAID}"
    board.add(linked(panel, "该乡镇", to), "各乡镇可用率", text, units.PercentUnit, 8, 14)
    panel = bars(with_name(coverage(CHOSEN, "township")), "{{name}}", (None, PURPLE), (0.9, GREEN)).decimals(2).max(1)
    text = f"{said}各乡镇有证据的站点占应在线站点的比例。{CUT_SAID}"
    board.add(linked(panel, "该乡镇", to), "各乡镇数据完整率", text, units.PercentUnit, 8, 14)
    worst = f"bottomk(20, sum by(site) (avg_over_time(zhdj:site_up{{{CHOSEN}}}[$__range])))"
    columns = (
        Column("township_name", "乡镇"),
        Column("name", "站点", to=to_site('${__data.fields["编号"]}')),
        Column("site", "编号"),
        Column("Value", "可用率", units.PercentUnit, 2, colors=GOOD),
    )
    table = cells((with_site(CUT.format(f"({worst})"), CHOSEN),), columns, sort="可用率")
    text = f"{said}可用率最低的 20 个站点；点站点名看该站点。{CUT_SAID}"
    board.add(table, "可用率最低的站点", text, units.Short, 8, 14)


def board() -> Board:
    made = Board(
        "evaluation",
        "绩效评价",
        "运行维护率、维护结论、可用率和监测数据完整率：本月至今与计划对照，按月，按乡镇。以定稿的月报为准。",
        ("level", "township"),
        since="now-30d",
    )
    made.row("本月至今")
    month(made)
    plan(made)
    text = "完整率须达到的下限，低于它的月份没有依据。"
    minimum = number(CUT.format("zhdj_coverage_min_ratio"), (None, GREY), decimals=2)
    made.add(minimum, "数据完整率下限", text, units.PercentUnit, 5, 4)
    open_orders, overdue = (f'sum(zhdj_workorders_{which}{{level=~"$level"}})' for which in ("open", "overdue"))
    made.add(number(open_orders, (None, GREY)), "未关闭工单", "所选级别未关闭的工单数。", units.Short, 5, 4)
    panel = number(overdue, (None, GREEN), (1, RED))
    made.add(panel, "超期工单", "所选级别停机已超修复时限、尚未关闭的工单数。", units.Short, 5, 4)
    text = "已定稿的月报份数，更正版只计一次。定稿的时刻标在各图上。"
    sealed = number("count(zhdj_report_sealed_timestamp_seconds)", (None, GREEN)).no_value("没有")
    made.add(sealed, "已定稿月报", text, units.Short, 5, 4)
    text = "已定稿而数字如今有变化的月报份数，请核对并更正。"
    due = number("zhdj_report_restatement_due", (None, GREY), (1, RED))
    made.add(due, "待更正月报", text, units.Short, 4, 4)
    made.row("按月")
    months(made)
    made.row("按乡镇与站点，所选时间")
    places(made)
    return made

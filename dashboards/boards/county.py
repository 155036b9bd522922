"""全县总览: what is on and off now, where, and the month so far."""

from __future__ import annotations

from frame import Board
from grafana_foundation_sdk.models import units
from parts import (
    Column,
    bars,
    by_level,
    call,
    cells,
    lines,
    linked,
    number,
    on_or_off,
    over_time,
    steps,
    to_site,
    to_township,
)
from promql import CHOSEN, CUT, LEVEL, TOWNSHIP, counted, line, looks, outages, repair_share, with_name, with_township
from words import AMBER, CHANNELS, GREEN, GREY, KINDS, LASTED, LEVELS, LOOKS, PURPLE, RED, SEVERITIES, VERDICTS, alerts

SAID = {
    "1": "服务时段内、计划检修以外，至少一个机位在线且没有机位离线的站点数。",
    "2": "站点在线，但有机位离线。",
    "3": "服务时段内、计划检修以外，全部机位离线的站点数。夜间关机不计入。",
    "4": "监测没有收到证据，既不算在线也不算离线。请先看监测通道。",
    "5": "服务时段内处于计划检修的站点数，不论在线与否。",
    "0": "此刻不在服务时段的站点数，灰色，不计离线。",
}
CUT_SAID = "百分数只舍不入。"


def look_numbers(board: Board, where: str) -> None:
    """How many sites look how."""
    for look, (text, color) in LOOKS.items():
        colors = ((None, color),) if look == "1" else ((None, GREY), (1, color))
        board.add(number(counted(look, where), *colors), text, SAID[look], units.Short, 4, 4)


def look_course(board: Board, where: str, width: int) -> None:
    """The same over time."""
    panel = lines(stacked=True).decimals(0).with_target(over_time(f"sum by(look) (zhdj:sites{{{where}}})", "{{look}}"))
    text = "各状态站点数的变化，每分钟一点，合计为所选范围内的站点总数。"
    board.add(call(panel, LOOKS), "站点状态变化", text, units.Short, width, 9)


def sites(board: Board) -> None:
    look_numbers(board, CHOSEN)
    look_course(board, CHOSEN, 12)
    offline = f"{looks(CHOSEN)} == 3"
    counted_s = f"min by(site) ({outages(CHOSEN)}) and on(site) ({offline})"
    share = f"{repair_share(CHOSEN, 'site')} and on(site) ({offline})"
    columns = (
        Column("township_name", "乡镇"),
        Column("name", "站点", to=to_site('${__data.fields["编号"]}')),
        Column("level", "级别", words=LEVELS),
        Column("site", "编号"),
        Column("Value #B", "计时离线", LASTED, colors=((None, AMBER), (14_400, RED))),
        Column("Value #C", "已用时限", units.PercentUnit, 2, colors=((None, GREY), (0.5, AMBER), (0.8, RED))),
    )
    table = cells((with_township(offline), counted_s, share), columns, "site", "乡镇").no_value("没有离线的站点")
    text = (
        "服务时段内、计划检修以外离线的站点，按乡镇排列；点站点名看该站点。计时离线是此次停机计入统计的离线秒数"
        "（各机位中最短的），已用时限是它占修复时限的比例（各机位中最长的），与告警、工单用的是同一个时钟。"
    )
    board.add(table, "离线站点", text, units.Short, 12, 9)
    by_township = "count by(township) ({} == {})"
    exprs = [with_name(f"count by(township) ({looks(CHOSEN)})")]
    exprs += [by_township.format(looks(CHOSEN), look) for look in ("1", "2", "3", "4", "5")]
    columns = (
        Column("name", "乡镇", to=to_township('${__data.fields["代码"]}')),
        Column("township", "代码"),
        Column("Value #A", "站点"),
        *(
            Column(f"Value #{ref}", LOOKS[look][0], colors=((None, GREY), (1, LOOKS[look][1])))
            for ref, look in zip("BCDEF", ("1", "2", "3", "4", "5"), strict=True)
        ),
    )
    table = cells(exprs, columns, "township", "离线", descending=True).decimals(0)
    text = "各乡镇此刻的站点数，空格为没有；点乡镇名看该乡镇。不在服务时段的只计入站点总数。"
    board.add(table, "各乡镇现状", text, units.Short, 12, 10)
    text = "由乡镇线路自身的检测项，或由所辖村级站点同时离线判定。中断期间，其村级站点随之离线。点线路看该乡镇。"
    panel = on_or_off(with_name(line(TOWNSHIP)), "{{name}}", "正常", "中断")
    linked(panel, "该乡镇", to_township("${__field.labels.township}"))
    board.add(panel, "乡镇线路", text, units.Short, 12, 10)


def month(board: Board) -> None:
    text = f"本月至今：在线秒数 ÷（在线 + 离线）。监测数据完整率低于下限的级别不显示。{CUT_SAID}"
    colors = steps((None, RED), (0.9, AMBER), (0.98, GREEN))
    panel = by_level(CUT.format("zhdj_availability_ratio"), colors, "监测数据不足")
    board.add(panel, "可用率", text, units.PercentUnit, 6, 8)
    text = f"本月至今有证据的时间占应在线时长的比例。低于下限时，可用率与维护结论缺乏依据。{CUT_SAID}"
    panel = by_level(CUT.format("zhdj_coverage_ratio"), steps((None, PURPLE), (0.9, GREEN)), "—")
    board.add(panel, "监测数据完整率", text, units.PercentUnit, 6, 8)
    text = f"本月至今维护到位的站点 ÷ 当年计划站点，可以超过 100%。须与右侧的未维护到位、数据不足一起看。{CUT_SAID}"
    panel = by_level(CUT.format("zhdj_maintenance_rate_ratio"), steps((None, RED), (0.95, AMBER), (1, GREEN)), "—")
    board.add(panel, "运行维护率", text, units.PercentUnit, 6, 8)
    panel = bars(
        f'sum by(verdict) (zhdj_sites_verdict{{level!="total",{LEVEL}}})', "{{verdict}}", (None, GREY)
    ).decimals(0)
    text = "本月至今各维护结论的站点数。未维护到位与数据不足都为 0 且运行维护率达到目标，才算达标。"
    board.add(call(panel, VERDICTS), "维护结论", text, units.Short, 6, 8)


def duty(board: Board) -> None:
    """What somebody has to do."""
    labels = "alertname, severity, alertstate, township, site, name, terminal"
    of_township, others = (
        f'max by({labels}) (ALERTS{{alertname!="Watchdog",township{given}""}})' for given in ("!=", "=")
    )
    columns = (
        Column("severity", "程度", words=SEVERITIES),
        Column("alertname", "告警", words=alerts()),
        Column("township_name", "乡镇"),
        Column("name", "站点", to=to_site('${__data.fields["编号"]}')),
        Column("site", "编号"),
        Column("terminal", "机位", words=KINDS),
        Column("alertstate", "阶段", words={"firing": "已告警", "pending": "待确认"}),
    )
    text = "Prometheus 中正在触发的告警；待确认的尚未到通知的时间。怎么办见值班手册。"
    table = cells((f"{with_township(of_township)} or {others}",), columns, sort="程度").no_value("没有告警")
    board.add(table, "告警", text, units.Short, 12, 9)
    exprs = tuple(f"sum by(level) (zhdj_workorders_{which}{{{LEVEL}}})" for which in ("open", "overdue"))
    columns = (
        Column("level", "级别", words=LEVELS),
        Column("Value #A", "未关闭"),
        Column("Value #B", "超期", colors=((None, GREEN), (1, RED))),
    )
    text = "未关闭的工单，及其中停机已超修复时限的。乡镇线路的工单计入乡镇。"
    board.add(cells(exprs, columns, "level").decimals(0), "工单", text, units.Short, 5, 9)
    text = "监测能否收到证据。中断期间站点为未知，绝不计为离线。"
    panel = call(on_or_off("zhdj_channel_observed", "{{channel}}", "正常", "中断"), CHANNELS)
    board.add(panel, "监测通道", text, units.Short, 7, 9)


def board() -> Board:
    made = Board(
        "county",
        "开江县智慧党建平台运行监测",
        "全县站点的现状、正在发生的告警和本月至今的运行维护指标。",
        ("level", "township"),
    )
    made.row("站点现状")
    sites(made)
    made.row("待办")
    duty(made)
    made.row("本月至今")
    month(made)
    return made

"""站点: one site, its terminals, services and certificates."""

from __future__ import annotations

from frame import Board
from grafana_foundation_sdk.models import units
from parts import GOOD, Column, call, cells, course, linked, look_line, number, on_or_off, to_township, word
from promql import CUT, due, graying, line, looks, outages, repair_share
from words import AMBER, GREEN, GREY, KINDS, LASTED, LOOKS, PURPLE, RED, SERVICES

from boards.county import CUT_SAID

SITE = 'site="$site"'
TERMINAL = f'{SITE},terminal=~"$terminal"'


def state(board: Board) -> None:
    text = "此刻的状态。灰色是非服务时段，蓝色是计划检修，都不计离线。"
    board.add(word(looks(SITE), LOOKS, "{{name}}"), "现状", text, units.Short, 6, 4)
    text = "停机最久的机位此次停机已计入的离线时长。夜间、计划检修不计。没有停机时不显示。"
    worst = f"max({outages(SITE)})"
    panel = number(worst, (None, AMBER), (14_400, RED), decimals=None).no_value("没有停机")
    board.add(panel, "停机计时", text, LASTED, 5, 4)
    text = f"停机最久的机位已用去的修复时限，到 100% 时本月为未维护到位。{CUT_SAID}"
    panel = number(repair_share(SITE, "site"), (None, GREY), (0.5, AMBER), (0.8, RED), decimals=2)
    board.add(panel.no_value("没有停机"), "已用修复时限", text, units.PercentUnit, 5, 4)
    text = f"所选时间内在线的比例，每分钟取样的近似值，以月报为准。夜间、计划检修和未知的时间不计。{CUT_SAID}"
    mean = CUT.format(f"avg_over_time(zhdj:site_up{{{SITE}}}[$__range])")
    board.add(number(mean, *GOOD, decimals=2), "所选时间可用率", text, units.PercentUnit, 4, 4)
    text = f"所选时间内有证据的时间占应在线时间的比例，每分钟取样。过低时可用率没有依据。{CUT_SAID}"
    known = CUT.format(f"avg_over_time(zhdj:site_known{{{SITE}}}[$__range])")
    panel = number(known, (None, PURPLE), (0.9, GREEN), decimals=2)
    board.add(panel, "所选时间数据完整率", text, units.PercentUnit, 4, 4)


def story(board: Board) -> None:
    text = "站点各时刻的状态，灰色是非服务时段。"
    board.add(look_line(looks(SITE), "{{name}}"), "站点经过", text, units.Short, 24, 4)
    counting = ("site", due(SITE))
    panel = on_or_off(graying(f"zhdj_terminal_up{{{TERMINAL}}}", "terminal", counting), "{{terminal}}", "在线", "离线")
    text = "每个机位各时刻是否在线；空白是未知，灰色是非服务时段或计划检修。"
    board.add(call(panel, KINDS), "机位经过", text, units.Short, 12, 7)
    text = "终端最近报告的各项服务，几个机位报告时有一个正常即为正常；灰色是非服务时段或计划检修。"
    said = graying(f"zhdj_service_ok{{{TERMINAL}}}", "service", counting)
    panel = on_or_off(said, "{{service}}", "正常", "异常")
    board.add(call(panel, SERVICES), "服务经过", text, units.Short, 12, 7)
    text = "所属乡镇的线路。线路中断时，村级站点随之离线，请先处理线路。县级站点没有。点线路看该乡镇。"
    panel = on_or_off(f"{line('')} and on(township) {looks(SITE)}", "乡镇线路", "正常", "中断")
    linked(panel, "该乡镇", to_township("${__field.labels.township}"))
    board.add(panel, "乡镇线路", text, units.Short, 12, 5)
    text = "各机位此次停机已计入的离线时长，在夜间和计划检修时不增加。"
    panel = course(f"zhdj_outage_counted_seconds{{{TERMINAL}}}", "{{terminal}}")
    board.add(call(panel, KINDS), "停机计时经过", text, LASTED, 12, 5)


def parts(board: Board) -> None:
    limit = "max by(terminal) (zhdj_{}{{{}}})"
    exprs = (
        f"max by(terminal) (time() - zhdj_terminal_last_seen_timestamp_seconds{{{TERMINAL}}})",
        f"max by(terminal) (zhdj_terminal_up{{{TERMINAL}}})",
        limit.format("outage_counted_seconds", TERMINAL),
        limit.format("repair_limit_seconds", TERMINAL),
    )
    columns = (
        Column("terminal", "机位", words=KINDS),
        Column("Value #B", "状态", words={"1": ("在线", GREEN), "0": ("离线", RED)}),
        Column("Value #A", "距上次联系", LASTED),
        Column("Value #C", "停机计时", LASTED, colors=((None, AMBER), (14_400, RED))),
        Column("Value #D", "修复时限", LASTED),
    )
    text = "每个机位最近一次联系和正在进行的停机；状态空白是未知。"
    board.add(cells(exprs, columns, "terminal", "机位"), "机位", text, units.Short, 14, 8)
    columns = (
        Column("terminal", "机位", words=KINDS),
        Column("check", "检测项"),
        Column("Value", "剩余", LASTED, colors=((None, RED), (14 * 86_400, GREEN))),
    )
    expr = f"max by(terminal, check) (zhdj_certificate_expiry_timestamp_seconds{{{TERMINAL}}} - time())"
    text = "HTTPS 检测最近见到的证书离到期还有多久，负数为已到期。"
    board.add(cells((expr,), columns).no_value("没有证书"), "证书", text, units.Short, 10, 8)


def board() -> Board:
    made = Board(
        "site",
        "站点详情",
        "一个站点的现状与经过：机位、停机计时、服务、证书和所属乡镇的线路。",
        ("township", "site", "terminal"),
        one="site",
    )
    made.row("现状")
    state(made)
    made.row("经过")
    story(made)
    made.row("机位与证书")
    parts(made)
    return made

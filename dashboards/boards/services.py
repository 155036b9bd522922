"""五项服务: what the terminals say of the five services of the platform."""

from __future__ import annotations

from frame import Board
from grafana_foundation_sdk.models import units
from parts import GOOD, Column, bars, call, cells, course, linked, number, to_site, to_township
from promql import CHOSEN, CUT, due, share, with_name, with_site
from words import GREEN, GREY, KINDS, RED, SERVICES

from boards.county import CUT_SAID

TERMINAL = 'terminal=~"$terminal"'
#: What terminals of sites in service and outside windows last said.
SAID = f"zhdj_service_ok{{{TERMINAL}}} and on(site) {due(CHOSEN)}"


def now(board: Board) -> None:
    for service, name in SERVICES.items():
        said = f'zhdj_service_ok{{service="{service}",{TERMINAL}}} and on(site) {due(CHOSEN)}'
        text = f"{name}：服务时段内、计划检修以外，最近报告{{}}的终端数。不报告这项服务的终端不计。"
        board.add(number(f"sum({said})", (None, GREEN)), f"{name}正常", text.format("正常"), units.Short, 4, 4)
    text = "五项服务合计，最近报告异常的个数。"
    board.add(number(f"count({SAID}) - sum({SAID})", (None, GREY), (1, RED)), "异常合计", text, units.Short, 4, 4)
    columns = (
        Column("service", "服务", words=SERVICES),
        Column("township_name", "乡镇"),
        Column("name", "站点", to=to_site('${__data.fields["编号"]}')),
        Column("site", "编号"),
        Column("terminal", "机位", words=KINDS),
    )
    failed = f"max by(site, terminal, service) ({SAID}) == 0"
    table = cells((with_site(f"({failed}) + 1", CHOSEN),), columns, sort="服务").no_value("没有异常的服务")
    text = "终端最近报告为异常的服务；点站点名看该站点。"
    board.add(table, "异常的服务", text, units.Short, 14, 10)
    panel = bars(f"count by(service) ({SAID}) - sum by(service) ({SAID})", "{{service}}", (None, GREY), (1, RED))
    text = "各项服务最近报告异常的终端数。"
    board.add(call(panel.decimals(0), SERVICES), "各项服务异常数", text, units.Short, 10, 10)


def story(board: Board) -> None:
    rate = CUT.format(
        f"(sum by(service) (zhdj:services_ok{{{CHOSEN}}}) / sum by(service) (zhdj:services_known{{{CHOSEN}}}))"
    )
    panel = call(course(rate, "{{service}}").decimals(2).max(1), SERVICES)
    text = f"报告正常的终端占报告这项服务的终端的比例，每分钟一点；夜间没有。{CUT_SAID}"
    board.add(panel, "正常比例", text, units.PercentUnit, 24, 9)
    said = f"所选时间内每分钟取样的近似值，不分机位。{CUT_SAID}"
    panel = bars(share("zhdj:services_ok", "zhdj:services_known", CHOSEN, "service"), "{{service}}", *GOOD)
    board.add(call(panel.decimals(2).max(1), SERVICES), "各项服务正常率", said, units.PercentUnit, 12, 9)
    expr = with_name(share("zhdj:services_ok", "zhdj:services_known", CHOSEN, "township"))
    panel = bars(expr, "{{name}}", *GOOD).decimals(2).max(1)
    linked(panel, "该乡镇", to_township("${__field.labels.township}"))
    board.add(panel, "各乡镇服务正常率", f"五项服务合计；点乡镇看该乡镇。{said}", units.PercentUnit, 12, 9)


def board() -> Board:
    made = Board(
        "services",
        "五项服务",
        "视频会议、应急指导、宣传服务、监督管理、学习教育：终端报告的情况。",
        ("level", "township", "terminal"),
    )
    made.row("现状")
    now(made)
    made.row("经过")
    story(made)
    return made

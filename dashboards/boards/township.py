"""乡镇: one township, its line and each of its sites."""

from __future__ import annotations

from frame import Board
from grafana_foundation_sdk.models import units
from parts import GOOD, Column, bars, call, cells, linked, look_line, number, on_or_off, to_site
from promql import CHOSEN, CUT, TOWNSHIP, availability, coverage, due, line, looks, outages, repair_share, share
from words import AMBER, BLUE, GREEN, GREY, KINDS, LASTED, LEVELS, LOOKS, PURPLE, RED, SERVICES

from boards.county import CUT_SAID, look_course, look_numbers


def board() -> Board:
    made = Board(
        "township",
        "乡镇站点",
        "一个乡镇的线路和每个站点的现状与经过。",
        ("level", "township"),
        one="township",
    )
    made.link("监测页面上的本乡镇", "${console}/#place-${township}")
    made.row("现状")
    look_numbers(made, CHOSEN)
    text = "由乡镇线路自身的检测项，或由所辖村级站点同时离线判定。中断期间，其村级站点随之离线。"
    panel = on_or_off(line(TOWNSHIP), "线路", "正常", "中断")
    made.add(panel, "乡镇线路", text, units.Short, 8, 5)
    text = f"所选时间内各站点在线的比例，每分钟取样的近似值，以月报为准。夜间、计划检修和未知的时间不计。{CUT_SAID}"
    made.add(number(availability(CHOSEN), *GOOD, decimals=2), "所选时间可用率", text, units.PercentUnit, 4, 5)
    text = f"所选时间内有证据的站点占应在线站点的比例，每分钟取样。过低时可用率没有依据。{CUT_SAID}"
    panel = number(coverage(CHOSEN), (None, PURPLE), (0.9, GREEN), decimals=2)
    made.add(panel, "所选时间数据完整率", text, units.PercentUnit, 4, 5)
    kinds = share("zhdj:terminals_up", "zhdj:terminals_known", CHOSEN, "terminal")
    panel = bars(kinds, "{{terminal}}", *GOOD).decimals(2).max(1)
    text = f"所选时间内在线的机位占已知机位的比例，按终端，每分钟取样。{CUT_SAID}"
    made.add(call(panel, KINDS), "终端可用率", text, units.PercentUnit, 8, 5)
    columns = (
        Column("Value #A", "状态", words=LOOKS),
        Column("name", "站点", to=to_site('${__data.fields["编号"]}')),
        Column("level", "级别", words=LEVELS),
        Column("site", "编号"),
        Column("Value #B", "计时离线", LASTED, colors=((None, AMBER), (14_400, RED))),
        Column("Value #C", "已用时限", units.PercentUnit, 2, colors=((None, GREY), (0.5, AMBER), (0.8, RED))),
        Column("Value #D", "可用率", units.PercentUnit, 2, colors=GOOD),
    )
    exprs = (
        looks(CHOSEN),
        f"max by(site) ({outages(CHOSEN)})",
        repair_share(CHOSEN, "site"),
        CUT.format(f"(sum by(site) (avg_over_time(zhdj:site_up{{{CHOSEN}}}[$__range])))"),
    )
    text = (
        "每个站点此刻的状态；点站点名看该站点。计时离线与已用时限取停机最久的机位；"
        f"可用率是所选时间内每分钟取样的近似值，以月报为准。{CUT_SAID}"
    )
    made.add(cells(exprs, columns, "site", "编号"), "站点一览", text, units.Short, 24, 14)
    made.row("经过")
    panel = linked(look_line(looks(CHOSEN), "{{name}}"), "该站点", to_site("${__field.labels.site}"))
    text = "每个站点各时刻的状态；灰色是非服务时段。点站点看该站点。"
    made.add(panel, "各站点经过", text, units.Short, 24, 18)
    look_course(made, CHOSEN, 12)
    ok = f"zhdj_service_ok * on(site) group_left(name) ({due(CHOSEN)} ^ 0)"
    panel = bars(f"sum by(service) ({ok})", "{{service}}", (None, BLUE)).decimals(0)
    text = "本乡镇服务时段内，终端最近报告正常的各项服务的个数。"
    made.add(call(panel, SERVICES), "五项服务正常数", text, units.Short, 12, 9)
    return made

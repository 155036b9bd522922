"""终端: terminals by kind, which are down, which have not been heard of for long, whose certificates end."""

from __future__ import annotations

from frame import Board
from grafana_foundation_sdk.models import units
from parts import GOOD, Column, bars, call, cells, course, lines, linked, number, over_time, to_site, to_township
from promql import CHOSEN, CUT, due, looks, repair_share, share, with_name, with_site
from words import AMBER, GREEN, GREY, KINDS, LASTED, RED

from boards.county import CUT_SAID

TERMINAL = f'{CHOSEN},terminal=~"$terminal"'
PLACE = (
    Column("township_name", "乡镇"),
    Column("name", "站点", to=to_site('${__data.fields["编号"]}')),
    Column("site", "编号"),
    Column("terminal", "机位", words=KINDS),
)


def now(board: Board) -> None:
    for kind, text in KINDS.items():
        where = f'{CHOSEN},terminal="{kind}"'
        served = f"zhdj_terminal_up{{{where}}} and on(site) {due(CHOSEN)}"
        said = f"{text}：服务时段内、计划检修以外{{}}的机位数。"
        up = number(f"sum({served})", (None, GREEN))
        board.add(up, f"{text}在线", said.format("在线"), units.Short, 4, 4)
        down = number(f"count({served}) - sum({served})", (None, GREY), (1, RED))
        board.add(down, f"{text}离线", said.format("离线"), units.Short, 4, 4)
    down = f"zhdj_terminal_up{{{TERMINAL}}} == 0 and on(site) {due(CHOSEN)}"
    counted = f"zhdj_outage_counted_seconds{{{TERMINAL}}} and on(site, terminal) ({down})"
    used = f"{repair_share(TERMINAL, 'site, terminal')} and on(site, terminal) ({down})"
    row = 'label_join({}, "row", " ", "site", "terminal")'
    exprs = (
        row.format(with_site(f"max by(site, terminal) ({counted})", CHOSEN)),
        f"max by(row) ({row.format(f'({used})')})",
    )
    columns = (
        *PLACE,
        Column("Value #A", "计时离线", LASTED, colors=((None, AMBER), (14_400, RED))),
        Column("Value #B", "已用时限", units.PercentUnit, 2, colors=((None, GREY), (0.5, AMBER), (0.8, RED))),
    )
    text = f"服务时段内、计划检修以外离线的机位，停机最久的在前；点站点名看该站点。{CUT_SAID}"
    table = cells(exprs, columns, "row", "计时离线", descending=True).no_value("没有离线的机位")
    board.add(table, "离线机位", text, units.Short, 14, 12)
    seen = f"topk(50, max by(site, terminal) (time() - zhdj_terminal_last_seen_timestamp_seconds{{{TERMINAL}}}))"
    columns = (*PLACE, Column("Value", "距上次联系", LASTED))
    text = "最久没有联系的 50 个机位，不论是否在服务时段。从未联系过的不在此列。"
    table = cells((with_site(seen, CHOSEN),), columns, sort="距上次联系", descending=True)
    board.add(table, "最久没有联系", text, units.Short, 10, 12)


def story(board: Board) -> None:
    text = "服务时段内、计划检修以外在线的机位占已知机位的比例，按终端，每分钟一点。夜间没有。"
    rate = CUT.format(
        f"(sum by(terminal) (zhdj:terminals_up{{{TERMINAL}}}) / sum by(terminal) (zhdj:terminals_known{{{TERMINAL}}}))"
    )
    panel = call(course(rate, "{{terminal}}").decimals(2).max(1), KINDS)
    board.add(panel, "在线比例", f"{text}{CUT_SAID}", units.PercentUnit, 12, 9)
    panel = lines().decimals(0)
    down = f"sum by(terminal) (zhdj:terminals_known{{{TERMINAL}}}) - sum by(terminal) (zhdj:terminals_up{{{TERMINAL}}})"
    panel.with_target(over_time(down, "{{terminal}}"))
    text = "服务时段内、计划检修以外离线的机位数，按终端，每分钟一点。"
    board.add(call(panel, KINDS), "离线机位变化", text, units.Short, 12, 9)
    said = f"所选时间内每分钟取样的近似值，以月报为准。{CUT_SAID}"
    panel = bars(share("zhdj:terminals_up", "zhdj:terminals_known", TERMINAL, "terminal"), "{{terminal}}", *GOOD)
    board.add(call(panel.decimals(2).max(1), KINDS), "各类终端可用率", said, units.PercentUnit, 8, 10)
    expr = with_name(share("zhdj:terminals_up", "zhdj:terminals_known", TERMINAL, "township"))
    panel = bars(expr, "{{name}}", *GOOD).decimals(2).max(1)
    text = f"所选终端，按乡镇；点乡镇看该乡镇。{said}"
    linked(panel, "该乡镇", to_township("${__field.labels.township}"))
    board.add(panel, "各乡镇终端可用率", text, units.PercentUnit, 8, 10)
    expires = 'zhdj_certificate_expiry_timestamp_seconds{terminal=~"$terminal"}'
    expiry = f"max by(site, terminal, check) ({expires} - time())"
    columns = (
        *PLACE,
        Column("check", "检测项"),
        Column("Value", "剩余", LASTED, colors=((None, RED), (14 * 86_400, GREEN))),
    )
    text = "HTTPS 检测最近见到的证书，最早到期的 50 个；负数为已到期。"
    table = cells((with_site(f"bottomk(50, {expiry} and on(site) {looks(CHOSEN)})", CHOSEN),), columns, sort="剩余")
    board.add(table.no_value("没有证书"), "证书到期", text, units.Short, 8, 10)


def board() -> Board:
    made = Board(
        "terminals",
        "终端",
        "数字电视、移动终端、PC端各有多少在线，哪些离线，哪些久未联系，哪些证书将到期。",
        ("level", "township", "terminal"),
    )
    made.row("现状")
    now(made)
    made.row("经过")
    story(made)
    return made

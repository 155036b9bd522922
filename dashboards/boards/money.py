"""经费: this fiscal year's budget and what became of it. Yuan, exact to the fen."""

from __future__ import annotations

from frame import Board
from grafana_foundation_sdk.models import units
from parts import bars, by_month, call, lines, number, over_time
from promql import CUT
from words import AMBER, BLUE, CLASSES, GREEN, GREY, RED

from boards.county import CUT_SAID

#: Grafana's own currencies shorten to thousands; these are sums that people compare with vouchers.
YUAN = "suffix:元"
#: A year in which nothing was registered yet has no class: that is 0, if the year has a fund.
SPENT = "(sum(zhdj_spent_yuan) or 0 * sum(zhdj_budget_yuan))"
TIED = f"({SPENT} + on() zhdj_approved_unpaid_yuan)"


def now(board: Board) -> None:
    year = "本年度全部专项资金合计。"
    sums = (
        ("调整后预算", "zhdj_budget_yuan", BLUE, f"{year}包括追加和核减。"),
        ("已登记", SPENT, GREEN, f"{year}已登记的支出。"),
        ("已批未付", "zhdj_approved_unpaid_yuan", AMBER, f"{year}已批准、尚未登记的支出。"),
        ("可用余额", f"zhdj_budget_yuan - on() {TIED}", GREEN, f"{year}预算减去已登记和已批未付。"),
        ("全年预计", "zhdj_forecast_yuan", GREY, f"{year}按目前进度到年底将登记的支出。"),
    )
    for title, expr, color, text in sums:
        colors = ((None, RED), (0, color)) if title == "可用余额" else ((None, color),)
        board.add(number(expr, *colors, decimals=2), title, text, YUAN, 8, 4)
    rate = CUT.format(f"({SPENT} / on() (zhdj_budget_yuan > 0))")
    text = f"{year}已登记 ÷ 调整后预算。{CUT_SAID}"
    board.add(number(rate, (None, GREEN), (0.9, AMBER), (1, RED), decimals=2), "执行率", text, units.PercentUnit, 8, 4)


def spending(board: Board) -> None:
    panel = bars("sum by(econ_class) (zhdj_spent_yuan)", "{{econ_class}}", (None, BLUE)).decimals(2)
    text = "本年度已登记的支出，按支出经济分类；不在常用分类中的显示代码。"
    board.add(call(panel, CLASSES), "按经济分类", text, YUAN, 10, 9)
    panel = lines().decimals(2)
    curves = (
        ("zhdj_budget_yuan", "预算", BLUE),
        (SPENT, "已登记", GREEN),
        (TIED, "已登记和已批未付", AMBER),
        ("zhdj_forecast_yuan", "全年预计", GREY),
    )
    for ref, (expr, name, _) in zip("ABCD", curves, strict=True):
        panel.with_target(over_time(expr, name, ref))
    panel = call(panel, {name: (name, color) for _, name, color in curves})
    text = "所选时间内预算、已登记、已批未付和全年预计的变化；默认从年初起。已登记越过预算的支出无法登记。"
    board.add(panel, "预算与支出", text, YUAN, 14, 9)
    text = f"所选时间内执行率的变化。{CUT_SAID}"
    rate = lines().decimals(2).with_target(over_time(CUT.format(f"({SPENT} / on() (zhdj_budget_yuan > 0))"), "执行率"))
    board.add(rate, "执行率变化", text, units.PercentUnit, 10, 9)
    text = "最近一年，每月末本年度累计已登记的支出，按支出经济分类；一月从零开始。"
    table = by_month("sum by(econ_class) (zhdj_spent_yuan)", "econ_class", CLASSES, 2)
    board.add(table, "各月累计支出", text, YUAN, 14, 9)


def board() -> Board:
    made = Board(
        "money",
        "经费",
        "本年度专项资金：预算、按经济分类的支出、已批未付、全年预计和执行率。以经费台账为准。",
        since="now/y",
    )
    made.row("本年度")
    now(made)
    made.row("支出")
    spending(made)
    return made

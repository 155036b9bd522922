"""Part 7: the money: budget, what is registered, by class, township and site, the execution rate, 已批未付."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.core import report_words as words
from monitor.publish.documents.blocks import Block, Cell, Chart, Column, Kind, Row, Section, Table, Text
from monitor.publish.reports.reading import BRIEF, Reading
from monitor.publish.reports.sites import anchor

#: What an amount is for that belongs to no township or site.
NOBODY = "未分摊"


def money(reading: Reading) -> Section:
    facts = reading.facts.money
    if not facts.funds:
        return Section("七、经费", "7 经费", [Text("本期没有经费台账数据。")])
    here = sum(fund.spent_here for fund in facts.funds)
    registered, budget = (sum(fund.registered for fund in facts.funds), sum(fund.budget for fund in facts.funds))
    text = (
        f"全年预算{words.yuan(budget)}，截至期末累计登记{words.yuan(registered)}，"
        f"预算执行率{words.percent(words.part_of(registered, budget))}；本期登记{words.yuan(here)}，"
        f"已批未付{words.yuan(sum(fund.approved_unpaid for fund in facts.funds))}，"
        f"结余{words.yuan(budget - registered)}。本表出自经费台账（辅助登记），以会计账簿为准。"
    )
    classes = {code: f"{code} {facts.class_names.get(code, '')}".strip() for code in facts.by_class}
    causes = {c: words.OUTAGE_CAUSES.get(c, c) if c else "未注明工单或原因" for c in facts.by_cause}
    towns = {code: _town(reading, code) for code in facts.by_township}
    blocks: list[Block] = [
        Text(text),
        _funds(reading),
        _chart(reading, budget),
        _table("按支出经济分类（本期登记）", "支出经济分类", facts.by_class, classes),
        _table("按乡镇（本期登记）", "乡镇", facts.by_township, towns),
        _table("按故障原因（本期登记）", "原因", facts.by_cause, causes),
        _sites(reading),
    ]
    return Section("七、经费", "7 经费", blocks)


def _town(reading: Reading, code: str) -> str:
    if code in reading.county_codes:
        return "县级站点"
    return reading.township_name(code) if code else NOBODY


def _funds(reading: Reading) -> Table:
    funds = reading.facts.money.funds
    columns = [
        Column("项目", width=1.4),
        *(Column(fund.name, "yuan", 1.4, "元") for fund in funds),
        Column("合计", "yuan", 1.4, "元"),
        Column("合计", "wan_rounded", 0.9, "万元"),
    ]

    def row(name: str, amounts: Sequence[int], strong: bool = False) -> Row:
        return Row([name, *amounts, sum(amounts), sum(amounts)], strong)

    rates = [_share(fund.registered, fund.budget) for fund in funds]
    registered, budget = sum(fund.registered for fund in funds), sum(fund.budget for fund in funds)
    sources = [words.SOURCES.get(fund.source, fund.source) for fund in funds]
    rows = [
        Row(["资金来源", *sources, None, None]),
        row("年初预算", [fund.initial for fund in funds]),
        row("预算调整", [fund.budget - fund.initial for fund in funds]),
        row("调整后预算", [fund.budget for fund in funds], strong=True),
        row("本期登记", [fund.spent_here for fund in funds]),
        row("累计登记", [fund.registered for fund in funds], strong=True),
        row("已批未付", [fund.approved_unpaid for fund in funds]),
        row("结余", [fund.budget - fund.registered for fund in funds]),
        Row(["预算执行率", *rates, _share(registered, budget), None], strong=True),
    ]
    note = "预算执行率 = 累计登记 ÷ 调整后预算，只截不进。已批未付不计入执行数。万元数四舍五入，仅供阅读。"
    return Table("专项资金", columns, rows, note=note, anchor="funds")


def _share(part: int, whole: int) -> Cell:
    return words.percent(words.part_of(part, whole))


def _chart(reading: Reading, budget: int) -> Chart:
    by_month = reading.facts.money.by_month
    several = len({month[:4] for month in by_month}) > 1
    labels = [words.name_of(month) if several else f"{int(month[5:])}月" for month in by_month]
    series: Mapping[str, Sequence[int | None]] = {"累计登记": [*by_month.values()], "全年预算": [budget] * len(labels)}
    kind: Kind = "yuan"
    return Chart("累计登记与全年预算", "line", labels, series, kind, note="单位：元。")


def _table(title: str, head: str, amounts: Mapping[str, int], names: Mapping[str, str]) -> Table:
    ordered = sorted(amounts, key=lambda key: (-amounts[key], key))
    whole = sum(amounts.values())
    rows = [Row([names[key], amounts[key], amounts[key], words.part_of(amounts[key], whole)]) for key in ordered]
    if rows:
        rows.append(Row(["合计", whole, whole, words.part_of(whole, whole)], strong=True))
    return Table(title, _amount_columns(head), rows, empty="本期没有登记。")


def _amount_columns(head: str) -> list[Column]:
    return [
        Column(head, width=2.0),
        Column("金额", "yuan", 1.3, "元"),
        Column("金额", "wan_rounded", 1.0, "万元"),
        Column("占比", "percent", 1.0),
    ]


def _sites(reading: Reading) -> Table:
    amounts = reading.facts.money.by_site
    whole = sum(amounts.values())
    ordered = sorted(amounts, key=lambda site: (-amounts[site], site))
    rows = [
        Row(
            [
                reading.site_name(site) if site else NOBODY,
                amounts[site],
                amounts[site],
                words.part_of(amounts[site], whole),
            ],
            link=anchor(site) if site in reading.sites else "",
        )
        for site in ordered
    ]
    brief = None
    if rows:
        last = Row(["合计", whole, whole, words.part_of(whole, whole)], strong=True)
        if len(rows) > BRIEF:
            rest = whole - sum(amounts[site] for site in ordered[:BRIEF])
            others = Row([f"其余{len(rows) - BRIEF}个站点", rest, rest, words.part_of(rest, whole)])
            brief = [*rows[:BRIEF], others, last]
        rows.append(last)
    note = "一笔支出涉及多个站点的，按台账登记的分摊精确到分，合计不差一分。"
    return Table("按站点（本期登记）", _amount_columns("站点"), rows, brief, note, empty="本期没有登记。")

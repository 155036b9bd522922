"""What all of a year's documents say alike: marks, other ways of counting, sums, months (docs/reports.md, The year)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitor.core.indicators import too_little
from monitor.core.report import Sum
from monitor.core.year_facts import WAYS, YearFacts, others
from monitor.publish.documents.blocks import Column, Row, Table

LEVELS = {"village": "村级", "township": "乡镇", "county": "县级", "total": "合计"}
VERDICTS = {"failed": "未维护到位", "unproven": "数据不足", "maintained": "维护到位"}


def to_fill(what: str) -> str:
    """A visible place for a person's words."""
    return f"（待填写：{what}）"


def marks(facts: YearFacts) -> list[str]:
    """What stands on every page."""
    found = ["演示数据"] if facts.demo else []
    if not facts.complete:
        return [*found, "预览"]
    return [*found, "草稿"] if facts.missing else found


def made_by(facts: YearFacts, template: str = "") -> str:
    """By what software, rules and templates. Without a template: that of the yearly table."""
    name = template or facts.template
    return (
        f"zhdj-monitor {facts.software}，判定规则方法 {facts.rules}，模板 {name}"
        f"（{facts.templates[name][:12]}）。经费台账是辅助登记，不代替会计账簿"
    )


def other_ways(ways: Mapping[str, str]) -> str:
    """（不计事后补录：…；免责后：…）; "" where they change nothing."""
    return "（" + "；".join(f"{WAYS[way]}：{text}" for way, text in ways.items()) + "）" if ways else ""


def or_empty(fen: int | None) -> int | str:
    """An empty cell where nothing is known."""
    return "" if fen is None else fen


def execution_rate(executed: int | None, budget: int | None) -> int | None:
    """执行率, hundredths of a percent, cut; None where there is no budget."""
    return executed * 10_000 // budget if budget and executed is not None else None


def targets(facts: YearFacts) -> Table:
    """年度总体目标, as it was set and as it was met."""
    head = (Column("预期目标"), Column("实际完成情况"))
    return Table("年度总体目标完成情况", head, [Row((facts.annual_target, annual_text(facts)))])


def annual_text(facts: YearFacts) -> str:
    """年度总体目标实际完成情况, by every way of counting."""
    return facts.annual_actual + other_ways(facts.annual_ways)


def site_months(facts: YearFacts) -> str:
    """Those maintained by other ways of counting, where they differ."""
    months = {way: f"{of_way.site_months} 个" for way, of_way in facts.ways.items()}
    return other_ways(others(months))


def sums_by_way(facts: YearFacts) -> dict[str, Sum]:
    """The year's sums; by other ways of counting, where they change a month's, its months added up so. An outage over
    a month's end is not counted once there: those have no number of outages."""
    result = {"counted": facts.sums["total"]}
    for way in [way for way in WAYS if any(way in m.ways for m in facts.months)]:
        sums = [m.ways[way].sums["total"] if way in m.ways else m.sums["total"] for m in facts.months]
        up, down, unknown = sum(s.up for s in sums), sum(s.down for s in sums), sum(s.unknown for s in sums)
        result[way] = Sum(up, down, unknown, sum(s.planned for s in sums), 0, sum(s.overdue for s in sums))
    return result


def availability(counted: Sum, facts: YearFacts) -> int | str | None:
    """Hundredths of a percent, cut; below the least coverage what there is too little of."""
    return too_little(counted, facts.coverage_min) or hundredths(counted.up, counted.up + counted.down)


def hundredths(part: int, whole: int) -> int | None:
    """Of a percent, cut."""
    return part * 10_000 // whole if whole else None


def months_said(months: Sequence[str]) -> str:
    """`2026-01 至 2026-09、2026-11、2026-12`, of a year's months in order: longer rows by their ends."""
    runs: list[list[str]] = []
    for month in months:
        if runs and int(month[5:]) == int(runs[-1][-1][5:]) + 1:
            runs[-1].append(month)
        else:
            runs.append([month])
    return "、".join(f"{run[0]} 至 {run[-1]}" if len(run) > 2 else "、".join(run) for run in runs)

"""Part 1: the month in a page. What was planned and kept, how available it was, what broke, what it cost."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core import report_words as words
from monitor.core.report import Compared, Counted, RateFacts, Sum
from monitor.publish.documents.blocks import Block, Cell, Chart, Column, Heading, Row, Section, Table, Text
from monitor.publish.reports.levels import rate_table, state_of
from monitor.publish.reports.reading import EXEMPTED, Reading

#: More days than these with too little evidence are counted, not named.
GAPS_NAMED = 8
NOT_LATE = "没有超过修复时限的中断。"


def summary(reading: Reading) -> Section:
    blocks: list[Block] = [
        *(Text(text) for text in _sentences(reading)),
        *(Text(text, warning=True) for text in _warnings(reading)),
        rate_table(reading, "运行维护率（站点）", "sites", anchor="rate"),
        days_chart(reading),
        Heading("与以前各期比较"),
        *_comparisons(reading),
    ]
    return Section("一、总体情况", "1 总体情况", blocks)


def _sentences(reading: Reading) -> Iterator[str]:
    facts, rate, sums = reading.facts, reading.rate, reading.total
    sites = facts.counted.sites
    plan = "、".join(f"{words.LEVELS[level]}{sites[level].planned}个" for level in words.LEVEL_ORDER[:-1])
    yield (
        f"{reading.name}，全县计划维护站点（平台）{rate.planned}个（{plan}），实际监测站点{len(facts.sites)}个。"
        f"维护到位{rate.maintained}个，未维护到位{rate.failed}个，数据不足{rate.unproven}个。"
        + _verdict(reading, rate, sums)
    )
    yield from _rates_beside(reading)
    yield _availability(reading, sums)
    for name, other, _, _ in reading.levels_beside("total"):
        yield f"{name}，全县站点可用率{reading.availability_text(other)}，中断时长{words.hours(other.down)}。"
    yield _outages(reading)
    yield _money(reading)


def _verdict(reading: Reading, rate: RateFacts, sums: Sum) -> str:
    if not words.total(sums):
        return "本期没有计入的应在线时长，不给出运行维护率，不能认定是否达标。"
    if reading.is_thin(sums):
        state = "未达标" if rate.failed else "不能认定是否达标"
        return f"监测数据不足（监测数据完整率{words.percent(words.coverage(sums))}），不给出运行维护率，{state}。"
    shown, state = words.percent(words.rate(rate)), state_of(reading, rate, sums)
    return f"全县智慧党建运行维护率{shown}，目标值100%，{state}。"


def _rates_beside(reading: Reading) -> Iterator[str]:
    for name, sums, rate, _ in reading.levels_beside("total"):
        measured = "免责不改变实测数字。" if name == EXEMPTED else "以上数字已扣除事后补录的计划检修时段。"
        yield (
            f"{measured}{name}，维护到位{rate.maintained}个，未维护到位{rate.failed}个，数据不足{rate.unproven}个，"
            f"运行维护率{reading.rate_text(rate, sums)}。"
        )


def _availability(reading: Reading, sums: Sum) -> str:
    if not words.total(sums):
        return "本期没有计入的应在线时长，不给出可用率。"
    times = (
        f"在线{words.hours(sums.up)}，中断{words.hours(sums.down)}，"
        f"未知{words.hours(sums.unknown)}，计划检修{words.hours(sums.planned)}。"
    )
    if reading.is_thin(sums):
        return f"全县站点{times}监测数据完整率低于规定的{_share(reading)}，不给出可用率。"
    text = f"全县站点可用率{reading.availability_text(sums)}：{times}"
    low, high = words.bounds(sums)
    if sums.unknown:
        text += f"监测数据完整率{words.percent(words.coverage(sums))}；未知时长如全部按中断、全部按在线计，"
        return f"{text}可用率分别为{words.percent(low)}和{words.percent(high)}。"
    return f"{text}监测数据完整率{words.percent(words.coverage(sums))}。"


def _share(reading: Reading) -> str:
    return words.percent(int(reading.coverage_min * 10_000))


def _outages(reading: Reading) -> str:
    facts, outages = reading.facts, reading.outages
    opened = [order for order in facts.orders if facts.start <= order.opened < facts.end]
    carried = len(facts.orders) - len(opened)
    late = [outage for outage in outages if outage.overdue_here]
    text = (
        f"本期发生机位中断{len(outages):,}次，累计{words.hours(sum(o.counted_here for o in outages))}；"
        + (f"超过修复时限{len(late)}次，超时限{words.hours(sum(o.overdue_here for o in late))}。" if late else NOT_LATE)
        + f"开立工单{len(opened)}件"
        + (f"，上期结转{carried}件" if carried else "")
    )
    closed = sum(order.closed is not None and order.closed < facts.end for order in facts.orders)
    exempted = sum(order.exempted for order in facts.orders)
    text += f"，期末已关闭{closed}件" + (f"，其中免责{exempted}件" if exempted else "") + "。"
    for name, sums in reading.terminals_beside():
        text += f"{name}，机位中断{sums.outages:,}次，累计{words.hours(sums.down)}，超时限{words.hours(sums.overdue)}。"
    return text


def _money(reading: Reading) -> str:
    funds = reading.facts.money.funds
    if not funds:
        return "本期无经费台账。"
    budget, registered = sum(f.budget for f in funds), sum(f.registered for f in funds)
    unpaid, here = sum(f.approved_unpaid for f in funds), sum(f.spent_here for f in funds)
    return (
        f"运行维护经费全年预算{words.yuan(budget)}，截至期末累计登记{words.yuan(registered)}，"
        f"预算执行率{words.percent(words.part_of(registered, budget))}；本期登记{words.yuan(here)}，"
        f"已批未付{words.yuan(unpaid)}。"
    )


def _warnings(reading: Reading) -> Iterator[str]:
    facts = reading.facts
    if facts.demo:
        yield "演示数据：本报告的数字由模拟终端产生，不反映任何站点的真实情况，不得作为绩效评价依据。"
    if facts.as_of < facts.end:
        yield f"本期尚未结束，数字截至{words.full_instant(facts.as_of, reading.zone)}。"
    elif not facts.settled:
        until = f"至{words.full_instant(facts.settles_at, reading.zone)}为止，" if facts.settles_at else ""
        yield f"本期数据尚可变动：{until}迟到的心跳仍可能把未知改判为在线。"
    if reading.is_thin(reading.total):
        covered = words.percent(words.coverage(reading.total))
        yield f"监测数据不足：本期监测数据完整率{covered}，低于规定的{_share(reading)}，不给出全县百分比结论。"


def days_chart(reading: Reading) -> Chart | Text:
    """A day with too little evidence is a gap, not a figure; of nothing but gaps there is no chart."""
    facts = reading.facts
    values = [None if reading.is_thin(day.sum) else words.availability(day.sum) for day in facts.days]
    gaps = [_day(day.day) for day in facts.days if words.total(day.sum) and reading.is_thin(day.sum)]
    note = f"纵轴为全县站点当日可用率；无应在线时长的日期（如非工作日）留空。{reading.as_measured}"
    if gaps:
        named = f"{'、'.join(gaps)}" if len(gaps) <= GAPS_NAMED else f"{gaps[0]}等共{len(gaps)}天"
        note += f"监测数据不足、不给出数字的日期：{named}。"
    if all(value is None for value in values):
        return Text("本期没有一天有足够的监测数据，不列按日可用率图。")
    return Chart("全县站点可用率（按日）", "line", [_day(day.day) for day in facts.days], {"可用率": values}, note=note)


def _day(iso: str) -> str:
    _, month, day = iso.split("-")
    return f"{int(month)}-{int(day)}"


def _comparisons(reading: Reading) -> Iterator[Block]:
    facts = reading.facts
    if not facts.compared:
        yield Text("没有可供比较的以前各期数字。")
        return
    heads = [_heading(reading, compared) for compared in facts.compared]
    columns = [Column("指标", width=1.6), Column("本期", width=1.3)]
    for head in heads:
        columns += [Column(head, width=1.3), Column("增减", width=1.7)]
    cells = [[name, ours] for name, ours in _measured(reading, facts.counted)]
    for compared in facts.compared:
        before = compared.counted
        theirs = [shown for _, shown in _measured(reading, before)] if before else [words.NO_FIGURE] * len(cells)
        changes = _changes(reading, before) if before else [words.NO_FIGURE] * len(cells)
        for row, shown, change in zip(cells, theirs, changes, strict=True):
            row += [shown, change]
    rows = [Row(row) for row in cells]
    yield Table(
        "主要指标比较", columns, rows, note=f"百分比只截不进；监测数据不足的一期不作百分比比较。{reading.as_measured}"
    )


def _heading(reading: Reading, compared: Compared) -> str:
    name = words.name_of(compared.period)
    same = compared.period[4:] == reading.facts.period[4:]  # the same month, quarter or half of another year
    if same:
        return f"上年同期（{name}）"
    return f"{'上月' if name.endswith('月') else '上期'}（{name}）"


def _measured(reading: Reading, counted: Counted) -> list[tuple[str, str]]:
    sums, rate = counted.sums["total"], counted.sites["total"]
    return [
        ("运行维护率", _shown(reading.rate_cell(rate, sums))),
        ("未维护到位站点", f"{rate.failed}个"),
        ("数据不足站点", f"{rate.unproven}个"),
        ("站点可用率", _shown(reading.availability(sums))),
        ("站点中断时长", words.hours(sums.down)),
        ("站点全部离线次数", f"{sums.outages}次"),
        ("监测数据完整率", words.percent(words.coverage(sums))),
    ]


def _changes(reading: Reading, before: Counted) -> list[str]:
    """In the order of `_measured`."""
    now, then = reading.total, before.sums["total"]
    rate, old = reading.rate, before.sites["total"]
    return [
        _points(reading.rate_cell(rate, now), reading.rate_cell(old, then)),
        _count(rate.failed, old.failed, "个"),
        _count(rate.unproven, old.unproven, "个"),
        _points(reading.availability(now), reading.availability(then)),
        words.amount_change(now.down, then.down, words.hours(abs(now.down - then.down))),
        _count(now.outages, then.outages, "次"),
        words.points(words.coverage(now), words.coverage(then)),
    ]


def _shown(value: Cell) -> str:
    return value if isinstance(value, str) else words.percent(value)


def _points(ours: Cell, theirs: Cell) -> str:
    return words.NO_FIGURE if isinstance(ours, str) or isinstance(theirs, str) else words.points(ours, theirs)


def _count(ours: int, theirs: int, unit: str) -> str:
    return words.amount_change(ours, theirs, f"{abs(ours - theirs)}{unit}")

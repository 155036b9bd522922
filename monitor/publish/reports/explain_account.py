"""The account of one terminal or site in an explanation: each line a sum that the tables below it add up to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from monitor.core.explaining import Account, Clock, Part
from monitor.core.report_words import VERDICTS
from monitor.core.report_words import hours as length
from monitor.publish.documents.blocks import Block, Cell, Column, Row, Table, Text
from monitor.publish.reports.explain_words import VALUES, Unit, Words, availability, percent, quotient, terminal

#: Rows that paper and terminals show; what is left is one row with its sums.
BRIEF = 30
#: So many terms of a sum are written in its line; the table below has them all.
TERMS = 6


def lengths(account: Account) -> Iterator[int]:
    """All lengths that an account shows: what decides the unit."""
    yield from (d.each for d in account.days)
    yield from (w.inside for w in account.windows)
    for p in account.parts:
        yield from (p.end - p.start, p.in_service, p.counted)
    for c in account.clocks:
        yield from (c.counted, c.used, c.limit, c.overdue)


def blocks(account: Account, words: Words, unit: Unit, others: Sequence[Account] = ()) -> Iterator[Block]:
    """All of one account. `others`: the terminals of which a site has the worst verdict, where all are known."""
    if not account.adds_up():
        yield Text("以下各部分相加与统计结果不符：说明有误，请勿采用，并报告开发方。", warning=True)
    yield _lines(account, unit, others)
    if account.days:
        yield _days(account, unit)
    if account.windows:
        yield _windows(account, words, unit)
    yield _spans(account, words, unit)
    if account.clocks:
        yield _clocks(account.clocks, words, unit)


# --- the arithmetic ---------------------------------------------------------------------------------------------------


def _lines(account: Account, unit: Unit, others: Sequence[Account]) -> Table:
    m, rows = account.measure, list[Row]()

    def line(what: str, how: str, value: int | None, rule: str, result: str = "") -> int:
        cells = (len(rows) + 1, what, how, None if value is None else unit.of(value), result, rule)
        rows.append(Row(cells))
        return len(rows)

    def sums(value: str) -> str:
        parts = [p.counted for p in account.parts if p.value == value and p.counted]
        return _sum(parts, unit, f"{len(parts)} 段")

    days = [f"{d.days} 天 × {unit.text(d.each)}" for d in account.days]
    service = line("服务时间", " + ".join(days) or "0", account.in_service, "§5", length(account.in_service))
    taken = [w.inside for w in account.windows]
    how = _sum(taken, unit, f"{len(taken)} 个计划检修")
    if account.twice:
        how += f" − 重叠 {unit.text(account.twice)}"
    planned = line("减：计划检修", how, m.planned, "§5", length(m.planned))
    total = line("计入时间", f"({service}) − ({planned})", m.total, "§5", length(m.total))
    up = line("其中在线", sums("up"), m.up, "§5", length(m.up))
    down = line("其中中断", sums("down"), m.down, "§5", length(m.down))
    unknown = line("其中未知", sums("unknown"), m.unknown, "§5", length(m.unknown))
    check = m.up + m.down + m.unknown
    line("核对", f"({up}) + ({down}) + ({unknown}) = ({total})", check, "§5", "相符" if check == m.total else "不符")
    for what, how, part, whole in (
        ("可用率", f"({up}) ÷ [({up}) + ({down})]", m.up, m.up + m.down),
        ("可用率下限（未知全作中断）", f"({up}) ÷ ({total})", m.up, m.total),
        ("可用率上限（未知全作在线）", f"[({up}) + ({unknown})] ÷ ({total})", m.up + m.unknown, m.total),
        ("监测数据完整率", f"[({up}) + ({down})] ÷ ({total})", m.up + m.down, m.total),
    ):
        written = f"{how} = {unit.text(part)} ÷ {unit.text(whole)} = {quotient(part, whole)}"
        line(
            what, written, None, "§5", percent(part, whole) if what != "可用率" else availability(m, account.minima[0])
        )
    line("停机次数", "在本期有计入中断时间的停机", None, "§5", f"{m.outages} 次")
    late = [c.overdue for c in account.clocks if c.overdue]
    line("超期", _sum(late, unit, f"{len(late)} 段"), m.overdue, "§5", length(m.overdue))
    line("判定", verdict(account, unit, others), None, "§6", VERDICTS[account.verdict])
    columns = (
        Column("行", "count", 0.3),
        Column("项目", width=1.3),
        Column("算式", width=3.4),
        Column("结果", "count", 1, unit.name),
        Column("即", width=0.9),
        Column("规则", width=0.4),
    )
    return Table(f"{terminal(account.terminal)}逐行演算", columns, rows, note="比率只截不入。规则：docs/rules.md。")


def _sum(terms: Sequence[int], unit: Unit, many: str) -> str:
    if not terms:
        return "0"
    if len(terms) > TERMS:
        return f"{many}之和，见下表"
    return " + ".join(map(unit.text, terms))


def verdict(account: Account, unit: Unit, others: Sequence[Account] = ()) -> str:
    """The comparisons in their order, up to the one that decided."""
    m, (coverage, available) = account.measure, account.minima
    if account.decided is None:
        named = "，".join(f"{terminal(o.terminal)}{VERDICTS[o.verdict]}" for o in others)
        return "取各机位中最差的判定" + (f"：{named}" if named else "")
    if account.decided == "no_check":
        return "服务期间没有检测项，无从证明"
    if account.decided == "overdue":
        return f"超期 {unit.text(m.overdue)} > 0，由此判定"
    steps = ["超期 0，不大于 0"]
    if account.decided == "planned_only":
        return "；".join([*steps, "计入时间为 0（全在计划检修内），由此判定"])
    known = m.up + m.down
    covered = known / m.total >= coverage
    written = f"完整率 {quotient(known, m.total)} {'≥' if covered else '<'} {coverage}"
    if account.decided == "availability":
        return "；".join([*steps, written, f"可用率 {quotient(m.up, known)} < {available}，由此判定"])
    if covered and known:
        return "；".join([*steps, written, f"可用率 {quotient(m.up, known)} ≥ {available}，由此判定"])
    return "；".join([*steps, f"{written}，由此判定"])


# --- the tables that the lines add up ---------------------------------------------------------------------------------


def _days(account: Account, unit: Unit) -> Table:
    rows = [Row((d.days, unit.of(d.each), length(d.each), unit.of(d.days * d.each))) for d in account.days]
    whole = Row((sum(d.days for d in account.days), None, "", unit.of(account.in_service)), strong=True)
    columns = (
        Column("天数", "count"),
        Column("每天服务", "count", unit=unit.name),
        Column("即"),
        Column("小计", "count", unit=unit.name),
    )
    return Table("服务时间：天数 × 每天服务", columns, [*rows, whole])


def _windows(account: Account, words: Words, unit: Unit) -> Table:
    rows = [
        Row(
            (
                w.window.scope,
                words.instant(w.window.start),
                words.instant(w.window.end),
                w.window.reason,
                "事后补录" if w.window.retroactive else "",
                w.window.by,
                words.instant(w.window.at),
                w.window.approved_by,
                unit.of(w.inside),
            )
        )
        for w in account.windows
    ]
    blank: list[Cell] = [""] * 7
    if account.twice:
        rows.append(Row(("减：重叠", *blank, -unit.of(account.twice))))
    rows.append(Row(("合计", *blank, unit.of(account.measure.planned)), strong=True))
    columns = (
        Column("范围", width=1.3),
        Column("起", width=1.2),
        Column("止", width=1.2),
        Column("事由", width=1.2),
        Column("补录", width=0.7),
        Column("申报人", width=0.7),
        Column("申报时间", width=1.2),
        Column("审批人", width=0.7),
        Column("服务时间内", "count", 1, unit.name),
    )
    return Table("计划检修（本期、按站点当时所属计）", columns, rows)


def _spans(account: Account, words: Words, unit: Unit) -> Table:
    def numbers(parts: Sequence[Part]) -> tuple[int, ...]:
        sums = [sum(p.in_service for p in parts), sum(p.planned for p in parts)]
        sums += [sum(p.counted for p in parts if p.value == value) for value in VALUES]
        return tuple(map(unit.of, sums))

    def row(p: Part) -> Row:
        begun = "" if p.begun == p.start else f"（始于 {words.instant(p.begun)}）"
        cells: list[Cell] = [words.instant(p.start), words.instant(p.end), VALUES[p.value], *numbers([p])]
        return Row([*cells, words.edge(p.edge) + begun])

    rows, brief = rows_and_brief(account.parts, row, lambda rest: _rest(rest, numbers))
    whole = Row(("合计", "", f"{len(account.parts)} 段", *numbers(account.parts), ""), strong=True)
    columns = (
        Column("起", width=1.3),
        Column("止", width=1.3),
        Column("状态", width=0.6),
        Column("服务内", "count", 1, unit.name),
        Column("检修内", "count", 1, unit.name),
        *(Column(f"计入{name}", "count", 1, unit.name) for name in VALUES.values()),
        Column("起点依据", width=2.6),
    )
    title = "时间段（由各检测项合成）" if account.terminal is not None else "时间段（由各机位合成：任一在线即在线）"
    note = "服务内 = 检修内 + 计入在线 + 计入中断 + 计入未知。"
    return Table(title, columns, [*rows, whole], None if brief is None else [*brief, whole], note)


def _rest(parts: Sequence[Part], numbers: Callable[[Sequence[Part]], tuple[int, ...]]) -> Row:
    return Row(("其余", "", f"{len(parts)} 段", *numbers(parts), "全部见 XLSX 与 JSON"))


def rows_and_brief(
    parts: Sequence[Part], row: Callable[[Part], Row], rest: Callable[[Sequence[Part]], Row]
) -> tuple[list[Row], list[Row] | None]:
    """All rows; and of many the first ones with one row for the rest, so that what is shown still adds up."""
    rows = [row(p) for p in parts]
    return rows, [*rows[:BRIEF], rest(parts[BRIEF:])] if len(rows) > BRIEF + 1 else None


def _clocks(clocks: Sequence[Clock], words: Words, unit: Unit) -> Table:
    title = "停机计时：每次停机自始累计计入中断时间，超出修复时限的本期部分为超期"
    return clock_table(title, clocks, words, unit)


def clock_table(title: str, clocks: Sequence[Clock], words: Words, unit: Unit) -> Table:
    """`used` is the row above plus `counted`; overdue is what of `counted` lies above the limit."""
    rows = [
        Row(
            (
                c.outage,
                words.instant(c.start),
                words.instant(c.end),
                unit.of(c.counted),
                unit.of(c.used),
                unit.of(c.limit),
                unit.of(c.overdue),
                "" if c.here else "本期之前",
            )
        )
        for c in clocks
    ]
    late = sum(c.overdue for c in clocks)
    counted = sum(c.counted for c in clocks if c.here)
    whole = Row(("", "本期合计", "", unit.of(counted), None, None, unit.of(late), ""), strong=True)
    columns = (
        Column("停机", "count", 0.4),
        Column("中断起", width=1.3),
        Column("中断止", width=1.3),
        Column("计入", "count", 1, unit.name),
        Column("累计", "count", 1, unit.name),
        Column("修复时限", "count", 1, unit.name),
        Column("超期", "count", 1, unit.name),
        Column("", width=0.7),
    )
    note = "累计 = 上一行累计 + 计入；超期 = 累计超出修复时限的部分，至多为本行的计入。"
    rest = [c for c in clocks[BRIEF:] if c.here]
    counts, late_rest = unit.of(sum(c.counted for c in rest)), unit.of(sum(c.overdue for c in rest))
    more = Row((None, "其余", f"{len(rows) - BRIEF} 行", counts, None, None, late_rest, "见 XLSX"))
    return Table(title, columns, [*rows, whole], [*rows[:BRIEF], more, whole] if len(rows) > BRIEF + 1 else None, note)

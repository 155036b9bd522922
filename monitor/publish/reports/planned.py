"""Part 5: planned windows, retroactive ones marked, and exemptions; every figure that they change, with and without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.core import report_words as words
from monitor.core.report import RateFacts, Sum, WindowFacts
from monitor.publish.documents.blocks import Block, Cell, Column, Heading, Row, Section, Table, Text
from monitor.publish.reports.reading import BRIEF, EXEMPTED, WITHOUT_WINDOWS, Reading, Way
from monitor.publish.reports.sites import anchor

RETROACTIVE = "事后补录"


def planned(reading: Reading) -> Section:
    blocks: list[Block] = [
        _windows(reading),
        *_with_and_without(reading, WITHOUT_WINDOWS, "事后补录的影响", _no_windows(reading)),
        Heading("免责"),
        _exemptions(reading),
        *_with_and_without(reading, EXEMPTED, "免责的影响", _no_exemptions(reading)),
    ]
    return Section("五、计划检修与免责", "5 计划检修与免责", blocks)


def scope_name(reading: Reading, scope: str) -> str:
    """`全县`, `村级站点`, `普安镇`, a site's name, or a site's name and the kind of its terminal."""
    kind, _, which = scope.partition(":")
    match kind:
        case "county":
            return "全县"
        case "level":
            return f"{words.LEVELS.get(which, which)}站点"
        case "township":
            return reading.township_name(which)
        case "site":
            return reading.site_name(which)
        case "terminal":
            site, _, terminal = which.rpartition("/")
            return f"{reading.site_name(site)} {reading.kind_name(terminal)}"
        case _:
            return scope


def _windows(reading: Reading) -> Table:
    columns = [
        Column("编号", "count", 0.6),
        Column("范围", width=1.3),
        Column("起", "instant", 1.4),
        Column("止", "instant", 1.4),
        Column("事由", width=1.6),
        Column("性质", width=1.0),
        Column("申报人", width=0.9),
        Column("申报时间", "instant", 1.4, fine=True),
        Column("批准人", width=0.9),
        Column("扣除时长", "length", 1.2),
    ]
    ordered = sorted(reading.facts.windows, key=lambda w: (not w.retroactive, w.start, w.id))
    rows = [_window_row(reading, window) for window in ordered]
    # What was entered after the fact must be seen on paper, however many windows there were.
    retroactive = sum(window.retroactive for window in ordered)
    brief = rows[: max(BRIEF, retroactive)]
    retro = f"其中事后补录{retroactive}个，须经另一人批准方才计入。" if retroactive else "均为事前申报。"
    note = (
        f"本期计划检修时段{len(rows)}个，{retro}检修时段内的时间不计入在线、中断和未知；扣除时长按所涉站点累计，"
        "重叠部分各自列示。检修时段不删除任何监测记录。"
    )
    shown = brief if len(brief) < len(rows) else None
    return Table(
        "计划检修时段",
        columns,
        rows,
        shown,
        note if rows else "",
        empty="本期没有计划检修。",
        anchor="windows",
        upright=True,
    )


def _window_row(reading: Reading, window: WindowFacts) -> Row:
    return Row(
        [
            window.id,
            scope_name(reading, window.scope),
            window.start,
            window.end,
            window.reason,
            RETROACTIVE if window.retroactive else "事前申报",
            window.declared_by or None,
            window.declared_at,
            window.approved_by or None,
            window.here,
        ]
    )


def _no_windows(reading: Reading) -> str:
    if any(window.retroactive for window in reading.facts.windows):
        return "本期事后补录的计划检修没有改变任何数字。"
    return "本期没有事后补录的计划检修，各项数字不受影响。"


def _no_exemptions(reading: Reading) -> str:
    if reading.facts.exemptions:
        return "本期批准的免责没有改变任何数字。"
    return "本期没有经批准的免责，各项数字不受影响。"


def _exemptions(reading: Reading) -> Table:
    columns = [
        Column("工单", width=1.1),
        Column("站点", width=1.4),
        Column("免责原因"),
        Column("说明", width=2.0),
        Column("提出人"),
        Column("批准人"),
        Column("批准时间", "instant", 1.4),
    ]
    rows = []
    for exemption in reading.facts.exemptions:
        order = reading.orders.get(exemption.order)
        rows.append(
            Row(
                [
                    exemption.order,
                    reading.site_name(order.site) if order else None,
                    words.EXEMPTIONS.get(exemption.cause, exemption.cause),
                    exemption.reason,
                    exemption.proposed_by,
                    exemption.approved_by,
                    exemption.approved_at,
                ]
            )
        )
    note = "免责不改变任何实测数字；实测口径与免责后口径始终并列。" if rows else ""
    return Table("经批准的免责", columns, rows, note=note, empty="本期没有经批准的免责。", upright=True)


def _with_and_without(reading: Reading, name: str, title: str, nothing: str) -> Iterator[Block]:
    way = next((way for way in reading.ways if way.name == name), None)
    if way is None:
        yield Text(nothing)
        return
    yield _levels(reading, way, title)
    if members := [*_members(reading, way)]:
        columns = [
            Column("站点", width=1.5),
            Column("机位"),
            Column("本期结论", width=1.2),
            Column("可用率", "percent"),
            Column("中断", "length", 1.2),
            Column(f"{name}结论", width=1.3),
            Column("可用率", "percent"),
            Column("中断", "length", 1.2),
        ]
        brief = members[:BRIEF] if len(members) > BRIEF else None
        yield Table(f"{title}（逐站点、机位）", columns, members, brief, upright=True)


def _levels(reading: Reading, way: Way, title: str) -> Table:
    columns = [
        Column("层级", width=0.8),
        Column("口径", width=1.3),
        Column("维护到位", "count", 0.8),
        Column("未维护到位", "count", 0.9),
        Column("数据不足", "count", 0.8),
        Column("运行维护率", "percent", 1.2),
        Column("可用率", "percent", 1.2),
        Column("中断", "length", 1.4),
        Column("计划检修", "length", 1.4),
    ]
    counted = reading.facts.counted
    rows = []
    for level in words.LEVEL_ORDER:
        for name, other in (("本期数字", counted), (way.name, way.counted)):
            cells = _cells(reading, other.sites[level], other.sums[level])
            rows.append(Row([words.LEVELS[level], name, *cells], strong=level == "total"))
    return Table(title, columns, rows, upright=True)


def _cells(reading: Reading, rate: RateFacts, sums: Sum) -> Sequence[Cell]:
    return (
        rate.maintained,
        rate.failed,
        rate.unproven,
        reading.rate_cell(rate, sums),
        reading.availability(sums),
        sums.down,
        sums.planned,
    )


def _members(reading: Reading, way: Way) -> Iterator[Row]:
    for site in reading.facts.sites:
        beside: list[tuple[str, str, Sum, str]] = [(f"site:{site.site}", "", site.sum, site.verdict)]
        beside += [(f"terminal:{site.site}/{t.terminal}", t.terminal, t.sum, t.verdict) for t in site.terminals]
        for key, terminal, sums, verdict in beside:
            other = way.counted.differing.get(key)
            if other is None:
                continue
            yield Row(
                [
                    site.name,
                    reading.kind_name(terminal) if terminal else "（站点）",
                    words.VERDICTS.get(verdict, verdict),
                    reading.availability(sums),
                    sums.down,
                    words.VERDICTS.get(other.verdict, other.verdict) or None,
                    reading.availability(other.sum),
                    other.sum.down,
                ],
                link=anchor(site.site),
            )

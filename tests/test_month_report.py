"""The month's report as its readers would check it: sentences, sums, marks, and what may not be said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core import report_words as words
from monitor.core.report import GroupFacts, RateFacts, ReportFacts, Sum
from monitor.core.report_differences import differences
from monitor.flows.reports import facts_json
from monitor.publish.documents.blocks import Block, Cell, Chart, Document, Heading, Row, Table, Text, on_paper
from monitor.publish.documents.formats import FORMATS
from monitor.publish.documents.layout import Laid, pieces
from monitor.publish.reports.groups import ranked
from monitor.publish.reports.month import compose
from monitor.publish.reports.reading import EXEMPTED, WITHOUT_WINDOWS, Reading
from monitor.publish.reports.standing import Restated, Seal
from tests import reports
from tests.document_text import lines
from tests.documents import mistakes

GOLDEN = Path(__file__).parent / "golden"
SCENES = ("good", "failures", "thin", "retroactive", "exempted", "demo", "empty")
#: Rows of a table in a golden copy.
ROWS = 6


@cache
def facts_of(scene: str) -> ReportFacts:
    made: ReportFacts = getattr(reports, scene)()
    return made


@cache
def document_of(scene: str) -> Document:
    return compose(facts_of(scene))


@cache
def text_of(scene: str) -> str:
    return "\n".join(lines(document_of(scene)))


def blocks(document: Document) -> Iterator[Block]:
    yield from document.lead
    for section in document.sections:
        yield from section.blocks


def table(document: Document, title: str) -> Table:
    return next(block for block in blocks(document) if isinstance(block, Table) and block.title == title)


def column(of: Table, title: str, unit: str = "") -> list[Cell]:
    i = next(i for i, c in enumerate(of.columns) if c.title == title and (not unit or c.unit == unit))
    return [row.cells[i] for row in of.rows]


def numbers(cells: list[Cell]) -> list[int]:
    return [cell for cell in cells if isinstance(cell, int)]


# --- golden copies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["good", "failures", "thin", "retroactive", "exempted", "empty", "restated"])
def test_reads_as_it_was_approved(scene: str) -> None:
    """To renew after a change that was meant: delete the file, run, and read the difference."""
    document = _restated() if scene == "restated" else document_of(scene)
    kept = [section for section in document.sections if not section.annex]
    annex = [replace(s, blocks=_first_site(s.blocks)) for s in document.sections if s.annex]
    text = "\n".join(lines(replace(document, sections=[*kept, *annex]), ROWS)) + "\n"
    path = GOLDEN / f"month-{scene}.txt"
    if not path.exists():
        path.write_text(text, "utf-8")
        pytest.fail(f"{path.name} was written: read it, then run again")
    assert text == path.read_text("utf-8")


def _first_site(found: object) -> list[Block]:
    """The list of sites, and the block of the site that broke (or the first one)."""
    every = [block for block in found if isinstance(block, Heading | Text | Table)]  # type: ignore[attr-defined]
    heads = [i for i, block in enumerate(every) if isinstance(block, Heading)]
    if not heads:
        return [*every]
    at = next((i for i in heads if reports.BROKEN in getattr(every[i], "anchor", "")), heads[0])
    end = next((i for i in heads if i > at), len(every))
    return [*every[: heads[0]], *every[at:end]]


# --- percentages ------------------------------------------------------------------------------------------------------


def test_a_second_down_is_never_a_hundred_percent() -> None:
    """234 sites, 310 hours each: a second of it is 0.0000004 %, and still nobody is told 100.00 %."""
    text = "\n".join(lines(compose(reports.one_short(1_000))))
    summary = next(line for line in text.split("\n") if "站点可用率" in line and "在线" in line)
    assert "可用率99.99%" in summary
    assert "中断1秒" in summary
    table_rows = [line for line in text.split("\n") if line.startswith("合计 | ") and "1秒" in line]
    assert table_rows
    assert all("99.99%" in row for row in table_rows)


@given(st.integers(0, 10**15), st.integers(1, 10**15))
def test_percentages_are_cut(part: int, whole: int) -> None:
    """Never more than is true, less than a hundredth below it, and 100.00 % only of all."""
    part = min(part, whole)
    cut = words.part_of(part, whole)
    assert cut is not None
    assert cut * whole <= part * 10_000 < (cut + 1) * whole
    assert (words.percent(cut) == "100.00%") == (part == whole)


def test_99_9996_percent() -> None:
    assert words.percent(words.part_of(999_996, 1_000_000)) == "99.99%"


def test_with_too_little_coverage_there_is_no_headline_anywhere() -> None:
    """Availability would be 98.76 %, the rate 0.00 %: neither is said, of nobody, in any place."""
    text = text_of("thin")
    assert "98.76" not in text
    assert "0.00%" not in re.sub(r"\d0\.00%|低于规定的90\.00%", "", text)
    rates = [row for row in text.split("\n") if row.startswith(("县级 |", "乡镇 |", "村级 |", "合计 |"))]
    assert any("监测数据不足" in row for row in rates)
    assert "监测数据完整率60.00%" in text
    said = set(re.findall(r"\d+\.\d\d%", "\n".join(_without_services_and_money(document_of("thin")))))
    # Coverage, the honest bounds, the limits, and what the month before was.
    assert said == {"60.00%", "59.25%", "99.25%", "90.00%", "100.00%"}


def _without_services_and_money(document: Document) -> Iterator[str]:
    left = [s for s in document.sections if not s.title.startswith(("七、", "八、"))]
    left = [
        replace(s, blocks=[b for b in s.blocks if not isinstance(b, Table) or not b.title.startswith("各项服务")])
        for s in left
    ]
    for line in lines(replace(document, sections=left)):
        if not line.startswith("运行维护经费"):
            yield line


def test_durations_stand_beside_percentages() -> None:
    """Wherever a table of one figure a row says an availability, it says how long it was down, too."""
    for block in blocks(document_of("failures")):
        if not isinstance(block, Table):
            continue
        titles = [c.title for c in block.columns]
        if "可用率" in titles:
            assert {"中断", "未知时长"} & {*titles}, block.title


# --- sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["good", "failures", "retroactive"])
def test_tables_add_up(scene: str) -> None:
    document, facts = document_of(scene), facts_of(scene)
    total = facts.counted.sums["total"]
    every = table(document, "全部站点")
    own = [i for i, row in enumerate(every.rows) if row.link]
    for title, is_total in (
        ("在线", total.up),
        ("中断", total.down),
        ("未知", total.unknown),
        ("计划检修", total.planned),
    ):
        cells = column(every, title)
        assert sum(numbers([cells[i] for i in own])) == is_total
        towns = table(document, "各乡镇可用率与时长")
        mine = [row for row in towns.rows if not str(row.cells[0]).startswith("　")]
        at = [c.title for c in towns.columns].index(title)
        assert sum(numbers([row.cells[at] for row in mine])) == is_total
    outages = table(document, "中断明细")
    terminals = [t.sum for site in facts.sites for t in site.terminals]
    assert sum(numbers(column(outages, "计入时长"))) == sum(t.down for t in terminals)
    assert sum(numbers(column(outages, "超时限"))) == sum(t.overdue for t in terminals)
    assert len(outages.rows) == sum(t.outages for t in terminals)
    causes = table(document, "中断原因")
    by_cause = [row for row in causes.rows if not row.strong and not str(row.cells[0]).startswith("　")]
    whole = next(row for row in causes.rows if row.strong)
    for i in range(1, len(causes.columns)):
        assert sum(numbers([row.cells[i] for row in by_cause])) == whole.cells[i]


@pytest.mark.parametrize(
    "title", ["按支出经济分类（本期登记）", "按乡镇（本期登记）", "按故障原因（本期登记）", "按站点（本期登记）"]
)
def test_money_adds_up_to_the_fen(title: str) -> None:
    here = sum(fund.spent_here for fund in facts_of("failures").money.funds)
    found = table(document_of("failures"), title)
    amounts = numbers(column(found, "金额", "元"))
    assert amounts[-1] == here
    assert sum(amounts[:-1]) == here
    if found.brief is not None:
        shown = [row.cells[1] for row in found.brief]
        assert sum(numbers(shown[:-1])) == shown[-1] == here


def test_money_says_yuan_and_wan() -> None:
    text = text_of("failures")
    assert "全年预算250,000.00元（25.00万元）" in text
    assert "预算执行率83.84%" in text
    assert "已批未付1,500.00元（0.15万元）" in text


# --- part 3 and 4 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["failures", "thin", "retroactive", "exempted"])
def test_every_site_that_is_not_maintained_is_there_with_its_cause(scene: str) -> None:
    facts, found = facts_of(scene), table(document_of(scene), "未维护到位和数据不足站点一览")
    mine = [row for row in found.rows if not str(row.cells[0]).startswith("　")]
    assert len(mine) == sum(site.verdict != "maintained" for site in facts.sites)
    titles = [c.title for c in found.columns]
    for row in mine:
        for title in ("认定依据", "故障原因", "整改情况"):
            assert row.cells[titles.index(title)], row


def test_of_a_failed_site_everything_is_said() -> None:
    found = table(document_of("failures"), "未维护到位和数据不足站点一览")
    row = next(row for row in found.rows if row.link == f"site-{reports.BROKEN}")
    assert list(row.cells) == [
        "普安镇第1村站点",
        "村级",
        "普安镇",
        "未维护到位",
        "数字电视、移动终端、PC端：中断超过修复时限，超时限5小时",
        "市电",
        18,
        "12",
        "已整改（10月13日 18:00恢复）：更换电源适配器，恢复供电",
    ]


def test_paper_lists_outages_that_opened_an_order_and_the_workbook_every_one() -> None:
    found = table(document_of("failures"), "中断明细")
    assert len(found.rows) == 3514
    assert found.brief is not None
    assert len(found.brief) == 4
    titles = {c.title for c in found.columns}
    assert {"最早开始", "最晚开始", "最早结束", "最晚结束", "断开方式", "原因", "工单"} <= titles
    assert {"主动关机", "失联", "无心跳", "探测失败"} <= set(column(found, "断开方式"))
    paper = table(on_paper(document_of("failures")), "中断明细")
    assert "最早开始" not in {c.title for c in paper.columns}
    assert all(len(row.cells) == len(paper.columns) for row in (*paper.rows, *(paper.brief or ())))


def test_a_township_line_is_said_and_its_order_stands_with_the_sites_that_it_took_along() -> None:
    facts = facts_of("failures")
    code, key = "511723102", f"{reports.BROKEN}/tv/20261012T000000Z"
    order = replace(facts.orders[0], number="20", site=f"township:{code}", outages=[key], work="")
    line = replace(facts.outages[0], key=f"{code}/uplink/x", site=code, terminal="uplink", order="20", cause="line")
    outages = [replace(o, order="20") if o.key == key else o for o in facts.outages]
    document = compose(replace(facts, orders=[*facts.orders, order], lines=[line], outages=outages))
    assert table(document, "乡镇线路中断").rows[0].cells[0] == "普安镇"
    assert ["20", "普安镇线路"] in [list(row.cells[:2]) for row in table(document, "工单").rows]
    listed = table(document, "未维护到位和数据不足站点一览").rows[0]
    assert "20" in str(listed.cells[7])
    assert "20（乡镇线路）" in "\n".join(lines(document))


def test_a_month_that_still_runs_says_until_when_it_is_counted() -> None:
    facts = replace(facts_of("good"), as_of=reports.at(20, 12), settled=False)
    document = compose(facts)
    assert dict(document.fields)["数据截至"] == "2026年10月20日 12:00:00"
    texts = [block.text for block in blocks(document) if isinstance(block, Text) and block.warning]
    assert "本期尚未结束，数字截至2026年10月20日 12:00:00。" in texts


def test_yellow_cards_repeated_and_longest() -> None:
    document = document_of("failures")
    assert [row.cells for row in table(document, "黄牌提示").rows] == [["普安镇第2村站点", "村级", "普安镇", 3]]
    assert table(document, "反复中断的机位").rows[0].cells[:3] == ["普安镇第2村站点", "数字电视", 6]
    longest = table(document, "本期最长的中断（前10位）").rows
    assert [row.cells[5] for row in longest[:2]] == [40 * reports.HOUR, 20 * reports.HOUR]
    assert longest[0].cells[4] == "未恢复"


# --- the other ways of counting ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scene", "way"), [("retroactive", WITHOUT_WINDOWS), ("exempted", EXEMPTED)])
def test_every_figure_that_is_changed_shows_both(scene: str, way: str) -> None:
    """Each table by level, township, kind, site or terminal: below a figure that differs stands the other one."""
    facts, document = facts_of(scene), document_of(scene)
    other = facts.without_retroactive if way == WITHOUT_WINDOWS else facts.after_exemptions
    assert other is not None
    for title, columns in (
        ("运行维护率（站点）", ("维护到位", "运行维护率")),
        ("运行维护率（机位）", ("维护到位", "运行维护率")),
        ("可用率与时长（按层级）", ("可用率", "中断", "计划检修")),
        ("各乡镇运行维护情况（按名次）", ("维护到位", "运行维护率", "可用率")),
        ("各乡镇可用率与时长", ("可用率", "中断")),
        ("各类终端情况", ("维护到位", "中断")),
        ("可用率的可信范围", ("可用率", "下限")),
        ("全部站点", ("可用率", "结论")),
    ):
        found = table(document, title)
        names = [str(row.cells[0]) + str(row.cells[1]) for row in found.rows]
        i = next(i for i, name in enumerate(names) if way in name)
        at = [c.title for c in found.columns]
        for name in columns:
            cell = at.index(name)
            assert found.rows[i - 1].cells[cell] != found.rows[i].cells[cell], (title, name)
    summary = "\n".join(b.text for b in document.sections[0].blocks if isinstance(b, Text))
    assert f"{way}，维护到位{other.sites['total'].maintained}个" in summary
    assert f"{way}，机位中断" in summary
    assert "231个" in summary
    assert "232个" in summary


def test_a_site_that_a_retroactive_window_saved_is_named() -> None:
    warnings = [b.text for b in blocks(document_of("retroactive")) if isinstance(b, Text) and b.warning]
    assert any("普安镇第1村站点（未维护到位）" in text for text in warnings)
    windows = table(document_of("retroactive"), "计划检修时段")
    assert windows.rows[0].cells[5] == "事后补录"
    assert windows.rows[1].cells[5] == "事前申报"


def test_where_nothing_differs_nothing_stands_beside() -> None:
    for scene in ("good", "failures"):
        text = text_of(scene)
        assert f"　{WITHOUT_WINDOWS}" not in text
        assert f"　{EXEMPTED}" not in text


# --- marks, fields, form ----------------------------------------------------------------------------------------------


def test_title_fields_and_marks() -> None:
    document = document_of("good")
    assert document.title == "开江县“智慧党建”平台2026年10月运行维护报告"
    assert dict(document.fields)["编制单位"] == "中共开江县委组织部"
    assert dict(document.fields)["报告期"] == "2026年10月1日至2026年10月31日"
    assert document.marks == ["预览"]
    assert document_of("demo").marks == ["演示数据", "预览"]
    assert any("演示数据" in b.text for b in blocks(document_of("demo")) if isinstance(b, Text) and b.warning)


def test_a_sealed_report_says_its_number_and_who_signed() -> None:
    seal = Seal(3, "ab" * 32, "cd" * 32, "王五", reports.at(5, 9, 11))
    document = compose(replace(facts_of("good"), filled_by="张三", responsible="李四"), "sealed", seal=seal)
    assert document.marks == ["定稿"]
    assert document.signed() == ["填表人：张三", "负责人：李四"]
    for render in FORMATS.values():  # once, and with one colon
        assert len(render(replace(document, sections=[]))) > 1_000
    page = FORMATS["html"](replace(document, sections=[])).decode()
    assert "填表人：张三<" in page
    assert "负责人：李四<" in page
    assert dict(document.fields)["填报日期"] == "2026年11月5日"
    assert dict(document.fields)["版本"] == "定稿（第3号）"
    assert ["上一份定稿报告摘要", "cd" * 32] in [row.cells for row in table(document, "定稿").rows]


@pytest.mark.parametrize("scene", SCENES)
def test_a_document_is_whole(scene: str) -> None:
    """Nine parts and the way down; every row has a cell a column; links lead somewhere; sheets have short names."""
    document = document_of(scene)
    assert [s.title[0] for s in document.sections] == [*"一二三四五六七八九", "附"]
    assert [s.annex for s in document.sections] == [False] * 9 + [True]
    assert len({s.short for s in document.sections}) == 10
    assert all(len(s.short) <= 31 for s in document.sections)
    anchors = {b.anchor for b in blocks(document) if isinstance(b, Heading | Table)}
    for block in blocks(document):
        if isinstance(block, Table):
            rows: list[Row] = [*block.rows, *(block.brief or ())]
            assert all(len(row.cells) == len(block.columns) for row in rows), block.title
            assert all(not row.link or row.link in anchors for row in rows), block.title
        if isinstance(block, Chart):
            assert all(len(values) == len(block.labels) for values in block.series.values()), block.title


def test_the_way_down_names_the_command() -> None:
    text = text_of("failures")
    assert f"zhdj-monitor explain 2026-10 --site {reports.BROKEN}" in text
    linked = {row.link for b in blocks(document_of("failures")) if isinstance(b, Table) for row in b.rows}
    assert f"site-{reports.LASTING}" in linked


def test_the_same_facts_give_the_same_document() -> None:
    assert compose(facts_of("failures")) == document_of("failures")


def test_other_periods_are_called_by_their_names() -> None:
    facts = replace(facts_of("good"), period="2026-Q4", end=reports.at(1, 0, 1, 2027))
    assert compose(facts).title == "开江县“智慧党建”平台2026年第4季度运行维护报告"
    days = replace(facts_of("good"), period="2026-10-01..2026-10-15", end=reports.at(16, 0))
    assert "2026年10月1日至2026年10月15日" in compose(days).title


def test_nothing_foreign_is_said() -> None:
    """No identifier of the program's own stands where a county office reads Chinese."""
    said = text_of("retroactive") + text_of("exempted")
    for word in (
        "failed",
        "unproven",
        "maintained",
        "overdue",
        "silence",
        "goodbye",
        "None",
        "village",
        "coverage_min",
    ):
        assert word not in said, word


# --- on paper and screen ----------------------------------------------------------------------------------------------


def test_every_format_takes_a_report_without_figures() -> None:
    for ending, render in FORMATS.items():
        assert len(render(document_of("empty"))) > 10_000, ending


@pytest.mark.long
@pytest.mark.parametrize("scene", ["retroactive", "thin"])
def test_on_paper_nothing_is_blank_missing_or_beyond_the_margins(scene: str, tmp_path: Path) -> None:
    """Squeezed punctuation (`），`) lies over its neighbour's box, and is meant to."""
    pdf = tmp_path / "month.pdf"
    pdf.write_bytes(FORMATS["pdf"](document_of(scene)))
    assert [found for found in mistakes(pdf) if "lies over" not in found] == []


#: Lengths of a month as it is: with minutes and seconds, which take more room than the even hours of the scenes.
UNEVEN = {
    **{"up": 754_000, "down": 1_799_000, "unknown": 3_541_000, "planned": 1_307_000, "overdue": 1_439_000},
    **{"counted": 1_799_000, "counted_here": 1_799_000, "overdue_here": 1_439_000, "length": 1_799_000},
}


def uneven(node: Any) -> Any:
    """The facts with every length made uneven; the numbers of a rate are none."""
    if isinstance(node, list):
        return [uneven(each) for each in node]
    if not isinstance(node, dict):
        return node
    longer = {key: more for key, more in UNEVEN.items() if type(node.get(key)) is int and "maintained" not in node}
    return {key: value + longer[key] if key in longer else uneven(value) for key, value in node.items()}


def turned(document: Document) -> list[str]:
    """Tables that have a page of their own, which is turned, and nothing beside them."""
    return [piece.table.title for wide, run in pieces(document) for piece in run if wide and isinstance(piece, Laid)]


def test_no_table_of_a_month_turns_the_page() -> None:
    for scene in ("failures", "retroactive", "thin"):
        assert turned(document_of(scene)) == [], scene
    facts = json.loads(facts_json.dump(facts_of("exempted")))
    assert turned(compose(facts_json.read(json.dumps(uneven(facts)).encode()))) == []


# --- comparisons ------------------------------------------------------------------------------------------------------


def test_townships_are_ranked_with_ties_and_without_the_thin() -> None:
    facts = facts_of("good")
    well, worse = Sum(99, 1, 0, 0, 0, 0), Sum(90, 10, 0, 0, 1, 0)
    groups = [
        GroupFacts("a", "甲镇", worse, RateFacts(10, 9, 1, 0)),
        GroupFacts("b", "乙镇", well, RateFacts(10, 10, 0, 0)),
        GroupFacts("c", "丙镇", well, RateFacts(20, 20, 0, 0)),
        GroupFacts("d", "丁镇", Sum(10, 0, 90, 0, 0, 0), RateFacts(5, 0, 0, 5)),
        GroupFacts("511723", "开江县", well, RateFacts(2, 2, 0, 0)),
    ]
    found = ranked(Reading(replace(facts, townships=groups)))
    assert [(rank, group.id) for rank, group in found] == [
        (1, "b"), (1, "c"), (3, "a"), (None, "d"), (None, "511723"),
    ]  # fmt: skip


def test_compared_with_the_month_before() -> None:
    found = {str(row.cells[0]): row.cells for row in table(document_of("failures"), "主要指标比较").rows}
    assert found["运行维护率"][1:4] == ["98.71%", "100.00%", "下降1.29个百分点"]
    assert found["未维护到位站点"][1:4] == ["2个", "0个", "增加2个"]
    assert found["运行维护率"][4:] == ["—", "—"]  # nothing is known of the year before


# --- restated ---------------------------------------------------------------------------------------------------------


def _restated() -> Document:
    change = Restated(facts_of("failures"), "补批事后检修时段第7号", 3, "ab" * 32)
    return compose(facts_of("retroactive"), "restated", change=change)


def test_a_restated_report_begins_with_what_it_changes_and_why() -> None:
    document = _restated()
    assert document.marks == ["更正版"]
    first = document.lead[0]
    assert isinstance(first, Text)
    assert first.warning
    assert "更正第3号定稿报告" in first.text
    assert "更正原因：补批事后检修时段第7号。" in first.text
    rows = [list(row.cells) for row in table(document, "更正前后的差异").rows]
    assert ["全县站点运行维护率", "231÷234", "232÷234"] in rows
    assert ["全县中断时长", "20小时", "12小时"] in rows
    assert ["站点普安镇第1村站点（511723102001）结论", "未维护到位", "维护到位"] in rows


def test_equal_reports_do_not_differ() -> None:
    for scene in ("exempted", "empty"):
        assert differences(facts_of(scene), facts_of(scene)) == []


def test_differences_are_the_same_seen_from_the_other_side() -> None:
    one, other = facts_of("failures"), facts_of("exempted")
    there = differences(one, other)
    back = differences(other, one)
    assert there
    assert {(d.what, d.before, d.after) for d in there} == {(d.what, d.after, d.before) for d in back}
    assert ("免责 工单12", "（无）", "市电：全镇计划停电检修") in there

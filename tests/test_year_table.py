"""The yearly table: a year like 2020 says what the 2020 table says, a year with failures says what is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.declared import NARRATIVE
from monitor.core.indicators import FIGURES
from monitor.core.maintenance import Verdict
from monitor.core.money import in_wan_exactly
from monitor.core.report import Counted, Sum
from monitor.core.year import year_of
from monitor.core.year_facts import YearFacts
from monitor.flows.declaring import places as places_to_declare
from monitor.flows.reports.write_year import dump
from monitor.flows.reports.year import assemble, outstanding, split_by_source
from monitor.publish.documents.blocks import Document, Table, Text
from monitor.publish.reports.evaluation import evaluation
from monitor.publish.reports.goals import goals
from monitor.publish.reports.narrative import narrative
from monitor.publish.reports.template_files import templates_of
from monitor.publish.reports.year_annex import annex
from tests.year_like_2020 import WHOLE, declared_2020, facts_of, known, month, places, same_text, table_2020

TEMPLATES = templates_of(2020)
DOCS = Path(__file__).parent.parent / "docs"


def texts(document: Document) -> Iterator[str]:
    """Every text of a document."""
    yield document.title
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Text):
                yield block.text
            elif isinstance(block, Table):
                yield block.note
                yield from (cell for row in block.rows for cell in row.cells if isinstance(cell, str))


def row(facts: YearFacts, number: int) -> str:
    return next(r.actual for r in facts.goals if r.row == number)


def test_a_year_like_2020_says_what_the_2020_table_says() -> None:
    facts = assemble(known(declared=declared_2020()), TEMPLATES)
    table = table_2020()
    assert [(r.row, r.level1, r.level2, r.level3, r.target, r.source) for r in facts.goals] == [
        tuple(r[k] for k in ("row", "level1", "level2", "level3", "target", "source")) for r in table["rows"]
    ]
    for got, wanted in zip(facts.goals, table["rows"], strict=True):
        assert same_text(got.actual, wanted["actual"]), wanted["row"]
        assert got.source != "declared" or got.actual == wanted["actual"]  # verbatim
        assert bool(got.actual) == bool(wanted["actual"])  # empty cells stay empty
    assert (facts.project, facts.unit, facts.annual_target) == (
        table["project"],
        table["unit"],
        table["annual_target"],
    )
    assert same_text(facts.annual_actual, table["annual_actual"])
    [head] = [b for b in goals(facts).sections[0].blocks if isinstance(b, Table)]
    assert [r.cells for r in head.rows] == [
        ("年度资金总额", 75_000_000, 75_000_000, 10_000),
        ("其中：财政拨款", 75_000_000, 75_000_000, 10_000),
        ("其他资金", "", "", None),
    ]


def test_a_year_with_failures_says_so_with_the_counts() -> None:
    """Four villages with seven terminals that were not repaired in time; two of them were put right."""
    wrong: dict[tuple[int, str], Verdict] = {
        (3, "village0/tv"): "failed",
        (3, "village0/pc"): "failed",
        (5, "village1/tv"): "failed",
        (5, "village1/mobile"): "failed",
        (12, "village2/tv"): "failed",
        (12, "village2/pc"): "failed",
        (7, "village3/tv"): "failed",
        (12, "village3/tv"): "unproven",
    }
    facts = assemble(known(wrong=wrong), TEMPLATES)
    assert row(facts, 5) == "215个"
    assert (row(facts, 6), row(facts, 7)) == ("13个", "2个")
    assert row(facts, 9) == "实测 98.29％，未到位 4 个站点、7 个机位"
    assert "全部维护到位" not in "".join(text for d in (goals(facts), narrative(facts, "sichuan")) for text in texts(d))
    counted = facts.ways["counted"]
    assert (counted.site_months, counted.planned_site_months) == (234 * 12 - 5, 234 * 12)
    assert (counted.rectified_sites, counted.rectified_terminals) == (2, 4)
    assert [t.site for t in facts.trouble] == ["village0", "village1", "village2", "village3"]
    assert "全年共计维护230个站点（平台）" in facts.annual_actual


def test_what_is_unproven_is_named_and_never_called_maintained() -> None:
    unproven = assemble(known(wrong={(2, "township1/tv"): "unproven"}), TEMPLATES)
    assert row(unproven, 9) == "实测 99.57％，数据不足 1 个站点、1 个机位"
    both = assemble(known(wrong={(2, "county1/pc"): "unproven", (4, "village9/tv"): "failed"}), TEMPLATES)
    assert row(both, 9) == "实测 99.14％，未到位 1 个站点、1 个机位；数据不足 1 个站点、1 个机位"
    fewer = [month(2020, n, {}, absent=["village7"]) for n in range(1, 13)]
    missing = assemble(known(ways={"counted": fewer}), TEMPLATES)
    assert row(missing, 9) == "实测 99.57％，计划 234 个站点，在用 233 个"
    # Terminals may be the lower rate: of 702 planned one is not there.
    planned = {"village": 657, "township": 39, "county": 10}
    assert row(assemble(known(planned_terminals=planned), TEMPLATES), 9).startswith("实测 99.43％，计划 706 个机位")


def test_a_site_that_came_late_counts_for_the_months_in_which_it_was_in_service() -> None:
    months = [month(2020, n, {}, absent=["village7"] if n < 6 else []) for n in range(1, 13)]
    facts = assemble(known(ways={"counted": months}), TEMPLATES)
    assert row(facts, 9) == "≧（100）％，全县涉及机位全部维护到位"
    assert facts.ways["counted"].site_months == 234 * 12 - 5


def test_other_ways_of_counting_stand_beside_what_they_change() -> None:
    wrong: dict[tuple[int, str], Verdict] = {(3, "village0/tv"): "failed"}
    measured = [month(2020, n, wrong) for n in range(1, 13)]
    lenient = [month(2020, n, {}) for n in range(1, 13)]
    facts = assemble(known(ways={"counted": measured, "after_exemptions": lenient}), TEMPLATES)
    by_row = {r.row: r for r in facts.goals}
    assert by_row[5].ways == {"after_exemptions": "219个"}
    assert by_row[6].ways == {}
    shown = "".join(texts(goals(facts)))
    assert "实测 99.57％，未到位 1 个站点、1 个机位\n（免责后：≧（100）％，全县涉及机位全部维护到位）" in shown
    bare = assemble(known(ways={"counted": lenient, "without_retroactive": measured}), TEMPLATES)
    assert {r.row: r.ways for r in bare.goals}[9] == {"without_retroactive": "实测 99.57％，未到位 1 个站点、1 个机位"}


@pytest.mark.parametrize("style", ["sichuan", "national"])
def test_no_document_of_the_year_says_one_way_of_counting_alone(style: str) -> None:
    """Wherever an exemption or a window entered afterwards changes what is said, the other stands beside it."""
    wrong: dict[tuple[int, str], Verdict] = {(3, f"village{n}/tv"): "failed" for n in range(30)}
    measured, lenient = [month(2020, n, wrong) for n in range(1, 13)], [month(2020, n, {}) for n in range(1, 13)]
    months = [facts_of(m, 0) for m in lenient]
    bare = facts_of(measured[2], 0)
    less = Sum(WHOLE.up - 7_200_000, 7_200_000, 0, 0, 30, 0)
    march = Counted({**bare.sums, "total": less}, bare.sites, bare.terminals)
    months[2] = replace(months[2], ways={"without_retroactive": march})
    facts = assemble(
        known(ways={"counted": lenient, "without_retroactive": measured}, months=months, declared=declared_2020()),
        TEMPLATES,
    )
    words = "不计事后补录：实测 87.17％，未到位 30 个站点、30 个机位"
    said = "\n".join(texts(narrative(facts, style)))
    assert f"全县涉及机位全部维护到位（{words}）" in said
    assert "不计事后补录：未维护到位的站点 30 个" in said
    assert "（不计事后补录：2778 个）" in said  # site-months
    assert "（不计事后补录：总分 " in said
    assert "（不计事后补录：全年共计维护204个站点（平台）" in said
    form = "\n".join(texts(evaluation(facts, style)))
    assert "（不计事后补录：完成值 87.17，得分 " in form
    assert "（不计事后补录：总分 " in form
    assert any("不计事后补录" in t for t in texts(annex(facts)) if t.startswith("　"))
    assert '"without_retroactive":' in dump(facts).decode()


def test_a_year_in_which_nothing_was_counted_has_no_rate() -> None:
    months = [month(2020, n, {}, absent=list(places())) for n in range(1, 13)]
    empty = assemble(known(ways={"counted": months}), TEMPLATES)
    assert row(empty, 9) == "实测 —，计划 234 个站点，在用 0 个"
    assert "运行维护率 —；" in "".join(texts(narrative(empty, "sichuan")))


def test_below_the_least_coverage_no_rate_is_said() -> None:
    little = Sum(8_900, 0, 1_100, 0, 0, 0)
    wrong: dict[tuple[int, str], Verdict] = {(n, f"village{v}/tv"): "unproven" for n in (1, 2) for v in range(30)}
    sums = {level: little for level in ("county", "township", "village", "total")}
    later = assemble(known(2026, wrong=wrong, sums=sums), templates_of(2026))
    assert row(later, 9) == "实测 监测数据不足（完整率 89.00％），数据不足 30 个站点、30 个机位"
    rates = [r for style in later.evaluations.values() for r in style.rows if r.id == "maintenance_rate"]
    assert [(r.actual, r.score) for r in rates] == [("监测数据不足（完整率 89.00％）", None)] * 2
    for document in (
        goals(later), annex(later), evaluation(later, "national"), evaluation(later, "sichuan"),
        narrative(later, "sichuan"),
    ):  # fmt: skip
        said = "\n".join(texts(document))
        assert "监测数据不足" in said
        assert "87.17" not in said
        assert "89.00％）％" not in said


def test_a_later_template_binds_further_rows_to_figures() -> None:
    from monitor.core.indicators import Meetings, Repairs, Service

    later = templates_of(2026)
    facts = assemble(
        known(
            2026,
            repairs=Repairs(12, 1),
            meetings=Meetings(3, 702, 700),
            services={"video_conference": Service(9999, 1)},
        ),
        later,
    )
    by_row = {r.row: r for r in facts.goals}
    assert by_row[10].target == "2026年底完成"
    assert by_row[11].actual == "工单12件，未超过修复时限11件，修复及时率91.66％。"
    assert by_row[18].actual == ""
    assert by_row[18].beside == (
        "记录：会议保障3次，应参会702个站次，参会700个站次，覆盖率99.71％；"
        "终端自报：视频会议服务上报正常99.99％（1次异常）。"
    )
    assert row(assemble(known(2026), later), 11) == "全年没有工单。"


def test_what_is_missing_is_said_and_a_narrative_shows_where_to_write() -> None:
    facts = assemble(
        known(complete=False, demo=True, declared=[replace(declared_2020()[0], confirmed_by="")]), TEMPLATES
    )
    said = outstanding(facts, "sichuan")
    assert said[0] == "2020 年度尚未结束，或仍可能有补传数据"
    assert "演示数据不能定稿" in said
    assert "1 项申报值未经第二人确认：row.1" in said
    assert "自评表：缺评价结论" in said
    report = narrative(facts, "sichuan")
    assert report.marks == ["演示数据", "预览"]
    assert goals(assemble(known(demo=True), TEMPLATES)).marks == ["演示数据", "草稿"]
    assert goals(assemble(known(), TEMPLATES)).marks == []
    assert [s.title for s in report.sections] == [
        "一、项目测算依据", "二、资金使用情况", "三、绩效评价", "四、资金申报及批复", "五、资金计划与到位",
        "六、财务管理", "七、评价结论", "八、存在的问题", "九、下一步工作打算",
    ]  # fmt: skip
    assert "".join(texts(report)).count("（待填写：") == 9
    assert "应在" not in "".join(texts(report))


def test_below_the_least_coverage_no_availability_is_said() -> None:
    little = Sum(8_900, 0, 1_100, 0, 0, 0)
    enough = Sum(899_999, 1, 100_000, 0, 0, 0)
    for total, says in ((little, "监测数据不足（完整率 89.00％）"), (enough, "99.99％")):
        facts = assemble(known(sums={level: total for level in ("county", "township", "village", "total")}), TEMPLATES)
        assert f"全年可用率 {says}，" in "".join(texts(narrative(facts, "sichuan")))
        assert ("监测数据不足" in "".join(texts(annex(facts)))) == (total is little)


def test_the_same_year_is_the_same_bytes() -> None:
    once = dump(assemble(known(declared=declared_2020()), TEMPLATES))
    assert once == dump(assemble(known(declared=list(reversed(declared_2020()))), TEMPLATES))


@pytest.mark.parametrize("style", ["sichuan", "national"])
def test_every_row_of_a_table_has_a_cell_for_every_column(style: str) -> None:
    facts = assemble(known(declared=declared_2020()), TEMPLATES)
    for document in (goals(facts), evaluation(facts, style), narrative(facts, style), annex(facts)):
        for section in document.sections:
            assert len(section.short) <= 31
            for block in section.blocks:
                if isinstance(block, Table):
                    assert {len(r.cells) for r in block.rows} <= {len(block.columns)}


@given(
    st.dictionaries(
        st.tuples(st.integers(1, 12), st.sampled_from([f"village{n}/tv" for n in range(5)])),
        st.sampled_from(["failed", "unproven", "maintained"]),
        max_size=20,
    )
)
@settings(max_examples=10, deadline=None)
def test_a_years_verdict_follows_from_its_months(wrong: dict[tuple[int, str], Verdict]) -> None:
    months = [month(2020, n, wrong) for n in range(1, 13)]
    found = year_of(months)
    for site in places():
        course = [m.sites[site][1] for m in months]
        worst = "failed" if "failed" in course else "unproven" if "unproven" in course else "maintained"
        assert (found.trouble[site].verdict if site in found.trouble else "maintained") == worst
    total = found.sites["total"]
    assert total.maintained + total.failed + total.unproven == 234
    assert found.site_months[0] <= found.site_months[1] == 234 * 12


@given(st.integers(0, 10**14))
def test_amounts_in_wan_lose_nothing(fen: int) -> None:
    from monitor.core.money import parse_fen

    assert parse_fen(in_wan_exactly(fen)) == fen


@given(
    st.integers(0, 10**9),
    st.dictionaries(st.sampled_from(["carry_over", "appropriation", "other"]), st.integers(0, 10**9)),
)
def test_what_was_spent_is_split_by_source_to_the_fen(spent: int, budgets: dict[str, int]) -> None:
    spent = min(spent, sum(budgets.values()))
    found = split_by_source(spent, budgets)
    assert sum(found.values()) == spent
    assert all(0 <= found[source] <= budgets[source] for source in found)


def test_what_templates_may_name_and_people_may_declare_stands_in_the_docs() -> None:
    reports = (DOCS / "reports.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` | {title} |" in reports for name, title in FIGURES.items())
    manual = (DOCS / "自评表说明.md").read_text(encoding="utf-8")
    assert all(f"`{name}` {title}" in manual for name, title in NARRATIVE.items())
    known_keys = places_to_declare(templates_of(2026))
    said = set(re.findall(r"\b((?:eval|text|money)\.[a-z_.]*[a-z])", manual))
    assert said
    assert said <= set(known_keys)

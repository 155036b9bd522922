"""The year's documents word by word: the good year 2020 and a year with failures. Looked at, then kept."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.core.indicators import Meetings, Repairs, Service
from monitor.core.year_facts import YearFacts
from monitor.flows.reports.write_year import DOCUMENTS
from monitor.flows.reports.year import assemble
from monitor.publish.documents.formats import FORMATS
from monitor.publish.reports.template_files import templates_of
from monitor.publish.reports.year_words import months_said
from tests.documents import as_pdf, mistakes
from tests.plain_document import plain
from tests.test_evaluation import full_2020
from tests.year_like_2020 import known

GOLDEN = Path(__file__).parent / "golden" / "year"


def good() -> YearFacts:
    return assemble(known(declared=full_2020()), templates_of(2020))


def bad() -> YearFacts:
    """Three sites failed, one is unproven; little was declared, and nobody confirmed it."""
    declared = [replace(d, year=2026, confirmed_by="", confirmed_ms=None) for d in full_2020()[:3]]
    return assemble(
        known(
            2026,
            wrong={
                (3, "village0/tv"): "failed",
                (3, "village0/pc"): "failed",
                (5, "village1/tv"): "failed",
                (12, "village2/tv"): "failed",
                (7, "county1/tv"): "unproven",
            },
            declared=declared,
            demo=True,
            repairs=Repairs(12, 3),
            meetings=Meetings(2, 468, 467),
            services={"video_conference": Service(90_000, 3), "learning": Service(1_000, 0)},
        ),
        templates_of(2026),
    )


@pytest.mark.parametrize("which", ["good", "bad"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_years_documents_say_what_was_looked_at(which: str, name: str) -> None:
    said = plain(DOCUMENTS[name](good() if which == "good" else bad(), "sichuan"))
    # A template's digest changes with its comments.
    said = re.sub(r"（[0-9a-f]{12}）", "（摘要）", said)
    kept = GOLDEN / f"{which}-{name}.txt"
    assert said == (kept.read_text(encoding="utf-8") if kept.exists() else ""), f"looked at it, and it is right? {kept}"


def test_the_national_form_has_its_own_columns() -> None:
    said = plain(DOCUMENTS["evaluation"](good(), "national"))
    assert "年度指标值 | 实际完成值 | 分值 | 得分 | 偏差原因分析及改进措施" in said
    assert "“智慧党建”维护村级站点（平台）数 | ≥219个 | 219个 | 6.00 | 6.00 | " in said


def test_a_percentage_that_was_declared_with_its_sign_has_it_once() -> None:
    """And months in a row are said by the first and the last."""
    declared = [replace(d, text="98％") if d.key == "eval.relief_satisfaction" else d for d in full_2020()]
    said = plain(DOCUMENTS["evaluation"](assemble(known(declared=declared), templates_of(2020)), "national"))
    assert re.search(r"[%％]\s*[%％]", said) is None
    assert months_said([]) == ""
    assert months_said(["2026-01", "2026-02", "2026-04"]) == "2026-01、2026-02、2026-04"
    assert (
        months_said(["2026-01", "2026-03", "2026-04", "2026-05", "2026-12"]) == "2026-01、2026-03 至 2026-05、2026-12"
    )


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_takes_a_form_with_merged_cells(suffix: str) -> None:
    made = FORMATS[suffix](DOCUMENTS["evaluation"](bad(), "sichuan"))
    assert made == FORMATS[suffix](DOCUMENTS["evaluation"](bad(), "sichuan"))
    if suffix == "html":
        text = made.decode()
        assert 'rowspan="12">产出指标' in text
        assert text.count(">产出指标<") == 1


@pytest.mark.parametrize("name", DOCUMENTS)
def test_on_paper_nothing_of_a_year_is_blank_missing_or_beyond_the_margins(name: str, tmp_path: Path) -> None:
    """With the longest cell that a table of ours has: the standards of relief, row 12."""
    pdf = tmp_path / f"{name}.pdf"
    pdf.write_bytes(FORMATS["pdf"](DOCUMENTS[name](bad(), "sichuan")))
    assert [found for found in mistakes(pdf) if "lies over" not in found] == []


@pytest.mark.long
def test_in_an_office_nothing_of_a_year_is_blank_missing_or_beyond_the_margins(tmp_path: Path) -> None:
    made = []
    for name, document in DOCUMENTS.items():
        for suffix in ("docx", "xlsx"):
            path = tmp_path / f"{name}-{suffix}.{suffix}"
            path.write_bytes(FORMATS[suffix](document(bad(), "national")))
            made.append(path)
    for pdf in as_pdf(tmp_path, made):
        assert [found for found in mistakes(pdf) if "lies over" not in found] == [], pdf.name

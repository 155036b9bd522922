"""Documents in every format: what was put in can be read back, numbers are numbers, nothing is a formula or markup,
bytes stay the same, and programs that we did not write open them without a mistake."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import subprocess
import sys
import time
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import docx as reader
import openpyxl
import pytest
import typst
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import sync_playwright

from monitor.publish.documents import chart, fonts, html, layout
from monitor.publish.documents.blocks import Chart, Column, Document, Heading, Kind, Row, Section, Table, Text
from monitor.publish.documents.cells import clean, words
from monitor.publish.documents.formats import FORMATS
from monitor.publish.documents.xlsx_cells import CUT, LONGEST, sheet_names
from tests.documents import AS_OF, LONG_NAME, MARKS, as_pdf, blank, mistakes, pages, sample

SHANGHAI = ZoneInfo("Asia/Shanghai")
GOLDEN = Path(__file__).parent / "golden" / "documents.sha256"
FORMULAS = (
    "=1+1",
    '=HYPERLINK("http://x")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "{=1}",
    "http://example.org",
    "_x0041_",
    "01",
)
#: Anything a keyboard, a paste or a broken import can bring.
texts = st.text(st.characters(blacklist_categories=()), min_size=1, max_size=40) | st.sampled_from(FORMULAS)


def table_of(cells: list[str]) -> Document:
    return Document("题", [Section("一", "一", [Table("表", [Column("文")], [Row((cell,)) for cell in cells])])])


def squeezed(text: str) -> str:
    return "".join(text.split()).replace("\u200b", "")


# Words


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("percent", 9_999, "99.99%"),
        ("percent", 10_000, "100.00%"),
        ("percent", 5, "0.05%"),
        ("percent", -150, "-1.50%"),
        ("percent", "监测数据不足", "监测数据不足"),
        ("length", ((3 * 24 + 4) * 3600 + 5 * 60 + 6) * 1000 + 999, "76小时5分6秒"),
        ("length", 86_400_000, "24小时"),
        ("length", 999, "不足1秒"),
        ("length", 0, "0秒"),
        ("yuan", 123_456_789, "1,234,567.89"),
        ("yuan", -5, "-0.05"),
        ("count", 1_234, "1,234"),
        ("instant", 1_790_812_800_999, "2026-10-01 08:00:00"),
        ("instant", 10**18, "1000000000000000000"),
        ("day", "2026-10-01", "2026-10-01"),
        ("text", "a\x07\ud800\u202eb\r\nc", "a〔U+0007〕〔U+D800〕〔U+202E〕b\nc"),
        ("count", None, "—"),
    ],
)
def test_words_of_cells(kind: Kind, value: int | str | None, said: str) -> None:
    assert words(kind, value, SHANGHAI) == said


def test_what_the_fonts_lack_is_said_and_no_empty_box() -> None:
    assert fonts.shown("㙍口村、𠮷祥村😀") == "㙍口村、〔U+20BB7〕祥村〔U+1F600〕"


# Any text survives


@settings(max_examples=25, deadline=None)
@given(st.lists(texts, min_size=1, max_size=30))
def test_any_text_survives_in_a_workbook_and_is_no_formula(cells: list[str]) -> None:
    book = openpyxl.load_workbook(io.BytesIO(FORMATS["xlsx"](table_of(cells))))
    read = [row[0] for row in book["一"].iter_rows(min_row=4, max_row=3 + len(cells))]
    assert [cell.value for cell in read] == [clean(cell) for cell in cells]
    assert {cell.data_type for cell in read} == {"s"}
    assert all(cell.hyperlink is None and cell.quotePrefix for cell in read)


@settings(max_examples=25, deadline=None)
@given(st.lists(texts, min_size=1, max_size=30))
def test_any_text_survives_in_a_word_file(cells: list[str]) -> None:
    (table,) = reader.Document(io.BytesIO(FORMATS["docx"](table_of(cells)))).tables
    assert [row.cells[0].text for row in table.rows][1:] == [clean(cell) for cell in cells]


class Cells(HTMLParser):
    """Texts of a page's cells, and every element with its attributes."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.inside = False
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "td":
            self.cells.append("")
            self.inside = True

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.cells[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "td"


def test_every_table_of_a_word_file_says_its_own_margins() -> None:
    """Columns are as wide as figures need beside these; LibreOffice takes wider ones, and breaks 234 in two."""
    found = reader.Document(io.BytesIO(FORMATS["docx"](sample(3)))).element.xpath("//w:tblPr")
    assert found
    assert all(one.xpath("w:tblCellMar/w:left/@w:w") == ["60"] for one in found)


@settings(max_examples=25, deadline=None)
@given(st.lists(texts, min_size=1, max_size=30))
def test_any_text_survives_on_a_page_and_is_no_markup(cells: list[str]) -> None:
    page = Cells(FORMATS["html"](table_of([*cells, "<script>alert(1)</script>", '"><img src=x>', "&amp;"])))
    assert page.cells == [clean(cell) for cell in cells] + ["<script>alert(1)</script>", '"><img src=x>', "&amp;"]
    assert not {"script", "img", "iframe", "link"} & {tag for tag, _ in page.elements}


@settings(max_examples=6, deadline=None)
@given(st.lists(texts, min_size=20, max_size=60))
def test_any_text_survives_on_paper_and_is_no_markup(cells: list[str]) -> None:
    cells += ["#panic()", "$x$", "*fett*", "@ref", "`code`", "= Titel", "\\u{41}", "</text>", "a" * 300, "好" * 3000]
    made = FORMATS["pdf"](table_of(cells))
    said = squeezed(
        subprocess.run(["pdftotext", "-raw", "-", "-"], input=made, capture_output=True, check=True).stdout.decode()
    )
    for cell in cells[-10:-2]:
        assert squeezed(cell) in said
    assert said.count("好") == 3000
    # Order and joining of what stands in a narrow cell are the reader's; that nothing is lost is ours.
    for char in {char for cell in cells for char in squeezed(fonts.shown(cell)) if char.isalnum()}:
        assert char in said, hex(ord(char))


# Workbooks


def cell_of(kind: Kind, value: int | str | None) -> openpyxl.cell.Cell:
    document = Document("题", [Section("一", "一", [Table("表", [Column("列", kind)], [Row((value,))])])])
    found = openpyxl.load_workbook(io.BytesIO(FORMATS["xlsx"](document)))["一"]["A4"]
    assert isinstance(found, openpyxl.cell.Cell)
    return found


@pytest.mark.parametrize(
    ("kind", "value", "held", "shown_as"),
    [
        ("percent", 9_999, 0.9999, "0.00%"),
        ("count", 12, 12, "#,##0"),
        ("yuan", 10**13 + 1, 100_000_000_000.01, "#,##0.00"),
        ("instant", 1_790_812_800_999, datetime(2026, 10, 1, 8), "yyyy-mm-dd hh:mm:ss"),  # noqa: DTZ001 - as a sheet has it
        ("day", "2026-10-01", datetime(2026, 10, 1), "yyyy-mm-dd"),  # noqa: DTZ001
        ("percent", "监测数据不足", "监测数据不足", "General"),
        ("count", None, "—", "General"),
        ("count", 10**16 + 1, "10,000,000,000,000,001", "General"),
        ("instant", -(10**15), "-1000000000000000", "General"),
        ("day", "昨天", "昨天", "General"),
    ],
)
def test_a_workbook_holds_real_numbers_and_dates(kind: Kind, value: int | str, held: object, shown_as: str) -> None:
    if kind == "instant" and isinstance(held, str):
        held = words(kind, value, SHANGHAI)
    cell = cell_of(kind, value)
    assert (cell.value, cell.number_format) == (held, shown_as)


def test_lengths_in_a_workbook_are_lengths() -> None:
    cell = cell_of("length", 90_061_999)
    assert cell.number_format == "[h]:mm:ss"
    assert str(cell.value) == "1 day, 1:01:01"


def test_a_text_too_long_for_a_cell_is_cut_and_says_so() -> None:
    whole, cut = cell_of("text", "好" * LONGEST).value, cell_of("text", "𠮷" * LONGEST).value
    assert whole == "好" * LONGEST
    assert isinstance(cut, str)
    assert cut.endswith(CUT)
    assert len(cut.encode("utf-16-le")) // 2 <= LONGEST


def test_a_head_that_wraps_has_its_lines_in_a_workbook() -> None:
    """A spreadsheet that does not reckon rows anew would cut its first line off."""
    table = Table("表", (Column("上年同期（2025年10月）"), Column("增减")), [Row(("—", "—"))])
    book = openpyxl.load_workbook(io.BytesIO(FORMATS["xlsx"](Document("题", [Section("一、甲", "甲", [table])]))))
    sheet = book["甲"]
    row = next(cell.row for cell in sheet["A"] if cell.value == "上年同期（2025年10月）")
    assert sheet.row_dimensions[row].height >= 32


def test_names_of_sheets_are_what_spreadsheets_take() -> None:
    assert sheet_names(["1/总体", "1:总体", "'", "长" * 40, "长" * 40, "History"]) == [
        "1·总体", "1·总体（2）", "表", "长" * 31, "长" * 28 + "（2）", "History（2）",
    ]  # fmt: skip


def test_a_workbook_has_a_sheet_a_section_heads_that_stay_and_links_that_lead_there() -> None:
    book = openpyxl.load_workbook(io.BytesIO(FORMATS["xlsx"](sample())))
    assert book.sheetnames == ["封面", "1总体", "2站点", "3热力图", "4终端", "5说明", "站点每日可用率", "图表数据"]
    sheet = book["2站点"]
    assert sheet.freeze_panes == "B4"
    assert sheet.auto_filter.ref == "A3:L44"
    link = sheet["A4"].hyperlink
    assert link is not None
    name, place = link.location.split("!")
    assert book[name.strip("'")][place].value == "石门乡第1村"
    assert all(page["A1"].value.startswith("【演示数据　更正版】") for page in book if page.title != "图表数据")
    assert all("演示数据" in str(page.HeaderFooter.oddHeader) for page in book)
    assert book.properties.created == datetime(2026, 11, 5)  # noqa: DTZ001


# Pages


def test_a_page_needs_nothing_else_and_its_links_lead_somewhere() -> None:
    page = Cells(FORMATS["html"](sample()))
    places = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    links = [attrs["href"] or "" for tag, attrs in page.elements if tag == "a"]
    assert "#site-1" in links
    assert {link[0] for link in links} == {"#"}
    assert {link[1:] for link in links} <= places
    for _, attrs in page.elements:
        assert not {"style", "src", "onclick"} & attrs.keys()


# Paper: how it is laid out


def test_a_wide_table_is_turned_with_its_heading_and_a_narrow_one_stands() -> None:
    wide = Table("表", [Column(f"第{i}列", "instant") for i in range(12)], [Row([10**12] * 12)])
    narrow = Table("表", [Column("列")], [Row(("甲",))])
    document = Document("题", [Section("一", "一", [narrow, Heading("（一）"), wide]), Section("二", "二", [narrow])])
    runs = list(layout.pieces(document))
    assert [(turned, len(run)) for turned, run in runs] == [(False, 2), (True, 2), (False, 2)]


def test_columns_fill_the_page_and_have_room_for_what_cannot_break() -> None:
    for _, run in layout.pieces(sample()):
        for piece in run:
            if isinstance(piece, layout.Laid) and piece.rows:
                room = layout.LANDSCAPE if piece.wide else layout.PORTRAIT
                assert sum(piece.widths) == pytest.approx(room)


# Charts


@pytest.mark.parametrize("form", ["line", "bar", "heat"])
@pytest.mark.parametrize(
    "series", [{}, {"甲": []}, {"甲": [None, None]}, {"甲": [0, 0]}, {"甲": [-5, 10**13]}, {"<&": [1, 2, 3]}]
)
def test_charts_of_anything_can_be_drawn_and_are_always_printable(
    form: str, series: dict[str, list[int | None]]
) -> None:
    document = Document("题", [Section("一", "一", [Chart("图", form, ["一月", "<二月>"], series, "yuan")])])  # type: ignore[arg-type]
    for write in FORMATS.values():
        assert write(document)


def test_an_axis_of_percentages_never_goes_above_all() -> None:
    assert chart.ticks([9_990, 10_000], "percent", "line")[-1] == 10_000
    assert chart.ticks([10_000], "percent", "line")[-1] == 10_000
    assert chart.ticks([3 * 3_600_000, 47 * 3_600_000], "length", "bar") == [h * 3_600_000 for h in range(0, 49, 12)]


# The same bytes, everywhere

_HASHES = """
import hashlib
from monitor.publish.documents.formats import FORMATS
from tests.documents import sample
for name, write in FORMATS.items():
    print(hashlib.sha256(write(sample(40))).hexdigest(), name)
"""


def test_the_same_document_is_the_same_bytes_in_any_process_and_time_zone() -> None:
    said = []
    for seed, zone in (("1", "Asia/Shanghai"), ("2", "America/New_York")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"}
        done = subprocess.run(
            [sys.executable, "-c", _HASHES], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        said.append(done.stdout)
    assert said[0] == said[1]
    # Of those whose bytes only our own pinned parts decide; what compresses the others is the machine's.
    fixed = "".join(line + "\n" for line in said[0].splitlines() if line.endswith(("pdf", "html")))
    assert fixed == GOLDEN.read_text(), f"looked at it, and it is right? Then {GOLDEN.name} becomes:\n{fixed}"


def test_the_last_page_is_never_the_last_line_alone(tmp_path: Path) -> None:
    """Whatever the length: who signs stands on the page on which it ends."""
    for n in range(15, 24):
        words = [Text("一行。") for _ in range(n)]
        of = Document("题", [Section("一、甲", "甲", words)], signatures=(("填表人", ""),), made_by="制作说明")
        (tmp_path / "one.pdf").write_bytes(FORMATS["pdf"](of))
        last = squeezed(pages(tmp_path / "one.pdf")[-1].text)
        assert "制作说明" in last
        assert "填表人" in last, n


def test_paper_names_what_made_it() -> None:
    made = FORMATS["pdf"](Document("题", [], made_by="规则第1版"))
    said = subprocess.run(["pdftotext", "-", "-"], input=made, capture_output=True, check=True).stdout.decode()
    for name in ("规则第1版", "typst0.15.2", "NotoSansSC2.004", "NotoSerifSC2.003"):
        assert name in squeezed(said)


def test_rendering_again_and_again_does_not_grow() -> None:
    """typst remembers what it computed, some tens of megabytes a report, until it is made to forget."""

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    sizes = []
    for n in range(4):
        FORMATS["pdf"](dataclasses.replace(sample(200), marks=(f"第{n}版",)))
        sizes.append(resident())
    assert sizes[-1] - sizes[0] < 20_000_000


def test_a_month_is_written_in_time() -> None:
    """CPU and not the clock, because tests share the machine: at most 3 s for PDF, 10 s for all formats."""
    outage = [Column(f"列{i}", "instant" if i < 4 else "text") for i in range(11)]
    rows = [Row([AS_OF + n * 1000, AS_OF, AS_OF, None, *["石门乡第一村"] * 7]) for n in range(3_500)]
    month = sample()
    table = Table("中断明细", outage, rows, brief=rows[:1_000])
    month = dataclasses.replace(month, sections=[*month.sections, Section("六、中断", "6中断", [table])])
    spent = {}
    for name, write in FORMATS.items():
        begun = time.process_time()
        write(month)
        spent[name] = time.process_time() - begun
    assert spent["pdf"] < 3, spent
    assert sum(spent.values()) < 10, spent


# The helper that looks


def test_the_checker_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pdf"
    source = b"""#set page(margin: 40mm)
#set text(font: "Noto Serif SC", fallback: false, size: 20pt)
#sym.space#str.from-unicode(0x20BB7) #place(dy: 9pt)[under] #place(dx: 9pt)[above] #place(dx: 145mm)[beyond]
#pagebreak() #box() #pagebreak() end"""
    pinned = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[fonts.FOLDER])
    made = typst.Compiler(source, font_paths=pinned).compile(format="pdf")
    assert isinstance(made, bytes)
    wrong.write_bytes(made)
    found = " ".join(mistakes(wrong))
    for mistake in ("1 missing glyphs", "page 2 is blank", "beyond the margin: beyond", "above lies over under"):
        assert mistake in found, found
    assert blank(wrong) == [2]


# Opened by programs that we did not write


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sample as PDF: by us, and by LibreOffice from the workbook and the Word file, in one start."""
    folder = tmp_path_factory.mktemp("documents")
    for name, write in FORMATS.items():
        (folder / f"of_{name}.{name}").write_bytes(write(sample()))
    as_pdf(folder, [folder / "of_docx.docx", folder / "of_xlsx.xlsx"])
    return {name: folder / f"of_{name}.pdf" for name in ("pdf", "docx", "xlsx")}


@pytest.mark.parametrize("name", ["pdf", "docx", "xlsx"])
def test_opened_elsewhere_nothing_is_missing_cut_off_or_blank(opened: dict[str, Path], name: str) -> None:
    pdf = opened[name]
    assert mistakes(pdf) == []
    all_pages = pages(pdf)
    whole = "".join(page.text for page in all_pages)
    assert squeezed(whole).count("village-") == 702
    for page in all_pages:
        assert MARKS[0] in page.text
        assert MARKS[1] in page.text
    for said in ("填表人", "负责人", "监测数据不足", "99.99%", "1,234.56", "㙍口村", "……", "《维护办法》"):
        assert said in squeezed(whole), said
    for part in re.findall(".{6}", LONG_NAME):
        assert sum(char in whole for char in part) == 6


@pytest.mark.parametrize("name", ["pdf", "docx"])
def test_paper_repeats_heads_numbers_pages_and_turns_wide_tables(opened: dict[str, Path], name: str) -> None:
    all_pages = pages(opened[name])
    for n, page in enumerate(all_pages, 1):
        assert f"—{n}—" in squeezed(page.text)
        if "village-" in page.text:
            assert "可用率" in page.text
        assert ("维护费用" in page.text) == (page.width > page.height), n
    assert {round(max(page.width, page.height)) for page in all_pages} == {842}


def test_a_browser_shows_and_prints_the_page_without_a_complaint(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(FORMATS["html"](sample(120)))
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        assert page.evaluate("getComputedStyle(document.querySelector('h1')).textAlign") == "center"  # the style holds
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.screenshot(path=tmp_path / "page.png")
        page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
        browser.close()
    assert said == []
    assert len(asked) == 1
    assert mistakes(tmp_path / "page.pdf") == []
    for printed in pages(tmp_path / "page.pdf"):
        assert MARKS[0] in printed.text
    assert html.POLICY.startswith("default-src 'none'")

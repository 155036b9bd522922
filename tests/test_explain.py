"""explain on a staged October: the text that an auditor reads, files, errors, and the same on both databases."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from monitor import __version__, cli
from monitor.cli import explain as command
from monitor.cli.explain import Explanation, composed, rendered
from monitor.core.explaining import heard
from monitor.core.explanation import GroupExplanation, OutageExplanation, SealedFacts, SiteExplanation
from monitor.core.period import parse
from monitor.core.report import ReportFacts
from monitor.errors import MonitorError
from monitor.evidence.reading import read_lines
from monitor.flows.reports import facts_json
from monitor.flows.reports.explain_group import explain_group
from monitor.flows.reports.explain_outage import explain_outage
from monitor.flows.reports.explain_site import differences, explain_site
from monitor.flows.reports.facts import gather
from monitor.publish.documents.blocks import Column, Document, Row, Section, Table, Text
from monitor.publish.documents.text import render as render_text
from monitor.publish.reports.explain_words import Words
from monitor.store.tables import outage
from tests.explained import NOW, Staged, october
from tests.kept_reports import keep

GOLDEN = Path(__file__).parent / "golden"
OUTAGE = "V1/tv/20260930T071500Z"
OCTOBER = parse("2026-10")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("october")


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, Any]:
    """Everything that is explained, on SQLite."""

    async def run() -> dict[str, Any]:
        async with october(folder, f"sqlite+aiosqlite:///{folder}/monitor.db") as it:
            return await explained(it)

    return asyncio.run(run())


async def explained(it: Staged) -> dict[str, Any]:
    facts = await gather(it.engine, it.loaded, OCTOBER, NOW)
    found: dict[str, Any] = {
        "site": await explain_site(it.engine, it.loaded, OCTOBER, "V1", None, NOW),
        "village": await explain_group(it.engine, it.loaded, OCTOBER, "level", "village", NOW),
        "T1": await explain_group(it.engine, it.loaded, OCTOBER, "township", "T1", NOW),
        "total": await explain_group(it.engine, it.loaded, OCTOBER, "level", "total", NOW),
        "outage": await explain_outage(it.engine, it.loaded, OUTAGE, NOW),
        "september": await explain_site(it.engine, it.loaded, parse("2026-09"), "V1", "tv", NOW),
        "facts": facts,
    }
    async with it.engine.begin() as connection:
        for at, state, successor in ((1, "merged", OUTAGE), (2, "gone", "")):
            row = {"key": f"V1/tv/{at}", "site": "V1", "terminal": "tv", "start_ms": at, "state": state}
            await connection.execute(insert(outage).values(**row, successor=successor))
    await keep(it.engine, facts)
    found["tv"] = await explain_site(it.engine, it.loaded, OCTOBER, "V1", "tv", NOW)
    found["merged"] = await explain_outage(it.engine, it.loaded, "V1/tv/1", NOW, locate=False)
    for name, ask in refusals(it).items():
        with pytest.raises(MonitorError) as error:
            await ask()
        found[name] = str(error.value)
    return found


def refusals(it: Staged) -> dict[str, Callable[[], Any]]:
    def site(period: str, site_id: str, terminal: str | None = None) -> Callable[[], Any]:
        return lambda: explain_site(it.engine, it.loaded, parse(period), site_id, terminal, NOW)

    return {
        "never": site("2026-10", "V9"),
        "by name": site("2026-10", "镇二1村"),
        "no terminal": site("2026-10", "V2", "pc"),
        "future": site("2026-12", "V1"),
        "no level": lambda: explain_group(it.engine, it.loaded, OCTOBER, "level", "city", NOW),
        "no township": lambda: explain_group(it.engine, it.loaded, OCTOBER, "township", "T7", NOW),
        "gone": lambda: explain_outage(it.engine, it.loaded, "V1/tv/2", NOW),
        "no outage": lambda: explain_outage(it.engine, it.loaded, "V1/tv/20261001T000000Z", NOW),
    }


@pytest.mark.parametrize("name", ["site", "T1", "outage"])
def test_what_an_auditor_reads(told: dict[str, Any], name: str) -> None:
    """`GOLDEN=write pytest tests/test_explain.py` writes the files anew; look at what changed."""
    text = rendered(told[name], "text").decode().replace(f"zhdj-monitor {__version__}", "zhdj-monitor VERSION")
    text = re.sub(r"\b[0-9a-f]{64}\b", "SHA256".ljust(64, "."), text)
    golden = GOLDEN / f"explain-{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_the_examples_of_the_page_are_what_the_program_prints() -> None:
    """docs/explain.md: every indented line that is no command."""
    page = (Path(__file__).parent.parent / "docs" / "explain.md").read_text(encoding="utf-8")
    printed = "".join(p.read_text(encoding="utf-8") for p in sorted(GOLDEN.glob("explain-*.txt")))
    lines = [line.strip() for line in page.splitlines() if line.startswith("    ")]
    examples = [line for line in lines if not line.startswith(("zhdj-monitor ", "zstdcat ", "sed "))]
    assert len(examples) > 15
    for line in examples:
        assert line in printed, line


def test_everything_adds_up(told: dict[str, Any]) -> None:
    for name in ("site", "tv", "village", "T1", "total", "outage", "september"):
        assert told[name].adds_up(), name
        for table in tables(composed(told[name])):
            for rows in (table.rows, table.brief or table.rows):
                if rows and rows[-1].strong and table.title.startswith(("时间段", "各站点", "服务时间", "计划检修")):
                    for i, column in enumerate(table.columns):
                        total = rows[-1].cells[i]
                        if column.kind == "count" and isinstance(total, int) and column.unit:
                            if table.title.startswith("服务时间") and column.title == "每天服务":
                                continue
                            assert sum(int(row.cells[i] or 0) for row in rows[:-1]) == total


def test_what_does_not_add_up_says_so(told: dict[str, Any]) -> None:
    tv: SiteExplanation = told["tv"]
    [first, own] = tv.accounts
    wrong = replace(tv, accounts=[replace(first, measure=replace(first.measure, up=first.measure.up + 1)), own])
    assert not wrong.adds_up()
    assert rendered(wrong, "text").decode().count("请勿采用") == 2


def tables(document: Document) -> Iterator[Table]:
    for section in document.sections:
        yield from (block for block in section.blocks if isinstance(block, Table))


def test_each_figure_is_that_of_the_month_s_report(told: dict[str, Any]) -> None:
    facts: ReportFacts = told["facts"]
    site: SiteExplanation = told["site"]
    [of] = [s for s in facts.sites if s.site == "V1"]
    assert [(a.terminal, a.measure.up, a.measure.overdue, a.verdict) for a in site.accounts] == [
        *((t.terminal, t.sum.up, t.sum.overdue, t.verdict) for t in of.terminals),
        (None, of.sum.up, of.sum.overdue, of.verdict),
    ]
    assert [(t, why) for t, why in of.why] == [
        (a.terminal, a.decided) for a in site.accounts if a.terminal and a.verdict != "maintained"
    ]
    village: GroupExplanation = told["village"]
    assert village.sum.up == facts.counted.sums["village"].up
    assert village.rate is not None
    assert village.rate.maintained == facts.counted.sites["village"].maintained
    [of_tv] = [o for o in facts.outages if o.key == OUTAGE]
    it: OutageExplanation = told["outage"]
    assert (of_tv.counted, of_tv.counted_here, of_tv.overdue_here) == (
        it.clocks[-1].used,
        it.months[1].counted,
        it.months[1].overdue,
    )


def test_the_chain_of_an_outage(told: dict[str, Any]) -> None:
    """15:15 to 18:00, a whole day, 08:30 to 09:05; September allows 15 h, October 3 h of which 2 h 45 min are used."""
    it: OutageExplanation = told["outage"]
    minute = 60_000
    assert [(m.period, m.counted // minute, m.overdue // minute) for m in it.months] == [
        ("2026-09", 165, 0),
        ("2026-10", 485, 165 + 485 - 180),
    ]
    assert [m.verdict for m in it.months] == ["unproven", "failed"]
    assert it.sign == "line"
    assert it.exempted
    assert it.chain is not None
    assert it.chain.costs[0]["voucher"] == "记-0001"
    assert it.chain.costs[0]["amount_fen"] == 12_034
    text = rendered(it, "text").decode()
    assert (told["merged"].key, told["merged"].clocks) == (OUTAGE, it.clocks)
    assert "另见：V1/tv/1" in rendered(told["merged"], "text").decode()
    assert "监测数据不足" in text  # of September, in which hardly anything was known
    assert "2026-10-01 08:45:00" in text  # three hours are full


def test_what_stands_on_the_sides_of_an_edge() -> None:
    """A streak of five failures is no beat, one of two no result."""
    assert heard([5, 4, "mqtt", "b", 1]) == ("beat", [5])
    assert heard([5, 6, 7, 8, 9]) == ("results", [5, 6, 7, 8, 9])
    assert heard([5, 6]) == ("results", [5, 6])
    assert heard([5, False]) == ("results", [5])
    assert heard([5, "goodbye"]) == ("end", [5])
    assert heard(None) == ("results", [])
    words = Words("UTC")
    assert words.evidence([0, 60_000]) == "探测失败 1970-01-01 00:00:00、1970-01-01 00:01:00"
    assert words.evidence([0, True]) == "探测成功 1970-01-01 00:00:00"


def test_every_line_of_the_log_is_where_it_is_said_to_be(told: dict[str, Any], folder: Path) -> None:
    site: SiteExplanation = told["site"]
    assert site.files == []
    assert len(site.lines) > 10
    kinds = set()
    for line in site.lines:
        path = folder / "evidence" / line.file
        data = path.read_bytes()
        text = data[line.offset : data.index(b"\n", line.offset)]
        assert data[: line.offset].count(b"\n") == line.number - 1
        said = json.loads(text)
        kinds.add(said["type"])
        assert said.get("site", "V1") == "V1"
        assert said.get("terminal", "") == line.terminal
        [read] = [r for r in read_lines(path) if r.number == line.number]
        assert read.at == line.at
    assert kinds == {"heartbeat", "will", "probe", "channel"}


def test_what_was_sealed_is_compared(told: dict[str, Any]) -> None:
    tv: SiteExplanation = told["tv"]
    assert tv.sealed is not None
    assert tv.sealed.differences == []
    kept = json.loads(b"".join(facts_json.chunks(told["facts"])))
    of_tv = next(t for s in kept["sites"] if s["site"] == "V1" for t in s["terminals"] if t["terminal"] == "tv")
    of_tv["sum"]["down"] += 1000
    of_tv["verdict"] = "maintained"
    found = differences(kept, "V1", tv.accounts)
    assert [(d.terminal, d.figure) for d in found] == [("tv", "down"), ("tv", "verdict")]
    different = replace(tv, sealed=SealedFacts("定稿", found))
    assert "差异须以更正版说明" in rendered(different, "text").decode()
    assert "与2026年10月月报（定稿）一致。" in rendered(tv, "text").decode()


def test_too_little_evidence_prints_no_headline(told: dict[str, Any]) -> None:
    text = rendered(told["september"], "text").decode()
    row = next(line for line in text.splitlines() if line.startswith("数字电视（tv）"))
    assert "监测数据不足" in row
    assert "÷" in text  # the division is written out all the same


def test_a_mistake_says_what_there_is(told: dict[str, Any]) -> None:
    assert told["never"].startswith("清单中从未有过站点 V9（共 5 个站点，相近的有 ")
    assert "V2（镇二1村）" in told["by name"]
    assert told["no terminal"] == "站点 V2 没有机位 pc，有：tv"
    assert told["future"] == "2026-12 尚未开始，没有可以说明的数据"
    assert told["no level"] == "没有层级 city，有：county、township、village、total"
    assert "T1（镇一）" in told["no township"]
    assert OUTAGE in told["no outage"]
    assert told["gone"] == "停机 V1/tv/2 后来被证据否定：它从未发生（gone）"
    assert all("\n" not in told[name] for name in ("never", "no terminal", "no outage"))


def test_a_name_does_not_steer_the_terminal() -> None:
    name = "\x1b[31m镇\u202e一\n村"
    table = Table("表", [Column("名称"), Column("数", "count")], [Row((name, 1)), Row(("村", 12))])
    text = render_text(Document(name, [Section("部分", "部分", [table, Text(name)])], [("站点", name)]))
    assert not set(text) & {"\x1b", "\u202e"}
    assert [line[-2:] for line in text.splitlines() if line.endswith(("1", "12"))] == [" 1", "12"]


def test_a_quarter_has_no_verdict_of_its_own(told: dict[str, Any]) -> None:
    tv: SiteExplanation = told["tv"]
    quarter = replace(tv, about=replace(tv.about, period="2026-Q4", form="quarter"))
    assert "维护到位与否只按自然月判定" in rendered(quarter, "text").decode()
    assert "维护到位与否只按自然月判定" not in rendered(tv, "text").decode()


def test_files(told: dict[str, Any]) -> None:
    """XLSX holds real numbers that add up; JSON is canonical; HTML has the way down."""
    book = openpyxl.load_workbook(io.BytesIO(rendered(told["tv"], "xlsx")))
    assert "证据" in book.sheetnames
    numbers = [cell.value for sheet in book for row in sheet.iter_rows() for cell in row if cell.value == 28_200]
    assert len(numbers) >= 2
    data = rendered(told["tv"], "json")
    assert data == rendered(told["tv"], "json")
    assert json.loads(data)["accounts"][0]["measure"]["overdue"] == 28_200_000
    page = rendered(told["tv"], "html").decode()
    assert "0.9631598936…" in page
    assert rendered(told["outage"], "pdf").startswith(b"%PDF")


@pytest.mark.usefixtures("told")
def test_the_command(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "wall_ms", lambda: NOW)
    config = folder / "moved"
    toml = config / "monitor.toml"
    text = toml.read_text(encoding="utf-8")
    if "[database]" not in text:
        toml.write_text(f'{text}\n[database]\nurl = "sqlite+aiosqlite:///{folder}/monitor.db"\n', encoding="utf-8")

    def run(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(cli.program, ["explain", "--config", str(config), *arguments])
        return done.exit_code, done.stdout, str(done.exception or "")

    code, out, _ = run("2026-10", "--site", "V1", "--terminal", "tv", "--no-log")
    assert (code, "0.9631598936…" in out, "第 277 行" in out) == (0, True, False)
    code, out, _ = run("--outage", OUTAGE, "--json")
    assert json.loads(out)["key"] == OUTAGE
    code, out, _ = run("2026-10", "--level", "total", "--format", "xlsx", "--out", str(tmp_path))
    assert (code, [p.name for p in tmp_path.iterdir()]) == (0, ["explain-2026-10-total.xlsx"])
    for arguments, expected in (
        (("2026-10",), "须指明"),
        (("2026-10", "--site", "V1", "--level", "village"), "须指明"),
        (("--site", "V1"), "须给出期间"),
        (("2026-10", "--level", "village", "--terminal", "tv"), "--terminal 须与 --site 同用"),
        (("2026-10", "--site", "V1", "--format", "pdf"), "--out"),
        (("2026-13", "--site", "V1"), "期间"),
        (("2026-10", "--site", "V1", "--format", "odt"), "--format"),
    ):
        code, _, error = run(*arguments)
        assert code == 1  # the runner's; `main` makes it 2
        assert expected in error


async def test_the_same_on_postgresql(told: dict[str, Any], tmp_path: Path, postgres_url: str) -> None:
    async with october(tmp_path, postgres_url) as it:
        again = await explained(it)
    for name in ("site", "tv", "village", "outage"):
        assert comparable(again[name]) == comparable(told[name]), name
    assert [again[name] for name in ("never", "no outage")] == [told[name] for name in ("never", "no outage")]


def comparable(found: Explanation) -> Any:
    return json.loads(rendered(found, "json"))

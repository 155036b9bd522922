"""The overview page: what stands on it, as HTML and in a real browser, and the words for figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor import clock
from monitor.core.text import length, percent
from monitor.intake.http_server import listen
from monitor.publish.views import ChannelRow, Overview, SiteRow, TerminalRow
from monitor.settings import Settings
from monitor.web.frame import TEMPLATES
from monitor.web.overview import LOOKS, how_it_ended, look, moment, present
from monitor.web.server import create_app, static_links
from tests.told import HOUR, MINUTE, NOW, FakeBoard, county_overview

ZONE = ZoneInfo("Asia/Shanghai")
UNWATCHED = TerminalRow("tv", "unknown", watched=False)


def render(data: Overview, coverage_min: float = 0.9, now: int = NOW) -> str:
    values = present(data, ZONE, now, coverage_min)
    return TEMPLATES.get_template("overview.html").render(values, links=static_links(), refresh_s=15)


class Reader(HTMLParser):
    """Text by the class and id of the elements around it; notices tags that are not closed."""

    VOID = frozenset({"meta", "link", "br", "input", "img", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.chips: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.ids: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        assert not [name for name in known if name.startswith("on") or name == "style"]
        if tag not in self.VOID:
            self.open.append((tag, known))
        if known.get("id"):
            self.ids.append(str(known["id"]))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if "chip" in str(known.get("class", "")).split():
            self.chips.append((str(known["class"]).split()[1], str(known["title"])))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if any(tag in ("td", "th") for tag, _ in self.open):
            self.rows[-1][-1] += data
        assert self.open == [] or self.open[-1][0] != "script" or not data.strip(), "an inline script"


def test_every_site_stands_on_the_page_with_its_state() -> None:
    page = Reader(render(county_overview()))
    assert len(page.chips) == 234
    assert {look for look, _ in page.chips} == set(LOOKS)
    assert len(page.ids) == len(set(page.ids))
    for word in LOOKS.values():
        assert word in page.text
    assert "演示数据" in page.text
    assert "演示数据" not in render(replace(county_overview(), demo=False))


def test_what_is_offline_and_since_when() -> None:
    page = Reader(render(county_overview()))
    row = next(r for r in page.rows if r[0].startswith("普安") and "天" in r[3])
    assert row[1:] == ["普安镇", "11-22 07:12", "1天2小时", "数字电视 探测失败，移动终端 无心跳，PC端 失联"]
    assert next(r for r in page.rows if r[-1] == "主动关机")
    assert "乡镇线路中断" in page.text
    assert "08:58 起，15 个站点离线" in page.text
    # 15 behind the line, and 3 others; the ones at rest, planned, not connected are not among them.
    assert sum(look == "offline" for look, _ in page.chips) == 18


def test_the_month_is_cut_and_says_where_it_knows_too_little() -> None:
    rows = {
        r[0]: r[1:] for r in Reader(render(county_overview())).rows if r and r[0] in ("县级", "乡镇", "村级", "合计")
    }
    assert rows["县级"] == ["99.99%", "100.00%", "100.00%2/2", "0", "0"]
    assert rows["乡镇"] == ["监测数据不足", "81.66%", "76.92%10/13", "0", "3"]
    assert rows["村级"] == ["98.68%", "96.81%", "97.71%214/219", "2", "3"]
    assert rows["合计"] == ["98.77%", "96.20%", "96.58%226/234", "2", "6"]
    assert "本月的数据正在统计" in render(replace(county_overview(), month=None))


def test_a_figure_that_was_changed_after_the_fact_stands_beside_the_other() -> None:
    data = county_overview()
    assert data.month is not None
    assert "不计事后补录" not in render(data)
    other = {**data.month.levels, "village": replace(data.month.levels["village"], maintained=212, rate=212 / 219)}
    month = replace(data.month, without_retroactive=other, after_exemptions=data.month.levels)
    text = render(replace(data, month=month))
    assert "不计事后补录和停机期间申报的计划检修" in text
    assert "扣除已批准的免责" in text
    assert [r[3] for r in Reader(text).rows if r and r[0] == "村级"] == [
        "97.71%214/219",
        "96.80%212/219",
        "97.71%214/219",
    ]


def test_a_blind_channel_and_old_data_are_said() -> None:
    data = replace(county_overview(), channels=(ChannelRow("mqtt", False, NOW - MINUTE),))
    assert "MQTT 心跳通道自 09:11 起中断" in Reader(render(data)).text
    assert "监测盲区" not in render(county_overview())
    assert "数据已有 5分钟 没有更新" in render(county_overview(), now=NOW + 5 * MINUTE)


def test_a_county_at_rest_is_grey() -> None:
    data = county_overview()
    rested = tuple(
        replace(t, uplink=None, sites=tuple(replace(s, in_service=False) for s in t.sites)) for t in data.townships
    )
    page = Reader(render(replace(data, townships=rested)))
    assert "offline" not in {look for look, _ in page.chips}
    assert "没有离线的站点。" in page.text


def test_names_from_outside_are_escaped() -> None:
    evil = "<script>alert(1)</script>\"'&"
    row = SiteRow("s", evil, "village", "offline", NOW - HOUR, "silence")
    data = county_overview()
    township = replace(data.townships[0], name=evil, uplink=False, sites=(row,))
    page = render(replace(data, townships=(township,), county=(row,), county_name=evil))
    assert "<script>alert" not in page
    assert evil in Reader(page).text


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        (SiteRow("s", "n", "village", "offline"), "offline"),
        (SiteRow("s", "n", "village", "offline", in_service=False), "rest"),
        (SiteRow("s", "n", "village", "offline", planned=True), "planned"),
        (SiteRow("s", "n", "village", "offline", in_service=False, planned=True), "rest"),
        (SiteRow("s", "n", "village", "unknown", connected=False, in_service=False), "absent"),
        (SiteRow("s", "n", "village", "unknown", terminals=(UNWATCHED,)), "unwatched"),
        (SiteRow("s", "n", "village", "unknown"), "unknown"),
        (SiteRow("s", "n", "village", "something new"), "unknown"),
    ],
)  # fmt: skip
def test_how_a_site_looks(site: SiteRow, expected: str) -> None:
    assert look(site) == expected


def test_how_contact_ended() -> None:
    def site(state: str, *ended: str | None) -> SiteRow:
        rows = (TerminalRow(k, "down", 0, e) for k, e in zip(("tv", "mobile", "pc"), ended, strict=False))
        return SiteRow("s", "n", "village", state, 0, "silence", terminals=tuple(rows))

    assert how_it_ended(site("offline", "goodbye", "goodbye")) == "主动关机"
    assert how_it_ended(site("offline", "will", "probe")) == "数字电视 失联，移动终端 探测失败"
    assert how_it_ended(site("impaired", "silence")) == "数字电视 无心跳"
    assert how_it_ended(site("impaired", None)) == "数字电视"
    assert how_it_ended(site("offline")) == "无心跳"


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (None, "—"),
        (float("nan"), "—"),
        (0.0, "0.00%"),
        (1.0, "100.00%"),
        (0.999996, "99.99%"),
        (0.9999999999, "99.99%"),
        (0.29, "29.00%"),
        (0.57, "57.00%"),
        (1.005, "100.50%"),
        (1e-9, "0.00%"),
        (2 / 3, "66.66%"),
    ],
)
def test_percent(ratio: float | None, text: str) -> None:
    assert percent(ratio) == text


@settings(deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_percent_never_flatters_and_cuts_less_than_a_hundredth(part: int, whole: int) -> None:
    shown = percent(part / whole)
    hundredths = int(shown.removesuffix("%").replace(".", ""))
    assert hundredths == part * 10_000 // whole
    assert percent(part / whole, 0) == f"{part * 100 // whole}%"


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (-5, "0秒"),
        (59_999, "59秒"),
        (60_000, "1分钟"),
        (HOUR - 1, "59分钟"),
        (HOUR, "1小时"),
        (HOUR + 5 * MINUTE, "1小时5分"),
        (24 * HOUR, "1天"),
        (26 * HOUR, "1天2小时"),
    ],
)
def test_length(ms: int, text: str) -> None:
    assert length(ms) == text


def test_moments_are_local_and_as_long_as_needed() -> None:
    assert moment(None, NOW, ZONE) == "—"
    assert moment(NOW - HOUR, NOW, ZONE) == "08:12"
    assert moment(NOW - 10 * HOUR, NOW, ZONE) == "11-22 23:12"
    assert moment(NOW - 400 * 24 * HOUR, NOW, ZONE) == "2025-10-19 09:12"


@pytest.fixture
async def address(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    monkeypatch.setattr(clock, "wall_ms", lambda: NOW)
    asked: list[int] = []

    async def load() -> Overview:
        asked.append(1)
        return county_overview()

    app = create_app(board=FakeBoard(), settings=Settings(), load_overview=load)
    async with listen(app, "127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.port}/"
    assert len(asked) <= 2, "the database is asked once for many screens"


async def test_many_screens_are_one_question(address: str) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(20):
            async with session.get(address) as answer:
                assert answer.status == 200
                assert (await answer.text()).rstrip().endswith("</html>")


MEASURE = """() => JSON.stringify({
  wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  chips: document.querySelectorAll(".chip").length,
  red: getComputedStyle(document.querySelector(".chip.offline")).backgroundColor,
  rest: getComputedStyle(document.querySelector(".chip.rest")).backgroundColor,
  sheets: document.styleSheets[0].cssRules.length,
})"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
async def test_in_a_real_browser(address: str) -> None:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        complaints: list[str] = []
        for width, height in ((1366, 768), (390, 844)):
            page = await browser.new_page(viewport={"width": width, "height": height})
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.goto(address)
            seen = json.loads(await page.evaluate(MEASURE))
            assert seen["wide"] <= 0, f"scrolls sideways at {width}"
            assert seen["chips"] == 234
            assert seen["sheets"] > 50
            assert seen["red"] == "rgb(179, 38, 30)"
            assert seen["rest"] != seen["red"]
        # What was opened stays open when the page renews itself.
        await page.click("#impaired summary")
        await page.evaluate("document.getElementById('overview').dataset.old = '1'")
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await page.wait_for_selector("#overview:not([data-old])")
        assert await page.evaluate("document.getElementById('impaired').open")
        await browser.close()
    assert complaints == []

"""Looks at documents as a reader would, with programs that we did not write: LibreOffice, poppler, Chromium.

`as_pdf` opens files in LibreOffice, all in one start. `mistakes` finds in a PDF what no reader should: blank pages,
missing glyphs, text beyond the margins or over other text, a font that is not embedded. `sample` is a small document
with everything in it.
"""

from __future__ import annotations

import html
import re
import subprocess
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.publish.documents.blocks import Chart, Column, Document, Heading, Row, Section, Table, Text

_TIMEOUT = 120
_MM = 72 / 25.4
#: Text may end as near to the paper's edge as this.
_EDGE = 12 * _MM


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class Page:
    """Points, from above and from the left."""

    width: float
    height: float
    words: Sequence[Word]

    @property
    def text(self) -> str:
        return "".join(word.text for word in self.words)


def _run(*command: str | Path) -> bytes:
    done = subprocess.run([str(part) for part in command], capture_output=True, timeout=_TIMEOUT, check=False)
    assert done.returncode == 0, (command, done.stderr[-2000:].decode(errors="replace"))
    return done.stdout


def as_pdf(folder: Path, files: Iterable[Path]) -> list[Path]:
    """What LibreOffice makes of office documents, as PDF below `folder`: the start is long, so give it all at once."""
    files = list(files)
    profile = (folder / "office-profile").as_uri()
    _run("soffice", "--headless", f"-env:UserInstallation={profile}", "--convert-to", "pdf", "--outdir", folder, *files)
    made = [folder / f"{file.stem}.pdf" for file in files]
    assert all(file.exists() for file in made), "LibreOffice could not read a file"
    return made


def pages(pdf: Path) -> list[Page]:
    found = []
    text = _run("pdftotext", "-bbox", pdf, "-").decode()
    for page in re.finditer(r'<page width="([\d.]+)" height="([\d.]+)">(.*?)</page>', text, re.S):
        words = [
            Word(html.unescape(w[5]), *(float(w[i]) for i in range(1, 5)))
            for w in re.finditer(
                r'<word xMin="([-\d.]+)" yMin="([-\d.]+)" xMax="([-\d.]+)" yMax="([-\d.]+)">(.*?)</word>', page[3], re.S
            )
        ]
        found.append(Page(float(page[1]), float(page[2]), words))
    return found


def pictures(pdf: Path, folder: Path, dots: int = 60) -> list[Path]:
    """Every page as PNG, for somebody to look at."""
    folder.mkdir(parents=True, exist_ok=True)
    _run("pdftoppm", "-r", str(dots), "-png", pdf, folder / pdf.stem)
    return sorted(folder.glob(f"{pdf.stem}-*.png"))


def mistakes(pdf: Path) -> list[str]:
    """What is wrong with it, in words; nothing is well."""
    found = [f"page {n} is blank" for n in blank(pdf)]
    fonts = _run("pdffonts", pdf).decode().splitlines()[2:]
    for font in fonts:
        said = re.search(r"(yes|no) +(yes|no) +(yes|no) +\d+ +\d+$", font)  # embedded, a subset, with a map to Unicode
        if said is None or (said[1], said[3]) != ("yes", "yes"):
            found.append(f"font not embedded, or without characters: {font}")
    if missing := missing_glyphs(pdf):
        found.append(f"{missing} missing glyphs")
    for n, page in enumerate(pages(pdf), 1):
        beyond = [
            word.text
            for word in page.words
            if word.x0 < _EDGE or word.x1 > page.width - _EDGE or word.y0 < 0 or word.y1 > page.height
        ]
        found += [f"page {n}: beyond the margin: {text}" for text in beyond]
        found += [f"page {n}: {a.text} lies over {b.text}" for a, b in _overlapping(page.words)]
        found += [f"page {n}: replaced: {word.text}" for word in page.words if "\ufffd" in word.text]
    return found


def blank(pdf: Path) -> list[int]:
    """Numbers of pages with nothing between what stands on every page: neither text nor picture."""
    empty = []
    for n, (width, height, grey) in enumerate(_grey(pdf), 1):
        top, bottom = height * 12 // 100, height * 88 // 100
        if min(grey[top * width : bottom * width]) > 200:
            empty.append(n)
    return empty


def _grey(pdf: Path) -> Iterator[tuple[int, int, bytes]]:
    """Each page small and grey: width, height, a byte a dot."""
    data = _run("pdftoppm", "-r", "40", "-gray", pdf)
    while data:
        head = re.match(rb"P5\s+(\d+)\s+(\d+)\s+255\s", data)
        assert head is not None
        width, height = int(head[1]), int(head[2])
        end = head.end() + width * height
        yield width, height, data[head.end() : end]
        data = data[end:]


def missing_glyphs(pdf: Path) -> int:
    """How often a PDF by typst draws glyph 0 (.notdef, the empty box): text there is pairs of bytes in ( )."""
    missing = 0
    for stream in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", pdf.read_bytes(), re.S):
        try:
            drawn = zlib.decompress(stream[1])
        except zlib.error:
            continue
        if b"BT" not in drawn or b"/f0" not in drawn:  # typst's names of fonts: others write other strings
            continue
        for text in re.finditer(rb"\((?:[^\\()]|\\.)*\)", drawn, re.S):
            raw = re.sub(rb"\\([0-7]{1,3}|.)", _unescaped, text[0][1:-1], flags=re.S)
            missing += sum(raw[i : i + 2] == b"\0\0" for i in range(0, len(raw), 2))
    return missing


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return (
        bytes([int(code, 8) & 255])
        if code.isdigit()
        else {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}.get(code, code)
    )


def _overlapping(words: Sequence[Word]) -> Iterator[tuple[Word, Word]]:
    """Words that share more than a sliver of paper."""
    standing = sorted((w for w in words if w.text.strip()), key=lambda w: w.y0)
    for i, a in enumerate(standing):
        for b in standing[i + 1 :]:
            if b.y0 >= a.y1:
                break
            (a0, a1), (b0, b1) = _ink(a), _ink(b)
            across, down = min(a1, b1) - max(a0, b0), min(a.y1, b.y1) - b.y0
            size = min(a.y1 - a.y0, b.y1 - b.y0)
            if across > size * 0.5 and down > size * 0.5:
                yield a, b


def _ink(word: Word) -> tuple[float, float]:
    """From where to where it is drawn: half of a Chinese punctuation sign is empty, and the next word moves into it."""
    half = (word.y1 - word.y0) / 2
    before, after = (unicodedata.category(char).startswith("P") for char in (word.text[0], word.text[-1]))
    return word.x0 + half * before, word.x1 - half * after


LONG_NAME = "青杠坪镇红星村党群服务中心暨新时代文明实践站（原第三村民小组活动室旧址，含远程教育终端接收站点与应急指挥广播室）兼便民点"  # noqa: E501
RARE = "㙍口村、𠮷祥村"
MARKS = ("演示数据", "更正版")
DAY = 86_400_000
AS_OF = 1_793_836_800_000  # 2026-11-05 08:00 in Shanghai


def sample(rows: int = 702) -> Document:
    """Everything that a report may hold: a long table, a wide one, all kinds of cells and charts, rare characters."""
    days = [f"{day}日" for day in range(1, 32)]
    wide = [
        Column("站点", width=2),
        Column("级别"),
        Column("乡镇"),
        Column("终端", "count", unit="个"),
        Column("可用率", "percent"),
        Column("正常时长", "length"),
        Column("中断时长", "length"),
        Column("未知时长", "length"),
        Column("中断次数", "count"),
        Column("维护费用", "yuan", unit="元"),
        Column("最近中断", "instant"),
        Column("核查日期", "day"),
    ]
    sites = [
        Row(
            (
                LONG_NAME if n == 3 else f"石门乡第{n}村党群服务中心",
                "村级",
                "石门乡",
                3,
                (10_000, 9_999, 9_876, None)[n % 4],
                30 * DAY + n,
                n * 7_777_000,
                n * 999,
                n,
                n * 123_456,
                AS_OF - n * 3_600_000,
                "2026-10-31",
            ),
            link="site-1" if n == 1 else "",
        )
        for n in range(1, 41)
    ]
    total = Row(("合计", None, None, 120, "监测数据不足", None, None, None, 820, 101_233_920, None, None), strong=True)
    terminals = [
        Row((f"village-{n:03d}", ("电视", "电脑", "会议终端")[n % 3], n, 10_000 - n)) for n in range(1, rows + 1)
    ]
    heat = {
        f"石门乡第{n}村": [(10_000, 9_950, 9_500, 9_200, 7_000, 3_000, -1, -2)[(n * day) % 8] for day in range(31)]
        for n in range(50)
    }
    summary = Section(
        "一、总体情况",
        "1总体",
        (
            Text(
                "本月应维护站点234个，维护到位229个，到位率97.86%。“智慧党建”平台《维护办法》第三条——按‘截取’计；详见附表……“引号”‘单引号’、《书名》"
            ),
            Text("监测数据不足：覆盖率 71.20%，低于 90%，不给出可用率。", warning=True),
            Heading("（一）每日可用率"),
            Chart(
                "每日可用率",
                "line",
                days,
                {
                    "站点": [None if n == 12 else 9_900 + n * 3 for n in range(31)],
                    "终端": [9_850 + n * n % 140 for n in range(31)],
                },
                note="第13日没有数据。",
            ),
            Chart(
                "中断原因",
                "bar",
                ("线路", "停电", "设备故障（机顶盒、电视、主机）", "人为关机"),
                {"次数": (120, 60, 33, 8)},
                "count",
            ),
            Chart(
                "支出与预算",
                "bar",
                [f"{m}月" for m in range(1, 13)],
                {"预算": [25_000_000] * 12, "支出": [2_083_333 * m for m in range(1, 11)]},
                "yuan",
            ),
        ),
    )
    return Document(
        title="平安县智慧党建平台2026年10月运行维护月度报告",
        fields=(
            ("填报单位", "平安县委组织部"),
            ("报告期", "2026年10月1日至2026年10月31日"),
            ("编制日期", "2026年11月5日"),
        ),
        marks=MARKS,
        signatures=(("填表人", ""), ("负责人", ""), ("填表日期", "")),
        made_by="zhdj-monitor 0.1.0；规则第1版",
        as_of=AS_OF,
        lead=(Text("本报告由监测数据自动生成。"),),
        sections=(
            summary,
            Section(
                "二、站点",
                "2站点",
                (Table("各站点运行情况", wide, [*sites, total], note="注：百分数只截取，不四舍五入。"),),
            ),
            Section("三、热力图", "3热力图", (Chart("站点每日可用率", "heat", days, heat),)),
            Section(
                "四、终端",
                "4终端",
                (
                    Heading("明细"),
                    Table(
                        "终端一览",
                        (Column("站点"), Column("终端"), Column("序号", "count"), Column("可用率", "percent")),
                        terminals,
                        brief=terminals if rows <= 702 else terminals[:702],
                        anchor="terminals",
                    ),
                ),
            ),
            Section(
                "五、说明",
                "5说明",
                (
                    Table("计划停机", (Column("起"), Column("止")), ()),
                    Heading("石门乡第1村", "site-1"),
                    Text(f"生僻字：{RARE}。"),
                    Table("摘要", (Column("链"), Column("哈希值")), (Row(("evidence", "9f86d081884c7d65" * 4)),)),
                ),
            ),
        ),
    )

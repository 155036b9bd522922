"""archive: a local year as files that explain themselves and are verified by one script, without this program."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from zstandard import ZstdError

from monitor import __version__
from monitor.clock import from_datetime, to_iso
from monitor.core.access import Action, Actor
from monitor.core.chain import BEGINNING, Link, Record
from monitor.core.walk import Walk
from monitor.errors import MonitorError
from monitor.evidence import anchors
from monitor.evidence.reading import open_log
from monitor.flows.acting import acting
from monitor.flows.archive_tables import PARTS, Year
from monitor.flows.chains import records, tags_of
from monitor.flows.days import closed_logs
from monitor.flows.outputs import demand_folder
from monitor.settings import Settings
from monitor.store import evidence_days, papers, reports, tables
from monitor.store.chains import heads
from monitor.store.database import snapshot

FORMAT = "zhdj-archive/1"
VERIFIER = Path(__file__).parents[1] / "publish" / "verify_archive.py"
README = """智慧党建终端运行监测 · {year} 年档案

监测单位（observer）：{observer}    时区：{timezone}    制作时间：{made_at}

本目录可以脱离监测程序阅读和核对。

核对：python3 verify_archive.py      （Python 3，不需要安装任何东西）
      核对所有文件、每条链的每一环和锚点；有不符之处逐条说明，退出码为 1。
      sha256sum -c manifest.sha256    只核对清单本身。清单的哈希同时记在制作档案时的审计记录里。

文件：
  manifest.json       清单：每个文件的字节数、SHA-256、行数；每条链的起止编号与哈希；每张表的列。
  chains/*.jsonl      各条链。每行一条：n 编号，hash 哈希，body 正文。
                      哈希 = SHA-256(标签 + 换行 + 编号 + 换行 + 前一条的哈希 + 换行 + 正文)；
                      正文为键按字母排序、无空格的 JSON（UTF-8）。本年度第一条之前的哈希见清单中的 previous。
                      链包括本年度第一条至最后一条记录之间的全部编号。
  tables/*.jsonl      各张表，每行一条，列名即键。
  reports/            本年度各月定稿及更正版报告的全部数字（JSON），文件名为期间与版次（0 为首次定稿）；
                      其 SHA-256 记在链 report 的正文里。
  papers/             凭据附件，文件名为内容的 SHA-256。
  evidence/           证据日志（制作时要求附带才有），gzip 压缩，每行一条证据。
  anchors.jsonl       制作时的锚点（链头在数据库之外的记录）。

约定：以 _ms 结尾的列是 1970-01-01T00:00:00Z 起的毫秒数（UTC）；以 _fen 结尾的列是人民币分；day 是当地日期 yyyymmdd。

链能证明：记录写下之后没有被改动、删除或插入。链不能证明：第一次写下的内容就是真的。
"""

#: What has been written: the file, and how many lines.
Progress = Callable[[str, int], None]


class _Archive:
    """The folder, and what its manifest will say of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[dict[str, Any]] = []

    def lines(self, name: str) -> _Lines:
        return _Lines(self, name)

    def text(self, name: str, text: str) -> None:
        path = self.path(name)
        path.write_text(text, encoding="utf-8")
        self.seal(name)

    def path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def seal(self, name: str, lines: int | None = None) -> None:
        """The file is whole: into the manifest."""
        digest, size = hashlib.sha256(), 0
        with (self.folder / name).open("rb") as file:
            while data := file.read(1 << 20):
                digest.update(data)
                size += len(data)
        counted = {} if lines is None else {"lines": lines}
        self.files.append({"name": name, "bytes": size, "sha256": digest.hexdigest(), **counted})


class _Lines:
    """A file of JSON lines."""

    def __init__(self, archive: _Archive, name: str) -> None:
        self.name, self.count = name, 0
        self._archive = archive
        self._file = archive.path(name).open("w", encoding="utf-8", errors="surrogatepass", newline="\n")

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self._file.write(json.dumps(row, ensure_ascii=False, allow_nan=False, default=str) + "\n")
            self.count += 1

    def close(self) -> None:
        self._file.close()
        self._archive.seal(self.name, self.count)


#: Before this there was no platform whose sites could have been watched.
FIRST_YEAR = 2000


async def archive(
    engine: AsyncEngine,
    actor: Actor,
    settings: Settings,
    number: int,
    out: Path,
    at_ms: int,
    *,
    evidence: bool = False,
    progress: Progress = lambda name, count: None,
) -> tuple[str, list[str]]:
    """Write the local year `number` into the empty folder `out`; the SHA-256 of its manifest, and what does not hold.

    A chain that does not hold is written all the same, as far as it can be read: the archive says where it breaks.
    `evidence`: with the logs that are still kept. Raises MonitorError for a year that has not begun, and for a folder
    that is not empty.
    """
    this = datetime.fromtimestamp(at_ms / 1000, settings.zone).year
    if not FIRST_YEAR <= number <= this:
        raise MonitorError(f"归档年份应为 {FIRST_YEAR} 至 {this}，实为 {number}")
    bounds = [from_datetime(datetime(y, 1, 1, tzinfo=settings.zone)) for y in (number, number + 1)]
    year = Year(number, *bounds)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MonitorError(f"--out {out}: expected an empty folder or none; an archive is never mixed with another")
    demand_folder(out)
    async with acting(engine, actor, Action.EXPORT, f"archive {number}", at_ms):
        pass  # the right, and that it was begun: what follows may take minutes and must not hold the audit log
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MonitorError(f"--out {out}: cannot be made: {error.strerror}") from None
    made = _Archive(out)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "year": number,
        "start_ms": year.start,
        "end_ms": year.end,
        "timezone": settings.timezone,
        "observer": settings.observer,
        "made_at": to_iso(at_ms),
        "made_by": actor.name,
        "program": f"zhdj-monitor {__version__}",
        "chains": [],
        "tables": [],
        "reports": [],
        "logs": [],
    }
    written = anchors.read(Path(settings.anchors.file))
    faults: list[str] = []
    async with snapshot(engine) as connection:
        known = await heads(connection)
        for tag in tags_of(settings.observer, known, written.newest()):
            one, fault = await _chain(connection, made, tag, year, known.get(tag, Link(0, BEGINNING)), progress)
            manifest["chains"] += one
            faults += fault
        for part in PARTS:
            lines, columns = made.lines(f"tables/{part.name}.jsonl"), list[str]()
            result = await connection.stream(part.rows(year))
            async for some in result.mappings().partitions(2_000):
                for row in some:
                    unfolded = list(part.unfold(dict(row)))
                    columns = columns or [key for line in unfolded for key in line][: len(unfolded[0])]
                    lines.add(unfolded)
                progress(lines.name, lines.count)
            lines.close()
            manifest["tables"].append(
                {"name": part.name, "title": part.title, "file": lines.name, "rows": lines.count, "columns": columns}
            )
        manifest["reports"] = await _reports(connection, made, number, faults, progress)
        await _papers(connection, made, settings, year, faults)
        if evidence:
            manifest["logs"] = await _logs(connection, made, settings, year, faults, progress)
    lines = made.lines("anchors.jsonl")
    lines.add(anchor._asdict() for anchor in written.heads)
    lines.close()
    made.text("README.txt", README.format(**manifest))
    made.text("verify_archive.py", VERIFIER.read_text(encoding="utf-8"))
    manifest["faults"] = faults
    manifest["files"] = sorted(made.files, key=lambda f: f["name"])
    text = json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"
    (out / "manifest.json").write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    (out / "manifest.sha256").write_text(f"{digest}  manifest.json\n", encoding="ascii")
    async with acting(engine, actor, Action.EXPORT, f"archive {number}: manifest sha256 {digest}", at_ms):
        pass  # an auditor can hold a copy against this
    return digest, faults


async def _chain(
    connection: AsyncConnection, made: _Archive, tag: str, year: Year, head: Link, progress: Progress
) -> tuple[list[dict[str, Any]], list[str]]:
    """All numbers from the year's first record to its last; nothing of a chain that has none in the year."""
    first, last, previous, before = 0, 0, BEGINNING, BEGINNING
    walk = Walk(tag)
    async for some in records(connection, tag):
        walk.feed(some)
        for record in some:
            if _is_of(year, record):
                if not first:
                    first, before = record.n, previous
                last = record.n
            previous = record.hash
        progress(f"{tag}: looked at", some[-1].n)
    walk.end(head if head.n else None)
    faults = [] if walk.fault is None else [walk.fault.says]
    if not first:
        return [], faults
    lines, end = made.lines(f"chains/{tag.replace('/', '-')}.jsonl"), ""
    async for some in records(connection, tag):
        inside = [r for r in some if first <= r.n <= last]
        lines.add({"n": r.n, "hash": r.hash, "body": r.body} for r in inside)
        end = inside[-1].hash if inside else end
        progress(lines.name, lines.count)
    lines.close()
    one = {"tag": tag, "file": lines.name, "first": first, "last": last, "previous": before, "hash": end}
    return [one | {"head": head._asdict()}], faults


def _is_of(year: Year, record: Record) -> bool:
    """Was it written in the year? A report belongs to the year of its period: December's is sealed in the next one."""
    if record.body["tag"] == reports.TAG:
        return str(record.body["period"]).startswith(f"{year.number}-")
    return bool(year.start <= record.body["at_ms"] < year.end)


async def _reports(
    connection: AsyncConnection, made: _Archive, year: int, faults: list[str], progress: Progress
) -> list[dict[str, Any]]:
    """The facts of the year's sealed reports, byte for byte."""
    result = []
    for kept in await reports.listed(connection):
        if not kept.period.startswith(f"{year}-"):
            continue
        name = f"reports/{kept.period}-{kept.revision}.json"
        progress(name, 0)
        try:
            made.path(name).write_bytes(await reports.facts(connection, kept.n))
        except ZstdError:
            faults.append(f"报告 {kept.period}（第 {kept.revision} 版）：其中的数字已损坏")
            continue
        made.seal(name)
        result.append({"name": name, "n": kept.n})
    return result


async def _papers(
    connection: AsyncConnection, made: _Archive, settings: Settings, year: Year, faults: list[str]
) -> None:
    """The year's papers as they lie there; what is gone or another by now is said, and by the archive's script too."""
    wanted = select(tables.paper.c.sha256).where(tables.paper.c.at_ms >= year.start, tables.paper.c.at_ms < year.end)
    for digest in (await connection.execute(wanted)).scalars():
        source = papers.place(Path(settings.papers.folder), digest)
        if not source.exists():
            faults.append(f"附件 {digest}：文件不在")
            continue
        shutil.copyfile(source, made.path(f"papers/{digest}"))
        made.seal(f"papers/{digest}")
        if made.files[-1]["sha256"] != digest:
            faults.append(f"附件 {digest}：内容与其 SHA-256 不符，存档之前已被改动")


async def _logs(
    connection: AsyncConnection, made: _Archive, settings: Settings, year: Year, faults: list[str], progress: Progress
) -> list[dict[str, Any]]:
    """The year's closed days that stand in the chain and whose logs are still kept."""
    known = await evidence_days.days(connection, settings.observer)
    result = []
    for number, path in closed_logs(settings).items():
        if number // 10_000 != year.number or number not in known:
            continue
        name = f"evidence/{path.name.removesuffix('.zst')}.gz"
        progress(name, 0)
        try:
            with open_log(path) as source, gzip.open(made.path(name), "wb", compresslevel=6) as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
        except MonitorError as error:
            faults.append(str(error))
            made.path(name).unlink(missing_ok=True)
            continue
        made.seal(name)
        result.append({"name": name, "day": number, "plain_sha256": known[number].sha256})
    return result

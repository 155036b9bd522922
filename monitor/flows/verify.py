"""verify: every chain from its rows, against the anchors; the days of the evidence log that are still kept; papers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import SYSTEM
from monitor.core.walk import Fault, Walk
from monitor.errors import MonitorError
from monitor.evidence import anchors
from monitor.evidence.anchors import Anchors
from monitor.flows.chains import reader_of, records, tags_of
from monitor.flows.collecting import no_search_for_cycles
from monitor.flows.days import PRUNED, closed_logs, day_number, kept_from, local_day, plain_hash
from monitor.settings import Settings
from monitor.store import audit, evidence_days, papers
from monitor.store.chains import heads, quickly_rendered
from monitor.store.database import snapshot

#: What has been looked at: the chain or file, and how many records or bytes of it.
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Recounted:
    """A sealed report whose figures were worked out again; `how`: from the evidence log, or from spans. `parts`: how
    many values do not hold."""

    period: str
    revision: int
    how: Literal["log", "spans"]
    parts: int


@dataclass(slots=True)
class Found:
    """What verifying says; nothing in `faults` means that everything holds."""

    chains: list[Walk] = field(default_factory=list)
    days: int = 0  # of the evidence log, whose files were read again
    papers: int = 0  # whose files were read again
    reports: list[Recounted] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what could not be looked at

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "holds": not self.faults,
            "chains": [
                {
                    "chain": w.tag,
                    "records": w.n,
                    "hash": w.hash,
                    "anchored": w.anchored,
                    "holds": w.fault is None,
                    "first_bad": w.fault and w.fault.n,
                }
                for w in self.chains
            ],
            "evidence_days": self.days,
            "papers": self.papers,
            "reports": [
                {"period": r.period, "revision": r.revision, "from": r.how, "holds": not r.parts} for r in self.reports
            ],
            "faults": [fault._asdict() for fault in self.faults],
            "notes": self.notes,
        }


async def verify(
    engine: AsyncEngine, settings: Settings, now_ms: int, *, anchors_file: Path | None = None, progress: Progress
) -> Found:
    """Walk everything. `anchors_file`: an auditor's own copy instead of the configured one. Changes nothing."""
    path = anchors_file or Path(settings.anchors.file)
    written = await asyncio.to_thread(anchors.read, path)
    found = Found()
    if not written.heads:
        found.notes.append(f"没有锚点（{path}）：链尾是否被截去、库是否为旧备份，无从核对")
    async with snapshot(engine) as connection:
        known = await heads(connection)
        for tag in tags_of(settings.observer, known, written.newest()):
            walk = await walked(connection, tag, written, progress)
            walk.end(known.get(tag))
            found.chains.append(walk)
        found.faults += [w.fault for w in found.chains if w.fault is not None]
        await _days(connection, settings, now_ms, found, progress)
        kept = await papers.named(connection)
    # Not in the transaction: thirty years of photos take a while.
    await _papers(Path(settings.papers.folder), kept, found, progress)
    return found


async def walked(connection: AsyncConnection, tag: str, written: Anchors, progress: Progress) -> Walk:
    """A chain up to its last record, or to the first that does not hold; what should follow is not judged."""
    walk = Walk(tag, written.of(tag), render=quickly_rendered)
    if reader_of(tag) is None:
        walk.fault = Fault(tag, 0, "unknown", f"链 {tag}：本版本不认识这条链；请用写下它的版本核对")
    with no_search_for_cycles():  # rows become bodies by the thousand, and none of them points back
        async for some in records(connection, tag):
            walk.feed(some)
            if walk.fault is not None:
                break
            progress(tag, walk.n)
    return walk


async def _papers(folder: Path, kept: Sequence[tuple[str, str]], found: Found, progress: Progress) -> None:
    """Papers are what a chain's record stands on, which has their hashes: the files must still give these."""
    for digest, name in kept:
        progress("papers", found.papers)
        path = papers.place(folder, digest)
        try:
            found.papers += 1
            if await asyncio.to_thread(papers.digest_of, path) == digest:
                continue
            kind, says = "paper_changed", "内容已不是存入时的内容：文件被改动过"
        except FileNotFoundError:
            kind, says = "paper_missing", f"文件不在（{path}）"
        except OSError as error:
            kind, says = "paper_missing", f"文件无法读取（{path}：{error.strerror}）"
        found.faults.append(Fault("papers", 0, kind, f"附件 {digest}{f'（{name}）' if name else ''}：{says}"))


async def _days(connection: AsyncConnection, settings: Settings, now_ms: int, found: Found, progress: Progress) -> None:
    """The observer's closed days: logs that are still kept, and the rows of `digest`."""
    observer = settings.observer
    limit = day_number(kept_from(local_day(now_ms, settings), settings))
    logs = await asyncio.to_thread(closed_logs, settings)
    chain = await evidence_days.days(connection, observer)
    pruned = await audit.whats(connection, SYSTEM.name, PRUNED)
    tag = evidence_days.tag_of(observer)

    def bad(day: int, kind: str, says: str) -> None:
        found.faults.append(Fault(tag, day, kind, f"证据日志 {observer} {day}：{says}"))

    for number, day in sorted(chain.items()):
        if await evidence_days.digest_hash(connection, observer, number) != day.digest:
            bad(number, "digest", "库中当日的汇总（digest）与链上的哈希不符：这一行被改动或删除")
        path = logs.get(number)
        if path is None:
            # What we removed ourselves while the retention was shorter stands in the audit log, with its hash.
            if number >= limit and not any(day.sha256 in what for what in pruned):
                bad(
                    number,
                    "log_missing",
                    f"当日日志应保留到期满（{settings.retention.evidence_months} 个月），但文件不在",
                )
            continue
        progress(path.name, 0)
        try:
            size, digest = await asyncio.to_thread(plain_hash, path)
        except (MonitorError, OSError) as error:
            bad(number, "log_damaged", f"日志无法读取：{error}")
            continue
        found.days += 1
        if (size, digest) != (day.bytes, day.sha256):
            bad(
                number,
                "log_changed",
                f"日志 {path.name} 与链上的哈希不符：文件被改动过（{size} 字节，应为 {day.bytes}）",
            )

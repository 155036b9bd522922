"""Closed days of the evidence log: into the chain once they are closed for good, away once they are old enough.

Both are done by a loop of their own that looks at the folder: nothing waits for them, and what was left undone while
the service was down is done when it runs again.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.access import SYSTEM
from monitor.errors import MonitorError
from monitor.evidence.reading import open_log, plain_name
from monitor.settings import Settings
from monitor.store import audit, chains, evidence_days
from monitor.store.database import looking, writing
from monitor.store.evidence_days import Day

log = structlog.get_logger()

CLOSED = ".jsonl.zst"
#: How the audit log calls the end of a day's log.
PRUNED = "evidence.prune"


def local_day(at_ms: int, settings: Settings) -> date:
    """The local day that holds an instant (ms)."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(settings.zone).date()


def day_number(day: date) -> int:
    """20261001"""
    return day.year * 10_000 + day.month * 100 + day.day


def kept_from(today: date, settings: Settings) -> date:
    """The first day whose log must still be there: the first of the month so many months ago."""
    months = today.year * 12 + today.month - 1 - settings.retention.evidence_months
    return date(months // 12, months % 12 + 1, 1)


def closed_logs(settings: Settings) -> dict[int, Path]:
    """This observer's logs of days that are closed for good, by day."""
    folder, before = Path(settings.evidence.folder), f"{settings.observer}-"
    found = {}
    for path in sorted(folder.glob(f"{before}????-??-??{CLOSED}")):
        try:
            day = date.fromisoformat(path.name.removeprefix(before).removesuffix(CLOSED))
        except ValueError:
            continue
        # Beside its plain text it is not closed yet: the plain one goes once this one is durable.
        if not (folder / plain_name(path)).exists():
            found[day_number(day)] = path
    return found


def plain_hash(path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 (hex) of a log's plain text. Raises MonitorError for a damaged file, OSError."""
    digest, size = hashlib.sha256(), 0
    with open_log(path) as stream:
        while data := stream.read(1 << 20):
            digest.update(data)
            size += len(data)
    return size, digest.hexdigest()


async def chain_closed_days(engine: AsyncEngine, settings: Settings, at_ms: int) -> int:
    """Append the closed days that do not stand in the chain yet, oldest first; returns how many.

    A day waits until the database follows a later one's log: its row in `digest` is written by then. Each is a
    transaction of its own, so a crash leaves some for the next time, and none is there twice. A damaged log is told and
    left out.
    """
    observer = settings.observer
    logs = await asyncio.to_thread(closed_logs, settings)
    async with looking(engine) as connection:
        known = await evidence_days.days(connection, observer)
        followed = await evidence_days.followed(connection, observer)
    done = 0
    for number, path in sorted(logs.items()):
        if number in known or plain_name(path) >= followed:
            continue
        try:
            size, sha256 = await asyncio.to_thread(plain_hash, path)
        except MonitorError as error:
            log.error("evidence_day.failed", file=path.name, error=str(error))
            continue
        async with writing(engine) as connection:
            await chains.hold(connection, evidence_days.tag_of(observer))
            if number in await evidence_days.days(connection, observer):
                continue
            digest = await evidence_days.digest_hash(connection, observer, number)
            made = await evidence_days.append(connection, Day(observer, number, size, sha256, digest), at_ms)
        log.info("evidence_day.chained", day=number, n=made.n)
        done += 1
    return done


async def prune_logs(engine: AsyncEngine, settings: Settings, at_ms: int) -> int:
    """Remove logs that are older than the retention, if the chain has their day and a later one; returns how many.

    Each is audited first: a file that is gone without a record was not removed by us.
    """
    observer = settings.observer
    limit = day_number(kept_from(local_day(at_ms, settings), settings))
    logs = await asyncio.to_thread(closed_logs, settings)
    async with looking(engine) as connection:
        known = await evidence_days.days(connection, observer)
    newest = max(known, default=0)
    old = [number for number in sorted(logs) if number < limit and number in known and number < newest]
    for number in old:
        day, path = known[number], logs[number]
        what = f"{path.name}: {day.bytes} bytes, sha256 {day.sha256}"
        async with writing(engine) as connection:
            reason = f"kept for {settings.retention.evidence_months} months"
            await audit.write(connection, at_ms, SYSTEM.name, PRUNED, what, "done", reason)
        await asyncio.to_thread(path.unlink, missing_ok=True)
        log.info("evidence_day.pruned", day=number)
    return len(old)

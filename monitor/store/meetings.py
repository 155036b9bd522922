"""Rows of meeting support: meetings and what was noted of their sites."""

from __future__ import annotations

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.meeting import Attendance, Meeting
from monitor.store.numbering import as_list, of_list
from monitor.store.tables import meeting, meeting_note


async def meetings(
    connection: AsyncConnection, n: int | None = None, *, start: int | None = None, end: int | None = None
) -> list[Meeting]:
    """All meetings, the one with this number, or those that began in `[start, end)` (ms), by their beginning."""
    c = meeting.c
    wanted = select(meeting).order_by(c.start_ms, c.n)
    if n is not None:
        wanted = wanted.where(c.n == n)
    if start is not None:
        wanted = wanted.where(c.start_ms >= start)
    if end is not None:
        wanted = wanted.where(c.start_ms < end)
    return [
        Meeting(
            r.n, r.title, r.organiser, r.start_ms, r.end_ms, r.scope, of_list(r.sites), r.made_by, r.made_ms,
            r.cancelled_ms, r.cancelled_why,
        )
        for r in await connection.execute(wanted)
    ]  # fmt: skip


async def add_meeting(connection: AsyncConnection, new: Meeting) -> None:
    values = {
        "n": new.n,
        "title": new.title,
        "organiser": new.organiser,
        "start_ms": new.start,
        "end_ms": new.end,
        "scope": new.scope,
        "sites": as_list(new.sites),
        "made_by": new.by,
        "made_ms": new.at_ms,
    }
    await connection.execute(insert(meeting).values(values))


async def cancel_meeting(connection: AsyncConnection, n: int, by: str, at_ms: int, why: str) -> bool:
    """Whether there was such a meeting, not cancelled before."""
    values = {"cancelled_by": by, "cancelled_ms": at_ms, "cancelled_why": why}
    open_one = update(meeting).where(meeting.c.n == n, meeting.c.cancelled_ms.is_(None))
    return (await connection.execute(open_one.values(values))).rowcount == 1


async def notes(connection: AsyncConnection, of: int) -> list[Attendance]:
    """Everything that was noted of a meeting, by number."""
    wanted = select(meeting_note).where(meeting_note.c.meeting == of).order_by(meeting_note.c.n)
    return [
        Attendance(
            r.n, r.meeting, r.site, r.reached, r.joined_ms, r.left_ms, r.quality, r.made_by, r.made_ms,
            of_list(r.papers),
        )
        for r in await connection.execute(wanted)
    ]  # fmt: skip


async def add_note(connection: AsyncConnection, new: Attendance) -> None:
    values = {
        "n": new.n,
        "meeting": new.meeting,
        "site": new.site,
        "reached": new.reached,
        "joined_ms": new.joined,
        "left_ms": new.left,
        "quality": new.quality,
        "papers": as_list(new.papers),
        "made_by": new.by,
        "made_ms": new.at_ms,
    }
    await connection.execute(insert(meeting_note).values(values))

"""Meeting support 会议保障: who joined, as people noted it, beside what the monitor saw (docs/register.md).

Neither corrects the other. A note is a person's word; what the monitor saw says only whether a terminal could be
reached, and where it saw nothing it says unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from monitor.core.timeline import DOWN, UNKNOWN, UP, Interval, Step, spans
from monitor.errors import MonitorError


@dataclass(frozen=True, slots=True)
class Meeting:
    """`[start, end)`, ms UTC. `sites`: those that were to take part, fixed when it was planned."""

    n: int
    title: str
    organiser: str
    start: int
    end: int
    scope: str
    sites: tuple[str, ...]
    by: str = ""
    at_ms: int = 0
    cancelled_ms: int | None = None
    cancelled_why: str = ""

    @property
    def period(self) -> Interval:
        return (self.start, self.end)


@dataclass(frozen=True, slots=True)
class Attendance:
    """What somebody noted of a site; the last note counts. `joined`, `left`: ms UTC, None where nobody noted it."""

    n: int
    meeting: int
    site: str
    reached: bool
    joined: int | None = None
    left: int | None = None
    quality: str = ""
    by: str = ""
    at_ms: int = 0
    papers: tuple[str, ...] = ()


def check_meeting(meeting: Meeting) -> None:
    """Raises MonitorError."""
    if meeting.start >= meeting.end:
        raise MonitorError("会议的结束时间应晚于开始时间")
    if not meeting.title.strip() or not meeting.organiser.strip():
        raise MonitorError("会议应有名称和主办单位")
    if not meeting.sites:
        raise MonitorError(f"范围 {meeting.scope} 内没有在用站点")


def check_note(note: Attendance, of: Meeting, now: int) -> None:
    """May this be noted at `now` (ms)? Raises MonitorError."""
    if of.cancelled_ms is not None:
        raise MonitorError(f"会议「{of.title}」已取消：{of.cancelled_why}")
    if note.site not in of.sites:
        raise MonitorError(f"站点 {note.site} 不在会议「{of.title}」的参会计划内")
    times = [t for t in (note.joined, note.left) if t is not None]
    if times and not note.reached:
        raise MonitorError("未参会的站点没有加入和离开时间")
    if note.joined is not None and note.left is not None and note.left < note.joined:
        raise MonitorError("离开时间早于加入时间")
    if any(t > now for t in times):
        raise MonitorError("加入和离开时间不能晚于现在")


class Seen(StrEnum):
    """What the monitor saw of a terminal or site during a meeting."""

    UP = "up"  # all the time
    PARTLY = "partly"  # down for some of it
    DOWN = "down"  # all the time
    UNKNOWN = "unknown"  # not down as far as was seen, and not all of it was seen


SEEN_NAMES = {Seen.UP: "全程在线", Seen.PARTLY: "部分离线", Seen.DOWN: "全程离线", Seen.UNKNOWN: "未知"}


@dataclass(frozen=True, slots=True)
class Sight:
    """Milliseconds of the meeting in which it was up, down, unknown; together its length."""

    up: int
    down: int
    unknown: int

    @property
    def seen(self) -> Seen:
        if not self.down:
            return Seen.UNKNOWN if self.unknown else Seen.UP
        return Seen.PARTLY if self.up or self.unknown else Seen.DOWN


def sight(timeline: Sequence[Step], period: Interval, known_until: int) -> Sight:
    """What a timeline says of `period`, ms. From `known_until` on nothing has been decided yet: unknown."""
    start, end = period
    lengths = {UP: 0, DOWN: 0, UNKNOWN: max(0, end - max(start, known_until))}
    for lo, hi, value in spans(timeline, start, min(end, known_until)):
        lengths[value] += hi - lo
    return Sight(lengths[UP], lengths[DOWN], lengths[UNKNOWN])


@dataclass(frozen=True, slots=True)
class SiteSupport:
    """A site of a meeting: people's note beside the monitor's evidence. `terminals`: by kind."""

    site: str
    note: Attendance | None
    seen: Sight
    terminals: Mapping[str, Sight]

    @property
    def disagrees(self) -> bool:
        """Noted as there while all of it was down, or as absent while it was up all the time."""
        if self.note is None:
            return False
        return self.seen.seen is (Seen.DOWN if self.note.reached else Seen.UP)


@dataclass(frozen=True, slots=True)
class Support:
    """A meeting and all of its sites, in the plan's order."""

    meeting: Meeting
    sites: tuple[SiteSupport, ...]

    @property
    def reached(self) -> int:
        return sum(s.note is not None and s.note.reached for s in self.sites)

    @property
    def noted(self) -> int:
        return sum(s.note is not None for s in self.sites)

    @property
    def ratio(self) -> float | None:
        """Coverage 参会率: sites noted as reached, of those planned."""
        return self.reached / len(self.sites) if self.sites else None

    def count(self, seen: Seen) -> int:
        """Of how many sites the monitor saw this."""
        return sum(s.seen.seen is seen for s in self.sites)


def last_notes(notes: Iterable[Attendance]) -> dict[str, Attendance]:
    """Of one meeting, by site: the last one counts."""
    return {note.site: note for note in sorted(notes, key=lambda n: n.n)}


@dataclass(frozen=True, slots=True)
class MeetingFigures:
    """Of the meetings that began in a period and were not cancelled: sites planned, noted as reached, and what the
    monitor saw of them."""

    meetings: int
    planned: int
    reached: int
    seen: Mapping[Seen, int]
    disagreements: int

    @property
    def ratio(self) -> float | None:
        return self.reached / self.planned if self.planned else None


def meeting_figures(supports: Iterable[Support]) -> MeetingFigures:
    """Added up."""
    known = [s for s in supports if s.meeting.cancelled_ms is None]
    return MeetingFigures(
        meetings=len(known),
        planned=sum(len(s.sites) for s in known),
        reached=sum(s.reached for s in known),
        seen={seen: sum(s.count(seen) for s in known) for seen in Seen},
        disagreements=sum(site.disagrees for s in known for site in s.sites),
    )

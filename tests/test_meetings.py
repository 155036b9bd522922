"""Meeting support: what was noted of a site beside what the monitor saw of it, unknown where it saw nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import from_iso, to_iso
from monitor.core.access import Forbidden
from monitor.core.meeting import Attendance, Seen, sight
from monitor.core.timeline import DOWN, UNKNOWN, UP, Step, new_timeline
from monitor.errors import MonitorError
from monitor.flows import meetings
from monitor.flows.replay import replay
from monitor.inventory.load import Loaded, load
from monitor.store.database import opened
from monitor.store.tables import meeting_note
from tests.folders import TODAY, append, write_sound
from tests.people import OF_T1, OPERATOR, VIEWER

NOW = from_iso("2026-10-12T16:00:00+08:00")
MINUTE = 60_000
NINE = from_iso("2026-10-12T09:00:00+08:00")
EARLY, PERIOD = (NINE - 20 * MINUTE, NINE - 10 * MINUTE), (NINE, NINE + 60 * MINUTE)


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    append("checks.csv", "T1,tv,heartbeat-mqtt,,60,180,\n")(write_sound(tmp_path))
    return load(tmp_path, today=TODAY)


def trace() -> Iterator[dict[str, object]]:
    """From 08:30 to 09:55. T1/tv answers and beats all the time, V1/tv answers until 09:20, V1/pc beats until 09:29."""
    for channel in ("mqtt", "http", "probe"):
        yield {"at": NINE - 30 * MINUTE, "type": "channel", "channel": channel, "event": "restored"}
    for minute in range(-29, 56):
        at = NINE + minute * MINUTE
        yield {"at": at, "type": "probe", "site": "T1", "terminal": "tv", "check": "icmp", "ok": True}
        yield {"at": at + 1, "type": "probe", "site": "V1", "terminal": "tv", "check": "tcp", "ok": minute <= 20}
        yield {"at": at + 2, "type": "heartbeat", "site": "T1", "terminal": "tv", "via": "mqtt"}
        if minute < 30:
            yield {"at": at + 2, "type": "heartbeat", "site": "V1", "terminal": "pc", "via": "mqtt"}


@pytest.fixture
async def engine(database_url: str, loaded: Loaded, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """A database that follows a log up to 09:55."""
    lines = [json.dumps({**line, "at": to_iso(int(str(line["at"])))}) for line in trace()]
    (tmp_path / "t.jsonl").write_text("\n".join(lines) + "\n")
    await replay(loaded, [tmp_path / "t.jsonl"], PERIOD, url=database_url)
    async with opened(database_url) as found:
        yield found


async def hold(engine: AsyncEngine, loaded: Loaded, period: tuple[int, int] = PERIOD, scope: str = "county") -> int:
    made = await meetings.plan(engine, loaded, OPERATOR, "全县视频会议", "县委组织部", period, scope, NOW)
    return made.n


async def test_what_was_noted_and_what_was_seen_stand_side_by_side(engine: AsyncEngine, loaded: Loaded) -> None:
    n = await hold(engine, loaded)
    for note in (
        Attendance(0, n, "V1", True),
        Attendance(0, n, "V1", True, PERIOD[0] + MINUTE, PERIOD[1], "声音断续"),
        Attendance(0, n, "T1", False),
    ):
        await meetings.note(engine, loaded, OPERATOR, note, NOW)
    found = await meetings.support(engine, loaded, n)
    assert (found.reached, found.noted, found.ratio) == (1, 2, 1 / 3)
    county, township, village = found.sites
    # Nothing watches C1; after 09:55 nothing is known of anybody.
    assert (county.site, county.note, county.seen.seen, county.seen.unknown) == ("C1", None, Seen.UNKNOWN, 60 * MINUTE)
    assert (township.seen.seen, township.seen.down) == (Seen.UNKNOWN, 0)
    assert township.seen.unknown == pytest.approx(5 * MINUTE, abs=5)
    assert village.note is not None
    assert village.note.quality == "声音断续"
    assert {kind: s.seen for kind, s in village.terminals.items()} == {"tv": Seen.PARTLY, "pc": Seen.PARTLY}
    assert village.seen.seen is Seen.PARTLY
    assert village.seen.up == pytest.approx(30 * MINUTE, abs=5)
    assert village.terminals["tv"].up == pytest.approx(21 * MINUTE, abs=5)
    assert not any(s.disagrees for s in found.sites)


async def test_notes_that_the_evidence_contradicts_are_pointed_out(engine: AsyncEngine, loaded: Loaded) -> None:
    early = await hold(engine, loaded, EARLY)
    late = await hold(engine, loaded, (NINE + 40 * MINUTE, NINE + 50 * MINUTE))
    for n, site, reached in ((early, "T1", False), (early, "V1", True), (late, "V1", True)):
        await meetings.note(engine, loaded, OPERATOR, Attendance(0, n, site, reached), NOW)
    seen = {s.site: (s.seen.seen, s.disagrees) for s in (await meetings.support(engine, loaded, early)).sites}
    assert seen == {"C1": (Seen.UNKNOWN, False), "T1": (Seen.UP, True), "V1": (Seen.UP, False)}
    assert [s.site for s in (await meetings.support(engine, loaded, late)).sites if s.disagrees] == ["V1"]
    found = await meetings.figures(engine, loaded, NINE - 30 * MINUTE, NINE + 60 * MINUTE)
    assert (found.meetings, found.planned, found.reached, found.disagreements) == (2, 6, 2, 2)
    assert found.seen == {Seen.UP: 3, Seen.PARTLY: 0, Seen.DOWN: 1, Seen.UNKNOWN: 2}
    await meetings.cancel(engine, loaded, OPERATOR, late, "改期", NOW)
    assert (await meetings.figures(engine, loaded, NINE - 30 * MINUTE, NINE + 60 * MINUTE)).meetings == 1


async def test_what_cannot_be_is_refused(engine: AsyncEngine, loaded: Loaded) -> None:
    n = await hold(engine, loaded, scope="township:T1")
    for note, says in (
        (Attendance(0, n, "C1", True), "不在会议"),
        (Attendance(0, n, "V1", False, NINE), "未参会"),
        (Attendance(0, n, "V1", True, NINE, NINE - 1), "早于"),
        (Attendance(0, n, "V1", True, NOW + 1), "不能晚于现在"),
        (Attendance(0, 9, "V1", True), "没有第 9 号会议"),
    ):
        with pytest.raises(MonitorError, match=says):
            await meetings.note(engine, loaded, OPERATOR, note, NOW)
    with pytest.raises(MonitorError, match="晚于"):
        await hold(engine, loaded, (NINE, NINE))
    for actor in (VIEWER, OF_T1):
        with pytest.raises(Forbidden):
            await meetings.plan(engine, loaded, actor, "会", "县委", PERIOD, "county", NOW)
    await meetings.note(engine, loaded, OF_T1, Attendance(0, n, "V1", True), NOW)
    with pytest.raises(DBAPIError, match="rows are only added"):
        async with engine.begin() as connection:
            await connection.execute(delete(meeting_note))
    await meetings.cancel(engine, loaded, OPERATOR, n, "改期", NOW)
    with pytest.raises(MonitorError, match="已取消：改期"):
        await meetings.note(engine, loaded, OPERATOR, Attendance(0, n, "V1", True), NOW)


STEPS = st.lists(st.tuples(st.integers(0, 100), st.sampled_from([UP, DOWN, UNKNOWN])), max_size=12)


@given(STEPS, st.integers(0, 100), st.integers(1, 100), st.integers(-10, 220))
def test_every_millisecond_is_up_down_or_unknown_and_nothing_is_known_of_what_was_not_read(
    steps: list[tuple[int, str]], start: int, length: int, known: int
) -> None:
    timeline = new_timeline() + [Step(at, value) for at, value in sorted(steps)]  # type: ignore[arg-type]
    found = sight(timeline, (start, start + length), known)
    assert found.up + found.down + found.unknown == length
    assert found.up + found.down <= max(0, min(start + length, known) - start)
    assert (found.seen is Seen.UP) == (found.up == length)
    assert (found.seen is Seen.DOWN) == (found.down == length)

"""The observer on a clock that the tests drive: days, cuts, restarts, a database that is away, a clock set back."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from monitor.clock import Clock, from_iso
from monitor.evidence.lines import LAST_MS, OpenedLine, ProbeLine, millis
from monitor.evidence.reading import read_lines, trace_files
from monitor.flows import saving
from monitor.flows.judging import Judge
from monitor.flows.observe import Observer
from monitor.flows.replay import figures, rebuild
from monitor.inventory.load import Loaded, load
from monitor.store.database import opened
from monitor.store.digests import unpack
from monitor.store.view import View
from tests.dump import rows
from tests.folders import FILES
from tests.services import Postgres

NOON = from_iso("2026-10-12T04:00:00Z")  # local noon
MIDNIGHT = from_iso("2026-10-12T16:00:00Z")
HOUR = 3_600_000


class DrivenClock(Clock):
    """Says what the test says."""

    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        return self.at

    def drift_ms(self) -> int:
        return 0


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    folder = tmp_path / "config"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return load(folder, serving=False)


@asynccontextmanager
async def observing(loaded: Loaded, url: str, folder: Path, at: int) -> AsyncIterator[Observer]:
    """Started, and left without `stop`, as a crash does."""
    async with opened(url) as engine:
        observer = Observer(loaded, DrivenClock(at), View(engine, loaded.settings.observer), folder)
        await observer.start()
        try:
            yield observer
        finally:
            observer.log.close()


async def live(observer: Observer, until: int, every: int = 60_000, silent: tuple[int, int] = (0, 0)) -> None:
    """Beats of V1/pc and results of both probes, a cut each; the pc is silent in `silent`."""
    clock = observer.clock
    assert isinstance(clock, DrivenClock)
    while clock.at < until:
        clock.at += every
        if not silent[0] <= clock.at < silent[1]:
            assert observer.heartbeat("V1", "pc", "mqtt", boot="b", seq=clock.at) is None
        else:
            observer.alive("mqtt")
        for site, kind, check in (("T1", "tv", "icmp"), ("V1", "tv", "tcp")):
            assert observer.result(site, kind, check, True, duration_s=0.01) is None
        await observer.cut()
        await observer.save()


async def rebuilt(loaded: Loaded, folder: Path, url: str) -> None:
    async with opened(url) as engine:
        view = View(engine, loaded.settings.observer)
        await view.number_checks(loaded.inventory)
        await rebuild(view, Judge(loaded), [folder], torn_end=True)


def fresh(tmp_path: Path, name: str = "rebuilt") -> str:
    return f"sqlite+aiosqlite:///{tmp_path / name}.db"


async def test_days_are_closed_compressed_and_enough_to_go_on_from(
    loaded: Loaded, database_url: str, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    async with observing(loaded, database_url, logs, MIDNIGHT - HOUR) as observer:
        # Silent over midnight: the outage began on one day and ends on the next.
        await live(observer, MIDNIGHT + HOUR, silent=(MIDNIGHT - HOUR // 2, MIDNIGHT + HOUR // 2))
    names = [p.name for p in trace_files([logs])]
    assert names == ["kaijiang-2026-10-12.jsonl.zst", "kaijiang-2026-10-13.jsonl"]
    first = next(read_lines(logs / names[1])).line
    assert isinstance(first, OpenedLine)
    assert first.state is not None
    await rebuilt(loaded, logs, fresh(tmp_path))
    live_rows = await rows(database_url)
    assert await rows(fresh(tmp_path)) == live_rows
    (outage,) = live_rows["outage"]
    assert outage[3:5] == (MIDNIGHT - HOUR // 2, MIDNIGHT + HOUR // 2)
    ((day, body),) = live_rows["digest"]
    assert (day, len(unpack(body))) == (20261012, 3)

    # The second day alone, on an empty database: what it needs from the past stands at its head.
    (logs / names[0]).unlink()
    await rebuilt(loaded, logs, fresh(tmp_path, "second-day"))
    async with opened(fresh(tmp_path, "second-day")) as engine:
        today = await figures(engine, loaded, (MIDNIGHT + HOUR // 2, MIDNIGHT + HOUR))
    async with opened(database_url) as engine:
        assert today.terminals == (await figures(engine, loaded, (MIDNIGHT + HOUR // 2, MIDNIGHT + HOUR))).terminals


async def test_after_a_crash_the_loss_stands_at_the_last_cut(loaded: Loaded, database_url: str, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    async with observing(loaded, database_url, logs, NOON) as observer:
        await live(observer, NOON + HOUR)
        assert isinstance(observer.clock, DrivenClock)
        observer.clock.at += 30_000
        observer.heartbeat("V1", "pc", "mqtt")  # never cut
    log = next(logs.iterdir())
    with log.open("ab") as file:
        file.write(b'{"type":"heartbeat","at":"2026-10-12T05:00:4')  # torn
    async with observing(loaded, database_url, logs, NOON + 2 * HOUR) as observer:
        assert {c: h[-1] for c, h in ((c, o.history()) for c, o in observer.engine.channels.items())} == {
            "mqtt": (NOON + HOUR, None),
            "http": (-(1 << 60), None),
            "probe": (NOON + HOUR, None),
        }
        await live(observer, NOON + 3 * HOUR)
    found = await rows(database_url)
    assert found["outage"] == []
    assert [r for r in found["loss"] if r[2] == NOON + HOUR] == [
        ("mqtt", 1, NOON + HOUR, NOON + 2 * HOUR + 60_000),
        ("probe", 1, NOON + HOUR, NOON + 2 * HOUR + 60_000),
    ]
    await rebuilt(loaded, logs, fresh(tmp_path))
    assert await rows(fresh(tmp_path)) == found


async def test_a_stop_while_the_disk_is_slow_takes_nothing_out_of_the_log(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop that cuts is cancelled while its thread waits for the disk; the last cut must wait for that thread."""
    logs, url = tmp_path / "logs", fresh(tmp_path, "live")
    writing, second, go = threading.Event(), threading.Event(), threading.Event()
    durable = os.fdatasync

    def slow(file: int) -> None:
        (second if writing.is_set() else writing).set()
        assert go.wait(30)
        durable(file)

    async with observing(loaded, url, logs, NOON) as observer:
        await live(observer, NOON + HOUR, every=20 * 60_000)
        path = next(logs.glob("*.jsonl"))
        before = path.stat().st_size
        assert observer.heartbeat("V1", "pc", "mqtt", boot="b", seq=NOON + 2 * HOUR) is None
        monkeypatch.setattr(os, "fdatasync", slow)
        loop = asyncio.create_task(observer.cut())
        assert await asyncio.to_thread(writing.wait, 30)
        loop.cancel()
        stopping = asyncio.create_task(observer.stop())
        assert not await asyncio.to_thread(second.wait, 0.2)
        go.set()
        await stopping
    kept = path.read_bytes()
    assert kept[before:].count(b'"heartbeat"') == 1
    assert kept[before:].count(b'"lost"') == 3
    async with observing(loaded, url, logs, NOON + 3 * HOUR) as observer:  # the database does not follow it further
        assert observer.board.troubles == {}


async def test_beats_that_the_broker_kept_fill_our_own_gap(loaded: Loaded, tmp_path: Path) -> None:
    """And the estimate of a device's clock, five minutes slow, survives our restart: it follows from the log."""
    logs, url, slow = tmp_path / "logs", fresh(tmp_path, "own"), 5 * 60_000
    async with observing(loaded, url, logs, NOON) as observer:
        assert isinstance(observer.clock, DrivenClock)
        for _ in range(10):
            observer.clock.at += 60_000
            observer.heartbeat("V1", "pc", "mqtt", sent_at=observer.clock.at - slow, boot="b")
        await observer.cut()
        last = observer.clock.at
    async with observing(loaded, url, logs, last + HOUR) as observer:
        assert isinstance(observer.clock, DrivenClock)
        for n in range(1, 61):
            observer.heartbeat("V1", "pc", "mqtt", sent_at=last + n * 60_000 - slow, boot="b")
        await live(observer, last + 2 * HOUR)
        async with opened(url) as engine:
            counted = await figures(engine, loaded, (NOON + 60_000, last + 2 * HOUR))
    (pc,) = [m for m in counted.terminals if m.terminal == "pc"]
    assert (pc.measure.unknown, pc.measure.down) == (0, 0)


async def test_a_database_that_is_away_misses_nothing(
    loaded: Loaded, own_postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "WAITING_ROWS", 10)  # so that what waits must be dropped and read from the log
    logs, url = tmp_path / "logs", own_postgres.create_database()
    async with observing(loaded, url, logs, NOON) as observer:
        await live(observer, NOON + HOUR, silent=(NOON + HOUR // 3, NOON + HOUR // 2))
        await asyncio.to_thread(own_postgres.stop)
        await live(observer, NOON + 2 * HOUR, silent=(NOON + HOUR + HOUR // 3, NOON + HOUR + HOUR // 2))
        await live(observer, NOON + 3 * HOUR, silent=(NOON + 2 * HOUR + HOUR // 3, NOON + 2 * HOUR + HOUR // 2))
        assert [t.split(":")[0] for t in observer.board.ready()] == ["database"]
        await asyncio.to_thread(own_postgres.start)
        await observer.save()
        assert observer.board.ready() == []
    found = await rows(url)
    assert len(found["outage"]) == 3
    await rebuilt(loaded, logs, fresh(tmp_path))
    assert await rows(fresh(tmp_path)) == found


async def test_a_clock_that_was_set_back_takes_no_evidence(loaded: Loaded, tmp_path: Path) -> None:
    async with observing(loaded, fresh(tmp_path), tmp_path / "logs", NOON) as observer:
        await live(observer, NOON + HOUR)
        assert isinstance(observer.clock, DrivenClock)
        observer.lost("mqtt", NOON + HOUR, "wall clock jumped by -3600.0 s")
        observer.clock.at = NOON
        assert observer.heartbeat("V1", "pc", "mqtt") == "clock_behind"
        observer.alive("mqtt")
        assert observer.board.channels()["mqtt"] is False
        assert observer.board.counters.refused["mqtt", "clock_behind"] == 1
        observer.clock.at = NOON + HOUR + 1
        assert observer.heartbeat("V1", "pc", "mqtt") is None
        assert observer.board.channels()["mqtt"] is True


async def test_what_is_refused_is_counted_and_is_no_evidence(loaded: Loaded, tmp_path: Path) -> None:
    async with observing(loaded, fresh(tmp_path), tmp_path / "logs", NOON) as observer:
        assert observer.heartbeat("V9", "pc", "mqtt") == "unknown_terminal"
        assert observer.heartbeat("V1", "tv", "mqtt") == "no_such_check"
        assert observer.result("V1", "tv", "icmp", True, duration_s=0.1) == "no_such_check"
        assert observer.board.channels() == {"mqtt": False, "http": False, "probe": False}
        assert observer.board.counters.refused == {
            ("mqtt", "unknown_terminal"): 1,
            ("mqtt", "no_such_check"): 1,
            ("probe", "no_such_check"): 1,
        }


async def test_a_certificate_is_kept_and_known_again(loaded: Loaded, tmp_path: Path) -> None:
    """On the board, in the log, and after a restart: some checks ask twice a day."""
    folder, url, key = tmp_path / "evidence", fresh(tmp_path), ("V1", "tv", "tcp")
    expiry = from_iso("2026-11-01T00:00:00Z")
    async with observing(loaded, url, folder, NOON) as observer:
        observer.alive("probe")
        assert observer.result(*key, True, duration_s=0.1, detail="status 200", certificate_expiry=expiry) is None
        assert observer.result(*key, True, duration_s=0.1) is None
        assert observer.result("V1", "pc", "tcp", True, duration_s=0.1, certificate_expiry=1) == "no_such_check"
        assert observer.board.counters.certificates == {key: expiry}
        await observer.cut()
        await observer.save()
    told = [r.line for path in trace_files([folder]) for r in read_lines(path) if isinstance(r.line, ProbeLine)]
    assert [line.certificate_expiry and millis(line.certificate_expiry) for line in told] == [expiry, None]
    async with observing(loaded, url, folder, NOON + 60_000) as observer:
        assert observer.board.counters.certificates == {key: expiry}


async def test_a_check_that_was_away_was_not_up_meanwhile(loaded: Loaded, database_url: str, tmp_path: Path) -> None:
    """Taken out of checks.csv and put back a day later: what nobody watched is unknown."""
    logs, config = tmp_path / "logs", tmp_path / "config"
    async with observing(loaded, database_url, logs, NOON) as observer:
        await live(observer, NOON + HOUR)
    rest = [line for line in FILES["checks.csv"].splitlines(keepends=True) if "heartbeat-mqtt" not in line]
    (config / "checks.csv").write_text("".join(rest), encoding="utf-8")
    async with observing(load(config, serving=False), database_url, logs, NOON + 2 * HOUR) as observer:
        observer.result("T1", "tv", "icmp", True, duration_s=0.01)
        await observer.cut()
        await observer.save()
    (config / "checks.csv").write_text(FILES["checks.csv"], encoding="utf-8")
    async with observing(loaded, database_url, logs, NOON + 26 * HOUR) as observer:
        await live(observer, NOON + 27 * HOUR)
    async with opened(database_url) as engine:
        counted = await figures(engine, loaded, (NOON + HOUR, NOON + 26 * HOUR))
    (pc,) = [m.measure for m in counted.terminals if m.terminal == "pc"]
    assert (pc.up, pc.down, pc.unknown) == (0, 0, 25 * HOUR)


async def test_a_changed_interval_holds_from_the_start_on_for_the_service_and_for_a_rebuild(
    loaded: Loaded, database_url: str, tmp_path: Path
) -> None:
    """What was before is judged by what held before, whatever configuration reads the log."""
    logs, config = tmp_path / "logs", tmp_path / "config"
    async with observing(loaded, database_url, logs, NOON) as observer:
        await live(observer, NOON + HOUR, silent=(NOON + HOUR // 4, NOON + HOUR // 2))
    before = (await rows(database_url))["outage"]
    assert [r[6] for r in before] == ["ended"]
    patient = FILES["checks.csv"].replace("60,180", "1800,3600")
    (config / "checks.csv").write_text(patient, encoding="utf-8")
    changed = load(config, serving=False)
    async with observing(changed, database_url, logs, NOON + 2 * HOUR) as observer:
        start = NOON + 2 * HOUR
        # Half an hour of silence, which the new row is patient with.
        await live(observer, NOON + 3 * HOUR, silent=(start + HOUR // 4, start + 3 * HOUR // 4))
        assert observer.judge.loaded.digest == changed.digest
    found = await rows(database_url)
    assert found["outage"] == before
    for name, configuration in (("old", loaded), ("new", changed)):
        await rebuilt(configuration, logs, fresh(tmp_path, name))
        assert await rows(fresh(tmp_path, name)) == found


async def test_outages_of_a_week_are_the_same_live_and_rebuilt(
    loaded: Loaded, database_url: str, tmp_path: Path
) -> None:
    """Over many day turns, at which what nothing can change any more is let go of."""
    logs = tmp_path / "logs"
    async with observing(loaded, database_url, logs, NOON) as observer:
        for day in range(7):
            began = NOON + day * 24 * HOUR
            assert isinstance(observer.clock, DrivenClock)
            observer.clock.at = began
            await live(observer, began + 3 * HOUR, every=180_000, silent=(began + HOUR, began + 2 * HOUR))
    found = await rows(database_url)
    assert {r[6] for r in found["outage"]} == {"ended"}
    await rebuilt(loaded, logs, fresh(tmp_path))
    assert await rows(fresh(tmp_path)) == found


async def test_no_device_s_clock_and_no_certificate_can_stop_us(loaded: Loaded, tmp_path: Path) -> None:
    """A clock that leaps between the ends of the calendar, a certificate that never ends: taken, and read again."""
    url, logs = fresh(tmp_path), tmp_path / "logs"
    ends = (0, LAST_MS)
    async with observing(loaded, url, logs, NOON) as observer:
        assert isinstance(observer.clock, DrivenClock)
        for n, sent in enumerate((*ends, *ends, NOON, *ends)):
            observer.clock.at = NOON + n * 30_000
            assert observer.heartbeat("V1", "pc", "mqtt", sent_at=sent, boot="b", seq=n) is None
        for expiry in (from_iso("1950-01-01T00:00:00Z"), LAST_MS + 365 * 24 * HOUR):
            assert observer.result("T1", "tv", "icmp", True, duration_s=0.1, certificate_expiry=expiry) is None
        found = observer.board.counters.certificates
        await observer.cut()
    async with observing(loaded, url, logs, NOON + HOUR) as observer:
        assert observer.board.counters.certificates == found
        assert observer.heartbeat("V1", "pc", "mqtt", sent_at=NOON, boot="b", seq=9) is None


async def test_no_line_stands_before_a_version_that_was_taken_up(loaded: Loaded, tmp_path: Path) -> None:
    """The clock is set back by a little right after: replayed, the line would be judged by what held before."""
    after = tmp_path / "after"
    after.mkdir()
    for name, text in FILES.items():
        lines = [line for line in text.splitlines() if name != "checks.csv" or not line.startswith("V1,pc,")]
        (after / name).write_text("\n".join(lines), encoding="utf-8")
    changed = load(after, serving=False)
    async with observing(loaded, f"sqlite+aiosqlite:///{tmp_path / 'm.db'}", tmp_path / "log", NOON) as observer:
        clock = observer.clock
        assert isinstance(clock, DrivenClock)
        assert observer.version(1, NOON, loaded, loaded.digest, "files")
        assert observer.version(2, NOON + 4_000, changed, changed.digest, "chen")
        clock.at = NOON + 4_500
        observer.look()
        clock.at = NOON + 3_000
        assert observer.heartbeat("V1", "pc", "mqtt") == "no_such_check"
        assert observer.result("T1", "tv", "icmp", True, duration_s=0.01) is None
        await observer.cut()
    told = [r for path in trace_files([tmp_path / "log"]) for r in read_lines(path) if isinstance(r.line, ProbeLine)]
    assert [r.at for r in told] == [NOON + 4_500]

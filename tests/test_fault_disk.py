"""Disks that are full: refused visibly, nothing that was cut is damaged, and on it goes when there is room."""

from __future__ import annotations

import asyncio
import os
import pwd
from pathlib import Path

import pytest

from monitor.evidence import log as evidence_log
from monitor.flows import saving
from monitor.flows.observe import Observer
from monitor.inventory.load import Loaded
from tests.faults import ask, channels, counted, heard, holds, let_live, reasons, small_disk
from tests.services import Mosquitto, Postgres, free_port, wait_for
from tests.serving import Serving, beats, devices, issue, write_config
from tests.test_observe import HOUR, MIDNIGHT, NOON, DrivenClock, fresh, live, loaded, observing

__all__ = ["loaded"]  # a fixture

MINUTE = 60_000
PROBES = (("T1", "tv", "icmp"), ("V1", "tv", "tcp"))


async def minutes(observer: Observer, count: int) -> list[str | None]:
    """Beats and results of so many minutes, a cut and a save each; what the beats were answered."""
    clock, answers = observer.clock, []
    assert isinstance(clock, DrivenClock)
    for _ in range(count):
        clock.at += MINUTE
        answers.append(observer.heartbeat("V1", "pc", "mqtt", boot="b", seq=clock.at // MINUTE))
        for key in PROBES:
            observer.result(*key, True, duration_s=0.01, detail="x" * 150)
        for name in ("mqtt", "probe"):
            observer.alive(name)
        await observer.cut()
        await observer.save()
    return answers


@pytest.mark.parametrize("begin", [NOON, MIDNIGHT - 40 * MINUTE], ids=["by day", "over midnight"])
async def test_the_logs_disk_is_full(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: int
) -> None:
    """First it waits in memory, then it is refused; meanwhile nobody is called silent for our own trouble."""
    monkeypatch.setattr(evidence_log, "LIMIT_BYTES", 20_000)
    url = fresh(tmp_path)
    with small_disk(tmp_path / "disk", kib=128) as disk:
        async with observing(loaded, url, disk.folder / "logs", begin) as observer:
            await minutes(observer, 10)
            (log,) = (disk.folder / "logs").glob("*.jsonl")
            with disk.full():
                before = log.read_bytes()
                answers = await minutes(observer, 20)
                # Room for a page may have been left: whatever stands there now is whole.
                assert set(answers) == {None}
                assert log.read_bytes().startswith(before)
                assert log.read_bytes().endswith(b"\n")
                assert [t for t in observer.board.ready() if t.startswith("log: ")] == [
                    "log: [Errno 28] No space left on device"
                ]
                before = log.read_bytes()
                answers = await minutes(observer, 60)
                assert answers[-30:] == ["log_full"] * 30
                assert observer.board.counters.refused["mqtt", "log_full"] == answers.count("log_full")
                assert observer.board.channels() == {"mqtt": False, "http": False, "probe": False}
                assert log.read_bytes() == before
                # Beside what it may be, the head of the day that began meanwhile.
                waiting = observer.log._size - observer.log._head
                assert waiting < 20_000 + 3_000
            await observer.cut()
            assert [t for t in observer.board.ready() if t.startswith("log: ")] == []
            assert observer.log._size == 0
            assert await minutes(observer, 20) == [None] * 20
            assert observer.board.ready() == []
            await observer.stop()
        days = sorted(p.name for p in (disk.folder / "logs").glob("*.jsonl*"))
        assert len(days) == (1 if begin == NOON else 2), days
        held = await holds(loaded, url, disk.folder / "logs")
    assert held.outages == {}
    # All that was not refused is there.
    refused = answers.count("log_full")
    assert held.beats == 10 + 20 + 60 - refused + 20
    (pc,) = [t for t in held.figures.terminals if t.terminal == "pc"]
    assert refused * MINUTE - MINUTE <= pc.measure.unknown <= (refused + 5) * MINUTE
    counted(f"{held.beats} beats, {refused} refused, {pc.measure.unknown / MINUTE:.1f} minutes unknown")


async def test_a_night_without_room_is_bounded(loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three midnights: what waits does not grow by a day's worth with each of them."""
    monkeypatch.setattr(evidence_log, "LIMIT_BYTES", 20_000)
    with small_disk(tmp_path / "disk", kib=128) as disk:
        async with observing(loaded, fresh(tmp_path), disk.folder / "logs", MIDNIGHT - HOUR) as observer:
            await minutes(observer, 10)
            with disk.full():
                for _ in range(3):
                    await minutes(observer, 100)
                    assert isinstance(observer.clock, DrivenClock)
                    observer.clock.at += 23 * HOUR
                assert observer.log._size < 20_000 + 3_000
            await minutes(observer, 10)
            await observer.stop()
        held = await holds(loaded, fresh(tmp_path), disk.folder / "logs")
    assert held.outages == {}


async def test_a_days_head_does_not_fill_the_log(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of a large county is larger than what may wait: no beat is refused for it, and no channel lost."""
    monkeypatch.setattr(evidence_log, "LIMIT_BYTES", 1_000)
    async with observing(loaded, fresh(tmp_path), tmp_path / "logs", MIDNIGHT - 2 * MINUTE) as observer:
        await minutes(observer, 1)
        assert isinstance(observer.clock, DrivenClock)
        observer.clock.at = MIDNIGHT + 1
        for name in ("mqtt", "probe"):
            observer.alive(name)  # the first of the day
        assert observer.log._size > 1_000
        assert observer.heartbeat("V1", "pc", "mqtt", boot="b", seq=1) is None
        assert observer.board.channels()["mqtt"]
        await observer.cut()
        # Once it stands there, as much may wait as before.
        for seq in range(2, 40):
            answer = observer.heartbeat("V1", "pc", "mqtt", boot="b", seq=seq)
        assert answer == "log_full"
        await observer.stop()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_the_databases_disk_is_full(
    loaded: Loaded, tmp_path: Path, request: pytest.FixtureRequest, database: str
) -> None:
    """The log goes on, everything is judged; the database takes it all later."""
    user = pwd.getpwnam("postgres").pw_uid if database == "postgresql" and os.geteuid() == 0 else 0
    # PostgreSQL's own user may not enter pytest's folders.
    folder = Path(f"/tmp/zhdj-disk-{os.getpid()}") if database == "postgresql" else tmp_path / "disk"
    logs = tmp_path / "logs"
    with small_disk(folder, kib=16_000 if database == "postgresql" else 3_000, user=user) as disk:
        url = f"sqlite+aiosqlite:///{disk.folder}/monitor.db"
        if database == "postgresql":
            cluster: Postgres = request.getfixturevalue("own_postgres")
            (disk.folder / "space").mkdir()
            os.chown(disk.folder / "space", user, user)
            cluster.psql(f"CREATE TABLESPACE small LOCATION '{disk.folder}/space'")
            cluster.psql("CREATE DATABASE tight TEMPLATE template0 TABLESPACE small")
            url = cluster.url("tight")
        async with observing(loaded, url, logs, NOON) as observer:
            await live(observer, NOON + HOUR, silent=(NOON + 10 * MINUTE, NOON + 20 * MINUTE))
            assert observer.board.ready() == []
            with disk.full():
                hour = NOON + HOUR
                while "database" not in observer.board.troubles:  # pages that were there already are used up first
                    await live(observer, hour + HOUR, silent=(hour + 10 * MINUTE, hour + 20 * MINUTE))
                    hour += HOUR
                    assert hour < NOON + 100 * HOUR
                (trouble,) = observer.board.ready()
                assert trouble.startswith("database: "), trouble
                assert any(word in trouble for word in ("full", "No space left")), trouble
                size = sum(p.stat().st_size for p in logs.iterdir())
                await live(observer, hour + HOUR, silent=(hour + 10 * MINUTE, hour + 20 * MINUTE))
                assert sum(p.stat().st_size for p in logs.iterdir()) > size
                # Judged all the while: the board knows of the outage that the database does not take.
                assert observer.engine.terminals["V1", "pc"].seen == hour + HOUR
            if database == "postgresql":
                cluster.psql("CHECKPOINT")
            await observer.save()
            assert observer.board.ready() == []
            await observer.stop()
        outages = (hour + HOUR - NOON) // HOUR
        held = await holds(loaded, url, logs)
        assert held.outages == {"V1/pc": outages}
        counted(f"{held.beats} beats, {outages} outages")
        if database == "postgresql":
            cluster.stop()


async def test_a_service_without_room_says_so(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """The whole program on real devices; /readyz names the log, /healthz goes on, the board too."""
    config = write_config(
        tmp_path, http=free_port(), mqtt=mosquitto.port, checks=[beats(f"V{n}", "pc", "mqtt") for n in (1, 2, 3)]
    )
    tokens = issue(config, tmp_path / "tokens.json")
    with small_disk(tmp_path / "evidence", kib=512) as disk, Serving(config) as service:
        async with devices(config, tokens) as played:
            await asyncio.to_thread(wait_for, lambda: _up(service) == 3, 20, "all to be up")
            known = service.query("SELECT count(*) FROM outage")

            def suffer() -> None:
                with disk.full():
                    (log,) = disk.folder.glob("*.jsonl")
                    wait_for(lambda: any("No space left" in r for r in reasons(service)), 10, "/readyz to say it")
                    let_live(service, 5, per_s=3)
                    assert ask(service, "/healthz")[0] == 200
                    assert _up(service) == 3
                    assert all(channels(service).values())
                    assert log.read_bytes().endswith(b"\n")
                wait_for(lambda: reasons(service) == [], 5, "room to be noticed")
                let_live(service, 2, per_s=3)

            await asyncio.to_thread(suffer)
            total = heard(service)
            assert played.fleet.tally["sent"] >= total
        assert service.end() == 0
        held = await holds(config, f"sqlite+aiosqlite:///{service.database}")
    assert len(held.rows["outage"]) == known[0][0]
    assert held.beats >= total


def _up(service: Serving) -> int:
    return list(service.samples("zhdj_terminal_up").values()).count(1)


async def test_what_is_dropped_while_it_is_written_is_read_from_the_log(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that takes its time, and more rows than may wait, in the middle of one transaction."""
    monkeypatch.setattr(saving, "WAITING_ROWS", 5)
    monkeypatch.setattr(saving, "ANSWER_S", 0.0)
    url, logs = fresh(tmp_path), tmp_path / "logs"
    async with observing(loaded, url, logs, NOON) as observer:
        await minutes(observer, 5)
        goes_on, save = asyncio.Event(), observer.view.save

        async def slowly(*arguments: object) -> None:
            await goes_on.wait()
            await save(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(observer.view, "save", slowly)
        assert isinstance(observer.clock, DrivenClock)
        observer.heartbeat("V1", "pc", "mqtt", boot="b", seq=1)
        await observer.cut()
        written = asyncio.create_task(observer.save())
        await asyncio.sleep(0)
        for n in range(60):
            observer.clock.at += MINUTE
            observer.alive("mqtt")
            if not 10 <= n % 20 < 18:
                observer.heartbeat("V1", "pc", "mqtt", boot="b", seq=2 + n)
            for key in PROBES:
                observer.result(*key, n % 10 < 6, duration_s=0.01)
            await observer.cut()
        assert any(r.startswith("database: no answer for") for r in observer.board.ready())
        goes_on.set()
        await written
        assert observer.board.ready() == []
        await observer.stop()
    held = await holds(loaded, url, logs)
    assert held.outages["V1/pc"] == 3

"""Clocks: ours jumps, is set back, crosses years and leap days; a device's is wrong by days and steps.

A jump is recorded and is a loss of all channels: unknown, never an outage. Durations come from CLOCK_BOOTTIME.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from monitor.clock import Clock, from_iso, to_iso
from monitor.core.offset import ClockOffsets
from monitor.core.sites import CHANNELS
from monitor.evidence.lines import ChannelLine
from monitor.evidence.reading import read_lines, trace_files
from monitor.flows import observe
from monitor.flows.observe import Observer
from monitor.intake import selfwatch
from monitor.intake.probes import Tools
from monitor.intake.selfwatch import SelfWatch
from monitor.inventory.load import Loaded
from monitor.store.database import opened
from monitor.store.view import View
from tests.faults import channels, counted, heard, holds, let_live, reasons, refused
from tests.services import Mosquitto, ServiceError, free_port, program, wait_for
from tests.serving import Serving, beats, devices, issue, write_config
from tests.test_observe import HOUR, NOON, DrivenClock, fresh, live, loaded, observing

__all__ = ["loaded"]  # a fixture

MINUTE = 60_000
DAY = 24 * HOUR


# --- a jump, injected ------------------------------------------------------------------------------------------------


class TwoClocks(Clock):
    """The wall's and the steady one, both in the test's hand."""

    def __init__(self, at: int) -> None:
        self.steady, self.wall = 0, at
        self.anchor()

    def anchor(self) -> None:
        self._offset = self.wall - self.steady

    def now(self) -> int:
        return self.steady + self._offset

    def drift_ms(self) -> int:
        return self.wall - self.now()

    def passes(self, ms: int) -> None:
        self.steady += ms
        self.wall += ms


class Watched:
    """An observer with its clock guarded, and a pc whose own clock is right all the while."""

    def __init__(self, observer: Observer, clock: TwoClocks) -> None:
        self.observer = observer
        self.clock = clock
        self.seq = 0
        self.pc_ahead = 0

    async def minutes(self, count: int) -> list[str | None]:
        """Beats and results of so many minutes of real time."""
        answers = []
        for _ in range(count):
            self.clock.passes(MINUTE)
            await asyncio.sleep(0.003)  # the guard looks every millisecond
            self.seq += 1
            said = NOON + self.clock.steady + self.pc_ahead
            answers.append(self.observer.heartbeat("V1", "pc", "mqtt", sent_at=said, boot="b", seq=self.seq))
            for key in (("T1", "tv", "icmp"), ("V1", "tv", "tcp")):
                self.observer.result(*key, True, duration_s=0.01)
            for name in CHANNELS:
                self.observer.alive(name)
            await self.observer.cut()
            await self.observer.save()
        return answers

    async def jump(self, ms: int) -> None:
        self.clock.wall += ms
        await asyncio.sleep(0.02)
        assert self.clock.drift_ms() == 0


@contextmanager
def guarded(watch: SelfWatch) -> Iterator[None]:
    task = asyncio.create_task(watch.guard_clock())
    try:
        yield
    finally:
        task.cancel()


async def _watched(loaded: Loaded, folder: Path, jumps: list[int]) -> tuple[list[list[str | None]], list[str]]:
    """20 minutes, a jump, 90 minutes, the next jump, ...; the answers to the beats, and the reasons in the log."""
    clock = TwoClocks(NOON)
    answers = []
    async with opened(fresh(folder)) as engine, Tools() as tools:
        observer = Observer(loaded, clock, View(engine, loaded.settings.observer), folder / "logs")
        await observer.start()
        watched = Watched(observer, clock)
        with guarded(SelfWatch(observer, (), {}, tools, every_s=60)):
            answers.append(await watched.minutes(20))
            for ms in jumps:
                await watched.jump(ms)
                answers.append(await watched.minutes(90))
        await observer.stop()
    lines = [read.line for path in trace_files([folder / "logs"]) for read in read_lines(path)]
    losses = [line.reason for line in lines if isinstance(line, ChannelLine)]
    return answers, [reason for reason in losses if reason.startswith("wall clock")]


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfwatch, "GUARD_S", 0.001)
    monkeypatch.setattr(observe, "STILL_MS", 2 * MINUTE)  # a minute passes at once


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    ("ms", "refused_beats"),
    [(HOUR, 0), (-HOUR, 59), (3 * DAY, 0), (2_000, 0), (-5_000, 0), (10 * MINUTE, 0), (-10 * MINUTE, 9)],
    ids=str,
)
async def test_our_clock_jumps(loaded: Loaded, tmp_path: Path, ms: int, refused_beats: int) -> None:
    """Everybody lives, and says when with a clock that is right."""
    (before, after), said = await _watched(loaded, tmp_path, [ms])
    assert set(before) == {None}
    assert after.count("clock_behind") == refused_beats
    assert after[refused_beats:] == [None] * (90 - refused_beats)
    assert said == [f"wall clock jumped by {ms / 1000:+.1f} s"] * 3
    held = await holds(loaded, fresh(tmp_path), tmp_path / "logs")
    assert held.outages == {}
    (pc,) = [t for t in held.figures.terminals if t.terminal == "pc"]
    assert pc.measure.down == 0
    assert pc.measure.up >= (20 + 90 - refused_beats - 6) * MINUTE
    lost = [(c, at) for c, n, at, _ in held.rows["loss"] if n == 1]
    assert [c for c, _ in lost] == sorted(CHANNELS)
    assert all(NOON + 19 * MINUTE <= at <= NOON + 21 * MINUTE for _, at in lost), lost


@pytest.mark.usefixtures("_quick")
async def test_our_clock_jumps_to_and_fro(loaded: Loaded, tmp_path: Path) -> None:
    answers, said = await _watched(loaded, tmp_path, [HOUR, -HOUR, 2 * HOUR, -10 * MINUTE, DAY])
    assert len(said) == 5 * 3
    held = await holds(loaded, fresh(tmp_path), tmp_path / "logs")
    assert held.outages == {}
    counted(f"{held.beats} beats, {sum(a.count('clock_behind') for a in answers)} refused")


async def test_a_restart_with_a_clock_that_is_behind(loaded: Loaded, tmp_path: Path) -> None:
    """Its battery is dead: it wakes up a day before the log's last line, twice, and is then set right."""
    url, logs = fresh(tmp_path), tmp_path / "logs"
    async with observing(loaded, url, logs, NOON) as observer:
        await live(observer, NOON + HOUR)
    for _ in range(2):
        async with observing(loaded, url, logs, NOON - DAY) as observer:
            assert observer.heartbeat("V1", "pc", "mqtt") == "clock_behind"
            await observer.cut()
            assert any(r.startswith("clock: ") for r in observer.board.ready()), observer.board.ready()
    async with observing(loaded, url, logs, NOON + 2 * HOUR) as observer:
        await live(observer, NOON + 3 * HOUR)
        assert observer.board.ready() == []
    held = await holds(loaded, url, logs)
    assert held.outages == {}
    assert held.beats == 120


@pytest.mark.parametrize("first", ["a beat", "who looks"])
async def test_a_machine_that_slept(loaded: Loaded, tmp_path: Path, first: str) -> None:
    """For an hour; CLOCK_BOOTTIME counts it. A beat may come in before anybody notices."""
    async with observing(loaded, fresh(tmp_path), tmp_path / "logs", NOON) as observer:
        clock = observer.clock
        assert isinstance(clock, DrivenClock)

        async def seconds(count: int) -> None:
            for _ in range(count):
                clock.at += 1_000
                observer.look()
                if clock.at % MINUTE == 0:
                    await beat()

        async def beat() -> None:
            assert observer.heartbeat("V1", "pc", "mqtt") is None
            for key in (("T1", "tv", "icmp"), ("V1", "tv", "tcp")):
                observer.result(*key, True, duration_s=0.01)
            await observer.cut()
            await observer.save()

        await seconds(600)
        slept = clock.at
        clock.at += HOUR
        if first == "a beat":
            await beat()
        await seconds(600)
        await observer.stop()
    held = await holds(loaded, fresh(tmp_path), tmp_path / "logs")
    assert held.outages == {}
    assert [(lost, c) for c, n, lost, _ in held.rows["loss"] if n == 1][:1] == [(slept, "mqtt")]


# --- a device's clock ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("step", [-3 * DAY, -HOUR, -40 * MINUTE, -2 * MINUTE, 2 * MINUTE, HOUR, 2 * DAY], ids=str)
async def test_a_devices_clock_steps(loaded: Loaded, tmp_path: Path, step: int) -> None:
    """Into a time when we saw nothing, within one boot: it lives all the while, so it is up as soon as we see again."""
    clock = TwoClocks(NOON)
    async with opened(fresh(tmp_path)) as engine:
        observer = Observer(loaded, clock, View(engine, loaded.settings.observer), tmp_path / "logs")
        await observer.start()
        watched = Watched(observer, clock)
        await watched.minutes(30)
        for name in CHANNELS:
            observer.lost(name, None, "the broker is away")
        clock.passes(30 * MINUTE)
        await watched.minutes(20)
        watched.pc_ahead = step
        await watched.minutes(60)
        watched.pc_ahead = 0
        await watched.minutes(60)
        await observer.stop()
    held = await holds(loaded, fresh(tmp_path), tmp_path / "logs")
    assert held.outages == {}
    (pc,) = [t for t in held.figures.terminals if t.terminal == "pc"]
    assert pc.measure.up >= (30 + 140 - 6) * MINUTE


def test_what_waited_is_not_taken_for_a_clock_that_stepped() -> None:
    known, device = ClockOffsets(), ("V1", "pc")
    assert known.correct(device, NOON, NOON, "b") == NOON
    # An hour without a line, then all at once; and once more, doubled by the broker a while later.
    for late in (NOON + HOUR, NOON + HOUR + 5 * MINUTE):
        for n in range(1, 60):
            assert known.correct(device, late + n, NOON + n * MINUTE, "b") == NOON + n * MINUTE
    assert known.correct(device, NOON + 2 * HOUR, NOON + 2 * HOUR, "b") == NOON + 2 * HOUR
    # A clock that was set back by an hour: the second beat shows it.
    found = [known.correct(device, NOON + 3 * HOUR + n * MINUTE, NOON + 2 * HOUR + n * MINUTE, "b") for n in range(5)]
    assert found == [NOON + 2 * HOUR, *(NOON + 3 * HOUR + n * MINUTE for n in range(1, 5))]


# --- the whole program, on a wall clock that libfaketime makes -------------------------------------------------------


class Faked:
    """`serve` on a wall clock of its own; CLOCK_BOOTTIME and timers stay as they are."""

    def __init__(self, folder: Path, service: Serving) -> None:
        self.setting = folder / "faketime"
        with suppress(ServiceError):
            program("faketime")
        library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
        if library is None:
            pytest.skip("libfaketime is not here: `make system-packages` installs it")
        self.set("+0")
        service.environment |= {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.setting),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
        }

    def set(self, text: str) -> None:
        """`+3600`: an hour ahead of the real one; `@2028-02-29 10:00:00`: begins there. At once."""
        aside = self.setting.with_suffix(".new")
        aside.write_text(text + "\n")
        aside.replace(self.setting)


async def test_the_whole_service_on_a_clock_that_jumps(tmp_path: Path, mosquitto: Mosquitto) -> None:
    checks = [beats(v, "pc", "mqtt") for v in ("V1", "V2", "V3")] + [beats("V1", "mobile", "http")]
    config = write_config(tmp_path, http=free_port(), mqtt=mosquitto.port, checks=checks)
    tokens = issue(config, tmp_path / "tokens.json")
    service = Serving(config)
    faked = Faked(tmp_path, service)

    def all_up() -> bool:
        return list(service.samples("zhdj_terminal_up").values()) == [1] * len(checks)

    def jumps() -> int:
        return sum(one.get("reason", "").startswith("wall clock jumped") for one in service.lines())

    def play() -> None:
        wait_for(all_up, 20, "all to be up", 0.1)
        faked.set("+3600")
        wait_for(lambda: jumps() == 3, 10, "the jump in the log", 0.1)
        wait_for(lambda: all(channels(service).values()) and all_up(), 10, "all to be up an hour later", 0.1)
        let_live(service, 4, per_s=3)  # longer than anybody's patience
        assert all_up()
        before = refused(service, "mqtt", "clock_behind")
        faked.set("+3000")  # back by ten minutes: nothing can be believed until it is where it was
        wait_for(lambda: refused(service, "mqtt", "clock_behind") >= before + 6, 20, "beats to be refused", 0.1)
        assert any(r.startswith("clock: ") for r in reasons(service))
        assert not any(channels(service).values())
        assert service.samples("zhdj_terminal_up") == {}
        faked.set("+3700")
        wait_for(lambda: all(channels(service).values()) and all_up(), 10, "all to be up again", 0.1)
        let_live(service, 4, per_s=3)
        assert all_up()
        assert reasons(service) == []

    try:
        async with devices(config, tokens):
            await asyncio.to_thread(service.start)
            await asyncio.to_thread(play)
            total = heard(service)
            assert await asyncio.to_thread(service.end) == 0
    finally:
        service.close()
    held = await holds(config, f"sqlite+aiosqlite:///{service.database}")
    assert {name for name in held.outages if not name.endswith("/mobile")} == set()
    assert held.beats >= total > 25
    losses = [n for channel, n, *_ in held.rows["loss"] if channel == "mqtt"]
    counted(f"{held.beats} beats, {len(losses)} losses of mqtt, no outage")


async def test_a_service_that_stood_still(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """Suspended for eight seconds: it was deaf, whatever it finds in its sockets afterwards. Nobody was silent, but for
    the one that died meanwhile and says nothing afterwards either."""
    checks = [beats(v, "pc", "mqtt") for v in ("V1", "V2", "V3", "V4")] + [beats("V1", "mobile", "http")]
    config = write_config(tmp_path, http=free_port(), mqtt=mosquitto.port, checks=checks)
    tokens = issue(config, tmp_path / "tokens.json")
    service = Serving(config)

    def all_up(but: str = "nobody") -> bool:
        samples = service.samples("zhdj_terminal_up").items()
        return [value for name, value in samples if but not in name] == [1] * (len(checks) - (but != "nobody"))

    def play() -> None:
        wait_for(all_up, 20, "all to be up", 0.1)
        service.send_signal(signal.SIGSTOP)
        played.silence("V4/pc")
        time.sleep(8)
        service.send_signal(signal.SIGCONT)
        wait_for(lambda: "the process stood still" in str(service.lines()), 10, "it to notice", 0.1)
        wait_for(lambda: all(channels(service).values()) and all_up("V4"), 20, "all to be up again", 0.1)
        let_live(service, 4, per_s=3)
        assert all_up("V4")
        wait_for(lambda: not service.is_up("V4", "pc"), 20, "the dead one to be down", 0.1)

    try:
        async with devices(config, tokens) as played:
            await asyncio.to_thread(service.start)
            await asyncio.to_thread(play)
            assert await asyncio.to_thread(service.end) == 0
    finally:
        service.close()
    held = await holds(config, f"sqlite+aiosqlite:///{service.database}")
    assert {name for name in held.outages if not name.endswith("/mobile")} == {"V4/pc"}
    # It could be missed only once the channel was back.
    (dead,) = [o for o in held.rows["outage"] if o[1:3] == ("V4", "pc")]
    assert dead[3] >= max(r[3] for r in held.rows["loss"] if r[0] == "mqtt" and r[3] is not None)
    # The mobile had to wait for an answer, and then began anew.
    late = [o for o in held.rows["outage"] if o != dead and o[3] > held.rows["loss"][0][3] + 8_000]
    assert late == []


@pytest.mark.parametrize(
    ("begin", "days"),
    [
        ("2026-12-31 15:59:40", ["2026-12-31", "2027-01-01"]),
        pytest.param("2028-02-28 15:59:40", ["2028-02-28", "2028-02-29"], marks=pytest.mark.long),
        pytest.param("2028-02-29 15:59:40", ["2028-02-29", "2028-03-01"], marks=pytest.mark.long),
    ],
    ids=["the year ends", "a leap day begins", "a leap day ends"],
)
async def test_the_whole_service_over_a_midnight(
    tmp_path: Path, mosquitto: Mosquitto, begin: str, days: list[str]
) -> None:
    """Local midnight in Asia/Shanghai is 16:00 UTC."""
    checks = [beats(v, "pc", "mqtt") for v in ("V1", "V2")]
    config = write_config(tmp_path, http=free_port(), mqtt=mosquitto.port, checks=checks, top="demo = true")
    tokens = issue(config, tmp_path / "tokens.json")
    service = Serving(config)
    faked = Faked(tmp_path, service)
    faked.set(f"@{begin}")

    def play() -> None:
        names = [f"test-{days[0]}.jsonl.zst", f"test-{days[1]}.jsonl"]
        wait_for(lambda: sorted(p.name for p in service.evidence.glob("*.jsonl*")) == names, 90, "a new day", 0.1)
        let_live(service, 4, per_s=2)
        assert reasons(service) == []
        assert service.samples("zhdj_up_seconds")
        assert list(service.samples("zhdj_terminal_up").values()) == [1, 1]

    try:
        async with devices(config, tokens):
            await asyncio.to_thread(service.start)
            await asyncio.to_thread(play)
            assert await asyncio.to_thread(service.end) == 0
    finally:
        service.close()
    held = await holds(config, f"sqlite+aiosqlite:///{service.database}")
    assert held.outages == {}
    assert [row[0] for row in held.rows["digest"]] == [int(days[0].replace("-", ""))]


@pytest.mark.parametrize("midnight", ["2026-10-31", "2026-12-31", "2027-02-28", "2028-02-28", "2028-02-29"])
async def test_months_and_years_end(loaded: Loaded, tmp_path: Path, midnight: str) -> None:
    """An outage over each of them, half on either side."""
    begin = from_iso(f"{midnight}T14:00:00Z")
    over = begin + 2 * HOUR
    async with observing(loaded, fresh(tmp_path), tmp_path / "logs", begin) as observer:
        await live(observer, begin + 4 * HOUR, silent=(over - HOUR // 2, over + HOUR // 2))
        await observer.stop()
    held = await holds(loaded, fresh(tmp_path), tmp_path / "logs")
    ((_, _, _, start, end, *_),) = held.rows["outage"]
    assert (to_iso(start), to_iso(end)) == (to_iso(over - HOUR // 2), to_iso(over + HOUR // 2))

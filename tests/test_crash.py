"""`kill -9` of the service under load, and other rough endings: the log decides, the database follows it.

What must hold afterwards is in faults (I3, I4): our own death is unknown, never an outage, and nothing is doubled.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from monitor.clock import from_iso, to_iso, wall_ms
from monitor.evidence.reading import open_log, plain_name
from tests.dump import rows
from tests.faults import counted
from tests.service_under_test import Monitor
from tests.services import Mosquitto, Postgres, free_port, wait_for, wait_for_async
from tests.serving import Row, Serving, Target, beats, devices, guarded_broker, issue, probe, run, write_config

CHANNELS = ("mqtt", "http", "probe")
#: A cut a second, and room: what the service may lose when it is killed.
CUT_MS = 2_500
#: A village has a device on each channel; 18 of them are 54 pieces of evidence a second.
VILLAGES = [f"V{n}" for n in range(1, 19)]
#: Dead from the beginning of the crashes to their end.
DEAD = ("V1/pc", "V1/mobile")


def checks(port: int) -> list[Row]:
    found: list[Row] = []
    for n, village in enumerate(VILLAGES, 1):
        found += [beats(village, "pc", "mqtt", 1, 3), beats(village, "mobile", "http", 1, 3)]
        found.append(probe(village, "tv", port, host=f"127.80.0.{n}", failures=3))
    return found


class Crashes:
    """When the service was started (ms), and when it was killed; and what stood in its log then."""

    def __init__(self) -> None:
        self.lives: list[tuple[int, int]] = []
        self.stood: list[tuple[str, int, bytes]] = []  # file, bytes of its whole lines, their digest

    async def kill(self, service: Serving, started: int) -> None:
        await asyncio.to_thread(service.kill)
        self.lives.append((started, wall_ms()))
        for path in service.evidence.glob("*.jsonl"):
            whole = path.read_bytes().rpartition(b"\n")
            self.stood.append((path.name, len(whole[0]), sha256(whole[0]).digest()))

    def still_stands(self, folder: Path) -> None:
        """Nothing that was in the log at any death is missing from it or another now."""
        for name, length, digest in self.stood:
            (path,) = [p for p in folder.iterdir() if plain_name(p) == name]
            with open_log(path) as log:
                assert sha256(log.read(length)).digest() == digest, (name, length)

    async def suffer(self, service: Serving, rng: Random) -> None:
        """One life of the service, of any length, also one that ends before it has begun."""
        started = wall_ms()
        service.launch()
        # The moment is the test's subject: nothing is waited for.
        await asyncio.sleep(rng.uniform(0.5, 4.5))
        assert service.is_running(), service.last_words()
        await self.kill(service, started)


async def crash_loop(folder: Path, database: str, times: int, seed: int) -> None:
    port = free_port()
    config = write_config(folder, http=free_port(), mqtt=port, checks=checks(free_port()), database=database)
    tokens = issue(config, folder / "tokens.json")
    rng, crashes = Random(seed), Crashes()
    with guarded_broker(config, folder, port) as broker:
        service = Serving(config)
        try:
            async with devices(config, tokens) as played:
                # The devices are there before the service is, so that it finds nobody silent.
                await wait_for_async(lambda: played.fleet.tally["connected"] == len(VILLAGES), 20, "devices")
                await asyncio.to_thread(service.start)
                await wait_for_async(lambda: _all_up(service), 20, "every terminal to be up", every=0.2)
                played.silence(*DEAD)
                down = set(DEAD)
                # In the database, so that a cut holds it: what no cut holds may be forgotten.
                await _until_told(database, dict.fromkeys(DEAD, "open"))
                first = wall_ms()
                await crashes.kill(service, 0)
                for _ in range(times - 1):
                    await crashes.suffer(service, rng)
                await asyncio.to_thread(service.start)
                await wait_for_async(lambda: _down(service) == down, 30, "only the dead ones to be down", every=0.2)
                played.restore(*DEAD)
                await _until_told(database, dict.fromkeys(DEAD, "ended"))
                await wait_for_async(lambda: _all_up(service), 20, "every terminal to be up again", every=0.2)
                assert await asyncio.to_thread(service.end) == 0
        finally:
            service.close()
        assert broker.is_running()
    crashes.still_stands(service.evidence)
    await follows_the_log(config, database, folder / "rebuilt.db")
    found = await rows(database)
    kind = database.partition(":")[0]
    counted(f"{kind}: {len(crashes.lives)} kills; {_beats(service.lines())}; nothing that was cut is lost")
    _losses_stand_at_the_cuts(found["loss"], crashes.lives)
    # A device that never stopped was never down; one that was dead all along was so once.
    assert {f"{site}/{kind}": state for _, site, kind, _, _, _, state, *_ in found["outage"]} == dict.fromkeys(
        DEAD, "ended"
    )
    assert len(found["outage"]) == len(DEAD)
    assert all(start < first for _, _, _, start, *_ in found["outage"])
    _seconds_add_up(config, service.lines())


def _beats(lines: list[dict[str, Any]]) -> str:
    """How many there are, and how many numbers between a device's first and last are not."""
    seqs: dict[tuple[str, str, str], set[int]] = {}
    for line in lines:
        if line["type"] == "heartbeat":
            seqs.setdefault((line["site"], line["terminal"], line["boot"]), set()).add(line["seq"])
    missing = sum(max(numbers) - min(numbers) + 1 - len(numbers) for numbers in seqs.values())
    return f"{sum(map(len, seqs.values()))} beats, {missing} not heard or not cut"


def _all_up(service: Serving) -> bool:
    samples = service.samples("zhdj_terminal_up")
    return len(samples) == 3 * len(VILLAGES) and set(samples.values()) == {1}


async def _until_told(database: str, wanted: dict[str, str]) -> None:
    """Until these and no other terminals have outages in these states."""

    async def told() -> bool:
        found = {f"{site}/{kind}": state for _, site, kind, _, _, _, state, *_ in (await rows(database))["outage"]}
        return found == wanted

    await wait_for_async(told, 20, f"outages {wanted}", every=0.2)


def _down(service: Serving) -> set[str] | None:
    """`site/terminal` of those that are down; None while the state of any is not known."""
    samples = service.samples("zhdj_terminal_up")
    if len(samples) < 3 * len(VILLAGES):
        return None
    labels = [json.loads(text) for text, value in samples.items() if value == 0]
    return {f"{one['site']}/{one['terminal']}" for one in labels}


async def follows_the_log(config: Path, database: str, fresh: Path) -> None:
    """The database says what one does that is written anew from the log."""
    url = f"sqlite+aiosqlite:///{fresh}"
    done = await asyncio.to_thread(run, "db", "rebuild", "--config", config, "--database", url)
    assert done.returncode == 0, done.stderr
    mine, anew = await rows(database), await rows(url)
    for table, found in anew.items():
        assert mine[table] == found, table


def _losses_stand_at_the_cuts(losses: list[Any], lives: list[tuple[int, int]]) -> None:
    """Whatever a life saw of a channel ends with a loss at its last cut, not later than its death."""
    for channel in CHANNELS:
        mine = [(lost, restored) for name, _, lost, restored in sorted(losses) if name == channel]
        for started, killed in lives:
            after = [lost for lost, _ in mine if lost is not None and started <= lost <= killed]
            seen = [back for _, back in mine if back is not None and started <= back <= killed]
            assert len(after) >= len(seen), (channel, started, killed, mine)
            if seen:
                assert killed - CUT_MS <= after[-1], (channel, started, killed, mine)
            # Dead is dead: nobody was observed when it died.
            assert not any(
                back is not None and back <= killed and (following is None or following > killed)
                for (_, back), (following, _) in zip(mine, [*mine[1:], (None, None)], strict=True)
            ), (channel, killed, mine)
    assert {name for name, _, lost, _ in losses if lost is not None and lost <= lives[0][1]} == set(CHANNELS)


def _seconds_add_up(config: Path, lines: list[dict[str, Any]]) -> None:
    """I3 over what was played, from a replay of the log: always in service, so every second is one of four."""
    start = from_iso(lines[0]["at"]) // 1000 * 1000
    end = from_iso(lines[-1]["at"]) // 1000 * 1000 + 1000
    done = run(
        *("replay", "--config", config, "--trace", config.parent / "evidence"),
        *("--from", to_iso(start), "--to", to_iso(end)),
    )
    assert done.returncode == 0, done.stderr
    terminals = json.loads(done.stdout)["terminals"]
    assert len(terminals) == 3 * len(VILLAGES)
    for one in terminals:
        parts = [round(one[key] * 1000) for key in ("up_s", "down_s", "unknown_s", "planned_s")]
        assert sum(parts) == end - start, one
        assert (parts[1] > 0) is (f"{one['site']}/{one['terminal']}" in DEAD), one


async def test_killed_at_any_moment_under_load(tmp_path: Path, database_url: str) -> None:
    await crash_loop(tmp_path, database_url, times=4, seed=5 + len(database_url))


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_killed_fifty_times(tmp_path: Path, database_url: str) -> None:
    await crash_loop(tmp_path, database_url, times=50, seed=50)


# --- rough endings one by one, with one device -----------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path, mosquitto: Mosquitto) -> Serving:
    """Not started. One device on MQTT that says nothing, and a probe."""
    row = [beats("V1", "pc", "mqtt"), probe("V1", "tv", mosquitto.port)]
    return Serving(write_config(tmp_path, http=free_port(), mqtt=mosquitto.port, checks=row))


def _lived(service: Serving) -> Serving:
    """Started, and so long that there is something in the log and in the database."""
    service.start()
    wait_for(lambda: service.query("SELECT count(*) FROM outage")[0][0], 15, "an outage in the database", every=0.1)
    return service


def _evidence(service: Serving) -> Path:
    (path,) = service.evidence.glob("*.jsonl")
    return path


def test_a_torn_last_line_is_cut_off(small: Serving) -> None:
    _lived(small).kill()
    path = _evidence(small)
    whole = path.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    torn = b'{"type":"heartbeat","at":"2099-01-01T00:00:00Z","site":"V1","term'
    path.write_bytes(whole + torn)
    with small:
        pass
    text = path.read_bytes()
    assert text.startswith(whole)
    assert b"2099" not in text
    assert json.loads(text[len(whole) :].splitlines()[0])["type"] == "opened"
    asyncio.run(follows_the_log(small.config, f"sqlite+aiosqlite:///{small.database}", small.config.parent / "new.db"))


@pytest.mark.parametrize("left", [b"", b'{"type":"opened","at":"20'])
def test_a_log_that_was_only_begun_is_begun_anew(small: Serving, left: bytes) -> None:
    """Killed before its very first cut; and again afterwards nothing of what came since is overlooked."""
    with small:
        path = _evidence(small)
    shutil.rmtree(small.evidence)
    small.database.unlink()
    small.evidence.mkdir()
    path.write_bytes(left)
    with small:
        pass
    with small:
        pass
    assert [p.name for p in small.evidence.glob("*.jsonl*")] == [path.name]
    asyncio.run(follows_the_log(small.config, f"sqlite+aiosqlite:///{small.database}", small.config.parent / "new.db"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_stops(small: Serving, number: signal.Signals) -> None:
    _lived(small)
    before = wall_ms()
    assert small.end(number) == 0
    last = {line["channel"]: line for line in small.lines() if line["type"] == "channel"}
    assert {name: line["event"] for name, line in last.items()} == dict.fromkeys(CHANNELS, "lost")
    assert all(from_iso(line["at"]) >= before - 1000 for line in last.values())
    assert "Traceback" not in small.tail(200)
    assert all(restored is None or n < 1 for _, n, restored in _losses(small))


def _losses(service: Serving) -> list[tuple[str, int, int | None]]:
    return [(c, n, r) for c, n, r in service.query("SELECT channel, n, restored_ms FROM loss")]


def test_a_database_that_is_gone_is_written_anew(small: Serving) -> None:
    _lived(small)
    assert small.end() == 0
    before = small.query("SELECT * FROM span"), small.query("SELECT * FROM outage")
    small.database.unlink()
    with small:
        pass
    # Stopped again, the log says a little more of now, and nothing else of then.
    spans, outages = small.query("SELECT * FROM span"), small.query("SELECT * FROM outage")
    assert set(before[0]) <= set(spans)
    assert [o[0] for o in before[1]] == [o[0] for o in outages]
    asyncio.run(follows_the_log(small.config, f"sqlite+aiosqlite:///{small.database}", small.config.parent / "new.db"))


def _one_line(service: Monitor) -> str:
    """`serve` refuses: exit status 2, one line for a person, no traceback. Answers the line."""
    done = run("serve", "--config", service.config, timeout=20)
    assert done.returncode == 2, done.stderr
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(said) == 1, done.stderr
    return said[0]


def test_a_database_whose_log_is_gone_is_not_gone_on_with(small: Serving) -> None:
    """Removed, another day's in its place, or shorter than what the database has followed."""
    _lived(small)
    assert small.end() == 0
    path = _evidence(small)
    text = path.read_bytes()

    def refuses() -> None:
        said = _one_line(small)
        assert "the database follows" in said
        assert path.name in said

    path.unlink()
    refuses()
    path.with_name("test-2020-01-01.jsonl").write_bytes(text)
    refuses()
    (small.evidence / "test-2020-01-01.jsonl").unlink()
    path.write_bytes(b"".join(text.splitlines(keepends=True)[:-2]))
    refuses()
    path.write_bytes(text)
    with small:
        pass


def test_a_second_service_keeps_its_hands_off_the_log(small: Serving) -> None:
    with small:
        before = _evidence(small).read_bytes()
        assert "another zhdj-monitor writes the evidence log" in _one_line(small)
        added = _evidence(small).read_bytes().removeprefix(before)
        assert b'"opened"' not in added
        assert b'"lost"' not in added
    with small:
        pass


def test_a_port_that_is_taken_is_said_in_one_line(small: Serving, tmp_path: Path) -> None:
    with Target() as taken:
        row = [beats("V1", "pc", "mqtt")]
        config = write_config(tmp_path / "http", http=taken.port, mqtt=free_port(), checks=row)
        said = _one_line(Monitor(config, taken.port))
        assert "cannot start" in said
        assert str(taken.port) in said
        config = write_config(tmp_path / "mqtt", http=free_port(), mqtt=taken.port, checks=row, embedded=True)
        said = _one_line(Monitor(config, taken.port))
        assert str(taken.port) in said


def test_a_database_that_is_away_is_said_in_one_line(tmp_path: Path, own_postgres: Postgres) -> None:
    url = own_postgres.create_database()
    own_postgres.stop()
    row = [beats("V1", "pc", "mqtt")]
    config = write_config(tmp_path, http=free_port(), mqtt=free_port(), checks=row, database=url)
    said = _one_line(Monitor(config, free_port()))
    assert "cannot" in said
    assert str(own_postgres.port) in said

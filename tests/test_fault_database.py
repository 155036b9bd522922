"""A database that is away while evidence comes in: stopped, killed, hung, its connections cut, for a while or an hour.

The log goes on and everything is judged; board and metrics go on and say that the database is away; it catches up.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults import ask, counted, heard, holds, let_live, reasons, resident_mb
from tests.services import Mosquitto, Postgres, ServiceError, _children, free_port, wait_for
from tests.serving import Devices, Serving, beats, devices, issue, write_config

#: Villages with a pc on MQTT and a mobile on HTTP, a beat a second each.
VILLAGES = [f"V{n}" for n in range(1, 6)]
#: The pc that dies while the database is away, and comes back while it still is.
DEAD = "V1/pc"
#: Seconds in which /metrics and /healthz must answer whatever the database does, on a busy machine.
AT_ONCE_S = 3.0


@contextmanager
def stopped(cluster: Postgres, database: str) -> Iterator[None]:
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()


@contextmanager
def killed(cluster: Postgres, database: str) -> Iterator[None]:
    cluster.kill()
    try:
        yield
    finally:
        (cluster.data / "postmaster.pid").unlink(missing_ok=True)
        cluster.start()


@contextmanager
def hung(cluster: Postgres, database: str) -> Iterator[None]:
    """SIGSTOP to all of its processes: connections stay, nothing is ever answered."""
    processes = [cluster.pid, *_children(cluster.pid)]
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextmanager
def cut(cluster: Postgres, database: str) -> Iterator[None]:
    """Every connection is ended, and no new one admitted."""
    name = database.rsplit("/", 1)[1]
    cluster.psql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    with _ending(cluster):
        yield
    cluster.psql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@contextmanager
def flaky(cluster: Postgres, database: str) -> Iterator[None]:
    """Connections are admitted, and ended some milliseconds later, in the middle of whatever they do."""
    with _ending(cluster):
        yield


@contextmanager
def _ending(cluster: Postgres) -> Iterator[None]:
    over = threading.Event()
    statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> 'postgres'"

    def ending() -> None:
        while not over.wait(0.02):
            with suppress(ServiceError):
                cluster.psql(statement)

    thread = threading.Thread(target=ending, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


FAULTS = {"stopped": stopped, "killed": killed, "hung": hung, "cut": cut, "flaky": flaky}


class Watcher:
    """Asks the pages all the while; the slowest answers, in seconds."""

    def __init__(self, service: Serving) -> None:
        self.service = service
        self.slowest = 0.0
        self.asked = 0
        self.pages: set[int] = set()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._plain, self._page)]

    def __enter__(self) -> Watcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _plain(self) -> None:
        while not self._over.wait(0.2):
            for path in ("/healthz", "/metrics"):
                started = time.monotonic()
                assert ask(self.service, path)[0] == 200
                self.slowest = max(self.slowest, time.monotonic() - started)
                self.asked += 1

    def _page(self) -> None:
        """The page needs the database: it says so in time, or shows what it had."""
        while not self._over.wait(0.2):
            self.pages.add(ask(self.service, "/", timeout=20)[0])


def is_up(service: Serving, name: str) -> float | None:
    site, _, terminal = name.partition("/")
    return service.value("zhdj_terminal_up", site=site, terminal=terminal)


def suffer(service: Serving, played: Devices, cluster: Postgres, database: str, fault: str, seconds: float) -> str:
    """One fault of so many seconds, in which a device dies and comes back."""
    before, memory = heard(service), resident_mb(service)
    with Watcher(service) as watcher:
        with FAULTS[fault](cluster, database):
            started = time.monotonic()
            if fault != "flaky":
                away = lambda: any(r.startswith("database: ") for r in reasons(service))  # noqa: E731
                wait_for(away, 20, "/readyz to say that the database is away", 0.1)
            assert service.is_running(), service.last_words()
            played.silence(DEAD)
            wait_for(lambda: is_up(service, DEAD) == 0, 15, f"{DEAD} to be down on the board", 0.1)
            time.sleep(max(0.0, seconds - (time.monotonic() - started)))
            played.restore(DEAD)
            wait_for(lambda: is_up(service, DEAD) == 1, 15, f"{DEAD} to be up on the board", 0.1)
            if fault != "flaky":
                (why,) = reasons(service)
                assert why.startswith("database: "), why
            assert ask(service, "/healthz") == (200, "ok\n")
            taken, lasted = heard(service) - before, time.monotonic() - started
            assert taken > 0.8 * (len(VILLAGES) - 1) * lasted - 5
        wait_for(lambda: reasons(service) == [], 60, "the database to be followed again", 0.1)
    assert watcher.slowest < AT_ONCE_S, watcher.slowest
    assert watcher.pages <= {200, 503}, watcher.pages
    grown = resident_mb(service) - memory
    return (
        f"{fault}: {lasted:.0f} s away, {taken:.0f} beats on MQTT; {watcher.asked} answers,"
        f" the slowest {watcher.slowest:.2f} s; memory {grown:+.1f} MB"
    )


async def away(folder: Path, broker: Mosquitto, cluster: Postgres, faults: list[tuple[str, float]]) -> None:
    database = cluster.create_database()
    checks = [beats(v, "pc", "mqtt") for v in VILLAGES] + [beats(v, "mobile", "http") for v in VILLAGES]
    config = write_config(folder, http=free_port(), mqtt=broker.port, checks=checks, database=database)
    tokens = issue(config, folder / "tokens.json")
    service = Serving(config)
    with ExitStack() as stack:
        stack.callback(service.close)
        async with devices(config, tokens) as played:
            await asyncio.to_thread(service.start)

            def all_up() -> bool:
                return list(service.samples("zhdj_terminal_up").values()) == [1] * len(checks)

            await asyncio.to_thread(wait_for, all_up, 20, "every terminal to be up", 0.1)
            for fault, seconds in faults:
                said = await asyncio.to_thread(suffer, service, played, cluster, database, fault, seconds)
                counted(said)
            await asyncio.to_thread(wait_for, all_up, 20, "every terminal to be up", 0.1)
            # Its last beat must not be the last that is heard at all: it would be up for no time then.
            await asyncio.to_thread(let_live, service, 2.0, "mqtt", len(VILLAGES))
            assert await asyncio.to_thread(service.end) == 0
    assert "Traceback" not in service.tail(10_000)
    held = await holds(config, database)
    # Each time the one that died, and nobody else ever. (Those that came after the service did were down before.)
    assert held.outages.get(DEAD, 0) >= len(faults)
    others = {name: n for name, n in held.outages.items() if name != DEAD and not name.endswith("/mobile")}
    assert others == {}, others
    assert {r[6] for r in held.rows["outage"] if f"{r[1]}/{r[2]}" == DEAD} == {"ended"}
    counted(f"{held.beats} beats in the log; {held.outages}")


@pytest.mark.parametrize("fault", list(FAULTS))
async def test_evidence_goes_on_without_a_database(
    tmp_path: Path, mosquitto: Mosquitto, own_postgres: Postgres, fault: str
) -> None:
    await away(tmp_path, mosquitto, own_postgres, [(fault, 6)])


@pytest.mark.long
@pytest.mark.timeout(5400)
async def test_an_hour_without_a_database(tmp_path: Path, mosquitto: Mosquitto, own_postgres: Postgres) -> None:
    quarter = 15 * 60
    await away(tmp_path, mosquitto, own_postgres, [(fault, quarter) for fault in ("stopped", "killed", "hung", "cut")])


async def test_told_to_stop_while_the_database_hangs(
    tmp_path: Path, mosquitto: Mosquitto, own_postgres: Postgres
) -> None:
    """It ends in time and in order: what the database did not take stands in the log."""
    database = own_postgres.create_database()
    checks = [beats("V1", "pc", "mqtt")]
    config = write_config(tmp_path, http=free_port(), mqtt=mosquitto.port, checks=checks, database=database)
    with Serving(config) as service:
        with hung(own_postgres, database):
            await asyncio.sleep(2.5)  # so that it is being asked, and does not answer
            started = time.monotonic()
            assert service.end(timeout=60) == 0
            counted(f"ended after {time.monotonic() - started:.1f} s")
            assert time.monotonic() - started < 30
        assert '"lost"' in json_lines(service)
        with service:
            assert reasons(service) == []
        await holds(config, database)


def json_lines(service: Serving) -> str:
    return "".join(path.read_text() for path in service.evidence.glob("*.jsonl"))

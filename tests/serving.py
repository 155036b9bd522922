"""A small county under `serve`, with real parts: its configuration, its tokens, its broker and its devices.

    folder = write_config(tmp_path, http=free_port(), mqtt=broker.port, checks=[beats("V1", "pc", "mqtt")])
    tokens = issue(folder, tmp_path / "tokens.json")
    with Serving(folder) as service:
        service.value("zhdj_terminal_up", site="V1", terminal="pc")

One county site C1, townships T1 and T2, villages V1 ... of T1 and W1 ... of T2; only places with a check are there.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from socket import SO_REUSEADDR, SOL_SOCKET, create_connection, socket
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from monitor.evidence.reading import open_log, plain_name
from monitor.fleet.casting import Doors
from monitor.fleet.mqtt_device import BrokerAddress
from monitor.fleet.player import Fleet
from monitor.fleet.script import Fault
from monitor.fleet.truth import TruthWriter
from monitor.inventory.load import load
from tests.brokers import _OWN, SHIPPED
from tests.service_under_test import ROOT, Monitor
from tests.services import HOST, Mosquitto, Service, _children, free_port

Row = tuple[str, ...]
#: Seconds until what was decided stands in the database: a cut and a save a second apart, and room.
SOON_S = 30.0

MONITOR_TOML = """\
observer = "test"
{top}

[http]
listen = "{host}:{http}"

[mqtt]
{embedded}
host = "{host}"
port = {mqtt}
username = "monitor"
password = "of the service"

[database]
url = "{database}"

[evidence]
folder = "{folder}/evidence"

[anchors]
file = "{folder}/anchors.jsonl"

[papers]
folder = "{folder}/papers"

[probes]
timeout_s = 1

[canaries]
targets = {canaries}
every_s = 0.3
"""


def beats(site: str, kind: str, via: str, interval_s: float = 1, grace_s: float = 2) -> Row:
    """A row of checks.csv: a heartbeat over `mqtt` or `http`."""
    return (site, kind, f"heartbeat-{via}", "", f"{interval_s:g}", f"{grace_s:g}", "")


def probe(site: str, kind: str, port: int, interval_s: float = 1, failures: int = 2, host: str = HOST) -> Row:
    """A row of checks.csv: a TCP probe."""
    return (site, kind, "tcp", f"{host}:{port}", f"{interval_s:g}", "", str(failures))


def write_config(
    folder: Path,
    *,
    http: int,
    mqtt: int,
    checks: Iterable[Row],
    database: str = "",
    embedded: bool = False,
    canaries: Sequence[str] = (),
    top: str = "",
) -> Path:
    """The service's own files in `folder`/config; everything that it keeps is in `folder`. Answers the config folder.

    Sites are those that the checks name, and the county and the townships that they belong to.
    """
    config = folder / "config"
    config.mkdir(parents=True, exist_ok=True)
    rows = list(checks)
    named = {row[0] for row in rows}
    sites = [("C1", "县级站点一", "county", "T0", "开江县", "")]
    for code, letter, name in (("T1", "V", "镇一"), ("T2", "W", "镇二")):
        villages = sorted((s for s in named if s[0] == letter), key=lambda s: int(s[1:]))
        if villages or code in named:
            sites.append((code, f"{name}站点", "township", code, name, "C1"))
        sites += [(v, f"{name}{v}村", "village", code, name, code) for v in villages]
    _write(config / "sites.csv", ("site_id", "name", "level", "township_code", "township_name", "uplink"), sites)
    _write(config / "checks.csv", ("site_id", "terminal", "check", "target", "interval_s", "grace_s", "failures"), rows)
    text = MONITOR_TOML.format(
        top=top,
        host=HOST,
        http=http,
        mqtt=mqtt,
        embedded="embedded = true" if embedded else "",
        database=database or f"sqlite+aiosqlite:///{folder}/monitor.db",
        folder=folder,
        canaries=json.dumps(list(canaries)),
    )
    (config / "monitor.toml").write_text(text, encoding="utf-8")
    return config


def _write(path: Path, columns: Row, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def environment() -> dict[str, str]:
    """The checkout's own code, wherever a command runs."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "monitor", *map(str, arguments)]


def run(*arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """A command of ours to its end."""
    return subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, timeout=timeout, check=False
    )


def issue(config: Path, out: Path, *more: str) -> dict[str, str]:
    """`token issue`: {"site/terminal": token}."""
    done = run("token", "issue", "--config", config, "--out", out, *more)
    assert done.returncode == 0, done.stderr
    tokens: dict[str, str] = json.loads(out.read_text())
    return tokens


def guarded_broker(config: Path, folder: Path, port: int) -> Mosquitto:
    """mosquitto with the configuration that we ship, and the passwords and the ACL of `token mosquitto`."""
    files = folder / "mosquitto-files"
    done = run("token", "mosquitto", "--config", config, "--out", files)
    assert done.returncode == 0, done.stderr
    lines = [line for line in SHIPPED.read_text().splitlines() if line and not line.startswith(("#", *_OWN))]
    broker = Mosquitto(folder, lines=lines, persistence=True, port=port)
    broker.password_file, broker.acl_file = files / "passwords", files / "acl"
    return broker


class Program(Service):
    """A subprocess of ours: what it says over HTTP, and how it ends."""

    def launch(self) -> Self:
        """Start without waiting for anything."""
        self._spawn()
        return self

    def end(self, number: signal.Signals = signal.SIGTERM, timeout: float = 10) -> int:
        """Send a signal and wait; answers the exit status."""
        process = self._process
        assert process is not None
        process.send_signal(number)
        status = process.wait(timeout)
        self.stop()
        return status

    def children(self) -> list[int]:
        """Processes below this one, now."""
        return _children(self.pid)

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{HOST}:{self.port}{path}", timeout=10) as response:
            text: str = response.read().decode()
        return text

    def samples(self, name: str, **labels: str) -> dict[str, float]:
        """All samples of this name with these labels: their text -> value."""
        found = {}
        for family in text_string_to_metric_families(self.get("/metrics")):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    found[json.dumps(sample.labels, ensure_ascii=False, sort_keys=True)] = sample.value
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """The one sample with these labels, None where there is none."""
        found = list(self.samples(name, **labels).values())
        assert len(found) < 2, f"{name}{labels} is not one sample"
        return found[0] if found else None


class Serving(Program, Monitor):
    """`serve` on a configuration of `write_config`."""

    def __init__(self, config: Path) -> None:
        settings = load(config).settings
        super().__init__(config, int(settings.http.listen.rpartition(":")[2]))
        self.evidence = Path(settings.evidence.folder)
        self.database = config.parent / "monitor.db"

    def is_up(self, site: str, terminal: str) -> bool:
        return self.value("zhdj_terminal_up", site=site, terminal=terminal) == 1

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of its SQLite file."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(statement, values).fetchall()

    def how(self, site: str, terminal: str) -> str:
        """How contact ended, of the outage that goes on; "" where none does."""
        found = self.query(
            "SELECT start_how FROM outage WHERE site = ? AND terminal = ? AND state = 'open'", site, terminal
        )
        assert len(found) < 2
        return str(found[0][0]) if found else ""

    def lines(self) -> list[dict[str, Any]]:
        """Everything in the evidence log that is whole, closed days included: a test may run over local midnight."""
        days: dict[str, Path] = {}
        for path in sorted(self.evidence.glob("*.jsonl")) + sorted(self.evidence.glob("*.jsonl.zst")):
            days.setdefault(plain_name(path), path)  # while a day is being closed, both are there
        found = []
        for name in sorted(days):
            path = days[name] if days[name].exists() else self.evidence / f"{name}.zst"  # closed meanwhile
            with open_log(path) as stream:
                text = stream.read().decode()
            found += [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return found


class Target:
    """A TCP listener that a test opens and closes: what is probed, or a canary."""

    def __init__(self) -> None:
        self.port = free_port()
        self._socket: socket | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> Self:
        listening = socket()
        listening.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        listening.bind((HOST, self.port))
        listening.listen(16)
        self._socket = listening
        self._thread = threading.Thread(target=self._accept, args=(listening,), daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        listening, thread = self._socket, self._thread
        if listening is None or thread is None:
            return
        self._socket = self._thread = None
        # One more connection wakes the thread, which then closes the socket.
        with suppress(OSError):
            create_connection((HOST, self.port), 1).close()
        thread.join(5)

    def _accept(self, listening: socket) -> None:
        with listening:
            while self._socket is listening:
                with suppress(OSError):
                    listening.accept()[0].close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Devices:
    """The fleet on a configuration, without faults of its own: the test says who is silent."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def silence(self, *names: str) -> None:
        """These `site/terminal` die without a word."""
        self._each(names, lambda actor: actor.down("test", Fault.SILENCE))

    def restore(self, *names: str) -> None:
        self._each(names, lambda actor: actor.up("test"))

    def _each(self, names: Sequence[str], act: Any) -> None:
        known = {f"{a.cast.site}/{a.cast.terminal}": a for a in self.fleet.actors}
        for name in names or known:
            act(known[name])


@asynccontextmanager
async def devices(config: Path, tokens: dict[str, str]) -> AsyncIterator[Devices]:
    """Every device of the configuration beats, and every target listens, while the block runs."""
    loaded = load(config)
    settings = loaded.settings
    doors = Doors(BrokerAddress(HOST, settings.mqtt.port), f"http://{settings.http.listen}", tokens)
    with TruthWriter(config.parent / "truth.jsonl") as truth:
        fleet = Fleet(loaded.inventory, doors, truth, seed=1, play="still")
        playing = asyncio.create_task(fleet.run())
        try:
            starting = asyncio.create_task(fleet.started.wait())
            await asyncio.wait({playing, starting}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                await playing  # it ends only with an error
            yield Devices(fleet)
        finally:
            playing.cancel()
            with suppress(asyncio.CancelledError):
                await playing

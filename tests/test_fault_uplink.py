"""The monitor's own line, really cut: the devices and the gateway are in a network namespace, and its cable is pulled.

(The same with a canary that stops answering: test_knowing.py.)
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import channels, counted, heard_since_restored, holds
from tests.services import Mosquitto, ServiceError, free_port, program, wait_for
from tests.serving import Row, Serving, beats, command, environment, issue, probe, write_config

EVERYWHERE = "0.0.0.0"  # noqa: S104  # the service must be heard behind the cable too


@dataclass(frozen=True)
class Cable:
    """`here` is the monitor's address, `there` the devices', `gateway` another one beside them."""

    name: str
    here: str
    there: str
    gateway: str

    def pull(self) -> None:
        """Out of the other side: ours loses its carrier and keeps its route."""
        _ip("-n", self.name, "link", "set", f"{self.name}b", "down")

    def plug(self) -> None:
        _ip("-n", self.name, "link", "set", f"{self.name}b", "up")


def _ip(*arguments: str) -> None:
    done = subprocess.run([program("ip"), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())


@contextmanager
def cable() -> Iterator[Cable]:
    """A namespace and a veth pair into it. Skips the test where nobody may make them."""
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    try:
        program("ip")
    except ServiceError:
        pytest.skip("ip is not here (Debian: iproute2)")
    number = os.getpid() % 250
    made = Cable(f"zh{os.getpid() % 10_000}", f"10.213.{number}.1", f"10.213.{number}.2", f"10.213.{number}.3")
    try:
        _ip("netns", "add", made.name)
    except OSError as error:
        pytest.skip(f"no network namespace can be made here: {error}")
    try:
        there = ("-n", made.name)
        _ip("link", "add", f"{made.name}a", "type", "veth", "peer", "name", f"{made.name}b", "netns", made.name)
        _ip("addr", "add", f"{made.here}/24", "dev", f"{made.name}a")
        for address in (made.there, made.gateway):
            _ip(*there, "addr", "add", f"{address}/24", "dev", f"{made.name}b")
        _ip(*there, "link", "set", "lo", "up")
        _ip("link", "set", f"{made.name}a", "up")
        made.plug()
        yield made
    finally:
        subprocess.run([program("ip"), "netns", "del", made.name], capture_output=True, check=False)
        subprocess.run([program("ip"), "link", "del", f"{made.name}a"], capture_output=True, check=False)


#: Accepts on each `address:port` and hangs up: what is probed, and the gateway.
ACCEPTING = """
import asyncio, sys
async def main():
    for host, _, port in (name.partition(":") for name in sys.argv[1:]):
        await asyncio.start_server(lambda reader, writer: writer.close(), host, int(port))
    await asyncio.Event().wait()
asyncio.run(main())
"""


@contextmanager
def inside(cable: Cable, said: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A program behind the cable."""
    with said.open("wb") as out:
        process = subprocess.Popen(
            [program("ip"), "netns", "exec", cable.name, *map(str, arguments)],
            env=environment(),
            stdout=out,
            stderr=out,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def config_behind(cable: Cable, config: Path, broker: int) -> Path:
    """The same county as its devices see it: the doors are at the monitor's address. Only those that beat."""
    there = config.parent / "there"
    there.mkdir()
    for path in config.iterdir():
        text = path.read_text(encoding="utf-8")
        if path.name == "monitor.toml":
            text = text.replace("127.0.0.1", cable.here).replace(EVERYWHERE, cable.here)
            text = re.sub(r"^port = .*", f"port = {broker}", text, flags=re.M)
        elif path.name == "checks.csv":
            text = "".join(line for line in text.splitlines(keepends=True) if ",tcp," not in line)
        (there / path.name).write_text(text, encoding="utf-8")
    return there


def play(service: Serving, made: Cable, fleet: subprocess.Popen[bytes], terminals: int, times: int) -> str:
    def all_up() -> bool:
        assert fleet.poll() is None, (service.config.parent / "fleet.log").read_text()
        return list(service.samples("zhdj_terminal_up").values()) == [1] * terminals

    wait_for(all_up, 30, "all behind the cable to be up", 0.2)
    blind = []
    for _ in range(times):
        made.pull()
        pulled = time.monotonic()
        wait_for(lambda: not any(channels(service).values()), 10, "all channels to be lost", 0.05)
        noticed = time.monotonic() - pulled
        while time.monotonic() - pulled < 7:  # twice anybody's patience
            assert not any(channels(service).values())
            assert service.samples("zhdj_terminal_up") == {}
            time.sleep(0.3)
        made.plug()
        wait_for(lambda: all(channels(service).values()), 30, "all channels to be back", 0.1)
        wait_for(all_up, 60, "all to be up again", 0.2)
        blind.append(f"noticed after {noticed:.1f} s, all up {time.monotonic() - pulled - 7:.1f} s after it was back")
    wait_for(lambda: len(heard_since_restored(service)) == terminals, 30, "all to be heard again", 0.2)
    assert all_up()
    return "; ".join(blind)


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.long)])
async def test_our_cable_is_pulled(tmp_path: Path, times: int) -> None:
    http = free_port()
    with cable() as made, Mosquitto(tmp_path, lines=()) as plain:
        outside = free_port()
        plain.stop()
        plain.lines.append(f"listener {outside} {made.here}")
        plain.start()
        checks: list[Row] = []
        for n in range(1, 5):
            checks += [beats(f"V{n}", "pc", "mqtt"), beats(f"V{n}", "mobile", "http", 1, 4)]
            checks.append(probe(f"V{n}", "tv", 7710 + n, host=made.there, failures=4))
        targets = [f"{made.gateway}:7709", *(f"{made.there}:{7710 + n}" for n in range(1, 5))]
        config = write_config(tmp_path, http=http, mqtt=outside, checks=checks, canaries=[f"tcp:{made.gateway}:7709"])
        toml = config / "monitor.toml"
        # The service listens everywhere, and talks to its broker on this machine.
        text = toml.read_text(encoding="utf-8").replace(f"port = {outside}", f"port = {plain.port}")
        toml.write_text(text.replace(f"127.0.0.1:{http}", f"{EVERYWHERE}:{http}"), encoding="utf-8")
        issue(config, tmp_path / "tokens.json")
        service = Serving(config)
        try:
            there = config_behind(made, config, outside)
            play_there = command(
                *("simulate", "--config", there, "--truth", tmp_path / "truth.jsonl", "--script", "still"),
                *("--tokens", tmp_path / "tokens.json", "--control", f"127.0.0.1:{free_port()}"),
            )
            with (
                inside(made, tmp_path / "targets.log", sys.executable, "-c", ACCEPTING, *targets),
                inside(made, tmp_path / "fleet.log", *play_there) as fleet,
            ):
                await asyncio.to_thread(service.start)
                said = await asyncio.to_thread(play, service, made, fleet, len(checks), times)
                assert await asyncio.to_thread(service.end) == 0
        finally:
            service.close()
        held = await holds(config, f"sqlite+aiosqlite:///{service.database}")
    # While the fleet was on its way, some were called down, rightly; nobody after that.
    first_cut = min(r[2] for r in held.rows["loss"] if r[1] == 1)
    late = [row for row in held.rows["outage"] if row[3] >= first_cut - 3_000]
    assert late == [], late
    counted(f"{said}; {held.beats} beats, no outage")

"""What the tests of faults share: a disk that fills up, and what must hold after each fault (I3, and the log decides).

with small_disk(tmp_path / "disk", kib=256) as disk:
    with disk.full():
        ...
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from monitor.core.figures import Figures
from monitor.core.sites import CHANNELS
from monitor.evidence.reading import read_lines, trace_files
from monitor.flows.judging import Judge
from monitor.flows.replay import figures, rebuild
from monitor.inventory.load import Loaded, load
from monitor.store.database import opened
from monitor.store.view import View
from tests.dump import rows
from tests.services import wait_for
from tests.serving import Program, Serving

Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Held:
    """What stands at the end: the rows of the database, the figures of the whole log, how many beats it holds."""

    rows: Rows
    figures: Figures
    beats: int

    @property
    def outages(self) -> dict[str, int]:
        """`site/terminal` -> how many outages there are, or ever were thought to be."""
        found: dict[str, int] = {}
        for _, site, kind, *_ in self.rows["outage"]:
            found[f"{site}/{kind}"] = found.get(f"{site}/{kind}", 0) + 1
        return found


async def holds(config: Path | Loaded, database: str, logs: Path | None = None) -> Held:
    """After any fault: the log replays to the database's rows, and each terminal's seconds add up exactly (I3).

    For configurations without service hours, in which every millisecond counts.
    """
    loaded = config if isinstance(config, Loaded) else load(config, serving=False)
    folder = logs or Path(loaded.settings.evidence.folder)
    with TemporaryDirectory() as fresh:
        url = f"sqlite+aiosqlite:///{fresh}/rebuilt.db"
        async with opened(url) as engine:
            view = View(engine, loaded.settings.observer)
            await view.number_checks(loaded.inventory)
            await rebuild(view, Judge(loaded), [folder], torn_end=True)
        mine, anew = await rows(database), await rows(url)
    for table, found in anew.items():
        assert mine[table] == found, table
    instants, beats = [], 0
    for path in trace_files([folder]):
        for read in read_lines(path, torn_end=True):
            instants.append(read.at)
            beats += type(read.line).__name__ == "HeartbeatLine"
    period = (instants[0], instants[-1] + 1)
    async with opened(database) as engine:
        counted = await figures(engine, loaded, period)
    assert len(counted.terminals) == len(loaded.inventory.terminals)
    for one in counted.terminals:
        m = one.measure
        assert m.up + m.down + m.unknown + m.planned == period[1] - period[0], one
    return Held(mine, counted, beats)


@dataclass(frozen=True)
class Disk:
    """A folder with so little room."""

    folder: Path

    @contextmanager
    def full(self) -> Iterator[None]:
        """Not a byte is left while the block runs."""
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (65_536, 4_096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue
        try:
            yield
        finally:
            filler.unlink()


@contextmanager
def small_disk(folder: Path, kib: int, user: int = 0) -> Iterator[Disk]:
    """A tmpfs of its own at `folder`. Skips the test where nobody may mount one."""
    if os.geteuid() != 0:
        pytest.skip("a small disk needs root: it is mounted")
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k,uid={user},mode=755", "zhdj-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


#: What begins a line of a test's output that the run shows at its end (conftest.py).
COUNTED = "counted: "


def counted(text: str) -> None:
    """Say how much was played, and what became of it: how many kills, beats, losses."""
    print(f"{COUNTED}{text}")


def reasons(service: Program) -> list[str]:
    """What /readyz says is missing; empty: ready."""
    status, body = ask(service, "/readyz")
    found: list[str] = body["reasons"]
    assert status == (503 if found else 200)
    return found


def ask(service: Program, path: str, timeout: float = 10) -> tuple[int, Any]:
    """Status and body (JSON where it is), also of an error."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.port}{path}", timeout=timeout) as answer:
            status, data = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, data = error.code, error.read()
    text = data.decode()
    return status, json.loads(text) if text.startswith(("{", "[")) else text


def channels(service: Serving) -> dict[str, bool]:
    return {name: service.value("zhdj_channel_observed", channel=name) == 1 for name in CHANNELS}


def heard(service: Program, via: str = "mqtt") -> float:
    """Beats taken since it started."""
    return service.value("zhdj_heartbeats_received_total", via=via) or 0


def heard_since_restored(service: Serving) -> set[tuple[str, str]]:
    """Who gave evidence after its channel came back: no silence behind it can still become an outage."""
    found: dict[str, set[tuple[str, str]]] = {name: set() for name in CHANNELS}
    for line in service.lines():
        if line["type"] == "channel":
            found[line["channel"]].clear()
        elif line["type"] == "heartbeat" or (line["type"] == "probe" and line["ok"]):
            found[line.get("via", "probe")].add((line["site"], line["terminal"]))
    return set().union(*found.values())


def refused(service: Program, via: str, reason: str) -> float:
    return service.value("zhdj_heartbeats_rejected_total", via=via, reason=reason) or 0


def resident_mb(service: Program) -> float:
    return (service.value("process_resident_memory_bytes") or 0) / 1e6


def let_live(service: Program, seconds: float, via: str = "mqtt", per_s: float = 1) -> None:
    """Until that many seconds' worth of beats was taken: so long has the service really lived."""
    before = heard(service, via)
    wait_for(lambda: heard(service, via) >= before + seconds * per_s, 4 * seconds + 20, f"{seconds} s of beats", 0.1)

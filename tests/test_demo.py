"""What `make run` starts: the county within two minutes, a township cut off and restored, and a clean end."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from monitor.cli.demo import ourselves
from monitor.fleet.truth import read_truth
from monitor.inventory.load import load
from tests.services import HOST, free_port, wait_for
from tests.serving import Program, command, environment, run

#: The one that README cuts off: 普安镇, with its own site and 29 villages.
TOWNSHIP = "511723101"


class Demo(Program):
    """`python -m monitor demo` in its own folder, on ports of its own."""

    name: ClassVar[str] = "demo"
    stop_signal = signal.SIGINT

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, port=free_port())
        self.control = f"{HOST}:{free_port()}"
        # Below those that the kernel gives to others, and each worker's own.
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        self.targets = 20_000 + 10 * worker
        self.mqtt = free_port()

    def command(self) -> Sequence[str]:
        here = ["--listen", f"{HOST}:{self.port}", "--control", self.control]
        return [
            *("env", f"PYTHONPATH={environment()['PYTHONPATH']}"),
            *command("demo", *here, "--mqtt-port", self.mqtt, "--target-port", self.targets, "--seed", 7),
        ]

    def ready(self) -> bool:
        return "metrics" in self.output()

    def told(self, what: str) -> list[str]:
        """The command that it prints for `what`."""
        (line,) = [text for text in self.output().splitlines() if text.strip().startswith(what)]
        return shlex.split(line.strip().removeprefix(what))

    def states(self, township: str = "") -> dict[str, int]:
        """State -> sites in it."""
        labels = {"township": township} if township else {}
        found: dict[str, int] = {}
        for text, value in self.samples("zhdj_site_state", **labels).items():
            if value:
                state = json.loads(text)["state"]
                found[state] = found.get(state, 0) + 1
        return found


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    service = Demo(tmp_path)
    try:
        yield service.start()
    finally:
        service.kill()


def test_the_county_within_two_minutes(demo: Demo) -> None:
    """All in one, since it takes two processes and 700 devices to set the stage."""

    def seen(states: dict[str, int]) -> bool:
        return states.get("online", 0) + states.get("impaired", 0) >= 0.95 * 234

    wait_for(lambda: seen(demo.states()), 120, "the county to show", every=0.5)
    assert sum(demo.states().values()) == 234
    assert demo.value("zhdj_uplink_up", township=TOWNSHIP) == 1
    page = demo.get("/")
    assert "演示数据" in page
    assert "普安镇" in page

    # As it is told to whoever looks at it, from where they are.
    cut_off, restore = demo.told("cut off"), demo.told("restore")
    assert cut_off[-5:] == ["fleet", "cut", TOWNSHIP, "--control", demo.control]
    done = subprocess.run(cut_off, capture_output=True, text=True, env=environment(), cwd=demo.folder, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    # By the rules: pc 15 s, tv three probes, mobile 30 s after its last beat.
    wait_for(lambda: demo.states(TOWNSHIP) == {"offline": 30}, 60, "the township to be offline", every=0.5)
    assert demo.value("zhdj_uplink_up", township=TOWNSHIP) == 0
    others = {k: n - (30 if k == "offline" else 0) for k, n in demo.states().items()}
    assert others.get("online", 0) + others.get("impaired", 0) >= 0.95 * (234 - 30)

    done = subprocess.run(restore, capture_output=True, text=True, env=environment(), cwd=demo.folder, check=False)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: demo.states(TOWNSHIP).get("offline", 0) <= 1, 60, "the township to be back", every=0.5)
    wait_for(lambda: demo.value("zhdj_uplink_up", township=TOWNSHIP) == 1, 30, "its line to be up", every=0.5)

    # A second one in the same folder leaves all of it alone.
    config = demo.folder / "var" / "demo" / "config" / "monitor.toml"
    before = config.stat()
    done = run("demo", "--folder", demo.folder / "var" / "demo", "--listen", f"{HOST}:{free_port()}")
    assert done.returncode == 2
    assert "runs in" in done.stderr
    assert (config.stat().st_mtime_ns, config.stat().st_ino) == (before.st_mtime_ns, before.st_ino)

    children = demo.children()
    assert len(children) == 1
    assert demo.end(signal.SIGINT, timeout=20) == 0
    assert "Traceback" not in demo.tail(10_000)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    # Every terminal of the township stands in the truth with both its ends; what was down at the end has none.
    folder = demo.folder / "var" / "demo"
    sites = load(folder / "config").inventory.sites
    cut = [d for d in read_truth(folder / "truth.jsonl") if sites[d.site].township_code == TOWNSHIP]
    assert len({d.key for d in cut}) == 90
    assert sum(d.down_to is not None for d in cut) > 80


def test_a_fleet_that_ends_ends_the_demonstration(tmp_path: Path) -> None:
    """It cannot have its control's address: without devices there is nothing to show."""
    demo = Demo(tmp_path)
    with socket.socket() as taken:
        taken.bind((HOST, int(demo.control.rpartition(":")[2])))
        taken.listen()
        done = subprocess.run(
            list(demo.command()), capture_output=True, text=True, cwd=tmp_path, timeout=90, check=False
        )
    assert done.returncode == 2
    assert f"cannot listen on {demo.control}" in done.stderr
    assert "the simulated fleet ended (status 2)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (".venv/bin/zhdj-monitor", ".venv/bin/zhdj-monitor"),
        ("{here}/.venv/bin/zhdj-monitor", ".venv/bin/zhdj-monitor"),
        ("/somewhere else/zhdj-monitor", "'/somewhere else/zhdj-monitor'"),
        ("{here}/on-path/zhdj-monitor", "zhdj-monitor"),
        ("/x/monitor/__main__.py", f"{sys.executable} -m monitor"),
    ],
)
def test_a_command_is_shown_as_it_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, expected: str
) -> None:
    folder = tmp_path / "on-path"
    folder.mkdir()
    (folder / "zhdj-monitor").touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "argv", [program.format(here=tmp_path)])
    assert ourselves() == expected

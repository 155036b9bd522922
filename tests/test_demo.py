"""What `make run` starts: the county within two minutes, a township cut off and restored, and a clean end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

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
    """The only test of this file, since it takes two processes and 700 devices to set the stage."""

    def seen(states: dict[str, int]) -> bool:
        return states.get("online", 0) + states.get("impaired", 0) >= 0.95 * 234

    wait_for(lambda: seen(demo.states()), 120, "the county to show", every=0.5)
    assert sum(demo.states().values()) == 234
    assert demo.value("zhdj_uplink_up", township=TOWNSHIP) == 1
    page = demo.get("/")
    assert "演示数据" in page
    assert "普安镇" in page

    done = run("fleet", "cut", TOWNSHIP, "--control", demo.control)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    # By the rules: pc 15 s, tv three probes, mobile 30 s after its last beat.
    wait_for(lambda: demo.states(TOWNSHIP) == {"offline": 30}, 60, "the township to be offline", every=0.5)
    assert demo.value("zhdj_uplink_up", township=TOWNSHIP) == 0
    others = {k: n - (30 if k == "offline" else 0) for k, n in demo.states().items()}
    assert others.get("online", 0) + others.get("impaired", 0) >= 0.95 * (234 - 30)

    done = run("fleet", "restore", TOWNSHIP, "--control", demo.control)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: demo.states(TOWNSHIP).get("offline", 0) <= 1, 60, "the township to be back", every=0.5)
    wait_for(lambda: demo.value("zhdj_uplink_up", township=TOWNSHIP) == 1, 30, "its line to be up", every=0.5)

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

"""The yardstick for a month's figures and for disk: the same outages as 0/1 series in a real Prometheus.

Filling it takes minutes, so only with `--prometheus`.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import NamedTuple

from tests.bench.county import HOUR, MONTH, OUTAGES, county, outages
from tests.services import Prometheus, program

#: Seconds between two samples of a terminal.
STEP_S = 30
#: Megabytes a site-year, as measured so before (docs/benchmarks.md).
MB_SITE_YEAR = 1.72


class Measured(NamedTuple):
    """`seconds` of the query; `mb`: megabytes that a site of three terminals takes in a year."""

    seconds: float
    mb: float


_known: list[Measured] = []


def in_prometheus(folder: Path) -> Measured:
    """Measured once a run, whoever asks."""
    if not _known:
        _known.append(_measure(folder))
    return _known[0]


def _measure(folder: Path) -> Measured:
    """`avg_over_time` over the month of tests/bench/month.py with the same outages, a 0/1 series a terminal."""
    loaded = county()
    keys = list(loaded.inventory.terminals)
    down: dict[int, list[tuple[int, int]]] = {}
    for number, start, end in outages(len(keys), OUTAGES, MONTH):
        down.setdefault(number, []).append((start, end))
    text = folder / "month.om"
    with text.open("w") as sink:
        sink.write("# TYPE up gauge\n")
        for number, (site, kind) in enumerate(keys):
            mine = iter(down.get(number, []))
            current = next(mine, None)
            phase = random.Random(number).randrange(STEP_S * 1000)
            for at in range(MONTH[0] + phase, MONTH[1], STEP_S * 1000):
                while current is not None and at >= current[1]:
                    current = next(mine, None)
                value = 0 if current is not None and current[0] <= at else 1
                sink.write(f'up{{site="{site}",terminal="{kind}"}} {value} {at / 1000:.3f}\n')
        sink.write("# EOF\n")
    server = Prometheus(folder, "global: {}\n")
    data = server.folder / "data"
    create = [program("promtool"), "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics"]
    subprocess.run([*create, str(text), str(data)], check=True, capture_output=True, timeout=1800)
    text.unlink()
    size = sum(f.stat().st_size for f in data.rglob("*") if f.is_file())
    with server:
        asked = {"query": f"avg_over_time(up[{(MONTH[1] - MONTH[0]) // HOUR}h])", "time": MONTH[1] / 1000}
        query = urllib.parse.urlencode(asked)
        taken = []
        for _ in range(3):
            begun = time.perf_counter()
            with urllib.request.urlopen(f"{server.base}/api/v1/query?{query}", timeout=120) as answer:
                found = json.load(answer)["data"]["result"]
            taken.append(time.perf_counter() - begun)
        assert len(found) == len(keys), found
    return Measured(sorted(taken)[1], size / len(keys) * 3 * 365 / 31 / 1e6)

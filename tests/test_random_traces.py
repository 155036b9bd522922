"""Whole traces of random counties, as `replay` answers them, against the naive model that judges every second."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

import pytest

from monitor.clock import from_iso
from monitor.flows.replay import replay
from monitor.inventory.load import load
from monitor.publish.answer import answer
from tests import model, random_traces
from tests.faults import counted


async def answered(case: random_traces.Case, lines_a_cut: int) -> dict[str, Any]:
    """What `zhdj-monitor replay` prints."""
    loaded = load(case.folder, serving=False)
    period = (from_iso(case.start), from_iso(case.end))
    figures, refused = await replay(loaded, [case.folder / "trace.jsonl"], period, lines_a_cut=lines_a_cut)
    found: dict[str, Any] = json.loads(json.dumps(answer(figures, dict(refused))))
    return found


def differences(expected: Any, found: Any, path: str = "") -> list[str]:
    """Where `found` is not as expected. Further keys in it are welcome."""
    if isinstance(expected, dict):
        return [d for key, value in expected.items() for d in differences(value, found.get(key), f"{path}.{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            d for n, both in enumerate(zip(expected, found, strict=True)) for d in differences(*both, f"{path}[{n}]")
        ]
    return [] if expected == found else [f"{path}: expected {expected!r}, found {found!r}"]


async def one(seed: int, folder: Path, longest: int) -> bool:
    """Whether the seed gave a trace at all. Raises AssertionError with the seed; the case is left in the folder."""
    rnd = Random(seed)
    case = random_traces.draw(rnd, folder / "case", longest)
    if not case.lines:
        return False
    expected = model.replay(case.folder, case.lines, case.start, case.end, lambda day: day.weekday() < 5)
    found = await answered(case, rnd.choice((1, 7, 100, 50_000)))
    wrong = differences({key: expected[key] for key in ("terminals", "sites", "maintenance")}, found)
    wrong += differences(expected["rejected"], sum(found["refused"].values()), "refused")
    assert wrong == [], f"seed {seed}, {case.folder} {case.start} {case.end}: " + "; ".join(wrong[:5])
    shutil.rmtree(case.folder)
    return True


async def many(folder: Path, seconds: float, longest: int) -> None:
    """New ones in every run; a seed that failed can be named to `one`."""
    ends, cases = time.monotonic() + seconds, 0
    first = SystemRandom().randrange(1 << 32)
    while time.monotonic() < ends:
        cases += await one(first + cases, folder, longest)
    counted(f"{cases} traces from seed {first} on")
    assert cases > 0


async def test_random_traces(tmp_path: Path) -> None:
    await many(tmp_path, 15, 8_000)


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_many_random_traces(tmp_path: Path) -> None:
    await many(tmp_path, 600, 100_000)

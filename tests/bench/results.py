"""What a benchmark answers, and how its figures are taken.

Figures are medians of several rounds, because one round on a shared machine says little; CPU time where it can be,
because others may have the processor meanwhile. Ratios travel better between machines than figures.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Target:
    """What must be reached: of the ratio to the yardstick, or of the value itself where there is none."""

    of: Literal["ratio", "value"]
    at: Literal["most", "least"]
    limit: float

    def met(self, reached: float) -> bool:
        return reached <= self.limit if self.at == "most" else reached >= self.limit

    def __str__(self) -> str:
        return f"{self.of} {'≤' if self.at == 'most' else '≥'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Result:
    """`yardstick` is what the same work costs otherwise, measured in the same run, in the same unit."""

    name: str
    value: float
    unit: str
    yardstick: float | None = None
    target: Target | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.yardstick if self.yardstick else None

    @property
    def met(self) -> bool | None:
        """None where nothing is promised, or the yardstick could not be had."""
        reached = self.ratio if self.target and self.target.of == "ratio" else self.value
        return self.target.met(reached) if self.target and reached is not None else None

    def row(self) -> dict[str, object]:
        """As in var/bench.json."""
        return {
            **asdict(self),
            "ratio": self.ratio,
            "target": str(self.target) if self.target else None,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class How:
    """What was asked for. `quick`: shorter rounds; `prometheus`: also what needs a month in a real Prometheus."""

    quick: bool = False
    prometheus: bool = False
    #: Where a benchmark may leave files: an empty folder that is removed afterwards.
    folder: Path = Path("/tmp")

    def rounds(self, many: int) -> int:
        return max(1, many // 3) if self.quick else many


class Skipped(Exception):  # no error: the text says what is missing
    """This benchmark cannot be run here."""


Bench = Callable[[How], Iterable[Result]]


def most(limit: float, of: Literal["ratio", "value"] = "value") -> Target:
    return Target(of, "most", limit)


def least(limit: float, of: Literal["ratio", "value"] = "value") -> Target:
    return Target(of, "least", limit)


def cpu_s(work: Callable[[], object], rounds: int = 5) -> float:
    """CPU seconds of one call: the median."""
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def seconds_each(work: Callable[[], object], count: int, rounds: int = 7) -> float:
    """CPU seconds of one call: the median of `rounds` rounds of `count` calls."""

    def all_of_them() -> None:
        for _ in range(count):
            work()

    return cpu_s(all_of_them, rounds) / count


def paired(rounds: int, *works: Callable[[], float]) -> list[float]:
    """Each work's median over rounds in which all take their turns, so that a slow moment hits all."""
    taken = [[work() for work in works] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*taken, strict=True)]


class Child:
    """`python -m tests.bench.child WHAT JSON`: a process of its own, whose CPU and memory are its own.

    It talks in JSON lines; `told()` waits for the next one.
    """

    def __init__(self, what: str, **arguments: Any) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.child", what, json.dumps(arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment,
        )  # fmt: skip

    def told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a benchmark's process ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tell(self, line: str = "") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def in_child(what: str, **arguments: Any) -> dict[str, Any]:
    """One answer of a process of its own."""
    with Child(what, **arguments) as child:
        return child.told()

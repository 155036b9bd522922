"""`make bench`: measures, each beside a yardstick of the same run; a table, and var/bench.json.

A benchmark is a function in BENCHMARKS that answers a Result. Figures are medians of several rounds, because
one round on a shared machine says little; ratios travel better between machines than figures.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Console
from rich.progress import track
from rich.table import Table

OUTPUT = Path("var/bench.json")


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


def seconds_each(work: Callable[[], object], count: int, rounds: int = 7) -> float:
    """CPU seconds of one call: the median of `rounds` rounds of `count` calls."""
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(count):
            work()
        taken.append((time.process_time() - start) / count)
    return statistics.median(taken)


def parse_heartbeat_line() -> Result:
    """Why evidence is parsed with msgspec: the same line with the standard library's json."""
    line = (
        b'{"boot":"6f1c","seq":4711,"sent_at":1790812800000,"uptime_s":86400,"version":"1.2.0",'
        b'"services":{"video_conference":"ok","learning":"na"}}'
    )
    decoder = msgspec.json.Decoder()
    return Result(
        name="decode a heartbeat (msgspec; yardstick: json)",
        value=seconds_each(lambda: decoder.decode(line), 20_000) * 1e6,
        unit="µs",
        yardstick=seconds_each(lambda: json.loads(line), 20_000) * 1e6,
        target=Target("ratio", "most", 0.7),
    )


BENCHMARKS: list[Callable[[], Result]] = [parse_heartbeat_line]


def main() -> int:
    """Exit status 1 if a target is missed."""
    progress = Console(stderr=True)
    results = [bench() for bench in track(BENCHMARKS, "measuring", console=progress, disable=not progress.is_terminal)]
    table = Table("what", "value", "yardstick", "ratio", "target", "met")
    for result in results:
        table.add_row(
            result.name,
            f"{result.value:.3g} {result.unit}",
            "" if result.yardstick is None else f"{result.yardstick:.3g} {result.unit}",
            "" if result.ratio is None else f"{result.ratio:.2f}",
            str(result.target or ""),
            {True: "yes", False: "NO", None: ""}[result.met],
        )
    Console().print(table)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps([result.row() for result in results], ensure_ascii=False, indent=2) + "\n", "utf-8")
    return 1 if any(result.met is False for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())

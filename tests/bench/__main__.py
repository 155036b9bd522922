"""`make bench`: measures, each beside a yardstick of the same run; a table, and var/bench.json.

    python -m tests.bench [--quick] [--prometheus] [--only PART ...]

Exit status 1 if a target is missed. docs/benchmarks.md has the table, and why what is missed is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from tests.bench.chains import chains
from tests.bench.disk import disk
from tests.bench.exposition import exposition
from tests.bench.http import http_beats
from tests.bench.ledger import cost_ledger
from tests.bench.load import large_county
from tests.bench.log import evidence_log
from tests.bench.month import month_figures
from tests.bench.mqtt import mqtt_beats
from tests.bench.probes import probes
from tests.bench.reports import reports
from tests.bench.results import Bench, How, Result, Skipped, most, seconds_each

OUTPUT = Path("var/bench.json")


def parsing(_: How) -> list[Result]:
    """Why evidence is parsed with msgspec: the same line with the standard library's json."""
    line = (
        b'{"boot":"6f1c","seq":4711,"sent_at":1790812800000,"uptime_s":86400,"version":"1.2.0",'
        b'"services":{"video_conference":"ok","learning":"na"}}'
    )
    decoder = msgspec.json.Decoder()
    value = seconds_each(lambda: decoder.decode(line), 20_000) * 1e6
    yardstick = seconds_each(lambda: json.loads(line), 20_000) * 1e6
    return [Result("decode a heartbeat (msgspec; yardstick: json)", value, "µs CPU", yardstick, most(0.7, "ratio"))]


BENCHMARKS: dict[str, Bench] = {
    "parsing": parsing,
    "mqtt": mqtt_beats,
    "http": http_beats,
    "load": large_county,
    "probes": probes,
    "metrics": exposition,
    "month": month_figures,
    "reports": reports,
    "disk": disk,
    "log": evidence_log,
    "chains": chains,
    "ledger": cost_ledger,
}


def measure(parts: list[str], quick: bool, prometheus: bool, console: Console) -> list[Result]:
    """All results; what cannot be had here is said, and left out."""
    results: list[Result] = []
    for part in parts:
        if console.is_terminal:
            console.print(f"measuring: {part}")
        with tempfile.TemporaryDirectory(prefix="zhdj-bench-") as folder:
            try:
                results += BENCHMARKS[part](How(quick, prometheus, Path(folder)))
            except Skipped as why:
                console.print(f"left out of {part}: {why}")
    return results


def shown(results: list[Result]) -> Table:
    table = Table("what", "value", "yardstick", "ratio", "target", "met")
    for result in results:
        table.add_row(
            result.name,
            f"{result.value:,.3g} {result.unit}" if result.value < 1000 else f"{result.value:,.0f} {result.unit}",
            "" if result.yardstick is None else f"{result.yardstick:,.4g}",
            "" if result.ratio is None else f"{result.ratio:.3g}",
            str(result.target or ""),
            {True: "yes", False: "NO", None: ""}[result.met],
        )
    return table


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--quick", action="store_true", help="shorter rounds")
    parser.add_argument(
        "--prometheus", action="store_true", help="fill a real Prometheus with the month, too (minutes)"
    )
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), help="these parts")
    given = parser.parse_args()
    results = measure(given.only, given.quick, given.prometheus, Console(stderr=True))
    Console(width=None if sys.stdout.isatty() else 180).print(shown(results))
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps([result.row() for result in results], ensure_ascii=False, indent=2) + "\n", "utf-8")
    return 1 if any(result.met is False for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())

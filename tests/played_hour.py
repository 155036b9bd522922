"""The played hour: who plays, the configuration that the service reads, and what must hold in the end.

At scale 1/30: I = 2 s, G = 3 s, probes every 2 s with 3 failures; 40 devices of each class; two minutes.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from monitor.core.sites import Check, Inventory, Level, Site, Terminal
from monitor.fleet.compare import Comparison, Judged, Key, Sight, compare
from monitor.fleet.script import Behaviour, Cast, Episode, script
from monitor.fleet.truth import Down

HOUR_S = 3_600
#: Made for I = 60 s at scale 1 (fleet/script.py, HOUR_DOWN_MS).
INTERVAL_MS, GRACE_MS, FAILURES = 60_000, 90_000, 3
DEVICES = 40
TOWNSHIPS = 10

OUTAGES_AT_LEAST = 150
MEAN_WITHIN = 0.1
NONE_BEYOND = 2.0


@dataclass(frozen=True, slots=True)
class PlayedHour:
    """One play. `scale`: 1/30 makes it two minutes. Probe targets take `port` on addresses 127.78.x.y."""

    seed: int = 1
    scale: float = 1 / 30
    devices: int = DEVICES
    port: int = 7708

    @property
    def duration_s(self) -> float:
        return HOUR_S * self.scale

    @property
    def casts(self) -> list[Cast]:
        """Half of the silent classes speak HTTP; wills over MQTT, some of the goodbyes over HTTP."""
        found: list[Cast] = []
        for behaviour in Behaviour:
            for number in range(self.devices):
                silent = behaviour in (Behaviour.PLAIN, Behaviour.BIRTH)
                http = number % 2 == 0 if silent else number % 5 == 0
                via = "probe" if behaviour is Behaviour.PROBE else "http" if http else "mqtt"
                found.append(Cast(f"{behaviour}-{number:02d}", _KIND[via], via, behaviour))
        return found

    @property
    def behaviours(self) -> dict[Key, Behaviour]:
        return {(c.site, c.terminal): c.behaviour for c in self.casts}

    def script(self, cast: Cast) -> list[Episode]:
        return list(script("hour", self.seed, cast, round(self.duration_s * 1000), self.scale))

    @property
    def inventory(self) -> Inventory:
        sites = [Site("C1", "C1", Level.COUNTY, "C", "C")]
        sites += [Site(f"T{n}", f"T{n}", Level.TOWNSHIP, f"T{n}", f"T{n}", "C1") for n in range(TOWNSHIPS)]
        terminals, checks = [], []
        for number, cast in enumerate(self.casts):
            code = f"T{number % TOWNSHIPS}"
            sites.append(Site(cast.site, cast.site, Level.VILLAGE, code, code, code))
            terminals.append(Terminal(cast.site, cast.terminal))
            target = f"127.78.{1 + number // 250}.{1 + number % 250}:{self.port}" if cast.via == "probe" else ""
            checks.append(
                Check(
                    cast.site,
                    cast.terminal,
                    "tcp" if cast.via == "probe" else f"heartbeat-{cast.via}",
                    target,
                    round(INTERVAL_MS * self.scale),
                    0 if cast.via == "probe" else round(GRACE_MS * self.scale),
                    FAILURES if cast.via == "probe" else 1,
                )
            )
        return Inventory.of(sites, terminals, checks)

    @property
    def sights(self) -> dict[Key, Sight]:
        return {key: Sight.of(checks) for key, checks in self.inventory.checks_of.items()}

    def write(self, folder: Path, settings: str) -> None:
        """The service's own files; `settings` is the text of monitor.toml (listeners, broker, database)."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "monitor.toml").write_text(settings, encoding="utf-8")
        inventory = self.inventory
        _write(
            folder / "sites.csv",
            ["site_id", "name", "level", "township_code", "township_name", "uplink"],
            (
                [s.site_id, s.name, s.level, s.township_code, s.township_name, s.uplink]
                for s in inventory.sites.values()
            ),
        )
        _write(
            folder / "terminals.csv",
            ["site_id", "terminal"],
            ([t.site_id, t.kind] for t in inventory.terminals.values()),
        )
        _write(
            folder / "checks.csv",
            ["site_id", "terminal", "check", "target", "interval_s", "grace_s", "failures"],
            (
                [c.site_id, c.terminal, c.check, c.target, c.interval_ms // 1000]
                + ([c.grace_ms // 1000, ""] if c.is_heartbeat else ["", c.failures])
                for c in inventory.checks.values()
            ),
        )


_KIND: Mapping[str, str] = {"mqtt": "pc", "http": "mobile", "probe": "tv"}


def assert_played_hour(hour: PlayedHour, judged: Iterable[Judged], truth: Iterable[Down], until_ms: int) -> str:
    """Each class against the truth, as issue 2 asks for; answers a table for people.

    Nothing invented, nothing missed that the rules could see, the mean length error within 0.1 interval of the
    bias that docs/rules.md §2 expects, none beyond two intervals, 150 outages at least.
    """
    answer = compare(judged, truth, hour.sights, until_ms)
    table = ["class   outages  expected    mean  largest"]
    faults: list[str] = []
    for behaviour in Behaviour:
        keys = [key for key, played in hour.behaviours.items() if played is behaviour]
        part = answer.of(keys)
        table.append(
            f"{behaviour:7} {len(part.errors):7d} {behaviour.expected_bias:9.1f}"
            f" {part.mean_error:+7.3f} {part.largest_error:8.3f}"
        )
        faults += [f"{behaviour}: {text}" for text in _faults(part, behaviour.expected_bias)]
    strangers = [j for j in answer.invented if j.key not in hour.behaviours]
    faults += [f"outage of a stranger: {j}" for j in strangers]
    told = "\n".join(table)
    assert not faults, f"{told}\n" + "\n".join(faults)
    return told


def _faults(part: Comparison, bias: float) -> list[str]:
    found = [f"invented {_at(j.key, j.start_ms, j.end_ms)}" for j in part.invented]
    found += [f"missed {_at(d.key, d.down_from, d.down_to)}" for d in part.missed]
    found += [
        f"off by {m.error:.2f} intervals: {_at(m.key, *m.judged)} for {_at(m.key, *m.real)}"
        for m in part.matched
        if m.error is not None and abs(m.error) > NONE_BEYOND
    ]
    if len(part.errors) < OUTAGES_AT_LEAST:
        ways = Counter("going on" if m.error is None else "over" for m in part.matched)
        found.append(f"{len(part.errors)} outages, expected {OUTAGES_AT_LEAST} at least ({dict(ways)})")
    # Not "greater": NaN must not pass.
    if not abs(part.mean_error - bias) <= MEAN_WITHIN:
        found.append(f"mean length error {part.mean_error:.3f}, expected {bias} ± {MEAN_WITHIN}")
    return found


def _at(key: Key, start: int, end: int | None) -> str:
    return f"{'/'.join(key)} [{start}, {end})"


def _write(path: Path, columns: list[str], rows: Iterable[list[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)

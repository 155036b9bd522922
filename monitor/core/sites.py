"""What is watched: sites 站点, terminals 机位 and their checks 检测项 (docs/rules.md §1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


class Level(StrEnum):
    """The level of a site, in the order in which reports list them."""

    COUNTY = "county"
    TOWNSHIP = "township"
    VILLAGE = "village"


class Kind(StrEnum):
    """The kind of a terminal: 数字电视, 移动终端, PC 端."""

    TV = "tv"
    MOBILE = "mobile"
    PC = "pc"


#: A row of checks.csv may watch the line of a township instead of a terminal: not a position, no verdict.
UPLINK = "uplink"

CHANNELS = ("mqtt", "http", "probe")
HEARTBEATS: Mapping[str, str] = {"heartbeat-mqtt": "mqtt", "heartbeat-http": "http"}


@dataclass(frozen=True, slots=True)
class Site:
    """One of the places. Days are local: `commissioned_on` is the first in service, `retired_on` the first not."""

    site_id: str
    name: str
    level: Level
    township_code: str
    township_name: str
    uplink: str = ""
    commissioned_on: date | None = None
    retired_on: date | None = None


@dataclass(frozen=True, slots=True)
class Terminal:
    """One position 机位 at a site; its own dates narrow those of its site."""

    site_id: str
    kind: str
    commissioned_on: date | None = None
    retired_on: date | None = None
    model: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return (self.site_id, self.kind)


@dataclass(frozen=True, slots=True)
class Check:
    """One way to watch a terminal. `interval_ms`, `grace_ms`: milliseconds; `failures`: results in a row."""

    site_id: str
    terminal: str
    check: str
    target: str = ""
    interval_ms: int = 60_000
    grace_ms: int = 0
    failures: int = 1

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.site_id, self.terminal, self.check)

    @property
    def channel(self) -> str:
        return HEARTBEATS.get(self.check, "probe")

    @property
    def is_heartbeat(self) -> bool:
        return self.check in HEARTBEATS

    @property
    def life_ms(self) -> int:
        """How long a probe's result holds (docs/rules.md §3)."""
        return self.interval_ms * (self.failures + 1)

    @property
    def patience_ms(self) -> int:
        """The longest silence that says nothing yet: I + G, or `life`."""
        return self.interval_ms + self.grace_ms if self.is_heartbeat else self.life_ms


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything that is watched. Build it with :meth:`of`; nothing in it changes afterwards."""

    sites: Mapping[str, Site]
    terminals: Mapping[tuple[str, str], Terminal]
    checks: Mapping[tuple[str, str, str], Check]
    terminals_of: Mapping[str, tuple[Terminal, ...]] = field(default_factory=dict)
    checks_of: Mapping[tuple[str, str], tuple[Check, ...]] = field(default_factory=dict)
    villages_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, sites: Iterable[Site], terminals: Iterable[Terminal], checks: Iterable[Check]) -> Inventory:
        """Index rows that are already checked. Keeps their order, which pages and answers follow."""
        by_site = {s.site_id: s for s in sites}
        by_terminal = {t.key: t for t in terminals}
        by_check = {c.key: c for c in checks}
        terminals_of: dict[str, list[Terminal]] = {s: [] for s in by_site}
        for t in by_terminal.values():
            terminals_of[t.site_id].append(t)
        checks_of: dict[tuple[str, str], list[Check]] = {t: [] for t in by_terminal}
        for c in by_check.values():
            checks_of.setdefault((c.site_id, c.terminal), []).append(c)
        villages: dict[str, list[str]] = {}
        for s in by_site.values():
            if s.level is Level.VILLAGE:
                villages.setdefault(s.township_code, []).append(s.site_id)
        return cls(
            by_site,
            by_terminal,
            by_check,
            {k: tuple(v) for k, v in terminals_of.items()},
            {k: tuple(v) for k, v in checks_of.items()},
            {k: tuple(v) for k, v in villages.items()},
        )

    @property
    def townships(self) -> Mapping[str, str]:
        """Township codes and names, the county seat excluded, in inventory order."""
        return {s.township_code: s.township_name for s in self.sites.values() if s.level is not Level.COUNTY}

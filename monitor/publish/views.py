"""What the board hands out: small frozen values, made for showing. Instants are ms UTC; `_s`: seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from monitor.publish.histogram import PROBE_SECONDS, Histogram

#: The levels of figures in the order in which tables list them; `total` is the whole county.
FIGURE_LEVELS = ("county", "township", "village", "total")
SITE_STATES = ("online", "impaired", "offline", "unknown")
VERDICTS = ("maintained", "failed", "unproven")
#: Why evidence is refused (docs/architecture.md). Counted from 0, so that the first one shows as an increase.
REASONS = (
    "malformed",
    "too_large",
    "unauthorized",
    "forbidden",
    "unknown_terminal",
    "no_such_check",
    "too_late",
    "rate_limited",
    "too_slow",
    "unsupported",
    "unavailable",
    "clock_behind",
    "log_full",
)


@dataclass(frozen=True, slots=True)
class TerminalView:
    """A terminal 机位 now. `counted_outage_s`: of the outage that is going on, None where there is none."""

    site: str
    kind: str
    level: str
    township: str
    value: str
    since: int | None = None
    last_seen: int | None = None
    pending: bool = False
    counted_outage_s: float | None = None
    repair_limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class SiteView:
    """A site now. `township` is the code; `planned`: inside a planned window 计划检修."""

    site: str
    name: str
    level: str
    township: str
    state: str
    since: int | None = None
    in_service: bool = True
    planned: bool = False
    township_name: str = ""


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """One level's month so far (docs/rules.md §5, §6). Ratios and rates are None where the rules say null.

    `planned`: the plan that the rate is held against (219 villages); `planned_s`: seconds inside windows.
    """

    up_s: float = 0
    down_s: float = 0
    unknown_s: float = 0
    planned_s: float = 0
    availability: float | None = None
    coverage: float | None = None
    rate: float | None = None
    rate_high: float | None = None
    maintained: int = 0
    failed: int = 0
    unproven: int = 0
    planned: int = 0

    def verdicts(self, verdict: str) -> int:
        """How many sites have this verdict, one of VERDICTS."""
        return {"maintained": self.maintained, "failed": self.failed, "unproven": self.unproven}[verdict]


@dataclass(frozen=True, slots=True)
class MonthFigures:
    """The local month that began at `start`, as it stood at `as_of`; `levels` by FIGURE_LEVELS.

    Beside it the same without retroactive windows, and after approved exemptions 免责; None: no other.
    """

    start: int
    as_of: int
    levels: Mapping[str, LevelFigures]
    without_retroactive: Mapping[str, LevelFigures] | None = None
    after_exemptions: Mapping[str, LevelFigures] | None = None


@dataclass(frozen=True, slots=True)
class MoneyFigures:
    """All funds of the fiscal year together, in fen (docs/ledger.md); `spent` by economic class, the others by township
    (code), site, and cause of the work order ("" where there is none)."""

    budget_fen: int
    spent: Mapping[str, int]
    approved_unpaid_fen: int = 0
    forecast_fen: int = 0
    townships: Mapping[str, int] = field(default_factory=dict)
    sites: Mapping[str, int] = field(default_factory=dict)
    causes: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Counters:
    """What has been counted since the process began. Written on the event loop only.

    Results of probes are `ok` or `failed`. A service's value is None where the device said `na`; a certificate's is
    when it expires, by (site, terminal, check).
    """

    heartbeats: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    refused: dict[tuple[str, str], int] = field(default_factory=dict)
    probes: dict[tuple[str, str], int] = field(default_factory=dict)
    probe_seconds: dict[tuple[str, str], Histogram] = field(default_factory=dict)
    services: dict[tuple[str, str, str], bool | None] = field(default_factory=dict)
    certificates: dict[tuple[str, str, str], int] = field(default_factory=dict)
    detection_delay: Histogram = field(default_factory=Histogram)

    def heartbeat(self, via: str, beats: int = 1, missing: int = 0) -> None:
        self.heartbeats[via] = self.heartbeats.get(via, 0) + beats
        if missing:
            self.missing[via] = self.missing.get(via, 0) + missing

    def refuse(self, via: str, reason: str) -> None:
        self.refused[via, reason] = self.refused.get((via, reason), 0) + 1

    def probe(self, check: str, ok: bool, duration_s: float) -> None:
        key = (check, "ok" if ok else "failed")
        self.probes[key] = self.probes.get(key, 0) + 1
        if key not in self.probe_seconds:
            self.probe_seconds[key] = Histogram(PROBE_SECONDS)
        self.probe_seconds[key].observe(duration_s)


@dataclass(slots=True)
class OutboxFigures:
    """Of the outbox of alerts (docs/alerts.md). Counters by outlet; instants are ms UTC, None: never.

    `waiting`: tellings by outlet that are not sent yet; `oldest_ms`: when the oldest of these was heard of.
    `watchdog_ms`: when Alertmanager last told of the alert that always fires; `outside_ms`: when the outside was told.
    """

    waiting: dict[str, int] = field(default_factory=dict)
    oldest_ms: int | None = None
    sent: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    taken: int = 0
    known: int = 0
    refused: int = 0
    watchdog_ms: int | None = None
    outside_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """Of the file system that a folder of ours lies on, in bytes."""

    free: int
    size: int


@dataclass(frozen=True, slots=True)
class CalendarYear:
    """`which`: `this` or `next` local year; are its working days known?"""

    year: int
    which: str
    known: bool


class Telling(Protocol):
    """The part of the board that metrics and the health pages read (docs/architecture.md)."""

    @property
    def counters(self) -> Counters: ...

    @property
    def month(self) -> MonthFigures | None: ...

    @property
    def orders(self) -> Mapping[str, tuple[int, int]] | None: ...

    @property
    def money(self) -> MoneyFigures | None: ...

    @property
    def sealed(self) -> Mapping[str, int]: ...

    @property
    def restatements_due(self) -> int | None: ...

    @property
    def warnings(self) -> Mapping[str, str]: ...

    @property
    def troubles(self) -> Mapping[str, str]: ...

    @property
    def outbox(self) -> OutboxFigures | None: ...

    @property
    def space(self) -> Mapping[str, Space]: ...

    @property
    def queues(self) -> Mapping[str, int]: ...

    def now(self) -> int: ...

    def open_after(self) -> Mapping[str, float]: ...

    def years(self) -> Iterable[CalendarYear]: ...

    def terminals(self) -> Iterable[TerminalView]: ...

    def sites(self) -> Iterable[SiteView]: ...

    def channels(self) -> Mapping[str, bool]: ...

    def uplinks(self) -> Iterable[tuple[str, bool | None]]: ...

    def ready(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class TerminalRow:
    """A terminal as a page shows it. `ended`: how contact ended (goodbye, will, silence, probe)."""

    kind: str
    value: str
    since: int | None = None
    ended: str | None = None
    watched: bool = True
    in_service: bool = True


@dataclass(frozen=True, slots=True)
class SiteRow:
    """A site as a page shows it. `connected` is False for 未接入: its first day of service lies ahead."""

    site: str
    name: str
    level: str
    state: str
    since: int | None = None
    ended: str | None = None
    in_service: bool = True
    planned: bool = False
    connected: bool = True
    terminals: tuple[TerminalRow, ...] = ()


@dataclass(frozen=True, slots=True)
class TownshipRow:
    """A township's own site and its villages in inventory order. `uplink`: None where nobody can tell."""

    code: str
    name: str
    sites: tuple[SiteRow, ...]
    uplink: bool | None = None
    uplink_since: int | None = None


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A channel 通道 and since when it has been observed or lost."""

    channel: str
    observed: bool
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that the overview page shows, as the database had it at `as_of`."""

    as_of: int
    county: tuple[SiteRow, ...]
    townships: tuple[TownshipRow, ...]
    channels: tuple[ChannelRow, ...]
    month: MonthFigures | None = None
    county_name: str = "开江县"
    demo: bool = False

"""A board and an overview to tell of: 234 sites in the shape of the county, some of them in every state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from monitor.publish.views import (
    CalendarYear,
    ChannelRow,
    Counters,
    LevelFigures,
    MoneyFigures,
    MonthFigures,
    OutboxFigures,
    Overview,
    SiteRow,
    SiteView,
    Space,
    TerminalRow,
    TerminalView,
    TownshipRow,
)

#: 2026-11-23 09:12:30 in Asia/Shanghai, a Monday.
NOW = 1_795_396_350_000
MINUTE = 60_000
HOUR = 60 * MINUTE
KINDS = ("tv", "mobile", "pc")
#: Townships (code, name, villages) as in the sample inventory.
TOWNSHIPS = (
    ("511723001", "淙城街道", 17),
    ("511723100", "新宁镇", 20),
    ("511723101", "普安镇", 29),
    ("511723102", "回龙镇", 19),
    ("511723104", "永兴镇", 15),
    ("511723105", "讲治镇", 19),
    ("511723106", "甘棠镇", 19),
    ("511723107", "任市镇", 27),
    ("511723108", "广福镇", 10),
    ("511723109", "长岭镇", 14),
    ("511723110", "八庙镇", 10),
    ("511723111", "灵岩镇", 10),
    ("511723205", "梅家乡", 10),
)
_NUMERALS = "一二三四五六七八九十"

Place = tuple[str, str, str, str, str]


def places() -> list[Place]:
    """(site, name, level, township code, township name) of 2 county, 13 township and 219 village sites."""
    rows: list[Place] = [(f"511723-C{i}", f"县级站点{_NUMERALS[i - 1]}", "county", "511723", "开江县") for i in (1, 2)]
    for code, name, villages in TOWNSHIPS:
        rows.append((code, f"{name}站点", "township", code, name))
        rows += [
            (f"{code}{i:03d}", f"{name[:2]}{_NUMERALS[i % 10]}{i}村", "village", code, name)
            for i in range(1, villages + 1)
        ]
    return rows


def figures() -> MonthFigures:
    """A month in which townships were watched too little and two villages failed."""
    return MonthFigures(
        start=NOW - 22 * 24 * HOUR - 9 * HOUR - 12 * MINUTE - 30_000,
        as_of=NOW,
        levels={
            "county": LevelFigures(3_801_590, 10, 0, 0, 0.999997, 1.0, 1.0, 1.0, 2, 0, 0, 2),
            "township": LevelFigures(4_000_000, 9000, 900_000, 0, 0.9977, 0.8166, 10 / 13, 1.0, 10, 0, 3, 13),
            "village": LevelFigures(
                90_000_000, 1_200_000, 3_000_000, 0, 0.98684, 0.96815, 214 / 219, 217 / 219, 214, 2, 3, 219
            ),
            "total": LevelFigures(
                97_801_590, 1_209_010, 3_900_000, 0, 0.98778, 0.96209, 226 / 234, 232 / 234, 226, 2, 6, 234
            ),
        },
    )


@dataclass
class FakeBoard:
    """What `Telling` asks for, from plain lists."""

    site_views: list[SiteView] = field(default_factory=list)
    terminal_views: list[TerminalView] = field(default_factory=list)
    observed: dict[str, bool] = field(default_factory=lambda: {"mqtt": True, "http": True, "probe": True})
    lines: dict[str, bool | None] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    month: MonthFigures | None = None
    orders: Mapping[str, tuple[int, int]] | None = field(
        default_factory=lambda: {"county": (0, 0), "township": (1, 0), "village": (4, 2)}
    )
    money: MoneyFigures | None = None
    sealed: dict[str, int] = field(default_factory=dict)
    restatements_due: int | None = 0
    reasons: list[str] = field(default_factory=list)
    warnings: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    outbox: OutboxFigures | None = field(
        default_factory=lambda: OutboxFigures(
            waiting={"duty-group": 1}, oldest_ms=NOW, sent={"duty-group": 3}, failed={"duty-group": 1}, taken=4,
            watchdog_ms=NOW, outside_ms=NOW,
        )
    )  # fmt: skip
    space: dict[str, Space] = field(default_factory=lambda: {"evidence": Space(40 << 30, 100 << 30)})
    queues: dict[str, int] = field(default_factory=lambda: {"log_bytes": 0, "database_rows": 12})

    def now(self) -> int:
        return NOW

    def open_after(self) -> Mapping[str, float]:
        return {"county": 600, "township": 1800, "village": 3600}

    def years(self) -> list[CalendarYear]:
        return [CalendarYear(2026, "this", True), CalendarYear(2027, "next", False)]

    def sites(self) -> Iterable[SiteView]:
        return self.site_views

    def terminals(self) -> Iterable[TerminalView]:
        return self.terminal_views

    def channels(self) -> Mapping[str, bool]:
        return self.observed

    def uplinks(self) -> Iterable[tuple[str, bool | None]]:
        return self.lines.items()

    def ready(self) -> list[str]:
        return self.reasons


def county_board() -> FakeBoard:
    """234 sites, 702 terminals; a few offline, impaired, unknown, at rest and planned; something counted."""
    money = MoneyFigures(
        25_000_000, {"30213": 12_345_601, "30227": 5_000_000}, 100_050, 24_000_000,
        townships={"511723109": 17_345_601}, sites={"511723109001": 17_345_601},
        causes={"": 5_000_000, "power": 12_345_601},
    )  # fmt: skip
    month = figures()
    month = replace(month, without_retroactive=month.levels, after_exemptions=month.levels)
    board = FakeBoard(money=money, month=month, lines={code: code != "511723109" for code, _, _ in TOWNSHIPS})
    board.lines["511723205"] = None
    board.sealed["2026-10"] = NOW - 20 * 24 * HOUR
    board.warnings["roster"] = "nobody is on duty"
    board.troubles["database"] = "away"
    for i, (site, name, level, code, township) in enumerate(places()):
        state = {7: "offline", 40: "impaired", 90: "unknown", 120: "offline", 121: "offline"}.get(i, "online")
        board.site_views.append(SiteView(site, name, level, code, state, NOW - HOUR, i != 120, i == 121, township))
        for kind in KINDS:
            up = state == "online" or (state == "impaired" and kind != "pc")
            value = "unknown" if state == "unknown" else "up" if up else "down"
            counted = None if value != "down" else 3600.0
            limit = None if value != "down" else 54_000.0
            seen = NOW - MINUTE - i if value != "unknown" else None
            board.terminal_views.append(
                TerminalView(site, kind, level, code, value, NOW - HOUR, seen, False, counted, limit)
            )
    for n in range(40):
        board.counters.heartbeat("mqtt")
        board.counters.heartbeat("http")
        board.counters.probe("icmp", n % 9 != 0, 0.003 * n)
        board.counters.probe("tcp", True, 0.002)
    board.counters.refuse("mqtt", "malformed")
    board.counters.refuse("http", "unauthorized")
    board.counters.detection_delay.observe(0.02)
    board.counters.services |= {
        ("511723-C1", "tv", "video_conference"): True,
        ("511723-C1", "tv", "learning"): False,
        ("511723-C1", "tv", "emergency"): None,
    }
    board.counters.certificates["511723-C1", "tv", "https"] = NOW + 24 * HOUR
    return board


def _site(row: Place, state: str = "online", since: int = NOW - 6 * HOUR, **more: object) -> SiteRow:
    ended = {"tv": "probe", "mobile": "silence", "pc": "will"}
    down = {"offline": KINDS, "impaired": ("pc",)}.get(state, ())
    rest = "unknown" if state == "unknown" else "up"
    terminals = tuple(
        TerminalRow(k, "down" if k in down else rest, since, ended[k] if k in down else None) for k in KINDS
    )
    base: dict[str, object] = {"ended": "silence" if state == "offline" else None, "terminals": terminals}
    return SiteRow(row[0], row[1], row[2], state, since, **(base | more))  # type: ignore[arg-type]


def county_overview(rows: list[Place] | None = None) -> Overview:
    """An ordinary bad morning: a township cut off, single villages down, a window."""
    special: dict[int, dict[str, object]] = {
        7: {"state": "offline", "since": NOW - 25 * MINUTE},
        22: {"state": "impaired"},
        48: {"state": "offline", "since": NOW - 26 * HOUR},
        49: {"state": "unknown", "since": NOW - 3 * HOUR},
        60: {"state": "offline", "since": NOW - HOUR, "in_service": False},
        75: {"state": "offline", "since": NOW - HOUR, "planned": True},
        76: {"planned": True},
        100: {"connected": False, "in_service": False},
        101: {"state": "unknown", "terminals": (TerminalRow("tv", "unknown", watched=False),)},
        140: {"state": "impaired", "since": NOW - 3 * MINUTE},
        141: {
            "state": "offline",
            "terminals": tuple(TerminalRow(k, "down", NOW - HOUR, "goodbye") for k in KINDS),
        },
    }
    sites = []
    for i, row in enumerate(rows or places()):
        cut = row[3] == "511723109"
        plain: dict[str, object] = {"state": "offline", "since": NOW - 14 * MINUTE - i * 1000} if cut else {}
        sites.append((row, _site(row, **special.get(i, plain))))  # type: ignore[arg-type]
    names = {row[3]: row[4] for row, _ in sites if row[2] != "county"}
    return Overview(
        as_of=NOW,
        county=tuple(s for row, s in sites if row[2] == "county"),
        townships=tuple(
            TownshipRow(
                code,
                name,
                tuple(s for row, s in sites if row[3] == code and row[2] != "county"),
                uplink=code != "511723109",
                uplink_since=NOW - 14 * MINUTE if code == "511723109" else NOW - 100 * HOUR,
            )
            for code, name in names.items()
        ),
        channels=(
            ChannelRow("mqtt", True, NOW - 50 * HOUR),
            ChannelRow("http", True, NOW - 50 * HOUR),
            ChannelRow("probe", True, NOW - 5 * MINUTE),
        ),
        month=figures(),
        demo=True,
    )

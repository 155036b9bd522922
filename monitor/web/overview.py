"""The overview page at `/`: what is offline and since when, every place, and the month so far.

It shows what the database says (`Overview`), not this process's board: several processes may share a county.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from aiohttp import web

from monitor import clock
from monitor.core.text import NO_FIGURE, length, percent
from monitor.publish.views import FIGURE_LEVELS, LevelFigures, MonthFigures, Overview, SiteRow, TerminalRow
from monitor.settings import Settings
from monitor.web.frame import TEMPLATES

Load = Callable[[], Awaitable[Overview]]

#: The database is asked at most this often, however many screens show the page.
KEEP_S = 2.0
#: How long the database may take; then the page says that it cannot.
LIMIT_S = 10.0
#: How often the page renews itself.
REFRESH_S = 15
#: Older than this, the page says that it is not up to date.
STALE_MS = 120_000

LEVELS = {"county": "县级", "township": "乡镇", "village": "村级", "total": "合计"}
KINDS = {"tv": "数字电视", "mobile": "移动终端", "pc": "PC端"}
ENDED = {"goodbye": "主动关机", "will": "失联", "silence": "无心跳", "probe": "探测失败"}
CHANNELS = {"mqtt": "MQTT 心跳", "http": "HTTP 心跳", "probe": "主动探测"}
#: How a site looks -> its word, in the order of the legend. What is switched off at night is grey, not red.
LOOKS = {
    "online": "在线",
    "impaired": "部分离线",
    "offline": "离线",
    "unknown": "未知",
    "planned": "计划检修",
    "rest": "非服务时段",
    "absent": "未接入",
    "unwatched": "未监测",
}
_ALWAYS_COUNTED = ("online", "impaired", "offline", "unknown", "rest")


def look(site: SiteRow) -> str:
    """One of LOOKS. A place that nobody expects to be on is never shown as offline."""
    if not site.connected:
        return "absent"
    if site.terminals and not any(t.watched for t in site.terminals):
        return "unwatched"
    if not site.in_service:
        return "rest"
    if site.planned:
        return "planned"
    return site.state if site.state in ("online", "impaired", "offline") else "unknown"


@dataclass(frozen=True, slots=True)
class Chip:
    """A site as a small label: `hint` is what it says when pointed at, and to a screen reader."""

    name: str
    look: str
    hint: str
    own: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a list of sites: since when, how long, and what of it is down."""

    name: str
    level: str
    own: bool
    place: str
    since: str
    since_iso: str
    lasted: str
    how: str


@dataclass(frozen=True, slots=True)
class Place:
    """The county level, or a township with its villages."""

    code: str
    name: str
    cut: bool
    cut_since: str
    chips: tuple[Chip, ...]
    offline: tuple[Line, ...]
    impaired: tuple[Line, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        return Counter(chip.look for chip in self.chips)


@dataclass(frozen=True, slots=True)
class MonthRow:
    """One level's figures as text. `thin`: watched too little to say an availability."""

    level: str
    availability: str
    thin: bool
    coverage: str
    rate: str
    ratio: str
    failed: int
    unproven: int


def page(
    load: Load, settings: Settings, links: Mapping[str, str]
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of `/`. `links`: static file names and their addresses."""
    template = TEMPLATES.get_template("overview.html")
    lock = asyncio.Lock()
    kept: list[tuple[float, Overview]] = []

    async def fresh() -> Overview:
        async with lock:
            if not kept or time.monotonic() - kept[0][0] > KEEP_S:
                async with asyncio.timeout(LIMIT_S):
                    kept[:] = [(time.monotonic(), await load())]
            return kept[0][1]

    async def get_overview(request: web.Request) -> web.Response:
        data = await fresh()
        values = present(data, settings.zone, clock.wall_ms(), settings.maintenance.coverage_min)
        text = template.render(values, links=links, refresh_s=REFRESH_S)
        return web.Response(text=text, content_type="text/html")

    return get_overview


def present(data: Overview, zone: ZoneInfo, now: int, coverage_min: float) -> dict[str, object]:
    """Everything that the template prints, already in words. `now`: ms, what ages are measured against."""

    def at(ms: int | None) -> str:
        return moment(ms, data.as_of, zone)

    def place(code: str, name: str, sites: Sequence[SiteRow], cut: bool = False, since: int | None = None) -> Place:
        return Place(
            code,
            name,
            cut,
            at(since),
            tuple(_chip(s, name, at) for s in sites),
            tuple(_line(s, name, data.as_of, zone) for s in sites if look(s) == "offline"),
            tuple(_line(s, name, data.as_of, zone) for s in sites if look(s) == "impaired"),
        )

    places = [place("county", "县级", data.county)]
    places += [place(t.code, t.name, t.sites, t.uplink is False, t.uplink_since) for t in data.townships]
    counts: Counter[str] = Counter(chip.look for p in places for chip in p.chips)
    month = data.month
    return {
        "title": f"{data.county_name}智慧党建平台运行监测",
        "demo": data.demo,
        "as_of": _local(data.as_of, zone).strftime("%Y-%m-%d %H:%M:%S"),
        "stale": length(now - data.as_of) if now - data.as_of > STALE_MS else "",
        "total": counts.total(),
        "counts": [(k, word, counts[k]) for k, word in LOOKS.items() if counts[k] or k in _ALWAYS_COUNTED],
        "looks": LOOKS,
        "places": places,
        "cut": [p for p in places if p.cut],
        "offline": [line for p in places if not p.cut for line in p.offline],
        "impaired": [line for p in places for line in p.impaired],
        "month": _months(month, coverage_min) if month else [],
        "month_name": _local(month.start, zone).strftime("%Y年%-m月") if month else "",
        "month_as_of": at(month.as_of) if month else "",
        "coverage_min": percent(coverage_min, 0),
        "channels": [(CHANNELS.get(c.channel, c.channel), c.observed, at(c.since)) for c in data.channels],
        "blind": [(CHANNELS.get(c.channel, c.channel), at(c.since)) for c in data.channels if not c.observed],
    }


def moment(ms: int | None, reference: int, zone: ZoneInfo) -> str:
    """Local time, with as much of the date as is needed beside `reference`: `09:12`, `11-03 09:12`."""
    if ms is None:
        return NO_FIGURE
    local, today = _local(ms, zone), _local(reference, zone)
    if local.date() == today.date():
        return local.strftime("%H:%M")
    return local.strftime("%m-%d %H:%M" if local.year == today.year else "%Y-%m-%d %H:%M")


def _local(ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)


def _chip(site: SiteRow, place: str, at: Callable[[int | None], str]) -> Chip:
    kind = look(site)
    hint = [site.name, LOOKS[kind]]
    if kind in ("offline", "impaired", "unknown") and site.since is not None:
        hint.append(f"{at(site.since)} 起")
    if kind in ("offline", "impaired"):
        hint.append(how_it_ended(site))
    short = site.name.removesuffix("站点") or site.name
    own = site.level == "township"
    return Chip("本级" if own and short == place else short, kind, " · ".join(h for h in hint if h), own)


def _line(site: SiteRow, place: str, as_of: int, zone: ZoneInfo) -> Line:
    since = site.since if look(site) == "offline" else _down_since(site.terminals)
    return Line(
        site.name,
        LEVELS.get(site.level, site.level),
        site.level != "village",
        NO_FIGURE if site.level == "county" else place,
        moment(since, as_of, zone),
        clock.to_iso(since) if since is not None else "",
        length(as_of - since) if since is not None else NO_FIGURE,
        how_it_ended(site),
    )


def _down_since(terminals: Iterable[TerminalRow]) -> int | None:
    return min((t.since for t in terminals if t.value == "down" and t.since is not None), default=None)


def how_it_ended(site: SiteRow) -> str:
    """`无心跳` where all that are down ended alike, else one by one: `数字电视 探测失败，PC端 失联`."""
    down = [(KINDS.get(t.kind, t.kind), t.ended) for t in site.terminals if t.value == "down"]
    ways = {ended for _, ended in down if ended}
    if site.state == "offline" and len(ways) <= 1:
        way = next(iter(ways), site.ended)
        return ENDED.get(way, way) if way else ""
    return "，".join(f"{kind} {ENDED.get(way, way)}" if way else kind for kind, way in down)


def _months(month: MonthFigures, coverage_min: float) -> list[tuple[str, list[MonthRow]]]:
    """What is counted; beside it, where they change a figure, the same without what was entered after the fact, and
    after approved exemptions: never one alone."""
    sides = (
        ("", month.levels),
        ("不计事后补录和停机期间申报的计划检修", month.without_retroactive),
        ("扣除已批准的免责", month.after_exemptions),
    )
    return [(caption, _month_rows(levels, coverage_min)) for caption, levels in sides if levels is not None]


def _month_rows(levels: Mapping[str, LevelFigures], coverage_min: float) -> list[MonthRow]:
    rows = []
    for level in FIGURE_LEVELS:
        figures = levels.get(level)
        if figures is None:
            continue
        thin = figures.coverage is None or figures.coverage < coverage_min
        rows.append(
            MonthRow(
                LEVELS[level],
                "监测数据不足" if thin else percent(figures.availability),
                thin,
                percent(figures.coverage),
                percent(figures.rate),
                f"{figures.maintained}/{figures.planned}",
                figures.failed,
                figures.unproven,
            )
        )
    return rows

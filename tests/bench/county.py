"""Counties of any size for measuring: sites, terminals, a check each, service hours, windows; what devices send."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from monitor.app import _cut, _save
from monitor.clock import Clock, from_iso
from monitor.core.sites import Check, Inventory, Level, Site, Terminal
from monitor.core.window import Window
from monitor.flows.collecting import search_what_is_new
from monitor.flows.observe import Observer
from monitor.inventory.holidays import work_calendar
from monitor.inventory.load import Loaded, _service_times
from monitor.settings import ByLevel, Maintenance, ServiceHours, Settings
from monitor.store.database import opened
from monitor.store.view import View

KINDS = ("mobile", "pc", "tv")
#: The county's: 234 sites, 702 terminals.
SITES = 234
#: October 2026, in Asia/Shanghai.
MONTH = (from_iso("2026-09-30T16:00:00Z"), from_iso("2026-10-31T16:00:00Z"))
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
#: Of a check, as the sample inventory has them.
INTERVAL, GRACE = MINUTE, 3 * MINUTE
#: Outages of a terminal in a month.
OUTAGES = 5
OFFICE = ("08:30-12:00", "14:30-18:00")
HOURS = {
    "county": ServiceHours(days="workdays", hours=OFFICE),
    "township": ServiceHours(days="workdays", hours=OFFICE),
    "village": ServiceHours(hours=("08:00-21:30",)),
    "village.pc": ServiceHours(hours=OFFICE),
}


def county(sites: int = SITES, check: str = "heartbeat-mqtt") -> Loaded:
    """`sites` sites with three terminals each: two of the county, a township for every 17 villages."""
    townships = max(1, sites // 18)
    codes = [f"5117{i:05d}" for i in range(townships)]
    rows = [Site(f"511723-C{i}", f"县级站点{i}", Level.COUNTY, "511723", "开江县") for i in (1, 2)]
    rows += [Site(code, f"镇{i}站点", Level.TOWNSHIP, code, f"镇{i}") for i, code in enumerate(codes)]
    for i in range(sites - len(rows)):
        code = codes[i % townships]
        rows.append(Site(f"{code}{i // townships:03d}", f"第{i}村", Level.VILLAGE, code, f"镇{i % townships}", code))
    terminals = [Terminal(site.site_id, kind) for site in rows for kind in KINDS]
    checks = [Check(t.site_id, t.kind, check, "", INTERVAL, GRACE, 5) for t in terminals]
    plan = ByLevel(**{str(level): sum(s.level == level for s in rows) for level in Level})
    settings = Settings(observer="bench", service=HOURS, maintenance=Maintenance(planned_sites=plan))
    calendar = work_calendar({})
    times = _service_times(settings, calendar)
    return Loaded(settings, Inventory.of(rows, terminals, checks), calendar, times, "0" * 64)


def windows(loaded: Loaded) -> list[Window]:
    """Planned windows as a month may have them: of everything, of townships, of single places."""
    rng = random.Random(7)
    sites = list(loaded.inventory.sites.values())
    scopes = ["county", "level:village"]
    scopes += [f"township:{s.township_code}" for s in rng.sample(sites, 3)]
    scopes += [f"site:{s.site_id}" for s in rng.sample(sites, 10)]
    scopes += [f"terminal:{s.site_id}/pc" for s in rng.sample(sites, 5)]
    starts = [MONTH[0] + rng.randrange(29 * DAY) for _ in scopes]
    return [Window(scope, start, start + 2 * HOUR, "检修") for scope, start in zip(scopes, starts, strict=True)]


def outages(terminals: int, each: float, period: tuple[int, int], seed: int = 1) -> Iterator[tuple[int, int, int]]:
    """(terminal, down from, up again) in order of the terminals: `each` outages on average, minutes to a night."""
    rng = random.Random(seed)
    for terminal in range(terminals):
        count = int(each) + (rng.random() < each % 1)
        starts = sorted(rng.sample(range(period[0], period[1] - 12 * HOUR, 13 * HOUR // 2), count))
        for start in starts:
            begin = start + rng.randrange(HOUR)
            yield terminal, begin, begin + int(min(5 * HOUR, 10 * MINUTE * rng.paretovariate(0.8)))


class Sender:
    """What a device with our agent sends: boot, seq, sent_at, uptime, version; its clock a little off."""

    __slots__ = ("number", "seq")

    def __init__(self, number: int) -> None:
        self.number = number
        self.seq = number * 7919 % 10_000

    @property
    def boot(self) -> str:
        return f"{(self.number + 1) * 0x9E3779B97F4A7C15 % 2**64:016x}"

    def beat(self, sent: int) -> dict[str, object]:
        self.seq += 1
        stamp = sent + self.number * 7919 % 4000 - 2000
        return {"boot": self.boot, "seq": self.seq, "sent_at": stamp, "uptime_s": self.seq * 60, "version": "1.2.0"}

    def payload(self, sent: int) -> bytes:
        return json.dumps(self.beat(sent), separators=(",", ":")).encode()


@asynccontextmanager
async def observing(loaded: Loaded, folder: Path, clock: Clock | None = None) -> AsyncIterator[Observer]:
    """An observer as in service, on SQLite, with the loops that cut and save."""
    folder.mkdir(parents=True, exist_ok=True)
    async with opened(f"sqlite+aiosqlite:///{folder}/bench.db") as engine:
        observer = Observer(loaded, clock or Clock(), View(engine, "bench"), folder / "evidence")
        await observer.start()
        tasks = [asyncio.create_task(_cut(observer, 1.0, lambda _said: None)), asyncio.create_task(_save(observer))]
        try:
            with search_what_is_new():
                yield observer
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await observer.stop()

"""A small county that a test plays minute by minute: the real observer on a driven clock, and the service's orders.

    async with county(tmp_path, database_url) as it:
        await it.play(90, silent=("V1/tv", "V1/pc"))
        [order] = await it.orders()

C1; T1 with its villages V1 ... V5, T2 with W1. Every terminal beats once a minute (grace 60 s), T1's line is probed
if `uplink` is asked for. Every five minutes there is a cut, a save and a pass of `keep_orders`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import Clock, from_iso
from monitor.core.access import Actor, Role
from monitor.flows.observe import Observer
from monitor.flows.orders import keep_orders
from monitor.inventory.load import Loaded, load
from monitor.store import orders
from monitor.store.database import opened
from monitor.store.orders import Order
from monitor.store.view import View

#: Monday 2026-10-12, 10:00 in Asia/Shanghai.
MORNING = from_iso("2026-10-12T02:00:00Z")
MINUTE = 60_000
HOUR = 60 * MINUTE

OPERATOR = Actor("李运维", frozenset({Role.OPERATOR}))
APPROVER = Actor("王审批", frozenset({Role.APPROVER}))
BOTH = Actor("赵两职", frozenset({Role.OPERATOR, Role.APPROVER}))
VIEWER = Actor("孙查看", frozenset({Role.VIEWER}))
OF_T2 = Actor("周二镇", frozenset({Role.OPERATOR}), frozenset({"T2"}))


class DrivenClock(Clock):
    """Says what the test says."""

    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        return self.at

    def drift_ms(self) -> int:
        return 0


@dataclass
class County:
    """Of one run; `silent` terminals and a line that is `cut` stay so until `play` is told otherwise."""

    loaded: Loaded
    engine: AsyncEngine
    observer: Observer
    clock: DrivenClock
    seq: int = 0
    passes: bool = True
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)

    async def play(self, minutes: int, silent: Collection[str] = (), *, cut: bool = False, deaf: bool = False) -> None:
        """`silent`: `V1/tv`, or `V1` for all of a site. `cut`: T1's line. `deaf`: the channels are lost."""
        until = self.clock.at + minutes * MINUTE
        while self.clock.at < until:
            self.clock.at += MINUTE
            self.seq += 1
            if deaf:
                continue
            for site, kind, check in self.loaded.inventory.checks:
                away = site in silent or f"{site}/{kind}" in silent or (cut and site[0] in "TV" and site != "T2")
                if check == "icmp":
                    assert self.observer.result(site, kind, check, not away, duration_s=0.01) is None
                elif not away:
                    beat = {"sent_at": self.clock.at, "boot": "b", "seq": self.seq}
                    assert self.observer.heartbeat(site, kind, "mqtt", **beat) is None  # type: ignore[arg-type]
            self.observer.alive("mqtt")
            if self.seq % 5 == 0 or self.clock.at >= until:
                await self.keep()

    async def keep(self) -> None:
        """What the service does every second, and every five."""
        await self.observer.cut()
        await self.observer.save()
        if self.passes:
            self.counts = dict(await keep_orders(self.engine, self.loaded, self.clock.at))

    async def orders(self, *, closed: bool = True) -> list[Order]:
        async with self.engine.connect() as connection:
            return await orders.listed(connection, closed=closed)

    async def history(self, order: Order) -> list[str]:
        async with self.engine.connect() as connection:
            return [e["what"] for e in await orders.history(connection, order.id)]


def write_county(folder: Path, *, top: str = "", uplink: bool = False) -> Path:
    """The configuration's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sites = ["site_id,name,level,township_code,township_name,uplink", "C1,县级站点一,county,T0,开江县,"]
    sites += ["T1,镇一站点,township,T1,镇一,C1", "T2,镇二站点,township,T2,镇二,C1"]
    sites += [f"V{i},镇一{i}村,village,T1,镇一,T1" for i in range(1, 6)] + ["W1,镇二一村,village,T2,镇二,T2"]
    checks = ["site_id,terminal,check,target,interval_s,grace_s,failures"]
    places = ["C1/tv", "T1/tv", "T2/tv", "W1/tv", "W1/pc", *(f"V{i}/{k}" for i in range(1, 6) for k in ("tv", "pc"))]
    checks += [f"{place.replace('/', ',')},heartbeat-mqtt,,60,60," for place in places]
    if uplink:
        checks.append("T1,uplink,icmp,127.0.0.1,60,,2")
    (folder / "sites.csv").write_text("\n".join(sites) + "\n", encoding="utf-8")
    (folder / "checks.csv").write_text("\n".join(checks) + "\n", encoding="utf-8")
    papers = f'[papers]\nfolder = "{folder.parent}/papers"\n'
    (folder / "monitor.toml").write_text(f'observer = "test"\n{top}\n{papers}', encoding="utf-8")
    return folder


@asynccontextmanager
async def county(
    folder: Path, url: str, *, top: str = "", uplink: bool = False, at: int = MORNING
) -> AsyncIterator[County]:
    """Started at `at` with five minutes in which all is well. Left without `stop`, as a crash does."""
    loaded = load(write_county(folder / "config", top=top, uplink=uplink), serving=False)
    clock = DrivenClock(at)
    async with opened(url) as engine:
        observer = Observer(loaded, clock, View(engine, "test"), folder / "evidence")
        await observer.start()
        it = County(loaded, engine, observer, clock)
        try:
            await it.play(5)
            yield it
        finally:
            observer.log.close()

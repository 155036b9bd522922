"""Whatever happens, in whatever order: silence, cut lines, deafness, late beats, losses that turn out to have been
earlier, windows, people who dispatch and close. At the end every outage beyond its limit is in exactly one order, and
every order says what the evidence says."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select

from monitor.core.figures import Counter
from monitor.core.outage import ALIVE
from monitor.errors import MonitorError
from monitor.flows import order_acts, windows
from monitor.flows.history import eras_in
from monitor.flows.replay import figures
from monitor.flows.windows import Plan
from monitor.store import reading
from monitor.store.tables import outage, work_order_outage
from tests.small_county import MINUTE, OPERATOR, County, county

LIMITS = """
[maintenance]
open_after_min = { county = 5, township = 12, village = 20 }
repair_limit_h = { county = 0.5, township = 1, village = 1.5 }
[service]
village = { hours = ["10:00-13:00", "14:30-19:00"] }
"""


async def play(it: County, rng: Random) -> None:
    """Eleven hours of it."""
    names = sorted({f"{site}/{kind}" for site, kind, _ in it.loaded.inventory.checks if kind != "uplink"})
    silent: set[str] = set()
    end = it.clock.at + 11 * 60 * MINUTE
    while it.clock.at < end:
        for name in names:
            if rng.random() < 0.08:
                silent ^= {name}
        what = rng.random()
        minutes = rng.randint(3, 35)
        if what < 0.15:
            await it.play(minutes, silent, cut=True)
        elif what < 0.25:
            it.observer.lost("mqtt")
            since = it.clock.at
            await it.play(minutes, silent, deaf=True)
            await it.play(1, silent)
            for name in rng.sample(names, 4):  # some of them had lived, and say so now
                site, _, kind = name.partition("/")
                for n in range(rng.randint(1, minutes)):
                    it.observer.heartbeat(site, kind, "mqtt", sent_at=since + (n + 1) * MINUTE, boot="b", seq=it.seq)
        elif what < 0.32:
            # All of it is silent for a while, and it turns out that it was the broker.
            since = it.clock.at
            await it.play(minutes, [site for site in it.loaded.inventory.sites])
            it.observer.lost("mqtt", since + rng.randint(1, 2 * MINUTE))
        else:
            await it.play(minutes, silent, cut=False)
        if rng.random() < 0.15:
            site = rng.choice(["V1", "V2", "W1", "T2"])
            local = datetime.fromtimestamp(it.clock.at / 1000, it.loaded.settings.zone).replace(tzinfo=None)
            start = local + timedelta(minutes=rng.randint(1, 30))
            plan = Plan(f"site:{site}", start, start + timedelta(minutes=rng.randint(10, 60)), "检修")
            await windows.declare(it.engine, it.loaded, OPERATOR, plan, it.clock.at)
        for order in await it.orders(closed=False):
            act = rng.random()
            try:
                if act < 0.1:
                    await order_acts.dispatch(it.engine, OPERATOR, order.id, "张三", it.clock.at)
                elif act < 0.2:
                    await order_acts.repaired(it.engine, OPERATOR, order.id, "重启", it.clock.at)
                elif act < 0.35:
                    await order_acts.set_cause(it.engine, OPERATOR, order.id, "其他", "", it.clock.at)
                    await order_acts.close(it.engine, OPERATOR, order.id, "", it.clock.at)
            except MonitorError as refused:
                if "仍在持续" not in str(refused) and "状态不允许" not in str(refused):
                    raise
    await it.play(1, silent)
    await it.keep()


@pytest.mark.parametrize("seed", range(6))
async def test_every_outage_beyond_its_limit_is_in_one_order_that_says_what_is_so(tmp_path: Path, seed: int) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/monitor.db"
    async with county(tmp_path, url, top=LIMITS, uplink=bool(seed % 2)) as it:
        start = it.clock.at
        await play(it, Random(seed))
        await holds(it)
        opened = await it.orders()
        assert opened
        # Nothing is left to do: another pass says nothing.
        histories = [await it.history(order) for order in opened]
        await it.keep()
        assert [await it.history(order) for order in await it.orders()] == histories
        counted = await figures(it.engine, it.loaded, (start, it.clock.at))
        late = {(m.site.site_id, m.terminal) for m in counted.terminals if m.measure.overdue}
        assert late == {(o.site, o.terminal) for order in opened for o in order.outages if o.overdue is not None}


async def holds(it: County) -> None:
    """Every outage against the one clock, every order against its outages."""
    rules = it.loaded.settings.maintenance
    async with it.engine.connect() as connection:
        at = await reading.followed_to(connection, "test")
        assert at is not None
        counter = Counter(await eras_in(connection, it.loaded), await reading.windows(connection))
        checks = await reading.timelines(connection, 0, at)
        rows = (await connection.execute(select(outage))).all()
        listed = [r.key for r in await connection.execute(select(work_order_outage))]
    assert len(listed) == len(set(listed))
    states = {r.key: r.state for r in rows}
    assert not [key for key in listed if states[key] == "merged"]
    for r in rows:
        if r.state not in ALIVE:
            continue
        site = it.loaded.inventory.sites[r.site]
        timeline = counter.terminal_timeline(r.site, r.terminal, checks)
        span = (r.start_ms, at if r.over_ms is None else r.over_ms)
        counted = counter.course(r.site, r.terminal).counted_down_ms(timeline, span)
        if counted > rules.open_after_min.of(site.level) * MINUTE:
            assert r.key in listed, (r.key, counted / MINUTE)
    for order in await it.orders():
        alive = [o for o in order.outages if o.state in ALIVE]
        over = [o.over for o in alive if o.over is not None]
        assert order.restored_ms == (max(over) if alive and len(over) == len(alive) else None)
        assert order.state != "closed" or not order.goes_on
        for o in alive:
            if o.terminal == "uplink":
                assert o.overdue is None
                continue
            timeline = counter.terminal_timeline(o.site, o.terminal, checks)
            span = (o.start, at if o.over is None else o.over)
            assert o.overdue == counter.course(o.site, o.terminal).overdue_since(timeline, span)

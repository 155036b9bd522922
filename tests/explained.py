"""A staged October of one village, from the lines of its log: what `explain` has to be able to tell.

V1 has a tv (MQTT), a mobile (MQTT) and a pc (pings); in service daily 08:30-12:00 and 14:00-18:00. It is of T1 until
15 October at noon and of T2 afterwards. The repair limit of villages is 15 h in September and 3 h from October on.
The tv is out of contact from 30 September 15:15 to 2 October 09:05. The pc's failure of 20 October lies in a window
that was declared the day after. MQTT is lost on 25 October 09:00-11:00. The mobile is switched off on 27 October at
16:00 until the next morning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.access import Actor, Role
from monitor.core.days import local_days
from monitor.evidence.lines import (
    ORDER,
    AnyLine,
    ChannelLine,
    HeartbeatLine,
    InventoryLine,
    ProbeLine,
    WillLine,
    WindowLine,
    encode,
    millis,
    moment,
)
from monitor.flows import order_acts
from monitor.flows.judging import Judge
from monitor.flows.ledger.asking import Where
from monitor.flows.ledger.drafting import draft
from monitor.flows.ledger.money_in import add_fund
from monitor.flows.ledger.stepping import approve, register
from monitor.flows.orders import keep_orders
from monitor.flows.replay import rebuild
from monitor.inventory.load import Loaded, load
from monitor.inventory.versions import body_of
from monitor.store import orders
from monitor.store.database import opened
from monitor.store.view import View
from tests.ledgers import APPROVER, FINANCE, FUND, ask, new_entry, new_fund

ZONE = ZoneInfo("Asia/Shanghai")
MINUTE = 60_000
TOML = """observer = "test"
timezone = "Asia/Shanghai"
[service]
village = {{ days = "daily", hours = ["08:30-12:00", "14:00-18:00"] }}
[maintenance]
repair_limit_h = {{ county = 4, township = 8, village = {limit} }}
planned_sites = {{ county = 1, township = 2, village = 2 }}
[evidence]
folder = "{folder}/evidence"
[papers]
folder = "{folder}/papers"
"""
SITES = """site_id,name,level,township_code,township_name,uplink
C1,县级站点一,county,T0,开江县,
T1,镇一站点,township,T1,镇一,C1
T2,镇二站点,township,T2,镇二,C1
V1,镇一1村,village,{township},T1
V2,镇二1村,village,T2,镇二,T2
"""
CHECKS = """site_id,terminal,check,target,interval_s,grace_s,failures
C1,tv,heartbeat-mqtt,,3600,3600,
T1,tv,heartbeat-mqtt,,3600,3600,
T2,tv,heartbeat-mqtt,,3600,3600,
V1,tv,heartbeat-mqtt,,600,1200,
V1,mobile,heartbeat-mqtt,,600,1200,
V1,pc,icmp,10.0.0.1,1800,,2
V2,tv,heartbeat-mqtt,,3600,3600,
"""
OPERATOR = Actor("李运维", frozenset({Role.OPERATOR}))
CHIEF = Actor("王审批", frozenset({Role.APPROVER}))


def local(month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(2026, month, day, hour, minute, tzinfo=ZONE).timestamp()) * 1000


#: When the explanations are asked for.
NOW = local(11, 20, 9)
SILENT = (local(9, 30, 15, 11), local(10, 2, 9, 5))
DEAF = (local(10, 25, 9), local(10, 25, 11))
OFF = (local(10, 27, 16), local(10, 28, 8, 40))
FAILED = (local(10, 20, 9), local(10, 20, 11))


@dataclass
class Staged:
    loaded: Loaded
    engine: AsyncEngine
    order: int


def configured(folder: Path, name: str, limit: int, township: str) -> Loaded:
    made = folder / name
    made.mkdir(parents=True)
    (made / "monitor.toml").write_text(TOML.format(limit=limit, folder=folder), encoding="utf-8")
    (made / "sites.csv").write_text(SITES.format(township=township), encoding="utf-8")
    (made / "checks.csv").write_text(CHECKS, encoding="utf-8")
    return load(made, serving=False)


def lines(folder: Path) -> Iterator[AnyLine]:
    """Everything that came in from 28 September to 2 November, in no order."""
    versions = [
        (local(9, 28), configured(folder, "first", 15, "T1,镇一")),
        (local(9, 29, 10), configured(folder, "limit", 3, "T1,镇一")),
        (local(10, 15, 12), configured(folder, "moved", 3, "T2,镇二")),
    ]
    for number, (at, loaded) in enumerate(versions, 1):
        yield InventoryLine(moment(at), number, moment(at), loaded.digest, msgspec.Raw(body_of(loaded)), by="王审批")
    for channel in ("mqtt", "http", "probe"):
        yield ChannelLine(moment(local(9, 28) + 1), channel, "restored")
    yield ChannelLine(moment(DEAF[0]), "mqtt", "lost", reason="broker")
    yield ChannelLine(moment(DEAF[1]), "mqtt", "restored")
    yield from windows()
    yield WillLine(moment(OFF[0]), "V1", "mobile", "mqtt", "goodbye")
    start, end = local(9, 28, 0, 1), local(11, 2)
    for n, at in enumerate(range(start, end, 10 * MINUTE)):
        for kind, away in (("tv", SILENT), ("mobile", OFF)):
            back = at + 4 * MINUTE if kind == "tv" else at
            heard = not (away[0] < back < away[1] or DEAF[0] <= back < DEAF[1])
            if heard:
                yield HeartbeatLine(moment(back), "V1", kind, "mqtt", moment(back - 40), boot=f"b-{kind}", seq=n)
    for at in range(start, end, 60 * MINUTE):
        if not DEAF[0] <= at < DEAF[1]:
            for site in ("C1", "T1", "T2", "V2"):
                yield HeartbeatLine(moment(at), site, "tv", "mqtt")
    for at in range(start, end, 30 * MINUTE):
        yield ProbeLine(moment(at), "V1", "pc", "icmp", not FAILED[0] <= at < FAILED[1], took_ms=12)


def windows() -> Iterator[WindowLine]:
    told = local(10, 13, 9)
    yield WindowLine(
        moment(told), "township:T1", moment(local(10, 14, 14)), moment(local(10, 15, 18)), "线路割接",
        moment(told - 1000), "李运维",
    )  # fmt: skip
    told = local(10, 21, 10)
    yield WindowLine(
        moment(told), "site:V1", moment(local(10, 20, 8, 30)), moment(local(10, 20, 12)), "机房断电检修",
        moment(told - 60_000), "李运维", retroactive=True, approved=moment(told - 1000), approved_by="王审批",
    )  # fmt: skip


def write(folder: Path) -> None:
    """The days' logs, plain."""
    day_of, by_day = local_days(ZONE), defaultdict[str, list[AnyLine]](list)
    for line in lines(folder):
        by_day[day_of(millis(line.at))[0]].append(line)
    (folder / "evidence").mkdir()
    for day, found in by_day.items():
        found.sort(key=lambda line: (line.at, ORDER[type(line)]))
        (folder / "evidence" / f"test-{day}.jsonl").write_bytes(b"".join(map(encode, found)))


@asynccontextmanager
async def october(folder: Path, url: str) -> AsyncIterator[Staged]:
    """The database after it all, with the order of the tv's outage, its exemption and what it cost."""
    write(folder)
    loaded = load(folder / "first", serving=False)
    logs = sorted((folder / "evidence").iterdir())
    async with opened(url) as engine:
        view = View(engine, "test")
        await view.number_checks(loaded.inventory)
        await rebuild(view, Judge(loaded), [log for log in logs if log.name <= "test-2026-10-01"])
        await keep_orders(engine, loaded, local(9, 30, 23))
        async with engine.connect() as connection:
            [order] = await orders.listed(connection)
        number = order.id
        await order_acts.dispatch(engine, OPERATOR, number, "张三", local(10, 1, 9))
        await rebuild(view, Judge(loaded), logs)
        newest = load(folder / "moved", serving=False)
        await order_acts.repaired(engine, OPERATOR, number, "接通供电", local(10, 2, 10))
        await order_acts.set_cause(engine, OPERATOR, number, "市电", "", local(10, 2, 10))
        proof = folder / "proof.txt"
        proof.write_text("停电通知", encoding="utf-8")
        told = await order_acts.propose_exemption(
            engine, newest, OPERATOR, number, "市电", "全村停电", proof, local(10, 3, 10)
        )
        await order_acts.decide_exemption(engine, CHIEF, told.exemptions[0].id, True, "", local(10, 3, 11))
        await pay(engine, newest, number)
        yield Staged(newest, engine, number)


async def pay(engine: AsyncEngine, loaded: Loaded, number: int) -> None:
    today, at = date(2026, 10, 12), local(10, 12, 9)
    fund = new_fund(year=2026, document="江财预〔2026〕1号", dated=date(2026, 1, 6))
    await add_fund(ask(engine, today=today, at=at), fund)
    entry = new_entry(12_034, ["V1"], where=Where(2026, FUND), dated=date(2026, 10, 9), work_order=str(number))
    made = await draft(ask(engine, FINANCE, today=today, at=at), loaded.inventory, entry, Path("/nonexistent"))
    await approve(ask(engine, APPROVER, today=today, at=at), [int(made["id"])])
    await register(ask(engine, today=today, at=at), [int(made["id"])], date(2026, 10, 12), "记-0001")

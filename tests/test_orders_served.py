"""Work orders and planned windows of the real service: the fleet plays the outage, people act on the command line, and
the service is killed around the moment at which an order is opened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from monitor.clock import from_iso, wall_ms
from tests.services import free_port, wait_for_async
from tests.serving import Devices, Serving, beats, devices, guarded_broker, issue, run, write_config

#: Dozens of commands, each a process that loads everything; most of the time is theirs.
pytestmark = pytest.mark.timeout(500)

VILLAGES = ("V1", "V2", "V3", "V4")
OPEN_AFTER_S = 6
#: Written in docs/workorders.md: cut, save and the loop of orders, a second, a second and five.
WRITTEN_S = 10
TOP = f"""
[maintenance]
open_after_min = {{ county = {OPEN_AFTER_S / 60}, township = {OPEN_AFTER_S / 60}, village = {OPEN_AFTER_S / 60} }}
repair_limit_h = {{ county = 0.01, township = 0.01, village = 0.01 }}

[workorders.responsible]
village = "运维一组"
"""
PASSWORD = "correct horse 电池 staple 9"


@dataclass
class Office:
    """The service, its devices, and somebody of each kind who acts on the command line."""

    config: Path
    service: Serving
    devices: Devices
    folder: Path

    async def say(self, *arguments: str, who: str = "李运维", status: int = 0) -> Any:
        """A command that acts; what it prints, or what it says on refusing."""
        password = self.folder / "password"
        signed = ("--as", who, "--password-file", str(password), "--json")
        done = await asyncio.to_thread(run, *arguments[:2], "--config", self.config, *arguments[2:], *signed)
        assert done.returncode == status, done.stderr
        return done.stderr.strip() if status else json.loads(done.stdout)

    async def orders(self, *more: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.say("workorder", "list", *more)
        return found

    def all_up(self) -> bool:
        up = self.service.samples("zhdj_terminal_up")
        return len(up) == 2 * len(VILLAGES) + 1 and set(up.values()) == {1}


@asynccontextmanager
async def office(folder: Path, top: str = TOP) -> AsyncIterator[Office]:
    port = free_port()
    checks = [beats("T1", "tv", "mqtt"), *(beats(v, k, "mqtt") for v in VILLAGES for k in ("tv", "pc"))]
    config = write_config(folder, http=free_port(), mqtt=port, checks=checks, top=top)
    tokens = issue(config, folder / "tokens.json")
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD, encoding="utf-8")
    for name, role in (("管理员", "admin"), ("李运维", "operator"), ("王审批", "approver"), ("赵财务", "finance")):
        signed = () if role == "admin" else ("--as", "管理员", "--password-file", password)
        done = run("user", "add", name, "--config", config, "--role", role, "--new-password-file", password, *signed)
        assert done.returncode == 0, done.stderr
    with guarded_broker(config, folder, port):
        service = Serving(config)
        try:
            async with devices(config, tokens) as played:
                await wait_for_async(lambda: played.fleet.tally["connected"] == 2 * len(VILLAGES) + 1, 20, "devices")
                await asyncio.to_thread(service.start)
                it = Office(config, service, played, folder)
                await wait_for_async(it.all_up, 20, "every terminal to be up", every=0.2)
                yield it
                if service.is_running():
                    assert await asyncio.to_thread(service.end) == 0
        finally:
            service.close()


async def test_an_outage_of_the_fleet_from_its_order_to_its_close(tmp_path: Path) -> None:
    async with office(tmp_path) as it:
        assert it.service.value("zhdj_workorders_open", level="village") in (None, 0)
        it.devices.silence("V1/pc")
        await wait_for_async(lambda: it.service.value("zhdj_workorders_open", level="village") == 1, 40, "an order")
        [order] = await it.orders()
        began = from_iso(order["outages"][0]["start"])
        assert 0 < from_iso(order["opened"]) - began - OPEN_AFTER_S * 1000 <= WRITTEN_S * 1000
        assert (order["site"], order["responsible"], order["opened_by"]) == ("V1", "运维一组", "system")

        number = str(order["id"])
        await it.say("workorder", "dispatched", number, "--to", "张三")
        await it.say("workorder", "cause", number, "市电")
        assert "仍在持续，不能关闭" in await it.say("workorder", "close", number, status=2)
        # Overdue from the 36th counted second on, and seen as such.
        await wait_for_async(
            lambda: it.service.value("zhdj_workorders_overdue", level="village") == 1, 60, "the order to be overdue"
        )
        [late] = await it.orders("--overdue")
        assert from_iso(late["overdue"]) == began + 36_000

        before = wall_ms()
        it.devices.restore("V1/pc")
        await wait_for_async(lambda: it.service.is_up("V1", "pc"), 20, "V1/pc to be up")
        await it.say("workorder", "repaired", number, "--work", "更换电源适配器")
        closed = await _closes(it, number)
        assert before - 1000 <= from_iso(closed["restored"]) <= wall_ms()
        assert closed["restored"] == closed["outages"][0]["over"]
        await wait_for_async(lambda: it.service.value("zhdj_workorders_open", level="village") == 0, 20, "none open")
        today = datetime.now(UTC)
        period = ((today - timedelta(days=1)).isoformat(), (today + timedelta(days=1)).isoformat())
        counted = await it.say("workorder", "stats", "--from", period[0], "--to", period[1])
        village = next(r for r in counted["rows"] if r["group"] == "village")
        took = from_iso(closed["restored"]) - began
        assert (village["repairs"], village["overdue"]) == (1, 1)
        assert village["mttr_wall_s"] * 1000 == pytest.approx(took, abs=1)
        await _is_paid(it, number)


async def _is_paid(it: Office, number: str) -> None:
    """From the order to the voucher, and to the sum of the township: one chain."""
    day, password = datetime.now(UTC).date(), it.folder / "password"
    year = ("--year", str(day.year))

    async def ledger(*words: str, who: str = "赵财务") -> Any:
        signed = ("--as", who, "--password-file", str(password), "--json")
        done = await asyncio.to_thread(run, "ledger", *words, "--config", it.config, *signed)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    fund = ("--name", "平台运行维护", "--account", "专户1", "--amount", "250000", "--document", "财预1号")
    await ledger("fund", "add", *year, *fund, "--dated", f"{day}", "--purpose", "平台维护", "--class", "30213")
    what = (
        "--amount",
        "120.50",
        "--dated",
        f"{day}",
        "--memo",
        "更换电源适配器",
        "--class",
        "30213",
        "--payee",
        "开江电器",
    )
    drafted = await ledger("draft", *year, *what, "--site", "V1", "--work-order", number)
    entry = str(drafted["id"])
    await ledger("approve", entry, who="王审批")
    await ledger("register", entry, "--paid", f"{day}", "--voucher", "记-0101")
    totals = await ledger("totals", *year)
    [township] = totals["by"]["township"]
    assert (township["key"], township["spent_fen"]) == ("T1", 12_050)
    [cause] = [c for c in totals["by"]["cause"] if c["spent_fen"]]
    assert (cause["key"], cause["name"], cause["spent_fen"]) == ("power", "市电", 12_050)
    order = await it.say("workorder", "show", number)
    assert [(c["number"], c["amount_fen"], c["voucher"]) for c in order["costs"]] == [(1, 12_050, "记-0101")]
    assert [o["site"] for o in order["outages"]] == ["V1"]
    verified = await asyncio.to_thread(run, "verify", "--config", it.config)
    assert verified.returncode == 0, verified.stderr


async def _closes(it: Office, number: str) -> dict[str, Any]:
    """The restoration reaches the database within a second or two of the metric."""
    for _ in range(20):
        shown = next(o for o in await it.orders("--all") if str(o["id"]) == number)
        if not shown["goes_on"] and shown["restored"] is not None:
            break
        await asyncio.sleep(0.5)
    closed: dict[str, Any] = await it.say("workorder", "close", number)
    assert closed["state"] == "closed"
    return closed


async def test_a_township_that_is_cut_off_is_one_order(tmp_path: Path) -> None:
    async with office(tmp_path) as it:
        everything = ["T1/tv", *(f"{v}/{k}" for v in VILLAGES for k in ("tv", "pc"))]
        it.devices.silence(*everything)
        await wait_for_async(lambda: it.service.value("zhdj_workorders_open", level="township") == 1, 40, "an order")
        await asyncio.sleep(WRITTEN_S)  # whatever else would be opened has been by now
        [order] = await it.orders()
        assert (order["kind"], order["site"], order["level"]) == ("line", "T1", "township")
        assert set(order["sites"]) == {"T1", *VILLAGES}
        it.devices.restore(*everything)
        await wait_for_async(it.all_up, 20, "every terminal to be up again", every=0.2)


async def test_what_is_switched_off_outside_its_hours_opens_nothing(tmp_path: Path) -> None:
    """The hours end a minute ago by the clock on the wall, whenever this runs."""
    now = datetime.now(UTC) + timedelta(hours=8)
    ended = now - timedelta(minutes=1)
    if ended.hour == 0 and ended.minute == 0:
        ended += timedelta(minutes=1)
    other = f"00:00-{ended:%H:%M}" if ended.hour or ended.minute else "00:00-00:01"
    async with office(tmp_path, TOP + f'\n[service]\nvillage = {{ hours = ["{other}"] }}\n') as it:
        it.devices.silence("V1/pc", "V1/tv", "V2/pc")
        await wait_for_async(lambda: it.service.value("zhdj_terminal_up", site="V1", terminal="pc") == 0, 20, "down")
        await wait_for_async(
            lambda: len(it.service.query("SELECT 1 FROM outage WHERE state = 'open'")) == 3, 20, "the outages"
        )
        await asyncio.sleep(OPEN_AFTER_S + WRITTEN_S)
        assert await it.orders("--all") == []
        assert it.service.value("zhdj_workorders_open", level="village") == 0


async def test_killed_around_the_opening_there_is_exactly_one_order(tmp_path: Path) -> None:
    async with office(tmp_path) as it:
        rng = Random(4)
        for n, village in enumerate(VILLAGES):
            it.devices.silence(f"{village}/pc")
            # An order is opened between six and twelve seconds after the outage began.
            await asyncio.sleep(rng.uniform(5, 11.5))
            await asyncio.to_thread(it.service.kill)
            await asyncio.to_thread(it.service.start)
            await wait_for_async(lambda: _listed(it, f"{village}/pc"), 60, f"the order of {village}")  # noqa: B023
            assert it.service.query("SELECT count(*) FROM work_order") == [(n + 1,)]
        doubled = "SELECT opened_for FROM work_order GROUP BY opened_for HAVING count(*) > 1"
        assert it.service.query(doubled) == []
        assert it.service.query("SELECT count(*), count(DISTINCT key) FROM work_order_outage") == [(4, 4)]
        done = await asyncio.to_thread(run, "verify", "--config", it.config)
        assert done.returncode == 0, done.stdout + done.stderr


def _listed(it: Office, name: str) -> bool:
    return bool(it.service.query("SELECT 1 FROM work_order_outage WHERE key LIKE ?", f"{name}/%"))


async def test_a_window_is_in_metrics_and_in_the_log_within_seconds(tmp_path: Path) -> None:
    async with office(tmp_path) as it:
        start, end = (datetime.now(UTC) + timedelta(seconds=s) for s in (25, 3600))
        span = ("--from", start.isoformat(), "--to", end.isoformat())
        [window] = await it.say("window", "add", "site:V2", *span, "--reason", "换机柜")
        assert (window["state"], window["declared_by"]) == ("counts", "李运维")
        await wait_for_async(lambda: it.service.value("zhdj_site_planned", site="V2") == 1, 60, "V2 to be planned")
        assert it.service.value("zhdj_site_planned", site="V1") == 0
        # What is silent now is planned, and nobody's order.
        it.devices.silence("V2/pc")
        await asyncio.sleep(OPEN_AFTER_S + WRITTEN_S)
        assert await it.orders() == []
        [off] = await it.say("window", "cancel", str(window["id"]), "--note", "完工")
        assert off["state"] == "cancelled"
        await wait_for_async(lambda: it.service.value("zhdj_site_planned", site="V2") == 0, 20, "V2 not to be planned")
        await wait_for_async(lambda: len(_windows(it)) == 2, 10, "both lines of the window")
        assert [bool(line.get("cancelled")) for line in _windows(it)] == [False, True]
        await wait_for_async(lambda: it.service.value("zhdj_workorders_open", level="village") == 1, 40, "an order")

        # After the fact: proposed, and counted from the approval of another person on.
        earlier = ("--from", (start - timedelta(hours=2)).isoformat(), "--to", end.isoformat())
        [late] = await it.say("window", "add", "site:V3", *earlier, "--reason", "停电")
        assert late["state"] == "proposed"
        refused = await it.say("window", "approve", str(late["id"]), status=2)
        assert "无权" in refused
        await it.say("window", "approve", str(late["id"]), who="王审批")
        await wait_for_async(lambda: it.service.value("zhdj_site_planned", site="V3") == 1, 20, "V3 to be planned")


def _windows(it: Office) -> list[dict[str, Any]]:
    return [line for line in it.service.lines() if line["type"] == "window"]

"""Work orders as the service keeps them, on evidence that the real observer took: opened on the one clock, one for a
root cause, carried along by revisions, measured; and what people may do with them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from monitor.clock import from_iso
from monitor.core.access import Forbidden
from monitor.core.timeline import BEGINNING
from monitor.errors import MonitorError
from monitor.flows import order_acts
from monitor.flows.ledger.stepping import give_up
from monitor.flows.order_stats import stats
from monitor.flows.orders import keep_orders
from monitor.flows.replay import figures
from monitor.flows.work_json import cost_json
from monitor.inventory.load import load
from monitor.inventory.versions import pack
from monitor.store import audit, orders, versions
from monitor.store.tables import outage
from monitor.store.versions import Held
from tests.ledgers import ask, drafted, opened_fund, registered
from tests.small_county import APPROVER, BOTH, HOUR, MINUTE, OF_T2, OPERATOR, VIEWER, county, write_county

V1 = ("V1/tv", "V1/pc")


async def test_an_outage_opens_one_order_on_the_one_clock_and_is_closed_when_it_was_measured_to_be_over(
    tmp_path: Path, database_url: str
) -> None:
    async with county(tmp_path, database_url) as it:
        began = it.clock.at + MINUTE  # the first beat that was due
        await it.play(60, silent=V1)
        assert await it.orders() == []
        await it.play(5, silent=V1)
        [order] = await it.orders()
        assert (order.kind, order.site, order.level, order.state, order.opened_by) == (
            "site", "V1", "village", "open", "system",
        )  # fmt: skip
        assert {(o.terminal, o.start, o.goes_on) for o in order.outages} == {("tv", began, True), ("pc", began, True)}
        assert began + HOUR < order.opened_ms <= began + HOUR + 5 * MINUTE
        assert it.counts == {"county": (0, 0), "township": (0, 0), "village": (1, 0)}

        await order_acts.dispatch(it.engine, OPERATOR, order.id, "张三", it.clock.at)
        await order_acts.set_cause(it.engine, OPERATOR, order.id, "市电", "", it.clock.at)
        with pytest.raises(MonitorError, match="仍在持续，不能关闭"):
            await order_acts.close(it.engine, OPERATOR, order.id, "", it.clock.at)
        await it.play(10, silent=("V1/pc",))
        await order_acts.repaired(it.engine, OPERATOR, order.id, "更换电源", it.clock.at)
        with pytest.raises(MonitorError, match="仍在持续"):
            await order_acts.close(it.engine, OPERATOR, order.id, " ", it.clock.at)
        up_again = it.clock.at + MINUTE
        await it.play(5)
        told = await order_acts.close(it.engine, OPERATOR, order.id, "", it.clock.at)
        assert (told.order.state, told.order.restored_ms, told.order.cause) == ("closed", up_again, "power")
        await it.keep()
        assert len(await it.orders()) == 1
        assert it.counts["village"] == (0, 0)
        assert [e["what"] for e in told.history if e["what"] != "outages_added"] == [
            "opened", "dispatched", "cause", "repaired", "restored", "closed",
        ]  # fmt: skip


async def test_a_pass_that_is_repeated_or_comes_after_a_crash_opens_no_second_order(
    tmp_path: Path, database_url: str
) -> None:
    async with county(tmp_path, database_url) as it:
        it.passes = False
        await it.play(70, silent=V1)
        for _ in range(3):
            await keep_orders(it.engine, it.loaded, it.clock.at)
        [order] = await it.orders()
        assert await it.history(order) == ["opened"] or await it.history(order) == ["opened", "outages_added"]
        async with it.engine.connect() as connection:
            rows = await audit.rows(connection)
        assert {r["who"] for r in rows} == {"system"}


async def test_two_that_pass_at_once_open_one(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        it.passes = False
        await it.play(70, silent=V1)
        passes = (keep_orders(it.engine, it.loaded, it.clock.at) for _ in range(4))
        done = await asyncio.gather(*passes, return_exceptions=True)
        assert all(isinstance(one, Mapping | IntegrityError) for one in done), done
        await keep_orders(it.engine, it.loaded, it.clock.at)
        [order] = await it.orders()
        assert len(order.outages) == 2


async def test_an_outage_that_was_over_before_anybody_looked_has_its_order_too(
    tmp_path: Path, database_url: str
) -> None:
    async with county(tmp_path, database_url) as it:
        it.passes = False  # the database was away
        await it.play(90, silent=V1)
        await it.play(30)
        it.passes = True
        await it.keep()
        [order] = await it.orders()
        assert len(order.outages) == 2
        assert not order.goes_on
        assert order.restored_ms is not None


async def test_what_is_switched_off_outside_its_hours_opens_nothing(tmp_path: Path, database_url: str) -> None:
    hours = '[service]\nvillage = { hours = ["08:30-12:00", "14:00-18:00"] }\n'
    async with county(tmp_path, database_url, top=hours, at=from_iso("2026-10-12T09:30:00Z")) as it:
        await it.play(25)  # to 18:00
        await it.play(14 * 60, silent=("V1", "V2", "V3", "V4", "V5", "W1"))
        await it.play(60)
        assert await it.orders() == []
        # And one that stays away is an order an hour after the hours began, not in the night.
        await it.play(9 * 60)  # 18:00
        await it.play(16 * 60, silent=("V1",))
        [order] = await it.orders()
        began = from_iso("2026-10-14T00:30:00Z")
        assert began + HOUR < order.opened_ms <= began + HOUR + 6 * MINUTE


@pytest.mark.parametrize("uplink", [True, False])
async def test_a_line_that_is_cut_is_one_order_with_the_sites_it_took_along(
    tmp_path: Path, database_url: str, uplink: bool
) -> None:
    async with county(tmp_path, database_url, uplink=uplink) as it:
        await it.play(75, cut=True, silent=("T1", "V1"))
        found = await it.orders(closed=False)
        assert [(o.kind, o.site, o.township, o.level) for o in found] == [("line", "T1", "T1", "township")]
        assert {o.site for o in found[0].outages} == {"T1", "V1", "V2", "V3", "V4", "V5"}
        assert it.counts == {"county": (0, 0), "township": (1, 0), "village": (0, 0)}
        # One village does not come back with the line: it is still this order's, until somebody splits it off.
        await it.play(70, silent=("V1",))
        [order] = await it.orders(closed=False)
        assert order.goes_on
        split = (await order_acts.split(it.engine, it.loaded, OPERATOR, order.id, "V1", it.clock.at)).order
        assert (split.kind, {o.site for o in split.outages}) == ("site", {"V1"})
        await it.keep()
        states = {o.id: o.goes_on for o in await it.orders(closed=False)}
        assert states == {order.id: False, split.id: True}


async def test_a_site_that_was_down_before_the_line_has_its_own_order(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        await it.play(30, silent=("V1",))
        await it.play(75, silent=("V1",), cut=True)
        assert sorted((o.kind, o.site) for o in await it.orders(closed=False)) == [("line", "T1"), ("site", "V1")]


@pytest.mark.parametrize("database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True)
async def test_down_again_within_24_counted_hours_is_the_same_order_again(tmp_path: Path, database_url: str) -> None:
    hours = '[service]\nvillage = { hours = ["09:00-17:00"] }\n'
    async with county(tmp_path, database_url, top=hours) as it:
        await it.play(65, silent=("V1/tv",))
        await it.play(5)
        [order] = await it.orders()
        await order_acts.set_cause(it.engine, OPERATOR, order.id, "terminal", "", it.clock.at)
        await order_acts.close(it.engine, OPERATOR, order.id, "", it.clock.at)
        # Two days and a night later: more than 24 hours on the wall, 16 or so of them counted.
        await it.play(48 * 60)
        await it.play(65, silent=("V1/tv",))
        [again] = await it.orders()
        assert (again.id, again.state, again.reopened, again.restored_ms) == (order.id, "open", 1, None)
        assert len(again.outages) == 2
        # Another terminal of the site is another fault.
        await it.play(5)
        await it.play(65, silent=("V1/pc",))
        assert len(await it.orders()) == 2
        # Beyond 24 counted hours it is another one.
        await it.play(4 * 24 * 60)
        await it.play(65, silent=("V1/tv",))
        assert [o.reopened for o in await it.orders()] == [1, 0, 0]


async def test_late_beats_that_split_an_outage_carry_the_order_along(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        await it.play(65, silent=("V1/tv",))
        [order] = await it.orders()
        it.observer.lost("mqtt")
        await it.play(30, deaf=True)
        sent = it.clock.at - 15 * MINUTE
        await it.play(10, silent=("V1/tv",))
        assert len((await it.orders())[0].outages) == 1  # out of sight, its outage did not end
        for n in range(3):  # it lived meanwhile, for two minutes, and is silent again since
            late = it.observer.heartbeat("V1", "tv", "mqtt", sent_at=sent + n * MINUTE, boot="b", seq=it.seq - 30 + n)
            assert late is None
        await it.keep()
        [order] = await it.orders()
        assert len(order.outages) == 2
        assert "outage_split" in await it.history(order)


async def test_evidence_that_undoes_an_outage_closes_what_nobody_has_taken_in_hand(
    tmp_path: Path, database_url: str
) -> None:
    for dispatched in (False, True):
        folder = tmp_path / str(dispatched)
        url = database_url if not dispatched else f"sqlite+aiosqlite:///{tmp_path}/second.db"
        async with county(folder, url) as it:
            since = it.clock.at
            await it.play(65, silent=tuple(it.loaded.inventory.sites))
            found = await it.orders(closed=False)
            assert {(o.kind, o.site) for o in found} == {("site", "C1"), ("line", "T1"), ("site", "T2"), ("site", "W1")}
            if dispatched:
                for order in found:
                    await order_acts.dispatch(it.engine, OPERATOR, order.id, "张三", it.clock.at)
            # It turns out that the broker had been gone all the while: nothing was seen, and nothing is down.
            it.observer.lost("mqtt", since + 1)
            await it.keep()
            found = await it.orders()
            assert {o.state for order in found for o in order.outages} == {"gone"}
            closed = {(o.state, o.closed_by) for o in found if o.outages}
            assert closed == {("dispatched", "") if dispatched else ("closed", "system")}


async def test_outages_that_become_one_are_listed_once(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        await it.play(65, silent=("V1/tv",))
        await it.play(5)
        await it.play(65, silent=("V1/tv",))
        [order] = await it.orders()
        first, second = order.outages
        async with it.engine.begin() as connection:  # as store/view.py writes it
            merged = {"state": "merged", "successor": first.key}
            await connection.execute(update(outage).where(outage.c.key == second.key).values(**merged))
            opened = update(outage).where(outage.c.key == first.key)
            await connection.execute(opened.values(end_ms=None, over_ms=None, state="open"))
        await keep_orders(it.engine, it.loaded, it.clock.at)
        [order] = await it.orders()
        assert [o.key for o in order.outages] == [first.key]
        assert order.goes_on


async def test_overdue_begins_with_the_first_overdue_second(tmp_path: Path, database_url: str) -> None:
    limits = "[maintenance]\nrepair_limit_h = { county = 4, township = 8, village = 2 }\n"
    async with county(tmp_path, database_url, top=limits) as it:
        start = it.clock.at
        began = start + MINUTE
        await it.play(121, silent=("V1/tv",))
        assert it.counts["village"] == (1, 0)
        await it.play(10, silent=("V1/tv",))
        [order] = await it.orders()
        assert order.overdue == began + 2 * HOUR
        assert it.counts["village"] == (1, 1)
        counted = await figures(it.engine, it.loaded, (start, it.clock.at))
        [tv] = [m for m in counted.terminals if (m.site.site_id, m.terminal) == ("V1", "tv")]
        assert tv.measure.overdue == it.clock.at - began - 2 * HOUR


async def test_who_may_do_what(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        now = it.clock.at
        made = (await order_acts.open_by_hand(it.engine, it.loaded, OPERATOR, "V1", "花屏", now)).order
        for who in (VIEWER, APPROVER, OF_T2):
            with pytest.raises(Forbidden):
                await order_acts.dispatch(it.engine, who, made.id, "张三", now)
        with pytest.raises(Forbidden):
            await order_acts.open_by_hand(it.engine, it.loaded, OF_T2, "V1", "花屏", now)
        await order_acts.open_by_hand(it.engine, it.loaded, OF_T2, "W1", "花屏", now)
        with pytest.raises(MonitorError, match="没有站点"):
            await order_acts.open_by_hand(it.engine, it.loaded, OPERATOR, "V9", "花屏", now)
        with pytest.raises(MonitorError, match="未填故障原因"):
            await order_acts.close(it.engine, OPERATOR, made.id, "", now)
        await order_acts.set_cause(it.engine, OPERATOR, made.id, "人为", "", now)
        await order_acts.close(it.engine, OPERATOR, made.id, "", now)
        with pytest.raises(MonitorError, match="状态不允许"):
            await order_acts.dispatch(it.engine, OPERATOR, made.id, "张三", now)
        async with it.engine.connect() as connection:
            outcomes = [(r["who"], r["outcome"]) for r in await audit.rows(connection)]
        assert outcomes.count((VIEWER.name, "refused")) == 1
        assert outcomes.count((OF_T2.name, "refused")) == 2
        assert outcomes.count((OPERATOR.name, "done")) == 3


async def test_an_outage_over_a_change_of_the_limit_is_overdue_as_the_figures_say(tmp_path: Path) -> None:
    """Within three hours it is in time; an hour and a half later one hour holds, and what lies beyond that is overdue
    from then on, not from an hour after its beginning."""
    top = "[maintenance]\nrepair_limit_h = {{ county = 4, township = 8, village = {} }}\n"
    change = from_iso("2026-11-01T00:00:00+08:00")  # limits change with a month
    async with county(tmp_path, "sqlite+aiosqlite://", top=top.format(3), at=change - 96 * MINUTE) as it:
        start = it.clock.at
        shorter = load(write_county(tmp_path / "shorter", top=top.format(1)), serving=False)
        async with it.engine.begin() as connection:
            told = ((1, BEGINNING, it.loaded), (2, change, shorter))
            await versions.held(connection, [Held(n, s, one.digest, "", pack(one), "chen") for n, s, one in told])
        await it.play(90, silent=("V1/tv",))
        assert it.counts["village"] == (1, 0)
        await it.play(30, silent=("V1/tv",))
        [order] = await it.orders()
        assert order.overdue == change
        counted = await figures(it.engine, it.loaded, (start, it.clock.at))
        [tv] = [m for m in counted.terminals if (m.site.site_id, m.terminal) == ("V1", "tv")]
        assert tv.measure.overdue == it.clock.at - change


async def test_an_order_shows_what_the_ledger_says_that_it_cost(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with county(tmp_path, database_url) as it:
        made = (await order_acts.open_by_hand(it.engine, it.loaded, OPERATOR, "V1", "花屏", it.clock.at)).order
        await opened_fund(it.engine)
        paid = await registered(it.engine, 12_034, work_order=str(made.id))
        waits = await drafted(it.engine, 100, work_order=str(made.id))
        given_up = await drafted(it.engine, 200, work_order=str(made.id))
        await give_up(ask(it.engine), [given_up], "重复")
        other = (await order_acts.open_by_hand(it.engine, it.loaded, OPERATOR, "V1", "黑屏", it.clock.at)).order
        await registered(it.engine, 300, work_order=str(other.id))
        costs = [cost_json(c) for c in (await order_acts.show(it.engine, it.loaded, APPROVER, made.id)).costs]
        assert [(c["entry"], c["number"], c["state"], c["amount_fen"], c["voucher"]) for c in costs] == [
            (paid, 1, "registered", 12_034, "记-0001"),
            (waits, None, "draft", 100, ""),
        ]
        told = await order_acts.show(it.engine, it.loaded, APPROVER, made.id)
        monkeypatch.setattr(order_acts, "COSTS", 2)
        cut = await order_acts.show(it.engine, it.loaded, APPROVER, made.id)
        assert (told.costs_cut, cut.costs_cut, [c["id"] for c in cut.costs]) == (False, True, [waits])
        # Who may see sums only is told no entries; who is limited to another township is told nothing.
        assert (await order_acts.show(it.engine, it.loaded, VIEWER, made.id)).costs == []
        with pytest.raises(Forbidden, match="不含乡镇 T1"):
            await order_acts.show(it.engine, it.loaded, OF_T2, made.id)
        assert [o.id for o in await order_acts.listed(it.engine, it.loaded, VIEWER, site="V1")] == [made.id, other.id]
        assert await order_acts.listed(it.engine, it.loaded, OF_T2) == []
        with pytest.raises(MonitorError, match="没有站点 999"):
            await order_acts.listed(it.engine, it.loaded, VIEWER, site="999")
        with pytest.raises(MonitorError, match="没有乡镇 镇一：应为乡镇代码"):
            await order_acts.listed(it.engine, it.loaded, VIEWER, township="镇一")
        theirs = await stats(it.engine, it.loaded, OF_T2, (0, it.clock.at + 1), "township", it.clock.at + 1)
        assert [(row.group, row.orders) for row in theirs] == [("T2", 0), ("total", 0)]


async def test_an_exemption_stands_beside_what_was_measured(tmp_path: Path, database_url: str) -> None:
    limits = "[maintenance]\nrepair_limit_h = { county = 4, township = 8, village = 2 }\n"
    async with county(tmp_path, database_url, top=limits) as it:
        start = it.clock.at
        await it.play(130, silent=("V1/tv",))
        await it.play(60)
        period = (start, it.clock.at)
        [order] = await it.orders()
        measured = await figures(it.engine, it.loaded, period)
        assert measured.site_rates["village"].failed == 1
        assert measured.after_exemptions is None
        paper = tmp_path / "停电通知.pdf"
        paper.write_bytes(b"%PDF-1.4 ...")
        act = (it.engine, it.loaded, BOTH, order.id, "市电", "全镇停电检修", paper, it.clock.at)
        [proposed] = (await order_acts.propose_exemption(*act)).exemptions
        assert (await figures(it.engine, it.loaded, period)).after_exemptions is None
        with pytest.raises(Forbidden, match="另一人"):
            await order_acts.decide_exemption(it.engine, BOTH, proposed.id, True, "", it.clock.at)
        with pytest.raises(Forbidden):
            await order_acts.decide_exemption(it.engine, OPERATOR, proposed.id, True, "", it.clock.at)
        await order_acts.decide_exemption(it.engine, APPROVER, proposed.id, True, "", it.clock.at)
        counted = await figures(it.engine, it.loaded, period)
        assert (counted.terminals, counted.sites) == (measured.terminals, measured.sites)
        assert counted.after_exemptions is not None
        assert counted.after_exemptions.site_rates["village"].failed == 0
        assert counted.after_exemptions.site_rates["township"] == counted.site_rates["township"]
        with pytest.raises(MonitorError, match="已有免责申请"):
            await order_acts.propose_exemption(*act)

        # Down again: the same order, and nobody has approved anything of that.
        await it.play(130, silent=("V1/tv",))
        await it.play(5)
        [order] = await it.orders()
        assert len(order.outages) == 2
        period = (start, it.clock.at)
        lenient = (await figures(it.engine, it.loaded, period)).after_exemptions
        assert lenient is not None
        assert lenient.site_rates["village"].failed == 1
        [tv] = [m for m in lenient.terminals if (m.site.site_id, m.terminal) == ("V1", "tv")]
        assert (tv.measure.outages, tv.measure.down) == (1, 130 * MINUTE)
        proposed = (await order_acts.propose_exemption(*act[:-1], it.clock.at)).exemptions[-1]
        await order_acts.decide_exemption(it.engine, APPROVER, proposed.id, True, "", it.clock.at)
        lenient = (await figures(it.engine, it.loaded, period)).after_exemptions
        assert lenient is not None
        assert lenient.site_rates["village"].failed == 0


async def test_what_the_first_beat_says_of_the_cause(tmp_path: Path) -> None:
    async with county(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/monitor.db") as it:
        await it.play(65, silent=("V1/tv",))
        await it.play(5)
        [order] = await it.orders()
        told = await order_acts.show(it.engine, it.loaded, APPROVER, order.id)
        assert list(told.signs.values()) == ["line"]  # it had gone on counting its beats
        with pytest.raises(MonitorError, match="没有编号为 99"):
            await order_acts.show(it.engine, it.loaded, APPROVER, 99)


async def test_statistics(tmp_path: Path, database_url: str) -> None:
    hours = '[service]\nvillage = { hours = ["08:00-18:00"] }\n'
    async with county(tmp_path, database_url, top=hours) as it:
        start = it.clock.at
        await it.play(90, silent=("V1/tv",))
        [order] = await it.orders()
        await order_acts.dispatch(it.engine, OPERATOR, order.id, "张三", order.opened_ms + 30 * MINUTE)
        await it.play(31, silent=("V1/tv",))  # down for two hours: from the first due beat to the next one heard
        await it.play(9)
        await order_acts.set_cause(it.engine, OPERATOR, order.id, "线路", "", it.clock.at)
        rows = {
            r.group: r for r in await stats(it.engine, it.loaded, VIEWER, (start, it.clock.at), "level", it.clock.at)
        }
        village = rows["village"]
        assert (village.orders, village.responses, village.repairs, village.failures) == (1, 1, 1, 1)
        assert village.response_wall_s == village.response_counted_s == 1800
        assert village.mttr_wall_s == village.mttr_counted_s == 121 * 60
        minutes = (it.clock.at - start) // MINUTE
        assert village.mtbf_wall_s == (12 * minutes - 121) * 60  # twelve terminals in villages
        assert rows["township"].orders == 0
        assert rows["township"].mttr_wall_s is None
        by_cause = {
            r.group: r for r in await stats(it.engine, it.loaded, VIEWER, (start, it.clock.at), "cause", it.clock.at)
        }
        assert (by_cause["line"].repairs, by_cause["power"].repairs, by_cause["total"].repairs) == (1, 0, 1)
        by_township = {
            r.name: r for r in await stats(it.engine, it.loaded, VIEWER, (start, it.clock.at), "township", it.clock.at)
        }
        assert (by_township["镇一"].orders, by_township["镇二"].orders) == (1, 0)
        with pytest.raises(MonitorError, match="应为 level、township 或 cause"):
            await stats(it.engine, it.loaded, VIEWER, (start, it.clock.at), "colour", it.clock.at)


async def test_an_order_that_was_closed_by_force_is_not_opened_again(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        await it.play(65, silent=("V1/tv",))
        [order] = await it.orders()
        await order_acts.set_cause(it.engine, OPERATOR, order.id, "其他", "", it.clock.at)
        await order_acts.close(it.engine, OPERATOR, order.id, "站点撤并", it.clock.at)
        await it.play(120, silent=("V1/tv",))
        [order] = await it.orders()
        assert (order.state, order.forced, order.close_reason) == ("closed", True, "站点撤并")


async def test_nothing_is_ever_said_twice_of_one_outage(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url) as it:
        await it.play(65, silent=("V1/tv",))
        [order] = await it.orders()
        async with it.engine.connect() as connection:
            assert await orders.orders_of(connection, [order.outages[0].key]) == {order.outages[0].key: order.id}
        with pytest.raises(Exception, match=r"(?i)unique"):
            async with it.engine.begin() as connection:
                await orders.list_outages(connection, order.id, [order.outages[0].key], it.clock.at)

"""What people add to the facts of a period: orders with their costs, exemptions, planned windows, money; and what
devices say of their services."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pytest

from monitor.cli import program
from monitor.clock import from_iso
from monitor.core.period import parse
from monitor.errors import MonitorError
from monitor.flows import order_acts
from monitor.flows.judging import Judge
from monitor.flows.replay import rebuild
from monitor.flows.reports import facts_json
from monitor.flows.reports.facts import gather
from monitor.inventory.load import load
from monitor.store.database import opened
from monitor.store.view import View
from tests import ledgers
from tests.small_county import APPROVER, BOTH, HOUR, MINUTE, OPERATOR, County, county, write_county

#: Saturday 2026-10-31, 19:00 in Asia/Shanghai.
EVENING = from_iso("2026-10-31T11:00:00Z")
LIMITS = "[maintenance]\nrepair_limit_h = { county = 4, township = 8, village = 2 }\n"


async def test_orders_exemptions_and_windows_stand_beside_the_figures(tmp_path: Path, database_url: str) -> None:
    async with county(tmp_path, database_url, top=LIMITS, at=EVENING) as it:
        await it.play(130, silent=("V1/tv", "V2"))
        await it.play(60)
        first, second = sorted(await it.orders(), key=lambda o: o.site)
        await order_acts.set_cause(it.engine, OPERATOR, first.id, "市电", "", it.clock.at)
        paper = tmp_path / "停电通知.pdf"
        paper.write_bytes(b"%PDF-1.4 ...")
        asked = (it.engine, it.loaded, BOTH, first.id, "市电", "全镇停电检修", paper, it.clock.at)
        [proposed] = (await order_acts.propose_exemption(*asked)).exemptions
        await order_acts.decide_exemption(it.engine, APPROVER, proposed.id, True, "", it.clock.at)
        facts = await gather(it.engine, it.loaded, parse("2026-10"), it.clock.at)

        assert [(o.number, o.site, o.cause, o.exempted, o.overdue) for o in facts.orders] == [
            (str(first.id), "V1", "power", True, True),
            (str(second.id), "V2", "", False, True),
        ]
        assert {o.counted for o in facts.orders} == {130 * MINUTE}
        assert facts.orders[0].limit == 2 * HOUR
        by_site = {(o.site, o.terminal): o for o in facts.outages}
        assert by_site["V1", "tv"].cause == "power"
        assert (by_site["V1", "tv"].order, by_site["V1", "tv"].exempted) == (str(first.id), True)
        assert (by_site["V2", "pc"].order, by_site["V2", "pc"].exempted) == (str(second.id), False)
        assert by_site["V2", "pc"].edge_cause == "line"
        assert set(facts.orders[1].outages) == {by_site["V2", "tv"].key, by_site["V2", "pc"].key}
        assert [(e.order, e.cause, e.approved_by) for e in facts.exemptions] == [
            (str(first.id), "power", APPROVER.name)
        ]
        assert facts.after_exemptions is not None
        assert facts.counted.sites["village"].failed == 2
        assert facts.after_exemptions.sites["village"].failed == 1
        assert set(facts.after_exemptions.differing) == {"terminal:V1/tv", "site:V1", "township:T1", "kind:tv"}
        assert [(s.site, s.why) for s in facts.sites if s.verdict == "failed"] == [
            ("V1", [("tv", "overdue")]),
            ("V2", [("pc", "overdue"), ("tv", "overdue")]),
        ]
        assert {one.reason for one in facts.losses} == {"start"}
        assert facts_json.read(facts_json.dump(facts)) == facts


async def test_services_are_counted_by_day_and_outlive_a_rebuild(tmp_path: Path) -> None:
    async with county(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/one.db", at=EVENING) as it:
        await _talk(it, 30, "ok")
        await _talk(it, 10, "fail")
        await it.play(5 * 60)
        facts = await gather(it.engine, it.loaded, parse("2026-10"), it.clock.at)
        [video] = facts.services
        assert (video.service, video.ok, video.failed) == ("video_conference", 60, 10)
        assert (video.terminals, video.terminals_failed) == (2, 1)
        assert (await gather(it.engine, it.loaded, parse("2026-11"), it.clock.at)).services == []
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/two.db") as engine:
        view = View(engine, "test")
        await view.number_checks(it.loaded.inventory)
        await rebuild(view, Judge(it.loaded), [tmp_path / "evidence"], torn_end=True)
        again = await gather(engine, it.loaded, parse("2026-10"), it.clock.at)
        assert again.services == facts.services
        assert again.counted == facts.counted


async def _talk(it: County, minutes: int, word: str) -> None:
    """V1/tv says `word` each minute and V2/tv ok, beside what all others do."""
    for _ in range(minutes):
        await it.play(1, silent=("V1/tv", "V2/tv") if word == "ok" else ("V1/tv",))
        for site in ("V1", "V2") if word == "ok" else ("V1",):
            said = {"video_conference": word}
            refused = it.observer.heartbeat(
                site, "tv", "mqtt", sent_at=it.clock.at, boot="b", seq=it.seq, services=said
            )
            assert refused is None


async def test_money_is_that_of_the_ledger(tmp_path: Path, database_url: str) -> None:
    loaded = load(ledgers.ROOT / "config", serving=False)
    one, two = ledgers.sites(2)
    async with opened(database_url) as engine:
        await ledgers.opened_fund(engine)
        await ledgers.registered(engine, 10_001, [one, two], date(2020, 2, 28), dated=date(2020, 2, 1))
        await ledgers.registered(engine, 500, [one], date(2020, 3, 5))
        await ledgers.registered(engine, 7_000, [two], date(2020, 3, 31))
        await ledgers.approved(engine, 900, [one])
        march = (await gather(engine, loaded, parse("2020-03"), ledgers.AT)).money
        days = (await gather(engine, loaded, parse("2020-03-01..2020-03-31"), ledgers.AT)).money
        year = (await gather(engine, loaded, parse("2020"), ledgers.AT)).money
        months = [
            (await gather(engine, loaded, parse(f"2020-{month:02d}"), ledgers.AT)).money for month in range(1, 13)
        ]
    [fund] = march.funds
    assert (fund.initial, fund.budget, fund.registered) == (25_000_000, 25_000_000, 17_501)
    assert (fund.spent_here, fund.approved_unpaid) == (7_500, 900)
    assert march.by_class == {ledgers.REPAIRS: 7_500}
    assert march.by_site == {one: 500, two: 7_000}
    assert sum(march.by_township.values()) == sum(march.by_cause.values()) == 7_500
    assert march.by_month == {"2020-01": 0, "2020-02": 10_001, "2020-03": 17_501}
    assert days == march
    for name in ("by_class", "by_township", "by_site", "by_cause"):
        added: dict[str, int] = {}
        for money in months:
            for key, fen in getattr(money, name).items():
                added[key] = added.get(key, 0) + fen
        assert added == getattr(year, name)
    assert sum(money.funds[0].spent_here for money in months) == year.funds[0].spent_here == 17_501
    assert year.by_month["2020-12"] == year.funds[0].registered


def test_the_command_gives_json_on_stdout_or_files(
    tmp_path: Path, tables_of_sqlite: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = write_county(tmp_path / "config")
    shutil.copy(tables_of_sqlite, tmp_path / "monitor.db")
    monkeypatch.setenv("ZHDJ_DATABASE__URL", f"sqlite+aiosqlite:///{tmp_path}/monitor.db")

    def run(*arguments: object) -> tuple[bytes, bytes]:
        program(["report", *map(str, arguments), "--config", str(folder)], standalone_mode=False)
        said = capfdbinary.readouterr()
        return said.out, said.err

    out, err = run("month", "2026-03")
    assert err == b""
    facts = facts_json.read(out)
    assert (facts.period, facts.county) == ("2026-03", "开江县")
    assert {site.verdict for site in facts.sites} == {"unproven"}
    assert [one.why for one in facts.unknown] == ["before"]
    [written] = json.loads(run("period", "2026-Q1", "--out", tmp_path / "out", "--json")[0])
    assert Path(written["path"]).read_bytes() == facts_json.dump(facts_json.read(run("period", "2026-Q1")[0]))
    out, err = run("period", "2026-02-10..2026-02-11", "--out", tmp_path / "out")
    assert (out, err.decode().strip()) == (b"", str(tmp_path / "out/report-2026-02-10..2026-02-11.json"))
    for wrong, sentence in (
        (("month", "2026-Q1"), "应为月份"),
        (("month", "2999-01"), "期间"),
        (("month", "2026-03", "--format", "odt"), "--format"),
        (("month", "2026-03", "--format", "pdf"), "--out"),
    ):
        with pytest.raises(MonitorError, match=sentence):
            run(*wrong)


async def test_a_townships_line_is_no_position(tmp_path: Path) -> None:
    async with county(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/monitor.db", uplink=True, at=EVENING) as it:
        await it.play(70, cut=True)
        facts = await gather(it.engine, it.loaded, parse("2026-10"), it.clock.at)
    [line] = facts.lines
    assert (line.site, line.terminal, line.over, line.end) == ("T1", "uplink", None, None)
    assert line.counted == line.counted_here > HOUR
    [order] = [order for order in facts.orders if line.key in order.outages]
    assert (order.site, line.order) == ("T1", order.number)
    assert "uplink" not in {t.terminal for site in facts.sites for t in site.terminals}
    assert "uplink" not in {outage.terminal for outage in facts.outages}

"""A year that was played: its months add up to it, its verdicts follow from theirs, replaying the log says the same.

2026 in Asia/Shanghai, a county of three sites with four terminals that beat every six hours. V1/tv is silent for three
days over the end of March (an outage in two months), V1/pc for a week in August, and the monitor heard nothing on the
channel of T1/tv for ten days in May.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli import program
from monitor.clock import from_iso, to_iso
from monitor.core.period import parse
from monitor.core.report import Sum
from monitor.core.year_facts import YearFacts
from monitor.flows.replay import figures, replay
from monitor.flows.reports.facts import gather
from monitor.flows.reports.seal import seal
from monitor.flows.reports.write_year import dump
from monitor.flows.reports.year_gather import gather_year
from monitor.inventory.load import Loaded, load
from monitor.publish.reports.template_files import templates_of
from monitor.store.database import opened
from tests.folders import TODAY
from tests.kept_reports import keep
from tests.ledgers import drafted, opened_fund
from tests.ledgers import registered as registered_entry
from tests.sealed_months import APPROVER

HOUR = 3_600_000
DAY = 24 * HOUR
START, END = from_iso("2026-01-01T00:00:00+08:00"), from_iso("2027-01-01T00:00:00+08:00")
NOW = END + 10 * DAY
MARCH = from_iso("2026-03-30T12:00:00+08:00")
MAY = from_iso("2026-05-10T00:00:00+08:00")
AUGUST = from_iso("2026-08-10T00:00:00+08:00")
FILES = {
    "monitor.toml": (
        "[maintenance]\nplanned_sites = { county = 0, township = 1, village = 2 }\n"
        "repair_limit_h = { county = 80, township = 80, village = 80 }\n"
    ),
    "sites.csv": "site_id,name,level,township_code,township_name,uplink\n"
    "T1,镇1,township,T1,镇1,\nV1,镇1村1,village,T1,镇1,\nV2,镇1村2,village,T1,镇1,\n",
    "checks.csv": "site_id,terminal,check,target,interval_s,grace_s,failures\n"
    "T1,tv,heartbeat-http,,21600,21600,\nV1,tv,heartbeat-mqtt,,21600,21600,\n"
    "V1,pc,heartbeat-mqtt,,21600,21600,\nV2,tv,heartbeat-mqtt,,21600,21600,\n",
}


def trace() -> Iterator[dict[str, object]]:
    begin = START - DAY
    for channel in ("http", "mqtt", "probe"):
        yield {"at": begin, "type": "channel", "channel": channel, "event": "restored"}
    at = begin
    while at < END + 4 * DAY:  # until December is settled
        at += 6 * HOUR
        if at == MAY:
            yield {"at": at, "type": "channel", "channel": "http", "event": "lost"}
        if at == MAY + 10 * DAY:
            yield {"at": at, "type": "channel", "channel": "http", "event": "restored"}
        for site, terminal, via in (
            ("T1", "tv", "http"), ("V1", "tv", "mqtt"), ("V1", "pc", "mqtt"), ("V2", "tv", "mqtt"),
        ):  # fmt: skip
            silent = (
                (site == "T1" and MAY <= at < MAY + 10 * DAY)
                or ((site, terminal) == ("V1", "tv") and MARCH <= at < MARCH + 3 * DAY)
                or ((site, terminal) == ("V1", "pc") and AUGUST <= at < AUGUST + 7 * DAY)
            )
            if not silent:
                yield {"at": at, "type": "heartbeat", "site": site, "terminal": terminal, "via": via}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("year")
    for name, text in FILES.items():
        (made / name).write_text(text, encoding="utf-8")
    lines = [json.dumps({**line, "at": to_iso(int(str(line["at"])))}) for line in trace()]
    (made / "t.jsonl").write_text("\n".join(lines) + "\n")
    loaded = load(made, serving=False, today=TODAY)
    asyncio.run(replay(loaded, [made / "t.jsonl"], (START, END), url=f"sqlite+aiosqlite:///{made}/monitor.db"))
    return made


@pytest.fixture
def loaded(folder: Path) -> Loaded:
    return load(folder, serving=False, today=TODAY)


@pytest.fixture
async def engine(folder: Path) -> AsyncIterator[AsyncEngine]:
    async with opened(f"sqlite+aiosqlite:///{folder}/monitor.db") as found:
        yield found


@pytest.fixture
async def facts(engine: AsyncEngine, loaded: Loaded) -> YearFacts:
    return await gather_year(engine, loaded, templates_of(2026), 2026, NOW)


def added(sums: list[Sum]) -> tuple[int, ...]:
    return tuple(sum(getattr(s, name) for s in sums) for name in ("up", "down", "unknown", "planned", "overdue"))


async def test_the_months_add_up_to_the_year(facts: YearFacts, engine: AsyncEngine, loaded: Loaded) -> None:
    whole = (await figures(engine, loaded, (START, END))).sums()
    for level, total in facts.sums.items():
        assert added([total]) == added([m.sums[level] for m in facts.months])
        year = whole[level]
        assert added([total]) == (year.up, year.down, year.unknown, year.planned, year.overdue)
        assert total.outages == year.outages
    assert facts.sums["total"].up + facts.sums["total"].down + facts.sums["total"].unknown == 3 * (END - START)
    assert [m.month for m in facts.months] == [f"2026-{n:02d}" for n in range(1, 13)]
    assert {m.state for m in facts.months} == {"settled"}
    assert facts.complete
    later = await gather_year(engine, loaded, templates_of(2026), 2026, NOW + 100 * DAY)
    assert dump(later) == dump(facts)  # once it is settled, whenever it is asked for


async def test_an_outage_over_a_months_end_is_in_both_months_and_once_in_the_year(facts: YearFacts) -> None:
    outages = {m.month: m.outages for m in facts.months}
    assert (outages["2026-03"], outages["2026-04"], outages["2026-08"]) == (1, 1, 1)
    assert (sum(outages.values()), facts.outages) == (3, 2)


async def test_the_years_verdicts_follow_from_the_months(facts: YearFacts, engine: AsyncEngine, loaded: Loaded) -> None:
    worst: dict[str, set[str]] = {}
    for month in facts.months:
        counted = await figures(engine, loaded, parse(month.month).interval(loaded.settings.zone))
        for member in counted.sites:
            worst.setdefault(member.site.site_id, set()).add(member.verdict)
    assert worst == {"T1": {"maintained", "unproven"}, "V1": {"maintained", "failed"}, "V2": {"maintained"}}
    assert {t.site: (t.verdict, list(t.failed), list(t.unproven), t.rectified) for t in facts.trouble} == {
        "V1": ("failed", ["2026-08"], [], True),
        "T1": ("unproven", [], ["2026-05"], False),
    }
    assert {r.row: r.actual for r in facts.goals if r.row in (5, 6, 7, 9)} == {
        5: "1个",
        6: "0个",
        7: "0个",
        9: "实测 33.33％，未到位 1 个站点、1 个机位；数据不足 1 个站点、1 个机位",
    }
    counted_way = facts.ways["counted"]
    assert (counted_way.site_months, counted_way.planned_site_months) == (34, 36)


async def test_replaying_the_log_says_the_same(facts: YearFacts, folder: Path, tmp_path: Path, loaded: Loaded) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/again.db"
    await replay(loaded, [folder / "t.jsonl"], (START, END), url=url)
    async with opened(url) as engine:
        for month in facts.months:
            found = await figures(engine, loaded, parse(month.month).interval(loaded.settings.zone))
            total, rate = found.sums()["total"], found.site_rates["total"]
            sums = (total.up, total.down, total.unknown, total.planned, total.overdue)
            assert added([month.sums["total"]]) == sums
            mine = month.sites["total"]
            assert (mine.maintained, mine.failed, mine.unproven) == (rate.maintained, rate.failed, rate.unproven)


async def test_twelve_sealed_months_make_the_same_year(
    facts: YearFacts, folder: Path, tmp_path: Path, loaded: Loaded
) -> None:
    shutil.copy(folder / "monitor.db", tmp_path)
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/monitor.db") as engine:
        for month in facts.months:
            await seal(engine, loaded, APPROVER, month.month, NOW)
        year = await gather_year(engine, loaded, templates_of(2026), 2026, NOW)
    assert [m.state for m in year.months] == ["sealed"] * 12
    assert [replace(m, state="settled") for m in year.months] == facts.months
    assert (year.goals, year.trouble, year.sums) == (facts.goals, facts.trouble, facts.sums)


async def test_a_sealed_month_says_what_was_sealed(folder: Path, tmp_path: Path, loaded: Loaded) -> None:
    shutil.copy(folder / "monitor.db", tmp_path)  # a row of its own: nothing takes a sealed report back
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/monitor.db") as engine:
        await _says_what_was_sealed(engine, loaded)


async def _says_what_was_sealed(engine: AsyncEngine, loaded: Loaded) -> None:
    august = await gather(engine, loaded, parse("2026-08"), NOW)
    whole = [
        replace(s, verdict="maintained", terminals=[replace(t, verdict="maintained") for t in s.terminals])
        for s in august.sites
    ]
    await keep(engine, replace(august, sites=whole))
    facts = await gather_year(engine, loaded, templates_of(2026), 2026, NOW)
    assert [t.site for t in facts.trouble] == ["T1"]
    assert facts.months[7].state == "sealed"


async def test_while_a_year_runs_its_documents_are_previews(engine: AsyncEngine, loaded: Loaded) -> None:
    now = from_iso("2026-08-20T00:00:00+08:00")
    facts = await gather_year(engine, loaded, templates_of(2026), 2026, now)
    assert [m.state for m in facts.months][-2:] == ["settled", "running"]
    assert len(facts.months) == 8
    assert not facts.complete
    assert "2026 年度尚未结束" in facts.missing[0]
    assert (facts.as_of, facts.end) == (now, END)
    assert dump(facts) == dump(await gather_year(engine, loaded, templates_of(2026), 2026, now))


async def test_the_ledgers_money_is_the_fourth_rows(tmp_path: Path, loaded: Loaded) -> None:
    """2020 of the sample ledger: 250,000 yuan, of which 234,567.89 are registered."""
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/money.db") as engine:
        await opened_fund(engine)
        await registered_entry(engine, 23_456_789)
        await drafted(engine, 100_000)
        facts = await gather_year(engine, loaded, templates_of(2020), 2020, NOW)
    assert {r.row: r.actual for r in facts.goals}[4] == "2020年全年共计完成支付23.456789万元。"
    [fund] = facts.funds
    assert (fund.budget, fund.registered, fund.entries) == (25_000_000, 23_456_789, 1)
    money = next(m for m in facts.money if m.source == "appropriation")
    assert (money.initial, money.adjusted, money.budget, money.executed) == (25_000_000, 0, 25_000_000, 23_456_789)
    assert sum(m.spent_fen for m in facts.months) == 23_456_789
    form = facts.evaluations["sichuan"]
    assert (form.execution.actual, form.execution.score) == ("93.82", 938)  # of the ledger alone, cut


def test_the_command_writes_the_year(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZHDJ_DATABASE__URL", f"sqlite+aiosqlite:///{folder}/monitor.db")
    program(["report", "year", "2026", "--config", str(folder)], standalone_mode=False)
    printed = json.loads(capsys.readouterr().out)
    assert printed["year"] == 2026
    assert len(printed["goals"]) == 21
    status = program(["report", "year", "2026", "--config", str(folder), "--final"], standalone_mode=False)
    assert status == 1
    assert "缺评价结论" in capsys.readouterr().err

"""The year 2020 from the command line, as docs/ledger.md plays it: 250,000 yuan for 234 sites, to the fen."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date, timedelta
from pathlib import Path

import pytest
from openpyxl import load_workbook
from sqlalchemy import insert

from monitor.cli import program
from monitor.clock import wall_ms
from monitor.core.access import Actor, Role
from monitor.core.allocation import allocate
from monitor.core.money import in_yuan
from monitor.errors import MonitorError
from monitor.flows.people import add_person
from monitor.flows.reports.year import assemble
from monitor.flows.reports.year_gather import money_of
from monitor.publish.reports.template_files import templates_of
from monitor.store import tables
from monitor.store.database import opened
from tests.ledgers import ROOT, county, with_orders
from tests.services import program as found_program
from tests.year_like_2020 import declared_2020, known, same_text, table_2020

PASSWORD = "Kaijiang-2020-ledger"
REFUSED = "专项资金余额不足：可用 0.00 元，本笔 0.01 元"


async def people(url: str) -> None:
    async with opened(url) as engine:
        await add_person(engine, None, "admin", [Role.ADMIN], None, PASSWORD, wall_ms())
        admin = Actor("admin", frozenset({Role.ADMIN}))
        await add_person(engine, admin, "li", [Role.FINANCE], None, PASSWORD, wall_ms())
        await add_person(engine, admin, "wang", [Role.APPROVER], None, PASSWORD, wall_ms())


async def the_yearly_table_says_what_2020_said(url: str) -> None:
    """All 21 rows and the head, with 219 + 13 + 2 sites maintained."""
    async with opened(url) as engine, engine.connect() as connection:
        money, funds, by_month = await money_of(connection, 2020)
    staged = known(declared=declared_2020(), ledger=money, funds=funds)
    facts = assemble(staged, templates_of(2020))
    table = table_2020()
    for got, wanted in zip(facts.goals, table["rows"], strict=True):
        assert same_text(got.actual, wanted["actual"]), wanted["row"]
    assert same_text(facts.annual_actual, table["annual_actual"])
    assert sum(one.executed or 0 for one in facts.money) == table["executed_wan"] * 1_000_000
    assert sum(one.budget or 0 for one in facts.money) == table["budget_wan"] * 1_000_000
    assert sum(by_month.values()) == 25_000_000


#: Repairs from before there were work orders.
ON_PAPER = 34


async def outages(url: str) -> None:
    """A work order for each later repair, with the outage that it was opened for, as the service would have them."""
    repaired = list(enumerate(county().sites, 1))[ON_PAPER:]
    async with opened(url) as engine:
        await with_orders(engine, {n: "terminal" for n, _ in repaired})
        away = [
            {"key": f"{site}/tv/{n}", "site": site, "terminal": "tv", "start_ms": n, "end_ms": n + 9, "over_ms": n + 9,
             "state": "over"}
            for n, site in repaired
        ]  # fmt: skip
        listed = [{"key": one["key"], "order_id": one["start_ms"], "added_ms": 1} for one in away]
        async with engine.begin() as connection:
            await connection.execute(insert(tables.outage), away)
            await connection.execute(insert(tables.work_order_outage), listed)


def repairs(path: Path) -> None:
    """234 repairs of different cost, 50,800.00 yuan, each at a site, on a work order or on paper."""
    sites = list(county().sites)
    amounts = allocate(5_080_000, {site: 100 + n * 37 % 211 for n, site in enumerate(sites)})
    columns = ["日期", "摘要", "金额", "支出经济分类", "收款人", "站点", "工单号", "验收单", "付款日期", "凭证号"]
    with path.open("w", encoding="gb18030", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        for n, site in enumerate(sites):
            on = date(2020, 5, 4) + timedelta(days=n)
            paid = on + timedelta(days=3)
            amount = f"{amounts[site] / 100:,.2f}"
            what = "更换机顶盒" if n % 2 else "线路抢修"
            basis = ("", f"验-{n + 1001}") if n < ON_PAPER else (n + 1, "")
            rows.writerow([on, what, amount, "30213 维修(护)费", "开江广电", site, *basis, paid, f"记-{n + 2000}"])


def commands() -> Iterator[str]:
    """The lines of the section's code blocks, continued ones joined."""
    text = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
    section = text.split("## The year 2020, played")[1].split("\n## ")[0]
    for block in re.findall(r"```sh\n(.*?)```", section, re.S):
        yield from (line for line in block.replace("\\\n", " ").splitlines() if line.strip())


@pytest.mark.timeout(300)
async def test_the_year_2020_can_be_played_to_the_fen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    url = f"sqlite+aiosqlite:///{tmp_path}/monitor.db"
    monkeypatch.setenv("ZHDJ_DATABASE__URL", url)
    monkeypatch.chdir(tmp_path)
    await people(url)
    await outages(url)
    for name in ("li", "wang"):
        (tmp_path / f"{name}.txt").write_text(PASSWORD)
        (tmp_path / f"{name}.txt").chmod(0o600)
    repairs(tmp_path / "repairs-2020.csv")
    variables: dict[str, str] = {}
    said: dict[str, str] = {}
    for line in commands():
        assigned = re.fullmatch(r'([A-Z]+)=(?:"(.*)"|\$\((.*)\))', line)
        if assigned:
            name, value, command = assigned.groups()
            if command:
                value = subprocess.run(
                    ["bash", "-c", command], capture_output=True, text=True, check=True
                ).stdout.strip()
            variables[name] = value
            continue
        plain = re.sub(r"\$([A-Z]+)", lambda m: variables[m[1]], line)
        words = shlex.split(plain, comments=True)
        if words[0] == "bean-check":
            done = subprocess.run([found_program("bean-check"), words[1]], capture_output=True, text=True, timeout=120)
            assert (done.returncode, done.stdout + done.stderr) == (0, "")
            continue
        out = words[words.index(">") + 1] if ">" in words else ""
        words = words[1 : words.index(">")] if out else words[1:]
        with pytest.raises(MonitorError, match=f"^{REFUSED}$") if REFUSED in line else nullcontext():
            await asyncio.to_thread(program, words, standalone_mode=False)
        said[line] = capsys.readouterr().out
        if out:
            Path(out).write_text(said[line])
    totals = next(text for line, text in said.items() if "预算执行率 100.00%" in line)
    assert "已登记 250,000.00 元，余额 0.00 元，预算执行率 100.00%" in totals
    assert next(text for line, text in said.items() if "0 笔草稿" in line).startswith("0 笔草稿")

    await asyncio.to_thread(
        program, shlex.split(f"ledger totals {variables['LI']} --year 2020 --json"), standalone_mode=False
    )
    figures = json.loads(capsys.readouterr().out)
    assert figures["budget_fen"] == figures["spent_fen"] == 25_000_000
    assert figures["execution_rate_percent"] == "100.00"
    by_site = {one["key"]: one["spent_fen"] for one in figures["by"]["site"]}
    assert by_site.keys() == county().sites.keys()
    for breakdown in figures["by"].values():
        assert sum(one["spent_fen"] for one in breakdown) == 25_000_000
    await asyncio.to_thread(
        program,
        shlex.split(f"ledger totals {variables['LI']} --year 2020 --by work_order --json"),
        standalone_mode=False,
    )
    figures = json.loads(capsys.readouterr().out)
    orders = {one["key"]: one["spent_fen"] for one in figures["by"]["work_order"]}
    on_paper = orders.pop("") - 19_920_000
    assert (len(orders), on_paper + sum(orders.values())) == (200, 5_080_000)
    await the_yearly_table_says_what_2020_said(url)
    # From the yuan to the order, to the outage, and back.
    entry = next(text for line, text in said.items() if "ledger show" in line)
    order = next(text for line, text in said.items() if "workorder show" in line)
    last = list(county().sites)[-1]
    for text, said_of in (("工单 234", entry), (last, entry), (f"{last}/tv", order), (in_yuan(orders["234"]), order)):
        assert text in said_of
    sheet = load_workbook(tmp_path / "ledger-2020.xlsx")["台账"]
    amounts = [row[3] for row in sheet.iter_rows(min_row=3, values_only=True)]
    assert len(amounts) == 238
    assert round(sum(float(str(amount)) for amount in amounts), 2) == 250_000.00

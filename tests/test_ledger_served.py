"""The running service tells the year's money, while people go on registering in the same database."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from monitor.clock import wall_ms
from monitor.flows.ledger.asking import Where
from monitor.flows.ledger.drafting import draft
from monitor.flows.ledger.money_in import add_fund
from monitor.flows.ledger.stepping import approve, register
from monitor.store.database import opened
from tests.ledgers import APPROVER, FINANCE, REPAIRS, ask, county, new_entry, new_fund
from tests.services import free_port, wait_for_async
from tests.serving import Serving, probe, write_config


@pytest.mark.timeout(120)
async def test_the_service_shows_budget_and_spending_within_seconds(tmp_path: Path) -> None:
    checks = [probe("V1", "pc", free_port())]
    config = write_config(tmp_path, http=free_port(), mqtt=free_port(), checks=checks, embedded=True)
    now = wall_ms()
    today = datetime.fromtimestamp(now / 1000, ZoneInfo("Asia/Shanghai")).date()
    async with opened(f"sqlite+aiosqlite:///{tmp_path}/monitor.db") as engine:
        finance, approver = (ask(engine, who, today=today, at=now) for who in (FINANCE, APPROVER))
        served = await asyncio.to_thread(Serving(config).start)
        try:
            assert served.value("zhdj_budget_yuan") is None
            await add_fund(finance, new_fund(25_000_000, year=today.year, dated=today))
            new = new_entry(12_345, where=Where(today.year), dated=today)
            entry_id = (await draft(finance, county(), new, tmp_path))["id"]
            await approve(approver, [entry_id])
            await register(finance, [entry_id], today, "记-1")

            def spent() -> float | None:
                return served.value("zhdj_spent_yuan", econ_class=REPAIRS)

            await wait_for_async(lambda: spent() == 123.45, 30, "the service to tell what is spent")
            assert served.value("zhdj_budget_yuan") == 250_000
            assert served.value("zhdj_spent_yuan", econ_class="30227") == 0
        finally:
            await asyncio.to_thread(served.stop)

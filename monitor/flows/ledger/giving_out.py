"""A fund's year is exported: a workbook for people, plain text that beancount checks. Audited: it leaves the house."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from monitor.core.access import Action
from monitor.core.ledger import SOURCE_NAMES
from monitor.core.sites import Inventory
from monitor.errors import MonitorError
from monitor.flows.acting import acting
from monitor.flows.ledger.asking import Asking, Where
from monitor.flows.ledger.figures import Figures, figures
from monitor.flows.outputs import demand_place
from monitor.publish import ledger_beancount, ledger_xlsx
from monitor.store.ledger import entries, funds, sums

FORMATS = ("xlsx", "beancount")


async def export(asking: Asking, where: Where, inventory: Inventory, form: str, out: Path) -> int:
    """Write `out`, which must not exist yet; answers how many entries it holds."""
    if form not in FORMATS:
        raise MonitorError(f"--format: 应为 {' 或 '.join(FORMATS)}，实为 {form!r}")
    await asyncio.to_thread(demand_place, out)
    what = f"export {form} {where.year} {where.fund}"
    async with acting(asking.engine, asking.actor, Action.LEDGER_READ, what, asking.at_ms) as connection:
        if asking.actor.townships is not None:
            raise MonitorError(f"{asking.actor.name} 的权限限于部分乡镇，不能导出整个专项资金")
        found = await figures(connection, inventory, where, asking.today)
        rows = await entries.registered(connection, found.fund.fund_id)
        make = _workbook(found, rows) if form == "xlsx" else await _plain_text(connection, found, rows)
    # Not in the transaction: a large workbook takes longer than others should wait.
    await asyncio.to_thread(_written, out, make)
    return len(rows)


def _workbook(found: Figures, rows: Sequence[Mapping[str, Any]]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        ledger_xlsx.write(
            path,
            title=f"{found.fund.year} 年度“{found.fund.name}”经费台账",
            rows=rows,
            summary=summary(found),
            sites=found.names["site"],
            classes=found.names["econ_class"],
        )

    return make


def summary(found: Figures) -> list[tuple[str, str | int | None]]:
    """The figures of a fund, named as an accountant names them: fen, or a text."""
    lines: list[tuple[str, str | int | None]] = [
        ("年初预算数", found.initial_fen),
        ("预算调整", found.adjusted_fen),
        ("调整后预算数", found.fund.budget_fen),
        *((f"其中：{name}", found.sources[source]) for source, name in SOURCE_NAMES.items()),
        ("已登记", found.fund.spent_fen),
        ("余额", found.fund.available_fen),
        ("结转下年", found.carried_fen),
        ("已批未付", found.pending_fen),
        ("预算执行率", "—" if found.execution_rate is None else f"{found.execution_rate}%"),
        ("全年预计", found.forecast_fen),
    ]
    for title, key in (
        ("按支出经济分类", "econ_class"),
        ("按乡镇", "township"),
        ("按月", "month"),
        ("按原因", "cause"),
    ):
        lines.append((title, None))
        names = found.names.get(key, {})
        lines += [(f"{each} {names.get(each, '')}".strip() or "（无工单）", fen) for each, fen in found.by[key].items()]
    return lines


async def _plain_text(
    connection: AsyncConnection, found: Figures, rows: Sequence[Mapping[str, Any]]
) -> Callable[[Path], None]:
    changes = await funds.changes(connection, found.fund.fund_id)
    kept = await sums.cube(connection, found.fund.fund_id)
    carried, names = found.carried_fen, found.names["site"]
    lines = ledger_beancount.text(found.fund, changes, rows, kept, carried, names)

    def make(path: Path) -> None:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return make


def _written(out: Path, make: Callable[[Path], None]) -> None:
    """Whole or not at all."""
    aside = out.with_name(f".{out.name}.part")
    try:
        make(aside)
        os.replace(aside, out)
    except OSError as error:
        raise MonitorError(f"{out}：无法写入（{error.strerror}）") from None
    finally:
        aside.unlink(missing_ok=True)

"""What the commands of the ledger have in common: options, amounts and days from the command line, printing."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.cli.acting import Caller, act
from monitor.clock import wall_ms
from monitor.core.access import Actor
from monitor.core.money import parse_fen
from monitor.errors import MonitorError
from monitor.flows.ledger.asking import Asking
from monitor.inventory.load import Loaded
from monitor.store.database import away

_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])")

T = TypeVar("T")
Year = Annotated[int, typer.Option("--year", help="年度 The fiscal year.")]
FundName = Annotated[str, typer.Option("--fund", help="专项资金 The fund's name; not needed where the year has one.")]
Key = Annotated[str, typer.Option("--key", help="请求号 A key of your own: the same one twice is carried out once.")]
Day = Annotated[str, typer.Option(help="A day such as 2020-03-05.")]
Money = Annotated[str, typer.Option(help="An amount such as 1,234.50 or 25万元.")]


def a_month(text: str, option: str) -> str:
    """A month such as 2020-03, or nothing. Raises MonitorError."""
    if text and not _MONTH.fullmatch(text):
        raise MonitorError(f"{option}: 应为月份，如 2020-03，实为 {text!r}")
    return text


def fen(text: str, option: str) -> int:
    """An amount. Raises MonitorError."""
    try:
        return parse_fen(text)
    except ValueError as error:
        raise MonitorError(f"{option}: {error}") from None


def asked(caller: Caller, key: str, work: Callable[[Asking, Loaded], Awaitable[T]]) -> T:
    """Run a request of whoever acts, now, and answer what it answers."""

    async def run(engine: AsyncEngine, actor: Actor, loaded: Loaded) -> T:
        now = wall_ms()
        today = datetime.fromtimestamp(now / 1000, loaded.settings.zone).date()
        try:
            return await work(Asking(engine, actor, now, today, key), loaded)
        except Exception as error:
            if not (why := away(error)):
                raise
            # Whether the last step was kept cannot be known from here; with a key, a second try finds out.
            raise MonitorError(f"数据库不可用（{why}）：是否已完成请先查询，或以同一请求号（--key）重试") from error

    return act(caller, run)


def tell(answer: Any, as_json: bool, lines: Callable[[], Iterable[str]]) -> None:
    """The answer as JSON, or a few lines for people."""
    if as_json:
        json.dump(answer, sys.stdout, ensure_ascii=False, indent=1, default=str)
        print()
    else:
        for line in lines():
            print(line)

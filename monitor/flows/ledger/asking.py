"""Asking something of the ledger: who, when, under which request key; carried out once, audited, all or nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.access import Action, Actor, demand
from monitor.core.ledger import LedgerRefused
from monitor.core.ledger_rules import text_problem
from monitor.flows.acting import acting
from monitor.store.ledger import requests

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asking:
    """`at_ms`: now, UTC; `today`: the local day; `key`: the same key twice changes nothing the second time."""

    engine: AsyncEngine
    actor: Actor
    at_ms: int
    today: date
    key: str = ""


@dataclass(frozen=True, slots=True)
class Where:
    """The fund that is meant: its year, and its name ("" where the year has one fund)."""

    year: int
    fund: str = ""


async def once(
    asking: Asking,
    action: Action,
    what: str,
    asked: Mapping[str, Any],
    work: Callable[[AsyncConnection], Awaitable[Answer]],
    *,
    townships: Iterable[str] = (),
    drafted_by: str | None = None,
) -> Answer:
    """Do `work` in the transaction of an audited act and answer what it answers; a known key gets its old answer.

    `asked`: what the key stands for. `townships`: of the sites concerned, each of which the actor must have.
    Raises MonitorError (Forbidden, LedgerRefused, ...), and then nothing was changed.
    """
    codes: list[str | None] = [*sorted(set(townships))] or [None]
    async with acting(
        asking.engine, asking.actor, action, what, asking.at_ms, township=codes[0], drafted_by=drafted_by
    ) as connection:
        for code in codes[1:]:
            demand(asking.actor, action, township=code, drafted_by=drafted_by)
        if asking.key:
            if problem := text_problem("请求号", asking.key, 128):
                raise LedgerRefused([problem])
            earlier = await requests.claim(connection, asking.key, action, asked, asking.at_ms)
            if earlier is not None:
                return earlier
        answer = await work(connection)
        if asking.key:
            await requests.settle(connection, asking.key, answer)
        return answer

"""The ledger against a naive one: whatever people do in whatever order, both say the same, to the fen."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from monitor.core.ledger import Source
from monitor.errors import MonitorError
from monitor.flows.ledger.asking import Where
from monitor.flows.ledger.checking import contradictions
from monitor.flows.ledger.closing import close_month
from monitor.flows.ledger.drafting import draft
from monitor.flows.ledger.money_in import adjust_fund
from monitor.flows.ledger.reversing import reverse
from monitor.flows.ledger.stepping import approve, give_up, register
from monitor.store.database import opened
from monitor.store.ledger import entries, funds, sums
from tests.ledgers import APPROVER, FUND, WHERE, ask, county, new_entry, opened_fund, sites

AMOUNTS = st.integers(1, 4_000) | st.sampled_from([1, 9_999, 10_000])
PICK = st.integers(0, 10**6)
MONTHS = st.integers(3, 12)


@dataclass
class Naive:
    """An entry as a child would keep it."""

    amount: int
    state: str = "draft"
    shares: dict[str, int] = field(default_factory=dict)
    month: int = 0
    number: int = 0
    of: int = 0  # what it reverses


class Ledger(RuleBasedStateMachine):
    """Every rule does the same to both and compares whether it was allowed; the invariants compare the rest."""

    @initialize(budget=st.integers(0, 20_000))
    def begin(self, budget: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.engine = self.run_(self.stack.enter_async_context(opened(f"sqlite+aiosqlite:///{self.folder}/m.db")))
        self.run_(opened_fund(self.engine, budget))
        self.budget = budget
        self.known: dict[int, Naive] = {}
        self.closed = 0
        self.keys: dict[str, Any] = {}

    def run_(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def does(self, work: Any) -> Any:
        """What it answers, or None where it was refused."""
        try:
            return self.run_(work)
        except MonitorError:
            return None

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.run_(self.stack.aclose())
            self.loop.close()

    # --- the naive ledger's arithmetic ------------------------------------------------------------------------------

    @property
    def registered(self) -> list[Naive]:
        return [one for one in self.known.values() if one.state == "registered"]

    @property
    def spent(self) -> int:
        return sum(one.amount for one in self.registered)

    def left_of(self, entry_id: int) -> int:
        return self.known[entry_id].amount + sum(one.amount for one in self.registered if one.of == entry_id)

    def fits(self, one: Naive) -> bool:
        """A red entry takes from no site more than is left of its share there; others take nothing back."""
        if not one.of:
            return True
        left = dict(self.known[one.of].shares)
        for other in self.registered:
            for site, fen in other.shares.items() if other.of == one.of else ():
                left[site] += fen
        return all(-fen <= left[site] for site, fen in one.shares.items())

    def pick(self, pick: int) -> int | None:
        ids = sorted(self.known)
        return ids[pick % len(ids)] if ids else None

    # --- what people do ---------------------------------------------------------------------------------------------

    @rule(amount=AMOUNTS, count=st.integers(1, 5))
    def drafts(self, amount: int, count: int) -> None:
        made = self.does(draft(ask(self.engine), county(), new_entry(amount, sites(count)), Path("/nonexistent")))
        assert made is not None
        assert sum(made["shares"].values()) == amount
        self.known[made["id"]] = Naive(amount, shares=made["shares"])

    @rule(pick=PICK)
    def approves(self, pick: int) -> None:
        entry_id = self.pick(pick)
        if entry_id is None:
            return
        one = self.known[entry_id]
        allowed = one.state == "draft" and one.amount <= self.budget - self.spent
        allowed = allowed and self.fits(one)
        assert (self.does(approve(ask(self.engine, APPROVER), [entry_id])) is not None) == allowed
        if allowed:
            one.state = "approved"

    @rule(pick=PICK, month=MONTHS, again=st.booleans())
    def registers(self, pick: int, month: int, again: bool) -> None:
        entry_id = self.pick(pick)
        if entry_id is None:
            return
        one = self.known[entry_id]
        allowed = one.state == "approved" and month > self.closed and one.amount <= self.budget - self.spent
        allowed = allowed and self.fits(one)
        key = f"{entry_id}/{month}"
        paid = date(2020, month, 28)
        answer = self.does(register(ask(self.engine, key=key), [entry_id], paid, "记-1"))
        if key in self.keys:
            assert answer == self.keys[key]  # once more, whatever became of it since
            return
        assert (answer is not None) == allowed
        if answer is not None:
            self.keys[key] = answer
            one.state, one.month, one.number = "registered", month, len(self.registered) + 1
            assert answer["registered"][0]["number"] == one.number
            if again:
                assert self.does(register(ask(self.engine, key=key), [entry_id], paid, "记-1")) == answer

    @rule(pick=PICK, amount=st.none() | AMOUNTS)
    def reverses(self, pick: int, amount: int | None) -> None:
        entry_id = self.pick(pick)
        if entry_id is None:
            return
        one = self.known[entry_id]
        left = self.left_of(entry_id)
        wanted = left if amount is None else amount
        allowed = one.state == "registered" and not one.of and 0 < wanted <= left
        made = self.does(reverse(ask(self.engine), entry_id, date(2020, 3, 2), amount))
        assert (made is not None) == allowed
        if made is not None:
            self.known[made["id"]] = Naive(-wanted, shares=self.run_(self.shares_of(made["id"])), of=entry_id)
            assert sum(self.known[made["id"]].shares.values()) == -wanted

    async def shares_of(self, entry_id: int) -> dict[str, int]:
        async with self.engine.connect() as connection:
            return await entries.shares(connection, entry_id)

    @rule(pick=PICK)
    def gives_up(self, pick: int) -> None:
        entry_id = self.pick(pick)
        if entry_id is None:
            return
        one = self.known[entry_id]
        allowed = one.state in ("draft", "approved")
        assert (self.does(give_up(ask(self.engine), [entry_id], "不再需要")) is not None) == allowed
        if allowed:
            one.state = "void"

    @rule(amount=st.integers(-5_000, 5_000))
    def adjusts(self, amount: int) -> None:
        allowed = amount != 0 and self.budget + amount >= self.spent
        when = date(2020, 6, 1)
        made = self.does(adjust_fund(ask(self.engine), 2020, FUND, amount, "江财预〔2020〕9号", when, Source.OTHER))
        assert (made is not None) == allowed
        self.budget += amount if allowed else 0

    @rule(month=MONTHS)
    def closes(self, month: int) -> None:
        allowed = month > self.closed
        made = self.does(close_month(ask(self.engine), Where(2020), month))
        assert (made is not None) == allowed
        if made is not None:
            self.closed = month
            assert made["spent_fen"] == sum(one.amount for one in self.registered if one.month <= month)

    # --- what must be true after each of it -------------------------------------------------------------------------

    @invariant()
    def both_say_the_same(self) -> None:
        if hasattr(self, "loop"):
            self.run_(self.compared())

    async def compared(self) -> None:
        async with self.engine.connect() as connection:
            fund = await funds.load(connection, await funds.find(connection, WHERE.year, WHERE.fund))
            assert (fund.spent_fen, fund.budget_fen) == (self.spent, self.budget)
            assert fund.spent_fen <= fund.budget_fen
            assert fund.last_number == len(self.registered)
            assert sorted(one.number for one in self.registered) == list(range(1, len(self.registered) + 1))
            by_month: dict[str, int] = {}
            for one in self.registered:
                key = f"2020-{one.month:02d}"
                by_month[key] = by_month.get(key, 0) + one.amount
            assert await sums.spent(connection, fund.fund_id, "month") == by_month
            unpaid = [one.amount for one in self.known.values() if one.state == "approved"]
            assert await sums.pending(connection, fund.fund_id) == (len(unpaid), sum(unpaid))
            for entry_id, one in self.known.items():
                if one.state == "registered" and not one.of and self.left_of(entry_id) == 0:
                    # Wholly reversed: nothing is left at any site.
                    assert await entries.reversed_shares(connection, entry_id) == one.shares
            assert await contradictions(connection) == []


TestLedger = Ledger.TestCase
TestLedger.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)

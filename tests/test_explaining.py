"""An explained figure adds up: its parts, added again, are what was counted, for any history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.days import local_days
from monitor.core.eras import Era
from monitor.core.explaining import accounts, check_parts
from monitor.core.figures import Counter, Key
from monitor.core.maintenance import site_verdict
from monitor.core.measure import Measure
from monitor.core.timeline import Timeline
from monitor.core.window import Window
from tests import test_eras
from tests.test_eras import SITES, all_checks, at, histories, windows

DAY_OF = local_days(UTC)


@settings(max_examples=120, deadline=None)
@given(histories(), windows, all_checks, st.integers(0, 20), st.integers(1, 40))
def test_the_parts_of_every_figure_add_up_to_it(
    eras: list[Era], declared: list[Window], checks: Mapping[Key, Timeline], first: int, length: int
) -> None:
    period = (at(first), at(first + length))
    counter = Counter(eras, declared)
    counted = counter.count(period, checks)
    of_sites = {m.site.site_id: m for m in counted.sites}
    of_terminals = {(m.site.site_id, m.terminal): m for m in counted.terminals}
    for site in SITES:
        told = accounts(counter, site, period, checks, DAY_OF)
        assert {a.terminal for a in told if a.terminal} == {kind for s, kind in of_terminals if s == site}
        for account in told:
            key = (site, account.terminal)
            member = of_sites[site] if account.terminal is None else of_terminals[key]
            assert account.added() == member.measure
            assert account.adds_up()
            assert account.verdict == member.verdict
            assert [p.start for p in account.parts[1:]] == [p.end for p in account.parts[:-1]]
            assert (account.parts[0].start, account.parts[-1].end) == period
            verdict_follows(account)
            shares = sum((s.measure for s in account.shares), Measure())
            assert (shares.up, shares.down, shares.unknown, shares.planned) == (
                member.measure.up,
                member.measure.down,
                member.measure.unknown,
                member.measure.planned,
            )
        if told:
            assert told[-1].terminal is None
            assert told[-1].verdict == site_verdict([a.verdict for a in told[:-1]])  # type: ignore[misc]


def verdict_follows(account: object) -> None:
    """The comparison that is named gives the verdict, by exact fractions."""
    from monitor.core.explaining import Account

    assert isinstance(account, Account)
    m = account.measure
    expected = {
        "overdue": ("failed", m.overdue > 0),
        "availability": ("failed", m.up + m.down > 0),
        "coverage": (account.verdict, m.total > 0 and account.verdict != "failed"),
        "planned_only": ("unproven", m.total == 0),
        "no_check": ("unproven", True),
        None: (account.verdict, account.terminal is None),
    }
    verdict, holds = expected[account.decided]
    assert account.verdict == verdict
    assert holds


@settings(max_examples=30, deadline=None)
@given(histories(), all_checks)
def test_the_spans_of_a_check_cover_the_period(eras: Sequence[Era], checks: Mapping[Key, Timeline]) -> None:
    counter, period = Counter(eras, []), (at(0), at(test_eras.MINUTES))
    for key, timeline in checks.items():
        parts = check_parts(counter, key[0], key, period, timeline)
        assert sum(p.end - p.start for p in parts) == period[1] - period[0]
        assert all(p.in_service == p.planned + p.counted <= p.end - p.start for p in parts)

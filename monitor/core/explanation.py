"""What an explanation holds before anybody writes sentences about it: a site's month, a group's, or one outage.

Their canonical JSON is the JSON of `explain`; every other format is made from them. Instants are ms UTC, lengths ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitor.core.explaining import Account, Clock, Part
from monitor.core.maintenance import Rate
from monitor.core.measure import Measure
from monitor.core.timeline import Edge


@dataclass(frozen=True, slots=True)
class About:
    """What every explanation says of itself. `known_until`: up to where evidence is judged; None: nothing is.
    `settles_at`: from when on no late beat can change the period's figures any more. `form`: as `core.period.Period`
    has it, "" for an outage."""

    period: str
    form: str
    start: int
    end: int
    as_of: int
    known_until: int | None
    timezone: str
    method: int
    software: str
    demo: bool
    settles_at: int


@dataclass(frozen=True, slots=True)
class HeldFacts:
    """What held for a site in a part of the period. `hours`: by terminal (and "" for the site), as the configuration
    says them; `checks`: by terminal, with their terms."""

    since: int
    until: int
    level: str
    township: str
    township_name: str
    policy: str
    repair_limit: int
    hours: Mapping[str, str]
    checks: Mapping[str, Sequence[str]]
    commissioned_on: str
    retired_on: str


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """A version of the inventory that held in the period. `since` None: from the beginning."""

    number: int
    since: int | None
    digest: str
    approved_by: str


@dataclass(frozen=True, slots=True)
class CheckFacts:
    """The spans of one check, whose edges carry the evidence."""

    terminal: str
    check: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class LineFacts:
    """Where a piece of evidence stands in the log: the line's number from 1, and the byte (of the plain text) at which
    it begins. `check`: `heartbeat-mqtt`, `icmp`, `will-mqtt`; for an event of a channel the channel, `terminal` ""."""

    terminal: str
    check: str
    at: int
    file: str
    number: int
    offset: int


@dataclass(frozen=True, slots=True)
class Step:
    """How a site's seconds enter a group: what the others of the group have, what it adds, and the sum of both."""

    group: str
    id: str
    name: str
    members: int
    others: Measure
    own: Measure
    sum: Measure


@dataclass(frozen=True, slots=True)
class Beside:
    """The same member counted otherwise: without retroactive windows, or after approved exemptions."""

    terminal: str | None
    measure: Measure
    verdict: str


@dataclass(frozen=True, slots=True)
class Chain:
    """A work order with what hangs on it, as `workorder show --json` and the ledger give them."""

    order: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    papers: Sequence[Mapping[str, Any]]
    exemptions: Sequence[Mapping[str, Any]]
    costs: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of a sealed report that is not what is counted now."""

    terminal: str | None
    figure: str
    sealed: int | str
    now: int | str


@dataclass(frozen=True, slots=True)
class SealedFacts:
    """What the sealed report of the month says of the site. `name`: its state and number, in words."""

    name: str
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class SiteExplanation:
    """A site's figures of a period, of all of its terminals or of one. The last account is the site's own."""

    about: About
    site: str
    name: str
    level: str
    township: str
    township_name: str
    terminal: str | None
    accounts: Sequence[Account]
    checks: Sequence[CheckFacts]
    held: Sequence[HeldFacts]
    versions: Sequence[VersionFacts]
    without_retroactive: Sequence[Beside]
    after_exemptions: Sequence[Beside]
    steps: Sequence[Step]
    rates: Mapping[str, Rate]
    terminal_rates: Mapping[str, Rate]
    chains: Sequence[Chain]
    lines: Sequence[LineFacts] = ()
    files: Sequence[str] = ()
    sealed: SealedFacts | None = None

    def adds_up(self) -> bool:
        """Do all parts give what was counted, and all members what stands for their groups?"""
        own = [s.own for s in self.steps if s.group == "total"]
        return (
            all(a.adds_up() for a in self.accounts)
            and all(s.others + s.own == s.sum for s in self.steps)
            and all(m == self.accounts[-1].measure for m in own)
        )


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """What a site adds to a group. `whole`: False where only part of its time belonged to the group."""

    site: str
    name: str
    level: str
    township: str
    measure: Measure
    verdict: str
    whole: bool
    why: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class GroupExplanation:
    """A level's, a township's or (`total`) the county's figures. `rate` None: a township has no plan of its own."""

    about: About
    group: str
    id: str
    name: str
    members: Sequence[MemberFacts]
    sum: Measure
    rate: Rate | None
    terminal_rate: Rate | None
    coverage_min: float

    def adds_up(self) -> bool:
        """Do the members' measures give the group's?"""
        return sum((m.measure for m in self.members), Measure()) == self.sum


@dataclass(frozen=True, slots=True)
class MonthFacts:
    """What an outage is in one month: its counted down ms and those that are overdue there, and the terminal's
    measure and verdict of that month (None: the month has not begun to be counted)."""

    period: str
    counted: int
    overdue: int
    measure: Measure | None
    verdict: str
    coverage_min: float


@dataclass(frozen=True, slots=True)
class OutageExplanation:
    """One outage, from its evidence to what it costs. `start_edges`, `end_edges`: by check, with the evidence."""

    about: About
    key: str
    site: str
    name: str
    level: str
    terminal: str
    state: str
    successor: str
    start: int
    end: int | None
    over: int | None
    start_edge: Edge | None
    end_edge: Edge | None
    start_edges: Sequence[tuple[str, Edge]]
    end_edges: Sequence[tuple[str, Edge]]
    sign: str
    clocks: Sequence[Clock]
    limit: int
    order_limit: int
    order_at: int | None
    overdue_at: int | None
    chain: Chain | None
    exempted: bool
    months: Sequence[MonthFacts]
    lines: Sequence[LineFacts] = ()
    files: Sequence[str] = ()

    def adds_up(self) -> bool:
        """Do the months give what the clock shows?"""
        clock = self.clocks[-1].used if self.clocks else 0
        return sum(m.counted for m in self.months) == clock == sum(c.counted for c in self.clocks)

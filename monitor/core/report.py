"""The facts of a report of a period, before anybody writes sentences about them: integers and texts, nothing else.

The JSON of a report is these facts in canonical form (sorted keys, UTF-8), and all other formats are made from it, so
a sealed report stays the same for ever. Instants are ms UTC, lengths ms, money fen, days ISO dates, levels and kinds by
their identifiers. A ratio is not stored: it is `up / (up + down)`, for whoever reads to divide (docs/rules.md §5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

State = Literal["preview", "sealed", "restated"]


@dataclass(frozen=True, slots=True)
class Sum:
    """What was counted of a member or a group, ms; `outages` a number."""

    up: int
    down: int
    unknown: int
    planned: int
    outages: int
    overdue: int


@dataclass(frozen=True, slots=True)
class RateFacts:
    """`core.maintenance.Rate` of sites or of terminals."""

    planned: int
    maintained: int
    failed: int
    unproven: int


@dataclass(frozen=True, slots=True)
class OtherFacts:
    """What another way of counting says of a member or a group: a verdict of a member, a rate of a group."""

    sum: Sum
    verdict: str = ""
    rate: RateFacts | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """One way of counting: by level (village, township, county, total). Sums are the sites'.

    `differing`: under another way of counting (without retroactive windows, after exemptions) the members and groups
    whose figures differ from those measured, by `site:ID`, `terminal:ID/tv`, `township:CODE`, `kind:tv`.
    """

    sums: Mapping[str, Sum]
    sites: Mapping[str, RateFacts]
    terminals: Mapping[str, RateFacts]
    differing: Mapping[str, OtherFacts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TerminalFacts:
    terminal: str
    sum: Sum
    verdict: str


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """`why`: what decided a verdict other than maintained (of a failed site at its failed terminals), in identifiers:
    `overdue`, `availability`, `coverage`, `planned_only`, `no_check`, with the terminal: `("tv", "overdue")`; a site
    without any terminal: `("", "no_check")`."""

    site: str
    name: str
    level: str
    township: str
    sum: Sum
    verdict: str
    why: Sequence[tuple[str, str]]
    terminals: Sequence[TerminalFacts]


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """A township, or a kind of terminal: its members' sums and verdicts. For kinds the members are terminals."""

    id: str
    name: str
    sum: Sum
    rate: RateFacts


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What devices said of a service (video_conference, emergency, publicity, supervision, learning) in the period:
    beats that said ok, fail; terminals that said anything, and those that ever said fail."""

    service: str
    ok: int
    failed: int
    terminals: int
    terminals_failed: int


@dataclass(slots=True)  # not frozen, which would take six times as long to make: a large county's month has 750,000
class OutageFacts:
    """An outage that lies in the period, from its very start; what comes after the period's end is not its matter, so
    `end`, `over` and what is known of the end are None where it was not over by then. `end`: the last moment at which
    it was known to be down, `over`: when it was up again. Edges None: unbounded. `counted`: ms on the one clock up to
    the period's end, `counted_here`, `overdue_here`: those that lie in the period. `cause`: the order's (power, line,
    terminal, platform, human, other), else `edge_cause` (line, restart, standstill), else "". `order`: its number."""

    key: str
    site: str
    terminal: str
    start: int
    end: int | None
    over: int | None
    start_earliest: int | None
    start_latest: int | None
    start_how: str
    end_earliest: int | None
    end_latest: int | None
    end_how: str
    counted: int
    counted_here: int
    overdue_here: int
    cause: str
    edge_cause: str
    order: str
    exempted: bool


@dataclass(frozen=True, slots=True)
class WindowFacts:
    """A planned window of the period that counts, as it counts (called off: up to then). `here`: ms in service that
    it covers, of all of its sites (a terminal's window: of that terminal); overlaps stand with each window."""

    id: int
    scope: str
    start: int
    end: int
    reason: str
    retroactive: bool
    declared_by: str
    declared_at: int
    approved_by: str
    here: int


@dataclass(frozen=True, slots=True)
class LossFacts:
    """A time in which a channel was not observed: our own failure, unknown and nobody's outage. `end` None: not
    restored by the period's end. `reason`: `start` (before its first restore), `all` (all channels were lost at once:
    the monitor was stopped or stood still, or its own line failed), else `channel`."""

    observer: str
    channel: str
    start: int
    end: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class UnknownFacts:
    """Why the sites' counted time was unknown, ms, and how many sites it met. `why`: `channel` (a channel was lost),
    `before` (no evidence had come yet), `no_check`, `undecided` (after a loss, until evidence came again)."""

    why: str
    length: int
    sites: int


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """A work order of the period: opened in it, or open when it began; as it stood when the facts were gathered.
    `counted`: counted down ms of its longest outage up to the period's end, `limit`: of repair at its level (ms).

    `site`: of a township's line its own site. `restored`: measured; `work`: what was done, as people wrote it.
    """

    number: str
    site: str
    level: str
    state: str
    cause: str
    opened: int
    closed: int | None
    counted: int
    limit: int
    overdue: bool
    outages: Sequence[str]
    cost_fen: int
    exempted: bool
    restored: int | None = None
    work: str = ""


@dataclass(frozen=True, slots=True)
class ExemptionFacts:
    """An approved exemption 免责 of an order's outages. `cause`: force_majeure, power, carrier."""

    order: str
    cause: str
    reason: str
    proposed_by: str
    approved_by: str
    approved_at: int


@dataclass(frozen=True, slots=True)
class FundFacts:
    """A fund of the fiscal year, as it stood at the period's end; `spent_here`: registered in the period. fen."""

    id: str
    name: str
    source: str
    initial: int
    budget: int
    registered: int
    approved_unpaid: int
    spent_here: int


@dataclass(frozen=True, slots=True)
class MoneyFacts:
    """All funds of the maintenance pool. `by_*`: registered in the period, fen, by identifier; `by_month`: of the year
    so far, cumulated, by `YYYY-MM`."""

    funds: Sequence[FundFacts]
    by_class: Mapping[str, int]
    by_township: Mapping[str, int]
    by_site: Mapping[str, int]
    by_cause: Mapping[str, int]
    by_month: Mapping[str, int]
    class_names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class DayFacts:
    """A local day of the whole county: the sites' sums. They add up to the period's, but for outages, which count on
    each day that they touch."""

    day: str
    sum: Sum


@dataclass(frozen=True, slots=True)
class EraFacts:
    """What held from `since` on: the version of the inventory, its digest, and the parameters (decimals as text)."""

    since: int
    version: int
    digest: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MinimumFacts:
    """The rate as it would be at another availability minimum (`0`, `0.90`, `0.95`, `0.99`)."""

    minimum: str
    sites: RateFacts
    terminals: RateFacts


@dataclass(frozen=True, slots=True)
class EvidenceFacts:
    """What the figures stand on. `days`: of each observer's closed days in the period, the hash on its chain; `heads`:
    newest number and hash of each chain when the facts were gathered."""

    observers: Sequence[str]
    days: Sequence[tuple[str, str, str]]
    heads: Sequence[tuple[str, int, str]]


@dataclass(frozen=True, slots=True)
class Compared:
    """Beside this period another one: the month before, the same month a year ago. None: no figures of it."""

    period: str
    counted: Counted | None


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """All nine parts of a period's report. `as_of`: counted up to here, the end or (a preview of a running period) the
    moment of asking. `settled`: when the facts were gathered. Lists are in order: sites and terminals by id, outages by
    start and key, days and months by date. `heat`: per site (as in `sites`), of each day its availability in hundredths
    of a percent, -1 where nothing was counted (out of service, planned), -2 where it was mostly unknown."""

    v: int
    period: str
    start: int
    end: int
    as_of: int
    timezone: str
    county: str
    unit: str
    demo: bool
    rules: str
    software: str
    settled: bool
    counted: Counted
    without_retroactive: Counted | None
    after_exemptions: Counted | None
    townships: Sequence[GroupFacts]
    kinds: Sequence[GroupFacts]
    services: Sequence[ServiceFacts]
    sites: Sequence[SiteFacts]
    days: Sequence[DayFacts]
    heat: Sequence[Sequence[int]]
    outages: Sequence[OutageFacts]
    windows: Sequence[WindowFacts]
    losses: Sequence[LossFacts]
    orders: Sequence[OrderFacts]
    money: MoneyFacts
    minima: Sequence[MinimumFacts]
    compared: Sequence[Compared]
    failed_running: Sequence[tuple[str, int]]  # site, how many months in a row 未维护到位, this one included
    eras: Sequence[EraFacts]
    evidence: EvidenceFacts
    exemptions: Sequence[ExemptionFacts] = ()
    #: Outages of townships' lines: no positions, in no figure; orders name them.
    lines: Sequence[OutageFacts] = ()
    unknown: Sequence[UnknownFacts] = ()
    #: From this instant on (ms) no late evidence can change the figures any more.
    settles_at: int = 0
    #: Who filled the report in and who answers for it; empty: room to write. Not part of any figure.
    filled_by: str = ""
    responsible: str = ""

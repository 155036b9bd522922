"""Staged facts of a month for tests of reports: a county of 234 sites whose figures add up, well kept or not.

Every site is in service from 08:00 to 18:00 each day, 310 hours in October; outages lie within these hours. Figures are
counted here in the simplest way (terminals by their outages, a site by those that all of its terminals share), and the
verdicts by the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from monitor.core.maintenance import Rate, Verdict, rates, site_verdict, terminal_verdict
from monitor.core.measure import Measure
from monitor.core.report import (
    Compared,
    Counted,
    DayFacts,
    EraFacts,
    EvidenceFacts,
    ExemptionFacts,
    FundFacts,
    GroupFacts,
    LossFacts,
    MinimumFacts,
    MoneyFacts,
    OrderFacts,
    OtherFacts,
    OutageFacts,
    RateFacts,
    ReportFacts,
    ServiceFacts,
    SiteFacts,
    Sum,
    TerminalFacts,
    UnknownFacts,
    WindowFacts,
)
from monitor.core.sites import Level

ZONE = ZoneInfo("Asia/Shanghai")
MINUTE, HOUR = 60_000, 3_600_000
DAY = 10 * HOUR  # in service
KINDS = ("tv", "mobile", "pc")
LIMITS = {"county": 4 * HOUR, "township": 8 * HOUR, "village": 15 * HOUR}
PLAN = {"county": 2, "township": 13, "village": 219}
TOWNSHIPS = (
    *("淙城街道", "新宁镇", "普安镇", "回龙镇", "永兴镇", "讲治镇", "甘棠镇", "任市镇", "广福镇", "长岭镇"),
    *("八庙镇", "灵岩镇", "梅家乡"),
)


@dataclass(frozen=True)
class Down:
    """An outage of one terminal: `day` of the month, `hour` local, `ms` of counted time; over None: it goes on."""

    site: str
    kind: str
    day: int
    hour: float
    ms: int
    how: str = "silence"
    cause: str = ""
    order: str = ""
    exempted: bool = False
    over: bool = True


@dataclass(frozen=True)
class Played:
    """What happened to the county in a month."""

    downs: Sequence[Down] = ()
    unknown: Mapping[str, int] = field(default_factory=dict)  # ms, of a site and of each of its terminals
    windows: Sequence[WindowFacts] = ()
    window_takes: Mapping[str, int] = field(default_factory=dict)  # ms of retroactive windows, by site
    orders: Sequence[OrderFacts] = ()
    exemptions: Sequence[ExemptionFacts] = ()
    losses: Sequence[LossFacts] = ()


@cache
def at(day: int, hour: float, month: int = 10, year: int = 2026) -> int:
    """An instant of local time, ms."""
    moment = datetime(year, month, day, tzinfo=ZONE) + timedelta(hours=hour)
    return int(moment.astimezone(UTC).timestamp() * 1000)


def site_ids() -> list[tuple[str, str, str, str]]:
    """Number, name, level, code of the township: 2 + 13 + 219, as many villages to each township as come out even."""
    result = [(f"511723-C{n}", f"县级站点{'一二'[n - 1]}", "county", "511723") for n in (1, 2)]
    for i, name in enumerate(TOWNSHIPS):
        code = f"5117231{i:02d}"
        result.append((code, f"{name}站点", "township", code))
        for n in range(219 // 13 + (i < 219 % 13)):
            result.append((f"{code}{n + 1:03d}", f"{name}第{n + 1}村站点", "village", code))
    return result


def five_each(minutes: int = 5) -> list[Down]:
    """Five short outages of every terminal, none at the same time as another of its site."""
    return [
        Down(
            site,
            kind,
            2 + 6 * n,
            8.5 + 3 * k,
            minutes * MINUTE,
            how=("silence", "will", "goodbye", "probe", "silence")[n],
        )
        for site, *_ in site_ids()
        for k, kind in enumerate(KINDS)
        for n in range(5)
    ]


def good() -> ReportFacts:
    """Everything was maintained; five outages of five minutes at each terminal."""
    return report(Played(five_each()))


#: 普安镇第1村: all terminals down for 20 hours; 第2村: tv down for 40, not over; 第3村: seen for half of the month.
BROKEN, LASTING, UNSEEN = "511723102001", "511723102002", "511723102003"


def failures() -> ReportFacts:
    """Three sites are not maintained: one was overdue, one still is down, of one too little is known."""
    return report(with_failures())


def with_failures() -> Played:
    downs = five_each()
    downs += [Down(BROKEN, kind, 12, 8, 20 * HOUR, "will", "power", "12") for kind in KINDS]
    downs += [Down(LASTING, "tv", 28, 8, 40 * HOUR, order="13", over=False)]
    keys = {order: [_key(d) for d in downs if d.order == order] for order in ("12", "13")}
    orders = (
        OrderFacts(
            "12", BROKEN, "village", "closed", "power", at(12, 9), at(14, 15), 20 * HOUR, 15 * HOUR, True, keys["12"],
            128_000, False, at(14, 8), "更换电源适配器，恢复供电",
        ),
        OrderFacts(
            "13", LASTING, "village", "dispatched", "", at(28, 9), None, 40 * HOUR, 15 * HOUR, True, keys["13"], 0,
            False,
        ),
    )  # fmt: skip
    losses = (
        LossFacts("kaijiang", "mqtt", at(20, 9), at(20, 9.5), "channel"),
        LossFacts("kaijiang", "http", at(25, 2), at(25, 2.25), "all"),
    )
    return Played(downs, {UNSEEN: 150 * HOUR}, orders=orders, losses=losses)


def thin() -> ReportFacts:
    """Four tenths of the month are unknown, everywhere: availability would be 98.76 %."""
    each = 124 * HOUR
    downs = [Down(site, kind, 5, 9, 138 * MINUTE + 24_000) for site, *_ in site_ids() for kind in KINDS]
    return report(Played(downs, {site: each for site, *_ in site_ids()}))


def retroactive() -> ReportFacts:
    """A window entered afterwards took 8 of the 20 hours of the broken site: maintained with it, failed without."""
    played = with_failures()
    window = WindowFacts(
        7, f"site:{BROKEN}", at(13, 8), at(13, 16), "补报：供电所计划停电", True, "张三", at(15, 9), "李四", 8 * HOUR
    )
    early = WindowFacts(
        3, "township:511723105", at(8, 8), at(8, 10), "线路割接", False, "张三", at(6, 9), "", 2 * HOUR * 18
    )
    return report(replace(played, windows=(early, window), window_takes={BROKEN: 8 * HOUR}))


def exempted() -> ReportFacts:
    """The outages of order 12 are exempted: failed as measured, maintained after exemptions."""
    played = with_failures()
    downs = [replace(down, exempted=True) if down.order == "12" else down for down in played.downs]
    orders = [replace(order, exempted=True) if order.number == "12" else order for order in played.orders]
    exemption = ExemptionFacts("12", "power", "全镇计划停电检修", "张三", "李四", at(20, 10))
    return report(replace(played, downs=downs, orders=orders, exemptions=(exemption,)))


def demo() -> ReportFacts:
    return replace(failures(), demo=True)


def empty() -> ReportFacts:
    """A month before anything was in service, without any money."""
    facts = report(Played())
    nothing = Counted(
        {level: _NOTHING for level in (*PLAN, "total")}, _rates([], PLAN), _rates([], {level: 0 for level in PLAN})
    )
    return replace(
        facts,
        counted=nothing,
        townships=(),
        kinds=(),
        services=(),
        sites=(),
        days=[DayFacts(day.day, _NOTHING) for day in facts.days],
        heat=(),
        money=MoneyFacts((), {}, {}, {}, {}, {}, {}),
        minima=(),
        compared=(),
        failed_running=(),
        evidence=EvidenceFacts((), (), ()),
    )


def one_short(ms: int) -> ReportFacts:
    """All sites up, but for so much of one."""
    facts = report(Played())
    total = replace_sum(facts.counted.sums["total"], ms)
    village = replace_sum(facts.counted.sums["village"], ms)
    counted = replace(facts.counted, sums={**facts.counted.sums, "total": total, "village": village})
    days = [replace(facts.days[0], sum=replace_sum(facts.days[0].sum, ms)), *facts.days[1:]]
    site = facts.sites[-1]
    sites = [*facts.sites[:-1], replace(site, sum=replace_sum(site.sum, ms))]
    return replace(facts, counted=counted, days=days, sites=sites, compared=())


def replace_sum(of: Sum, ms: int) -> Sum:
    return replace(of, up=of.up - ms, down=of.down + ms, outages=of.outages + 1)


# --- counting ---------------------------------------------------------------------------------------------------------

_NOTHING = Sum(0, 0, 0, 0, 0, 0)


def report(played: Played) -> ReportFacts:
    """The facts of October 2026 from what happened."""
    measured = _Count(played, played.window_takes, exempt=False)
    counted = measured.counted()
    bare = _Count(played, {}, exempt=False).beside(measured) if played.window_takes else None
    lenient = (
        _Count(played, played.window_takes, exempt=True).beside(measured)
        if any(down.exempted for down in played.downs)
        else None
    )
    days = _days(measured)
    grave = [down for down in played.downs if down.order]
    return ReportFacts(
        v=1,
        period="2026-10",
        start=at(1, 0),
        end=at(1, 0, 11),
        as_of=at(1, 0, 11),
        timezone="Asia/Shanghai",
        county="开江县",
        unit="中共开江县委组织部",
        demo=False,
        rules="1",
        software="0.1.0",
        settled=True,
        counted=counted,
        without_retroactive=bare,
        after_exemptions=lenient,
        townships=measured.townships(),
        kinds=measured.kinds(),
        services=[ServiceFacts(s, 120_000 + i, 12 * i, 700, i) for i, s in enumerate(SERVICES)],
        sites=measured.sites,
        days=days,
        heat=[_heat(site, grave, played) for site in measured.sites],
        outages=[_outage(down, measured) for down in sorted(played.downs, key=lambda d: (_start(d), _key(d)))],
        windows=played.windows,
        losses=played.losses,
        orders=played.orders,
        money=_money(),
        minima=[_minimum(measured, minimum) for minimum in ("0", "0.90", "0.95", "0.99")],
        compared=[
            Compared("2026-09", _month_before()),
            Compared("2025-10", None),
        ],
        failed_running=[(LASTING, 3), (BROKEN, 1)] if measured.verdict_of.get(LASTING) == "failed" else [],
        eras=[EraFacts(at(1, 0), 2, "5e" * 32, PARAMETERS)],
        evidence=EvidenceFacts(
            ["kaijiang"],
            [("kaijiang", f"2026-10-{day:02d}", f"{day:02d}" * 32) for day in range(1, 32)],
            [("audit", 812, "a1" * 32), ("evidence/kaijiang", 244, "e2" * 32), ("ledger", 96, "c3" * 32)],
        ),
        exemptions=played.exemptions,
        unknown=_why(measured),
        settles_at=at(4, 1, 11),
    )


SERVICES = ("video_conference", "emergency", "publicity", "supervision", "learning")
PARAMETERS = {
    "timezone": "Asia/Shanghai",
    "policy.terminal": "any",
    "service.village.days": "daily",
    "service.village.hours": "08:00-18:00",
    "maintenance.coverage_min": "0.9",
    "maintenance.availability_min": "0.9",
    "maintenance.repair_limit_h.county": "4.0",
    "maintenance.repair_limit_h.township": "8.0",
    "maintenance.repair_limit_h.village": "15.0",
    "maintenance.open_after_min.village": "60.0",
    "maintenance.planned_sites.county": "2",
    "maintenance.planned_sites.township": "13",
    "maintenance.planned_sites.village": "219",
}


@cache
def _month_before() -> Counted:
    return _Count(Played(five_each(7)), {}, exempt=False).counted()


class _Count:
    """One way of counting all of it."""

    def __init__(self, played: Played, takes: Mapping[str, int], *, exempt: bool) -> None:
        self.played, self.takes, self.exempt = played, takes, exempt
        self.downs_of: dict[tuple[str, str], list[Down]] = {}
        for down in played.downs:
            self.downs_of.setdefault((down.site, down.kind), []).append(down)
        self.sites = [self._site(*site) for site in site_ids()]
        self.level_of = {site.site: site.level for site in self.sites}
        self.verdict_of = {site.site: site.verdict for site in self.sites}

    def down_of(self, down: Down) -> tuple[int, int]:
        """Counted and planned ms of an outage."""
        if self.exempt and down.exempted:
            return 0, down.ms
        taken = min(self.takes.get(down.site, 0), down.ms) if down.order else 0
        return down.ms - taken, taken

    def overdue(self, down: Down, level: str) -> int:
        return max(self.down_of(down)[0] - LIMITS[level], 0)

    def _terminal(self, site: str, kind: str, level: str) -> TerminalFacts:
        downs = self.downs_of.get((site, kind), [])
        lost = sum(self.down_of(d)[0] for d in downs)
        planned = sum(self.down_of(d)[1] for d in downs)
        unknown = self.played.unknown.get(site, 0)
        up = 31 * DAY - lost - planned - unknown
        overdue = sum(self.overdue(d, level) for d in downs)
        counted = sum(1 for d in downs if self.down_of(d)[0])
        sums = Sum(up, lost, unknown, planned, counted, overdue)
        return TerminalFacts(kind, sums, terminal_verdict(_measure(sums), 0.9, 0.9))

    def _site(self, site: str, name: str, level: str, township: str) -> SiteFacts:
        terminals = [self._terminal(site, kind, level) for kind in KINDS]
        # An outage of the site is one that all of its terminals have at once.
        shared = [d for d in self.downs_of.get((site, "tv"), []) if self._all_down(d)]
        lost = sum(self.down_of(d)[0] for d in shared)
        planned = sum(self.down_of(d)[1] for d in shared)
        overdue = sum(self.overdue(d, level) for d in shared)
        unknown = self.played.unknown.get(site, 0)
        sums = Sum(31 * DAY - lost - planned - unknown, lost, unknown, planned, len(shared), overdue)
        why = [(t.terminal, reason) for t in terminals for reason in _why_not(t)]
        verdict = site_verdict([_verdict(t.verdict) for t in terminals])
        return SiteFacts(site, name, level, township, sums, verdict, why, terminals)

    def _all_down(self, down: Down) -> bool:
        others = (self.downs_of.get((down.site, kind), []) for kind in KINDS)
        return all(any((o.day, o.hour) == (down.day, down.hour) for o in found) for found in others)

    def counted(self) -> Counted:
        return Counted(
            {level: _added(s.sum for s in self.sites if level in (s.level, "total")) for level in (*PLAN, "total")},
            _rates([(s.level, s.verdict) for s in self.sites], PLAN),
            _rates([(s.level, t.verdict) for s in self.sites for t in s.terminals], None),
        )

    def beside(self, measured: _Count) -> Counted:
        """With the members and groups that differ from what was measured."""
        differing: dict[str, OtherFacts] = {}
        for mine, theirs in zip(self.sites, measured.sites, strict=True):
            if mine != theirs:
                differing[f"site:{mine.site}"] = OtherFacts(mine.sum, mine.verdict)
            for t, other in zip(mine.terminals, theirs.terminals, strict=True):
                if t != other:
                    differing[f"terminal:{mine.site}/{t.terminal}"] = OtherFacts(t.sum, t.verdict)
        for kind, ours, all_theirs in (
            ("township", self.townships(), measured.townships()),
            ("kind", self.kinds(), measured.kinds()),
        ):
            for group, known in zip(ours, all_theirs, strict=True):
                if group != known:
                    differing[f"{kind}:{group.id}"] = OtherFacts(group.sum, rate=group.rate)
        return replace(self.counted(), differing=differing)

    def townships(self) -> list[GroupFacts]:
        names = {"511723": "开江县"} | {f"5117231{i:02d}": name for i, name in enumerate(TOWNSHIPS)}
        result = []
        for code, name in names.items():
            mine = [site for site in self.sites if site.township == code]
            result.append(GroupFacts(code, name, _added(s.sum for s in mine), _rate([s.verdict for s in mine])))
        return result

    def kinds(self) -> list[GroupFacts]:
        result = []
        for kind in sorted(KINDS):
            mine = [t for site in self.sites for t in site.terminals if t.terminal == kind]
            result.append(GroupFacts(kind, kind, _added(t.sum for t in mine), _rate([t.verdict for t in mine])))
        return result


def _why_not(terminal: TerminalFacts) -> list[str]:
    if terminal.verdict == "maintained":
        return []
    if terminal.sum.overdue:
        return ["overdue"]
    return ["availability"] if terminal.verdict == "failed" else ["coverage"]


def _measure(sums: Sum) -> Measure:
    return Measure(sums.up, sums.down, sums.unknown, sums.planned, sums.outages, sums.overdue)


def _added(sums: Iterable[Sum]) -> Sum:
    whole = sum((_measure(s) for s in sums), Measure())
    return Sum(whole.up, whole.down, whole.unknown, whole.planned, whole.outages, whole.overdue)


def _verdict(word: str) -> Verdict:
    assert word in ("maintained", "failed", "unproven")
    return word  # type: ignore[return-value]


def _rates(verdicts: Iterable[tuple[str, str]], planned: Mapping[str, int] | None) -> dict[str, RateFacts]:
    found = rates([(Level(level), _verdict(verdict)) for level, verdict in verdicts], planned)
    return {level: _facts(rate) for level, rate in found.items()}


def _facts(rate: Rate) -> RateFacts:
    return RateFacts(rate.planned, rate.maintained, rate.failed, rate.unproven)


def _rate(verdicts: Sequence[str]) -> RateFacts:
    count = verdicts.count
    return RateFacts(len(verdicts), count("maintained"), count("failed"), count("unproven"))


def _key(down: Down) -> str:
    moment = datetime.fromtimestamp(_start(down) / 1000, UTC)
    return f"{down.site}/{down.kind}/{moment:%Y%m%dT%H%M%SZ}"


def _start(down: Down) -> int:
    return at(down.day, down.hour)


def _end(down: Down) -> int:
    """After so much time in service, ten hours a day from 08:00."""
    start = at(down.day, 8)
    worked = _start(down) - start + down.ms
    days, rest = divmod(worked, DAY)
    if rest == 0 and days:
        days, rest = days - 1, DAY
    return start + days * 24 * HOUR + rest


def _outage(down: Down, count: _Count) -> OutageFacts:
    counted, _ = count.down_of(down)
    level = count.level_of[down.site]
    start, end = _start(down), _end(down) if down.over else None
    return OutageFacts(
        _key(down), down.site, down.kind, start, end, end, start - 60_000, start, down.how,
        None if end is None else end - 60_000, end, "beat" if end is not None else "", counted, counted,
        count.overdue(down, level), down.cause, "", down.order, down.exempted,
    )  # fmt: skip


def _days(count: _Count) -> list[DayFacts]:
    """The month's sums spread evenly but for short outages, which stand on their day."""
    total = count.counted().sums["total"]
    result = []
    for n in range(31):
        up, down, unknown, planned = [
            v // 31 + (v % 31 if n == 0 else 0) for v in (total.up, total.down, total.unknown, total.planned)
        ]
        result.append(
            DayFacts(
                (date(2026, 10, 1) + timedelta(days=n)).isoformat(),
                Sum(up, down, unknown, planned, total.outages // 31, 0),
            )
        )
    return result


def _heat(site: SiteFacts, grave: Sequence[Down], played: Played) -> list[int]:
    row = [10_000] * 31
    for down in grave:
        if down.site == site.site:
            for n in range(-(-down.ms // DAY)):
                row[min(down.day - 1 + n, 30)] = 0
    if played.unknown.get(site.site):
        row[15:] = [-2] * 16
    return row


def _minimum(count: _Count, minimum: str) -> MinimumFacts:
    def at_minimum(t: TerminalFacts) -> Verdict:
        return terminal_verdict(_measure(t.sum), 0.9, float(minimum))

    sites = [(s.level, site_verdict([at_minimum(t) for t in s.terminals])) for s in count.sites]
    terminals = [(s.level, at_minimum(t)) for s in count.sites for t in s.terminals]
    return MinimumFacts(minimum, _rates(sites, PLAN)["total"], _rates(terminals, None)["total"])


def _why(count: _Count) -> list[UnknownFacts]:
    unknown = [site for site in count.sites if site.sum.unknown]
    return [UnknownFacts("channel", sum(s.sum.unknown for s in unknown), len(unknown))] if unknown else []


def _money() -> MoneyFacts:
    """A fund of 25 万元; 1,280.00 yuan of repairs and 20,833.33 of services in the month."""
    repairs, services = 128_000, 2_083_333
    sites = [site for site, *_ in site_ids()]
    each, over = divmod(services, len(sites))
    by_site = {site: each + (i < over) for i, site in enumerate(sites)}
    by_site[BROKEN] += repairs
    by_township: dict[str, int] = {}
    for site, _, _, code in site_ids():
        by_township[code] = by_township.get(code, 0) + by_site[site]
    months = {f"2026-{m:02d}": services * m + (repairs if m == 10 else 0) for m in range(1, 11)}
    return MoneyFacts(
        [
            FundFacts(
                "1", "党建平台运行维护", "appropriation", 25_000_000, 25_000_000, months["2026-10"], 150_000,
                repairs + services,
            )
        ],
        {"30213": repairs, "30227": services},
        by_township,
        by_site,
        {"": services, "power": repairs},
        months,
        {"30213": "维修(护)费", "30227": "委托业务费"},
    )  # fmt: skip

"""Figures across changes of the inventory, the hours and the limits, against counting second by second."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.calendar import WorkCalendar
from monitor.core.eras import Era, Parameters
from monitor.core.figures import Counter, Figures, Member
from monitor.core.maintenance import Verdict, site_verdict, terminal_verdict
from monitor.core.measure import Measure
from monitor.core.service import ServiceTimes
from monitor.core.sites import Check, Inventory, Level, Site, Terminal
from monitor.core.timeline import BEGINNING, Step, Timeline, Value, new_timeline, value_at
from monitor.core.window import Window

S = 1000
HOUR = 3_600_000
DAY = 24 * HOUR
LEVELS = ("county", "township", "village")
CALENDAR = WorkCalendar({})
ALWAYS = ServiceTimes(UTC, {}, CALENDAR)
#: Hours that begin and end within the hour that is counted.
NARROW = ServiceTimes(UTC, {"village": ("daily", ["00:00-00:20", "00:30-00:50"])}, CALENDAR)
START = int(datetime(2026, 10, 12, tzinfo=UTC).timestamp()) * S
#: Everything here happens at whole minutes: a naive count by seconds would count each sixty times.
MINUTES = 60
RANK = {"down": 0, "unknown": 1, "up": 2}


def parameters(policy: str = "any", limits: tuple[int, int, int] = (9, 9, 9), coverage: float = 0.5) -> Parameters:
    """Limits in minutes: county, township, village."""
    in_ms = {level: limit * 60 * S for level, limit in zip(LEVELS, limits, strict=True)}
    return Parameters(policy, coverage, 0.7, in_ms, dict.fromkeys(LEVELS, 2), None)


def at(minute: int) -> int:
    return START + minute * 60 * S


# --- the naive count --------------------------------------------------------------------------------------------------

Key = tuple[str, str, str]


class Naive:
    """Looks at one minute after the other, with nothing in mind but what the rules say of it."""

    def __init__(self, eras: Sequence[Era], windows: Sequence[Window], checks: Mapping[Key, Timeline]) -> None:
        self.eras, self.windows, self.checks = eras, windows, checks

    def era(self, t: int) -> Era:
        return [era for era in self.eras if era.since <= t][-1]

    def site_at(self, site: str, t: int) -> Site | None:
        return self.era(t).inventory.sites.get(site)

    def has_checks(self, site: str, kind: str, t: int) -> bool:
        return bool(self.era(t).inventory.checks_of.get((site, kind)))

    def value(self, site: str, kind: str | None, t: int) -> str:
        inventory = self.era(t).inventory
        if site not in inventory.sites:
            return "unknown"
        if kind is None:
            kinds = [x.kind for x in inventory.terminals_of[site] if self.has_checks(site, x.kind, t)]
            return max((self.value(site, k, t) for k in kinds), key=RANK.__getitem__, default="unknown")
        choose = max if self.era(t).parameters.terminal_policy == "any" else min
        own = inventory.checks_of.get((site, kind), ())
        return choose((value_at(self.checks[c.key], t).value for c in own), key=RANK.__getitem__, default="unknown")

    def in_service(self, site: str, kind: str | None, t: int) -> bool:
        era = self.era(t)
        there = era.inventory.sites.get(site)
        terminal = None if kind is None else era.inventory.terminals.get((site, kind))
        if there is None or (kind is not None and terminal is None):
            return False
        return era.service.is_in_service(there, terminal, t)

    def is_planned(self, site: str, kind: str | None, t: int) -> bool:
        there = self.site_at(site, t)
        return there is not None and any(w.start <= t < w.end and w.covers(there, kind) for w in self.windows)

    def count(self, site: str, kind: str | None, period: tuple[int, int]) -> dict[tuple[str, str], dict[str, int]]:
        """Minutes by what they were, for each level and township; `outages` of the whole beside them."""
        result: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        used = number = 0
        seen: dict[tuple[str, str], set[int]] = defaultdict(set)
        for minute in range(-2 * MINUTES, (period[1] - START) // 60 // S):
            t = at(minute)
            value = self.value(site, kind, t)
            if value == "up":
                used, number = 0, number + 1
            if not self.in_service(site, kind, t):
                continue
            there = self.site_at(site, t)
            assert there is not None
            place = (str(there.level), there.township_code)
            planned = self.is_planned(site, kind, t)
            used += value == "down" and not planned
            if t >= period[0]:
                result[place]["planned" if planned else value] += 1
                if value == "down" and not planned:
                    seen[place].add(number)
                    seen["", ""].add(number)
                    limit = self.era(t).parameters.repair_limit_ms[str(there.level)]
                    result[place]["overdue"] += used * 60 * S > limit
        for place, numbers in seen.items():
            result[place]["outages"] = len(numbers)
        return result


def measure_of(counted: Mapping[str, int]) -> Measure:
    def ms(name: str) -> int:
        return counted.get(name, 0) * 60 * S

    return Measure(ms("up"), ms("down"), ms("unknown"), ms("planned"), counted.get("outages", 0), ms("overdue"))


# --- any history ------------------------------------------------------------------------------------------------------

SITES = ("A", "B")
KINDS = ("pc", "tv")
CHECKS = [(s, k, c) for s in SITES for k in KINDS for c in ("heartbeat-mqtt", "icmp")]
SCOPES = ("county", "level:village", "level:township", "township:T1", "township:T2", "site:A", "terminal:A/tv")

mostly = st.sampled_from((True, True, True, True, False))
sites = st.builds(
    lambda level, township: (Level(level), township),
    st.sampled_from(("village", "township")),
    st.sampled_from(("T1", "T2")),
)


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    there = {name: draw(sites) for name in SITES if draw(mostly)}
    rows = [Site(name, name, level, township, township) for name, (level, township) in there.items()]
    terminals = [Terminal(s.site_id, k) for s in rows for k in KINDS if draw(mostly)]
    keys = {t.key for t in terminals}
    checks = [Check(*key) for key in CHECKS if key[:2] in keys and draw(mostly)]
    return Inventory.of(rows, terminals, checks)


all_parameters = st.builds(
    parameters,
    st.sampled_from(("any", "all")),
    st.tuples(*[st.sampled_from((0, 3, 9))] * 3),
    st.sampled_from((0.0, 0.5)),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Era]:
    begins = sorted(draw(st.sets(st.integers(-30, MINUTES + 5), min_size=1, max_size=3)))
    kept = [draw(inventories()), draw(inventories())]
    terms = draw(st.lists(all_parameters, min_size=1, max_size=2))
    return [
        Era(
            since,
            draw(st.sampled_from(kept)),
            draw(st.sampled_from((ALWAYS, NARROW))),
            draw(st.sampled_from(terms)),
        )
        for since in (BEGINNING, *map(at, begins))
    ]


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    minute, result = draw(st.integers(-90, 20)), new_timeline()
    for length, value in draw(
        st.lists(
            st.tuples(st.integers(1, 30), st.sampled_from(("up", "down", "down", "unknown"))), min_size=1, max_size=8
        )
    ):
        if result[-1].value != value:
            result.append(Step(at(minute), value))  # type: ignore[arg-type]
        minute += length
    return result


windows = st.lists(
    st.builds(
        lambda scope, start, length, late: Window(scope, at(start), at(start + length), retroactive=late),
        st.sampled_from(SCOPES),
        st.integers(-60, MINUTES),
        st.integers(1, 30),
        st.booleans(),
    ),
    max_size=4,
)
all_checks = st.tuples(*[timelines() for _ in CHECKS]).map(lambda ts: dict(zip(CHECKS, ts, strict=True)))


@settings(max_examples=150, deadline=None)
@given(histories(), windows, all_checks, st.integers(0, 20), st.integers(1, 40))
def test_figures_are_those_of_a_count_minute_by_minute(
    eras: list[Era], declared: list[Window], checks: dict[Key, Timeline], first: int, length: int
) -> None:
    period = (at(first), at(first + length))
    counter = Counter(eras, declared)
    found = counter.count_all(period, checks)
    naive = Naive(eras, declared, checks)
    minutes = [at(m) for m in range(first, first + length)]
    end = [era for era in eras if era.since < period[1]]
    minima = end[-1].parameters
    by_level: dict[str, Measure] = defaultdict(Measure)
    by_township: dict[str, Measure] = defaultdict(Measure)
    expected: list[tuple[str, str | None]] = []
    members = {(m.site.site_id, m.terminal): m for m in (*found.terminals, *found.sites)}
    for site in SITES:
        verdicts: list[Verdict] = []
        for kind in (*KINDS, None):
            if not any(naive.in_service(site, kind, t) for t in minutes):
                continue
            expected.append((site, kind))
            member = members[site, kind]
            counted = naive.count(site, kind, period)
            places = {place: measure_of(c) for place, c in counted.items() if place != ("", "")}
            outages = counted[("", "")]["outages"]
            whole = replace(sum(places.values(), Measure()), outages=outages)
            assert member.measure == whole
            assert member.site == [era.inventory.sites[site] for era in end if site in era.inventory.sites][-1]
            check_parts(member, places)
            if kind is None:
                assert member.verdict == site_verdict(verdicts)
                for groups, n in ((by_level, 0), (by_township, 1)):
                    for group, measure in member.by(lambda s, n=n: (str(s.level), s.township_code)[n]):  # type: ignore[misc]
                        groups[group] += measure
            else:
                is_watched = any(naive.has_checks(site, kind, t) and naive.in_service(site, kind, t) for t in minutes)
                plain = terminal_verdict(whole, minima.coverage_min, minima.availability_min)
                verdicts.append(plain if is_watched else "unproven")
                assert member.verdict == verdicts[-1]
    assert set(members) == set(expected)
    assert len(found.terminals) + len(found.sites) == len(expected)
    assert {k: v for k, v in found.sums().items() if k != "total" and v != Measure()} == {
        k: v for k, v in by_level.items() if v != Measure()
    }
    assert found.by_township() == by_township
    assert found.sums()["total"] == sum((m.measure for m in found.sites), Measure())
    bare = [w for w in declared if not w.retroactive]
    again = Counter(eras, bare).count(period, checks)
    assert (found.without_retroactive or replace(found, without_retroactive=None, after_exemptions=None)) == again


def check_parts(member: Member, places: Mapping[tuple[str, str], Measure]) -> None:
    """What it was at each place: exactly, save that an outage is in each stretch of time that it lasted into."""
    if not member.parts:
        assert set(places) <= {(str(member.site.level), member.site.township_code)}
        return
    found: dict[tuple[str, str], Measure] = defaultdict(Measure)
    for site, measure in member.parts:
        found[str(site.level), site.township_code] += measure
    assert {k: replace(m, outages=0) for k, m in found.items()} == {k: replace(m, outages=0) for k, m in places.items()}
    assert all(found[place].outages >= places[place].outages for place in places)


@settings(max_examples=50, deadline=None)
@given(histories(), windows, all_checks)
def test_the_one_clock_runs_across_changes(
    eras: list[Era], declared: list[Window], checks: dict[Key, Timeline]
) -> None:
    """Of one terminal: what is counted of an outage and when it passes a limit, in service and planned."""
    counter, naive = Counter(eras, declared), Naive(eras, declared, checks)
    if not any(("A", "tv") in era.inventory.terminals for era in eras):
        return
    course, timeline = counter.course("A", "tv"), counter.terminal_timeline("A", "tv", checks)
    counted, reached, overdue = 0, None, None
    for minute in range(-60, MINUTES):
        t = at(minute)
        assert value_at(timeline, t).value == naive.value("A", "tv", t)
        is_counted = naive.in_service("A", "tv", t) and not naive.is_planned("A", "tv", t)
        counted += is_counted and naive.value("A", "tv", t) == "down"
        if counted > 7 and reached is None:
            reached = t
        there = naive.site_at("A", t)
        if counted and there is not None and is_counted and naive.value("A", "tv", t) == "down" and overdue is None:
            limit = naive.era(t).parameters.repair_limit_ms[str(there.level)]
            overdue = t if counted * 60 * S > limit else None
    whole = (at(-60), at(MINUTES))
    assert course.counted_down_ms(timeline, whole) == counted * 60 * S
    assert course.reached_at(timeline, whole, 7 * 60 * S) == reached
    assert course.at_most_ms(whole, whole) >= counted * 60 * S
    assert course.overdue_since(timeline, whole) == overdue
    assert overdue is None or counted * 60 * S > course.least_repair_limit_ms(whole)


# --- examples ---------------------------------------------------------------------------------------------------------

SHANGHAI = ZoneInfo("Asia/Shanghai")
OCTOBER = tuple(int(datetime(2026, month, 1, tzinfo=SHANGHAI).timestamp()) * S for month in (10, 11))
HOURS = ServiceTimes(SHANGHAI, {"village": ("daily", ["08:00-20:00"])}, CALENDAR)


def local(day: int, hour: int = 0, month: int = 10) -> int:
    return int(datetime(2026, month, day, hour, tzinfo=SHANGHAI).timestamp()) * S


def village(name: str, township: str = "T1", level: Level = Level.VILLAGE) -> Site:
    return Site(name, name, level, township, township)


def inventory(*rows: Site, kinds: Sequence[str] = ("tv",), checks: Sequence[str] = ("heartbeat-mqtt",)) -> Inventory:
    terminals = [Terminal(s.site_id, kind) for s in rows for kind in kinds]
    return Inventory.of(rows, terminals, [Check(*t.key, check) for t in terminals for check in checks])


def history(*parts: tuple[int, Inventory]) -> list[Era]:
    terms = Parameters("all", 0.9, 0.9, dict.fromkeys(LEVELS, 24 * HOUR), dict.fromkeys(LEVELS, 1), None)
    return [Era(start, held, HOURS, terms) for start, held in parts]


def steps(*told: tuple[int, Value]) -> Timeline:
    return [*new_timeline(), *(Step(*step) for step in told)]


def count(eras: Sequence[Era], checks: Mapping[Key, Timeline], declared: Sequence[Window] = ()) -> Figures:
    return Counter(eras, declared).count((OCTOBER[0], OCTOBER[1]), checks)


def hours(measure: Measure) -> tuple[int, int, int, int, int, int]:
    """up, down, unknown, planned, overdue in hours; and outages."""
    m = measure
    return (m.up // HOUR, m.down // HOUR, m.unknown // HOUR, m.planned // HOUR, m.overdue // HOUR, m.outages)


BEAT = "heartbeat-mqtt"
UP = steps((local(1, month=9), "up"))


def test_of_villages_merged_in_the_middle_of_a_month_each_counts_for_the_days_it_existed() -> None:
    """V1 and V2 become V3 on the 11th at noon: ten days and four hours, and twenty days and eight hours."""
    noon = local(11, 12)
    eras = history((BEGINNING, inventory(village("V1"), village("V2"))), (noon, inventory(village("V3"))))
    down = steps((local(1, month=9), "up"), (local(11, 10), "down"))
    found = count(eras, {("V1", "tv", BEAT): UP, ("V2", "tv", BEAT): down, ("V3", "tv", BEAT): steps((noon, "up"))})
    assert {m.site.site_id: hours(m.measure) for m in found.sites} == {
        "V1": (124, 0, 0, 0, 0, 0),
        "V2": (122, 2, 0, 0, 0, 1),
        "V3": (248, 0, 0, 0, 0, 0),
    }
    assert found.sums()["village"].total == (2 * 124 + 248) * HOUR
    assert [m.verdict for m in found.sites] == ["maintained"] * 3


@pytest.mark.parametrize(("township", "expected"), [("T1", (16, 0)), ("T2", (0, 16))])
def test_a_window_of_a_township_holds_for_the_time_in_which_a_village_belonged_to_it(
    township: str, expected: tuple[int, int]
) -> None:
    """V1 moves from T1 to T2 on the 15th at noon; the window lasts from the 14th 04:00 to the 16th 16:00."""
    noon = local(15, 12)
    eras = history((BEGINNING, inventory(village("V1"))), (noon, inventory(village("V1", "T2"))))
    window = Window(f"township:{township}", local(14, 4), local(16, 16), "检修")
    found = count(eras, {("V1", "tv", BEAT): UP}, [window])
    (site,) = found.sites
    assert site.measure.planned == sum(expected) * HOUR
    assert site.site.township_code == "T2"
    assert [(s.township_code, m.planned // HOUR, m.total // HOUR) for s, m in site.parts] == [
        ("T1", expected[0], 14 * 12 + 4 - expected[0]),
        ("T2", expected[1], 16 * 12 + 8 - expected[1]),
    ]
    assert {code: hours(m)[0] for code, m in found.by_township().items()} == {
        "T1": 14 * 12 + 4 - expected[0],
        "T2": 16 * 12 + 8 - expected[1],
    }
    assert found.sums()["village"] == site.measure


def test_over_a_change_of_level_each_second_is_overdue_by_the_limit_of_its_time() -> None:
    """A village with 24 h to repair becomes a township's site with 10 h, always in service; down from the 6th 08:00."""
    limits = {"county": HOUR, "township": 10 * HOUR, "village": 24 * HOUR}
    eras = history((BEGINNING, inventory(village("V1"))), (local(7), inventory(village("V1", level=Level.TOWNSHIP))))
    eras = [replace(era, parameters=replace(era.parameters, repair_limit_ms=limits)) for era in eras]
    down = steps((local(1, month=9), "up"), (local(6, 8), "down"), (local(7, 6), "up"))
    found = count(eras, {("V1", "tv", BEAT): down})
    (site,) = found.sites
    # The day's twelve hours are allowed to a village; of the township's site all six further ones are overdue.
    assert (site.measure.down, site.measure.overdue, site.measure.outages) == (18 * HOUR, 6 * HOUR, 1)
    assert [(str(s.level), m.down // HOUR, m.overdue // HOUR, m.outages) for s, m in site.parts] == [
        ("village", 12, 0, 1),
        ("township", 6, 6, 1),
    ]
    sums = found.sums()
    assert (sums["village"].down, sums["township"].down, sums["total"].outages) == (12 * HOUR, 6 * HOUR, 1)
    assert found.site_rates["township"].failed == 1


def test_a_check_that_was_removed_no_longer_takes_part() -> None:
    """Under `all` an unknown check makes the terminal unknown: until it is removed, and no longer."""
    two, one = inventory(village("V1"), checks=(BEAT, "icmp")), inventory(village("V1"))
    found = count(history((BEGINNING, two), (local(11), one)), {("V1", "tv", BEAT): UP, ("V1", "tv", "icmp"): steps()})
    assert hours(found.terminals[0].measure) == (21 * 12, 0, 10 * 12, 0, 0, 0)
    assert found.terminals[0].parts == ()


def test_a_terminal_whose_last_check_was_removed_is_unknown_from_then_on() -> None:
    eras = history((BEGINNING, inventory(village("V1"))), (local(11), inventory(village("V1"), checks=())))
    found = count(eras, {("V1", "tv", BEAT): UP})
    assert hours(found.terminals[0].measure) == (10 * 12, 0, 21 * 12, 0, 0, 0)
    assert hours(found.sites[0].measure) == (10 * 12, 0, 21 * 12, 0, 0, 0)
    assert found.terminals[0].verdict == "unproven"


def test_hours_that_changed_at_a_months_start_count_from_there_in_an_outage_that_lasts_over_it() -> None:
    """Until September 08:00-20:00, from October 08:00-12:00; down from 30 September 10:00 to 8 October 10:00."""
    short = ServiceTimes(SHANGHAI, {"village": ("daily", ["08:00-12:00"])}, CALENDAR)
    first, second = history((BEGINNING, inventory(village("V1"))), (OCTOBER[0], inventory(village("V1"))))
    eras = [first, replace(second, service=short)]
    down = steps((local(1, month=9), "up"), (local(30, 10, month=9), "down"), (local(8, 10), "up"))
    found = count(eras, {("V1", "tv", BEAT): down})
    # 10 h of September, then 4 h a day: after 24 h it is overdue, on 4 October at 10:00.
    assert hours(found.sites[0].measure) == (2 + 23 * 4, 7 * 4 + 2, 0, 0, 16, 1)
    course = Counter(eras, []).course("V1", "tv")
    whole = (local(30, 10, month=9), local(8, 10))
    assert course.reached_at(down, whole, 24 * HOUR) == local(4, 10)
    assert course.counted_down_ms(down, whole) == 40 * HOUR


@pytest.mark.parametrize(
    ("before", "after", "since"), [(24, 10, (1, 8, 10)), (10, 24, (30, 18, 9)), (24, 16, (1, 12, 10))]
)
def test_an_outage_over_a_change_of_the_limit_is_overdue_from_its_first_overdue_second(
    before: int, after: int, since: tuple[int, int, int]
) -> None:
    """Down from 30 September 08:00, twelve hours a day in service; the limit (h) changes with October. One that was
    within the old limit and is beyond the new one is overdue from October's first counted second on, not before."""
    eras = history((BEGINNING, inventory(village("V1"))), (OCTOBER[0], inventory(village("V1"))))
    eras = [
        replace(era, parameters=replace(era.parameters, repair_limit_ms=dict.fromkeys(Level, limit * HOUR)))
        for era, limit in zip(eras, (before, after), strict=True)
    ]
    down = steps((local(1, month=9), "up"), (local(30, 8, month=9), "down"))
    counter = Counter(eras, [])
    first = counter.course("V1", "tv").overdue_since(down, (local(30, 8, month=9), local(8, 10)))
    assert first == local(since[0], since[1], month=since[2])
    for period, overdue in (((local(1, month=9), first), 0), ((first, first + HOUR), HOUR)):
        assert counter.count(period, {("V1", "tv", BEAT): down}).terminals[0].measure.overdue == overdue


def test_what_did_not_change_is_counted_as_under_one_inventory() -> None:
    """A new era for another village's sake, and the dates of a site within an era."""
    stays = replace(village("V1"), retired_on=date(2026, 10, 21))
    eras = history((BEGINNING, inventory(stays)), (local(11), inventory(stays, village("V2"))))
    checks = {("V1", "tv", BEAT): UP, ("V2", "tv", BEAT): steps((local(11), "up"))}
    found = count(eras, checks)
    assert found.terminals[0] == count(eras[:1], checks).terminals[0]
    assert {m.site.site_id: hours(m.measure)[0] for m in found.sites} == {"V1": 240, "V2": 252}

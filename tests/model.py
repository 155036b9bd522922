"""Reference model of the availability rules (spec ``docs/rules.md``, method 1), for tests only.

Naive on purpose: it knows the whole history and answers, for any one second, which rule holds there. It
shares no code and no idea with the engine, which works forwards. Times are integers (seconds, any origin).

Events are tuples in file order, as in ``rules.json``::

    (at, "restored")              the channel came back
    (at, "lost"[, since])         the channel was lost
    (at, "beat")                  a heartbeat without a sent time
    (at, "late", sent_at)         a heartbeat with a sent time: the rules decide whether it is late
    (at, "will")                  the end of a session, or a goodbye
    (at, "ok"), (at, "fail")      results of a probe
    (at, "other")                 accepted evidence on the same channel that is not this check's

Order at one instant. The place of a thing in the history is a triple ``(time, rank, line)``. Rank 0 are the
lines of the channel itself, rank 1 is evidence (and the restore that it brings), rank 2 is a loss that stands
at a ``since`` before the line that told of it: so "a loss at the very instant of a beat lies before it; a
``since`` at that instant lies after it" (section 1) is the order of the triples.
"""

from __future__ import annotations

import csv
import json
import tomllib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

UP, DOWN, UNKNOWN = "up", "down", "unknown"
LATE_LIMIT = 72 * 3600
KLEENE = {DOWN: 0, UNKNOWN: 1, UP: 2}

Event = tuple[Any, ...]
Place = tuple[int, int, int]
Span = list[Any]


# --- section 1: the channel ---------------------------------------------------------------------------------


@dataclass
class Channel:
    """What became of a channel, and where each accepted piece of evidence stands (sections 1 and 2)."""

    restores: list[Place] = field(default_factory=list)
    losses: list[Place] = field(default_factory=list)  # losses[i] ends what restores[i] began
    loss_times: set[int] = field(default_factory=set)
    late: dict[int, int] = field(default_factory=dict)  # line of a late beat -> its sent_at
    rejected: list[int] = field(default_factory=list)  # lines

    @property
    def is_lost(self) -> bool:
        return len(self.restores) == len(self.losses)

    def observed(self, instant: int) -> bool:
        """Section 1: observed on ``[restored, lost)``; section 2: not at the instant of a loss."""
        if instant in self.loss_times:
            return False
        begun = bisect_right([place[0] for place in self.restores], instant)
        return begun > 0 and (begun > len(self.losses) or instant < self.losses[begun - 1][0])

    def first_loss_after(self, place: Place) -> Place | None:
        i = bisect_right(self.losses, place)
        return self.losses[i] if i < len(self.losses) else None


def observe(events: Sequence[Event], late_limit: int = LATE_LIMIT) -> Channel:
    """The history of one channel, from all events on it, of whatever check (section 1)."""
    channel = Channel()
    last_evidence: int | None = None
    previous = None
    for line, event in enumerate(events):
        at, kind = int(event[0]), event[1]
        if previous is not None and at < previous:
            raise ValueError(f"line {line} goes back in time")
        previous = at
        if kind == "restored":
            if channel.is_lost:
                channel.restores.append((at, 0, line))
        elif kind == "lost":
            if not channel.restores:
                continue  # before its first restore a channel is lost
            loss: Place = (at, 0, line)
            if len(event) > 2 and event[2] is not None:
                # Stands at `since`, moved up to the last restore or the last evidence if that is later.
                stands_at = max(event[2], channel.restores[-1][0])
                if last_evidence is not None:
                    stands_at = max(stands_at, last_evidence)
                if stands_at < at:
                    loss = (stands_at, 2, 0)
            if not channel.is_lost:
                channel.losses.append(loss)
                channel.loss_times.add(loss[0])
            elif loss < channel.losses[-1]:  # a further loss with an earlier since moves the loss back
                old = channel.losses.pop()
                if all(place[0] != old[0] for place in channel.losses):
                    channel.loss_times.discard(old[0])
                channel.losses.append(loss)
                channel.loss_times.add(loss[0])
        else:  # evidence
            restores = channel.is_lost
            if restores:
                channel.restores.append((at, 1, line))
            if kind == "late":
                sent_at = event[2]
                # From the future it is not late: nobody knows yet when the channel will not be observed.
                if channel.restores[0][0] < sent_at <= at and not channel.observed(sent_at):
                    if at - sent_at > late_limit:  # rejected, so it is no evidence and restores nothing
                        channel.rejected.append(line)
                        if restores:
                            channel.restores.pop()
                        continue
                    channel.late[line] = sent_at
            last_evidence = at
    return channel


# --- section 2: a heartbeat check ---------------------------------------------------------------------------


@dataclass
class Heartbeats:
    """Everything known of a heartbeat check by the end of the replay; ``value`` judges one second."""

    interval: int
    grace: int
    channel: Channel
    beats: list[int]
    ordinary: set[int]  # beats that are not (only) late ones
    wills: list[int]
    until: int

    def first_will(self, start: int, before: int | None) -> int | None:
        """The first will at or after ``start`` and before ``before`` (None: never)."""
        i = bisect_left(self.wills, start)
        if i == len(self.wills) or (before is not None and self.wills[i] >= before):
            return None
        return self.wills[i]

    def value(self, t: int) -> str:
        """The value of the second ``[t, t + 1)`` by the rules of section 2."""
        i = bisect_right(self.beats, t)
        x = self.beats[i - 1] if i else None
        y = self.beats[i] if i < len(self.beats) else None
        lost_at: Place | None = None  # the loss after which rule 4 looks for restores
        if x is not None:
            due = x + self.interval
            will = self.first_will(x + 1, y)
            if will is not None:
                due = min(due, will)
            confirmed = x + self.interval + self.grace
            if y is not None and y <= confirmed:
                return UP  # rule 1
            late = x not in self.ordinary
            loss = (x, -1, 0) if late else self.channel.first_loss_after((x, 1, 0))
            if loss is None or loss[0] > confirmed:
                if confirmed >= self.until:
                    return UP  # rule 2 would hold, but its c is not yet past: pending
                if t < due:
                    return UP  # rule 2
                if loss is None or t < loss[0]:
                    return DOWN
            elif t < min(due, loss[0]):
                return UP  # rule 3
            lost_at = loss
        # Rule 4: the last restore at or before t (and so before y), if it comes after the loss.
        j = bisect_right(self.channel.restores, (t, 9, 0))
        if j == 0:
            return UNKNOWN
        restore = self.channel.restores[j - 1]
        if lost_at is not None and restore < lost_at:
            return UNKNOWN
        b = restore[0]
        due = b + self.interval
        will = self.first_will(b, y)
        if will is not None:
            due = min(due, will)
        confirmed = b + self.interval + self.grace
        if y is not None and y <= confirmed:
            return UNKNOWN
        loss = self.channel.first_loss_after(restore)
        if loss is not None and loss[0] <= confirmed:
            return UNKNOWN
        if confirmed >= self.until:
            return UNKNOWN  # undecided; pending is for rule 2 only
        if t < due or (loss is not None and t >= loss[0]):
            return UNKNOWN
        return DOWN

    def instants(self) -> set[int]:
        """Where the value can change. Complete: ``value`` compares t with the beats, the restores, both plus
        I, the wills and the losses only; all else in it is the same for every t between two of these."""
        marks = [*self.beats, *(place[0] for place in self.channel.restores)]
        return {*marks, *(m + self.interval for m in marks), *self.wills, *self.channel.loss_times}


def heartbeats(interval: int, grace: int, channel: Channel, own: Iterable[tuple[int, Event]], until: int) -> Heartbeats:
    """``own``: the check's own events, each with its line in the channel's events."""
    ordinary: set[int] = set()
    late: set[int] = set()
    wills: set[int] = set()
    rejected = set(channel.rejected)
    for line, event in own:
        if event[1] == "will":
            wills.add(event[0])
        elif line in channel.late:
            late.add(channel.late[line])
        elif event[1] in ("beat", "late") and line not in rejected:
            ordinary.add(event[0])
    return Heartbeats(interval, grace, channel, sorted(ordinary | late), ordinary, sorted(wills), until)


# --- section 3: a probe check -------------------------------------------------------------------------------


@dataclass
class Probes:
    """Everything known of a probe check by the end of the replay; ``value`` judges one second."""

    interval: int
    failures: int
    channel: Channel
    results: list[tuple[Place, bool]]

    @property
    def life(self) -> int:
        return self.interval * (self.failures + 1)

    def linked(self, i: int) -> bool:
        """Whether result i and result i + 1 are linked (False where one of them does not exist)."""
        if i < 0 or i + 1 >= len(self.results):
            return False
        here, there = self.results[i][0], self.results[i + 1][0]
        loss = self.channel.first_loss_after(here)
        return there[0] - here[0] <= self.life and (loss is None or loss > there)

    def state(self, i: int) -> str:
        """The state of result i."""
        if self.results[i][1]:
            return UP
        first = last = i
        while self.linked(first - 1) and not self.results[first - 1][1]:
            first -= 1
        while self.linked(last) and not self.results[last + 1][1]:
            last += 1
        if last - first + 1 >= self.failures:
            return DOWN
        # A linked neighbour of a maximal streak of failures is a success.
        return UP if self.linked(first - 1) and self.linked(last) else UNKNOWN

    def value(self, t: int) -> str:
        """The value of the second ``[t, t + 1)`` by the rules of section 3."""
        i = bisect_right(self.results, t, key=lambda result: result[0][0]) - 1
        if i < 0:
            return UNKNOWN
        here, ok = self.results[i]
        if self.linked(i):
            return self.state(i)
        if i + 1 < len(self.results):
            there, next_ok = self.results[i + 1]
            if ok and next_ok and there[0] - here[0] <= self.life:
                return UP
        loss = self.channel.first_loss_after(here)
        if t >= here[0] + self.life or (loss is not None and t >= loss[0]):
            return UNKNOWN
        return self.state(i)

    def instants(self) -> set[int]:
        """Where the value can change: at a result, a life after it, at a loss."""
        times = {place[0] for place, _ in self.results}
        return {*times, *(time + self.life for time in times), *self.channel.loss_times}


# --- a check ------------------------------------------------------------------------------------------------


@dataclass
class Judgement:
    """The timeline of one check on ``[0, until)`` and the number of events rejected as too late."""

    spans: list[Span]
    rejected: int = 0

    @property
    def values(self) -> list[str]:
        return [value for start, end, value in self.spans for _ in range(end - start)]


def timeline(value: Callable[[int], str], instants: Iterable[int], until: int, every_second: bool) -> list[Span]:
    """Evaluate at 0 and at each instant (or at every second) and join equal neighbours."""
    if every_second:
        return spans([value(t) for t in range(until)])
    marks = sorted({0} | {t for t in instants if 0 < t < until}) if until > 0 else []
    out: list[Span] = []
    for start, end in zip(marks, [*marks[1:], until], strict=False):
        now = value(start)
        if out and out[-1][2] == now:
            out[-1][1] = end
        else:
            out.append([start, end, now])
    return out


def judge(
    kind: str,
    interval: int,
    grace: int | None,
    failures: int | None,
    events: Sequence[Event],
    until: int,
    *,
    late_limit: int = LATE_LIMIT,
    every_second: bool = False,
) -> Judgement:
    """The timeline of one check on ``[0, until)``. ``kind`` is ``heartbeat...`` or anything else for a probe.

    ``until`` is the end of the replay, so no event may be after it. ``every_second`` evaluates the rules at
    each second instead of at the instants where they can change: slow, and only there to prove the shortcut.
    """
    if events and events[-1][0] > until:
        raise ValueError("the end of a replay is not before its last line")
    channel = observe(events, late_limit)
    judged: Heartbeats | Probes
    if kind.startswith("heartbeat"):
        if grace is None:
            raise ValueError("a heartbeat check has a grace")
        judged = heartbeats(interval, grace, channel, enumerate(events), until)
    else:
        if failures is None:
            raise ValueError("a probe check has a number of failures")
        judged = Probes(interval, failures, channel, results_of(enumerate(events)))
    return Judgement(timeline(judged.value, judged.instants(), until, every_second), len(channel.rejected))


def results_of(own: Iterable[tuple[int, Event]]) -> list[tuple[Place, bool]]:
    return [((event[0], 1, line), event[1] == "ok") for line, event in own if event[1] in ("ok", "fail")]


def check_values(
    kind: str,
    interval: int,
    grace: int | None,
    failures: int | None,
    events: Sequence[Event],
    until: int,
    *,
    late_limit: int = LATE_LIMIT,
) -> list[str]:
    """The value of every second t in ``[0, until)``."""
    return judge(kind, interval, grace, failures, events, until, late_limit=late_limit).values


def spans(values: Sequence[str], start: int = 0) -> list[Span]:
    """``[[start, end, value], ...]`` of a list of values whose first second is ``start``."""
    out: list[Span] = []
    for t, value in enumerate(values, start):
        if out and out[-1][2] == value:
            out[-1][1] = t + 1
        else:
            out.append([t, t + 1, value])
    return out


# --- section 4: terminals and sites -------------------------------------------------------------------------


def kleene_any(members: Sequence[Sequence[str]]) -> list[str]:
    """The greatest value of each second (``down < unknown < up``)."""
    return [max(now, key=KLEENE.__getitem__) for now in zip(*members, strict=True)]


def kleene_all(members: Sequence[Sequence[str]]) -> list[str]:
    """The least value of each second."""
    return [min(now, key=KLEENE.__getitem__) for now in zip(*members, strict=True)]


def terminal_values(checks: Sequence[Sequence[str]], policy: str = "any") -> list[str] | None:
    """A terminal's timeline; None for a terminal without a check, which has no part in its site's."""
    if not checks:
        return None
    return {"any": kleene_any, "all": kleene_all}[policy](checks)


def site_values(terminals: Sequence[Sequence[str] | None], length: int) -> list[str]:
    """*Online*: any of the terminals that have a check; unknown where none has."""
    having = [values for values in terminals if values is not None]
    return kleene_any(having) if having else [UNKNOWN] * length


def site_offline(terminals: Sequence[Sequence[str] | None], length: int) -> list[bool]:
    """Every terminal (that has a check, and there is one) is down."""
    having = [values for values in terminals if values is not None]
    return [bool(having) and all(values[t] == DOWN for values in having) for t in range(length)]


def site_impaired(terminals: Sequence[Sequence[str] | None], length: int) -> list[bool]:
    """Online and some terminal is down."""
    having = [values for values in terminals if values is not None]
    return [
        any(values[t] == UP for values in having) and any(values[t] == DOWN for values in having) for t in range(length)
    ]


# --- section 5: what is counted -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Measures:
    """The figures of a terminal, a site or (added up) a group for a period."""

    in_service_s: int
    up_s: int
    down_s: int
    unknown_s: int
    planned_s: int
    outages: int = 0
    overdue_s: int = 0

    @property
    def total(self) -> int:
        return self.up_s + self.down_s + self.unknown_s

    @property
    def availability(self) -> float | None:
        return ratio(self.up_s, self.up_s + self.down_s)

    @property
    def availability_low(self) -> float | None:
        return ratio(self.up_s, self.total)

    @property
    def availability_high(self) -> float | None:
        return ratio(self.up_s + self.unknown_s, self.total)

    @property
    def coverage(self) -> float | None:
        return ratio(self.up_s + self.down_s, self.total)

    def as_dict(self) -> dict[str, Any]:
        """The keys of ``expected.json``."""
        return {
            "up_s": self.up_s,
            "down_s": self.down_s,
            "unknown_s": self.unknown_s,
            "planned_s": self.planned_s,
            "availability": self.availability,
            "availability_low": self.availability_low,
            "availability_high": self.availability_high,
            "coverage": self.coverage,
            "outages": self.outages,
            "overdue_s": self.overdue_s,
        }


def ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def outage_ids(values: Sequence[str]) -> list[int | None]:
    """For each down second the number of its outage: a longest row of down with only unknown between."""
    ids: list[int | None] = []
    number = 0
    open_outage = False
    for value in values:
        if value == DOWN and not open_outage:
            open_outage = True
            number += 1
        elif value == UP:
            open_outage = False
        ids.append(number if value == DOWN else None)
    return ids


def measures(
    values: Sequence[str],
    in_service: Sequence[bool],
    window: Sequence[bool],
    start: int,
    end: int,
    limit_s: int,
) -> Measures:
    """Section 5 for the period ``[start, end)``; the lists begin at second 0 of the history, so that an
    outage's seconds before the period are known."""
    seconds = {UP: 0, DOWN: 0, UNKNOWN: 0}
    planned = served = overdue = 0
    seen: set[int] = set()
    used: dict[int, int] = {}  # counted down seconds of each outage so far
    for t, outage in enumerate(outage_ids(values)[:end]):
        if not in_service[t]:
            continue
        inside = start <= t
        served += inside
        if window[t]:
            planned += inside
            continue
        if inside:
            seconds[values[t]] += 1
        if outage is not None:
            used[outage] = used.get(outage, 0) + 1
            if inside:
                seen.add(outage)
                overdue += used[outage] > limit_s
    return Measures(served, seconds[UP], seconds[DOWN], seconds[UNKNOWN], planned, len(seen), overdue)


def add_up(members: Iterable[Measures]) -> Measures:
    """A group adds up the seconds of its members, then divides."""
    rows = list(members)
    return Measures(
        sum(m.in_service_s for m in rows),
        sum(m.up_s for m in rows),
        sum(m.down_s for m in rows),
        sum(m.unknown_s for m in rows),
        sum(m.planned_s for m in rows),
        sum(m.outages for m in rows),
        sum(m.overdue_s for m in rows),
    )


# --- section 6: verdicts and rates --------------------------------------------------------------------------

MAINTAINED, FAILED, UNPROVEN = "maintained", "failed", "unproven"


def terminal_verdict(
    measured: Measures, coverage_min: float = 0.9, availability_min: float = 0.0, has_check: bool = True
) -> str | None:
    """The verdict of a terminal; None for one without an in-service second (it is not listed)."""
    if measured.in_service_s == 0:
        return None
    if not has_check or measured.coverage is None:
        return UNPROVEN
    covered = measured.coverage >= coverage_min
    if measured.overdue_s > 0:
        return FAILED
    if covered and measured.availability is not None and measured.availability < availability_min:
        return FAILED
    return MAINTAINED if covered else UNPROVEN


def site_verdict(verdicts: Iterable[str | None]) -> str:
    """The worst of the (listed) terminals; a site that has none is unproven."""
    listed = {verdict for verdict in verdicts if verdict is not None}
    if FAILED in listed:
        return FAILED
    return MAINTAINED if listed == {MAINTAINED} else UNPROVEN


def rate(verdicts: Sequence[str], planned: int) -> dict[str, Any]:
    """The figures of a rate: never capped, null where the plan is 0."""
    maintained, unproven = verdicts.count(MAINTAINED), verdicts.count(UNPROVEN)
    return {
        "planned": planned,
        "maintained": maintained,
        "failed": verdicts.count(FAILED),
        "unproven": unproven,
        "rate": ratio(maintained, planned),
        "rate_high": ratio(maintained + unproven, planned),
    }


def target_met(figures: Mapping[str, Any], target: float) -> bool:
    """达标: the rate reaches the target and nothing is failed or unproven."""
    reached = figures["rate"] is not None and figures["rate"] >= target
    return reached and figures["failed"] == 0 and figures["unproven"] == 0


def year_maintained(months: Sequence[str | None]) -> bool | None:
    """Maintained in every month in which it was in service (None: in none)."""
    listed = [verdict for verdict in months if verdict is not None]
    return all(verdict == MAINTAINED for verdict in listed) if listed else None


# --- section 7: a recorded trace ----------------------------------------------------------------------------

LEVELS = ("county", "township", "village")


@dataclass(frozen=True)
class Unit:
    """A site's row, or a terminal's with the dates that hold for it."""

    level: str
    township: str
    commissioned: date | None
    retired: date | None


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _instant(text: str) -> int:
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def in_service_seconds(
    start: int,
    length: int,
    zone: ZoneInfo,
    place: Unit,
    rule: Mapping[str, Any] | None,
    is_workday: Callable[[date], bool],
) -> list[bool]:
    """Whether each second from ``start`` (epoch) is in service: the local day and the local clock decide."""
    hours: list[tuple[int, int]] = []
    for text in rule["hours"] if rule and "hours" in rule else ["00:00-24:00"]:
        ends = [int(part[:2]) * 3600 + int(part[3:]) * 60 for part in text.split("-")]
        hours.append((ends[0], ends[1]))
    workdays = bool(rule) and rule is not None and rule.get("days", "daily") == "workdays"
    days: dict[date, bool] = {}
    out = []
    for t in range(start, start + length):
        if t % 60 == 0 or t == start:  # offsets from UTC and hours are whole minutes
            local = datetime.fromtimestamp(t, zone)
            day = local.date()
            if day not in days:
                days[day] = (
                    (place.commissioned is None or day >= place.commissioned)
                    and (place.retired is None or day < place.retired)
                    and (not workdays or is_workday(day))
                )
            clock = local.hour * 3600 + local.minute * 60
            served = days[day] and any(a <= clock < b for a, b in hours)
        out.append(served)
    return out


def window_covers(scope: str, site_id: str, site: Unit, terminal: str | None) -> bool:
    """Section 5, scopes of a window, for a terminal or (``terminal`` None) a site's own timeline."""
    kind, _, name = scope.partition(":")
    if kind == "county":
        return True
    if kind == "level":
        return name == site.level
    if kind == "township":
        return name == site.township and site.level != "county"  # its own site and its villages
    if kind == "site":
        return name == site_id
    if kind == "terminal":
        return terminal is not None and name == f"{site_id}/{terminal}"
    raise ValueError(scope)


def replay(
    folder: Path,
    lines: Iterable[str],
    start: str,
    end: str,
    is_workday: Callable[[date], bool] = lambda day: day.weekday() < 5,
) -> dict[str, Any]:
    """The answer of section 7 for one recorded trace, with ``timelines`` and ``rejected`` beside it."""
    config = tomllib.loads((folder / "monitor.toml").read_text(encoding="utf-8"))
    sites = {
        row["site_id"]: Unit(
            row["level"],
            row["township_code"],
            _day(row.get("commissioned_on")),
            _day(row.get("retired_on")),
        )
        for row in _rows(folder / "sites.csv")
    }
    checks = {(row["site_id"], row["terminal"], row["check"]): row for row in _rows(folder / "checks.csv")}
    terminals: dict[tuple[str, str], Unit] = {}
    if (folder / "terminals.csv").exists():
        for row in _rows(folder / "terminals.csv"):
            site = sites[row["site_id"]]
            terminals[row["site_id"], row["terminal"]] = Unit(  # its own dates narrow its site's
                site.level,
                site.township,
                max(filter(None, (site.commissioned, _day(row.get("commissioned_on")))), default=None),
                min(filter(None, (site.retired, _day(row.get("retired_on")))), default=None),
            )
    else:
        for site_id, terminal, _ in checks:
            terminals[site_id, terminal] = sites[site_id]

    recorded = [json.loads(line) for line in lines]
    first = min([_instant(start), *(_instant(e["at"]) for e in recorded[:1])])
    until = max([_instant(end), *(_instant(e["at"]) for e in recorded[-1:])]) - first
    begin, finish = _instant(start) - first, _instant(end) - first

    # Each channel's events, with the check that each piece of evidence belongs to.
    streams: dict[str, list[Event]] = {"mqtt": [], "http": [], "probe": []}
    owners: dict[str, list[tuple[str, str, str] | None]] = {name: [] for name in streams}
    windows: list[tuple[str, int, int]] = []
    rejected = 0
    for record in recorded:
        at = _instant(record["at"]) - first
        event: Event
        if record["type"] == "window":
            windows.append((record["scope"], _instant(record["start"]) - first, _instant(record["end"]) - first))
            continue
        owner = None
        if record["type"] == "channel":
            name = record["channel"]
            event = (at, record["event"])
            if record.get("since"):
                event += (_instant(record["since"]) - first,)
        elif record["type"] == "probe":
            name, owner = "probe", (record["site"], record["terminal"], record["check"])
            event = (at, "ok" if record["ok"] else "fail")
        else:
            name = record.get("via", "mqtt")
            owner = (record["site"], record["terminal"], f"heartbeat-{name}")
            event = (at, "will" if record["type"] == "will" else "beat")
            if record["type"] == "heartbeat" and record.get("sent_at"):
                event = (at, "late", _instant(record["sent_at"]) - first)
        if owner is not None and owner not in checks:
            rejected += 1
            continue
        streams[name].append(event)
        owners[name].append(owner)

    timelines: dict[tuple[str, str], list[list[str]]] = {key: [] for key in terminals}
    for name, events in streams.items():
        channel = observe(events)
        rejected += len(channel.rejected)
        own: dict[tuple[str, str, str], list[tuple[int, Event]]] = {}
        for line, (event, owner) in enumerate(zip(events, owners[name], strict=True)):
            if owner is not None:
                own.setdefault(owner, []).append((line, event))
        for key, row in checks.items():
            heartbeat = row["check"].startswith("heartbeat-")
            if (row["check"].removeprefix("heartbeat-") if heartbeat else "probe") != name:
                continue
            mine = own.get(key, [])
            judged: Heartbeats | Probes
            if heartbeat:
                judged = heartbeats(int(row["interval_s"]), int(row["grace_s"]), channel, mine, until)
            else:
                judged = Probes(int(row["interval_s"]), int(row["failures"]), channel, results_of(mine))
            found = timeline(judged.value, judged.instants(), until, every_second=False)
            timelines[key[0], key[1]].append(Judgement(found).values)

    zone = ZoneInfo(config["timezone"])
    policy = config.get("policy", {}).get("terminal", "any")
    service = config.get("service", {})
    upkeep = config["maintenance"]
    limits = {level: hours * 3600 for level, hours in upkeep["repair_limit_h"].items()}
    merged = {key: terminal_values(values, policy) for key, values in timelines.items()}

    def judge_place(values: list[str] | None, place: Unit, rule: Any, site_id: str, terminal: str | None) -> Measures:
        served = in_service_seconds(first, until, zone, place, rule, is_workday)
        planned = [False] * until
        for scope, a, b in windows:
            if window_covers(scope, site_id, sites[site_id], terminal):
                a, b = max(a, 0), max(0, min(b, until))  # it may lie wholly before the trace, or after it
                planned[a:b] = [True] * max(b - a, 0)
        known = values if values is not None else [UNKNOWN] * until
        return measures(known, served, planned, begin, finish, int(limits[place.level]))

    listed: dict[tuple[str, str], str] = {}
    answer: dict[str, Any] = {"from": start, "to": end, "terminals": [], "sites": []}
    for (site_id, terminal), place in sorted(terminals.items()):
        rule = service.get(f"{place.level}.{terminal}", service.get(place.level))
        values = merged[site_id, terminal]
        measured = judge_place(values, place, rule, site_id, terminal)
        verdict = terminal_verdict(
            measured, upkeep.get("coverage_min", 0.9), upkeep.get("availability_min", 0), values is not None
        )
        if verdict is None:
            continue
        listed[site_id, terminal] = verdict
        answer["terminals"].append(
            {"site": site_id, "terminal": terminal, **measured.as_dict()}
            | {"verdict": verdict, "maintained": verdict == MAINTAINED}
        )
    by_site: dict[str, str] = {}
    online: dict[str, list[str]] = {}
    for site_id, place in sorted(sites.items()):
        online[site_id] = site_values([values for key, values in merged.items() if key[0] == site_id], until)
        measured = judge_place(online[site_id], place, service.get(place.level), site_id, None)
        if measured.in_service_s == 0:
            continue
        by_site[site_id] = site_verdict(verdict for key, verdict in listed.items() if key[0] == site_id)
        answer["sites"].append(
            {"site": site_id, "level": place.level, "township": place.township, **measured.as_dict()}
            | {"verdict": by_site[site_id], "maintained": by_site[site_id] == MAINTAINED}
        )

    plan, terminal_plan = upkeep["planned_sites"], upkeep.get("planned_terminals", {})
    answer["maintenance"] = {}
    totals: tuple[list[str], int, list[str], int] = ([], 0, [], 0)
    for level in LEVELS:
        of_sites = [verdict for key, verdict in by_site.items() if sites[key].level == level]
        of_terminals = [verdict for key, verdict in listed.items() if sites[key[0]].level == level]
        planned_terminals = terminal_plan.get(level, len(of_terminals))
        answer["maintenance"][level] = rate(of_sites, plan.get(level, 0)) | {
            "terminals": rate(of_terminals, planned_terminals)
        }
        totals = (
            totals[0] + of_sites,
            totals[1] + plan.get(level, 0),
            totals[2] + of_terminals,
            totals[3] + planned_terminals,
        )
    answer["maintenance"]["total"] = rate(totals[0], totals[1]) | {"terminals": rate(totals[2], totals[3])}
    answer["rejected"] = rejected
    answer["timelines"] = {"terminals": merged, "sites": online, "origin": first}
    return answer

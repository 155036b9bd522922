"""Random configurations and traces for `replay`: what a small county could look like, and what could happen to it.

All of it follows from one `Random`. Instants that matter are aimed at: due times, confirmations, losses and restores,
each also one second off. What the rules leave open (`strategies._open_questions`) is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from tests import strategies
from tests.model import LATE_LIMIT

Row = tuple[str | int, ...]
Line = tuple[int, int, dict[str, Any]]  # instant, rank of the kind, fields

CHANNELS = ("mqtt", "http", "probe")
RANKS = {"channel": 0, "window": 1, "will": 2, "heartbeat": 3, "probe": 4}
SITES = ("site_id", "name", "level", "township_code", "township_name", "uplink", "commissioned_on", "retired_on")
CHECKS = ("site_id", "terminal", "check", "target", "interval_s", "grace_s", "failures")
TERMINALS = ("site_id", "terminal", "commissioned_on", "retired_on")


@dataclass(frozen=True)
class Case:
    """A folder with a configuration and `trace.jsonl`, and the period that is asked for."""

    folder: Path
    lines: tuple[str, ...]
    start: str
    end: str


def iso(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def draw(rnd: Random, folder: Path, longest: int = 20_000) -> Case:
    """A case in `folder`. `longest`: of the trace, seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    day = rnd.choice(("2026-09-29", "2026-10-24", "2026-03-28", "2026-12-31"))  # also where summer time begins and ends
    begin = _instant(f"{day}T00:00:00Z") + rnd.randrange(96) * 900 + rnd.choice((0, 0, 17))
    length = min(longest, rnd.choice((600, 3_600, 3_600, 7_200, longest)))
    checks = _inventory(rnd, folder, begin)
    (folder / "monitor.toml").write_text(_settings(rnd), encoding="utf-8")
    trace = _Trace(rnd, begin, length)
    trace.channels()
    for check in checks:
        trace.evidence(check)
    trace.rest()
    lines = tuple(json.dumps(line) for line in trace.settled(checks))
    (folder / "trace.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    first = begin + rnd.choice((0, 0, rnd.randrange(length)))
    last = first + rnd.choice((60, rnd.randrange(1, length), length, length + 500))
    return Case(folder, lines, iso(first), iso(last))


# --- configuration ---------------------------------------------------------------------------------------------------


def _days(rnd: Random, begin: int) -> tuple[str, str]:
    """First and last day in service, near the trace; often none."""
    today = datetime.fromtimestamp(begin, UTC).date()
    first = today + timedelta(days=rnd.choice((-1, 0, 0, 1))) if rnd.random() < 0.6 else None
    last = today + timedelta(days=rnd.choice((0, 1, 1, 2))) if rnd.random() < 0.5 else None
    if first and last and last < first:
        last = None
    return str(first or ""), str(last or "")


def _inventory(rnd: Random, folder: Path, begin: int) -> list[Row]:
    own = rnd.random() < 0.6  # a terminals.csv
    sites: list[Row] = []
    terminals: list[Row] = []
    checks: list[Row] = []
    levels = ["county", "township", "village", "village"]
    rnd.shuffle(levels)
    for n, level in enumerate(levels[: rnd.randint(1, 4)]):
        code = rnd.choice(("T0", "T1")) if level == "county" else rnd.choice(("T1", "T2"))
        dates = _days(rnd, begin) if rnd.random() < 0.3 else ("", "")
        sites.append((f"S{n}", f"n{n}", level, code, f"of {code}", "", *dates))
        for kind in rnd.sample(("tv", "mobile", "pc"), rnd.randint(0 if own else 1, 3)):
            terminals.append((f"S{n}", kind, *(_days(rnd, begin) if rnd.random() < 0.3 else ("", ""))))
            count = rnd.choice((0, 1, 1, 1, 2, 3)) if own else rnd.choice((1, 1, 2, 3))
            checks += [_check(rnd, f"S{n}", kind, name) for name in rnd.sample(sorted(_WAYS), count)]
    if not checks:
        terminals = terminals or [("S0", "tv", "", "")]
        checks.append(_check(rnd, str(terminals[0][0]), str(terminals[0][1]), "icmp"))
    _table(folder / "sites.csv", SITES, sites)
    _table(folder / "checks.csv", CHECKS, checks)
    if own:
        _table(folder / "terminals.csv", TERMINALS, terminals)
    return checks


_WAYS = {"heartbeat-mqtt": "mqtt", "heartbeat-http": "http", "icmp": "probe", "tcp": "probe"}


def _check(rnd: Random, site: str, kind: str, name: str) -> Row:
    interval = rnd.choice((1, 5, 20, 60, 60, 300))
    beats = name.startswith("heartbeat")
    grace = rnd.choice((0, interval, 3 * interval, 7)) if beats else ""
    return (site, kind, name, "127.0.0.1", interval, grace, "" if beats else rnd.choice((1, 2, 3, 5)))


def _table(path: Path, columns: Iterable[str], rows: Iterable[Row]) -> None:
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in (tuple(columns), *rows)), encoding="utf-8")


def _settings(rnd: Random) -> str:
    hours = {level: rnd.choice((0.01, 0.05, 0.25, 1, 4)) for level in ("county", "township", "village")}
    said = [
        f'timezone = "{rnd.choice(("Asia/Shanghai", "Asia/Urumqi", "Europe/Berlin", "UTC"))}"',
        f'[policy]\nterminal = "{rnd.choice(("any", "all"))}"',
        f"[maintenance]\ncoverage_min = {rnd.choice((0, 0.2, 0.5, 0.9))}",
        f"availability_min = {rnd.choice((0, 0.5, 0.9))}",
        f"repair_limit_h = {{ {', '.join(f'{level} = {value}' for level, value in hours.items())} }}",
        f"planned_sites = {{ county = {rnd.randint(0, 2)}, township = 1, village = 2 }}",
    ]
    if rnd.random() < 0.5:
        said.append("planned_terminals = { county = 0, township = 3, village = 6 }")
    if rnd.random() < 0.5:
        said.append("[service]")
        for key in rnd.sample(_SERVED, rnd.randint(1, 4)):
            a, b, c = sorted(rnd.sample(range(24 * 60), 3))
            spans = rnd.choice(([(a, b)], [(a, b), (c, 24 * 60)], [(a, b), (b, c)]))
            clocks = [f"{s // 60:02}:{s % 60:02}-{e // 60:02}:{e % 60:02}" for s, e in spans]
            said.append(f'"{key}" = {{ days = "{rnd.choice(("daily", "workdays"))}", hours = {json.dumps(clocks)} }}')
    return "\n".join([*said, "[calendar.2026]\nworkdays = []\nholidays = []", "[calendar.2027]\n" + _NOTHING])


_SERVED = ("county", "township", "village", "village.tv", "township.pc", "county.mobile")
_NOTHING = "workdays = []\nholidays = []\n"


# --- trace -----------------------------------------------------------------------------------------------------------


class _Trace:
    """What happens from `begin` (s) on, for `length` seconds."""

    def __init__(self, rnd: Random, begin: int, length: int) -> None:
        self.rnd = rnd
        self.begin = begin
        self.end = begin + length
        self.lines: list[Line] = []
        self.marks = {channel: [begin] for channel in CHANNELS}  # instants of a channel worth hitting again

    def add(self, at: int, kind: str, **fields: Any) -> None:
        if at <= self.end:
            self.lines.append((at, RANKS[kind], {"at": iso(at), "type": kind, **fields}))

    def channels(self) -> None:
        rnd = self.rnd
        for channel in CHANNELS:
            if rnd.random() < 0.9:
                self.add(self.begin + rnd.choice((0, 0, 0, 3)), "channel", channel=channel, event="restored")
            at = self.begin
            while (at := at + int(rnd.expovariate(1 / rnd.choice((30, 300, 1_500)))) + rnd.choice((0, 1))) <= self.end:
                self.marks[channel].append(at)
                at = self._event(channel, at, rnd.choice(("lost", "lost", "restored", "blink")))

    def _event(self, channel: str, at: int, what: str) -> int:
        rnd = self.rnd
        if what != "lost":
            for event in ("lost", "restored") if what == "blink" else ("restored",):
                self.add(at, "channel", channel=channel, event=event)
            return at
        since = max(self.begin - 5, at - rnd.choice((1, 2, 5, 30, 60, 200, 1_000)))
        more = {"since": iso(since)} if rnd.random() < 0.6 else {}
        self.add(at, "channel", channel=channel, event="lost", **more)
        back = at + rnd.choice((0, 1, 5, 20, 60, 90, 400, 2_000))
        if rnd.random() < 0.3:  # and lost again meanwhile, from an earlier instant on
            earlier = iso(at - rnd.choice((1, 10, 100)))
            self.add(rnd.randint(at, back), "channel", channel=channel, event="lost", since=earlier)
        self.marks[channel].append(back)
        self.add(back, "channel", channel=channel, event="restored")
        return back

    def evidence(self, check: Row) -> None:
        """A device or target that fails, comes back, misses its time, says things late."""
        rnd = self.rnd
        site, kind, name = map(str, check[:3])
        interval, reach = int(check[4]), int(check[4]) + int(check[5] or 0)
        beats = name.startswith("heartbeat")
        if not beats:
            reach = interval * (int(check[6]) + 1)
        channel = _WAYS[name]
        who = {"site": site, "terminal": kind, **({"via": channel} if beats else {"check": name})}
        at, lives = self.begin + rnd.randrange(interval + 1), True
        fails, late = rnd.choice((0.02, 0.05, 0.2)), rnd.random() < 0.5
        for _ in range(rnd.choice((200, 600))):
            if rnd.random() < 0.1:
                at = max(at, rnd.choice(self.marks[channel]) + rnd.choice((0, 0, 1, -1, interval, reach, reach + 1)))
            if at > self.end:
                return
            if beats and lives:
                sent = {"sent_at": iso(self._sent(channel, at, interval))} if late and rnd.random() < 0.25 else {}
                self.add(at, "heartbeat", **who, **sent)
                if rnd.random() < 0.03:  # of an old session
                    self.add(at + rnd.choice((0, 1)), "will", **who)
            elif not beats and rnd.random() > 0.04:
                self.add(at, "probe", **who, ok=lives != (rnd.random() < 0.06))
            if rnd.random() < (fails if lives else 0.2):
                lives = not lives
                if beats and not lives and rnd.random() < 0.5:
                    self.add(at + rnd.randrange(interval + 1), "will", **who)
            steps = (0, 1, reach - 1, reach, reach + 1, 2 * reach, rnd.randrange(3 * reach + 1))
            at += interval if rnd.random() < 0.85 else rnd.choice(steps)

    def _sent(self, channel: str, at: int, interval: int) -> int:
        rnd = self.rnd
        if rnd.random() < 0.4:
            return min(at, rnd.choice(self.marks[channel]) + rnd.choice((0, 0, 1, -1, 5, interval)))
        return at - rnd.choice((0, 1, 1, 2, 10, 30, 60, 300, 1_000, 3_000, LATE_LIMIT - 1, LATE_LIMIT, LATE_LIMIT + 1))

    def rest(self) -> None:
        """Windows of every scope, also before and after it all, and evidence of nobody."""
        rnd = self.rnd
        for _ in range(rnd.choice((0, 0, 1, 3, 6))):
            declared = rnd.randint(self.begin, self.end)
            start = declared + rnd.randrange(-6_000, 6_000)
            end = start + rnd.choice((1, 60, 600, 3_000))
            self.add(declared, "window", scope=rnd.choice(_SCOPES), start=iso(start), end=iso(end), reason="r")
        for _ in range(rnd.choice((0, 0, 3))):
            who = {"site": "S0", "terminal": rnd.choice(("pc", "xx")), "via": rnd.choice(("mqtt", "http"))}
            self.add(rnd.randint(self.begin, self.end), "heartbeat", **who)

    def settled(self, checks: list[Row]) -> list[dict[str, Any]]:
        """The lines in their order, without those whose meaning the rules leave open."""
        known = {tuple(map(str, check[:3])) for check in checks}
        lines = sorted(self.lines, key=lambda line: line[:2])
        for channel in CHANNELS:
            while True:  # without these, others may become open
                mine = [(i, e) for i, line in enumerate(lines) if (e := self._event_of(line, channel, known))]
                open_ones = {mine[n][0] for n in strategies._open_questions([e for _, e in mine])}
                if not open_ones:
                    break
                lines = [line for i, line in enumerate(lines) if i not in open_ones]
        return [fields for _, _, fields in lines]

    def _event_of(self, line: Line, channel: str, known: set[tuple[str, ...]]) -> tuple[Any, ...] | None:
        """As `model.observe` wants it, if it is one of the channel's."""
        at, _, fields = line
        kind = fields["type"]
        if kind == "window" or fields.get("channel", fields.get("via", "probe")) != channel:
            return None
        if kind == "channel":
            return (at, fields["event"], *([_instant(fields["since"])] if "since" in fields else []))
        name = fields["check"] if kind == "probe" else f"heartbeat-{channel}"
        if (fields["site"], fields["terminal"], name) not in known:
            return None
        if kind == "heartbeat" and "sent_at" in fields:
            return (at, "late", _instant(fields["sent_at"]))
        return (at, {"heartbeat": "beat", "will": "will"}.get(kind) or ("ok" if fields["ok"] else "fail"))


_SCOPES = (
    *("county", "level:county", "level:village", "level:township", "township:T0", "township:T1", "township:T2"),
    *("site:S0", "site:S1", "terminal:S0/tv", "terminal:S1/pc", "terminal:S9/tv"),
)


def _instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())

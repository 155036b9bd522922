"""Judged outages against the truth: what was missed, what was invented, how wrong the lengths are. Pure.

What the rules could see (docs/rules.md §2, §3):

- A heartbeat device is called down after I + G without a beat. Beats are at most I apart while it lives, so
  an outage of I + G or longer is always seen; a shorter one only if it falls well (up to I of silence before
  and after it).
- A probe is called down after N failures in a row. An outage of N * I or longer always holds N probes.
- Two outages with less than an interval between them may have no evidence in between, and then are one.
- What is judged may stand up to an interval later than what happened, at both ends.

So only outages that had to be seen can be *missed*; shorter ones may be judged or not, and none is *invented*
that touches a real one. What still goes on counts up to the moment of comparison.

While the monitor was blind (a channel lost, itself stopped) it saw nothing and may not guess: a real outage that
never was in sight for long enough in one piece is not missed, and the length of one that touches such a time is not
held against anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from monitor.core.sites import Check
from monitor.fleet.truth import Down

Key = tuple[str, str]

#: Waiting in queues, timers and networks, in ms, on top of what the rules say.
SLACK_MS = 500


@dataclass(frozen=True, slots=True)
class Judged:
    """An outage as the monitor tells it, ms UTC; `end_ms` None: going on."""

    site: str
    terminal: str
    start_ms: int
    end_ms: int | None

    @property
    def key(self) -> Key:
        return (self.site, self.terminal)


@dataclass(frozen=True, slots=True)
class Sight:
    """How well a terminal is seen: ms between evidence, and the length that cannot be overlooked (ms)."""

    interval_ms: int
    must_see_ms: int

    @classmethod
    def of(cls, checks: Iterable[Check]) -> Sight:
        """Of a terminal that is down when all of its checks are (policy `any`): its dullest check decides."""
        each = [(c.interval_ms, c.patience_ms if c.is_heartbeat else c.interval_ms * c.failures) for c in checks]
        return cls(max(i for i, _ in each), max(m for _, m in each))


@dataclass(frozen=True, slots=True)
class Match:
    """A real outage (or several that looked like one) and what was judged of it; `blind`: partly unseen."""

    key: Key
    real: tuple[int, int | None]
    judged: tuple[int, int | None]
    interval_ms: int
    blind: bool = False

    @property
    def error(self) -> float | None:
        """Judged length minus real length, in intervals; None while either goes on, or if blind."""
        if self.blind or self.real[1] is None or self.judged[1] is None:
            return None
        return (self.judged[1] - self.judged[0] - (self.real[1] - self.real[0])) / self.interval_ms


@dataclass(slots=True)
class Comparison:
    """The answer; `overlooked` are real outages too short to be surely seen, and not judged."""

    matched: list[Match] = field(default_factory=list)
    missed: list[Down] = field(default_factory=list)
    overlooked: list[Down] = field(default_factory=list)
    invented: list[Judged] = field(default_factory=list)

    @property
    def errors(self) -> list[float]:
        """Length errors in intervals of all that is over."""
        return [m.error for m in self.matched if m.error is not None]

    @property
    def mean_error(self) -> float:
        """NaN if nothing is over."""
        return fmean(self.errors) if self.errors else float("nan")

    @property
    def largest_error(self) -> float:
        """The largest, of either sign; NaN if nothing is over."""
        return max((abs(e) for e in self.errors), default=float("nan"))

    def of(self, keys: Iterable[Key]) -> Comparison:
        """The same for some terminals only."""
        wanted = set(keys)
        return Comparison(
            [m for m in self.matched if m.key in wanted],
            [d for d in self.missed if d.key in wanted],
            [d for d in self.overlooked if d.key in wanted],
            [j for j in self.invented if j.key in wanted],
        )


def compare(
    judged: Iterable[Judged],
    truth: Iterable[Down],
    sights: Mapping[Key, Sight],
    until_ms: int,
    slack_ms: int = SLACK_MS,
    blind: Sequence[tuple[int, int]] = (),
) -> Comparison:
    """Hold all judged outages against all real ones, as they stood at `until_ms`.

    A judged outage of a terminal that is not in `sights` is invented; a real one is left out. `blind`: when the
    monitor could not see, `[from, to)` in ms.
    """
    eye = _Eye(until_ms, slack_ms, tuple(blind))
    result = Comparison()
    by_key: dict[Key, tuple[list[Judged], list[Down]]] = {}
    for outage in judged:
        by_key.setdefault(outage.key, ([], []))[0].append(outage)
    for down in truth:
        by_key.setdefault(down.key, ([], []))[1].append(down)
    for key in sorted(by_key):
        told, happened = by_key[key]
        if key in sights:
            told.sort(key=lambda o: o.start_ms)
            happened.sort(key=lambda d: d.down_from)
            _compare_one(told, happened, sights[key], eye, result)
        else:
            result.invented += told
    return result


@dataclass(frozen=True, slots=True)
class _Eye:
    """What was in sight, for all terminals alike. Milliseconds."""

    until: int
    slack: int
    blind: tuple[tuple[int, int], ...]

    def end(self, end: int | None) -> int:
        return self.until if end is None else end

    def overlap(self, outage: Judged, down: Down, sight: Sight) -> int:
        """For how long they touch, the real one taken as long as it may look; 0 or less: not at all."""
        end = min(self.end(outage.end_ms), self.end(down.down_to) + sight.interval_ms + self.slack)
        return end - max(outage.start_ms, down.down_from - self.slack)

    def must_be_seen(self, down: Down, sight: Sight) -> bool:
        """Whether it was in sight, in one piece, for as long as cannot be overlooked."""
        start, longest = down.down_from, 0
        for lost, restored in sorted(self.blind):
            if restored > down.down_from and lost < self.end(down.down_to):
                longest, start = max(longest, lost - start), max(start, restored)
        return max(longest, self.end(down.down_to) - start) >= sight.must_see_ms + self.slack

    def was_blind(self, start: int, end: int | None, sight: Sight) -> bool:
        """Whether evidence about its edges may be missing."""
        around = sight.interval_ms + self.slack
        return any(lost < self.end(end) + around and restored > start - around for lost, restored in self.blind)


def _compare_one(told: Sequence[Judged], happened: Sequence[Down], sight: Sight, eye: _Eye, result: Comparison) -> None:
    def not_judged(down: Down) -> None:
        (result.missed if eye.must_be_seen(down, sight) else result.overlooked).append(down)

    parts: dict[Judged, list[Down]] = {o: [] for o in told}
    for down in happened:
        best = max(told, key=lambda o: eye.overlap(o, down, sight), default=None)
        if best is not None and eye.overlap(best, down, sight) > 0:
            parts[best].append(down)
        else:
            not_judged(down)
    for outage, downs in parts.items():
        runs = _runs(downs, sight.interval_ms + eye.slack)
        if not runs:
            result.invented.append(outage)
            continue
        # Where a recovery that had to be seen was judged over, the longest is matched, the rest missed.
        longest = max(runs, key=lambda run: eye.end(run[-1].down_to) - run[0].down_from)
        real = (longest[0].down_from, longest[-1].down_to)
        blind = eye.was_blind(*real, sight)
        judged = (outage.start_ms, outage.end_ms)
        result.matched.append(Match(outage.key, real, judged, sight.interval_ms, blind))
        for run in runs:
            if run is not longest:
                for down in run:
                    not_judged(down)


def _runs(downs: Sequence[Down], gap: int) -> list[list[Down]]:
    """Rows of outages with so little between them (ms) that no evidence need lie there."""
    runs: list[list[Down]] = []
    for down in downs:
        before = runs[-1][-1].down_to if runs else None
        if before is not None and down.down_from - before < gap:
            runs[-1].append(down)
        else:
            runs.append([down])
    return runs

"""What happens to each simulated device and when: pure, seeded, and the same again for the same seed.

Instants are milliseconds since the fleet's start. A plan may be endless (duration None): it is read as it is
played. Four scripts: `gentle` (the demonstration: now and then something), `rough` (the same every few
minutes), `hour` (the played hour: outages of the device's class, one after the other), `still` (nothing by
itself).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from random import Random

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


class Fault(StrEnum):
    """What befalls a device. Those in DOWN_FAULTS take it down, which is the truth; others look odd."""

    SILENCE = "silence"  # dies without a word; an MQTT connection stays up, as when the application hangs
    GOODBYE = "goodbye"  # says `off` and leaves in order
    CUT = "cut"  # the connection breaks, so the broker sends the will at once
    FLAP = "flap"  # one of several short cuts in a row
    REBOOT = "reboot"  # a cut after which it is another boot and counts from the start
    LATE = "late"  # the line is cut, it beats on, and what it kept is delivered afterwards
    WRONG_CLOCK = "wrong_clock"  # `sent_at` is off by `amount_ms`
    TWICE = "twice"  # every beat is sent twice
    MALFORMED = "malformed"  # rubbish between the beats


DOWN_FAULTS = frozenset({Fault.SILENCE, Fault.GOODBYE, Fault.CUT, Fault.FLAP, Fault.REBOOT, Fault.LATE})
ODD_FAULTS = frozenset(Fault) - DOWN_FAULTS


class Behaviour(StrEnum):
    """How a device fails and recovers, which decides the bias of a measured length (docs/rules.md §2)."""

    PLAIN = "plain"  # dies silently; beats again at its own phase
    BIRTH = "birth"  # dies silently; beats at once on recovery
    WILL = "will"  # a will (or goodbye) at once on failure; beats again at its own phase
    BOTH = "both"  # a will at once, a beat at once
    PROBE = "probe"  # does not speak, is asked

    @property
    def wills(self) -> bool:
        return self in (Behaviour.WILL, Behaviour.BOTH)

    @property
    def births(self) -> bool:
        return self in (Behaviour.BIRTH, Behaviour.BOTH)

    @property
    def expected_bias(self) -> float:
        """Of a measured outage's length, in intervals: the spec's own numbers."""
        return {Behaviour.BIRTH: -0.5, Behaviour.WILL: 0.5}.get(self, 0.0)


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays: one terminal, how it is heard (`mqtt`, `http`, `probe`) and how it behaves."""

    site: str
    terminal: str
    via: str
    behaviour: Behaviour


@dataclass(frozen=True, slots=True)
class Episode:
    """One fault on `[start_ms, end_ms)` after the fleet's start. `amount_ms`: how wrong a wrong clock is."""

    fault: Fault
    start_ms: int
    end_ms: int
    amount_ms: int = 0

    @property
    def is_down(self) -> bool:
        return self.fault in DOWN_FAULTS


@dataclass(frozen=True, slots=True)
class _Pace:
    """How often and how long. All in milliseconds at scale 1."""

    lead_in: int
    mean_gap: int
    down: tuple[int, int]
    odd: tuple[int, int]
    site_gap: int
    site_down: tuple[int, int]


#: Over 702 devices: a new fault every few seconds, 3 % of them down at a time, one or two of 234 sites dark.
_GENTLE = _Pace(
    20_000, 40 * MINUTE_MS, (30_000, 150_000), (3 * MINUTE_MS, 10 * MINUTE_MS), 5 * HOUR_MS, (60_000, 180_000)
)
_ROUGH = _Pace(20_000, 3 * MINUTE_MS, (5_000, 120_000), (30_000, 3 * MINUTE_MS), HOUR_MS, (30_000, 180_000))

#: The played hour at scale 1, made for I = 60 s: outages longer than I + G = 150 s and N * I = 180 s, so that
#: every one can be seen, and gaps of at least two intervals, so that none of two runs into the other.
HOUR_DOWN_MS = (240_000, 600_000)
HOUR_UP_MS = (150_000, 330_000)
HOUR_LEAD_IN_MS = 180_000
HOUR_LEAD_OUT_MS = 180_000

_FLAP_DOWN_MS = (300, 3_000)
_FLAP_UP_MS = (1_000, 8_000)
_REBOOT_MS = (3_000, 40_000)
_CLOCK_ERRORS_MS = (
    -3 * 24 * HOUR_MS,
    -8 * HOUR_MS,
    -10 * MINUTE_MS,
    -MINUTE_MS,
    2 * MINUTE_MS,
    HOUR_MS,
    2 * 24 * HOUR_MS,
)

_SPEAKING: Mapping[Fault, int] = {
    Fault.GOODBYE: 3,
    Fault.FLAP: 1,
    Fault.REBOOT: 3,
    Fault.LATE: 2,
    Fault.WRONG_CLOCK: 2,
    Fault.TWICE: 1,
    Fault.MALFORMED: 1,
}
_ASKED: Mapping[Fault, int] = {Fault.SILENCE: 6, Fault.FLAP: 1, Fault.REBOOT: 2}


def _weights(cast: Cast) -> Mapping[Fault, int]:
    """What can happen to it: only MQTT knows a will, and what does not speak cannot speak oddly."""
    if cast.via == "probe":
        return _ASKED
    if cast.via == "mqtt" and cast.behaviour.wills:
        return {**_SPEAKING, Fault.CUT: 5}
    return {**_SPEAKING, Fault.SILENCE: 5}


def _chance(cast: Cast, rng: Random, scale: float, pace: _Pace) -> Iterator[Episode]:
    weights = _weights(cast)
    faults, shares = list(weights), list(weights.values())
    t = pace.lead_in * scale
    while True:
        t += rng.expovariate(1 / (pace.mean_gap * scale))
        fault = rng.choices(faults, shares)[0]
        if fault is Fault.FLAP:
            for _ in range(rng.randint(3, 6)):
                end = t + rng.uniform(*_FLAP_DOWN_MS) * scale
                yield _episode(fault, t, end)
                t = end + rng.uniform(*_FLAP_UP_MS) * scale
            continue
        span = _REBOOT_MS if fault is Fault.REBOOT else pace.odd if fault in ODD_FAULTS else pace.down
        end = t + rng.uniform(*span) * scale
        yield _episode(fault, t, end, rng.choice(_CLOCK_ERRORS_MS) if fault is Fault.WRONG_CLOCK else 0)
        t = end + pace.lead_in * scale


def _gentle(cast: Cast, rng: Random, scale: float) -> Iterator[Episode]:
    return _chance(cast, rng, scale, _GENTLE)


def _rough(cast: Cast, rng: Random, scale: float) -> Iterator[Episode]:
    return _chance(cast, rng, scale, _ROUGH)


def _hour(cast: Cast, rng: Random, scale: float) -> Iterator[Episode]:
    t = HOUR_LEAD_IN_MS * scale + rng.uniform(0, HOUR_UP_MS[1]) * scale
    while True:
        fault = Fault.SILENCE
        if cast.behaviour.wills:
            fault = Fault.GOODBYE if cast.via == "http" or rng.random() < 0.25 else Fault.CUT
        end = t + rng.uniform(*HOUR_DOWN_MS) * scale
        yield _episode(fault, t, end)
        t = end + rng.uniform(*HOUR_UP_MS) * scale


def _still(cast: Cast, rng: Random, scale: float) -> Iterator[Episode]:
    return iter(())


_SCRIPTS: Mapping[str, Callable[[Cast, Random, float], Iterator[Episode]]] = {
    "gentle": _gentle,
    "rough": _rough,
    "hour": _hour,
    "still": _still,
}
_SITE_PACE: Mapping[str, _Pace] = {"gentle": _GENTLE, "rough": _ROUGH}
SCRIPTS = tuple(_SCRIPTS)


def _episode(fault: Fault, start: float, end: float, amount_ms: int = 0) -> Episode:
    start_ms = round(start)
    return Episode(fault, start_ms, max(start_ms + 1, round(end)), amount_ms)


def _until(duration_ms: int | None, lead_out: float) -> Callable[[Episode], bool]:
    return lambda episode: duration_ms is None or episode.end_ms + lead_out <= duration_ms


def script(name: str, seed: int, cast: Cast, duration_ms: int | None, scale: float = 1.0) -> Iterator[Episode]:
    """What happens to one terminal, in order and without overlap. `scale` below 1 makes everything quicker.

    With a duration, no fault begins that would not have ended by then (in `hour`: by some intervals earlier,
    so that its end is judged too). Raises KeyError for a script that is not in SCRIPTS.
    """
    rng = Random(f"{name}/{seed}/{cast.site}/{cast.terminal}")
    lead_out = HOUR_LEAD_OUT_MS * scale if name == "hour" else 0
    return takewhile(_until(duration_ms, lead_out), _SCRIPTS[name](cast, rng, scale))


def site_script(name: str, seed: int, site: str, duration_ms: int | None, scale: float = 1.0) -> Iterator[Episode]:
    """Power cuts of a whole site: all its terminals silent at once, beside what befalls each."""
    pace = _SITE_PACE.get(name)
    if pace is None:
        return iter(())
    return takewhile(_until(duration_ms, 0), _power_cuts(Random(f"{name}/{seed}/{site}"), pace, scale))


def _power_cuts(rng: Random, pace: _Pace, scale: float) -> Iterator[Episode]:
    t = pace.lead_in * scale
    while True:
        t += rng.expovariate(1 / (pace.site_gap * scale))
        end = t + rng.uniform(*pace.site_down) * scale
        yield _episode(Fault.SILENCE, t, end)
        t = end + pace.lead_in * scale


def down_intervals(episodes: Iterable[Episode]) -> list[tuple[int, int]]:
    """The planned truth: when it is down, `[from, to)` in ms after the start, overlaps united."""
    united: list[tuple[int, int]] = []
    for start, end in sorted((e.start_ms, e.end_ms) for e in episodes if e.is_down):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    return united

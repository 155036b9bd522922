"""The roster 值班表: who is on duty at an instant, for which townships."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Duty(NamedTuple):
    """A person's turn, `[from_ms, to_ms)`; both None: at any time when nobody else is on duty. No townships: all."""

    name: str
    mobile: str = ""
    mail: str = ""
    from_ms: int | None = None
    to_ms: int | None = None
    townships: frozenset[str] = frozenset()


def on_duty(roster: Sequence[Duty], at_ms: int, townships: Iterable[str]) -> list[Duty]:
    """Whoever has a turn at `at_ms` for one of `townships` (codes), in the roster's order; each person once.

    For what is about no township ("") those count who have all of them. A township for which nobody has a turn falls
    to those without times.
    """
    found: dict[Duty, None] = {}
    for code in townships:
        here = [d for d in roster if not d.townships or code in d.townships]
        turns = [d for d in here if (d.from_ms, d.to_ms) != (None, None) and _runs(d, at_ms)]
        found |= dict.fromkeys(turns or [d for d in here if (d.from_ms, d.to_ms) == (None, None)])
    return [d for d in roster if d in found]


def _runs(duty: Duty, at_ms: int) -> bool:
    return (duty.from_ms is None or duty.from_ms <= at_ms) and (duty.to_ms is None or at_ms < duty.to_ms)

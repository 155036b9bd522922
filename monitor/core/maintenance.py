"""The maintenance rate 运行维护率: who was looked after, decided from the measures (docs/rules.md §6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from monitor.core.measure import Measure
from monitor.core.sites import Level

Verdict = Literal["maintained", "unproven", "failed"]
_WORST: dict[str, int] = {"failed": 0, "unproven": 1, "maintained": 2}


def terminal_verdict(measured: Measure, coverage_min: float, availability_min: float) -> Verdict:
    """未维护到位, 维护到位 or 数据不足 of one terminal for a period."""
    # The ratios of `Measure`, worked out here: thousands of members are judged at several minima.
    known = measured.up + measured.down
    total = known + measured.unknown
    covered = total > 0 and known / total >= coverage_min
    if measured.overdue > 0 or (covered and known and measured.up / known < availability_min):
        return "failed"
    return "maintained" if covered else "unproven"


def site_verdict(terminals: Iterable[Verdict]) -> Verdict:
    """The worst of its terminals; a site without any is unproven."""
    return min(terminals, key=lambda v: _WORST[v], default="unproven")


@dataclass(frozen=True, slots=True)
class Rate:
    """Maintained ÷ planned, never capped; None where nothing was planned. Failed and unproven stand beside it."""

    planned: int
    maintained: int
    failed: int
    unproven: int

    @property
    def rate(self) -> float | None:
        return self.maintained / self.planned if self.planned else None

    @property
    def rate_high(self) -> float | None:
        """The unproven taken as maintained."""
        return (self.maintained + self.unproven) / self.planned if self.planned else None

    @property
    def met(self) -> bool:
        """达标: the rate reaches the target of 100 % and nothing failed or is unproven."""
        return self.rate is not None and self.maintained >= self.planned and not self.failed and not self.unproven


def rates(verdicts: Iterable[tuple[Level, Verdict]], planned: Mapping[str, int] | None) -> dict[str, Rate]:
    """By level and `total`. Without a plan, what was in service is the plan (§6, for terminals)."""
    counts = {level: {"maintained": 0, "failed": 0, "unproven": 0} for level in Level}
    for level, verdict in verdicts:
        counts[level][verdict] += 1
    result = {
        str(level): Rate(planned[level] if planned is not None else sum(c.values()), **c) for level, c in counts.items()
    }
    by_level = list(result.values())
    result["total"] = Rate(
        sum(r.planned for r in by_level),
        sum(r.maintained for r in by_level),
        sum(r.failed for r in by_level),
        sum(r.unproven for r in by_level),
    )
    return result

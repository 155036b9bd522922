"""The answer of a replay as JSON (docs/rules.md §7): durations in seconds, ratios in full precision or null."""

from __future__ import annotations

from typing import Any

from monitor.clock import to_iso
from monitor.core.figures import Figures, Member
from monitor.core.maintenance import Rate


def seconds(ms: int) -> int | float:
    """Whole seconds as an integer, others with three digits."""
    return ms // 1000 if ms % 1000 == 0 else ms / 1000


def answer(figures: Figures, refused: dict[str, int] | None = None) -> dict[str, Any]:
    """As in the conformance cases' expected.json; beside it the same without retroactive windows, and after approved
    exemptions, where these change a figure."""
    return {
        "from": to_iso(figures.period[0]),
        "to": to_iso(figures.period[1]),
        **_counted(figures),
        **{
            name: _counted(other)
            for name, other in (
                ("without_retroactive", figures.without_retroactive),
                ("after_exemptions", figures.after_exemptions),
            )
            if other is not None
        },
        "refused": dict(refused or {}),
        "method": 1,
    }


def _counted(figures: Figures) -> dict[str, Any]:
    return {
        "terminals": [{"site": m.site.site_id, "terminal": m.terminal, **_measures(m)} for m in figures.terminals],
        "sites": [
            {"site": m.site.site_id, "level": str(m.site.level), "township": m.site.township_code, **_measures(m)}
            for m in figures.sites
        ],
        "maintenance": {
            level: {**_rate(rate), "terminals": _rate(figures.terminal_rates[level])}
            for level, rate in figures.site_rates.items()
        },
    }


def _measures(member: Member) -> dict[str, Any]:
    m = member.measure
    return {
        "up_s": seconds(m.up),
        "down_s": seconds(m.down),
        "unknown_s": seconds(m.unknown),
        "planned_s": seconds(m.planned),
        "availability": m.availability,
        "availability_low": m.availability_low,
        "availability_high": m.availability_high,
        "coverage": m.coverage,
        "outages": m.outages,
        "overdue_s": seconds(m.overdue),
        "verdict": member.verdict,
        "maintained": member.verdict == "maintained",
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "planned": rate.planned,
        "maintained": rate.maintained,
        "failed": rate.failed,
        "unproven": rate.unproven,
        "rate": rate.rate,
        "rate_high": rate.rate_high,
        "met": rate.met,
    }

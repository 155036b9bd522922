"""What held when: the inventory, the service hours and the parameters, each for a time (docs/rules.md §5, §6).

Each second is judged by what held then. Sites come and go, move to another township and change their checks at once;
hours and limits change at a month's start only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitor.core.service import ServiceTimes
from monitor.core.sites import Inventory


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the rules leave open. `repair_limit_ms` by level; the plans by level, or None for the inventory's own."""

    terminal_policy: str
    coverage_min: float
    availability_min: float
    repair_limit_ms: Mapping[str, int]
    planned_sites: Mapping[str, int]
    planned_terminals: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Era:
    """What held from `since` (ms; `BEGINNING` for the first) until the next era began."""

    since: int
    inventory: Inventory
    service: ServiceTimes
    parameters: Parameters

"""The state of an engine as the first program wrote it into the heads of days, in today's form (`Engine.state`).

Logs are kept for thirteen months and longer, so whoever upgrades has such heads. What the first form does not say was
always the same then: rows of checks never changed while a log went on, nothing of the channels was forgotten, a
terminal's timeline was cut in no outage, and no terminal's reached back further than those of its checks.
"""

from __future__ import annotations

from typing import Any

from monitor.core.sites import Check, Inventory
from monitor.core.timeline import BEGINNING


def is_first_form(state: dict[str, Any]) -> bool:
    return "policies" not in state


def todays_form(state: dict[str, Any], inventory: Inventory, policy: str) -> dict[str, Any]:
    """For an engine of this inventory, by which the log was judged then; what it does not have is left out."""
    rows = ((inventory.checks.get((site, kind, name)), day, rest) for site, kind, name, day, rest in state["checks"])
    return {
        **state,
        "policies": [[BEGINNING, policy]],
        "channels": {name: _channel(*channel) for name, channel in state["channels"].items()},
        "checks": [[*check.key, day, _watch(check, rest), None] for check, day, rest in rows if check is not None],
        "terminals": [[site, kind, seen, [outages, []], []] for site, kind, seen, outages in state["terminals"]],
    }


def _channel(losses: list[int], restores: list[int], evidence_at: int, life: int) -> list[Any]:
    return [[2 * BEGINNING, *losses], restores, evidence_at, life, restores[0] if restores else None, 0]


def _watch(check: Check, rest: list[Any]) -> list[Any]:
    if not check.is_heartbeat:
        return [*rest, check.patience_ms, check.failures]
    timeline, silences, deadline = rest
    return [timeline, [[*silence, None] for silence in silences], deadline, check.patience_ms, []]

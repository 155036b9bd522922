"""How much of the inventory is watched: counts, share connected 接入率, plan beside it, warnings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date

from monitor.core.sites import UPLINK, Inventory, Kind, Level
from monitor.core.uplink import FIXED
from monitor.inventory.kinds import CHECKS
from monitor.inventory.load import Loaded, uses_workdays


@dataclass(frozen=True, slots=True)
class Connection:
    """Terminals on a local day. 接入率 = `connected` / `in_service`; None where nothing is in service.

    `unwatched` 未监测: in service without any check. `ahead` 未接入: its commissioned_on lies ahead.
    """

    in_service: int
    connected: int
    unwatched: int
    ahead: int
    retired: int

    @property
    def rate(self) -> float | None:
        return self.connected / self.in_service if self.in_service else None


@dataclass(frozen=True, slots=True)
class Summary:
    """Every level, kind and check that there can be has a count. `planned_terminals` may be None."""

    day: date
    sites: dict[str, int]
    terminals: dict[str, int]
    checks: dict[str, int]
    uplinks: int
    connection: Connection
    planned_sites: dict[str, int]
    sites_in_service: dict[str, int]
    planned_terminals: dict[str, int] | None
    terminals_in_service: dict[str, int]
    warnings: tuple[str, ...]


def summarize(loaded: Loaded, day: date) -> Summary:
    """The inventory as it stands on a local day."""
    inventory, plan = loaded.inventory, loaded.settings.maintenance
    levels = [str(level) for level in Level]
    serving_sites: Counter[str] = Counter()
    for site in inventory.sites.values():
        profile = loaded.service.profile(site)
        serving_sites[site.level] += _stands(profile.commissioned_on, profile.retired_on, day) == "serving"
    serving: Counter[str] = Counter()
    stands: Counter[str] = Counter()
    connected = 0
    for terminal in inventory.terminals.values():
        site = inventory.sites[terminal.site_id]
        profile = loaded.service.profile(site, terminal)
        now = _stands(profile.commissioned_on, profile.retired_on, day)
        stands[now] += 1
        if now == "serving":
            serving[site.level] += 1
            connected += bool(inventory.checks_of.get(terminal.key))
    in_service = stands["serving"]
    sites = Counter(str(site.level) for site in inventory.sites.values())
    kinds = Counter(terminal.kind for terminal in inventory.terminals.values())
    checks = Counter(check.check for check in inventory.checks.values())
    planned = plan.planned_terminals
    return Summary(
        day=day,
        sites={level: sites[level] for level in levels},
        terminals={str(kind): kinds[kind] for kind in Kind},
        checks={name: checks[name] for name in CHECKS},
        uplinks=sum(check.terminal == UPLINK for check in inventory.checks.values()),
        connection=Connection(in_service, connected, in_service - connected, stands["ahead"], stands["retired"]),
        planned_sites={level: plan.planned_sites.of(level) for level in levels},
        sites_in_service={level: serving_sites[level] for level in levels},
        planned_terminals=None if planned is None else {level: planned.of(level) for level in levels},
        terminals_in_service={level: serving[level] for level in levels},
        warnings=tuple(_warnings(loaded, day)),
    )


def _stands(commissioned_on: date | None, retired_on: date | None, day: date) -> str:
    if retired_on is not None and (day >= retired_on or commissioned_on == retired_on):
        return "retired"
    return "ahead" if commissioned_on is not None and day < commissioned_on else "serving"


def _warnings(loaded: Loaded, day: date) -> list[str]:
    warnings: list[str] = []
    coming = day.year + 1
    if uses_workdays(loaded.settings) and not loaded.calendar.covers(coming):
        warnings.append(
            f"monitor.toml [calendar.{coming}]: no working days known for {coming} yet; add them when the "
            f"State Council's list is out, before {coming}-01-01 (缺少{coming}年工作日安排)"
        )
    bare = [site_id for site_id, terminals in loaded.inventory.terminals_of.items() if not terminals]
    if bare:
        some = ", ".join(bare[:5]) + (", ..." if len(bare) > 5 else "")
        warnings.append(f"{len(bare)} sites have no terminal and are never judged (站点无机位): {some}")
    least = _line_known_min(loaded.inventory)
    for level in (Level.TOWNSHIP, Level.VILLAGE):
        if (after := loaded.settings.maintenance.open_after_min.of(level)) < least:
            warnings.append(
                f"monitor.toml [maintenance] open_after_min.{level} = {after:g}: a line that is cut may take {least:g} "
                "minutes to be known, so its sites may be told one by one before it (线路未判明即逐站告警)"
            )
    return warnings


def _line_known_min(inventory: Inventory) -> float:
    """The shortest `open_after` with which a township's line is known before a site behind it is told (docs/alerts.md,
    Order): what the slowest check that tells of it takes to confirm, less the minute that the alert of a site waits."""
    slowest = max(
        (
            c.interval_ms + c.grace_ms if c.is_heartbeat else c.interval_ms * c.failures
            for c in inventory.checks.values()
            if c.terminal in (*FIXED, UPLINK) and inventory.sites[c.site_id].level is not Level.COUNTY
        ),
        default=0,
    )
    return slowest / 60_000 - 1

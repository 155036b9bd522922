"""A folder of configuration -> one checked whole, or every mistake of all files (docs/rules.md §7)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

from monitor.clock import wall_ms
from monitor.core.calendar import WorkCalendar
from monitor.core.service import ServiceTimes
from monitor.core.sites import UPLINK, Check, Inventory, Level, Site, Terminal
from monitor.errors import ConfigError, Mistake
from monitor.inventory import tables
from monitor.inventory.cells import shown
from monitor.inventory.holidays import calendar_mistakes, work_calendar
from monitor.inventory.kinds import CHECKS
from monitor.inventory.spreadsheet import Table, has_table, read_table
from monitor.settings import Settings, load_settings

T = TypeVar("T")

#: The settings that decide figures, and so belong to the digest; addresses and passwords do not.
JUDGING = ("timezone", "policy", "service", "maintenance", "calendar")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a folder says.

    `digest`: SHA-256 (hex) of what decides figures, the same for CSV and XLSX and in any order of rows.
    `service` keeps what it has computed: share it.
    """

    settings: Settings
    inventory: Inventory
    calendar: WorkCalendar
    service: ServiceTimes
    digest: str


def load(folder: Path, *, serving: bool = True, today: date | None = None, instead: Settings | None = None) -> Loaded:
    """Read `folder`; raises ConfigError with every mistake.

    `instead`: the settings where the folder has no monitor.toml.

    `serving`: also what a service needs and a replay does not: targets that can be probed, a township site
    for every village, a working-day calendar for the year of `today` (local; by default the wall clock's).
    """
    mistakes: list[Mistake] = []

    def attempt(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ConfigError as error:
            mistakes.extend(error.mistakes)
            return None

    def table(name: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Table | None:
        return attempt(lambda: read_table(folder, name, required, optional))

    if not folder.is_dir():
        raise ConfigError([Mistake(str(folder), 0, "", "expected a folder with monitor.toml and sites.csv")])
    if instead is not None and not (folder / "monitor.toml").exists():
        settings: Settings | None = instead
    else:
        settings = attempt(lambda: load_settings(folder))
    site_table = table("sites", tables.SITE_COLUMNS, tables.DATE_COLUMNS)
    own_terminals = has_table(folder, "terminals")
    terminal_table = None
    if own_terminals:
        terminal_table = table("terminals", tables.TERMINAL_COLUMNS, (*tables.DATE_COLUMNS, tables.MODEL))
    check_table = table("checks", tables.CHECK_COLUMNS)

    sites = tables.read_sites(site_table, serving=serving) if site_table else None
    terminals = tables.read_terminals(terminal_table) if terminal_table else None
    checks = tables.read_checks(check_table, serving=serving) if check_table else None
    if settings:
        mistakes += calendar_mistakes(settings.calendar)
        if serving:
            mistakes += _canaries(settings)
            mistakes += _this_year(settings, today)
    if sites:
        for read in (terminals, checks):
            if read:
                _sites_exist(sites, read)
        if checks:
            _uplinks_fit(sites, checks)
    if terminals and checks:
        _terminals_exist(terminals, checks)
    for found in (sites, terminals, checks):
        mistakes += sorted(found.mistakes) if found else []
    if mistakes or not (settings and sites and checks) or (own_terminals and not terminals):
        raise ConfigError(mistakes)

    all_checks = [check for _, check in checks.items]
    positions = [t for _, t in terminals.items] if terminals else _positions(all_checks)
    return whole(settings, Inventory.of([site for _, site in sites.items], positions, all_checks))


def whole(settings: Settings, inventory: Inventory) -> Loaded:
    """What follows from both."""
    calendar = work_calendar(settings.calendar)
    return Loaded(settings, inventory, calendar, _service_times(settings, calendar), digest(settings, inventory))


def judged_by(settings: Settings) -> dict[str, Any]:
    """The settings that decide figures, as JSON has them."""
    return settings.model_dump(mode="json", include=set(JUDGING))


def digest(settings: Settings, inventory: Inventory) -> str:
    """SHA-256 (hex) over the rows in order of their keys and the settings that decide figures, as JSON."""
    content = {
        "settings": judged_by(settings),
        "sites": [asdict(inventory.sites[key]) for key in sorted(inventory.sites)],
        "terminals": [asdict(inventory.terminals[key]) for key in sorted(inventory.terminals)],
        "checks": [asdict(inventory.checks[key]) for key in sorted(inventory.checks)],
    }
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _positions(checks: list[Check]) -> list[Terminal]:
    """Without terminals.csv the terminals are those of checks.csv, with their site's dates."""
    keys = dict.fromkeys((c.site_id, c.terminal) for c in checks if c.terminal != UPLINK)
    return [Terminal(site_id, kind) for site_id, kind in keys]


def _service_times(settings: Settings, calendar: WorkCalendar) -> ServiceTimes:
    rules = {name: (rule.days, rule.hours) for name, rule in settings.service.items()}
    return ServiceTimes(settings.zone, rules, calendar)


def uses_workdays(settings: Settings) -> bool:
    return any(rule.days == "workdays" for rule in settings.service.values())


def local_today(settings: Settings) -> date:
    return datetime.fromtimestamp(wall_ms() / 1000, settings.zone).date()


def _this_year(settings: Settings, today: date | None) -> list[Mistake]:
    year = (today or local_today(settings)).year
    if not uses_workdays(settings) or work_calendar(settings.calendar).covers(year):
        return []
    text = f"expected the workdays and holidays of {year}, which [service] needs: none are shipped for that year"
    return [Mistake("monitor.toml", 0, f"calendar.{year}", text)]


def _canaries(settings: Settings) -> list[Mistake]:
    mistakes: list[Mistake] = []
    for text in settings.canaries.targets:
        name, _, target = text.partition(":")
        kind = CHECKS.get(name)
        try:
            if kind is None or kind.target is None:
                raise ValueError(f"expected a target such as icmp:10.0.0.1 or tcp:10.0.0.2:53, found {text!r}")
            kind.target(target)
        except ValueError as error:
            mistakes.append(Mistake("monitor.toml", 0, "canaries.targets", str(error)))
    return mistakes


def _sites_exist(sites: tables.Read[Site], read: tables.Read[Terminal] | tables.Read[Check]) -> None:
    for number, item in read.items:
        if item.site_id not in sites.mentioned:
            read.wrong(number, "site_id", f"expected a site_id of {sites.file}, found {shown(item.site_id)}")


def _uplinks_fit(sites: tables.Read[Site], checks: tables.Read[Check]) -> None:
    levels = {site.site_id: site.level for _, site in sites.items}
    for number, check in checks.items:
        level = levels.get(check.site_id, Level.TOWNSHIP)
        if check.terminal == UPLINK and level is not Level.TOWNSHIP:
            text = f"expected {UPLINK} at a site of level township only, found it at a {level} site"
            checks.wrong(number, "terminal", text)


def _terminals_exist(terminals: tables.Read[Terminal], checks: tables.Read[Check]) -> None:
    for number, check in checks.items:
        key = (check.site_id, check.terminal)
        if check.terminal != UPLINK and key not in terminals.mentioned:
            found = f"{check.site_id}/{check.terminal}"
            checks.wrong(number, "terminal", f"expected a terminal of {terminals.file}, found {found}")

"""The overview page's story: what the database says is true now, of every place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.core.outage import Outage
from monitor.core.sites import Level, Site
from monitor.core.timeline import Value
from monitor.core.uplink import Line, lines
from monitor.core.window import Window
from monitor.inventory.load import Loaded
from monitor.publish.views import ChannelRow, MonthFigures, Overview, SiteRow, TerminalRow, TownshipRow
from monitor.store import reading

Statuses = Mapping[tuple[str, str], tuple[str, int | None, str]]
_NOTHING = ("unknown", None, "")


async def load_overview(engine: AsyncEngine, loaded: Loaded, month: MonthFigures | None, now: int) -> Overview:
    """As of `now`, ms. Raises what the database raises."""
    async with engine.connect() as connection:
        statuses = await reading.statuses(connection)
        outages = await reading.open_outages(connection)
        windows = [w for w in await reading.windows(connection) if w.start <= now < w.end]
        channels = await reading.channels(connection, loaded.settings.observer)
    inventory = loaded.inventory
    sites = {s.site_id: _site(s, loaded, statuses, windows, now) for s in inventory.sites.values()}
    townships = township_lines(loaded, statuses, outages, now)
    return Overview(
        as_of=now,
        county=tuple(sites[s.site_id] for s in inventory.sites.values() if s.level is Level.COUNTY),
        townships=tuple(
            TownshipRow(
                code,
                name,
                tuple(
                    sites[s.site_id]
                    for s in inventory.sites.values()
                    if s.township_code == code and s.level is not Level.COUNTY
                ),
                townships[code].is_up,
                townships[code].since,
            )
            for code, name in inventory.townships.items()
        ),
        channels=tuple(ChannelRow(name, observed, since) for name, observed, since in channels),
        month=month,
        county_name=next((s.township_name for s in inventory.sites.values() if s.level is Level.COUNTY), ""),
        demo=loaded.settings.demo,
    )


def township_lines(
    loaded: Loaded, statuses: Statuses, outages: Mapping[tuple[str, str], Outage], now: int
) -> dict[str, Line]:
    """Of each township's line, what the database knows of it (core/uplink.py)."""
    inventory = loaded.inventory

    def status(site: str, kind: str) -> tuple[Value, int | None] | None:
        if not inventory.checks_of.get((site, kind)):
            return None
        value, since, _ = statuses.get((site, kind), _NOTHING)
        return value, since  # type: ignore[return-value]  # the table holds timeline values

    return dict(lines(inventory, loaded.service, now, status, lambda site, kind: outages.get((site, kind))))


def _site(site: Site, loaded: Loaded, statuses: Statuses, windows: list[Window], now: int) -> SiteRow:
    service, inventory = loaded.service, loaded.inventory
    today = datetime.fromtimestamp(now / 1000, loaded.settings.zone).date()
    rows = []
    for terminal in inventory.terminals_of[site.site_id]:
        value, since, how = statuses.get(terminal.key, _NOTHING)
        rows.append(
            TerminalRow(
                kind=terminal.kind,
                value=value,
                since=since,
                ended=how if value == "down" else None,
                watched=bool(inventory.checks_of.get(terminal.key)),
                in_service=service.is_in_service(site, terminal, now),
            )
        )
    state, since, how = statuses.get((site.site_id, ""), _NOTHING)
    return SiteRow(
        site=site.site_id,
        name=site.name,
        level=str(site.level),
        state=state,
        since=since,
        ended=how if state == "offline" else None,
        in_service=service.is_in_service(site, None, now),
        planned=any(w.covers(site) for w in windows),
        connected=site.commissioned_on is None or site.commissioned_on <= today,
        terminals=tuple(rows),
    )

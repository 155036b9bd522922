"""What is to be told of an alert, by what the board says now of the thing that it is about (docs/alerts.md).

The service watches sites, terminals and lines itself. So it says since when they are down and when they came back, and
holds an end back until that is true; of everything else Prometheus' word is what there is.
"""

from __future__ import annotations

from monitor.core.alerts import FIRING, HELD, OWN, WAITING, Alert, Telling
from monitor.core.sites import UPLINK
from monitor.core.timeline import DOWN, UP
from monitor.core.uplink import FIXED
from monitor.publish.board import Board

#: What is back for so long, and was not ended by Alertmanager: longer than its own way takes (docs/alerts.md, Times).
MISSED_MS = 600_000
#: `about` of alerts whose thing can be taken out of the inventory, which ends them and is no recovery.
OF_SITES = ("site", "fixed", "terminal")


def telling_of(board: Board, outlet: str, alert: Alert, last: Telling | None, now: int) -> Telling:
    """A telling of the alert, made `now`: since when, and of an end whether it waits to be sent or is held back.
    `last`: what was told last of it through this outlet."""
    value, since = _standing(board, alert)
    if alert.status == FIRING:
        began = since if value == DOWN and since is not None else alert.starts_ms
        if last is not None and last.alert.status == FIRING:
            began = min(began, last.since_ms)
        return Telling(0, outlet, alert, began, WAITING, now)
    began = last.since_ms if last is not None else alert.starts_ms
    if value is None:  # nobody can look: Prometheus' word
        if alert.labels.get("about") in OF_SITES:
            said = f"{alert.annotations.get('object', '')}，已不再监测"
            alert = alert._replace(annotations={**alert.annotations, "object": said})
        return Telling(0, outlet, alert, began, WAITING, now)
    if alert.labels.get("about") == "line" and value == UP:
        since = board.back_since(alert.township, began)
    if value == UP and since is not None:
        alert = alert._replace(ends_ms=max(since, began))
    return Telling(0, outlet, alert, began, WAITING if _is_over(board, alert, value) else HELD, now)


def has_lasted(board: Board, alert: Alert, last: Telling) -> bool:
    """Is what fires what was told as begun, and was it never back? (If it is just back, its end is what comes.)"""
    if alert.status != FIRING or last.alert.status != FIRING:
        return False
    value, since = _standing(board, alert)
    lasts = value == DOWN and since is not None and since <= last.made_ms
    return lasts or value == UP or alert.fingerprint.startswith(OWN)


def looked_at(board: Board, held: Telling) -> Telling:
    """An end that is held back, once more: with its end where the thing is back by now, to be sent where it is over."""
    value, since = _standing(board, held.alert)
    if value == UP and since is not None and (held.alert.ends_ms or 0) < held.made_ms < since:
        # Back while nobody is told: its end stands, whatever the night brings.
        held = held._replace(alert=held.alert._replace(ends_ms=since))
    if value is None or _is_over(board, held.alert, value):
        return held._replace(state=WAITING)
    return held


def is_long_back(board: Board, begun: Telling, now: int) -> bool:
    """Is what was told as begun back, for so long that its end will not come from Alertmanager any more?"""
    value, since = _standing(board, begun.alert)
    if begun.alert.labels.get("about") == "line":
        since = board.back_since(begun.alert.township, begun.since_ms)
    return value == UP and since is not None and min(now - since, now - begun.made_ms) > MISSED_MS


def _standing(board: Board, alert: Alert) -> tuple[str | None, int | None]:
    """What the board says now of the thing: its value and since when. None: it is nothing that the board knows."""
    site, terminal = alert.labels.get("site", ""), alert.labels.get("terminal", "")
    match alert.labels.get("about"):
        case "site":
            return board.standing(site)
        case "fixed":
            return board.standing(site, FIXED)
        case "terminal" if terminal != UPLINK:
            return board.standing(site, (terminal,))
        case "line":
            line = board.lines().get(alert.township)
            if line is not None:
                return {True: UP, False: DOWN, None: "unknown"}[line.is_up], line.since
        case "county":
            return (DOWN, None) if board.many_are_down() else (UP, board.now())
    return None, None


def _is_over(board: Board, alert: Alert, value: str) -> bool:
    """Back, and at a time when people are told: service hours end alerts, and bring nothing back."""
    if value != UP:
        return False
    site = board.inventory.sites.get(alert.labels.get("site", ""))
    return site is None or board.service.is_in_service(site, None, board.now())

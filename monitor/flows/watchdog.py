"""The watchdog: the alert that always fires shows that the whole way to people works (docs/alerts.md, A dead man's
switch). The outside is told while it is heard; when it is missing, whoever is on duty is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from monitor.clock import to_iso
from monitor.core.alerts import FIRING, OWN, RESOLVED, Alert
from monitor.publish.board import Board
from monitor.publish.outlets import NotSent, ping
from monitor.publish.views import OutboxFigures
from monitor.settings import Alerts

log = structlog.get_logger()

#: While a message waits for longer than this, the switch outside is not told that all is well.
STUCK_MS = 600_000


class Watchdog:
    """Of one service. `tell` takes an alert of our own, for whoever is on duty; it raises where that cannot be kept."""

    def __init__(
        self, settings: Alerts, board: Board, figures: OutboxFigures, tell: Callable[[Alert], Awaitable[None]]
    ) -> None:
        self.settings = settings
        self.board = board
        self.figures = figures
        self.tell = tell
        self._began = board.now()
        self._pinged = 0
        self._silent: bool | None = None  # None: nothing is known since the start

    async def look(self, now: int) -> None:
        """Tell the outside that the whole way works; say so ourselves when the alert that always fires is missing."""
        last = self.figures.watchdog_ms
        if last is not None and last > self._pinged and self.settings.outside_url_file and not self._is_stuck(now):
            self._pinged = last
            try:
                await ping(self.settings.outside_url_file)
                self.figures.outside_ms = now
                self.board.warn("outside", "")
            except NotSent as error:
                self.board.warn("outside", f"the switch outside could not be told: {error}")
        if not self.settings.watchdog_s:
            return
        since = max(last or 0, self._began)
        silent = now - since > self.settings.watchdog_s * 1000
        if silent == self._silent or (last is None and not silent):
            return
        if silent or self._silent:
            said = f"nothing from Prometheus and Alertmanager since {to_iso(since)}" if silent else ""
            self.board.warn("watchdog", said)
            log.warning("watchdog.silent" if silent else "watchdog.back", since=to_iso(since))
        # Also the first that is heard after a start: the silence may have been told of before it.
        await self.tell(_alert(silent, since, last or now))
        self._silent = silent  # after it was taken: else it is tried again

    def _is_stuck(self, now: int) -> bool:
        return self.figures.oldest_ms is not None and now - self.figures.oldest_ms > STUCK_MS


def _alert(silent: bool, since: int, ends: int) -> Alert:
    labels = {"alertname": "ZhdjAlertingSilent", "severity": "critical", "about": "monitor"}
    annotations = {
        "place": "监测系统",
        "title": "告警通道中断",
        "object": "Prometheus、Alertmanager",
        "description": "收不到 Prometheus 和 Alertmanager 的例行信号，站点离线时不会有人收到告警。请检查这两个服务。",
    }
    status = FIRING if silent else RESOLVED
    return Alert(f"{OWN}-watchdog", status, since, None if silent else ends, labels, annotations)

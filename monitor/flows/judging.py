"""One line of a log, judged: what live service, recovery, replay and audit have in common."""

from __future__ import annotations

from collections import Counter

from monitor.core.changes import Collector
from monitor.core.days import local_days
from monitor.core.engine import Engine
from monitor.core.figures import Parameters
from monitor.core.window import Window, check_scope
from monitor.errors import MonitorError
from monitor.evidence.lines import (
    AnyLine,
    ChannelLine,
    HeartbeatLine,
    ProbeLine,
    WillLine,
    WindowLine,
    millis,
)
from monitor.inventory.load import Loaded


class Judge:
    """An engine, fed with lines in their order. `refused` counts what the rules reject, by reason."""

    def __init__(self, loaded: Loaded) -> None:
        settings = loaded.settings
        self.engine = Engine(loaded.inventory, settings.policy.terminal, local_days(settings.zone))
        self.collector = Collector(self.engine)
        self.refused: Counter[str] = Counter()
        self.began = False

    def apply(self, line: AnyLine, at: int) -> str | None:
        """Judge one line; returns the reason of a refusal."""
        engine = self.engine
        reason: str | None = None
        if isinstance(line, HeartbeatLine):
            sent = millis(line.sent_at) if line.sent_at is not None else None
            reason = engine.beat(at, line.site, line.terminal, line.via, sent, line.boot, line.seq)
        elif isinstance(line, ProbeLine):
            reason = engine.result(at, line.site, line.terminal, line.check, line.ok)
        elif isinstance(line, WillLine):
            reason = engine.will(at, line.site, line.terminal, line.via, line.kind == "goodbye")
        elif isinstance(line, ChannelLine):
            if line.event == "restored":
                engine.restored(at, line.channel)
            else:
                engine.lost(at, line.channel, millis(line.since) if line.since is not None else None)
        elif isinstance(line, WindowLine):
            window = Window(check_scope(line.scope), millis(line.start), millis(line.end), line.reason, at)
            self.collector.windows.append(window)
        elif line.state is not None and not self.began:
            try:
                engine.load(line.state)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError):
                wrote = f"it was written by version {line.version or 'unknown'}"
                raise MonitorError(f"this version does not understand the head of this day ({wrote})") from None
        self.began = True
        engine.confirmed.clear()  # how late it was confirmed says something of a live service only
        if reason is not None:
            self.refused[reason] += 1
        return reason


def parameters(loaded: Loaded) -> Parameters:
    """What the configuration says of what the rules leave open."""
    settings = loaded.settings
    rules = settings.maintenance
    return Parameters(
        settings.policy.terminal,
        rules.coverage_min,
        rules.availability_min,
        {k: round(v * 3_600_000) for k, v in rules.repair_limit_h.model_dump().items()},
        rules.planned_sites.model_dump(),
        rules.planned_terminals.model_dump() if rules.planned_terminals else None,
    )

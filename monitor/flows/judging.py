"""One line of a log, judged: what live service, recovery, replay and audit have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from monitor.core.changes import Collector
from monitor.core.days import local_days
from monitor.core.engine import Engine
from monitor.core.eras import Era, Parameters
from monitor.core.timeline import BEGINNING
from monitor.core.window import Window
from monitor.evidence.lines import (
    AnyLine,
    ChannelLine,
    HeartbeatLine,
    ProbeLine,
    WillLine,
    WindowLine,
    millis,
)
from monitor.flows.told_windows import ToldWindows
from monitor.inventory.load import Loaded


class Judge:
    """An engine, fed with lines in their order. `refused` counts what the rules reject, by reason."""

    def __init__(self, loaded: Loaded) -> None:
        settings = loaded.settings
        self.engine = Engine(loaded.inventory, settings.policy.terminal, local_days(settings.zone))
        self.collector = Collector(self.engine)
        self.windows = ToldWindows(loaded.inventory)
        self.refused: Counter[str] = Counter()
        self.began = False

    def declare(self, window: Window) -> None:
        """The log tells of a planned window."""
        self.windows.put(window)
        self.collector.windows.append(window)

    def _down(self) -> Iterator[tuple[str, str]]:
        return (key for key, terminal in self.engine.terminals.items() if terminal.book.current is not None)

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
            self.declare(self.windows.read(line, at, self._down()))
        elif line.state is not None and not self.began:
            engine.load(line.state)
            for window in self.windows.load(line.state.get("windows", [])):
                self.declare(window)
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


def eras_of_one(loaded: Loaded) -> list[Era]:
    """One configuration, as if it had held for ever."""
    return [Era(BEGINNING, loaded.inventory, loaded.service, parameters(loaded))]

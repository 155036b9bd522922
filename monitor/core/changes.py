"""What judging changed since it was last asked: the rows of the next cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from monitor.core.digest import Digest
from monitor.core.engine import Engine
from monitor.core.outage import Outage
from monitor.core.status import Status, terminal_status
from monitor.core.timeline import Step
from monitor.core.window import Window


@dataclass(slots=True)
class Changes:
    """`spans`: (check, from, its steps from there on). Keys of `statuses`: (site, terminal), or (site, "")."""

    spans: list[tuple[tuple[str, str, str], int, list[Step]]] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    statuses: dict[tuple[str, str], Status] = field(default_factory=dict)
    digests: list[Digest] = field(default_factory=list)
    losses: list[tuple[str, int, int, int | None]] = field(default_factory=list)  # channel, n, lost, restored
    windows: list[Window] = field(default_factory=list)
    gone: list[tuple[str, str]] = field(default_factory=list)  # (site, terminal) that the inventory has no more
    versions: list[Any] = field(default_factory=list)  # of the inventory, as the database keeps them
    rows: list[tuple[str, str, str]] = field(default_factory=list)  # checks of these versions, in their order

    @property
    def checks(self) -> Iterator[tuple[str, str, str]]:
        """Those that it says something of."""
        yield from self.rows
        yield from (key for key, _, _ in self.spans)
        yield from (digest.check for digest in self.digests)

    @property
    def size(self) -> int:
        """About how many rows it is."""
        steps = sum(len(s) + 1 for _, _, s in self.spans)
        others = (self.outages, self.statuses, self.digests, self.losses, self.windows, self.gone, self.versions)
        return steps + sum(map(len, others))


class Collector:
    """Asks an engine what changed. `windows` and `versions` are handed in by whoever reads them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.windows: list[Window] = []
        self.versions: list[Any] = []
        self.rows: list[tuple[str, str, str]] = []
        self._losses: dict[str, tuple[int, tuple[int, int | None] | None]] = {}  # how many are known, and the last
        self.skip()

    def skip(self) -> None:
        """What changed so far is known already."""
        self.take()

    def take(self) -> Changes:
        """What changed since the last call."""
        engine = self.engine
        changes = Changes()
        changes.spans = [(watch.check.key, lo, steps) for watch, lo, steps in engine.changes()]
        changed = engine.changed_terminals()
        changes.outages = engine.changed_outages(changed)
        for terminal in changed:
            changes.statuses[terminal.key] = terminal_status(terminal.timeline)
        for site in {t.key[0] for t in changed}:
            if site in engine.sites:
                changes.statuses[site, ""] = engine.sites[site]
        changes.gone, engine.gone = [key for key in engine.gone if not engine.has(*key)], []
        for key in changes.gone:
            changes.statuses.pop(key, None)
        changes.digests, engine.digests = engine.digests, []
        changes.losses = list(self._changed_losses())
        changes.windows, self.windows = self.windows, []
        changes.versions, self.versions = self.versions, []
        changes.rows, self.rows = self.rows, []
        return changes

    def _changed_losses(self) -> list[tuple[str, int, int, int | None]]:
        """Only the last known loss can still move or end; what follows it is new."""
        result = []
        for name, channel in self.engine.channels.items():
            known, last = self._losses.get(name, (0, None))
            first = max(channel.dropped, known - 1)
            since = channel.history(first)
            result += [(name, n, *loss) for n, loss in enumerate(since, first) if n >= known or loss != last]
            self._losses[name] = (first + len(since), since[-1])
            channel.told = first + len(since) - 1
        return result

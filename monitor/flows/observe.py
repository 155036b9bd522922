"""Evidence arrived: stamped, judged, appended to the log, shown on the board; made durable and written down at cuts.

The one door for everything that comes in (docs/architecture.md). All of it happens on the event loop, in one breath:
nothing can come between judging a line and appending it. Only cuts wait, for the disk and for the database.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from monitor import __version__
from monitor.clock import Clock
from monitor.core.changes import Changes
from monitor.core.offset import ClockOffsets
from monitor.core.sites import CHANNELS
from monitor.core.timeline import BEGINNING
from monitor.evidence.lines import (
    AnyLine,
    ChannelLine,
    HeartbeatLine,
    OpenedLine,
    ProbeLine,
    WillLine,
    millis,
    moment,
)
from monitor.evidence.log import EvidenceLog, compress, mend
from monitor.evidence.reading import Read, trace_files
from monitor.flows.judging import Judge, parameters
from monitor.flows.replay import rebuild
from monitor.inventory.load import Loaded
from monitor.publish.board import Board
from monitor.store.view import Position, View

log = structlog.get_logger()

#: Rows that may wait for the database. Beyond it they are dropped: it catches up from the log when it is back.
WAITING_ROWS = 200_000
#: The clock may be this far before the last line (it is being slewed); further back it was set back.
BEHIND_MS = 2_000
#: A sign of life is worth a line of the log only if the channel gave no other for so long.
ALIVE_MS = 2_000


class Observer:
    """Of one county's evidence. Call `start` first and `stop` last; `cut` and `save` are called by their loops."""

    def __init__(self, loaded: Loaded, clock: Clock, view: View, folder: Path) -> None:
        self.loaded = loaded
        self.inventory = loaded.inventory
        self.clock = clock
        self.view = view
        self.judge = Judge(loaded)
        self.engine = self.judge.engine
        self.board = Board(loaded, parameters(loaded), self.engine, clock)
        self.folder = folder
        self.offsets = ClockOffsets()
        self.log = EvidenceLog(folder, loaded.settings.observer, self.engine.day_of)
        self._uncut: list[Changes] = []  # judged from lines that no cut holds yet
        self._waiting: deque[tuple[Changes, Position]] = deque()
        self._rows = 0
        self._behind = False
        self._durable = Position("", 0, 0)

    # --- start and stop -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring engine and database to the end of the log. What was not seen since then is a loss of every channel."""
        await self.view.number_checks(self.inventory)
        mine = (
            [p for p in trace_files([self.folder]) if p.name.startswith(f"{self.log.observer}-")]
            if self._has_logs()
            else []
        )
        if mine:
            await asyncio.to_thread(mend, mine[-1])
            for path in mine[:-1]:
                if path.suffix == ".jsonl":
                    await asyncio.to_thread(compress, path)
            mine = trace_files([self.folder])
            self._durable = await rebuild(self.view, self.judge, mine, learn=self._learn)
            if mine[-1].suffix == ".jsonl":
                self.log.resume_day(mine[-1], self._durable.at)
            else:
                self.log.at = self._durable.at
            log.info("log.read", file=self._durable.file, offset=self._durable.offset)
        at = self._stamp(OpenedLine)
        self._append(OpenedLine(moment(at), self.log.observer, __version__, inventory=self.loaded.digest), at)
        for name in CHANNELS:
            if not self.engine.channels[name].is_lost:
                self.lost(name, self._durable.at, "monitor stopped")
        await self.cut()
        await self.save()

    def _has_logs(self) -> bool:
        return self.folder.is_dir() and any(self.folder.glob(f"{self.loaded.settings.observer}-*.jsonl*"))

    def _learn(self, read: Read) -> None:
        line = read.line
        if isinstance(line, HeartbeatLine) and line.sent_at is not None:
            sent = line.sent_raw or line.sent_at
            self.offsets.correct((line.site, line.terminal), read.at, millis(sent), line.boot)

    async def stop(self) -> None:
        """A stopped monitor sees nothing: lose the channels, then cut and write down what there is."""
        for name in CHANNELS:
            if not self.engine.channels[name].is_lost:
                self.lost(name, None, "monitor stopped")
        await self.cut()
        await self.save()
        self.log.close()

    # --- evidence -----------------------------------------------------------------------------------------------

    def heartbeat(
        self,
        site: str,
        terminal: str,
        via: str,
        *,
        sent_at: int | None = None,
        boot: str | None = None,
        seq: int | None = None,
        services: Mapping[str, str] | None = None,
    ) -> str | None:
        """A beat, received now. `sent_at`: ms as the device's clock says. Returns the reason of a refusal."""
        if (trouble := self._trouble()) is not None:
            return self.refuse(via, trouble)
        at = self._stamp(HeartbeatLine)
        sent = None if sent_at is None else self.offsets.correct((site, terminal), at, sent_at, boot)
        if (reason := self.engine.beat(at, site, terminal, via, sent, boot, seq)) is not None:
            return self.refuse(via, reason)
        line = HeartbeatLine(moment(at), site, terminal, via, boot=boot, seq=seq)  # type: ignore[arg-type]
        if sent is not None and sent_at is not None:
            line.sent_at = moment(sent)
            line.sent_raw = moment(sent_at) if sent != sent_at else None
        if services:
            line.services = dict(services)
        self._append(line, at)
        self.board.heard(site, terminal, via, services)
        return None

    def will(self, site: str, terminal: str, via: str, *, goodbye: bool = False) -> str | None:
        """Contact ended; `goodbye`: the device said so itself. Returns the reason of a refusal."""
        if (trouble := self._trouble()) is not None:
            return self.refuse(via, trouble)
        at = self._stamp(WillLine)
        if (reason := self.engine.will(at, site, terminal, via, goodbye)) is not None:
            return self.refuse(via, reason)
        self._append(WillLine(moment(at), site, terminal, via, "goodbye" if goodbye else ""), at)  # type: ignore[arg-type]
        return None

    def result(
        self, site: str, terminal: str, check: str, ok: bool, *, duration_s: float, detail: str = ""
    ) -> str | None:
        """A probe ended now. Returns the reason of a refusal."""
        if (trouble := self._trouble()) is not None:
            return self.refuse("probe", trouble)
        at = self._stamp(ProbeLine)
        if (reason := self.engine.result(at, site, terminal, check, ok)) is not None:
            return self.refuse("probe", reason)
        self._append(ProbeLine(moment(at), site, terminal, check, ok, round(duration_s * 1000), detail[:200]), at)
        self.board.probed(check, ok, duration_s)
        return None

    # --- channels -----------------------------------------------------------------------------------------------

    def alive(self, channel: str) -> None:
        """A sign of life that is no evidence: an echo of our own, a finished canary. Restores a lost channel."""
        known = self.engine.channels[channel]
        if known.is_lost or self.clock.now() - known.life >= ALIVE_MS:
            self._channel(channel, "restored")

    restored = alive

    def lost(self, channel: str, since: int | None = None, reason: str = "") -> None:
        """The channel is gone, since `since` (ms) if that is known."""
        self._channel(channel, "lost", since, reason)

    def last_life(self, channel: str) -> int | None:
        """When the channel last showed life (ms), None if it never did."""
        life = self.engine.channels[channel].life
        return life if life > BEGINNING else None

    def _channel(self, channel: str, event: str, since: int | None = None, reason: str = "") -> None:
        if event == "restored" and self._trouble() is not None:
            return
        at = self._stamp(ChannelLine)
        line = ChannelLine(moment(at), channel, event, moment(since) if since is not None else None, reason)  # type: ignore[arg-type]
        was_lost = self.engine.channels[channel].is_lost
        if event == "restored":
            self.engine.restored(at, channel)
        else:
            self.engine.lost(at, channel, since)
        self._append(line, at)
        if was_lost != self.engine.channels[channel].is_lost:
            log.warning(f"channel.{event}", channel=channel, since=since, reason=reason)

    def refuse(self, via: str, reason: str) -> str:
        """Something was refused: counted by way and reason. Returns the reason."""
        self.board.refused(via, reason)
        return reason

    # --- the log ------------------------------------------------------------------------------------------------

    def _trouble(self) -> str | None:
        """Why nothing can be taken now: the clock was set back, or the log's disk takes nothing."""
        if self.clock.now() < self.log.at - BEHIND_MS:
            return "clock_behind"
        return "log_full" if self.log.is_full else None

    def _stamp(self, kind: type[AnyLine]) -> int:
        at = self.log.stamp(self.clock.now(), kind)
        if self.log.starts_day(at):
            self._uncut.append(self.judge.collector.take())
            self.log.begin_day(at, __version__, self.loaded.digest, self.engine.state())
        return self.log.stamp(at, kind)

    def _append(self, line: AnyLine, at: int) -> None:
        self.log.append(line, at)
        for due in self.engine.confirmed:
            self.board.confirmed(at - due)
        self.engine.confirmed.clear()

    async def cut(self) -> None:
        """Make what came in so far durable. A disk that refuses keeps it waiting, and says so."""
        job = self.log.take()
        self._uncut.append(self.judge.collector.take())
        changes, self._uncut = self._uncut, []
        try:
            cut = await asyncio.to_thread(job)
        except OSError as error:
            self._uncut[:0] = changes
            self._trouble_with("log", error)
            return
        self.board.trouble("log", "")
        self._durable = Position(cut.file, cut.offset, cut.at)
        for one in changes:
            self._waiting.append((one, self._durable))
            self._rows += one.size
        if self._rows > WAITING_ROWS:
            self._waiting.clear()
            self._rows = 0
            self._behind = True

    async def save(self) -> None:
        """Write what follows from the cuts so far into the database; what it does not take waits."""
        try:
            if self._behind:
                until = self._durable
                await rebuild(self.view, Judge(self.loaded), [self.folder], until=until, torn_end=True)
                self._behind = False
                log.info("database.caught_up", file=until.file, offset=until.offset)
            if self._waiting:
                batch = list(self._waiting)
                async with asyncio.timeout(60):
                    await self.view.save([c for c, _ in batch], batch[-1][1])
                for _ in batch:
                    self._rows -= self._waiting.popleft()[0].size
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            self._trouble_with("database", error)
            return
        self.board.trouble("database", "")

    def _trouble_with(self, part: str, error: Exception) -> None:
        """Say it once, and show it for as long as it lasts."""
        what = (str(error) or type(error).__name__).splitlines()[0][:200]
        if part not in self.board.troubles:
            log.error(f"{part}.failed", error=what)
        self.board.trouble(part, what)

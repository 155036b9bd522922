"""Evidence arrived: stamped, judged, appended to the log, shown on the board; made durable and written down at cuts.

The one door for everything that comes in (docs/architecture.md). All of it happens on the event loop, in one breath:
nothing can come between judging a line and appending it. Only cuts wait, for the disk and for the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog

from monitor import __version__
from monitor.clock import Clock, to_iso
from monitor.core.changes import Changes
from monitor.core.engine import Engine
from monitor.core.offset import ClockOffsets
from monitor.core.sequence import Sequences
from monitor.core.sites import CHANNELS, Inventory
from monitor.core.timeline import BEGINNING
from monitor.core.window import Window
from monitor.errors import MonitorError
from monitor.evidence.lines import (
    LAST_MS,
    AnyLine,
    ChannelLine,
    HeartbeatLine,
    InventoryLine,
    OpenedLine,
    ProbeLine,
    WillLine,
    WindowLine,
    WrittenBeat,
    iso,
    millis,
    moment,
    packed,
)
from monitor.evidence.log import EvidenceLog, compress, mend
from monitor.evidence.reading import Read, trace_files
from monitor.flows.inventory_files import follow_files
from monitor.flows.judging import Judge
from monitor.flows.replay import rebuild
from monitor.flows.saving import Saving, failed
from monitor.flows.told_windows import line_of
from monitor.inventory.load import Loaded
from monitor.inventory.versions import body_of
from monitor.publish.board import Board
from monitor.store.view import Position, View

log = structlog.get_logger()

#: What the database may take for what is left when we stop, seconds.
LAST_SAVE_S = 5.0
#: The clock may be this far before the last line (it is being slewed); further back it was set back.
BEHIND_MS = 2_000
#: Somebody looks every second; if nobody did for so long, the process stood still, or the machine slept.
STILL_MS = 5_000
#: A sign of life is worth a line of the log only if the channel gave no other for so long.
ALIVE_MS = 2_000


class Told(Protocol):
    """A beat as a device told it. `sent_at`: ms by its own clock; `services`: what it says of them, by name."""

    @property
    def site(self) -> str: ...
    @property
    def terminal(self) -> str: ...
    @property
    def sent_at(self) -> int | None: ...
    @property
    def boot(self) -> str | None: ...
    @property
    def seq(self) -> int | None: ...
    @property
    def services(self) -> Any: ...


class _Beat(NamedTuple):
    """One that came in alone."""

    site: str
    terminal: str
    sent_at: int | None
    boot: str | None
    seq: int | None
    services: Mapping[str, str] | None


class Observer:
    """Of one county's evidence. Call `start` first and `stop` last; `cut` and `save` are called by their loops."""

    def __init__(self, loaded: Loaded, clock: Clock, view: View, folder: Path) -> None:
        self.loaded = loaded  # what the configuration's own files say
        self.clock = clock
        self.view = view
        self.judge = Judge(loaded)
        self.board = Board(loaded, self.judge.eras, self.judge.engine, clock)
        self.folder = folder
        self.offsets = ClockOffsets()
        self.sequences = Sequences()
        self.log = EvidenceLog(folder, loaded.settings.observer, self.engine.day_of)
        self._uncut: list[Changes] = []  # judged from lines that no cut holds yet
        self._saving = Saving(view, self.board, self._catch_up)
        self._looked: int | None = None  # when somebody last looked; None: nobody ever does
        #: When the last version was taken up: no line may stand before it, were the clock set back.
        self._passed = BEGINNING
        self._durable = Position("", 0, 0)
        self._cutting: asyncio.Task[None] | None = None

    @property
    def engine(self) -> Engine:
        return self.judge.engine

    @property
    def inventory(self) -> Inventory:
        """What holds now."""
        return self.engine.inventory

    # --- start and stop -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring engine and database to the end of the log. What was not seen since then is a loss of every channel."""
        await asyncio.to_thread(self.log.lock)
        followed = await self.view.position()
        if logs := self._logs():
            durable = followed.offset if followed is not None and followed.file == logs[-1].name else 0
            await asyncio.to_thread(mend, logs[-1], durable)
        if mine := self._logs():
            for path in mine[:-1]:
                if path.suffix == ".jsonl":
                    await asyncio.to_thread(compress, path)
            mine = self._logs()
            self._durable = await rebuild(self.view, self.judge, mine, learn=self._learn)
            self._follow()
            if mine[-1].suffix == ".jsonl":
                self.log.resume_day(mine[-1], self._durable.at)
            else:
                # That day is closed for good, even for a clock that was set back meanwhile.
                self.log.at = max(self._durable.at, self.engine.day_of(self._durable.at)[2])
            log.info("log.read", file=self._durable.file, offset=self._durable.offset)
        elif followed is not None:
            raise MonitorError(f"the database follows the log {followed.file}, which is not in {self.folder}")
        at = self._stamp(OpenedLine, self.clock.now())
        self._append([OpenedLine(moment(at), self.log.observer, __version__, inventory=self.judge.loaded.digest)], at)
        await follow_files(self, self.loaded)
        if self._durable.file:
            # All three, also what the present configuration does not listen to: another may judge this log one day.
            for name in CHANNELS:
                self._channel(name, "lost", self._durable.at, "monitor stopped")
        await self.cut()
        await self.save()

    def _logs(self) -> list[Path]:
        """The days of this observer's log, oldest first."""
        mine = set(self.folder.glob(f"{self.log.observer}-????-??-??.jsonl*"))
        return [path for path in trace_files([self.folder]) if path in mine] if mine else []

    def _learn(self, read: Read) -> None:
        line = read.line
        if isinstance(line, OpenedLine) and line.state is not None:
            self.offsets.load(line.state.get("offsets", []))
        if isinstance(line, HeartbeatLine):
            self.sequences.missing((line.site, line.terminal), line.via, line.boot, line.seq)
        if isinstance(line, HeartbeatLine) and line.sent_at is not None:
            sent = line.sent_raw or line.sent_at
            self.offsets.correct((line.site, line.terminal), read.at, millis(sent), line.boot)
        elif isinstance(line, ProbeLine) and (end := line.certificate_expiry) is not None:
            key = (line.site, line.terminal, line.check)
            if key in self.inventory.checks:
                self.board.certificate(*key, millis(end))

    async def stop(self) -> None:
        """A stopped monitor sees nothing: lose the channels, then cut and write down what there is."""
        for name in CHANNELS:
            self._channel(name, "lost", None, "monitor stopped")
        await self.cut()
        try:
            async with asyncio.timeout(LAST_SAVE_S):
                await self.save()
        except TimeoutError:
            log.warning("database.left_behind", file=self._durable.file, offset=self._durable.offset)
        self.log.close()

    # --- evidence -----------------------------------------------------------------------------------------------

    def knows(self, site: str, terminal: str) -> bool:
        """Is it a terminal of the inventory?"""
        return (site, terminal) in self.engine.terminals

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
        return self.heartbeats(via, (_Beat(site, terminal, sent_at, boot, seq, services),))[0]

    def heartbeats(self, via: str, beats: Sequence[Told]) -> list[str | None]:
        """Beats that came in together, now: each is judged by itself, in this order, and has a line of its own.
        Returns for each None or the reason of its refusal."""
        now = self.clock.now()
        if (trouble := self._trouble(now)) is not None:
            return [self.refuse(via, trouble) for _ in beats]
        at = self._stamp(HeartbeatLine, now)
        received = iso(at)
        known, correct, judge, kept, missing = (
            self.engine.terminals, self.offsets.correct, self.engine.beat, self.sequences.kept, self.sequences.missing,
        )  # fmt: skip
        said, left_out = self.board.said, 0
        answers: list[str | None] = []
        lines: list[WrittenBeat] = []
        try:
            for beat in beats:
                site, terminal, sent_at, boot, seq = beat.site, beat.terminal, beat.sent_at, beat.boot, beat.seq
                device = (site, terminal)
                sent = None
                # Estimates for whatever name is made up would never end.
                if (watch := known.get(device)) is not None:
                    device = watch.key
                    if boot is not None:
                        boot = kept(device, via, boot)
                    if sent_at is not None:
                        sent = correct(device, at, sent_at, boot)
                services = beat.services
                reason = judge(at, site, terminal, via, sent, boot, seq, services)
                answers.append(reason)
                if reason is not None:
                    self.refuse(via, reason)
                    continue
                line = WrittenBeat(received, site, terminal, via, None, None, boot, seq)
                if sent is not None and sent_at is not None:
                    line.sent_at = iso(sent)
                    if sent != sent_at:
                        line.sent_raw = iso(sent_at)
                lines.append(line)
                if services:
                    line.services = services
                    said(site, terminal, services)
                left_out += missing(device, via, boot, seq)
        finally:
            self._append(lines, at)  # what was judged stands in the log, whatever a later one met
            if lines:
                self.board.heard(via, len(lines), left_out)
        return answers

    def will(self, site: str, terminal: str, via: str, *, goodbye: bool = False) -> str | None:
        """Contact ended; `goodbye`: the device said so itself. Returns the reason of a refusal."""
        now = self.clock.now()
        if (trouble := self._trouble(now)) is not None:
            return self.refuse(via, trouble)
        at = self._stamp(WillLine, now)
        if (reason := self.engine.will(at, site, terminal, via, goodbye)) is not None:
            return self.refuse(via, reason)
        line = WillLine(moment(at), site, terminal, via, "goodbye" if goodbye else "")  # type: ignore[arg-type]
        self._append([line], at)
        return None

    def result(
        self,
        site: str,
        terminal: str,
        check: str,
        ok: bool,
        *,
        duration_s: float,
        detail: str = "",
        certificate_expiry: int | None = None,
    ) -> str | None:
        """A probe ended now; `certificate_expiry` (ms) of what it saw. Returns the reason of a refusal."""
        now = self.clock.now()
        if (trouble := self._trouble(now)) is not None:
            return self.refuse("probe", trouble)
        at = self._stamp(ProbeLine, now)
        if (reason := self.engine.result(at, site, terminal, check, ok)) is not None:
            return self.refuse("probe", reason)
        line = ProbeLine(moment(at), site, terminal, check, ok, round(duration_s * 1000), detail[:200])
        if certificate_expiry is not None:
            # Devices' own certificates begin in 1950 and end with the year 9999.
            certificate_expiry = min(max(0, certificate_expiry), LAST_MS)
            line.certificate_expiry = moment(certificate_expiry)
            self.board.certificate(site, terminal, check, certificate_expiry)
        self._append([line], at)
        self.board.probed(check, ok, duration_s)
        return None

    def window(self, window: Window) -> None:
        """A planned window counts from now on, or what became of it: a line of the log, because figures follow it."""
        now = self.clock.now()
        if self._trouble(now) is None:
            at = self._stamp(WindowLine, now)
            self._append([line_of(window, at)], at)
            self.judge.declare(window)

    def version(self, number: int, since: int, loaded: Loaded, files: str, by: str) -> bool:
        """A version of the inventory that holds from `since` (ms) or now on, whichever is later; the first one held
        always. `files`: digest of the configuration's own files; `by`: who approved it. False if it cannot be taken."""
        now = self.clock.now()
        if self._trouble(now) is not None:
            return False
        at = self._stamp(InventoryLine, now)
        body = msgspec.Raw(body_of(loaded))
        line = InventoryLine(moment(at), number, moment(max(since, at)), loaded.digest, body, files, by)
        self._append([line], at)
        self.judge.tell(line, at, loaded)
        self._pass(at)
        log.warning("inventory.version", number=number, since=to_iso(max(since, at)), digest=loaded.digest[:12])
        return True

    def _pass(self, at: int) -> None:
        if self.judge.pass_to(at):
            self._passed = at
            self._follow()

    def _follow(self) -> None:
        self.board.follow(self.judge.loaded, self.judge.eras[: self.judge.taken], self.engine)

    # --- channels -----------------------------------------------------------------------------------------------

    def alive(self, channel: str) -> None:
        """A sign of life that is no evidence: an echo of our own, a finished canary. Restores a lost channel."""
        known = self.engine.channels[channel]
        if known.is_lost or self.clock.now() - known.life >= ALIVE_MS:
            self._channel(channel, "restored")

    restored = alive

    def lost(self, channel: str, since: int | None = None, reason: str = "") -> None:
        """The channel is gone, since `since` (ms) if that is known. If it is lost, only an earlier since is news."""
        known = self.engine.channels[channel]
        if known.is_lost and (since is None or since >= known.life):
            return
        self._channel(channel, "lost", since, reason)

    def last_life(self, channel: str) -> int | None:
        """When the channel last showed life (ms), None if it never did."""
        life = self.engine.channels[channel].life
        return life if life > BEGINNING else None

    def look(self) -> None:
        """Called every second, from then on: a process that stood still was deaf. The clock counts suspend too."""
        now, since = self.clock.now(), self._looked
        self._looked = now
        if now >= self.log.at:
            self._pass(now)
        if since is None or now - since <= STILL_MS:
            return
        reason = f"the process stood still for {(now - since) / 1000:.1f} s"
        log.error("clock.trouble", reason=reason)
        for name in CHANNELS:
            self.lost(name, since, reason)

    def _channel(self, channel: str, event: str, since: int | None = None, reason: str = "") -> None:
        now = self.clock.now()
        if event == "restored" and self._trouble(now) is not None:
            return
        at = self._stamp(ChannelLine, now)
        line = ChannelLine(moment(at), channel, event, moment(since) if since is not None else None, reason)  # type: ignore[arg-type]
        was_lost = self.engine.channels[channel].is_lost
        if event == "restored":
            self.engine.restored(at, channel)
        else:
            self.engine.lost(at, channel, since)
        self._append([line], at)
        if was_lost != self.engine.channels[channel].is_lost:
            log.warning(f"channel.{event}", channel=channel, since=since, reason=reason)

    def refuse(self, via: str, reason: str) -> str:
        """Something was refused: counted by way and reason. Returns the reason."""
        self.board.refused(via, reason)
        return reason

    # --- the log ------------------------------------------------------------------------------------------------

    def _trouble(self, now: int) -> str | None:
        """Why nothing can be taken now: the clock was set back, or the log's disk takes nothing.

        Who is refused must not be called silent for that: what cannot be taken is a loss.
        """
        # What comes in first after a standstill comes before whoever looks every second.
        if self._looked is not None:
            if now - self._looked > STILL_MS:
                self.look()
            else:
                self._looked = now
        if now < self.log.at - BEHIND_MS:
            return "clock_behind"
        if not self.log.is_full:
            return None
        for name in CHANNELS:
            self.lost(name, None, "the log's disk takes nothing")
        return "log_full"

    def _stamp(self, kind: type[AnyLine], now: int) -> int:
        at = self.log.stamp(max(now, self._passed), kind)
        self._pass(at)
        if not self.log.starts_day(at):
            return at
        self._uncut.append(self.judge.collector.take())
        told = {"offsets": self.offsets.state(packed), "windows": self.judge.windows.state(at)}
        state = self.engine.state(packed) | told
        self.log.begin_day(at, __version__, self.judge.loaded.digest, state, self.judge.needed(at))
        return self.log.stamp(at, kind)

    def _append(self, lines: Sequence[AnyLine | WrittenBeat], at: int) -> None:
        """Lines of one kind and one instant."""
        if lines:
            self.log.append(lines, at)
        if self.engine.confirmed:
            for due in self.engine.confirmed:
                self.board.confirmed(at - due)
            self.engine.confirmed.clear()

    async def cut(self) -> None:
        """Make what came in so far durable. A disk that refuses keeps it waiting, and says so.

        One at a time, each to its end: where whoever waits for it is cancelled (the loop, when the service stops), its
        thread writes on all the same, and a second one that wrote beside it would take its lines out again.
        """
        while self._cutting is not None and not self._cutting.done():
            await asyncio.wait([self._cutting])
        self._cutting = asyncio.create_task(self._cut())
        await asyncio.shield(self._cutting)

    async def _cut(self) -> None:
        job = self.log.take()
        self._uncut.append(self.judge.collector.take())
        changes, self._uncut = self._uncut, []
        try:
            cut = await asyncio.to_thread(job.run)
        except OSError as error:
            self.log.give_back(job)
            self._uncut[:0] = [c for c in changes if c.size]
            failed(self.board, "log", error)
            return
        self.log.taken(job)
        self.board.trouble("log", "")
        self._durable = Position(cut.file, cut.offset, cut.at)
        self._saving.take(changes, self._durable)
        self._look_around()

    def queues(self) -> dict[str, int]:
        """What waits: bytes of the log for the disk, rows for the database (0 while it catches up from the log)."""
        return {"log_bytes": self.log.waiting_bytes, "database_rows": self._saving.rows}

    def _look_around(self) -> None:
        """Troubles that nobody reports: a database that hangs, a clock that was set back."""
        behind = self.log.at - self.clock.now()
        self.board.trouble("clock", f"{behind // 1000} s before the log's last line" if behind > BEHIND_MS else "")
        self._saving.look()

    async def save(self) -> None:
        """Write what follows from the cuts so far into the database; what it does not take waits."""
        await self._saving.save()

    async def _catch_up(self, until: Position) -> None:
        await rebuild(self.view, Judge(self.loaded), self._logs(), until=until, torn_end=True)

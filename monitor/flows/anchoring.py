"""The chains' newest heads, outside the database: in the anchors' file as they come, to the auditor once a day.

Somebody who holds the database can cut off a chain's end, or put back an old backup, and all that is left still fits
together. What was written down elsewhere tells (docs/chains.md).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import to_iso
from monitor.core.chain import Link
from monitor.core.walk import Anchor
from monitor.evidence import anchors
from monitor.flows.days import local_day
from monitor.publish.board import Board
from monitor.publish.mail import MailFailed, send
from monitor.settings import Settings
from monitor.store.chains import heads
from monitor.store.database import looking

log = structlog.get_logger()

#: Between two tries to send: a minute, then twice as long each time, an hour at most (ms).
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 60_000, 3_600_000
#: So many failures in a row are a warning that the service shows.
TRIES = 5


class Anchoring:
    """Of one service. `start` first, then `step` every few seconds."""

    def __init__(self, engine: AsyncEngine, settings: Settings, board: Board) -> None:
        self.engine = engine
        self.settings = settings
        self.board = board
        self.path = Path(settings.anchors.file)
        self._written: dict[str, tuple[int, str]] = {}
        self._day = ""  # on which the heads were written whole
        self._mailed = ""
        self._failures = 0
        self._pause_until = 0

    async def start(self, at_ms: int) -> None:
        """Look whether the database is as far as the anchors are, then write down the heads.

        A database that is behind them has lost its end or is an old backup: that is said, and the anchors that say so
        stay. Raises SQLAlchemyError and OSError where the database is away.
        """
        written = await asyncio.to_thread(anchors.read, self.path)
        self._mailed = written.mailed
        async with looking(self.engine) as connection:
            now = await heads(connection)
        for tag, anchor in written.newest().items():
            head = now.get(tag, Link(0, ""))
            if head.n < anchor.n or (head.n == anchor.n and head.hash != anchor.hash):
                says = f"{tag}: the database has record {head.n}, the anchors of {anchor.at} have {anchor.n}"
                log.error("chain.behind_anchors", chain=tag, head=head.n, anchor=anchor.n, at=anchor.at)
                self.board.warn("chains", f"{says}; run zhdj-monitor verify")
        await self._step(now, at_ms)

    async def step(self, at_ms: int) -> None:
        """Write down the heads that are new, all of them on a new local day; send the day's message if it is due."""
        async with looking(self.engine) as connection:
            now = await heads(connection)
        await self._step(now, at_ms)

    async def _step(self, now: dict[str, Link], at_ms: int) -> None:
        today = local_day(at_ms, self.settings).isoformat()
        new = {tag: head for tag, head in now.items() if today != self._day or self._written.get(tag) != head}
        if new:
            at = to_iso(at_ms)
            try:
                some = [Anchor(at, tag, head.n, head.hash) for tag, head in new.items()]
                await asyncio.to_thread(anchors.add, self.path, some)
            except OSError as error:
                if "anchors" not in self.board.warnings:
                    log.error("anchors.failed", file=str(self.path), error=error.strerror)
                self.board.warn("anchors", f"{self.path}: {error.strerror}")
            else:
                self.board.warn("anchors", "")
                self._written = {**self._written, **new}
                self._day = today
        if self.settings.anchors.mail_to and now and today > self._mailed and at_ms >= self._pause_until:
            await self._mail(now, today, at_ms)

    async def _mail(self, now: dict[str, Link], today: str, at_ms: int) -> None:
        subject, text = message(self.settings, now, today, to_iso(at_ms))
        try:
            await send(self.settings.anchors, self.settings.anchors.mail_to, subject, text)
        except MailFailed as error:
            self._pause_until = at_ms + min(FIRST_PAUSE_MS << min(self._failures, 6), LONGEST_PAUSE_MS)
            self._failures += 1
            log.warning("anchors.mail_failed", day=today, tries=self._failures, error=str(error))
            if self._failures >= TRIES:
                self.board.warn("anchors_mail", f"{today}: {error}")
            return
        self._failures, self._mailed = 0, today  # before the file: it must not be sent again because of a full disk
        self.board.warn("anchors_mail", "")
        log.info("anchors.mailed", day=today)
        try:
            await asyncio.to_thread(anchors.add_mailed, self.path, to_iso(at_ms), today)
        except OSError as error:
            self.board.warn("anchors", f"{self.path}: {error.strerror}")


def message(settings: Settings, now: dict[str, Link], today: str, at: str) -> tuple[str, str]:
    """Subject and text of the day's message: for a person, and lines that can be put into a file of anchors."""
    lines = "\n".join(anchors.line(Anchor(at, tag, head.n, head.hash)) for tag, head in sorted(now.items()))
    return (
        f"智慧党建运行监测 链头 {settings.observer} {today}",
        f"""审计人员：

以下是 {settings.observer} 各条链在 {at} 的最新链头（编号与哈希）。请保存本邮件。
日后核对：把各日邮件中以 {{ 开头的行存成一个文件，在服务器上运行

    zhdj-monitor verify --config 配置目录 --anchors 该文件

库中的链若短于此处的编号，或该编号的哈希不同，即说明记录被截去、改写，或换回了旧备份。

{lines}
""",
    )

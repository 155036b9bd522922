"""Heads outside the database: in a file to which lines are added, and by mail through a real SMTP server."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.clock import from_iso
from monitor.core.walk import Anchor
from monitor.evidence import anchors
from monitor.flows.anchoring import TRIES, Anchoring
from monitor.flows.verify import verify
from monitor.settings import Settings
from monitor.store.database import opened
from tests.services import free_port
from tests.tampering import act, checked, run, settings_of

NOW = from_iso("2026-10-01T02:00:00Z")
MINUTE, DAY = 60_000, 86_400_000


class Mailbox:
    """Takes messages, or says no."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.subjects: list[str] = []
        self.to: list[str] = []
        self.refuses = False

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # its name
        if self.refuses:
            return "451 try again later"
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = message.get_body()
        assert body is not None
        self.texts.append(body.get_content())
        self.subjects.append(str(message["Subject"]))
        self.to = envelope.rcpt_tos
        return "250 OK"


class Board:
    """As much of one as anchoring tells."""

    def __init__(self) -> None:
        self.warnings: dict[str, str] = {}

    def warn(self, part: str, what: str) -> None:
        self.warnings.pop(part, None)
        if what:
            self.warnings[part] = what


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, Controller]]:
    box = Mailbox()

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=(data.login, data.password) == (b"zhdj", b"secret"))

    server = Controller(box, hostname="127.0.0.1", port=free_port(), authenticator=authenticate, auth_require_tls=False)
    server.start()
    yield box, server
    server.stop()


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    async with opened(database_url) as made:
        yield made


def mailing(tmp_path: Path, port: int, **more: object) -> Settings:
    settings = settings_of(tmp_path)
    changes = {"mail_to": ("auditor@county.example",), "smtp": f"127.0.0.1:{port}", **more}
    return settings.model_copy(update={"anchors": settings.anchors.model_copy(update=changes)})


def anchoring(engine: AsyncEngine, settings: Settings) -> tuple[Anchoring, Board]:
    board = Board()
    return Anchoring(engine, settings, board), board  # type: ignore[arg-type]


def lines(settings: Settings) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(settings.anchors.file).read_text().splitlines()]


# --- the file ---------------------------------------------------------------------------------------------------------


async def test_heads_are_written_when_new_at_starts_and_on_new_days(engine: AsyncEngine, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    first, _ = anchoring(engine, settings)
    await act(engine, 2)
    await first.start(NOW)
    await first.step(NOW + 5_000)
    assert [line["n"] for line in lines(settings)] == [2]
    await act(engine, 1)
    await first.step(NOW + 10_000)
    assert [line["n"] for line in lines(settings)] == [2, 3]
    await first.step(NOW + DAY)
    assert [line["n"] for line in lines(settings)] == [2, 3, 3]
    again, board = anchoring(engine, settings)
    await again.start(NOW + DAY)
    assert [line["n"] for line in lines(settings)] == [2, 3, 3, 3]
    assert lines(settings)[0] | {"hash": ""} == {"at": "2026-10-01T02:00:00Z", "tag": "audit", "n": 2, "hash": ""}
    assert board.warnings == {}
    assert (await checked(engine, settings)).chains[0].anchored == 3


async def test_an_old_backup_is_told_at_the_start_and_the_file_keeps_what_it_had(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path)
    await act(engine, 9)
    first, _ = anchoring(engine, settings)
    await first.start(NOW)
    await run(engine, "DELETE FROM audit WHERE n > 4")
    await run(engine, "UPDATE chain_head SET n = 4, hash = (SELECT hash FROM audit WHERE n = 4) WHERE tag = 'audit'")
    second, board = anchoring(engine, settings)
    await second.start(NOW + DAY)
    assert "the database has record 4, the anchors of 2026-10-01T02:00:00Z have 9" in board.warnings["chains"]
    assert [line["n"] for line in lines(settings)] == [9, 4]
    assert [f.kind for f in (await checked(engine, settings)).faults] == ["older"]


async def test_a_file_that_cannot_be_written_is_a_warning_and_ends(engine: AsyncEngine, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    Path(settings.anchors.file).mkdir()
    await act(engine, 1)
    made, board = anchoring(engine, settings)
    await made.step(NOW)
    assert "anchors" in board.warnings
    Path(settings.anchors.file).rmdir()
    await made.step(NOW)
    assert board.warnings == {}
    assert [line["n"] for line in lines(settings)] == [1]


def test_a_torn_line_is_not_believed_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    anchors.add(path, [Anchor("a", "audit", 1, "f")])
    with path.open("a") as file:
        file.write('{"at": "b", "tag": "aud')
    anchors.add(path, [Anchor("c", "audit", 2, "e")])
    anchors.add_mailed(path, "c", "2026-10-01")
    found = anchors.read(path)
    assert [a.n for a in found.heads] == [1, 2]
    assert (found.mailed, found.torn) == ("2026-10-01", 1)
    assert path.stat().st_mode & 0o007 == 0


# --- the message ------------------------------------------------------------------------------------------------------


async def test_the_auditor_gets_a_message_a_day_that_verify_takes(
    engine: AsyncEngine, tmp_path: Path, mailbox: tuple[Mailbox, Controller]
) -> None:
    box, server = mailbox
    settings = mailing(tmp_path, server.port)
    await act(engine, 3)
    made, board = anchoring(engine, settings)
    await made.start(NOW)
    await made.step(NOW + MINUTE)
    assert len(box.texts) == 1
    assert box.to == ["auditor@county.example"]
    assert box.subjects == ["智慧党建运行监测 链头 kaijiang 2026-10-01"]
    again, _ = anchoring(engine, settings)
    await again.start(NOW + 2 * MINUTE)
    assert len(box.texts) == 1, "a restart sends nothing twice"
    await again.step(NOW + DAY)
    assert len(box.texts) == 2
    assert board.warnings == {}

    own = tmp_path / "from-the-mails.jsonl"
    own.write_text("\n".join(line for line in box.texts[0].splitlines() if line.startswith("{")) + "\n")
    assert [a.n for a in anchors.read(own).heads] == [3]
    await run(engine, "UPDATE audit SET what = 'x' WHERE n = 1")
    Path(settings.anchors.file).unlink()
    found = await verify(engine, settings, NOW, anchors_file=own, progress=lambda what, count: None)
    assert [f.kind for f in found.faults] == ["changed"]


async def test_a_message_that_was_not_taken_is_sent_later(
    engine: AsyncEngine, tmp_path: Path, mailbox: tuple[Mailbox, Controller]
) -> None:
    box, server = mailbox
    box.refuses = True
    settings = mailing(tmp_path, server.port)
    await act(engine, 1)
    made, board = anchoring(engine, settings)
    at, tries = NOW, 0
    while tries < TRIES:
        before = made._failures
        await made.step(at)
        tries += made._failures > before
        at += 30_000
    assert at - NOW == (1 + 2 + 4 + 8) * MINUTE + 30_000, "a minute, then twice as long each time"
    assert "451" in board.warnings["anchors_mail"]
    box.refuses = False
    await made.step(at + 16 * MINUTE)
    assert len(box.texts) == 1
    assert board.warnings == {}


async def test_a_server_that_is_away_holds_nothing_up_and_is_asked_once_an_hour_at_most(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    settings = mailing(tmp_path, free_port())
    await act(engine, 1)
    made, board = anchoring(engine, settings)
    for minute in range(0, 600, 1):
        async with asyncio.timeout(10):
            await made.step(NOW + minute * MINUTE)
    assert 7 + 8 <= made._failures <= 7 + 10
    assert "anchors_mail" in board.warnings
    assert lines(settings)[0]["n"] == 1


async def test_it_signs_in_where_that_is_asked_for(
    engine: AsyncEngine, tmp_path: Path, mailbox: tuple[Mailbox, Controller]
) -> None:
    box, server = mailbox
    await act(engine, 1)
    settings = mailing(tmp_path, server.port, username="zhdj", password=SecretStr("secret"))
    made, board = anchoring(engine, settings)
    await made.step(NOW)
    assert (len(box.texts), board.warnings) == (1, {})
    assert "secret" not in repr(settings)

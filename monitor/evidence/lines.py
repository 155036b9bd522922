"""The lines of a trace or an evidence log: one JSON object a line, ISO 8601 with Z (docs/rules.md §7).

The evidence log is a trace with more fields, all optional for a reader: what came in with a beat, why a channel was
lost, and lines of type `opened`, which say who writes and, at the head of a day, what judging needs from the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from monitor.clock import to_iso
from monitor.errors import MonitorError


class Line(msgspec.Struct, tag_field="type", omit_defaults=True, gc=False):
    """What all lines have: when it came in."""

    at: datetime


class ChannelLine(Line, tag="channel"):
    """`restored` on a channel that is not lost is a sign of life and nothing else."""

    channel: Literal["mqtt", "http", "probe"]
    event: Literal["restored", "lost"]
    since: datetime | None = None
    reason: str = ""


class WindowLine(Line, tag="window"):
    """A planned window, declared at `at`, or (as the service writes it) at `declared`, and taken up at `at`.

    The same scope, start, end and time of declaring again is the same window: it was approved, or called off, since.
    """

    scope: str
    start: datetime
    end: datetime
    reason: str = ""
    declared: datetime | None = None
    declared_by: str = ""
    retroactive: bool = False
    approved: datetime | None = None
    approved_by: str = ""
    cancelled: datetime | None = None


class WillLine(Line, tag="will"):
    """Contact ended; `kind` goodbye: the device said so itself."""

    site: str
    terminal: str
    via: Literal["mqtt", "http"] = "mqtt"
    kind: Literal["", "goodbye"] = ""


class HeartbeatLine(Line, tag="heartbeat"):
    """`sent_at` is corrected by the terminal's clock offset, `sent_raw` as it came (only where they differ)."""

    site: str
    terminal: str
    via: Literal["mqtt", "http"]
    sent_at: datetime | None = None
    sent_raw: datetime | None = None
    boot: str | None = None
    seq: int | None = None
    services: dict[str, str] | None = None


class WrittenBeat(msgspec.Struct, tag_field="type", tag="heartbeat", omit_defaults=True, gc=False):
    """A HeartbeatLine on its way into the log. Its instants are text already (`iso`), for a third of the time."""

    at: str
    site: str
    terminal: str
    via: str
    sent_at: str | None = None
    sent_raw: str | None = None
    boot: str | None = None
    seq: int | None = None
    services: dict[str, str] | None = None


class ProbeLine(Line, tag="probe"):
    """A probe ended; `took_ms` and `detail` say how. `certificate_expiry`: of the certificate that it saw."""

    site: str
    terminal: str
    check: str
    ok: bool
    took_ms: int | None = None
    detail: str = ""
    certificate_expiry: datetime | None = None


class InventoryLine(Line, tag="inventory"):
    """A version of the inventory that holds from `since` on, at `at` or later; the log's first one held always.

    `body`: what it says (`inventory.versions.body_of`), as its JSON; `files`: digest of the configuration's own
    files then.
    """

    number: int
    since: datetime
    digest: str
    body: msgspec.Raw
    files: str = ""
    by: str = ""


class OpenedLine(Line, tag="opened"):
    """A writer begins: at the head of a day with `state` (`Engine.state`) and the versions of the inventory that it
    takes to judge what follows and what is in the state; after a start without."""

    observer: str
    version: str = ""
    method: int = 1
    inventory: str = ""
    state: dict[str, Any] | None = None
    versions: list[InventoryLine] | None = None


AnyLine = InventoryLine | ChannelLine | WindowLine | WillLine | HeartbeatLine | ProbeLine | OpenedLine

#: The order of lines at equal times (docs/rules.md §7).
ORDER: dict[type[msgspec.Struct], int] = {
    OpenedLine: 0, InventoryLine: 0, ChannelLine: 0, WindowLine: 1, WillLine: 2, HeartbeatLine: 3, WrittenBeat: 3,
    ProbeLine: 4,
}  # fmt: skip

#: The last instant that `millis` reads, ms: the end of the year 9998.
LAST_MS = 253_370_764_799_999

_MOST_SECONDS = 10_000
_seconds: dict[int, str] = {}
_millis = ["Z", *(f".{ms:03d}Z" for ms in range(1, 1000))]

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)


def encode(line: Line) -> bytes:
    """One line, with its newline."""
    return _encoder.encode(line) + b"\n"


def encode_all(lines: Sequence[Line | WrittenBeat]) -> bytes:
    """Several lines, each with its newline."""
    return _encoder.encode_lines(lines)


def packed(item: list[Any]) -> msgspec.Raw:
    """Part of a state, as it will stand in its line."""
    return msgspec.Raw(_encoder.encode(item))


def decode(data: bytes, where: str) -> AnyLine:
    """Raises MonitorError that says where and what was expected."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MonitorError(f"{where}: no line of a trace: {error}") from None


def iso(ms: int) -> str:
    """An instant as lines show it; quick for those near each other, as beats are."""
    second, rest = divmod(ms, 1000)
    try:
        return _seconds[second] + _millis[rest]
    except KeyError:
        if len(_seconds) >= _MOST_SECONDS:
            _seconds.clear()
        _seconds[second] = to_iso(second * 1000)[:-1]
        return _seconds[second] + _millis[rest]


def moment(ms: int) -> datetime:
    """An instant as lines hold it."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def millis(moment: datetime) -> int:
    """Milliseconds since the epoch; finer digits are cut. Raises MonitorError for a time without an offset."""
    if moment.tzinfo is None:
        raise MonitorError(f"{moment.isoformat()} has no offset; expected an instant such as 2026-10-01T08:00:00Z")
    if not 1970 <= moment.year < 9999:
        raise MonitorError(f"{moment.isoformat()}: expected an instant between the years 1970 and 9998")
    return int(moment.timestamp() * 1000 + 5e-4)

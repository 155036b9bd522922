"""The one parser of beats: any bytes become a Beat or a named refusal (docs/interfaces.md, MQTT and HTTP)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from monitor.clock import from_iso
from monitor.errors import Refused
from monitor.evidence.lines import LAST_MS

#: Bytes of a payload on MQTT: the promise of docs/interfaces.md.
MAX_BEAT = 1024
#: Bytes of one object on HTTP: a beat, and who it is from.
MAX_ITEM = MAX_BEAT + 512
#: Objects in one array, and bytes of all of it.
MAX_ITEMS = 1000
MAX_BATCH = MAX_ITEMS * MAX_ITEM

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Text = Annotated[str, msgspec.Meta(max_length=64)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e10)]
_Millis = Annotated[int, msgspec.Meta(ge=0, le=LAST_MS)]
_Said = Literal["ok", "fail", "na"]

# What the decoder can raise for bytes of any kind: malformed JSON and wrong types (MsgspecError), bad UTF-8
# (ValueError), deep nesting (RecursionError).
_BAD = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)


class _Services(msgspec.Struct):
    """A service that we do not know is an unknown field: ignored."""

    video_conference: _Said | None = None
    emergency: _Said | None = None
    publicity: _Said | None = None
    supervision: _Said | None = None
    learning: _Said | None = None


SERVICES = _Services.__struct_fields__
_Service = Annotated[str, msgspec.Meta(pattern=rf"\A({'|'.join(SERVICES)})\Z")]
_SaidOfIt = Annotated[str, msgspec.Meta(pattern=r"\A(ok|fail|na)\Z")]


class _RawBeat(msgspec.Struct):
    boot: _Text | Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    seq: _Count | None = None
    sent_at: _Text | _Millis | None = None
    uptime_s: _Seconds | None = None
    version: _Text | None = None
    services: _Services | None = None


class _RawItem(_RawBeat, kw_only=True):
    site: _Name
    terminal: _Name
    status: Literal["online", "off", "offline"] | None = None


class Beat(msgspec.Struct, frozen=True, gc=False):
    """What a device said. `sent_at`: ms UTC by its own clock; `boot`: at most 64 printable characters."""

    boot: _Text | None = None
    seq: _Count | None = None
    sent_at: _Millis | None = None
    uptime_s: _Seconds | None = None
    version: _Text | None = None
    services: dict[_Service, _SaidOfIt] | None = None


class Item(Beat, frozen=True, kw_only=True, gc=False):
    """One object on HTTP. `status`: `off` is a goodbye, `offline` a will, `online` or None a beat."""

    site: _Name
    terminal: _Name
    status: Literal["online", "off", "offline"] | None = None


_EMPTY = Beat()
# What most devices send is a Beat as it stands, and is decoded as one at once. The raw decoders take all that a device
# may send besides: instants as text, numbers as boot, services that we do not know.
_beats, _raw_beats = msgspec.json.Decoder(Beat), msgspec.json.Decoder(_RawBeat)
_items, _raw_items = msgspec.json.Decoder(Item), msgspec.json.Decoder(_RawItem)
_item_lists = msgspec.json.Decoder(list[Item])
_batches = msgspec.json.Decoder(list[msgspec.Raw])


def parse_beat(data: bytes) -> Beat:
    """A heartbeat's payload on MQTT; empty is a beat too. Raises Refused: `malformed` or `too_large`."""
    if not data:
        return _EMPTY
    if len(data) > MAX_BEAT:
        raise Refused("too_large", f"{len(data)} bytes; a beat has at most {MAX_BEAT}")
    try:
        text = str(data, "utf-8")
        try:
            beat = _beats.decode(text)
            if _is_printable(beat):
                return beat
        except msgspec.ValidationError:
            pass
        return _beat(_raw_beats.decode(text))
    except _BAD as error:
        raise Refused("malformed", _why(error)) from None


def parse_item(data: bytes | msgspec.Raw) -> Item:
    """One object on HTTP. Raises Refused: `malformed` or `too_large`."""
    view = memoryview(data)
    if len(view) > MAX_ITEM:
        raise Refused("too_large", f"{len(view)} bytes; an object has at most {MAX_ITEM}")
    try:
        text = str(view, "utf-8")
        try:
            item = _items.decode(text)
            if _is_printable(item) and item.site.isprintable() and item.terminal.isprintable():
                return item
        except msgspec.ValidationError:
            pass
        raw = _raw_items.decode(text)
        if not (raw.site.isprintable() and raw.terminal.isprintable()):
            raise ValueError("site and terminal are printable text")
        beat = _beat(raw)
        return Item(*msgspec.structs.astuple(beat), site=raw.site, terminal=raw.terminal, status=raw.status)
    except _BAD as error:
        raise Refused("malformed", _why(error)) from None


def parse_batch(data: bytes) -> list[Item | Refused]:
    """The objects of a body, each taken or refused by itself: one bad object spoils no other.

    Raises Refused where there is none: `malformed` (not JSON, or an empty array) or `too_large`.
    """
    parts = split_batch(data)
    if len(parts) > 1 and max(memoryview(part).nbytes for part in parts) <= MAX_ITEM:
        # All at once takes a quarter of the time; where that fails, one of them is to blame.
        try:
            items = _item_lists.decode(str(data, "utf-8"))
            if all([f"{i.site}{i.terminal}{i.boot}{i.version}".isprintable() for i in items]):
                return [*items]
        except _BAD:
            pass
    return [_outcome(part) for part in parts]


def _outcome(part: bytes | msgspec.Raw) -> Item | Refused:
    try:
        return parse_item(part)
    except Refused as refused:
        return refused


def split_batch(data: bytes) -> list[bytes | msgspec.Raw]:
    """The objects of a body: one, or those of an array, not parsed yet: one bad object spoils no other.

    Raises Refused: `malformed` (not JSON, or an empty array) or `too_large`.
    """
    if len(data) > MAX_BATCH:
        raise Refused("too_large", f"{len(data)} bytes; a body has at most {MAX_BATCH}")
    if not data.lstrip().startswith(b"["):
        return [data]
    try:
        items: list[bytes | msgspec.Raw] = [*_batches.decode(data)]
    except _BAD as error:
        raise Refused("malformed", _why(error)) from None
    if not items:
        raise Refused("malformed", "expected at least one object in the array")
    if len(items) > MAX_ITEMS:
        raise Refused("too_large", f"{len(items)} objects; an array has at most {MAX_ITEMS}")
    return items


def _is_printable(beat: Beat) -> bool:
    """NUL cannot be stored, the rest not be shown."""
    boot, version = beat.boot, beat.version
    return (boot is None or boot.isprintable()) and (version is None or version.isprintable())


def _beat(raw: _RawBeat) -> Beat:
    sent_at = raw.sent_at
    if isinstance(sent_at, str):
        sent_at = from_iso(sent_at)
        if not 0 <= sent_at <= LAST_MS:
            raise ValueError("sent_at is no instant between the years 1970 and 9998")
    services = None
    if raw.services is not None:
        services = {name: said for name in SERVICES if (said := getattr(raw.services, name)) is not None}
    boot = str(raw.boot) if isinstance(raw.boot, int) else raw.boot
    beat = Beat(boot, raw.seq, sent_at, raw.uptime_s, raw.version, services)
    if not _is_printable(beat):
        raise ValueError("boot and version are printable text")
    return beat


def _why(error: Exception) -> str:
    """One line for a person, without what the sender chose to put in."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, msgspec.MsgspecError):
        return str(error)
    return "sent_at is an instant since 1970 with an offset, and names are printable text"

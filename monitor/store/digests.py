"""The digests of a day as one value: columns of numbers, MessagePack, zstd. About nine bytes a check, and a few more
for what its beats said of services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import zstandard

from monitor.core.digest import Said

_LEVEL = 9


class Counts(NamedTuple):
    """Of a check on a day, as core/digest.py has it; `first` and `last`: ms, None where nothing came."""

    expected: int
    received: int
    failed: int
    late: int
    first: int | None
    last: int | None
    said: Said = ()


class _Columns(msgspec.Struct, array_like=True):
    """By check number. `first` is relative to the least of them, `lasted` is `last` - `first`. `said`: for each check
    [name's place in `services`, ok, failed, ...]; a day on which nobody said anything of a service ends before both."""

    origin: int
    check: list[int]
    expected: list[int]
    received: list[int]
    failed: list[int]
    late: list[int]
    first: list[int | None]
    lasted: list[int | None]
    services: list[str] = []
    said: list[list[int]] = []


class _Services(msgspec.Struct, array_like=True):
    """The same columns, read for services alone."""

    origin: msgspec.Raw
    check: list[int]
    expected: msgspec.Raw
    received: msgspec.Raw
    failed: msgspec.Raw
    late: msgspec.Raw
    first: msgspec.Raw
    lasted: msgspec.Raw
    services: list[str] = []
    said: list[list[int]] = []


_decoder = msgspec.msgpack.Decoder(_Columns)
_services_decoder = msgspec.msgpack.Decoder(_Services)


def pack(counts: Mapping[int, Counts]) -> bytes:
    """The same counts always give the same bytes."""
    rows = sorted(counts.items())
    origin = min((c.first for _, c in rows if c.first is not None), default=0)
    columns: list[Any] = [
        origin,
        [number for number, _ in rows],
        [c.expected for _, c in rows],
        [c.received for _, c in rows],
        [c.failed for _, c in rows],
        [c.late for _, c in rows],
        [None if c.first is None else c.first - origin for _, c in rows],
        [None if c.first is None or c.last is None else c.last - c.first for _, c in rows],
    ]
    if services := sorted({name for _, c in rows for name, _, _ in c.said}):
        place = {name: i for i, name in enumerate(services)}
        columns += [services, [[n for name, ok, bad in c.said for n in (place[name], ok, bad)] for _, c in rows]]
    return zstandard.ZstdCompressor(level=_LEVEL).compress(msgspec.msgpack.encode(columns))


def unpack(body: bytes) -> dict[int, Counts]:
    """What `pack` was given, by the number of the check."""
    c = _decoder.decode(zstandard.ZstdDecompressor().decompress(body))
    result = {}
    for number, expected, received, failed, late, first, lasted, said in zip(
        c.check, c.expected, c.received, c.failed, c.late, c.first, c.lasted, c.said or [[]] * len(c.check), strict=True
    ):
        start = None if first is None else first + c.origin
        end = None if start is None or lasted is None else start + lasted
        result[number] = Counts(expected, received, failed, late, start, end, _said(c.services, said))
    return result


def said_in(body: bytes) -> dict[int, Said]:
    """What `pack` was given of services alone, by the number of the check; only of those that said something."""
    c = _services_decoder.decode(zstandard.ZstdDecompressor().decompress(body))
    return {number: _said(c.services, said) for number, said in zip(c.check, c.said, strict=False) if said}


def _said(services: list[str], said: list[int]) -> Said:
    return tuple((services[said[i]], said[i + 1], said[i + 2]) for i in range(0, len(said), 3))

"""The digests of a day as one value: columns of numbers, MessagePack, zstd. About nine bytes a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import zstandard

_LEVEL = 9


class Counts(NamedTuple):
    """Of a check on a day, as core/digest.py has it; `first` and `last`: ms, None where nothing came."""

    expected: int
    received: int
    failed: int
    late: int
    first: int | None
    last: int | None


class _Columns(msgspec.Struct, array_like=True):
    """By check number. `first` is relative to the least of them, `lasted` is `last` - `first`."""

    origin: int
    check: list[int]
    expected: list[int]
    received: list[int]
    failed: list[int]
    late: list[int]
    first: list[int | None]
    lasted: list[int | None]


_decoder = msgspec.msgpack.Decoder(_Columns)


def pack(counts: Mapping[int, Counts]) -> bytes:
    """The same counts always give the same bytes."""
    rows = sorted(counts.items())
    origin = min((c.first for _, c in rows if c.first is not None), default=0)
    columns = _Columns(
        origin,
        [number for number, _ in rows],
        [c.expected for _, c in rows],
        [c.received for _, c in rows],
        [c.failed for _, c in rows],
        [c.late for _, c in rows],
        [None if c.first is None else c.first - origin for _, c in rows],
        [None if c.first is None or c.last is None else c.last - c.first for _, c in rows],
    )
    return zstandard.ZstdCompressor(level=_LEVEL).compress(msgspec.msgpack.encode(columns))


def unpack(body: bytes) -> dict[int, Counts]:
    """What `pack` was given, by the number of the check."""
    c = _decoder.decode(zstandard.ZstdDecompressor().decompress(body))
    result = {}
    for number, expected, received, failed, late, first, lasted in zip(
        c.check, c.expected, c.received, c.failed, c.late, c.first, c.lasted, strict=True
    ):
        start = None if first is None else first + c.origin
        end = None if start is None or lasted is None else start + lasted
        result[number] = Counts(expected, received, failed, late, start, end)
    return result

"""Edges as they are kept with a span: MessagePack, instants relative to the span's beginning.

There are some ten million of them in a large county's year, and they are most of what the database takes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from monitor.core.timeline import Edge

#: How contact ended or came back, by number. Only ever add at the end: the numbers are in databases.
HOWS = ("goodbye", "will", "silence", "probe", "beat", "ok", "channel", "expired", "undecided", "inventory")
_NUMBER = {how: number for number, how in enumerate(HOWS)}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list).decode


def pack(edge: Edge | None, at: int) -> bytes | None:
    """The edge of a span that begins at `at` (ms)."""
    if edge is None:
        return None
    earliest = None if edge.earliest is None else edge.earliest - at
    how = _NUMBER.get(edge.how, edge.how)
    return _encode((earliest, edge.latest - at, how, _shift(edge.before, -at), _shift(edge.after, -at)))


def unpack(data: bytes | None, at: int) -> Edge | None:
    """What `pack` was given."""
    if data is None:
        return None
    earliest, latest, how, before, after = _decode(data)
    name = HOWS[how] if isinstance(how, int) else how
    return Edge(None if earliest is None else earliest + at, latest + at, name, _shift(before, at), _shift(after, at))


def _shift(evidence: list[Any] | None, by: int) -> list[Any] | None:
    """Evidence is a list that begins with its instants: [at, sent, via, ...], [at, ok], [at, at, at]."""
    if evidence is None:
        return None
    result = list(evidence)
    for i, value in enumerate(result):
        if isinstance(value, bool) or not isinstance(value, int | None):
            break
        if value is not None:
            result[i] = value + by
    return result

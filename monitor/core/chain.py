"""Hash chains: each record's hash covers the one before it, so that nothing can be changed unseen (docs/chains.md).

h(n) = SHA-256(tag, n, h(n-1), body). The tag says which chain it is, so that no record can stand in another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

#: What stands before the first record.
BEGINNING = "0" * 64

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


class Link(NamedTuple):
    """A record's place in its chain: its number, from 1 without gaps, and its hash (hex)."""

    n: int
    hash: str


class Record(NamedTuple):
    """A record as its row has it: the body made anew from the row, and the hash that was stored with it."""

    n: int
    body: Mapping[str, Any]
    hash: str


def canonical(body: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys, without blanks, in UTF-8. `v` (the body's version), `tag` and `at_ms` must be in it.

    Numbers are integers: a float is written differently by different programs, so it raises TypeError.
    """
    if not {"v", "tag", "at_ms"} <= body.keys():
        raise TypeError("a chain's body needs v, tag and at_ms")
    _without_floats(body)
    return rendered(body)


def rendered(body: Mapping[str, Any]) -> bytes:
    """`canonical` for a body that was made from a row: nothing is checked, because any difference shows in the hash."""
    return _encode(body).encode("utf-8", "surrogatepass")


def _without_floats(value: Any) -> None:
    if value is None or isinstance(value, str | int):
        return
    if isinstance(value, Mapping):
        for each in value.values():
            _without_floats(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _without_floats(each)
    else:
        raise TypeError(f"a chain's body holds text, integers, true, false, null, lists, objects, not {type(value)}")


def link(tag: str, n: int, previous: str, body: bytes) -> str:
    """The hash (hex) of record `n` of chain `tag`: SHA-256 over three lines (tag, number, the hash before) and body."""
    return hashlib.sha256(f"{tag}\n{n}\n{previous}\n".encode() + body).hexdigest()

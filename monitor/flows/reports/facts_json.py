"""The facts of a report as canonical JSON, and back: keys sorted, UTF-8, integers and texts, no white space.

Equal facts give equal bytes, whatever database they came from (docs/reports.md, Facts).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import msgspec

from monitor.core.report import ReportFacts
from monitor.errors import MonitorError

#: The version of the shape, `v`: raised where a program that knows the former one would misread it.
VERSION = 1
#: How many members of a long list are encoded at a time.
_AT_ONCE = 2_000

_encode = msgspec.json.Encoder(order="sorted").encode
_decoder = msgspec.json.Decoder(ReportFacts)


def dump(facts: ReportFacts) -> bytes:
    """The report's JSON, whole."""
    return b"".join(chunks(facts))


def chunks(facts: ReportFacts) -> Iterator[bytes]:
    """The same piece by piece: a large county's is hundreds of megabytes."""
    before = b"{"
    for name in sorted(field.name for field in fields(facts)):
        value = getattr(facts, name)
        yield before + _encode(name) + b":"
        before = b","
        if not isinstance(value, list | tuple) or len(value) <= _AT_ONCE:
            yield _encode(value)
            continue
        for i in range(0, len(value), _AT_ONCE):
            yield (b"," if i else b"[") + _encode(value[i : i + _AT_ONCE])[1:-1]
        yield b"]"
    yield b"}"


def read(data: bytes) -> ReportFacts:
    """What `dump` gave. Raises MonitorError for what is none, or of a later version."""
    try:
        facts = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MonitorError(f"no facts of a report: {error}") from None
    if facts.v != VERSION:
        raise MonitorError(f"facts of a report: this program reads version {VERSION}, found {facts.v}")
    return facts

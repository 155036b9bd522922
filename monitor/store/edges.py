"""Edges as JSON text: earliest, latest, how, and the evidence before and after."""

from __future__ import annotations

import msgspec

from monitor.core.timeline import Edge

_decoder = msgspec.json.Decoder(list)


def to_text(edge: Edge | None) -> str | None:
    return msgspec.json.encode(edge).decode() if edge is not None else None


def from_text(text: str | None) -> Edge | None:
    return Edge(*_decoder.decode(text)) if text else None

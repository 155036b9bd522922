"""Where the evidence of an edge stands in the log, as long as the log is kept: file, line and byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from monitor.clock import from_iso
from monitor.core.days import Day
from monitor.core.explaining import Part, heard
from monitor.core.explanation import LineFacts
from monitor.core.sites import HEARTBEATS
from monitor.core.timeline import Edge
from monitor.evidence.reading import open_log, plain_name
from monitor.flows.days import CLOSED

_CHECK_VIA = {via: check for check, via in HEARTBEATS.items()}


class Wanted(NamedTuple):
    """A piece of evidence by when it came in (ms); `check` as `LineFacts` has it."""

    terminal: str
    check: str
    at: int


def of_parts(terminal: str, check: str, channel: str, parts: Iterable[Part]) -> Iterator[Wanted]:
    """What the edges of a check's spans stand on."""
    for part in parts:
        if part.edge is not None:
            yield from of_edge(terminal, check, channel, part.edge, part.begun)


def of_edge(terminal: str, check: str, channel: str, edge: Edge, begun: int) -> Iterator[Wanted]:
    """What one edge stands on: beats, wills, results, or the loss of the channel."""
    if edge.how == "channel":
        yield Wanted("", channel, begun)
    for evidence in (edge.before, edge.after):
        kind, instants = heard(evidence)
        yield from (Wanted(terminal, f"will-{channel}" if kind == "end" else check, at) for at in instants)


def find(
    folder: Path, observers: Collection[str], day_of: Callable[[int], Day], site: str, wanted: Collection[Wanted]
) -> tuple[list[LineFacts], list[str]]:
    """The lines that are still there, and the files that are not, in order. Raises MonitorError for a damaged log."""
    by_day: dict[str, set[Wanted]] = {}
    for one in wanted:
        by_day.setdefault(day_of(one.at)[0], set()).add(one)
    found: list[LineFacts] = []
    missing: list[str] = []
    for day, mine in sorted(by_day.items()):
        for observer in observers:
            name = f"{observer}-{day}.jsonl"
            path = next((p for p in (folder / name, folder / f"{observer}-{day}{CLOSED}") if p.exists()), None)
            if path is None:
                missing.append(name)
            else:
                found += _in_file(path, site, mine)
    return sorted(found, key=lambda line: (line.at, line.file, line.number)), missing


def _in_file(path: Path, site: str, wanted: set[Wanted]) -> Iterator[LineFacts]:
    name, offset, left = plain_name(path), 0, set(wanted)
    own, channel = json.dumps(site, ensure_ascii=False).encode(), b'"channel"'
    channels = any(not w.terminal for w in wanted)
    with open_log(path) as stream:
        for number, data in enumerate(stream, 1):
            if own in data or (channels and channel in data):
                for one in _said(data, site):
                    if one in left:
                        left.discard(one)
                        yield LineFacts(one.terminal, one.check, one.at, name, number, offset)
            if not left:
                return
            offset += len(data)


def _said(data: bytes, site: str) -> Iterator[Wanted]:
    """What a line of the log is evidence of, for this site."""
    try:
        line: dict[str, Any] = json.loads(data)
        at = from_iso(line["at"])
    except (ValueError, KeyError):
        return  # a torn end
    if line.get("site", site) != site:
        return
    match line.get("type"):
        case "heartbeat":
            yield Wanted(line["terminal"], _CHECK_VIA[line["via"]], at)
        case "will":
            yield Wanted(line["terminal"], f"will-{line.get('via', 'mqtt')}", at)
        case "probe":
            yield Wanted(line["terminal"], line["check"], at)
        case "channel" if line["event"] == "lost":
            since = line.get("since")
            yield Wanted("", line["channel"], at if since is None else from_iso(since))

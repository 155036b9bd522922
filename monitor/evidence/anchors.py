"""Anchors: the newest heads of the chains, in a file outside the database to which lines are only ever added.

One JSON object a line: `{"at": "2026-10-01T00:00:05Z", "tag": "audit", "n": 17, "hash": "..."}`, and
`{"at": "...", "mailed": "2026-10-01"}` where the day's message reached the mail server.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from monitor.core.walk import Anchor
from monitor.errors import MonitorError


class Anchors(NamedTuple):
    """What a file of anchors says: all heads in the order of writing, and the last day whose message was sent."""

    heads: tuple[Anchor, ...] = ()
    mailed: str = ""
    torn: int = 0  # lines that cannot be read

    def of(self, tag: str) -> Mapping[int, Anchor]:
        """A chain's, by number. Of several that disagree the oldest counts: it was written first."""
        found: dict[int, Anchor] = {}
        for anchor in self.heads:
            if anchor.tag == tag:
                found.setdefault(anchor.n, anchor)
        return found

    def newest(self) -> dict[str, Anchor]:
        """The last one written of each chain."""
        return {anchor.tag: anchor for anchor in self.heads}


def read(path: Path) -> Anchors:
    """What stands in the file; nothing where there is none. A line that a crash tore is counted, not believed.

    Raises MonitorError where the file cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return Anchors()
    except OSError as error:
        raise MonitorError(f"{path}: cannot be read: {error.strerror}") from None
    heads: list[Anchor] = []
    mailed, torn = "", 0
    for line in lines:
        try:
            said = json.loads(line)
            if "mailed" in said:
                mailed = max(mailed, str(said["mailed"]))
            else:
                heads.append(Anchor(str(said["at"]), str(said["tag"]), int(said["n"]), str(said["hash"])))
        except (ValueError, KeyError, TypeError):
            torn += bool(line.strip())
    return Anchors(tuple(heads), mailed, torn)


def add(path: Path, heads: Iterable[Anchor]) -> None:
    """Append heads, durably. Raises OSError."""
    _append(path, [anchor._asdict() for anchor in heads])


def add_mailed(path: Path, at: str, day: str) -> None:
    """Append that the message of `day` was sent. Raises OSError."""
    _append(path, [{"at": at, "mailed": day}])


def line(anchor: Anchor) -> str:
    """As it stands in the file."""
    return json.dumps(anchor._asdict(), ensure_ascii=False)


def _append(path: Path, said: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
    try:
        size = os.fstat(descriptor).st_size
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in said)
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            text = "\n" + text  # a crash tore the last line: ours must not become part of it
        data = text.encode()
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

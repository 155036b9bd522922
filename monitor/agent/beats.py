"""Beats, and those that wait for the line: bounded, the oldest go first."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from monitor import __version__


@dataclass(frozen=True, slots=True)
class Beat:
    """`fields`: as docs/interfaces.md has them, without site and terminal."""

    seq: int
    fields: Mapping[str, Any]

    def payload(self) -> bytes:
        return json.dumps(self.fields, separators=(",", ":")).encode()


class Heart:
    """Makes beats: a boot id that is new at every start, and a sequence that counts up within it."""

    def __init__(self) -> None:
        self.boot = secrets.token_hex(8)
        self._seq = 0

    def beat(self, services: Mapping[str, str]) -> Beat:
        fields: dict[str, Any] = {
            "boot": self.boot,
            "seq": self._seq,
            "sent_at": time.time_ns() // 1_000_000,
            "uptime_s": round(_uptime_s()),
            "version": f"agent {__version__}",
        }
        if services:
            fields["services"] = dict(services)
        self._seq += 1
        return Beat(fields["seq"], fields)


def _uptime_s() -> float:
    """The machine's. With the boot id, which is the agent's, it tells a restart of one from that of the other."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)  # Linux; the others' monotonic clock counts from the boot
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class Outbox:
    """What was not delivered yet. In memory: a beat of an earlier boot could not be judged late anyway, since a
    clock's error is learnt anew for every boot (docs/rules.md §2)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._beats: dict[int, Beat] = {}
        self._changed = threading.Condition()
        self._news = False
        self.dropped = 0
        self.stopping = False

    def __len__(self) -> int:
        return len(self._beats)

    def put(self, beat: Beat) -> None:
        with self._changed:
            self._beats[beat.seq] = beat
            while len(self._beats) > self._most:
                del self._beats[next(iter(self._beats))]
                self.dropped += 1
            self._wake()

    def some(self, most: int) -> list[Beat]:
        """The newest first: it says that the device lives now, and what it has counted since. Then the oldest."""
        with self._changed:
            self._news = False
            beats = list(self._beats.values())
        return beats[-1:] + beats[:-1][: most - 1]

    def remove(self, beats: Collection[Beat]) -> None:
        with self._changed:
            for beat in beats:
                self._beats.pop(beat.seq, None)

    def wait(self, seconds: float | None) -> None:
        """Until there is a new beat, or somebody calls `wake`, or so many seconds have passed."""
        with self._changed:
            if not self._news and not self.stopping:
                self._changed.wait(seconds)

    def sleep(self, seconds: float) -> None:
        """So many seconds, or until the end is near."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopping, seconds)

    def wake(self) -> None:
        with self._changed:
            self._wake()

    def stop(self) -> None:
        with self._changed:
            self.stopping = True
            self._wake()

    def _wake(self) -> None:
        self._news = True
        self._changed.notify_all()

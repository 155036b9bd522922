"""When a simulated device beats and what it says then; no network."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from monitor.clock import to_iso

VERSION = "fleet-1"
SERVICES = ("video_conference", "emergency", "publicity", "supervision", "learning")

#: Payloads that no parser may accept, nor fall over: cut off, not text, not an object, not a number, deep,
#: large.
RUBBISH: tuple[bytes, ...] = (
    b"{",
    b'{"boot": "a", "seq": ',
    b"\xff\xfe\x00{",
    b'{"boot": "\x00"',
    b"[1, 2, 3]",
    b'"beat"',
    b'{"seq": NaN}',
    b'{"seq": -1e400}',
    b'{"sent_at": "yesterday"}',
    b'{"services": {"video_conference": "perhaps"}}',
    b"[" * 600,
    b'{"version": "' + b"x" * 2_000 + b'"}',
)


@dataclass(slots=True)
class Heart:
    """The rhythm and the words of one device. Instants are ms UTC; beats are at `phase_ms` modulo I."""

    site: str
    terminal: str
    interval_ms: int
    rng: Random
    phase_ms: int = 0
    skew_ms: int = 0  # how far its clock is ahead
    boot: str = ""
    seq: int = 0
    booted_at: int | None = None
    services: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.phase_ms = self.rng.randrange(self.interval_ms)
        if self.terminal == "pc":
            self.services = {s: self.rng.choices(("ok", "fail", "na"), (96, 2, 2))[0] for s in SERVICES}
        self.reboot()

    def reboot(self) -> None:
        """Another boot id; the count starts anew."""
        self.boot = f"{self.rng.getrandbits(48):012x}"
        self.seq = 0
        self.booted_at = None

    def next_due(self, after: int) -> int:
        """The first instant later than `after` at which it beats."""
        return after + self.interval_ms - (after - self.phase_ms) % self.interval_ms

    def beat(self, now: int) -> dict[str, Any]:
        """The next beat, as its JSON object."""
        self.booted_at = now if self.booted_at is None else self.booted_at
        self.seq += 1
        said: dict[str, Any] = {
            "boot": self.boot,
            "seq": self.seq,
            "sent_at": to_iso(now + self.skew_ms),
            "uptime_s": (now - self.booted_at) // 1000,
            "version": VERSION,
        }
        return {**said, "services": self.services} if self.services else said

    def rubbish(self) -> bytes:
        return self.rng.choice(RUBBISH)


def encode(said: object) -> bytes:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()

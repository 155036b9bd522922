"""A stand-in for flows.observe.Observer: writes down what it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitor.clock import Clock
from monitor.flows.observe import Told


@dataclass
class Recorder:
    """`answers`: what a method answers for a (site, terminal); None otherwise."""

    clock: Any = field(default_factory=Clock)
    beats: list[dict[str, Any]] = field(default_factory=list)
    wills: list[tuple[str, str, str, bool]] = field(default_factory=list)
    results: list[tuple[str, str, str, bool, float, str]] = field(default_factory=list)
    certificates: dict[tuple[str, str, str], int] = field(default_factory=dict)
    channel: list[tuple[str, str, int | None]] = field(default_factory=list)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    answers: dict[tuple[str, str], str] = field(default_factory=dict)

    def heartbeat(
        self,
        site: str,
        terminal: str,
        via: str,
        *,
        sent_at: int | None = None,
        boot: str | None = None,
        seq: int | None = None,
        services: Mapping[str, str] | None = None,
    ) -> str | None:
        if reason := self.answers.get((site, terminal)):
            return reason
        self.beats.append(
            {"site": site, "terminal": terminal, "via": via}
            | {"sent_at": sent_at, "boot": boot, "seq": seq, "services": services}
        )
        return None

    def heartbeats(self, via: str, beats: Sequence[Told]) -> list[str | None]:
        return [
            self.heartbeat(b.site, b.terminal, via, sent_at=b.sent_at, boot=b.boot, seq=b.seq, services=b.services)
            for b in beats
        ]

    def will(self, site: str, terminal: str, via: str, *, goodbye: bool = False) -> str | None:
        if reason := self.answers.get((site, terminal)):
            return reason
        self.wills.append((site, terminal, via, goodbye))
        return None

    def result(
        self,
        site: str,
        terminal: str,
        check: str,
        ok: bool,
        *,
        duration_s: float,
        detail: str = "",
        certificate_expiry: int | None = None,
    ) -> str | None:
        self.results.append((site, terminal, check, ok, duration_s, detail))
        if certificate_expiry is not None:
            self.certificates[site, terminal, check] = certificate_expiry
        return None

    def alive(self, channel: str) -> None:
        self.channel.append((channel, "alive", None))

    def lost(self, channel: str, since: int | None = None) -> None:
        self.channel.append((channel, "lost", since))

    def restored(self, channel: str) -> None:
        self.channel.append((channel, "restored", None))

    def knows(self, site: str, terminal: str) -> bool:
        return True

    def refuse(self, via: str, reason: str) -> str:
        self.refused[via, reason] += 1
        return reason

    def count(self, event: str) -> int:
        return sum(1 for _, what, _ in self.channel if what == event)

    @property
    def who(self) -> list[tuple[str, str]]:
        return [(b["site"], b["terminal"]) for b in self.beats]

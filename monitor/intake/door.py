"""What this room needs of `flows.observe.Observer`; tests hand in something smaller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from monitor.flows.observe import Told

#: Refusals that are our own trouble: whoever was refused should come again soon.
OUR_TROUBLE = frozenset({"clock_behind", "log_full"})


class Now(Protocol):
    """A clock: milliseconds since the epoch, UTC."""

    def now(self) -> int: ...


class Door(Protocol):
    """The door for evidence: synchronous, quick, on the loop; answers None or the reason of a refusal."""

    @property
    def clock(self) -> Now: ...

    def knows(self, site: str, terminal: str) -> bool: ...

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
    ) -> str | None: ...

    def heartbeats(self, via: str, beats: Sequence[Told]) -> list[str | None]: ...

    def will(self, site: str, terminal: str, via: str, *, goodbye: bool = False) -> str | None: ...

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
    ) -> str | None: ...

    def alive(self, channel: str) -> None: ...

    def lost(self, channel: str, since: int | None = None) -> None: ...

    def restored(self, channel: str) -> None: ...

    def refuse(self, via: str, reason: str) -> str: ...

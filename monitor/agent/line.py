"""A way to the monitor, and how long to wait after it failed."""

from __future__ import annotations

import random
import ssl
from collections.abc import Sequence
from typing import Protocol

from monitor.agent.beats import Beat

#: Beats a second of what has waited. The service takes 10 a second of a device, and 1,000 at once.
PER_S = 5
#: Seconds until an answer must have come.
ANSWER_S = 10.0
FIRST_S = 1.0
MOST_S = 60.0


class LineDown(Exception):
    """Nothing gets through just now; the text says why."""


class Line(Protocol):
    """`batch`: most beats of one `send`. Everything raises LineDown."""

    batch: int

    def open(self) -> None: ...

    def send(self, beats: Sequence[Beat]) -> Sequence[Beat]:
        """Answers those that must be sent again later; the others were taken, or never will be."""

    def check(self) -> None:
        """Raises LineDown where the line has ended meanwhile."""

    def goodbye(self) -> None:
        """Say that it is switched off on purpose 主动关机, and leave."""

    def close(self) -> None:
        """Leave without a word; does nothing where nothing is open, never raises."""


def delay(failures: int, most_s: float = MOST_S) -> float:
    """Seconds after so many failures in a row: doubled up to the cap, ± 25 %, so that devices do not come as one."""
    base = min(most_s, MOST_S, FIRST_S * 2.0 ** min(failures - 1, 16))
    return base * random.uniform(0.75, 1.25)  # noqa: S311  # nobody gains by guessing it


def trust(ca_file: str) -> ssl.SSLContext:
    """TLS 1.2 or newer, the server's name and certificate checked. Raises LineDown for a file that is none."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise LineDown(f"ca_file: expected a PEM file of certificates, not {ca_file}: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

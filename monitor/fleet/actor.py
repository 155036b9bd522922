"""One terminal on the stage: all the ways in which it shows itself, and the truth about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from monitor.clock import Clock
from monitor.fleet.device import Face
from monitor.fleet.script import Cast, Episode, Fault
from monitor.fleet.truth import Down


class Actor:
    """Down while there is a reason to be: its own script, a power cut at its site, its township's line.

    `tell` receives each real outage when it is over, or at the end.
    """

    def __init__(self, cast: Cast, faces: Sequence[Face], clock: Clock, tell: Callable[[Down], None]) -> None:
        self.cast = cast
        self.faces = tuple(faces)
        self._clock = clock
        self._tell = tell
        self._reasons: set[str] = set()
        self._since = 0

    @property
    def is_down(self) -> bool:
        return bool(self._reasons)

    def down(self, reason: str, fault: Fault) -> None:
        """A further reason while it is down changes nothing but when it ends."""
        if not self._reasons:
            self._since = self._clock.now()
            for face in self.faces:
                face.fail(fault)
        self._reasons.add(reason)

    def up(self, reason: str) -> None:
        """It recovers when the last reason has gone."""
        if reason not in self._reasons:
            return
        self._reasons.discard(reason)
        if not self._reasons:
            self._tell(Down(self.cast.site, self.cast.terminal, self._since, self._clock.now()))
            for face in self.faces:
                face.recover()

    def begin(self, episode: Episode) -> None:
        """What its own script says, from here on."""
        if episode.is_down:
            self.down("script", episode.fault)
        else:
            self._odd(episode, True)

    def end(self, episode: Episode) -> None:
        if episode.is_down:
            self.up("script")
        else:
            self._odd(episode, False)

    def mute(self, on: bool) -> None:
        """The monitor cannot hear it; it lives, so this is no part of the truth."""
        for face in self.faces:
            face.mute(on)

    def finish(self) -> None:
        """The play is over: what is down stays down, and the truth says so."""
        if self._reasons:
            self._tell(Down(self.cast.site, self.cast.terminal, self._since, None))
            self._reasons.clear()

    def _odd(self, episode: Episode, on: bool) -> None:
        for face in self.faces:
            face.odd(episode.fault, on, episode.amount_ms)

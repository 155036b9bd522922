"""Channels 通道: when the monitor could have received evidence at all (docs/rules.md §1).

A loss has a place among the evidence of its instant: one without a `since` lies before it, one that stands at its
`since` after it. Places are integers, twice the instant plus one for "after", so that order is plain comparison;
evidence at t stands between 2t and 2t + 1.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from monitor.core.timeline import BEGINNING


class Channel:
    """The losses and restores of one channel, oldest first. Before its first restore it is lost.

    Losses are numbered from 0, the time before the first restore. The lists begin with number `dropped`: what is older
    was forgotten.
    """

    __slots__ = ("dropped", "evidence_at", "first", "is_lost", "life", "losses", "name", "restores", "told", "variants")

    def __init__(self, name: str) -> None:
        self.name = name
        self.losses: list[int] = [2 * BEGINNING]  # places
        self.restores: list[int] = []  # instants; restores[i] ends the loss at losses[i]
        self.first: int | None = None  # the first restore
        self.dropped = 0
        self.told = 0  # losses up to this number were written down; nothing else may be forgotten
        self.variants: list[Variant] = []  # as checks see it whose rows changed lately
        self.is_lost = True  # fewer restores than losses
        self.evidence_at = BEGINNING  # last evidence or restore: no later loss can stand before it
        self.life = BEGINNING  # observed at every instant up to here, unless `losses` says otherwise

    @property
    def lost_at(self) -> int | None:
        """The instant of the loss that goes on, None while the channel is observed or was never restored."""
        return self.losses[-1] >> 1 if self.is_lost and self.first is not None else None

    def restore(self, at: int) -> bool:
        """Observed from `at` on. False if it already was: then it only is a sign of life."""
        self.life = max(self.life, at)
        for variant in self.variants:
            variant.restore(at)
        if not self.is_lost:
            return False
        self.restores.append(at)
        if self.first is None:
            self.first = at
        self.is_lost = False
        self.evidence_at = at
        return True

    def lose(self, at: int, since: int | None) -> bool:
        """A loss noticed at `at`. False if nothing changes (already lost, and not from an earlier instant)."""
        for variant in self.variants:
            variant.lose(at, since)
        stands = at if since is None else max(min(since, at), self.evidence_at)
        place = 2 * stands + (stands < at)
        if not self.is_lost:
            self.losses.append(place)
            self.is_lost = True
        elif self.first is not None and since is not None and place < self.losses[-1]:
            self.losses[-1] = place
        else:
            return False
        self.life = place >> 1
        return True

    def next_loss(self, after: int) -> int | None:
        """Index of the first loss whose place is greater than `after`."""
        i = bisect_right(self.losses, after)
        return i if i < len(self.losses) else None

    def loss_at(self, instant: int) -> int:
        """Index of the last loss that stands at `instant` or before."""
        return bisect_right(self.losses, 2 * instant + 1) - 1

    def gap_at(self, instant: int, received: int) -> bool:
        """Was the channel not observed at `instant`, after its first restore? At a loss it was not (§2, late beats).

        What was `received` restores the channel, so a loss that goes on ends there.
        """
        if self.first is None or instant <= self.first:
            return False
        i = self.loss_at(instant)
        end = self.restores[i] if i < len(self.restores) else received
        return self.losses[i] >> 1 == instant or instant < end

    def history(self, first: int = 0) -> list[tuple[int, int | None]]:
        """(lost, restored) of the losses from number `first` on (or the oldest that is known), ms."""
        i = max(0, first - self.dropped)
        ends: list[int | None] = [*self.restores[i:]]
        if self.is_lost:
            ends.append(None)
        return [(place >> 1, end) for place, end in zip(self.losses[i:], ends, strict=True)]

    def number_at(self, instant: int) -> int:
        """The number of the oldest loss that a question about `instant`, or anything later, has to do with."""
        return self.dropped + self.loss_at(instant)

    def forget(self, number: int) -> None:
        """Let go of the losses before this number, as far as they were written down."""
        i = min(number, self.told) - self.dropped
        if i > 0:
            del self.losses[:i]
            del self.restores[:i]
            self.dropped += i

    def state(self) -> list[Any]:
        """Everything, as plain values, for a checkpoint."""
        return [self.losses, self.restores, self.evidence_at, self.life, self.first, self.dropped]

    def load(self, state: list[Any]) -> None:
        """Take over what `state` gave."""
        losses, restores, self.evidence_at, self.life, self.first, self.dropped = state
        self.losses, self.restores = list(losses), list(restores)
        self.is_lost = len(self.restores) < len(self.losses)


class Variant(Channel):
    """A channel as a check sees it whose row changed: for it, the time of another row is time that was not observed.

    So the end of a row is a loss from the channel's last sign of life on, the beginning of the next one a restore. What
    happens to the channel from then on happens to its variants, too; `ended` ones saw the end of a row without a next.
    """

    __slots__ = ("_since", "main")

    def __init__(self, main: Channel, since: int) -> None:
        self.main = main
        self._since = since
        super().__init__(main.name)
        self.told = 1 << 60  # nobody writes it down

    @classmethod
    def changed(cls, before: Channel, main: Channel, at: int, *, ended: bool) -> Variant:
        """Of `before` (the channel or a variant of it), for a row that ends at `at` (ms)."""
        # A loss that went on meanwhile may still turn out to have begun earlier, also for the row before.
        since = at if not before.is_lost else before._since if isinstance(before, Variant) else BEGINNING
        new = cls(main, since)
        new.losses, new.restores, new.first = list(before.losses), list(before.restores), before.first
        new.is_lost, new.dropped = before.is_lost, before.dropped
        if not new.is_lost:
            # Nothing proves that it was observed since then. What it did prove stands: an outage that was confirmed
            # by nothing but signs of life goes on until the row ends, and does not come to nothing with it.
            new.losses.append(2 * main.life + (main.life < at))
            new.is_lost = ended
            if not ended:
                new.restores.append(at)
        if not ended:
            main.variants.append(new)
        return new

    @classmethod
    def begun(cls, main: Channel, at: int) -> Variant:
        """For a row that begins at `at` (ms), where there was none."""
        new = cls(main, at)
        if not main.is_lost:
            new.restore(at)
        main.variants.append(new)
        return new

    @property
    def life(self) -> int:
        return self.main.life

    @life.setter
    def life(self, at: int) -> None:
        """The channel's own."""

    @property
    def evidence_at(self) -> int:
        return max(self.main.evidence_at, self._since)

    @evidence_at.setter
    def evidence_at(self, at: int) -> None:
        """The channel's own."""

    def state(self) -> list[Any]:
        """Everything, as plain values, for a checkpoint."""
        return [self.losses, self.restores, self._since, self.first, self.dropped]

    def load(self, state: list[Any]) -> None:
        """Take over what `state` gave."""
        losses, restores, self._since, self.first, self.dropped = state
        self.losses, self.restores = list(losses), list(restores)
        self.is_lost = len(self.restores) < len(self.losses)

"""What the first beat after an outage says of its cause."""

from __future__ import annotations

from typing import Any

import pytest

from monitor.core.cause import cause_of
from monitor.core.timeline import Edge

S = 1000


def back(before: tuple[Any, Any] | None, after: tuple[Any, Any], away_s: int = 600) -> Edge:
    """Boot and seq either side of a silence."""
    first = [0, None, "mqtt", *before] if before else None
    return Edge(0, away_s * S, "beat", first, [away_s * S, None, "mqtt", *after])


@pytest.mark.parametrize(
    ("edge", "cause"),
    [
        (back(("a", 7), ("a", 17)), "line"),  # all beats of ten minutes were made
        (back(("a", 7), ("a", 13)), "line"),  # more than half of them
        (back(("a", 7), ("a", 8)), "standstill"),  # it slept
        (back(("a", 7), ("a", 10)), "standstill"),  # it slept most of the time
        (back(("a", 7), ("b", 0)), "restart"),
        (back(("a", 7), ("a", 7)), ""),  # the same once more
        (back(("a", 7), ("a", 2)), ""),  # late ones of before
        (back((None, None), (None, None)), ""),  # it tells neither
        (back(("a", None), ("a", None)), ""),
        (back(None, ("a", 1)), ""),
        (Edge(0, 1, "ok", [0], [1]), ""),  # a probe
        (Edge(0, 1, "beat", [0, 0, 0], [1, 1, 1]), ""),  # evidence of another form
        (None, ""),
    ],
)
def test_the_cause_of_an_outage(edge: Edge | None, cause: str) -> None:
    assert cause_of(edge, 60 * S) == cause

"""People who act in tests of flows."""

from __future__ import annotations

from monitor.core.access import Actor, Role

OPERATOR = Actor("lihua", frozenset({Role.OPERATOR}))
OF_T1 = Actor("wang", frozenset({Role.OPERATOR}), frozenset({"T1"}))
VIEWER = Actor("guest", frozenset({Role.VIEWER}))

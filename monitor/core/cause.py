"""What the first beat after an outage says of it: whether the device lived all the while 设备在线、线路中断.

The rules do not ask (an outage is one, whatever its cause); people who are sent there do.
"""

from __future__ import annotations

from typing import Literal

from monitor.core.timeline import Edge

Cause = Literal["line", "restart", "standstill", ""]
#: Of a beat's evidence: received, sent, via, boot, seq (Engine.beat).
_FIELDS = 5


def cause_of(end: Edge | None, interval_ms: int) -> Cause:
    """From the edge at which a terminal came back; `interval_ms`: of its heartbeat check.

    `line`: same boot, and it has counted at least half of the beats that were due: they could not get through.
    `restart`: another boot. `standstill`: same boot, fewer beats: it slept or hung. "": nothing can be said.
    """
    if end is None or end.how != "beat" or end.before is None or end.after is None:
        return ""
    if len(end.before) != _FIELDS or len(end.after) != _FIELDS:
        return ""
    before_at, _, _, before_boot, before_seq = end.before
    after_at, _, _, after_boot, after_seq = end.after
    if before_boot is None or after_boot is None:
        return ""
    if before_boot != after_boot:
        return "restart"
    if before_seq is None or after_seq is None or after_seq <= before_seq:
        return ""
    missed = after_seq - before_seq - 1
    return "line" if 2 * missed * interval_ms >= after_at - before_at - interval_ms > 0 else "standstill"

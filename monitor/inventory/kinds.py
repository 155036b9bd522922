"""The kinds of checks that checks.csv may name, and the form of what each one watches.

A new kind of probe is one line in CHECKS (and one function in intake/probes/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from monitor.inventory.targets import a_host, an_http_url, host_and_port, https_target, sip_target, snmp_target


@dataclass(frozen=True, slots=True)
class CheckKind:
    """`heartbeat`: needs grace_s, else failures. `target`: reads it or raises ValueError; None: has none."""

    heartbeat: bool
    target: Callable[[str], object] | None = None


CHECKS: Mapping[str, CheckKind] = {
    "heartbeat-mqtt": CheckKind(heartbeat=True),
    "heartbeat-http": CheckKind(heartbeat=True),
    "icmp": CheckKind(heartbeat=False, target=a_host),
    "tcp": CheckKind(heartbeat=False, target=host_and_port),
    "http": CheckKind(heartbeat=False, target=an_http_url),
    "https": CheckKind(heartbeat=False, target=https_target),
    "snmp": CheckKind(heartbeat=False, target=snmp_target),
    "sip": CheckKind(heartbeat=False, target=sip_target),
}

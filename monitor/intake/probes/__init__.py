"""Active probes: one function a kind, and one dict. A new kind is a file and a line here.

A probe answers whether the target is there, within its time. The caller sets the clock and the limit. A probe
that cannot work at all (no permission, no sockets left) raises ProbeUnavailable: our failure is no evidence
against a target.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from monitor.errors import MonitorError
from monitor.intake.probes.http import probe_http
from monitor.intake.probes.https import probe_https
from monitor.intake.probes.icmp import Told, ask_icmp, probe_icmp
from monitor.intake.probes.sip import probe_sip
from monitor.intake.probes.snmp import probe_snmp
from monitor.intake.probes.tcp import probe_tcp
from monitor.intake.probes.tools import ProbeResult, ProbeUnavailable, Tools, own_fault
from monitor.inventory.kinds import CHECKS

#: Tools (shared sockets), the target as in checks.csv, and the limit in seconds.
Probe = Callable[[Tools, str, float], Awaitable[ProbeResult]]

PROBES: Mapping[str, Probe] = {
    "icmp": probe_icmp,
    "tcp": probe_tcp,
    "http": probe_http,
    "https": probe_https,
    "snmp": probe_snmp,
    "sip": probe_sip,
}

#: Kinds that can be asked without a task: (tools, target, limit, who is told) to a function that asks, each time that
#: it is called; None where this target needs a `Probe`.
Asker = Callable[[Tools, str, float, Told], Callable[[], None] | None]

ASKERS: Mapping[str, Asker] = {"icmp": ask_icmp}

__all__ = [
    "ASKERS",
    "PROBES",
    "Probe",
    "ProbeResult",
    "ProbeUnavailable",
    "Tools",
    "asker",
    "check_target",
    "probe",
    "probe_target",
]


def asker(tools: Tools, check: str, target: str, timeout_s: float, told: Told) -> Callable[[], None] | None:
    """How to probe without a task, where that is possible: a function that asks, whose results `told` hears. Asking and
    this raise ProbeUnavailable."""
    found = ASKERS.get(check)
    asking = found(tools, target, timeout_s, told) if found is not None else None
    if asking is None:
        return None

    def ask() -> None:
        try:
            asking()
        except OSError as error:
            told(_failure(check, error))

    return ask


async def probe(tools: Tools, check: str, target: str, timeout_s: float) -> ProbeResult:
    """One probe within its time. Raises ProbeUnavailable; a target's failure is a result."""
    try:
        async with asyncio.timeout(timeout_s):
            return await PROBES[check](tools, target, timeout_s)
    except TimeoutError:
        return ProbeResult(False, "no answer in time")
    except OSError as error:
        return _failure(check, error)


def _failure(check: str, error: OSError) -> ProbeResult:
    """What an error says of the target. Raises ProbeUnavailable where it says something of us."""
    if own_fault(error):
        raise ProbeUnavailable(f"{check}: {error.strerror or error}") from None
    return ProbeResult(False, error.strerror or str(error) or type(error).__name__)


def check_target(check: str, target: str) -> None:
    """Raises MonitorError, with what was expected, for a target that this kind of probe cannot mean."""
    read = CHECKS[check].target
    if read is None:
        raise MonitorError(f"expected a probe, not {check}")
    try:
        read(target)
    except ValueError as error:
        raise MonitorError(str(error)) from None


async def probe_target(tools: Tools, text: str, timeout_s: float) -> ProbeResult:
    """A canary: `icmp:10.0.0.1`, `tcp:10.0.0.2:53`. Raises MonitorError for text that is no such target."""
    check, colon, target = text.partition(":")
    if check not in PROBES or not colon:
        raise MonitorError(f"expected one of {', '.join(PROBES)}, a colon and a target, not {text!r}")
    check_target(check, target)
    return await probe(tools, check, target, timeout_s)

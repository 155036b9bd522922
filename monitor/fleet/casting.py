"""Who plays what: from the inventory that the service reads to actors, their devices and their targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random

import aiohttp

from monitor.clock import Clock
from monitor.core.sites import UPLINK, Check, Inventory, Terminal
from monitor.errors import MonitorError
from monitor.fleet.device import Face
from monitor.fleet.heart import Heart
from monitor.fleet.http_device import HttpDevice
from monitor.fleet.mqtt_device import BrokerAddress, MqttDevice
from monitor.fleet.script import Behaviour, Cast
from monitor.fleet.targets import HttpTarget, TcpTarget, address_of

Key = tuple[str, str]

#: Probes of these kinds can be answered, and refused, on a loopback address. ICMP cannot: the kernel always
#: answers.
TARGETS: Mapping[str, type[TcpTarget]] = {"tcp": TcpTarget, "http": HttpTarget}
_SPEAKING = (Behaviour.PLAIN, Behaviour.BIRTH, Behaviour.WILL, Behaviour.BOTH)


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the service listens. `http`: its base address; `tokens`: by `site/terminal`."""

    broker: BrokerAddress
    http: str
    tokens: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all devices of a fleet share."""

    doors: Doors
    session: aiohttp.ClientSession
    clock: Clock
    tally: Counter[str]
    seed: int


def exists(terminal: Terminal, inventory: Inventory, today: date) -> bool:
    """Whether the device is there at all: not before it is commissioned 未接入, not after it is retired."""
    site = inventory.sites[terminal.site_id]
    starts = [d for d in (site.commissioned_on, terminal.commissioned_on) if d is not None]
    ends = [d for d in (site.retired_on, terminal.retired_on) if d is not None]
    return all(d <= today for d in starts) and all(today < d for d in ends)


def cast_of(terminal: Terminal, checks: Sequence[Check], seed: int, behaviours: Mapping[Key, Behaviour]) -> Cast:
    """A terminal's part. Its behaviour is drawn by the seed where it is not given."""
    via = next((c.channel for c in checks if c.is_heartbeat), "probe")
    drawn = Behaviour.PROBE
    if via != "probe":
        drawn = Random(f"behaviour/{seed}/{terminal.site_id}/{terminal.kind}").choice(_SPEAKING)
    return Cast(terminal.site_id, terminal.kind, via, behaviours.get(terminal.key, drawn))


def playable(check: Check) -> bool:
    return check.is_heartbeat or check.check in TARGETS


def face_of(check: Check, cast: Cast, shop: Workshop) -> Face:
    """The device or the target behind one check. Raises MonitorError without a token or a
    loopback address."""
    if not check.is_heartbeat:
        return target_of(check, shop.tally)
    name = f"{check.site_id}/{check.terminal}"
    token = shop.doors.tokens.get(name)
    if token is None:
        raise MonitorError(f"no token for {name}: expected one in the tokens file")
    heart = Heart(check.site_id, check.terminal, check.interval_ms, Random(f"heart/{shop.seed}/{name}/{check.check}"))
    if check.channel == "mqtt":
        return MqttDevice(heart, cast.behaviour, shop.clock, shop.tally, shop.doors.broker, token)
    return HttpDevice(heart, cast.behaviour, shop.clock, shop.tally, shop.session, shop.doors.http, token)


def target_of(check: Check, tally: Counter[str]) -> TcpTarget:
    host, port = address_of(check.target)
    return TARGETS[check.check](host, port, tally)


def uplinks_of(inventory: Inventory, tally: Counter[str]) -> dict[str, list[TcpTarget]]:
    """The lines of townships that have a check of their own, by township code."""
    lines: dict[str, list[TcpTarget]] = {}
    for check in inventory.checks.values():
        if check.terminal == UPLINK and check.check in TARGETS:
            code = inventory.sites[check.site_id].township_code
            lines.setdefault(code, []).append(target_of(check, tally))
    return lines


def canaries_of(targets: Iterable[str], tally: Counter[str]) -> list[TcpTarget]:
    """Those canaries that a fleet can be: `tcp:127.a.b.c:port`, but not somebody else's on 127.0.0.1."""
    found: list[TcpTarget] = []
    for target in targets:
        kind, _, address = target.partition(":")
        if kind in TARGETS and "127." in address and "127.0.0.1:" not in address:
            found.append(TARGETS[kind](*address_of(address), tally))
    return found

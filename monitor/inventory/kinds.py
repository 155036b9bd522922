"""The kinds of checks that checks.csv may name, and the form of what each one watches.

A new kind of probe is one line in CHECKS (and one function in intake/probes/).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from monitor.inventory.cells import shown

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class CheckKind:
    """`heartbeat`: needs grace_s, else failures. `target`: reads it or raises ValueError; None: has none."""

    heartbeat: bool
    target: Callable[[str], object] | None = None


def a_host(text: str) -> str:
    """A host name or an IP address; IPv6 in brackets or without. Raises ValueError."""
    try:
        return str(ipaddress.ip_address(text[1:-1] if text.startswith("[") and text.endswith("]") else text))
    except ValueError:
        pass
    labels = text.removesuffix(".").split(".")
    # What ends in digits is meant as an address (10.0.0.256), never as a name.
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise ValueError(f"expected a host name or an IP address, found {shown(text)}")
    return text


def host_and_port(text: str) -> tuple[str, int]:
    """`host:port`, `[2001:db8::1]:443`. Raises ValueError."""
    match = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]+):(\d{1,5})", text, re.ASCII)
    if not match or not 1 <= int(match[2]) <= _MAX_PORT:
        raise ValueError(f"expected host:port such as 10.0.0.1:80, found {shown(text)}")
    return a_host(match[1]), int(match[2])


def an_http_url(text: str) -> str:
    """`http://host[:port]/path`. Raises ValueError."""
    expected = f"expected an address such as http://10.0.0.1:8080/health, found {shown(text)}"
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme != "http" or not host or port == 0 or re.search(r"[\s\x00-\x1f]", text):
        raise ValueError(expected)
    try:
        a_host(host)
    except ValueError:
        raise ValueError(expected) from None
    return text


CHECKS: Mapping[str, CheckKind] = {
    "heartbeat-mqtt": CheckKind(heartbeat=True),
    "heartbeat-http": CheckKind(heartbeat=True),
    "icmp": CheckKind(heartbeat=False, target=a_host),
    "tcp": CheckKind(heartbeat=False, target=host_and_port),
    "http": CheckKind(heartbeat=False, target=an_http_url),
}

"""What a probe may be pointed at, by kind: the form of `target` in checks.csv, for the inventory and for probes.

Each function raises ValueError with what was expected and what stands there.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from monitor.inventory.cells import shown

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_HOST_PORT = re.compile(r"(\[[^\]]+\]|[^:\[\]]+):(\d{1,5})", re.ASCII)
#: Printable ASCII without spaces. The last @ ends it.
_COMMUNITY = re.compile(r"[!-~]{1,64}")
#: RFC 3261 §25.1, `user`: nothing that could end a line or the address.
_SIP_USER = re.compile(r"[A-Za-z0-9_.!~*'()&=+$,;?/%-]{1,64}")
_MAX_PORT = 65_535
SNMP_PORT, SIP_PORT = 161, 5060
#: Ends the target of an https check whose certificate nobody has signed. A fragment is never sent.
NO_VERIFY = "noverify"


class HttpsTarget(NamedTuple):
    """`verify`: whether the certificate must be signed by somebody trusted, for this host and today."""

    url: str
    verify: bool


class SnmpTarget(NamedTuple):
    """`community` is a password of a kind: messages do not show it."""

    community: str
    host: str
    port: int


class SipTarget(NamedTuple):
    """`user` may be empty."""

    user: str
    host: str
    port: int


def a_host(text: str) -> str:
    """A host name or an IP address; IPv6 in brackets or without."""
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
    """`host:port`, `[2001:db8::1]:443`."""
    match = _HOST_PORT.fullmatch(text)
    if not match or not 1 <= int(match[2]) <= _MAX_PORT:
        raise ValueError(f"expected host:port such as 10.0.0.1:80, found {shown(text)}")
    return a_host(match[1]), int(match[2])


def an_http_url(text: str) -> str:
    """`http://host[:port]/path`."""
    return _url(text, "http", "http://10.0.0.1:8080/health")


def https_target(text: str) -> HttpsTarget:
    """`https://host[:port]/path`, with `#noverify` at the end to take any certificate."""
    url, mark, fragment = text.partition("#")
    if mark and fragment != NO_VERIFY:
        raise ValueError(f"expected #{NO_VERIFY} or nothing at the end of the address, found {shown(mark + fragment)}")
    return HttpsTarget(_url(url, "https", "https://10.0.0.1:8443/health"), not mark)


def snmp_target(text: str) -> SnmpTarget:
    """`[community@]host[:port]`; `public` and 161 where they are left out."""
    community, at, where = text.rpartition("@")
    if at and not _COMMUNITY.fullmatch(community):
        raise ValueError("expected an SNMP community of 1 to 64 letters, digits and signs before the @")
    return SnmpTarget(community or "public", *_host_maybe_port(where, SNMP_PORT))


def sip_target(text: str) -> SipTarget:
    """`host[:port]` or `sip:[user@]host[:port]`, over UDP; 5060 where the port is left out."""
    scheme, _, rest = text.partition(":")
    user, where = "", text
    if scheme.lower() == "sip":
        user, at, where = rest.rpartition("@")
        if at and not _SIP_USER.fullmatch(user):
            raise ValueError(f"expected a SIP user before the @, such as sip:room1@10.0.0.1, found {shown(text)}")
    return SipTarget(user, *_host_maybe_port(where, SIP_PORT))


def _url(text: str, scheme: str, example: str) -> str:
    expected = f"expected an address such as {example}, found {shown(text)}"
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme != scheme or not host or port == 0 or re.search(r"[\s\x00-\x1f]", text):
        raise ValueError(expected)
    try:
        a_host(host)
    except ValueError:
        raise ValueError(expected) from None
    return text


def _host_maybe_port(text: str, port: int) -> tuple[str, int]:
    # More than one colon and no bracket is an IPv6 address alone.
    if ":" not in text or text.endswith("]") or (text.count(":") > 1 and "[" not in text):
        return a_host(text), port
    return host_and_port(text)

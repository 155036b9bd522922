"""Tokens of devices, relays and pings (docs/security.md, Devices): what they look like and how they are stored.

A token is random, at least 128 bits, so a plain SHA-256 is enough to keep it: there is nothing to guess that
a slow hash would have to protect, and thousands of beats a second are checked with it. Randomness comes from
the caller (`secrets.token_bytes(TOKEN_BYTES)`): this room decides, it does not draw lots.
"""

from __future__ import annotations

import base64
import hashlib

DEVICE = "device"
RELAY = "relay"
PING = "ping"
KINDS = (DEVICE, RELAY, PING)

#: What a relay's user on MQTT begins with; no site's id does.
RELAY_MARK = "@"

#: 160 bits; docs/security.md asks for 128.
TOKEN_BYTES = 20
#: Characters. What is longer was never issued by us and is not even hashed.
MAX_TOKEN = 128

# A secret scanner, and a person, can tell what leaked.
_PREFIX = {DEVICE: "zd_", RELAY: "zr_", PING: "zp_"}


def make_token(kind: str, entropy: bytes) -> str:
    """The text that is handed out once, URL-safe. Raises ValueError for under 16 bytes or an unknown kind."""
    if kind not in _PREFIX:
        raise ValueError(f"a token is one of {', '.join(KINDS)}, not {kind!r}")
    if len(entropy) < 16:
        raise ValueError("a token needs 128 bits at least")
    return _PREFIX[kind] + base64.urlsafe_b64encode(entropy).rstrip(b"=").decode()


def hash_token(text: str) -> str:
    """What is stored: hex SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

"""Who may speak for which terminal, on MQTT as on HTTP (docs/security.md, Devices): the table, in memory."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from monitor.core.token import (
    DEVICE,
    KINDS,
    MAX_TOKEN,
    PING,
    RELAY,
    RELAY_MARK,
    TOKEN_BYTES,
    hash_token,
    make_token,
)
from monitor.intake.door import Now


def new_token(kind: str) -> str:
    """A fresh one, to be shown once and stored as its hash."""
    return make_token(kind, secrets.token_bytes(TOKEN_BYTES))


@dataclass(frozen=True, slots=True)
class Token:
    """A row of the table `token`. Times: milliseconds UTC. A ping token stands for every terminal listed."""

    kind: str
    hash: str
    terminals: frozenset[tuple[str, str]]
    created_at: int = 0
    expires_at: int | None = None
    revoked_at: int | None = None
    label: str = ""

    def valid(self, at: int) -> bool:
        return (self.expires_at is None or at < self.expires_at) and (self.revoked_at is None or at < self.revoked_at)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Token:
        """`terminals`: JSON text, a list of `site/terminal`. Raises ValueError for a row that is none."""
        if row["kind"] not in KINDS:
            raise ValueError(f"a token is one of {', '.join(KINDS)}, not {row['kind']!r}")
        terminals = frozenset(_pair(text) for text in json.loads(row["terminals"]))
        return cls(
            kind=row["kind"],
            hash=row["hash"],
            terminals=terminals,
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            revoked_at=row["revoked_at"],
            label=row["label"],
        )


class Tokens:
    """Looked up by hash: no comparison that one could time. Replaced as a whole when the table changes."""

    def __init__(self, tokens: Iterable[Token], clock: Now) -> None:
        self._clock = clock
        self._by_hash: Mapping[str, Token] = {}
        self.replace(tokens)

    def replace(self, tokens: Iterable[Token]) -> None:
        """Take over the table anew: what is issued, rotated or revoked holds from the next beat."""
        self._by_hash = {token.hash: token for token in tokens}

    def __len__(self) -> int:
        return len(self._by_hash)

    def find(self, bearer: str, *kinds: str) -> Token | None:
        """The valid token of one of these kinds, or None: unknown, expired, revoked, or of another kind."""
        if not bearer or len(bearer) > MAX_TOKEN:
            return None
        token = self._by_hash.get(hash_token(bearer))
        if token is None or token.kind not in kinds or not token.valid(self._clock.now()):
            return None
        return token

    def bearer(self, bearer: str) -> Token | None:
        """For `Authorization: Bearer`: devices and relays. A ping token is good for nothing but pings."""
        return self.find(bearer, DEVICE, RELAY)

    def ping(self, token: str) -> Token | None:
        """For tokens in paths. A device's or relay's is refused there: paths end in other people's logs."""
        return self.find(token, PING)

    def signs_in(self, user: str, password: str) -> bool:
        """MQTT: user `{site}/{terminal}` with a device's token as password, or `@{label}` with that relay's."""
        token = self.find(password, DEVICE, RELAY)
        if token is None:
            return False
        if token.kind == RELAY:
            return bool(token.label) and user == relay_user(token.label)
        site, _, terminal = user.partition("/")
        return (site, terminal) in token.terminals

    def writes(self, user: str) -> Iterable[str]:
        """The `{site}/{terminal}` that an MQTT user may write below: a device its own, a relay those listed with it."""
        if not user.startswith(RELAY_MARK):
            return (user,)
        now = self._clock.now()
        mine = (t for t in self._by_hash.values() if t.kind == RELAY and relay_user(t.label) == user and t.valid(now))
        return {f"{site}/{terminal}" for token in mine for site, terminal in token.terminals}


def relay_user(label: str) -> str:
    """How a relay signs in on MQTT: no site is called that, since ids begin with a letter or a digit."""
    return f"{RELAY_MARK}{label}"


def _pair(text: str) -> tuple[str, str]:
    site, slash, terminal = text.partition("/")
    if not (site and slash and terminal) or "/" in terminal:
        raise ValueError(f"expected site/terminal, not {text!r}")
    return site, terminal

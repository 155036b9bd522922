"""Who may speak for which terminal, on MQTT as on HTTP (security.md, Devices): the table, in memory."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from monitor.core.token import DEVICE, KINDS, MAX_TOKEN, PING, RELAY, TOKEN_BYTES, hash_token, make_token
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

    def speaks_for(self, bearer: str, site: str, terminal: str) -> str | None:
        """None, or why not: `unauthorized` (no such token) or `forbidden` (not its terminal)."""
        token = self.bearer(bearer)
        if token is None:
            return "unauthorized"
        return None if (site, terminal) in token.terminals else "forbidden"

    def signs_in(self, user: str, password: str) -> bool:
        """MQTT: user `{site}/{terminal}` with a device's token as password."""
        token = self.find(password, DEVICE)
        site, _, terminal = user.partition("/")
        return token is not None and (site, terminal) in token.terminals


def _pair(text: str) -> tuple[str, str]:
    site, slash, terminal = text.partition("/")
    if not (site and slash and terminal) or "/" in terminal:
        raise ValueError(f"expected site/terminal, not {text!r}")
    return site, terminal

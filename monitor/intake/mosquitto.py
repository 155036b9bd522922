"""Files for mosquitto: its password file and its ACL, from the tokens. `kill -HUP` has it read them anew.

mosquitto knows one password a user, so of two valid tokens of a device (rotation with overlap) the newer one
signs in on MQTT; over HTTP both do. The line is made when the token is issued, since only then its text is
known, and kept with the token (column `mqtt_hash`), so that the file can be written again on another machine.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping

from monitor.intake.topics import HEARTBEAT, PREFIX, STATUS, of_user

#: mosquitto_passwd's own default. Many iterations protect passwords that people choose; a token of 160 random
#: bits cannot be guessed with one iteration either, and 700 devices that come back at once are checked by one
#: thread.
ITERATIONS = 101
_SALT_BYTES = 12


def password_hash(password: str, *, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """What follows `user:` in the file: `$7$`, PBKDF2 with HMAC-SHA512."""
    salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)
    return f"$7${iterations}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def password_file(hashes: Mapping[str, str]) -> str:
    """The text of the file, from users (`{site}/{terminal}`, and the service's own) to hashes.

    Raises ValueError for a user with a colon, a wildcard or a line break: it would mean something else there.
    """
    for user in hashes:
        if not user or set(user) & set(":+#\r\n\0") or not user.isprintable():
            raise ValueError(f"a user of mosquitto has no colon, wildcard or line break: {user!r}")
    return "".join(f"{user}:{hashed}\n" for user, hashed in sorted(hashes.items()))


def acl_file(service_users: Iterable[str], relays: Mapping[str, Iterable[str]] | None = None) -> str:
    """The text of the ACL: a device writes its own two topics, a service reads all and writes echoes.

    `relays`: users (`@label`) and the `{site}/{terminal}` whose topics they may write.
    """
    lines = ["# Written by zhdj-monitor; changes are lost. What no line allows is refused."]
    for user in service_users:
        lines += ["", f"user {user}", f"topic read {PREFIX}#", f"topic write {PREFIX}monitor/+/echo"]
    for user, names in sorted((relays or {}).items()):
        lines += ["", f"user {user}", *(f"topic write {t}" for name in sorted(names) for t in of_user(name))]
    lines += ["", "# %u is the user, {site}/{terminal}."]
    lines += [f"pattern write {PREFIX}%u/{topic}" for topic in (HEARTBEAT, STATUS)]
    return "\n".join(lines) + "\n"

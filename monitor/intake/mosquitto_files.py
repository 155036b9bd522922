"""mosquitto's password and ACL files, kept in step with the tokens while the service runs, and read anew by it.

mosquitto knows one password a user: of two valid tokens the newest signs in, and a client that is connected with an
older one is thrown out as soon as the files are read. HTTP takes both for as long as they overlap.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from base64 import b64decode
from collections.abc import Iterable, Mapping
from hmac import compare_digest
from pathlib import Path
from typing import Any

import structlog

from monitor.core.token import RELAY
from monitor.errors import MonitorError
from monitor.intake.mosquitto import acl_file, password_file, password_hash
from monitor.intake.tokens import Token, relay_user
from monitor.settings import Mqtt

PASSWORDS = "passwords"
ACL = "acl"
#: Read by mosquitto through the group of the folder (setgid), by nobody else.
MODE = 0o640

log = structlog.get_logger()


class MosquittoFiles:
    """`passwords` and `acl` in `folder`. `pid_file`: mosquitto's, for a SIGHUP; "": somebody else has it read them."""

    def __init__(self, folder: Path, user: str, password: str, pid_file: str = "") -> None:
        if not user or not password:
            raise MonitorError("mqtt.username and mqtt.password: expected the service's own account at the broker")
        self._folder = folder
        self._user = user
        self._password = password
        self._pid_file = pid_file
        # Once after every start: what we wrote last may not have been read.
        self._unread = bool(pid_file)
        self._trouble = ""

    @classmethod
    def of(cls, settings: Mqtt) -> MosquittoFiles | None:
        """As the settings say, None where they name no folder. Raises MonitorError."""
        if not settings.files:
            return None
        if settings.embedded:
            raise MonitorError("mqtt.files: mosquitto's; expected none beside mqtt.embedded")
        password = settings.password.get_secret_value()
        return cls(Path(settings.files), settings.username, password, settings.pid_file)

    def follow(self, rows: Iterable[Mapping[str, Any]], now: int) -> None:
        """`write` and `reload` for a loop: says once what is wrong, and tries again the next time."""
        trouble = ""
        try:
            if self.write(rows, now):
                self._unread = bool(self._pid_file)
                log.info("mosquitto_files.written", folder=str(self._folder))
            if self._unread:
                self.reload()
                self._unread = False
        except (OSError, ValueError) as error:
            trouble = str(error)
            if trouble != self._trouble:
                log.error("mosquitto_files.failed", error=trouble)
        self._trouble = trouble

    def write(self, rows: Iterable[Mapping[str, Any]], now: int) -> bool:
        """Both files from the tokens that are valid `now` (ms); answers whether anything changed. Raises OSError."""
        hashes: dict[str, str] = {}
        relays: dict[str, list[str]] = {}
        for row in rows:  # oldest first, so that the newest stays
            if not row["mosquitto"] or not Token.of_row(row).valid(now):
                continue
            names = json.loads(row["terminals"])
            if row["kind"] == RELAY:
                relays[relay_user(row["label"])] = names
                names = [relay_user(row["label"])]
            hashes.update(dict.fromkeys(names, row["mosquitto"]))
        self.users = len(hashes) + 1
        hashes[self._user] = self._own_hash()
        # Whoever watches for a change watches the passwords: they come last.
        texts = {ACL: acl_file([self._user], relays), PASSWORDS: password_file(hashes)}
        if all(_read(self._folder / name) == text for name, text in texts.items()):
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            _replace(self._folder / name, text)
        return True

    def reload(self) -> None:
        """SIGHUP, if the pid file names a mosquitto: a stale one may name anybody. Raises OSError or ValueError."""
        pid = int(Path(self._pid_file).read_text())
        if Path(f"/proc/{pid}/comm").read_text().strip() != "mosquitto":
            raise ValueError(f"{self._pid_file} names process {pid}, which is no mosquitto")
        os.kill(pid, signal.SIGHUP)

    def _own_hash(self) -> str:
        """The one in the file if it is of our password: a new salt would be a change every time."""
        for line in _read(self._folder / PASSWORDS).splitlines():
            user, _, hashed = line.partition(":")
            if user == self._user and _is_of(hashed, self._password):
                return hashed
        return password_hash(self._password)


def _is_of(hashed: str, password: str) -> bool:
    try:
        _, kind, iterations, salt, digest = hashed.split("$")
        made = hashlib.pbkdf2_hmac("sha512", password.encode(), b64decode(salt), int(iterations))
        return kind == "7" and compare_digest(made, b64decode(digest))
    except ValueError:
        return False


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _replace(path: Path, text: str) -> None:
    """Whole or not at all, and never readable by others."""
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), MODE)
        file.write(text)
    aside.replace(path)

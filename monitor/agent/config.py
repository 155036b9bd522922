"""agent.toml, read and checked: unknown keys are refused, and every mistake names its key."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from monitor.agent.services import SERVICES, readable

#: Instead of `token_file`.
TOKEN_VARIABLE = "ZHDJ_AGENT_TOKEN"  # noqa: S105  # its name
#: A beat that comes later than 72 hours after it was sent is refused (docs/rules.md §2); at 60 s:
MOST_KEPT = 4320


class AgentError(Exception):
    """The configuration is wrong; the text says where and what was expected (exit status 2)."""


@dataclass(frozen=True, slots=True)
class Broker:
    """[mqtt] `ca_file`: certificates to trust; "": those of the system."""

    host: str
    port: int
    tls: bool
    ca_file: str
    keepalive_s: int


@dataclass(frozen=True, slots=True)
class Server:
    """[http] `url`: the monitor's address, without /api."""

    url: str
    ca_file: str


@dataclass(frozen=True, slots=True)
class Config:
    """All of agent.toml. `token_file` is absolute, or None where the environment gives the token."""

    site: str
    terminal: str
    token_file: Path | None
    interval_s: float
    keep_beats: int
    line: Broker | Server
    services: Mapping[str, str] = field(default_factory=dict)

    @property
    def user(self) -> str:
        return f"{self.site}/{self.terminal}"

    def token(self) -> str:
        """Read anew for every connection: after a rotation the file is replaced. Raises OSError."""
        if self.token_file is None:
            return os.environ.get(TOKEN_VARIABLE, "").strip()
        return self.token_file.read_text(encoding="utf-8-sig").strip()


class _Table:
    """A table of the file whose keys are taken one by one; what is left over is unknown."""

    def __init__(self, values: object, name: str = "") -> None:
        if not isinstance(values, dict):
            raise AgentError(f"{name}: expected a table")
        self._values: dict[str, Any] = dict(values)
        self._name = name

    def key(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def text(self, key: str, default: str | None = None) -> str:
        value = self._take(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise AgentError(f"{self.key(key)}: expected a text, not {value!r}")
        return value

    def number(self, key: str, default: float, least: float, most: float) -> float:
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise AgentError(f"{self.key(key)}: expected a number from {least:g} to {most:g}, not {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise AgentError(f"{self.key(key)}: expected true or false, not {value!r}")
        return value

    def table(self, key: str) -> _Table:
        return _Table(self._values.pop(key, {}), self.key(key))

    def end(self) -> None:
        for key in self._values:
            raise AgentError(f"{self.key(key)}: unknown key; docs/agents.md lists those that there are")

    def _take(self, key: str, default: object) -> Any:
        if key not in self._values and default is None:
            raise AgentError(f"{self.key(key)}: missing")
        return self._values.pop(key, default)


def read_config(path: Path) -> Config:
    """Raises AgentError."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise AgentError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # also what is no TOML or no UTF-8
        raise AgentError(f"{path}: is not TOML: {error}") from None
    try:
        return _config(_Table(values), path.absolute().parent)
    except AgentError as error:
        raise AgentError(f"{path}: {error}") from None


def _config(top: _Table, folder: Path) -> Config:
    site, terminal = top.text("site"), top.text("terminal")
    for key, name in (("site", site), ("terminal", terminal)):
        if not name.isprintable() or set(name) & set("/+# "):
            raise AgentError(f"{key}: expected an id as in terminals.csv, not {name!r}")
    interval = top.number("interval_s", 60, 0.1, 86_400)
    kept = int(top.number("keep_beats", MOST_KEPT, 1, 100_000))
    token_file = None if os.environ.get(TOKEN_VARIABLE) else folder / top.text("token_file", "token")
    if token_file is None:
        top.text("token_file", "token")
    transport = top.text("transport", "mqtt")
    if transport not in ("mqtt", "http"):
        raise AgentError(f'transport: expected "mqtt" or "http", not {transport!r}')
    mqtt, http, services = top.table("mqtt"), top.table("http"), top.table("services")
    line: Broker | Server
    if transport == "mqtt":
        line = _broker(mqtt, folder)
        mqtt.end()
    else:
        line = _server(http, folder)
        http.end()
    specs = {name: spec for name in SERVICES if (spec := services.text(name, "-")) != "-"}
    for name, spec in specs.items():
        if not readable(spec):
            expected = "tcp:HOST:PORT, an http:// or https:// address, process:NAME or na"
            raise AgentError(f"{services.key(name)}: expected {expected}, not {spec!r}")
    for table in (services, top):
        table.end()
    return Config(site, terminal, token_file, interval, kept, line, specs)


def _broker(table: _Table, folder: Path) -> Broker:
    tls = table.flag("tls", True)
    return Broker(
        table.text("host"),
        int(table.number("port", 8883 if tls else 1883, 1, 65535)),
        tls,
        _path(table.text("ca_file", ""), folder),
        int(table.number("keepalive_s", 30, 5, 3600)),
    )


def _server(table: _Table, folder: Path) -> Server:
    url = table.text("url").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise AgentError(f"{table.key('url')}: expected an address such as https://monitor.example, not {url!r}")
    return Server(url, _path(table.text("ca_file", ""), folder))


def _path(text: str, folder: Path) -> str:
    return str(folder / text) if text else ""

"""A support bundle 诊断包: what somebody elsewhere needs to see why this service does what it does, and no secret.

Nothing is copied that may hold one: settings are told value by value with secrets masked, tables and the database are
counted, paths are the only thing that is said of files. What programs say (logs, health, metrics) is read through
`Scrub`, which knows every secret of this configuration and what tokens look like.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from sqlalchemy import func, make_url, select, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from monitor import __version__
from monitor.clock import to_iso
from monitor.errors import ConfigError, MonitorError
from monitor.inventory.load import Loaded, load, local_today
from monitor.inventory.summary import summarize
from monitor.settings import Settings, load_settings
from monitor.store import snapshot
from monitor.store.database import create, looking
from monitor.store.tables import metadata as tables

#: Lines of each unit's log, and how long anything that is asked may take, seconds.
LOG_LINES = 2_000
ASK_S = 10.0
UNITS = (
    "zhdj-monitor.service", "zhdj-backup.service", "zhdj-restore-test.service", "zhdj-mosquitto-reload.path",
    "mosquitto.service", "postgresql.service", "prometheus.service", "prometheus-alertmanager.service",
    "grafana-server.service", "nginx.service", "chrony.service",
)  # fmt: skip
MASKED = "***"
#: Tokens of devices, relays, pings, sessions; a bearer; a password in a URL; the token in a path.
_SHAPES = (
    re.compile(r"\bz[a-z]_[A-Za-z0-9_-]{16,}"),
    re.compile(r"(?i)(?<=bearer )\S+"),
    re.compile(r"(?<=://)([^/\s:@]*:)[^/\s@]+(?=@)"),
    re.compile(r"(?<=/ping/)[^/\s\"?]+|(?<=/api/push/)[^/\s\"?]+"),
    re.compile(r"(?i)(?<=access_token=)[^&\s\"]+|(?<=key=)[^&\s\"]+|(?<=/hook/)[^/\s\"?]+"),
)


class Scrub:
    """Takes secrets out of texts: those that are known, wherever they stand, and what looks like one."""

    def __init__(self, secrets: set[str]) -> None:
        # The longest first: one may be part of another. Shorter ones would take words apart that are none.
        self._known = sorted((s for s in secrets if len(s) >= 4), key=len, reverse=True)

    def __call__(self, said: str) -> str:
        for secret in self._known:
            said = said.replace(secret, MASKED)
        for shape in _SHAPES:
            said = shape.sub(lambda found: (found[1] if found.re.groups and found[1] else "") + MASKED, said)
        return said


def secrets_of(settings: Settings, checks: list[str]) -> set[str]:
    """Every secret that the configuration holds: passwords and tokens, of files that it names, SNMP communities."""
    found = set(_secrets(settings))
    with suppress(ArgumentError):  # then it is a secret as a whole
        password = make_url(settings.database.url.get_secret_value()).password
        found |= {str(password)} if password else set()
    found |= {target.partition("@")[0] for target in checks if "@" in target and not target.startswith("sip:")}
    found |= {value for name, value in os.environ.items() if re.search("PASSWORD|TOKEN|SECRET", name) and value}
    return found


def _secrets(part: BaseModel) -> Iterator[str]:
    for name in type(part).model_fields:
        value = getattr(part, name)
        for one in value.values() if isinstance(value, dict) else [value]:
            if isinstance(one, SecretStr):
                yield one.get_secret_value()
            elif isinstance(one, BaseModel):
                yield from _secrets(one)
            elif isinstance(one, str) and name.endswith("_file") and name != "ca_file" and one:
                try:
                    yield Path(one).read_text(encoding="utf-8").strip()
                except (OSError, UnicodeDecodeError):
                    continue


async def support_bundle(config: Path, out: Path, at_ms: int) -> list[str]:
    """Write `out` (a tar.gz, mode 0600), where nothing is yet; answers what is in it. Raises MonitorError.

    What cannot be had (no journal, a service that does not answer) is said in its place: a bundle is wanted most when
    things do not work.
    """
    settings = load_settings(config)
    loaded: Loaded | None = None
    try:
        loaded = load(config, serving=False)
        inventory: Any = asdict(summarize(loaded, local_today(settings))) | {"digest": loaded.digest}
    except ConfigError as error:
        inventory = {"mistakes": [str(mistake) for mistake in error.mistakes]}
    targets = [c.target for c in loaded.inventory.checks.values() if c.target] if loaded else []
    scrub = Scrub(secrets_of(settings, targets))
    parts: dict[str, str] = {
        "about.json": _json(
            {
                "made_at": to_iso(at_ms),
                "version": __version__,
                "python": platform.python_version(),
                "system": platform.platform(),
                "packages": {d.metadata["Name"]: d.version for d in metadata.distributions()},
                "environment": sorted(name for name in os.environ if name.startswith("ZHDJ_")),
            }
        ),
        "settings.json": _json(settings.model_dump(mode="json")),
        "inventory.json": _json(inventory),
        "database.json": _json(await _database(settings)),
        "files.json": _json(await asyncio.to_thread(_files, settings)),
    }
    parts |= await asyncio.to_thread(_asked, settings)
    await asyncio.to_thread(_write, out, {name: scrub(said) for name, said in parts.items()}, at_ms)
    return sorted(parts)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, default=str) + "\n"


async def _database(settings: Settings) -> dict[str, Any]:
    """Which database, how large, and how many rows each table has."""
    url = settings.database.url.get_secret_value()
    result: dict[str, Any] = {}
    try:
        result["url"] = make_url(url).render_as_string(hide_password=True)
        if snapshot.is_sqlite(url) and not snapshot.sqlite_file(url).exists():
            return result | {"error": "there is no database"}
        engine = create(url)
    except (ArgumentError, MonitorError) as error:
        return result | {"error": str(error)}
    try:
        async with looking(engine) as connection:
            result["revision"] = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar()
            result["bytes"] = await _size(connection, url)
            result["rows"] = {
                name: (await connection.execute(select(func.count()).select_from(table))).scalar()
                for name, table in sorted(tables.tables.items())
            }
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        result["error"] = (str(error) or type(error).__name__).splitlines()[0]
    finally:
        await engine.dispose()
    return result


async def _size(connection: AsyncConnection, url: str) -> Any:
    if snapshot.is_sqlite(url):
        return snapshot.sqlite_file(url).stat().st_size
    return (await connection.execute(text("SELECT pg_database_size(current_database())"))).scalar()


def _files(settings: Settings) -> dict[str, Any]:
    """How much stands where, and what room is left."""
    result: dict[str, Any] = {}
    for name, folder in (("evidence", settings.evidence.folder), ("papers", settings.papers.folder)):
        path = Path(folder)
        found = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else []
        usage = shutil.disk_usage(path) if path.is_dir() else None
        result[name] = {
            "folder": folder,
            "files": len(found),
            "bytes": sum(p.stat().st_size for p in found),
            "newest": max((p.name for p in found), default=None),
            "free": usage.free if usage else None,
        }
    return result


def _asked(settings: Settings) -> dict[str, str]:
    """What the service, systemd and the journal say."""
    listen = settings.http.listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")
    token = settings.http.metrics_token.get_secret_value() if settings.http.metrics_token else None
    said = {name: _get(listen, f"/{path}", token) for name, path in _PAGES.items()}
    said["units.txt"] = _run("systemctl", "status", "--no-pager", "--full", "--lines=0", *UNITS)
    said["timers.txt"] = _run("systemctl", "list-timers", "--all", "--no-pager", "zhdj-*")
    said["clock.txt"] = _run("timedatectl", "show")
    for unit in UNITS[:3] + UNITS[4:5]:
        said[f"log/{unit}.txt"] = _run("journalctl", "--no-pager", "-o", "cat", "-n", str(LOG_LINES), "-u", unit)
    return said


_PAGES = {"healthz.json": "healthz", "readyz.json": "readyz", "metrics.txt": "metrics"}


def _get(listen: str, path: str, token: str | None) -> str:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection = http.client.HTTPConnection(listen, timeout=ASK_S)
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {str(error) or type(error).__name__}\n"
    finally:
        connection.close()


def _run(program: str, *arguments: str) -> str:
    path = shutil.which(program)
    if path is None:
        return f"{program} is not there\n"
    try:
        done = subprocess.run(  # noqa: S603  # arguments of our own
            [path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program}: {type(error).__name__}\n"
    return (done.stdout + done.stderr).decode(errors="replace")


def _write(out: Path, parts: dict[str, str], at_ms: int) -> None:
    try:
        with (
            os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
            tarfile.open(fileobj=file, mode="w:gz") as bundle,
        ):
            for name, said in sorted(parts.items()):
                data = said.encode()
                member = tarfile.TarInfo(f"zhdj-support/{name}")
                member.size, member.mtime, member.mode = len(data), at_ms // 1000, 0o600
                bundle.addfile(member, io.BytesIO(data))
    except FileExistsError:
        raise MonitorError(f"{out} exists; nothing is written over it") from None
    except OSError as error:
        raise MonitorError(f"{out}: {error.strerror}") from None

"""States of the five services, from small checks on the spot: `ok`, `fail`, or `na` where nobody can tell."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

#: 视频会议, 应急指导, 宣传服务, 监督管理, 学习教育.
SERVICES = ("video_conference", "emergency", "publicity", "supervision", "learning")

LOOK_S = 3.0
_TCP = re.compile(r"tcp:(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\s]+):(?P<port>\d{1,5})")
_PROCESS = re.compile(r"process:(?P<name>[^/\\\"*?<>|]+)")


def readable(spec: str) -> bool:
    """Whether `look` can do something with it."""
    if tcp := _TCP.fullmatch(spec):
        return 0 < int(tcp["port"]) < 65536
    if spec.startswith(("http://", "https://")):
        try:
            parts = urlsplit(spec)
            return bool(parts.hostname) and parts.port != 0
        except ValueError:
            return False
    return spec == "na" or bool(_PROCESS.fullmatch(spec))


def look(spec: str) -> str:
    """One check, LOOK_S at most for each thing that it waits for. Never raises for what the world does."""
    try:
        if tcp := _TCP.fullmatch(spec):
            with socket.create_connection((tcp["host"].strip("[]"), int(tcp["port"])), LOOK_S):
                return "ok"
        if spec.startswith("http"):
            return "ok" if _status(spec) < 400 else "fail"
        if process := _PROCESS.fullmatch(spec):
            found = _runs(process["name"])
            return "na" if found is None else "ok" if found else "fail"
    except (OSError, http.client.HTTPException):
        return "fail"
    return "na"


def _status(url: str) -> int:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=LOOK_S)
    try:
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        return connection.getresponse().status
    finally:
        connection.close()


def _runs(name: str) -> bool | None:
    """Whether a process of that name runs; None: cannot be seen here."""
    if sys.platform == "win32":
        command = ["tasklist", "/NH", "/FO", "CSV", "/FI", f"IMAGENAME eq {name}"]
        try:
            # By its name: where Windows is installed differs.
            done = subprocess.run(command, capture_output=True, timeout=10, check=True)  # noqa: S603
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.lower().startswith(b'"' + name.lower().encode("mbcs"))
    processes = [entry for entry in _entries(Path("/proc")) if entry.name.isdigit()]
    if not processes:
        return None
    return any(name in _names(process) for process in processes)


def _entries(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder)]
    except OSError:
        return []


def _names(process: Path) -> set[str]:
    """What a process is called: by the kernel (15 characters) and by its own command line."""
    try:
        comm = (process / "comm").read_text(errors="replace").strip()
        program = (process / "cmdline").read_bytes().split(b"\0", 1)[0].decode(errors="replace")
    except OSError:  # it has ended
        return set()
    return {comm, program.rpartition("/")[2]}


class Watch:
    """Looks every `every_s` in a thread of its own, so that what hangs delays no beat."""

    def __init__(self, specs: Mapping[str, str], every_s: float, look: Callable[[str], str] = look) -> None:
        self._specs = specs
        self._every_s = every_s
        self._look = look
        self._looked = threading.Event()
        self.states: Mapping[str, str] = {}

    def start(self) -> None:
        """Answers after the first round, or after LOOK_S: then the first beat goes without."""
        if self._specs:
            threading.Thread(target=self._rounds, name="services", daemon=True).start()
            self._looked.wait(LOOK_S)

    def _rounds(self) -> None:
        never = threading.Event()
        while True:
            self.states = {name: self._look(spec) for name, spec in self._specs.items()}
            self._looked.set()
            never.wait(self._every_s)

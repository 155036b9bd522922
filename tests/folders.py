"""A small sound folder of configuration, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from monitor.errors import ConfigError
from monitor.inventory.load import load

TODAY = date(2026, 10, 12)
TOML = 'timezone = "Asia/Shanghai"\n'
SITES = """site_id,name,level,township_code,township_name,uplink,commissioned_on,retired_on
C1,县级站点一,county,T0,县城,,,
T1,镇1,township,T1,镇1,C1,,
V1,镇1村1,village,T1,镇1,T1,2026-10-01,
"""
TERMINALS = """site_id,terminal,model
T1,tv,TV-55
V1,tv,TV-55
V1,pc,DESKTOP
"""
CHECKS = """site_id,terminal,check,target,interval_s,grace_s,failures
T1,tv,icmp,10.0.0.1,60,,5
V1,tv,tcp,10.0.0.2:80,60,,5
V1,pc,heartbeat-mqtt,,60,180,
"""
FILES = {"monitor.toml": TOML, "sites.csv": SITES, "terminals.csv": TERMINALS, "checks.csv": CHECKS}

Change = Callable[[Path], None]


def write_sound(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def mistakes(folder: Path, *, serving: bool = True) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load(folder, serving=serving, today=TODAY)
    return [str(mistake) for mistake in error.value.mistakes]


def replace(name: str, old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def append(name: str, text: str) -> Change:
    return lambda folder: replace(name, FILES[name], FILES[name] + text)(folder)


def remove(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def write(name: str, data: str | bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)

    return change


def instead(old: str, new: str, data: bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / old).unlink()
        (folder / new).write_bytes(data)

    return change

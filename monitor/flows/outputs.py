"""Where the files of a command go: asked before anything is gathered, which may take minutes."""

from __future__ import annotations

import os
from pathlib import Path

from monitor.errors import MonitorError


def demand_folder(out: Path) -> None:
    """`--out` is a folder that can be written into, or one that can be made. Makes nothing. Raises MonitorError."""
    there = next((path for path in (out, *out.parents) if os.path.lexists(path)), Path())
    if not there.is_dir():
        raise MonitorError(f"--out {out}：{there} 不是文件夹")
    if not os.access(there, os.W_OK | os.X_OK):
        raise MonitorError(f"--out {out}：文件夹 {there} 不可写入")


def demand_place(path: Path) -> None:
    """Nothing is there yet, and the folder that it goes into is there. Raises MonitorError."""
    if os.path.lexists(path):
        raise MonitorError(f"{path} 已存在，不覆盖任何文件")
    if not path.parent.is_dir():
        raise MonitorError(f"{path}：没有文件夹 {path.parent}")
    demand_folder(path.parent)

"""`zhdj-monitor db backup` and `db restore`: everything that the service keeps in one file, and back."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.progress import Progress
from monitor.clock import wall_ms
from monitor.flows.backup import backup
from monitor.flows.restore import restore
from monitor.inventory.load import load

Config = Annotated[Path, typer.Option("--config", help="The folder of monitor.toml.")]

#: What a backup holds, as people call it.
_NAMES = {"database": "数据库", "evidence": "证据日志", "papers": "附件", "anchors": "锚定", "config": "配置文件"}


class _Bytes:
    """What is being copied, and how many bytes went through altogether."""

    def __init__(self) -> None:
        self._progress = Progress()
        self._done = 0

    def __call__(self, name: str, more: int) -> None:
        self._done += more
        self._progress(name[:60], self._done)


def make(
    config: Config,
    file: Annotated[Path, typer.Argument(help="Where to; what is there already is not written over.")],
) -> None:
    """备份: database, evidence log, papers, anchors and configuration in one file; the service may go on running.

    It holds passwords and hashes of tokens: mode 0600, keep it as safe as the machine.
    """
    loaded = load(config, serving=False)
    made = asyncio.run(backup(loaded, config, file, wall_ms(), _Bytes()))
    _count(made.files)
    print(f"{file}: {made.size:,} bytes ({made.bytes:,} 未压缩)")


def put_in_place(
    config: Annotated[
        Path, typer.Option("--config", help="The folder of monitor.toml; one that is not there comes from the backup.")
    ],
    file: Annotated[Path, typer.Argument(help="A backup.")],
    force: Annotated[bool, typer.Option("--force", help="Put aside what is there; nothing is deleted.")] = False,
) -> None:
    """恢复: a backup checked to the last byte and put in place, with the service stopped."""
    done = asyncio.run(restore(file, config, wall_ms(), force=force, progress=_Bytes()))
    _count(done.files)
    print(f"已恢复 {done.made_at} 的备份")
    for place in done.aside:
        print(f"原有内容移至 put aside: {place}")
    if done.config_written:
        print(f"配置 configuration: {config} (passwords that stood in the environment are not in it)")
    told = f"zhdj-monitor verify --config {config}; zhdj-monitor serve --config {config}"
    print(f"下一步 next: {told}", file=sys.stderr)


def _count(files: dict[str, int]) -> None:
    print("，".join(f"{_NAMES[name]} {count}" for name, count in files.items() if count))

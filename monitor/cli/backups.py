"""`zhdj-monitor db backup` and `db restore`: everything that the service keeps in one file, and back."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.acting import AsJson, Config
from monitor.cli.progress import Progress
from monitor.cli.showing import show_json
from monitor.clock import wall_ms
from monitor.flows.backup import backup
from monitor.flows.restore import restore
from monitor.inventory.load import load

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
    as_json: AsJson = False,
) -> None:
    """备份: database, evidence log, papers, anchors and configuration in one file; the service may go on running.

    It holds passwords and hashes of tokens: mode 0600, keep it as safe as the machine.
    """
    loaded = load(config, serving=False)
    made = asyncio.run(backup(loaded, config, file, wall_ms(), _Bytes()))
    _say(made.files, f"备份 {file}：{made.size:,} 字节（未压缩 {made.bytes:,}）")
    if as_json:
        show_json({"file": str(file), "bytes": made.size, "unpacked_bytes": made.bytes, "files": made.files})


def put_in_place(
    config: Annotated[
        Path, typer.Option("--config", help="The folder of monitor.toml; one that is not there comes from the backup.")
    ],
    file: Annotated[Path, typer.Argument(help="A backup.")],
    force: Annotated[bool, typer.Option("--force", help="Put aside what is there; nothing is deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """恢复: a backup checked to the last byte and put in place, with the service stopped."""
    done = asyncio.run(restore(file, config, wall_ms(), force=force, progress=_Bytes()))
    lines = [f"已恢复 {done.made_at} 的备份", *(f"原有内容移至 {place}" for place in done.aside)]
    if done.config_written:
        lines.append(f"配置写入 {config}（环境变量中的密码不在其内）")
    lines.append(f"下一步：zhdj-monitor verify --config {config}; zhdj-monitor serve --config {config}")
    _say(done.files, *lines)
    if as_json:
        found = {"made_at": done.made_at, "files": done.files, "aside": [str(place) for place in done.aside]}
        show_json({**found, "config_written": done.config_written})


def _say(files: dict[str, int], *lines: str) -> None:
    """For people, on stderr: stdout is for JSON alone."""
    print("，".join(f"{_NAMES[name]} {count}" for name, count in files.items() if count), file=sys.stderr)
    for line in lines:
        print(line, file=sys.stderr)

"""The truth file: what really happened to each terminal, for holding against what was judged.

JSON lines `{"site","terminal","down_from","down_to"}`, ISO 8601 UTC with milliseconds, written as each
interval ends; one that still goes on at the end has `down_to: null`. A cut township is down; a terminal that
nobody could hear because the monitor's own line was cut is not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from monitor.clock import from_iso, to_iso
from monitor.errors import MonitorError


@dataclass(frozen=True, slots=True)
class Down:
    """One real outage, `[down_from, down_to)` in ms UTC; None: not over."""

    site: str
    terminal: str
    down_from: int
    down_to: int | None

    @property
    def key(self) -> tuple[str, str]:
        return (self.site, self.terminal)


class TruthWriter:
    """Writes a new truth file, each line at once. Raises MonitorError where it cannot be written."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise MonitorError(f"cannot write the truth to {path}: {error.strerror}") from error

    def write(self, down: Down) -> None:
        line = {
            "site": down.site,
            "terminal": down.terminal,
            "down_from": _iso(down.down_from),
            "down_to": None if down.down_to is None else _iso(down.down_to),
        }
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_truth(path: Path) -> list[Down]:
    """Every line of a truth file. Raises MonitorError with the line's number where it is not one."""
    found: list[Down] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            end = None if row["down_to"] is None else from_iso(row["down_to"])
            found.append(Down(str(row["site"]), str(row["terminal"]), from_iso(row["down_from"]), end))
        except (ValueError, TypeError, KeyError) as error:
            raise MonitorError(f"{path}:{number}: expected site, terminal, down_from and down_to: {error}") from error
    return found


def _iso(ms: int) -> str:
    text = to_iso(ms)
    return text if ms % 1000 else text[:-1] + ".000Z"

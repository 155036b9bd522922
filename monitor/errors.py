"""Errors that a person can act on. Anything else that is raised is a defect of the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class MonitorError(Exception):
    """The call or the data is wrong; the text says where and what was expected (exit status 2)."""


class Refused(MonitorError):
    """A single piece of evidence was refused. `reason` is a short stable word, used as a metric label."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake in an input file. Rows count from 1 as a spreadsheet shows them; 0 is the whole file."""

    file: str
    row: int
    column: str
    message: str

    def __str__(self) -> str:
        where = self.file + (f":{self.row}" if self.row else "") + (f" [{self.column}]" if self.column else "")
        return f"{where}: {self.message}"


class ConfigError(MonitorError):
    """The configuration is wrong; `mistakes` lists all of it, not only the first."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(m) for m in self.mistakes))

"""What a report is beside its facts: whether it is sealed, what it restates."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.core.report import ReportFacts


@dataclass(frozen=True, slots=True)
class Seal:
    """Of a sealed or restated report: its place on the chain of reports. `at`: ms. `previous`: the hash before it."""

    number: int
    hash: str
    previous: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class Restated:
    """What a restated report takes the place of, and why."""

    before: ReportFacts
    reason: str
    before_number: int | None = None
    before_hash: str = ""

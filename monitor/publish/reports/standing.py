"""What a report is beside its facts: who made it, whether it is sealed, what it restates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

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


@dataclass(frozen=True, slots=True)
class Makers:
    """Who filled the report in and who answers for it; empty: room to write. `dated`: None is the day of the facts."""

    filled_by: str = ""
    responsible: str = ""
    dated: date | None = None

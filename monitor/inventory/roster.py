"""roster.csv or roster.xlsx beside monitor.toml: the roster 值班表 (docs/alerts.md)."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, time, timedelta, tzinfo
from pathlib import Path

from monitor.core.planning import instant
from monitor.core.roster import Duty
from monitor.errors import ConfigError, Mistake
from monitor.inventory.cells import a_date, shown
from monitor.inventory.spreadsheet import has_table, read_table

NAME = "roster"
REQUIRED = ("name",)
OPTIONAL = ("mobile", "mail", "from", "to", "townships")
_MOBILE = re.compile(r"\+?\d{5,15}")
_MAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+")
_MOMENT = re.compile(r"(.*\d日?)[ T](\d{1,2}):(\d\d)(?::00)?")


def read_roster(folder: Path, zone: tzinfo, townships: Collection[str]) -> list[Duty]:
    """Every turn; nobody where there is no such file. Raises ConfigError with every mistake."""
    if not has_table(folder, NAME):
        return []
    table = read_table(folder, NAME, REQUIRED, OPTIONAL)
    mistakes = list(table.mistakes)
    roster = []
    for row in table.rows:
        cells = row.cells

        def wrong(column: str, what: str, number: int = row.number) -> None:
            mistakes.append(Mistake(table.file, number, column, what))

        times: dict[str, int | None] = {}
        for column in ("from", "to"):
            try:
                times[column] = _moment(cells.get(column, ""), zone, last=column == "to")
            except ValueError as error:
                wrong(column, str(error))
        since, until = times.get("from"), times.get("to")
        if since is not None and until is not None and until <= since:
            wrong("to", "expected a moment after `from`")
        mobile, mail = cells.get("mobile", "").replace(" ", "").replace("-", ""), cells.get("mail", "")
        if mobile and not _MOBILE.fullmatch(mobile):
            wrong("mobile", "expected the digits of a telephone number")
        if mail and not _MAIL.fullmatch(mail):
            wrong("mail", "expected one address such as zhang@example.gov.cn")
        if not cells["name"]:
            wrong("name", "expected a name")
        codes = frozenset(re.split(r"[\s,;，；、]+", cells.get("townships", "").strip())) - {""}
        for code in sorted(codes - set(townships)):
            wrong("townships", f"no township has the code {shown(code)}")
        roster.append(Duty(cells["name"], mobile, mail, since, until, codes))
    if mistakes:
        raise ConfigError(mistakes)
    return roster


def _moment(cell: str, zone: tzinfo, *, last: bool) -> int | None:
    """A local day (with `last`: to its end) or a local minute, as ms UTC."""
    if not cell:
        return None
    match = _MOMENT.fullmatch(cell)
    try:
        day = a_date(match[1] if match else cell)
        if day is None:
            raise ValueError(cell)
        if match:
            return instant(datetime.combine(day, time(int(match[2]), int(match[3]))), zone)
        return instant(datetime.combine(day + timedelta(days=last), time()), zone)
    except ValueError:
        raise ValueError(f"expected 2026-12-01 or 2026-12-01 08:30, found {shown(cell)}") from None

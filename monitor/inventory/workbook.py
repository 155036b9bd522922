"""XLSX: the first sheet's rows as texts: dates as 2026-10-01, whole numbers without a point, results."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from monitor.errors import ConfigError, Mistake

MAX_XLSX_BYTES = 32 * 1024 * 1024
#: Unpacked: what a small file may grow to. 150,000 rows need about a third of it.
MAX_UNPACKED_BYTES = 128 * 1024 * 1024
MAX_COLUMNS = 256
#: Excel keeps 15 digits of a number; an id that is longer has already lost its end.
_EXACT = 10**15


def read_xlsx(path: Path, mistakes: list[Mistake]) -> Iterator[tuple[int, list[str]]]:
    """Rows with their number. Cells that cannot be read go to `mistakes`; raises ConfigError for the file."""
    # Late: most tables are CSV, and it takes a tenth of a second to load.
    from openpyxl import load_workbook

    _check_size(path)

    with warnings.catch_warnings():
        # openpyxl warns of styles and validations that it drops: nothing that a table says.
        warnings.simplefilter("ignore")
        try:
            values, formulas = (load_workbook(path, read_only=True, data_only=data_only) for data_only in (True, False))
            yield from _rows(path.name, _first_sheet(values), _first_sheet(formulas), mistakes)
        except ConfigError:
            raise
        except Exception as error:  # openpyxl has no exception of its own: a broken file raises anything
            raise _wrong(path.name, f"cannot be read as XLSX ({type(error).__name__}); save it again") from error
    values.close()
    formulas.close()


def _rows(name: str, values: Any, formulas: Any, mistakes: list[Mistake]) -> Iterator[tuple[int, list[str]]]:
    for number, (row, origin) in enumerate(
        zip(values.iter_rows(values_only=True), formulas.iter_rows(values_only=True), strict=True), start=1
    ):
        if len(row) > MAX_COLUMNS:
            raise _wrong(name, f"expected at most {MAX_COLUMNS} columns, found {len(row):,}", number)
        cells: list[str] = []
        for value, formula in zip(row, origin, strict=True):
            if value is None and formula is not None:
                text = f"expected a value, found the formula {str(formula)[:40]!r} without a stored result"
                mistakes.append(Mistake(name, number, _letter(len(cells)), text))
            elif isinstance(value, int | float) and abs(value) >= _EXACT:
                text = "expected text, found a number of more than 15 digits, of which Excel keeps 15"
                mistakes.append(Mistake(name, number, _letter(len(cells)), text))
            cells.append(as_text(value))
        yield number, cells


def as_text(value: object) -> str:
    """A cell as a person reads it: 511723101201, 0.5, 2026-10-01."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _first_sheet(workbook: Any) -> Any:
    sheets = [sheet for sheet in workbook.worksheets if sheet.sheet_state == "visible"]
    if not sheets:
        raise ValueError("no sheet")
    # The size that a sheet claims may be wrong or huge; without it, rows are as long as they are.
    sheets[0].reset_dimensions()
    return sheets[0]


def _check_size(path: Path) -> None:
    name = path.name
    try:
        size = path.stat().st_size
        if size > MAX_XLSX_BYTES:
            raise _wrong(name, f"is too large; expected at most {MAX_XLSX_BYTES:,} bytes, found {size:,}")
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except OSError as error:
        raise _wrong(name, f"cannot be read: {error.strerror}") from None
    except zipfile.BadZipFile:
        kinds = "an old .xls file, one with a password, or no spreadsheet?"
        raise _wrong(name, f"is not an XLSX workbook ({kinds}); save it as XLSX or CSV") from None
    if unpacked > MAX_UNPACKED_BYTES:
        limit = f"expected at most {MAX_UNPACKED_BYTES:,} bytes unpacked"
        raise _wrong(name, f"is too large; {limit}, found {unpacked:,}; save it as CSV")


def _letter(index: int) -> str:
    """The name that a spreadsheet shows for a column: A, B, ..., AA."""
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def _wrong(name: str, text: str, row: int = 0) -> ConfigError:
    return ConfigError([Mistake(name, row, "", text)])

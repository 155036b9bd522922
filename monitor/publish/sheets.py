"""A table for people: one sheet of XLSX, or CSV that Excel opens. No cell is ever a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from monitor.core.text import guarded
from monitor.errors import MonitorError

Cell = str | int | float | None
#: What XML cannot hold; spaces and line breaks stay.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_WIDEST = 40


def write_sheet(path: Path, title: str, headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> int:
    """Write `path` (.xlsx or .csv), never over something else; returns how many rows. Raises MonitorError.

    Texts stay texts (a serial number keeps its zeros), numbers are numbers.
    """
    known = [list(row) for row in rows]
    match path.suffix.lower():
        case ".csv":
            write = _csv
        case ".xlsx":
            write = _xlsx
        case _:
            raise MonitorError(f"{path}: expected a name that ends in .xlsx or .csv")
    try:
        with path.open("xb") as file:
            try:
                write(file, title, headings, known)
            except BaseException:
                path.unlink()
                raise
    except FileExistsError:
        raise MonitorError(f"{path} exists; nothing is written over it") from None
    except OSError as error:
        raise MonitorError(f"{path}: cannot be written: {error.strerror}") from None
    return len(known)


def _csv(into: BinaryIO, title: str, headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    # With a byte order mark, without which Excel takes UTF-8 for GBK.
    file = io.TextIOWrapper(into, encoding="utf-8-sig", newline="")
    writer = csv.writer(file)
    writer.writerow(headings)
    writer.writerows([guarded(c) if isinstance(c, str) else c for c in row] for row in rows)
    file.detach()


def _xlsx(into: BinaryIO, title: str, headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    for i, column in enumerate(zip(headings, *rows, strict=True), 1):
        # A Chinese character is as wide as two Latin ones.
        widest = max(sum(2 if ord(c) > 0x2E7F else 1 for c in str(cell or "")) for cell in column)
        sheet.column_dimensions[get_column_letter(i)].width = min(widest + 2, _WIDEST)

    def made(value: Cell, bold: bool = False) -> Any:
        cell = WriteOnlyCell(sheet, _CONTROL.sub("", value) if isinstance(value, str) else value)
        if isinstance(value, str):
            cell.data_type = "s"  # also where it begins like a formula
        if bold:
            cell.font = Font(bold=True)
        return cell

    sheet.append([made(heading, True) for heading in headings])
    for row in rows:
        sheet.append([made(value) for value in row])
    book.save(into)

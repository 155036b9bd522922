"""A table (NAME.csv or NAME.xlsx) as people really make it -> rows by column name, numbered as they see them.

Titles above the headings, blank rows, columns without a heading and spaces around cells are passed over; headings may
be in any order, case and width. Every cell is text here: what it means is decided by who asked for the column.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType

from monitor.errors import ConfigError, Mistake
from monitor.inventory.text_table import read_csv
from monitor.inventory.workbook import read_xlsx

MAX_ROWS = 500_000
#: How many rows of title may stand above the headings.
MAX_TITLES = 3
#: What `str.strip` does not know as space: byte order mark, zero-width space and joiners.
_INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060"))
#: How alike a heading must be to one that is known to be taken for a slip of the pen.
_ALIKE = 0.8


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `number` counts from 1 as a spreadsheet shows it; `cells` by column, "" where there is none.

    `broken`: its form is already reported as a mistake; only its first cells can be trusted, to name it.
    """

    number: int
    cells: Mapping[str, str]
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """`file` is the name it really has (sites.csv or sites.xlsx); `mistakes` are those of its form."""

    file: str
    rows: tuple[Row, ...]
    mistakes: tuple[Mistake, ...] = ()


def has_table(folder: Path, name: str) -> bool:
    """Whether there is a NAME.csv or a NAME.xlsx."""
    return any((folder / f"{name}.{suffix}").exists() for suffix in ("csv", "xlsx"))


def read_table(folder: Path, name: str, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Read NAME.csv or NAME.xlsx. Raises ConfigError where nothing can be said about single rows."""
    found = [folder / f"{name}.{suffix}" for suffix in ("csv", "xlsx") if (folder / f"{name}.{suffix}").exists()]
    if not found:
        raise _wrong(f"{name}.csv", f"not found; expected {name}.csv or {name}.xlsx in the folder")
    if len(found) > 1:
        raise _wrong(f"{name}.csv", f"expected one of {name}.csv and {name}.xlsx, found both; remove one")
    return read_file(found[0], required, optional)


def read_file(
    path: Path,
    required: Sequence[str],
    optional: Sequence[str] = (),
    headings: Mapping[str, str] = MappingProxyType({}),
) -> Table:
    """Read a .csv or .xlsx. `headings`: columns by other names that their headings may have, such as Chinese ones.

    Raises ConfigError where nothing can be said about single rows.
    """
    mistakes: list[Mistake] = []
    match path.suffix.lower():
        case ".csv":
            raw = read_csv(path)
        case ".xlsx":
            raw = read_xlsx(path, mistakes)
        case _:
            raise _wrong(path.name, "expected a file whose name ends in .csv or .xlsx")
    rows = _not_blank(path.name, raw)
    top = list(islice(rows, 1 + MAX_TITLES))
    if not top:
        raise _wrong(path.name, f"is empty; expected a first row with the columns {', '.join(required)}")
    named = [(n, [headings.get(heading, heading) for heading in map(_heading, cells)]) for n, cells in top]
    first = _first_below_titles([columns for _, columns in named], required)
    number, columns = named[first]
    _check_columns(path.name, number, columns, required, optional)
    rows = chain(top[first + 1 :], rows)
    return Table(path.name, tuple(_by_column(path.name, columns, rows, mistakes)), tuple(mistakes))


def _first_below_titles(top: Sequence[Sequence[str]], required: Sequence[str]) -> int:
    """Which of these rows holds the headings: the first below titles (of one cell each, often merged over all columns)
    that has a required one. Where none has, it is the first of all, and is told what it lacks."""
    for i, columns in enumerate(top):
        if set(columns) & set(required):
            return i
        if sum(map(bool, columns)) > 1:
            break
    return 0


def _not_blank(file: str, raw: Iterable[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """Cells cleaned, empty ones at the end cut off, blank rows left out."""
    for number, cells in raw:
        row = [clean(cell) for cell in cells]
        while row and not row[-1]:
            row.pop()
        if not row:
            continue
        if number > MAX_ROWS:
            raise _wrong(file, f"is too long; expected at most {MAX_ROWS:,} rows", number)
        yield number, row


def clean(cell: str) -> str:
    """Without spaces around it; line breaks and runs of space inside become one space."""
    return " ".join(cell.translate(_INVISIBLE).split())


def _heading(cell: str) -> str:
    return unicodedata.normalize("NFKC", cell).strip().casefold()


def _check_columns(
    file: str, number: int, columns: Sequence[str], required: Sequence[str], optional: Sequence[str]
) -> None:
    known = (*required, *optional)
    mistakes = [
        Mistake(file, number, column, f"expected the column once, found it {columns.count(column)} times")
        for column in known
        if columns.count(column) > 1
    ]
    absent = [column for column in known if column not in columns]
    for column in dict.fromkeys(columns):
        if column not in known and (alike := difflib.get_close_matches(column, absent, 1, _ALIKE)):
            mistakes.append(Mistake(file, number, column, f"unknown column; expected {alike[0]}?"))
            absent.remove(alike[0])
    missing = [column for column in absent if column in required]
    if missing:
        found = ", ".join(column for column in columns if column)[:200]
        text = f"expected the column{'s' * (len(missing) > 1)} {', '.join(missing)}; found {found}"
        mistakes.append(Mistake(file, number, "", text))
    if mistakes:
        raise ConfigError(mistakes)


def _by_column(
    file: str, columns: Sequence[str], rows: Iterator[tuple[int, list[str]]], mistakes: list[Mistake]
) -> Iterator[Row]:
    for number, cells in rows:
        text = ""
        if len(cells) > len(columns):
            text = f"expected at most {len(columns)} cells, found {len(cells)}; a cell with a comma needs quotes"
        elif len(cells) == 1 and len(columns) > 1 and "，" in cells[0]:
            text = "expected cells separated as in the first row, found full-width commas (，)"
            cells = cells[0].split("，")
        if text:
            mistakes.append(Mistake(file, number, "", text))
        filled = [*cells, *[""] * (len(columns) - len(cells))]
        by_column = {column: cell for column, cell in zip(columns, filled, strict=False) if column}
        yield Row(number, by_column, bool(text))


def _wrong(file: str, text: str, row: int = 0) -> ConfigError:
    return ConfigError([Mistake(file, row, "", text)])

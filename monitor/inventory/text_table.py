"""CSV as people's programs save it: UTF-8 with or without BOM, UTF-16, GBK; CRLF; several separators."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from monitor.errors import ConfigError, Mistake

MAX_CSV_BYTES = 64 * 1024 * 1024
#: What may stand between cells, the most usual first. Excel writes tabs as "Unicode text".
_DELIMITERS = (",", "\t", ";", "，")


def read_csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows with their number as a spreadsheet shows it (blank lines count). Raises ConfigError."""
    text = decode(path.name, _read(path))
    # The whole text, not lines: a quoted cell may hold a line break.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    number = 0
    while True:
        number += 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise _wrong(path.name, f'is not CSV: {error}; expected every quote (") to be closed', number) from None
        if row is None:
            return
        yield number, row


def decode(name: str, data: bytes) -> str:
    """The text of a file. Raises ConfigError where it is in no encoding that spreadsheets write."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise _wrong(name, f"is marked as UTF-16 but is not: {error.reason}") from None
    if b"\0" in data:
        raise _wrong(name, "is not text; expected CSV in UTF-8 or GBK (an XLSX workbook must be named .xlsx)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    rough = data.decode("utf-8", errors="replace")
    damaged = rough.count("\ufffd")
    sound = sum(character > "\x7f" for character in rough) - damaged
    # GB18030 makes characters of nearly any bytes, so it may only be tried where most of it is not UTF-8.
    if data.startswith(b"\xef\xbb\xbf") or sound > damaged:
        raise _wrong(name, f"is damaged: line {line} is not UTF-8 although the rest is; save it again", line)
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    else:
        strange = next((n for n, character in enumerate(text) if "\ue000" <= character <= "\uf8ff"), None)
        if strange is None:
            return text
        line = text.count("\n", 0, strange) + 1
    raise _wrong(name, f"cannot be read from line {line}; expected text in UTF-8 or GBK", line)


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_CSV_BYTES:
            found = f"found {size:,}"
            raise _wrong(path.name, f"is too large; expected at most {MAX_CSV_BYTES:,} bytes, {found}")
        return path.read_bytes()
    except OSError as error:
        raise _wrong(path.name, f"cannot be read: {error.strerror}") from None


def _delimiter(text: str) -> str:
    """The one that occurs in the first line that is not blank; a comma where none does."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return next((delimiter for delimiter in _DELIMITERS if delimiter in header), ",")


def _wrong(name: str, text: str, row: int = 0) -> ConfigError:
    return ConfigError([Mistake(name, row, "", text)])

"""The two pinned fonts of paper: where they lie, what they are called, how wide each character is and which they lack.

No font of the machine is used, so that the same report is the same paper everywhere. Read from the font files directly:
the tables `cmap`, `head` and `hmtx` of OpenType.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pylopdf_fonts_zh_cn as package

from monitor.publish.documents.cells import clean, code

SANS = "Noto Sans SC"
SERIF = "Noto Serif SC"
FOLDER = package.sans_path().parent


@dataclass(frozen=True, slots=True)
class Font:
    """`widths`: of each character that the font has, in thousandths of its size."""

    version: str
    widths: dict[int, int]


@cache
def fonts() -> dict[str, Font]:
    return {SANS: _read(package.sans_path()), SERIF: _read(package.serif_path())}


@cache
def named() -> str:
    """The fonts with their versions, for the line that says how a document was made."""
    which = "、".join(f"{name} {font.version}" for name, font in fonts().items())
    return f"{which}（pylopdf-fonts-zh-cn {version('pylopdf-fonts-zh-cn')}）"


@cache
def _widest() -> dict[int, int]:
    """Of each character that both fonts have, the greater width."""
    sans, serif = (font.widths for font in fonts().values())
    return {char: max(width, serif[char]) for char, width in sans.items() if char in serif}


def width(text: str) -> float:
    """How long a line of it is, in sizes (em)."""
    widths = _widest()
    return sum(widths.get(ord(char), 1000) for char in text) / 1000


def shown(text: str) -> str:
    """The text with `〔U+20BB7〕` in place of each character that the fonts lack: never an empty box."""
    known = _widest()
    text = clean(text).replace("\t", " ")
    if all(ord(char) in known or char == "\n" for char in text):
        return text
    return "".join(char if ord(char) in known or char == "\n" else code(char) for char in text)


def _read(path: Path) -> Font:
    data = path.read_bytes()
    tables = {}
    for i in range(struct.unpack_from(">H", data, 4)[0]):
        tag, _, offset, _ = struct.unpack_from(">4sLLL", data, 12 + 16 * i)
        tables[tag.decode()] = offset
    major, minor = struct.unpack_from(">HH", data, tables["head"] + 4)
    units = struct.unpack_from(">H", data, tables["head"] + 18)[0]
    metrics = struct.unpack_from(">H", data, tables["hhea"] + 34)[0]
    advances = struct.unpack_from(">" + "Hh" * metrics, data, tables["hmtx"])[::2]
    widths = {
        char: advances[min(glyph, metrics - 1)] * 1000 // units for char, glyph in _characters(data, tables["cmap"])
    }
    return Font(f"{major}.{round(minor * 1000 / 65536):03d}", widths)


def _characters(data: bytes, cmap: int) -> list[tuple[int, int]]:
    """Each character with its glyph, from the subtable of whole Unicode (format 12)."""
    for i in range(struct.unpack_from(">H", data, cmap + 2)[0]):
        at = cmap + struct.unpack_from(">L", data, cmap + 8 + 8 * i)[0]
        if struct.unpack_from(">H", data, at)[0] == 12:
            groups = struct.unpack_from(">L", data, at + 12)[0]
            found = []
            for g in range(groups):
                first, last, glyph = struct.unpack_from(">LLL", data, at + 16 + 12 * g)
                found += [(char, glyph + char - first) for char in range(first, last + 1)]
            return found
    raise ValueError("a font without a table of all characters")  # the pinned ones have it

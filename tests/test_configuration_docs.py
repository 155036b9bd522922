"""docs/configuration.md names every key and column that there is, and none that there is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from monitor.inventory import tables
from monitor.inventory.kinds import CHECKS
from monitor.settings import Calendar, Outlet, ServiceHours, Settings

TEXT = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text(encoding="utf-8")
#: What stands for any name in the documented key of a table of tables.
ANY_NAME = {ServiceHours: "LEVEL", Calendar: "YEAR", Outlet: "NAME"}


def keys(model: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield from _below(field.annotation, before + name)


def _below(kind: Any, key: str) -> Iterator[str]:
    candidates = [kind, *get_args(kind)]
    parts = [one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)]
    if not parts:
        yield key
        return
    assert all(one in parts or one in (NoneType, str, int) or get_args(one) for one in candidates), key
    for part in parts:
        name = f".{ANY_NAME[part]}" if part in ANY_NAME else ""
        yield from keys(part, f"{key}{name}.")


def section(title: str) -> list[str]:
    """The first cells of a section's table."""
    body = TEXT.split(f"## {title}\n", 1)[1].split("\n#", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", body, re.MULTILINE)


def test_every_key_is_documented_and_every_documented_key_exists() -> None:
    assert section("monitor.toml") == list(keys(Settings))


@pytest.mark.parametrize(
    ("title", "columns"),
    [
        ("sites.csv", (*tables.SITE_COLUMNS, *tables.DATE_COLUMNS)),
        ("terminals.csv", (*tables.TERMINAL_COLUMNS, tables.MODEL, *tables.DATE_COLUMNS)),
        ("checks.csv", tables.CHECK_COLUMNS),
    ],
)
def test_every_column_is_documented(title: str, columns: tuple[str, ...]) -> None:
    assert section(title) == list(columns)


def test_every_check_is_documented() -> None:
    row = next(line for line in TEXT.splitlines() if line.startswith("| `check` |"))
    assert [name for name in re.findall(r"`([^`]+)`", row) if name != "check"] == list(CHECKS)

"""How two versions of the inventory differ, as people read it, and what of it deserves a second look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from monitor.core.sites import Check, Level, Site, Terminal
from monitor.errors import MonitorError
from monitor.inventory.load import Loaded
from monitor.inventory.versions import settings_from, settings_of

What = Literal["site", "terminal", "check", "setting"]
Kind = Literal["added", "removed", "changed"]
#: More of the sites than this do not disappear in one change without a question.
MANY_REMOVED = 0.2

_WHAT: Mapping[What, str] = {"site": "站点", "terminal": "机位", "check": "检测项", "setting": "设置"}
_SIGN: Mapping[Kind, str] = {"added": "+", "removed": "-", "changed": "~"}
_NAME: Mapping[Kind, str] = {"added": "新增", "removed": "删除", "changed": "改为"}
_LEVEL: Mapping[Level, str] = {Level.COUNTY: "县级", Level.TOWNSHIP: "乡镇", Level.VILLAGE: "村级"}
#: Columns of the tables; times stand there in seconds.
_COLUMNS: Mapping[type, tuple[str, ...]] = {
    Site: ("name", "level", "township", "uplink", "commissioned_on", "retired_on"),
    Terminal: ("commissioned_on", "retired_on", "model"),
    Check: ("target", "interval_s", "grace_s", "failures"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One row or one of its cells. `key`: V1, V1/tv, V1/tv/icmp, service.village.hours. `column`: of what changed; ""
    for a whole row or a setting. `before`, `after`: as the tables write it; of a row what names it."""

    what: What
    key: str
    kind: Kind
    column: str
    before: str
    after: str

    def __str__(self) -> str:
        start = f"{_SIGN[self.kind]} {_WHAT[self.what]} {self.key}"
        if self.kind != "changed":
            text = self.after or self.before
            return f"{start} {_NAME[self.kind]}" + (f"：{text}" if text else "")
        column = "划转" if self.column == "township" else self.column
        return f"{start} {column}：".replace(" ：", "：") + f"{self.before or '（空）'} → {self.after or '（空）'}"


def differences(before: Loaded, after: Loaded) -> list[Difference]:
    """Sites, terminals, checks, settings; in each what was there in its old order, then what is new in its own.

    A site that moves to another township is one difference (column `township`).
    """
    one, other = before.inventory, after.inventory
    found = [
        *_of("site", one.sites, other.sites),
        *_of("terminal", one.terminals, other.terminals),
        *_of("check", one.checks, other.checks),
    ]
    old, new = settings_of(before), settings_of(after)
    for key in [*old, *(key for key in new if key not in old)]:
        if old.get(key) != new.get(key):
            kind: Kind = "added" if key not in old else "removed" if key not in new else "changed"
            found.append(Difference("setting", key, kind, "", old.get(key, ""), new.get(key, "")))
    return found


def _of(what: What, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[Difference]:
    for key, row in old.items():
        name = key if isinstance(key, str) else "/".join(key)
        now = new.get(key)
        if now is None:
            yield Difference(what, name, "removed", "", _called(row), "")
        elif now != row:
            for column in _COLUMNS[type(row)]:
                was, becomes = _cell(row, column), _cell(now, column)
                if column == "township" and row.township_code == now.township_code:
                    # The township is the same and has another name: nothing moved.
                    column, was, becomes = "township_name", row.township_name, now.township_name
                if was != becomes:
                    yield Difference(what, name, "changed", column, was, becomes)
    for key, row in new.items():
        if key not in old:
            yield Difference(what, key if isinstance(key, str) else "/".join(key), "added", "", "", _called(row))


def _cell(row: Site | Terminal | Check, column: str) -> str:
    if column == "township":
        assert isinstance(row, Site)  # noqa: S101  # only sites have that column
        return f"{row.township_code} {row.township_name}"
    if column.endswith("_s"):
        ms = getattr(row, f"{column.removesuffix('_s')}_ms")
        return f"{ms // 1000}" if ms % 1000 == 0 else f"{ms / 1000:.3f}".rstrip("0")
    value = getattr(row, column)
    return "" if value is None else str(value)


def _called(row: Site | Terminal | Check) -> str:
    """What names a row that came or went."""
    match row:
        case Site():
            return f"{row.name}（{_LEVEL[row.level]}，{row.township_code} {row.township_name}）"
        case Terminal():
            return row.model
        case _:
            return row.target


def warnings(before: Loaded, after: Loaded, since: int) -> list[str]:
    """What a person should look at twice before a version holds from `since` (ms).

    Raises MonitorError for a change that cannot be: another time zone would cut the days and months of the past anew.
    """
    old, new = before.settings, after.settings
    if old.timezone != new.timezone:
        raise MonitorError(f"时区不能更改（{old.timezone} → {new.timezone}）：日和月的界限都由它而定")
    day = _day(after, since)
    found: list[str] = []
    gone = [key for key in before.inventory.sites if key not in after.inventory.sites]
    if len(gone) > MANY_REMOVED * len(before.inventory.sites):
        found.append(
            f"删除了 {len(gone)} 个站点，占原有 {len(before.inventory.sites)} 个的五分之一以上，请确认表格是否完整"
        )
    for level in Level:
        if _checks(before, level) and not _checks(after, level):
            found.append(f"{_LEVEL[level]}的检测项全部删除：从生效时起不再监测{_LEVEL[level]}机位")
    held = settings_from(after, since)
    changed = [d.key for d in differences(before, after) if d.what == "setting"]
    if changed and held != since:
        found.append(f"设置从 {_day(after, held)} 起生效（{'、'.join(changed)}）：本月余下的时间仍按原设置判定")
    found += _dates(before.inventory.sites, after.inventory.sites, day)
    found += _dates(before.inventory.terminals, after.inventory.terminals, day)
    return found


def _checks(loaded: Loaded, level: Level) -> bool:
    sites = loaded.inventory.sites
    return any(sites[check.site_id].level is level for check in loaded.inventory.checks.values())


def _dates(old: Mapping[Any, Any], new: Mapping[Any, Any], day: date) -> Iterator[str]:
    """Days that lie before the version: the time until it holds is judged by what held then."""
    for key, row in new.items():
        was = old.get(key)
        for column in ("commissioned_on", "retired_on"):
            now, then = getattr(row, column), getattr(was, column) if was is not None else None
            if now != then and min(d for d in (now, then) if d is not None) < day:
                name = key if isinstance(key, str) else "/".join(key)
                said = f"{name} 的 {column}（{then or '空'} → {now or '空'}）早于生效日 {day}"
                yield f"{said}：此前的时间仍按当时的清单判定"


def _day(loaded: Loaded, at: int) -> date:
    return datetime.fromtimestamp(at / 1000, loaded.settings.zone).date()

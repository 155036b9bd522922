"""Work orders 工单: states, causes, and which outages have one root (docs/workorders.md).

Everything with a limit runs on the one clock, an outage's counted down seconds; *restored* is measured, never typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from monitor.core.sites import UPLINK, Level, Site
from monitor.core.uplink import TOGETHER_MS, Line
from monitor.errors import MonitorError

#: A terminal that is down again within so much counted time of its repair belongs to the order of that repair 返修.
AGAIN_MS: Final = 24 * 3_600_000


class OrderState(StrEnum):
    """In the order in which an order goes through them."""

    OPEN = "open"
    DISPATCHED = "dispatched"
    REPAIRED = "repaired"
    CLOSED = "closed"


STATE_NAMES: Mapping[str, str] = {"open": "待派单", "dispatched": "已派单", "repaired": "已修复", "closed": "已关闭"}

#: From which states a person may take an order to a state.
FROM: Mapping[OrderState, tuple[OrderState, ...]] = {
    OrderState.DISPATCHED: (OrderState.OPEN, OrderState.DISPATCHED),
    OrderState.REPAIRED: (OrderState.OPEN, OrderState.DISPATCHED),
    OrderState.CLOSED: (OrderState.OPEN, OrderState.DISPATCHED, OrderState.REPAIRED),
}

#: Why it failed, as people say it -> as it is kept.
CAUSES: Mapping[str, str] = {
    "市电": "power", "线路": "line", "终端设备": "terminal", "平台": "platform", "人为": "human", "其他": "other",
}  # fmt: skip
#: What the first beat after an outage says of it (core/cause.py), as people say it.
SIGNS: Mapping[str, str] = {"line": "设备在线、线路中断", "restart": "设备重启过", "standstill": "设备停顿过"}
#: What stands in an order's history.
EVENT_NAMES: Mapping[str, str] = {
    "opened": "开立",
    "dispatched": "派单",
    "cause": "填写原因",
    "note": "备注",
    "paper": "附件",
    "repaired": "报修复",
    "restored": "测得恢复",
    "not_restored": "恢复不成立",
    "overdue": "超期",
    "not_overdue": "超期不成立",
    "outages_added": "列入停机",
    "outage_split": "停机拆分",
    "outage_merged": "停机合并",
    "split": "分出站点",
    "reopened": "返修",
    "closed": "关闭",
    "exemption_proposed": "提出免责",
    "exemption_approved": "免责获批",
    "exemption_rejected": "免责驳回",
}
#: Why a failure is nobody's fault who maintains.
EXEMPTIONS: Mapping[str, str] = {"不可抗力": "force_majeure", "市电": "power", "运营商": "carrier"}


def word_of(known: Mapping[str, str], text: str, what: str) -> str:
    """The word that is kept, from it or from what people say. Raises MonitorError."""
    if text in known.values():
        return text
    if text not in known:
        raise MonitorError(f"{what}须为 {'、'.join(known)} 之一，不是 {text!r}")
    return known[text]


def no_such_order(number: str) -> str:
    """What is said wherever somebody names a work order that there is not."""
    return f"没有工单 {number}：应为已开立的工单编号，如 17（见 workorder list --all）"


def name_of(known: Mapping[str, str], word: str) -> str:
    """As people say it; "" stays."""
    return next((name for name, kept in known.items() if kept == word), word)


class Root(NamedTuple):
    """What one order is for: a site (`kind` site, its id), or a township's line (`kind` line, the township's code)."""

    kind: str
    which: str


@dataclass(frozen=True, slots=True)
class LineNow:
    """A township's line that is down. `dark`: its sites of which nothing is up. `since`: None where nobody knows."""

    line: Line
    dark: frozenset[str]


def root_of(terminal: str, start: int, site: Site, line: LineNow | None) -> Root:
    """The root of an outage that began at `start` (ms): the line of its township if that took it along, else its site.

    The line took it along if it began with the line or after it (five minutes are together), at a site that went with
    the line, or of which nothing is up.
    """
    own = Root("site", site.site_id)
    if site.level is Level.COUNTY:
        return own
    whole = Root("line", site.township_code)
    if terminal == UPLINK:
        return whole
    if line is None or line.line.is_up is not False:
        return own
    since = line.line.since
    if since is not None and start < since - TOGETHER_MS:
        return own
    with_it = site.site_id in line.line.villages or site.site_id in line.dark
    return whole if with_it else own


def began_together(start: int, other: int) -> bool:
    """Two outages (ms) behind one line that began at one time: as long as a line needs to show."""
    return abs(start - other) <= TOGETHER_MS

"""The words of an explanation: values, edges and their evidence, ratios written out, lengths in one unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from monitor.core.explaining import heard
from monitor.core.explanation import About, LineFacts
from monitor.core.measure import Measure
from monitor.core.report_words import HOW, KINDS, LEVELS, NO_FIGURE, THIN, part_of
from monitor.core.report_words import percent as in_percent
from monitor.core.timeline import BEGINNING, Edge
from monitor.publish.documents.blocks import Document, Section, Text

_KINDS = {**KINDS, "uplink": "乡镇线路"}
VALUES = {"up": "在线", "down": "中断", "unknown": "未知"}
STATES = {"open": "未结束", "ended": "已结束", "merged": "已并入", "gone": "不成立"}
DEMO = "演示数据"
#: A year follows from its monthly verdicts (docs/rules.md §6).
NOT_A_MONTH = (
    "本期间不是自然月：维护到位与否只按自然月判定，全年由各月判定得出；以下判定与维护率仅为同一规则在本期间上的试算。"
)
#: How a line of the log is shown to whoever looks for it.
LOOK_UP = "查看日志原文：zstdcat 文件.zst | sed -n 行号p（当日未压缩的：sed -n 行号p 文件）。"
#: So many digits of a quotient are written out.
DIGITS = 10


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit for all lengths of a document: seconds where all are whole ones, else milliseconds. Nothing is cut."""

    name: str
    ms: int

    def of(self, ms: int) -> int:
        return ms // self.ms

    def text(self, ms: int) -> str:
        return f"{self.of(ms):,}"


def unit_for(lengths: Iterable[int]) -> Unit:
    return Unit("毫秒", 1) if any(ms % 1000 for ms in lengths) else Unit("秒", 1000)


class Words:
    """Words in a time zone, with the places of the evidence in the log (by terminal, check and instant)."""

    def __init__(self, timezone: str, lines: Iterable[LineFacts] = ()) -> None:
        self.zone = ZoneInfo(timezone)
        self.lines: Mapping[tuple[str, str, int], LineFacts] = {(i.terminal, i.check, i.at): i for i in lines}

    def instant(self, ms: int | None) -> str:
        """Local, exact: `2026-10-09 16:59:00.123`, without the fraction where it is 0."""
        if ms is None:
            return NO_FIGURE
        if ms <= BEGINNING:
            return "最初"
        at = datetime.fromtimestamp(ms // 1000, UTC).astimezone(self.zone)
        rest = f".{ms % 1000:03d}" if ms % 1000 else ""
        return f"{at:%Y-%m-%d %H:%M:%S}{rest}"

    def edge(self, edge: Edge | None) -> str:
        """How it changed and within which bounds: `无心跳，发生在 … 至 … 之间`."""
        if edge is None:
            return NO_FIGURE
        how = HOW.get(edge.how, edge.how)
        if edge.earliest == edge.latest:
            return how
        if edge.earliest is None:
            return f"{how}，不晚于 {self.instant(edge.latest)}（此前没有证据）"
        return f"{how}，发生在 {self.instant(edge.earliest)} 至 {self.instant(edge.latest)} 之间"

    def evidence(self, evidence: Any) -> str:
        """A beat, the end of contact, a result, or the results of a streak."""
        if not evidence:
            return NO_FIGURE
        kind, instants = heard(evidence)
        when = "、".join(map(self.instant, instants))
        if kind == "end":
            return f"{HOW.get(evidence[1], evidence[1])}通知 {when}"
        if kind == "results":
            return f"探测{'成功' if evidence[-1] is True else '失败'} {when}"
        at, sent, via, boot, seq = evidence
        parts = [f"发出 {self.instant(sent)}"] if sent is not None and sent != at else []
        parts += [via] + [f"{name} {value}" for name, value in (("boot", boot), ("seq", seq)) if value is not None]
        return f"心跳 {when}（{'，'.join(parts)}）"

    def places(self, terminal: str, check: str, channel: str, edge: Edge | None, begun: int) -> str:
        """Where its evidence stands in the log: `test-2026-10-12.jsonl 第 83 行（字节 10452）`."""
        if edge is None:
            return NO_FIGURE
        keys = [("", channel, begun)] if edge.how == "channel" else []
        for evidence in (edge.before, edge.after):
            kind, instants = heard(evidence)
            keys += [(terminal, f"will-{channel}" if kind == "end" else check, at) for at in instants]
        found = [self.lines[key] for key in keys if key in self.lines]
        return "；".join(place(line) for line in found) or NO_FIGURE


def place(line: LineFacts) -> str:
    return f"{line.file} 第 {line.number} 行（字节 {line.offset}）"


def percent(part: int, whole: int) -> str:
    """Cut to hundredths of a percent: `99.12%`."""
    return in_percent(part_of(part, whole))


def is_thin(m: Measure, coverage_min: float) -> bool:
    """Too little evidence for a headline percentage, as the verdict has it (docs/rules.md §6)."""
    return m.total > 0 and (m.up + m.down) / m.total < coverage_min


def headline(m: Measure, coverage_min: float) -> str | int | None:
    """Availability in hundredths of a percent, or 监测数据不足."""
    return THIN if is_thin(m, coverage_min) else part_of(m.up, m.up + m.down)


def availability(m: Measure, coverage_min: float) -> str:
    """As `headline`, in words."""
    found = headline(m, coverage_min)
    return found if isinstance(found, str) else in_percent(found)


def level(name: str) -> str:
    """`total` is the county."""
    return "全县" if name == "total" else LEVELS[name]


def quotient(part: int, whole: int) -> str:
    """The division written out and cut: `0.9912345678…`, without the dots where it ends there."""
    if not whole:
        return "除数为 0，无此数"
    digits = part * 10**DIGITS // whole
    text = f"{digits // 10**DIGITS}.{digits % 10**DIGITS:0{DIGITS}d}"
    return text.rstrip("0").ljust(4, "0") if part * 10**DIGITS % whole == 0 else f"{text}…"


def hours(text: str) -> str:
    """`workdays 08:30-12:00 14:00-18:00` as people say it."""
    days, *rest = text.split()
    return ("工作日 " if days == "workdays" else "每日 ") + "、".join(rest)


def terminal(kind: str | None) -> str:
    return "站点" if kind is None else f"{_KINDS.get(kind, kind)}（{kind}）"


def document(title: str, fields: Sequence[tuple[str, str]], sections: Sequence[Section], about: About) -> Document:
    """With what made it, and 演示数据 on what was played."""
    return Document(
        title,
        sections,
        fields,
        (DEMO,) if about.demo else (),
        made_by=f"zhdj-monitor {about.software}，可用率判定规则第 {about.method} 版（docs/rules.md）",
        timezone=about.timezone,
        lead=[Text(NOT_A_MONTH, warning=True)] if about.form not in ("month", "") else [],
        as_of=about.as_of,
    )


def fields(about: About, words: Words) -> list[tuple[str, str]]:
    """Of which time it speaks, and when it was made."""
    known = words.instant(about.known_until)
    if about.known_until is not None and about.known_until < about.end:
        known += "，其后暂按最后的状态计"
    settled = "已定局"
    if about.as_of < about.settles_at:
        settled = f"尚未定局：{words.instant(about.settles_at)} 之前，迟到的心跳仍可改变结果"
    return [
        ("期间", f"{words.instant(about.start)} 至 {words.instant(about.end)}（不含），{settled}"),
        ("生成", f"{words.instant(about.as_of)}，证据已判至 {known}"),
    ]

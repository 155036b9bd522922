"""How reports say things: identifiers in Chinese, percentages that are cut and never rounded up, lengths, instants."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from monitor.core.money import in_wan, in_yuan
from monitor.core.report import RateFacts, Sum
from monitor.core.sites import Level

NO_FIGURE = "—"
#: What stands in the place of a percentage for which there is too little evidence.
THIN = "监测数据不足"

LEVELS: Mapping[str, str] = {"county": "县级", "township": "乡镇", "village": "村级", "total": "合计"}
KINDS: Mapping[str, str] = {"tv": "数字电视", "mobile": "移动终端", "pc": "PC端"}
SERVICES: Mapping[str, str] = {
    "video_conference": "视频会议",
    "emergency": "应急指导",
    "publicity": "宣传服务",
    "supervision": "监督管理",
    "learning": "学习教育",
}
VERDICTS: Mapping[str, str] = {"maintained": "维护到位", "failed": "未维护到位", "unproven": "数据不足"}
#: How contact ended, and how it came back.
HOW: Mapping[str, str] = {
    "goodbye": "主动关机",
    "will": "失联",
    "silence": "无心跳",
    "probe": "探测失败",
    "beat": "心跳恢复",
    "ok": "探测恢复",
    "channel": "监测通道中断",
    "expired": "探测过期",
    "undecided": "未判定",
    "": "未记录",
}
#: The order's cause; without one, what the first beat afterwards says of it.
OUTAGE_CAUSES: Mapping[str, str] = {
    "power": "市电",
    "line": "线路",
    "terminal": "终端设备",
    "platform": "平台",
    "human": "人为",
    "other": "其他",
    "restart": "设备重启过",
    "standstill": "设备停顿过",
    "": "未查明",
}
EXEMPTIONS: Mapping[str, str] = {"force_majeure": "不可抗力", "power": "市电", "carrier": "运营商"}
CHANNELS: Mapping[str, str] = {"mqtt": "MQTT心跳", "http": "HTTP心跳", "probe": "主动探测"}
CHAINS: Mapping[str, str] = {"ledger": "经费台账", "audit": "操作审计", "report": "定稿报告"}
SOURCES: Mapping[str, str] = {"appropriation": "本年拨款", "carry_over": "上年结转", "other": "其他资金"}

_HOUR = 3_600_000
#: In which order tables list levels.
LEVEL_ORDER = (*(str(level) for level in Level), "total")


def part_of(part: int, whole: int) -> int | None:
    """Hundredths of a percent, cut: 9999 for 99.9996 %. None where there is nothing to divide by.

    Reversed entries may make a part negative; it is cut towards 0.
    """
    if whole <= 0:
        return None
    return part * 10_000 // whole if part >= 0 else -(-part * 10_000 // whole)


def percent(hundredths: int | None) -> str:
    """`99.99%`; None is a dash."""
    if hundredths is None:
        return NO_FIGURE
    return f"{'-' if hundredths < 0 else ''}{abs(hundredths) // 100}.{abs(hundredths) % 100:02d}%"


def points(after: int | None, before: int | None) -> str:
    """By how many points a percentage changed: `上升0.31个百分点`."""
    if after is None or before is None:
        return NO_FIGURE
    change = after - before
    if not change:
        return "持平"
    return f"{'上升' if change > 0 else '下降'}{abs(change) // 100}.{abs(change) % 100:02d}个百分点"


def hours(ms: int) -> str:
    """For sentences, cut to minutes from an hour on: `1,657小时30分`, `4分10秒`, `0秒`."""
    return exact_hours(ms - ms % 60_000 if ms >= _HOUR else ms)


def exact_hours(ms: int) -> str:
    """A length to the second, in hours and not in days, because a day of counted time has as many hours as it is
    served: `1,657小时30分5秒`. Parts that are zero are left out; shorter than a second: 不足1秒."""
    if 0 < ms < 1000:
        return "不足1秒"
    minutes, seconds = divmod(max(ms, 0) // 1000, 60)
    whole, minutes = divmod(minutes, 60)
    parts = ((f"{whole:,}小时", whole), (f"{minutes}分", minutes), (f"{seconds}秒", seconds))
    return "".join(shown for shown, n in parts if n) or "0秒"


def yuan(fen: int) -> str:
    """`250,000.00元（25.00万元）`: the exact amount, and beside it the rounded one that people speak of."""
    return f"{in_yuan(fen)}元（{in_wan(fen)}万元）"


def total(sums: Sum) -> int:
    """Counted milliseconds."""
    return sums.up + sums.down + sums.unknown


def availability(sums: Sum) -> int | None:
    return part_of(sums.up, sums.up + sums.down)


def coverage(sums: Sum) -> int | None:
    return part_of(sums.up + sums.down, total(sums))


def bounds(sums: Sum) -> tuple[int | None, int | None]:
    """The honest bounds of availability: as if all unknown time had been down, as if it had been up."""
    return part_of(sums.up, total(sums)), part_of(sums.up + sums.unknown, total(sums))


def rate(facts: RateFacts) -> int | None:
    return part_of(facts.maintained, facts.planned)


def met(facts: RateFacts) -> bool:
    """达标: the target of 100 % is reached, nothing failed and nothing is unproven."""
    return 0 < facts.planned <= facts.maintained and not facts.failed and not facts.unproven


def is_thin(sums: Sum, coverage_min: float) -> bool:
    """Whether there is too little evidence for a headline percentage. As `core.maintenance.terminal_verdict` decides.

    What was not counted at all (out of service, planned throughout) is not thin: it has no percentage anyway.
    """
    whole = total(sums)
    return whole > 0 and (sums.up + sums.down) / whole < coverage_min


def instant(ms: int | None, zone: ZoneInfo) -> str:
    """`10月3日 08:30`, local; with seconds where there are some. None: 未恢复 is for whoever asks to say."""
    if ms is None:
        return NO_FIGURE
    at = datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)
    return f"{at.month}月{at.day}日 {at:%H:%M:%S}" if at.second else f"{at.month}月{at.day}日 {at:%H:%M}"


def full_instant(ms: int, zone: ZoneInfo) -> str:
    """`2026年10月3日 08:30:00`, local."""
    at = datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)
    return f"{at.year}年{at.month}月{at.day}日 {at:%H:%M:%S}"


def long_day(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def local_day(ms: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone).date()


def period_name(start: int, end: int, zone: ZoneInfo) -> str:
    """`2026年10月`, `2026年第3季度`, `2026年上半年`, `2026年`, or from day to day (the last one included)."""
    first, following = local_day(start, zone), local_day(end, zone)
    months = (following.year - first.year) * 12 + following.month - first.month
    if first.day == following.day == 1 and first.year == (following - timedelta(days=1)).year:
        if months == 1:
            return f"{first.year}年{first.month}月"
        if months == 3 and first.month % 3 == 1:
            return f"{first.year}年第{first.month // 3 + 1}季度"
        if months == 6 and first.month in (1, 7):
            return f"{first.year}年{'上' if first.month == 1 else '下'}半年"
        if months == 12:
            return f"{first.year}年"
    last = local_day(max(end - 1, start), zone)
    return long_day(first) if first == last else f"{long_day(first)}至{long_day(last)}"


def name_of(period: str) -> str:
    """`2026年9月` of `2026-09`, `2026年第3季度` of `2026-Q3`, `2026年上半年` of `2026-H1`; else as it stands."""
    year, _, part = period.partition("-")
    if not year.isdigit():
        return period
    if not part:
        return f"{year}年"
    if part.isdigit():
        return f"{year}年{int(part)}月"
    if part in ("H1", "H2"):
        return f"{year}年{'上' if part == 'H1' else '下'}半年"
    return f"{year}年第{part[1:]}季度" if part in ("Q1", "Q2", "Q3", "Q4") else period


def amount_change(after: int, before: int, shown: str) -> str:
    """`增加{shown}`, `减少{shown}`, `持平`; `shown` says the difference."""
    if after == before:
        return "持平"
    return f"{'增加' if after > before else '减少'}{shown}"

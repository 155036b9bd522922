"""In what two reports of a period differ, in the words of the report: with that a restated report 更正版 begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from monitor.core import report_words as words
from monitor.core.money import in_yuan
from monitor.core.report import Counted, MoneyFacts, OutageFacts, RateFacts, ReportFacts, SiteFacts, Sum

#: What stands for a thing that one of the two does not have.
NONE = "（无）"


class Difference(NamedTuple):
    what: str
    before: str
    after: str


def differences(old: ReportFacts, new: ReportFacts) -> list[Difference]:
    """The county's figures first, then sites, outages, windows, orders, exemptions, money, and what was judged by.

    Figures that follow from others (days, heat map, comparisons) are not told again. Empty: nothing that a reader of
    the report would see differs, but for digests, which differ with anything that was recorded since.
    """
    found = [
        *_counted(old.counted, new.counted, ""),
        *_beside(old.without_retroactive, new.without_retroactive, "（不计事后补录）"),
        *_beside(old.after_exemptions, new.after_exemptions, "（免责后）"),
        *_sites(old, new),
        *_outages(old, new),
        *_windows(old, new),
        *_orders(old, new),
        *_exemptions(old, new),
        *_money(old.money, new.money),
        *_judged_by(old, new),
    ]
    return [difference for difference in found if difference.before != difference.after]


def _counted(old: Counted, new: Counted, way: str) -> Iterator[Difference]:
    for level in words.LEVEL_ORDER[::-1]:
        name = "全县" if level == "total" else words.LEVELS[level]
        yield from _rates(f"{name}{way}站点", old.sites.get(level), new.sites.get(level))
        yield from _rates(f"{name}{way}机位", old.terminals.get(level), new.terminals.get(level))
        yield from _sums(f"{name}{way}", old.sums.get(level), new.sums.get(level))


def _beside(old: Counted | None, new: Counted | None, way: str) -> Iterator[Difference]:
    """None: the same as measured, which stands with the measured figures."""
    if old is not None and new is not None:
        yield from _counted(old, new, way)
    elif old is not None or new is not None:
        one, other = ("与实测相同", "另列")[:: 1 if old is None else -1]
        yield Difference(f"全县{way}的数字", one, other)


def _rates(name: str, old: RateFacts | None, new: RateFacts | None) -> Iterator[Difference]:
    if old is None or new is None:
        return
    yield Difference(f"{name}运行维护率", _rate(old), _rate(new))
    yield Difference(f"{name}未维护到位", f"{old.failed}个", f"{new.failed}个")
    yield Difference(f"{name}数据不足", f"{old.unproven}个", f"{new.unproven}个")


def _rate(rate: RateFacts) -> str:
    """As counts: whether there was evidence enough for a percentage, the report itself says."""
    return f"{rate.maintained}÷{rate.planned}"


def _sums(name: str, old: Sum | None, new: Sum | None) -> Iterator[Difference]:
    if old is None or new is None:
        return
    yield Difference(f"{name}在线时长", words.hours(old.up), words.hours(new.up))
    yield Difference(f"{name}中断时长", words.hours(old.down), words.hours(new.down))
    yield Difference(f"{name}未知时长", words.hours(old.unknown), words.hours(new.unknown))
    yield Difference(f"{name}计划检修时长", words.hours(old.planned), words.hours(new.planned))
    yield Difference(f"{name}超时限时长", words.hours(old.overdue), words.hours(new.overdue))


def _pairs(old: Mapping[str, str], new: Mapping[str, str], what: str) -> Iterator[Difference]:
    """By key, in order: what both say, or that one does not have it."""
    for key in sorted(old.keys() | new.keys()):
        yield Difference(f"{what}{key}", old.get(key, NONE), new.get(key, NONE))


def _sites(old: ReportFacts, new: ReportFacts) -> Iterator[Difference]:
    yield from _pairs(_verdicts(old.sites), _verdicts(new.sites), "站点")


def _verdicts(sites: Sequence[SiteFacts]) -> dict[str, str]:
    return {f"{site.name}（{site.site}）结论": words.VERDICTS.get(site.verdict, site.verdict) for site in sites}


def _outages(old: ReportFacts, new: ReportFacts) -> Iterator[Difference]:
    yield from _pairs(_told(old), _told(new), "中断")


def _told(facts: ReportFacts) -> dict[str, str]:
    zone, names = ZoneInfo(facts.timezone), {site.site: site.name for site in facts.sites}

    def name(outage: OutageFacts) -> str:
        kind = words.KINDS.get(outage.terminal, outage.terminal)
        return f"{names.get(outage.site, outage.site)}{kind}（{outage.key}）"

    def text(outage: OutageFacts) -> str:
        end = "未恢复" if outage.over is None else words.instant(outage.over, zone)
        exempted = "，免责" if outage.exempted else ""
        cause = words.OUTAGE_CAUSES.get(outage.cause, outage.cause)
        counted = words.hours(outage.counted_here)
        late = f"，超时限{words.hours(outage.overdue_here)}" if outage.overdue_here else ""
        return f"{words.instant(outage.start, zone)}至{end}，计入{counted}{late}，{cause}{exempted}"

    return {name(outage): text(outage) for outage in facts.outages if outage.counted_here}


def _windows(old: ReportFacts, new: ReportFacts) -> Iterator[Difference]:
    def told(facts: ReportFacts) -> dict[str, str]:
        zone = ZoneInfo(facts.timezone)
        return {
            f"{w.id:05d}号（{w.scope}）": f"{words.instant(w.start, zone)}至{words.instant(w.end, zone)}，{w.reason}"
            + ("，事后补录" if w.retroactive else "")
            for w in facts.windows
        }

    yield from _pairs(told(old), told(new), "计划检修")


def _orders(old: ReportFacts, new: ReportFacts) -> Iterator[Difference]:
    def told(facts: ReportFacts) -> dict[str, str]:
        return {
            order.number: f"{words.OUTAGE_CAUSES.get(order.cause, order.cause)}，中断{len(order.outages)}次，"
            f"{'超期' if order.overdue else '未超期'}{'，免责' if order.exempted else ''}"
            for order in facts.orders
        }

    yield from _pairs(told(old), told(new), "工单")


def _exemptions(old: ReportFacts, new: ReportFacts) -> Iterator[Difference]:
    def told(facts: ReportFacts) -> dict[str, str]:
        return {e.order: f"{words.EXEMPTIONS.get(e.cause, e.cause)}：{e.reason}" for e in facts.exemptions}

    yield from _pairs(told(old), told(new), "免责 工单")


def _money(old: MoneyFacts, new: MoneyFacts) -> Iterator[Difference]:
    def told(money: MoneyFacts) -> dict[str, str]:
        return {
            f"{fund.name}{what}": f"{in_yuan(fen)}元"
            for fund in money.funds
            for what, fen in (
                ("调整后预算", fund.budget),
                ("累计登记", fund.registered),
                ("本期登记", fund.spent_here),
                ("已批未付", fund.approved_unpaid),
            )
        }

    yield from _pairs(told(old), told(new), "经费 ")


def _judged_by(old: ReportFacts, new: ReportFacts) -> Iterator[Difference]:
    yield Difference("规则版本", old.rules, new.rules)
    yield Difference("软件版本", old.software, new.software)
    yield Difference("站点清单版本", _eras(old), _eras(new))
    yield Difference("参数", _parameters(old), _parameters(new))


def _eras(facts: ReportFacts) -> str:
    return "、".join(f"第{era.version}版" for era in facts.eras) or NONE


def _parameters(facts: ReportFacts) -> str:
    last = facts.eras[-1].parameters if facts.eras else {}
    return "；".join(f"{key}={value}" for key, value in sorted(last.items())) or NONE

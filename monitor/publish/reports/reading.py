"""A report's facts, looked up: names, limits, what belongs to a site, and what is beside a figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from zoneinfo import ZoneInfo

from monitor.core import report_words as words
from monitor.core.report import Counted, OrderFacts, OtherFacts, OutageFacts, RateFacts, ReportFacts, SiteFacts, Sum
from monitor.publish.documents.blocks import Cell

#: The two other ways of counting that stand beside what was measured: attribute of the facts, words.
WITHOUT_WINDOWS = "不计事后补录"
EXEMPTED = "免责后"
#: Where a group has more than this many of something, paper shows the first ones only.
BRIEF = 20


@dataclass(frozen=True, slots=True)
class Way:
    """Another way of counting of the same period."""

    name: str
    counted: Counted


class Reading:
    """The facts with their indexes. It computes nothing that the facts do not say."""

    def __init__(self, facts: ReportFacts) -> None:
        self.facts = facts
        self.zone = ZoneInfo(facts.timezone)
        self.name = words.period_name(facts.start, facts.end, self.zone)
        parameters = facts.eras[-1].parameters if facts.eras else {}
        self.coverage_min = Decimal(parameters.get("maintenance.coverage_min", "0.9"))
        self.availability_min = Decimal(parameters.get("maintenance.availability_min", "0.9"))
        self.townships = {group.id: group.name for group in facts.townships}

    @cached_property
    def sites(self) -> dict[str, SiteFacts]:
        return {site.site: site for site in self.facts.sites}

    @cached_property
    def orders(self) -> dict[str, OrderFacts]:
        return {order.number: order for order in self.facts.orders}

    @cached_property
    def outages(self) -> Sequence[OutageFacts]:
        """Those that count in the period: at least one counted millisecond down in it."""
        return [outage for outage in self.facts.outages if outage.counted_here > 0]

    @cached_property
    def outages_of(self) -> dict[str, list[OutageFacts]]:
        return _grouped((outage.site, outage) for outage in self.outages)

    @cached_property
    def orders_of(self) -> dict[str, list[OrderFacts]]:
        """By site: the orders of its own, and those of a line that took it along."""
        found: dict[str, dict[str, OrderFacts]] = {}
        for order in self.facts.orders:
            found.setdefault(order.site, {})[order.number] = order
        for outage in self.facts.outages:
            if outage.order in self.orders:
                found.setdefault(outage.site, {})[outage.order] = self.orders[outage.order]
        return {site: [*orders.values()] for site, orders in found.items()}

    @cached_property
    def ways(self) -> Sequence[Way]:
        """The ways of counting that change a figure of this period."""
        beside = ((WITHOUT_WINDOWS, self.facts.without_retroactive), (EXEMPTED, self.facts.after_exemptions))
        return [Way(name, counted) for name, counted in beside if counted is not None]

    @cached_property
    def county_codes(self) -> frozenset[str]:
        """Codes of the county itself: where its own sites stand, which are no township's."""
        levels: dict[str, set[str]] = {}
        for site in self.facts.sites:
            levels.setdefault(site.township, set()).add(site.level)
        return frozenset(code for code, found in levels.items() if found == {"county"})

    @cached_property
    def failed(self) -> Sequence[SiteFacts]:
        return [site for site in self.facts.sites if site.verdict == "failed"]

    @cached_property
    def unproven(self) -> Sequence[SiteFacts]:
        return [site for site in self.facts.sites if site.verdict == "unproven"]

    @property
    def total(self) -> Sum:
        return self.facts.counted.sums["total"]

    @property
    def rate(self) -> RateFacts:
        return self.facts.counted.sites["total"]

    def site_name(self, site: str) -> str:
        """A site's name; of `township:CODE`, which the order of a line has, that line."""
        if site.startswith("township:"):
            return f"{self.township_name(site.removeprefix('township:'))}线路"
        return self.place(self.sites[site]) if site in self.sites else site

    def place(self, site: SiteFacts) -> str:
        """A site's name with its township's, where the name does not say it."""
        township = self.township_name(site.township)
        return site.name if township in site.name or site.level == "county" else f"{township} {site.name}"

    def kind_name(self, kind: str) -> str:
        return words.KINDS.get(kind, kind)

    def township_name(self, code: str) -> str:
        return self.townships.get(code, code)

    def is_thin(self, sums: Sum) -> bool:
        return words.is_thin(sums, float(self.coverage_min))

    def availability(self, sums: Sum) -> Cell:
        """Hundredths of a percent, or 监测数据不足 where there is too little evidence; None where nothing counted."""
        return words.THIN if self.is_thin(sums) else words.availability(sums)

    def rate_cell(self, rate: RateFacts, sums: Sum) -> Cell:
        """The maintenance rate; where the evidence is too thin for a percentage, the words for that; None where nothing
        was counted at all."""
        if self.is_thin(sums):
            return words.THIN
        return words.rate(rate) if words.total(sums) else None

    def availability_text(self, sums: Sum) -> str:
        return self.figure(self.availability(sums), sums)

    def rate_text(self, rate: RateFacts, sums: Sum) -> str:
        return self.figure(self.rate_cell(rate, sums), sums)

    def figure(self, cell: Cell, sums: Sum) -> str:
        """A percentage for a sentence; in the place of one that cannot be said, the words and the coverage."""
        if isinstance(cell, str):
            return f"{cell}（监测数据完整率{words.percent(words.coverage(sums))}）"
        return words.percent(cell)

    def instant(self, ms: int | None) -> str:
        return words.instant(ms, self.zone)

    def beside(self, key: str) -> Iterator[tuple[str, OtherFacts]]:
        """What the other ways say of a member or group (`site:ID`, `township:CODE`, ...), where that differs."""
        for way in self.ways:
            if key in way.counted.differing:
                yield way.name, way.counted.differing[key]

    def terminals_beside(self) -> Iterator[tuple[str, Sum]]:
        """What the other ways say of all terminals together, where that differs."""
        for way in self.ways:
            up = down = unknown = planned = outages = overdue = 0
            differs = False
            for site in self.facts.sites:
                for terminal in site.terminals:
                    other = way.counted.differing.get(f"terminal:{site.site}/{terminal.terminal}")
                    differs = differs or other is not None
                    sums = other.sum if other else terminal.sum
                    up, down, unknown = up + sums.up, down + sums.down, unknown + sums.unknown
                    planned, outages, overdue = planned + sums.planned, outages + sums.outages, overdue + sums.overdue
            if differs:
                yield way.name, Sum(up, down, unknown, planned, outages, overdue)

    @property
    def as_measured(self) -> str:
        """What a chart or a list says that cannot show the other ways; nothing where there are none."""
        if not self.ways:
            return ""
        names = "、".join(f"“{way.name}”" for way in self.ways)
        return f"本图表为本期数字口径，{names}口径见第五部分。"

    def levels_beside(self, level: str) -> Iterator[tuple[str, Sum, RateFacts, RateFacts]]:
        """What the other ways say of a level: sums, rate of sites, rate of terminals, where one of them differs."""
        counted = self.facts.counted
        for way in self.ways:
            other = way.counted
            theirs = (other.sums[level], other.sites[level], other.terminals[level])
            if theirs != (counted.sums[level], counted.sites[level], counted.terminals[level]):
                yield way.name, *theirs


def _grouped(pairs: Iterable[tuple[str, OutageFacts]]) -> dict[str, list[OutageFacts]]:
    result: dict[str, list[OutageFacts]] = {}
    for key, value in pairs:
        result.setdefault(key, []).append(value)
    return result

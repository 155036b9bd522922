"""A site's figures of a period, or a terminal's: everything that stands behind them, read and taken apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from monitor.core.days import local_days
from monitor.core.explaining import Account, accounts, check_parts
from monitor.core.explanation import (
    Beside,
    Chain,
    CheckFacts,
    Difference,
    HeldFacts,
    LineFacts,
    SealedFacts,
    SiteExplanation,
    Step,
    VersionFacts,
)
from monitor.core.figures import Counter, Figures, Held, Key, Member
from monitor.core.measure import Measure
from monitor.core.period import Period
from monitor.core.report_words import name_of
from monitor.core.service import Profile
from monitor.core.sites import Check, Site
from monitor.core.timeline import BEGINNING, Interval, Timeline
from monitor.errors import MonitorError
from monitor.flows.reports.evidence_lines import Wanted, of_parts
from monitor.flows.reports.explain import chain_of, find_site, located, read
from monitor.flows.work_json import cost_json
from monitor.inventory.load import Loaded
from monitor.store import orders, reading, reports, versions
from monitor.store.database import snapshot
from monitor.store.ledger import entries
from monitor.store.orders import Order

#: Where evidence is looked up in the log: spans of a check, the last ones where there are more.
LOCATED = 200
#: Entries of the ledger that name a site; what is more is said in the ledger itself.
COSTS = 1_000


async def explain_site(
    engine: AsyncEngine,
    loaded: Loaded,
    period: Period,
    site_id: str,
    terminal: str | None,
    now: int,
    *,
    locate: bool = True,
) -> SiteExplanation:
    """A site's figures of a period, or those of one of its terminals, held against the sealed report if there is one.

    `locate`: look the evidence up in the log. Raises MonitorError for a site or terminal that never was, or was not
    in service in the period.
    """
    async with snapshot(engine) as connection:
        it = await read(connection, loaded, period, now)
        site = find_site(it.counter, site_id)
        own = await reading.timelines(connection, *it.period, edges=True, sites=[site_id])
        found = accounts(it.counter, site_id, it.period, own, local_days(loaded.settings.zone))
        mine = _chosen(it.counter, site, terminal, found, period)
        held = [h for h in it.counter.held(site_id) if h.since < it.period[1] and h.until > it.period[0]]
        checks = _checks(it.counter, held, terminal, it.period, own)
        told = await orders.listed(connection, site=site_id)
        numbers = [o.id for o in told if _concerns(o, site_id, terminal, it.period)]
        costs = await _costs_of_site(connection, period, site_id)
        observers = await reading.observers(connection, site_id)
        stored = await versions.rows(connection)
        sealed = await _sealed(connection, period, site_id, mine)
    chains = [await chain_of(engine, loaded, number) for number in numbers]
    named = {cost["entry"] for chain in chains for cost in chain.costs}
    if others := [cost for cost in costs if cost["entry"] not in named]:
        chains.append(Chain({}, [], [], [], others))
    lines, files = await _located(loaded, site_id, observers, checks) if locate else ([], [])
    # Where terminals have hours of their own, they may be in service on days on which the site itself is not.
    whole = next((m for m in it.figures.sites if m.site.site_id == site_id), None)
    if whole is not None:
        site = whole.site
    return SiteExplanation(
        it.about,
        site_id,
        site.name,
        str(site.level),
        site.township_code,
        site.township_name,
        terminal,
        mine,
        checks,
        [_held_facts(h, it.period) for h in held],
        _versions(stored, it.period),
        _beside(it.figures.without_retroactive, it.figures, site_id, terminal),
        _beside(it.figures.after_exemptions, it.figures, site_id, terminal),
        [] if whole is None else _steps(it.figures, whole),
        it.figures.site_rates,
        it.figures.terminal_rates,
        chains,
        lines,
        files,
        sealed,
    )


def _chosen(
    counter: Counter, site: Site, terminal: str | None, found: Sequence[Account], period: Period
) -> list[Account]:
    """The accounts that were asked for, the site's own last."""
    if terminal is not None and all(terminal not in h.terminals for h in counter.held(site.site_id)):
        kinds = sorted({kind for h in counter.held(site.site_id) for kind in h.terminals})
        raise MonitorError(f"站点 {site.site_id} 没有机位 {terminal}，有：{'、'.join(kinds) or '无'}")
    mine = [a for a in found if terminal in (None, a.terminal) or a.terminal is None]
    if mine and (terminal is None or mine[0].terminal == terminal):
        return mine
    who = f"站点 {site.site_id}" if terminal is None else f"机位 {site.site_id}/{terminal}"
    dates = f"投用 {site.commissioned_on or '未填'}，停用 {site.retired_on or '未填'}"
    raise MonitorError(f"{who} 在 {period.name} 没有服务时间（{dates}），不列入统计")


def _checks(
    counter: Counter, held: Sequence[Held], terminal: str | None, period: Interval, own: Mapping[Key, Timeline]
) -> list[CheckFacts]:
    """Those that were there in the period; as they are, whether the policy asked for them or not."""
    there = {c.key for h in held for kind in h.terminals for c in _of(h, kind)}
    keys = sorted(k for k in own if k in there and terminal in (None, k[1]))
    return [CheckFacts(k[1], k[2], check_parts(counter, k[0], k, period, own[k])) for k in keys]


def _of(held: Held, kind: str) -> Sequence[Check]:
    return held.era.inventory.checks_of.get((held.site.site_id, kind), ())


def _held_facts(held: Held, period: Interval) -> HeldFacts:
    site, service = held.site, held.era.service
    profiles = {"": service.profile(site), **{k: service.profile(site, t) for k, t in held.terminals.items()}}
    return HeldFacts(
        max(held.since, period[0]),
        min(held.until, period[1]),
        str(site.level),
        site.township_code,
        site.township_name,
        held.era.parameters.terminal_policy,
        held.repair_limit_ms,
        {kind: _hours(profile) for kind, profile in profiles.items()},
        {kind: [_terms(c) for c in _of(held, kind)] for kind in held.terminals},
        str(site.commissioned_on or ""),
        str(site.retired_on or ""),
    )


def _hours(profile: Profile) -> str:
    """`workdays 08:30-12:00 14:00-18:00`"""
    hours = [f"{_clock(a)}-{_clock(b)}" for a, b in profile.rule.hours]
    return " ".join(["workdays" if profile.rule.workdays else "daily", *hours])


def _clock(ms: int) -> str:
    minutes = ms // 60_000
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _terms(check: Check) -> str:
    """`heartbeat-mqtt I=60 G=180`, `icmp I=60 N=3`; seconds."""
    rest = f"G={check.grace_ms // 1000}" if check.is_heartbeat else f"N={check.failures}"
    return f"{check.check} I={check.interval_ms // 1000} {rest}"


def _versions(stored: Iterable[versions.Stored], period: Interval) -> list[VersionFacts]:
    held = sorted((v for v in stored if v.state == "held"), key=lambda v: (v.since, v.number))
    ends = [*(v.since for v in held[1:]), period[1]]
    return [
        VersionFacts(v.number, None if v.since <= BEGINNING else v.since, v.digest, v.approved_by)
        for v, until in zip(held, ends, strict=False)
        if v.since < period[1] and until > period[0]
    ]


def _beside(other: Figures | None, figures: Figures, site_id: str, terminal: str | None) -> list[Beside]:
    """What differs for the site under another way of counting."""
    if other is None:
        return []

    def of(which: Figures) -> dict[str | None, Member]:
        return {m.terminal: m for m in (*which.terminals, *which.sites) if m.site.site_id == site_id}

    counted = of(figures)
    return [
        Beside(kind, m.measure, m.verdict)
        for kind, m in of(other).items()
        if kind in (None, terminal or kind) and (m.measure, m.verdict) != (counted[kind].measure, counted[kind].verdict)
    ]


def _steps(figures: Figures, site: Member) -> list[Step]:
    """How the site enters its level, its township and the county; of a site that moved each that it belonged to."""
    sums, townships = figures.sums(), figures.by_township()
    steps: list[Step] = []
    names = {m.site.township_code: m.site.township_name for m in figures.sites}
    names |= {s.township_code: s.township_name for s, _ in site.parts}
    groups: list[tuple[str, Callable[[Site], str], Mapping[str, Measure]]] = [
        ("township", lambda s: s.township_code, townships),
        ("level", lambda s: str(s.level), sums),
        ("total", lambda s: "total", sums),
    ]
    for group, of, found in groups:
        members: dict[str, list[Measure]] = {}
        for m in figures.sites:
            if m is not site:
                for which, measure in m.by(of):
                    members.setdefault(which, []).append(measure)
        own: dict[str, Measure] = {}
        for which, measure in site.by(of):
            own[which] = own.get(which, Measure()) + measure
        for which, measure in own.items():
            others = members.get(which, [])
            rest = sum(others, Measure())
            steps.append(Step(group, which, names.get(which, ""), len(others) + 1, rest, measure, found[which]))
    return steps


def _concerns(order: Order, site_id: str, terminal: str | None, period: Interval) -> bool:
    """Opened in the period for the site, or listing an outage of it that lies in the period."""
    if order.site == site_id and period[0] <= order.opened_ms < period[1]:
        return True
    return any(
        o.site == site_id
        and terminal in (None, o.terminal)
        and o.start < period[1]
        and (o.over is None or o.over > period[0])
        for o in order.outages
    )


async def _costs_of_site(connection: AsyncConnection, period: Period, site_id: str) -> list[dict[str, Any]]:
    """Entries of the ledger for the site that were paid in the period."""
    found = await entries.wanted(connection, entries.Wanted(site=site_id, limit=COSTS))
    first, last = period.first.isoformat(), period.last.isoformat()
    return [
        {**cost_json(c), "work_order": c["work_order"]}
        for c in reversed(found)
        if c["state"] != "void" and first <= str(c["paid_on"] or "") <= last
    ]


async def _located(
    loaded: Loaded, site_id: str, observers: Sequence[str], checks: Iterable[CheckFacts]
) -> tuple[list[LineFacts], list[str]]:
    wanted: set[Wanted] = set()
    for of in checks:
        channel = Check(site_id, of.terminal, of.check).channel
        wanted |= set(of_parts(of.terminal, of.check, channel, of.parts[-LOCATED:]))
    return await located(loaded, site_id, observers, wanted)


async def _sealed(
    connection: AsyncConnection, period: Period, site_id: str, told: Sequence[Account]
) -> SealedFacts | None:
    kept = await reports.newest(connection, period.name)
    if kept is None:
        return None
    facts = json.loads(await reports.facts(connection, kept.n))
    name = f"{name_of(period.name)}月报（{'更正版' if kept.revision else '定稿'}）"
    return SealedFacts(name, differences(facts, site_id, told))


def differences(facts: Mapping[str, Any], site_id: str, told: Sequence[Account]) -> list[Difference]:
    """What a sealed report says of the site that is not what is counted now."""
    site: Mapping[str, Any] = next((s for s in facts["sites"] if s["site"] == site_id), {"terminals": []})
    members: dict[str | None, Mapping[str, Any]] = {t["terminal"]: t for t in site["terminals"]}
    members[None] = site
    result: list[Difference] = []
    for account in told:
        was = members.get(account.terminal, {})
        for name in ("up", "down", "unknown", "planned", "outages", "overdue"):
            before, now = was.get("sum", {}).get(name, 0), getattr(account.measure, name)
            if before != now:
                result.append(Difference(account.terminal, name, before, now))
        if was.get("verdict", "") != account.verdict:
            result.append(Difference(account.terminal, "verdict", was.get("verdict", ""), account.verdict))
    return result

"""/metrics: Prometheus text and OpenMetrics, written by hand because 702 terminals take a tenth of the time.

tests/test_metrics.py reads it back with Prometheus' own parsers; docs/metrics.md lists every name.
A sample that is absent says "not known"; 0 says "known, and it is none".
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from math import inf, isnan, nan
from pathlib import Path
from typing import TypeVar

from monitor import __version__
from monitor.core.sites import CHANNELS, HEARTBEATS
from monitor.publish.histogram import Histogram
from monitor.publish.views import (
    FIGURE_LEVELS,
    REASONS,
    SITE_STATES,
    VERDICTS,
    MoneyFigures,
    MonthFigures,
    OutboxFigures,
    Telling,
)

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

#: Every family: name without a counter's `_total` -> (type, help). docs/metrics.md says more.
FAMILIES: Mapping[str, tuple[str, str]] = {
    "zhdj_build": ("info", "The running version."),
    "zhdj_site_state": ("gauge", "1 for the state that a site is in, in service or not, else 0."),
    "zhdj_site_in_service": ("gauge", "1 while inside the service hours of the site, else 0."),
    "zhdj_site_planned": ("gauge", "1 while inside a planned window, else 0."),
    "zhdj_township": ("info", "Name of a township, for rules and pages."),
    "zhdj_terminal_up": ("gauge", "1 while a terminal is up, 0 while it is down, absent while unknown."),
    "zhdj_terminal_last_seen_timestamp_seconds": ("gauge", "When a terminal last gave a sign of life."),
    "zhdj_outage_counted_seconds": ("gauge", "Counted down seconds of the outage that is going on."),
    "zhdj_repair_limit_seconds": ("gauge", "The limit that the outage going on is held against."),
    "zhdj_open_after_seconds": (
        "gauge",
        "Counted seconds of an outage after which people are told and an order opens.",
    ),
    "zhdj_uplink_up": ("gauge", "1 while the line of a township is up, 0 while it is down."),
    "zhdj_service_ok": ("gauge", "What a device last said of a service: 1 ok, 0 failed."),
    "zhdj_certificate_expiry_timestamp_seconds": ("gauge", "When the certificate that a probe last saw expires."),
    "zhdj_availability_ratio": ("gauge", "Availability, this month so far; absent below the least coverage."),
    "zhdj_coverage_ratio": (
        "gauge",
        "Coverage by evidence, this month so far; NaN before anything counts.",
    ),
    "zhdj_up_seconds": ("gauge", "Counted up seconds of the sites, this month so far."),
    "zhdj_down_seconds": ("gauge", "Counted down seconds of the sites, this month so far."),
    "zhdj_unknown_seconds": ("gauge", "Counted seconds without evidence, this month so far."),
    "zhdj_maintenance_rate_ratio": ("gauge", "Maintained sites by planned sites, this month so far."),
    "zhdj_sites_verdict": ("gauge", "Sites by verdict, this month so far."),
    "zhdj_plan_sites": ("gauge", "Sites of the year's plan, which the maintenance rate is held against."),
    "zhdj_availability_otherwise_ratio": ("gauge", "Availability this month so far, counted in another way."),
    "zhdj_maintenance_rate_otherwise_ratio": (
        "gauge",
        "Maintenance rate this month so far, counted in another way.",
    ),
    "zhdj_coverage_min_ratio": ("gauge", "The least coverage with which a month's figures are proven."),
    "zhdj_workorders_open": ("gauge", "Work orders that are not closed."),
    "zhdj_workorders_overdue": ("gauge", "Work orders that are not closed and overdue."),
    "zhdj_budget_yuan": ("gauge", "Adjusted budget of this year's funds."),
    "zhdj_spent_yuan": ("gauge", "Registered in the cost ledger this year."),
    "zhdj_spent_township_yuan": ("gauge", "Registered this year, by the township that it was for."),
    "zhdj_spent_site_yuan": ("gauge", "Registered this year, by the site that it was for."),
    "zhdj_spent_cause_yuan": ("gauge", "Registered this year, by the cause of its work order."),
    "zhdj_approved_unpaid_yuan": ("gauge", "Approved in the cost ledger and not paid yet."),
    "zhdj_forecast_yuan": ("gauge", "What will be registered by the end of the year, at the present pace."),
    "zhdj_report_sealed_timestamp_seconds": ("gauge", "When the report of a month was sealed."),
    "zhdj_report_restatement_due": ("gauge", "Sealed reports whose figures are others by now."),
    "zhdj_channel_observed": ("gauge", "1 while evidence could be received on a channel, else 0."),
    "zhdj_heartbeats_received": ("counter", "Heartbeats taken as evidence."),
    "zhdj_heartbeats_missing": ("counter", "Heartbeats that were sent and not heard, by the gaps between numbers."),
    "zhdj_heartbeats_rejected": ("counter", "Evidence refused, by reason."),
    "zhdj_probes": ("counter", "Probes that ended, by result."),
    "zhdj_probe_duration_seconds": ("histogram", "How long probes took."),
    "zhdj_detection_delay_seconds": (
        "histogram",
        "From the moment an outage could be confirmed to the moment it was.",
    ),
    "zhdj_trouble": ("gauge", "1 for a part that keeps the service from its job; absent otherwise."),
    "zhdj_warning": ("gauge", "1 for a part that somebody should look at; absent otherwise."),
    "zhdj_queue_length": ("gauge", "What waits inside the service, by what it waits for."),
    "zhdj_folder_free_bytes": ("gauge", "Free bytes of the file system that a folder lies on."),
    "zhdj_folder_size_bytes": ("gauge", "Size of the file system that a folder lies on."),
    "zhdj_calendar_known": ("gauge", "1 if the working days of a year are known, else 0."),
    "zhdj_outbox_waiting": ("gauge", "Tellings of alerts that are not sent yet."),
    "zhdj_outbox_oldest_timestamp_seconds": ("gauge", "Since when the oldest of them waits."),
    "zhdj_outbox_sent": ("counter", "Messages that an outlet took."),
    "zhdj_outbox_failed": ("counter", "Messages that an outlet did not take; they are tried again."),
    "zhdj_outbox_alerts": ("counter", "Alerts that Alertmanager told, by what became of them."),
    "zhdj_watchdog_timestamp_seconds": ("gauge", "When Alertmanager last told of the alert that always fires."),
    "zhdj_outside_timestamp_seconds": ("gauge", "When the switch outside was last told that all is well."),
    "process_start_time_seconds": ("gauge", "When the process began."),
    "process_cpu_seconds": ("counter", "Processor time used, user and system."),
    "process_resident_memory_bytes": ("gauge", "Memory in use."),
    "process_open_fds": ("gauge", "Open file descriptors."),
}

#: A label's longest value in characters. What was cut or replaced gets a digest, so that names stay distinct.
LONGEST_LABEL = 160
# Control characters, line and paragraph separators, surrogates, and what turns the direction of text around.
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")
_STARTED = time.time()


@lru_cache(maxsize=65_536)
def escape(value: str) -> str:
    """A label's value as it stands between the quotes, whatever the name outside was."""
    safe = _UNSAFE.sub("\ufffd", value[:LONGEST_LABEL])
    if safe != value:
        safe += "~" + sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return safe.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def labels(**values: str) -> str:
    """`{a="x",b="y"}`"""
    return "{" + ",".join([f'{name}="{escape(value)}"' for name, value in values.items()]) + "}"


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header prefers OpenMetrics to plain text. Wildcards and nonsense mean text."""
    quality = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for part in accept.lower().split(","):
        kind, *parameters = (p.strip() for p in part.split(";"))
        fields = dict(p.partition("=")[::2] for p in parameters)
        if kind not in quality or fields.get("version", "1.0.0").strip('"') not in (
            "0.0.1",
            "0.0.4",
            "1.0.0",
        ):
            continue
        try:
            q = float(fields.get("q", 1))
        except ValueError:
            continue
        if 0 <= q <= 1:
            quality[kind] = max(quality[kind], q)
    return 0 < quality["application/openmetrics-text"] >= quality["text/plain"]


#: Sites or terminals that are told at a stretch, and lines that are joined: under a millisecond.
SLICE = 100
_LINES = 2000


def exposition(board: Telling, *, openmetrics: bool, coverage_min: float) -> bytes:
    """Everything in one piece; `chunks` gives it in slices."""
    return "".join(chunks(board, openmetrics=openmetrics, coverage_min=coverage_min)).encode()


def chunks(board: Telling, *, openmetrics: bool, coverage_min: float) -> Iterator[str]:
    """The text in order, in pieces, some of them empty: after each one, others may have their turn.

    What changes in between shows in what comes later. `coverage_min` hides the availability of what was hardly
    watched.
    """
    for told in _families(board, coverage_min):
        if told is None:
            yield ""
            continue
        family, lines = told
        kind, text = FAMILIES[family]
        name = family
        if not openmetrics:
            name += {"counter": "_total", "info": "_info"}.get(kind, "")
            kind = "gauge" if kind == "info" else kind
        yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
        for i in range(0, len(lines), _LINES):
            yield "\n".join(lines[i : i + _LINES]) + "\n"
    if openmetrics:
        yield "# EOF\n"


def number(value: float) -> str:
    """As both formats read it: whole numbers without a point, others to the last bit, NaN."""
    if isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) else repr(float(value))


def _line(sample: str, value: float, /, **values: str) -> str:
    return f"{sample}{labels(**values) if values else ''} {number(value)}"


#: A family with its lines; None: nothing yet, but a good moment to let others have their turn.
_Told = Iterator[tuple[str, list[str]] | None]
_T = TypeVar("_T")


def _breathing(things: Iterable[_T]) -> Iterator[_T | None]:
    """The things, with None after every SLICE of them."""
    for n, thing in enumerate(things, 1):
        yield thing
        if n % SLICE == 0:
            yield None


def _families(board: Telling, coverage_min: float) -> _Told:
    yield "zhdj_build", [_line("zhdj_build_info", 1, version=__version__)]
    yield from _of_sites(board)
    yield from _of_terminals(board)
    name = "zhdj_open_after_seconds"
    yield name, [_line(name, seconds, level=level) for level, seconds in board.open_after().items()]
    name = "zhdj_uplink_up"
    uplinks: list[str] = []
    for township, up in board.uplinks():
        if up is not None:
            uplinks.append(_line(name, up, township=township))
        yield None
    yield name, uplinks
    name = "zhdj_service_ok"
    yield from _labelled(
        name,
        (
            (ok, {"site": s, "terminal": t, "service": what})
            for (s, t, what), ok in list(board.counters.services.items())
            if ok is not None
        ),
    )
    name = "zhdj_certificate_expiry_timestamp_seconds"
    yield from _labelled(
        name,
        (
            (at / 1000, {"site": s, "terminal": t, "check": c})
            for (s, t, c), at in list(board.counters.certificates.items())
        ),
    )
    yield from _of_month(board.month, coverage_min)
    yield "zhdj_coverage_min_ratio", [_line("zhdj_coverage_min_ratio", coverage_min)]
    yield from _of_orders(board.orders)
    yield from _of_money(board.money)
    name = "zhdj_report_sealed_timestamp_seconds"
    yield name, [_line(name, at / 1000, month=month) for month, at in board.sealed.items()]
    name = "zhdj_report_restatement_due"
    yield name, [] if board.restatements_due is None else [_line(name, board.restatements_due)]
    yield from _of_intake(board)
    yield from _of_parts(board)
    yield from _of_alerts(board.outbox)
    yield from _of_process()


def _labelled(name: str, values: Iterable[tuple[float, dict[str, str]]]) -> _Told:
    lines: list[str] = []
    for each in _breathing(values):
        if each is None:
            yield None
        else:
            lines.append(_line(name, each[0], **each[1]))
    yield name, lines


def _of_sites(board: Telling) -> _Told:
    state: list[str] = []
    service: list[str] = []
    planned: list[str] = []
    townships: dict[str, str] = {}
    for s in _breathing(board.sites()):
        if s is None:
            yield None
            continue
        heads, where = _site_labels(s.site, s.name, s.level, s.township)
        state += [head + ("1" if each == s.state else "0") for each, head in heads]
        service.append(f"zhdj_site_in_service{where} {s.in_service:d}")
        planned.append(f"zhdj_site_planned{where} {s.planned:d}")
        if s.township_name:
            townships.setdefault(s.township, s.township_name)
    yield "zhdj_site_state", state
    yield "zhdj_site_in_service", service
    yield "zhdj_site_planned", planned
    yield "zhdj_township", [_line("zhdj_township_info", 1, township=t, name=n) for t, n in townships.items()]


@lru_cache(maxsize=8192)
def _site_labels(site: str, name: str, level: str, township: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """A site's lines change only in their last character: the rest is kept from one scrape to the next."""
    place = f'level="{escape(level)}",township="{escape(township)}"'
    head = f'zhdj_site_state{{site="{escape(site)}",name="{escape(name)}",{place},state="'
    return tuple((each, f'{head}{each}"}} ') for each in SITE_STATES), f'{{site="{escape(site)}",{place}}}'


def _of_terminals(board: Telling) -> _Told:
    up: list[str] = []
    seen: list[str] = []
    counted: list[str] = []
    limit: list[str] = []
    for t in _breathing(board.terminals()):
        if t is None:
            yield None
            continue
        where = _terminal_labels(t.site, t.kind, t.level, t.township)
        if t.value != "unknown":
            up.append(f"zhdj_terminal_up{where} {t.value == 'up':d}")
        if t.last_seen is not None:
            seen.append(f"zhdj_terminal_last_seen_timestamp_seconds{where} {t.last_seen / 1000!r}")
        if t.counted_outage_s is not None:
            counted.append(f"zhdj_outage_counted_seconds{where} {number(t.counted_outage_s)}")
            if t.repair_limit_s is not None:
                limit.append(f"zhdj_repair_limit_seconds{where} {number(t.repair_limit_s)}")
    yield "zhdj_terminal_up", up
    yield "zhdj_terminal_last_seen_timestamp_seconds", seen
    yield "zhdj_outage_counted_seconds", counted
    yield "zhdj_repair_limit_seconds", limit


@lru_cache(maxsize=16_384)
def _terminal_labels(site: str, terminal: str, level: str, township: str) -> str:
    return labels(site=site, terminal=terminal, level=level, township=township)


def _of_month(month: MonthFigures | None, coverage_min: float) -> Iterator[tuple[str, list[str]]]:
    figures = month.levels if month else {}
    rows = [(level, figures[level]) for level in FIGURE_LEVELS if level in figures]
    watched = [(level, f) for level, f in rows if f.coverage is not None and f.coverage >= coverage_min]

    def by_level(name: str, values: Iterable[tuple[str, float | None]]) -> tuple[str, list[str]]:
        return name, [_line(name, value, level=level) for level, value in values if value is not None]

    yield by_level("zhdj_availability_ratio", ((level, f.availability) for level, f in watched))
    yield by_level("zhdj_coverage_ratio", ((level, nan if f.coverage is None else f.coverage) for level, f in rows))
    yield by_level("zhdj_up_seconds", ((level, f.up_s) for level, f in rows))
    yield by_level("zhdj_down_seconds", ((level, f.down_s) for level, f in rows))
    yield by_level("zhdj_unknown_seconds", ((level, f.unknown_s) for level, f in rows))
    yield by_level("zhdj_maintenance_rate_ratio", ((level, f.rate) for level, f in rows))
    name = "zhdj_sites_verdict"
    yield name, [_line(name, f.verdicts(v), level=level, verdict=v) for level, f in rows for v in VERDICTS]
    yield by_level("zhdj_plan_sites", ((level, f.planned) for level, f in rows))
    yield from _of_month_otherwise(month, coverage_min)


def _of_month_otherwise(month: MonthFigures | None, coverage_min: float) -> Iterator[tuple[str, list[str]]]:
    """Beside the figures that hold; absent where nothing was declared afterwards, nothing exempted."""
    ways = {
        "without_retroactive": month.without_retroactive if month else None,
        "after_exemptions": month.after_exemptions if month else None,
    }
    rows = [(way, level, f) for way, levels in ways.items() for level, f in (levels or {}).items()]
    name = "zhdj_availability_otherwise_ratio"
    watched = [row for row in rows if row[2].coverage is not None and row[2].coverage >= coverage_min]
    yield (
        name,
        [_line(name, f.availability, level=level, way=w) for w, level, f in watched if f.availability is not None],
    )
    name = "zhdj_maintenance_rate_otherwise_ratio"
    yield name, [_line(name, f.rate, level=level, way=w) for w, level, f in rows if f.rate is not None]


def _of_orders(orders: Mapping[str, tuple[int, int]] | None) -> Iterator[tuple[str, list[str]]]:
    """Absent until they were counted for the first time."""
    counted = orders or {}
    for i, name in enumerate(("zhdj_workorders_open", "zhdj_workorders_overdue")):
        yield name, [_line(name, both[i], level=level) for level, both in counted.items()]


def _of_money(money: MoneyFigures | None) -> _Told:
    """Yuan: a float shows any amount that a county has to the fen. Nothing is computed from these."""
    if money is None:
        return
    yield "zhdj_budget_yuan", [_line("zhdj_budget_yuan", money.budget_fen / 100)]
    name = "zhdj_spent_yuan"
    yield name, [_line(name, fen / 100, econ_class=code) for code, fen in money.spent.items()]
    name = "zhdj_spent_township_yuan"
    yield name, [_line(name, fen / 100, township=code) for code, fen in money.townships.items()]
    yield from _labelled("zhdj_spent_site_yuan", ((fen / 100, {"site": site}) for site, fen in money.sites.items()))
    name = "zhdj_spent_cause_yuan"  # an empty label is none to Prometheus
    yield name, [_line(name, fen / 100, cause=cause or "none") for cause, fen in money.causes.items()]
    name = "zhdj_approved_unpaid_yuan"
    yield name, [_line(name, money.approved_unpaid_fen / 100)]
    yield "zhdj_forecast_yuan", [_line("zhdj_forecast_yuan", money.forecast_fen / 100)]


def _of_intake(board: Telling) -> Iterator[tuple[str, list[str]]]:
    counted, observed = board.counters, board.channels()
    name = "zhdj_channel_observed"
    channels = dict.fromkeys((*CHANNELS, *observed))
    yield name, [_line(name, observed.get(c, False), channel=c) for c in channels]
    ways = tuple(HEARTBEATS.values())
    received = dict.fromkeys(ways, 0) | counted.heartbeats
    name = "zhdj_heartbeats_received"
    yield name, [_line(f"{name}_total", n, via=via) for via, n in received.items()]
    missing = dict.fromkeys(ways, 0) | counted.missing
    name = "zhdj_heartbeats_missing"
    yield name, [_line(f"{name}_total", n, via=via) for via, n in missing.items()]
    rejected = {(via, reason): 0 for via in ways for reason in REASONS} | counted.refused
    name = "zhdj_heartbeats_rejected"
    yield name, [_line(f"{name}_total", n, via=via, reason=why) for (via, why), n in rejected.items()]
    name = "zhdj_probes"
    yield name, [_line(f"{name}_total", n, check=c, result=r) for (c, r), n in counted.probes.items()]
    name = "zhdj_probe_duration_seconds"
    probes = [_buckets(name, h, check=c, result=r) for (c, r), h in counted.probe_seconds.items()]
    yield name, [line for lines in probes for line in lines]
    name = "zhdj_detection_delay_seconds"
    yield name, _buckets(name, counted.detection_delay)


def _of_parts(board: Telling) -> Iterator[tuple[str, list[str]]]:
    yield "zhdj_trouble", [_line("zhdj_trouble", 1, part=part) for part in board.troubles]
    yield "zhdj_warning", [_line("zhdj_warning", 1, part=part) for part in board.warnings]
    name = "zhdj_queue_length"
    yield name, [_line(name, n, queue=queue) for queue, n in board.queues.items()]
    name = "zhdj_folder_free_bytes"
    yield name, [_line(name, space.free, folder=folder) for folder, space in board.space.items()]
    name = "zhdj_folder_size_bytes"
    yield name, [_line(name, space.size, folder=folder) for folder, space in board.space.items()]
    name = "zhdj_calendar_known"
    yield name, [_line(name, y.known, year=str(y.year), which=y.which) for y in board.years()]


def _of_alerts(outbox: OutboxFigures | None) -> Iterator[tuple[str, list[str]]]:
    if outbox is None:
        return
    name = "zhdj_outbox_waiting"
    yield name, [_line(name, n, outlet=outlet) for outlet, n in outbox.waiting.items()]
    for name, counted in (("zhdj_outbox_sent", outbox.sent), ("zhdj_outbox_failed", outbox.failed)):
        yield name, [_line(f"{name}_total", n, outlet=outlet) for outlet, n in counted.items()]
    name, became = "zhdj_outbox_alerts", {"taken": outbox.taken, "known": outbox.known, "refused": outbox.refused}
    yield name, [_line(f"{name}_total", n, became=what) for what, n in became.items()]
    for name, at in (
        ("zhdj_outbox_oldest_timestamp_seconds", outbox.oldest_ms),
        ("zhdj_watchdog_timestamp_seconds", outbox.watchdog_ms),
        ("zhdj_outside_timestamp_seconds", outbox.outside_ms),
    ):
        if at is not None:
            yield name, [_line(name, at / 1000)]


def _buckets(name: str, histogram: Histogram, **values: str) -> list[str]:
    bounds = (("+Inf" if bound == inf else repr(bound), n) for bound, n in histogram.cumulative())
    return [
        *(_line(f"{name}_bucket", n, **values, le=bound) for bound, n in bounds),
        _line(f"{name}_sum", histogram.sum, **values),
        _line(f"{name}_count", histogram.count, **values),
    ]


def _of_process() -> Iterator[tuple[str, list[str]]]:
    yield "process_start_time_seconds", [_line("process_start_time_seconds", _STARTED)]
    yield "process_cpu_seconds", [_line("process_cpu_seconds_total", time.process_time())]
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    yield "process_resident_memory_bytes", [_line("process_resident_memory_bytes", resident)]
    yield "process_open_fds", [_line("process_open_fds", len(os.listdir("/proc/self/fd")))]

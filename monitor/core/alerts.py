"""Alerts for people: what has been told already, and one Chinese message of what has not (docs/alerts.md).

An alert is one thing that is wrong (a village, a line) for as long as it is; each *telling* of it is a beginning
(`firing`), a reminder, or an end (`resolved`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from monitor.core import text

FIRING, RESOLVED = "firing", "resolved"
#: Of a telling: not sent yet; resolved for Prometheus, but not back yet; sent; given up.
WAITING, HELD, SENT, DROPPED = "waiting", "held", "sent", "dropped"
#: An alert that goes on is told again when Alertmanager sends it again (every six hours) after this long: after twelve
#: hours, or on the next working morning.
REMIND_MS = 11 * 3_600_000
#: Between two tries of an outlet: five seconds, then twice as long each time, five minutes at most.
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 5_000, 300_000
#: The alert that always fires (deploy/prometheus); its absence is what says something.
WATCHDOG = "Watchdog"
#: How the fingerprints of our own alerts begin, which need no Prometheus.
OWN = "own"
#: What is read of one name or sentence from outside, in characters.
LONGEST = 300
#: Names in one line; more are counted: 等 N 个. Fewer are named where a message would be too long.
NAMED = (20, 10, 5, 3, 1)
_SEVERITY = {"critical": (0, "严重"), "warning": (1, "警告"), "info": (2, "提示")}


class Alert(NamedTuple):
    """One alert as Alertmanager tells it. Instants are ms UTC; `ends_ms` None: it goes on."""

    fingerprint: str
    status: str
    starts_ms: int
    ends_ms: int | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def township(self) -> str:
        return self.labels.get("township", "")


class Telling(NamedTuple):
    """An alert that is to be told through one outlet. `since_ms`: when what is wrong began, which is before the alert
    did; `made_ms`: when we heard of it."""

    n: int
    outlet: str
    alert: Alert
    since_ms: int
    state: str
    made_ms: int
    reminder: bool = False
    tries: int = 0
    sent_ms: int | None = None
    error: str = ""


def what_to_do(last: Telling | None, alert: Alert, now_ms: int) -> str:
    """With what was told last of the same alert through the same outlet: `tell`, `remind`, `goes_on` or `known`.

    `goes_on`: an end that was held back, because the thing was not back, is none after all. `known`: nothing to tell,
    such as Alertmanager's second try, or the end of what nobody was told of.
    """
    if alert.status == FIRING:
        if last is None:
            return "tell"
        if last.state == HELD:
            return "goes_on"
        if alert.starts_ms > last.alert.starts_ms:
            return "tell"
        again = last.alert.status == FIRING and now_ms - last.made_ms >= REMIND_MS
        return "remind" if again else "known"
    return "known" if last is None or last.alert.status == RESOLVED else "tell"


def pause_ms(failures: int) -> int:
    """After so many failures in a row."""
    return min(FIRST_PAUSE_MS << min(failures - 1, 10), LONGEST_PAUSE_MS)


def message(tellings: Sequence[Telling], zone: tzinfo, now_ms: int, longest: int) -> tuple[str, list[Telling]]:
    """One text of at most `longest` UTF-8 bytes, and which of `tellings` it tells, the first group at least.

    Groups (a kind of alert in a township) come in the order of severity, ends last. Local times are those of `zone`.
    """
    groups: dict[tuple[int, int, str, str], list[Telling]] = {}
    ended = {(t.alert.fingerprint, t.alert.starts_ms) for t in tellings if t.alert.status == RESOLVED}
    shown = [
        t
        for t in tellings
        # What began and ended while nothing could be sent is told once, as ended.
        if t.alert.status == RESOLVED or (t.alert.fingerprint, t.alert.starts_ms) not in ended
    ]
    for t in shown:
        over = int(t.alert.status == RESOLVED)
        rank = _SEVERITY.get(t.alert.labels.get("severity", ""), _SEVERITY["warning"])[0]
        groups.setdefault((over, rank, _place(t.alert), _title(t.alert)), []).append(t)
    ordered = [groups[key] for key in sorted(groups)]
    for described in (True, False):
        for named in NAMED:
            whole = "\n".join(_paragraph(g, zone, now_ms, named, described) for g in ordered)
            if len(whole.encode()) <= longest:
                return whole, list(tellings)
    # More groups than a message takes: as many as fit, the others with the next one.
    lines: list[str] = []
    used: list[Telling] = []
    for group in ordered:
        line = _paragraph(group, zone, now_ms, NAMED[-1], False)
        if lines and len("\n".join([*lines, line]).encode()) > longest:
            break
        lines.append(line)
        used += group
    told = {(t.alert.fingerprint, t.alert.starts_ms) for t in used}
    hidden = [t for t in tellings if t not in shown and (t.alert.fingerprint, t.alert.starts_ms) in told]
    return "\n".join(lines).encode()[:longest].decode(errors="ignore"), used + hidden


def _paragraph(group: Sequence[Telling], zone: tzinfo, now_ms: int, named: int, described: bool) -> str:
    first = group[0].alert
    over = first.status == RESOLVED
    head = "恢复" if over else _SEVERITY.get(first.labels.get("severity", ""), _SEVERITY["warning"])[1]
    if not over and all(t.reminder for t in group):
        head += "·仍未恢复"
    place = _place(first)
    names = [n for t in sorted(group, key=lambda t: t.since_ms) if (n := _named(t, zone, now_ms))]
    listed = "、".join(names[:named]) + (f" 等{len(names)}个" if len(names) > named else "")
    line = f"【{head}】{place + '：' if place else ''}{_title(first)}：{listed}"
    if described and not over and (more := first.annotations.get("description", "")):
        line += f"\n{_short(more)}"
    return line


def _named(t: Telling, zone: tzinfo, now_ms: int) -> str:
    name = _short(t.alert.annotations.get("object", ""))
    since = _local(t.since_ms, zone, now_ms)
    if t.alert.status == RESOLVED:
        end = t.alert.ends_ms if t.alert.ends_ms is not None else now_ms
        when = f"{since}至{_local(end, zone, now_ms)}，历时{text.length(end - t.since_ms)}"
    else:
        when = f"{since}起"
    return f"{name}（{when}）" if name else when


def _local(ms: int, zone: tzinfo, now_ms: int) -> str:
    at, now = (datetime.fromtimestamp(each / 1000, zone) for each in (ms, now_ms))
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at.month}月{at.day}日{at:%H:%M}"


def _place(alert: Alert) -> str:
    return _short(alert.annotations.get("place", ""))


def _title(alert: Alert) -> str:
    return _short(alert.annotations.get("title", "") or alert.annotations.get("summary", "") or alert.name)


def _short(said: str) -> str:
    """On one line, and no longer than a person reads."""
    return " ".join(said.split())[:LONGEST]


def townships(tellings: Iterable[Telling]) -> set[str]:
    """The codes of the townships that a message is about; "" stands for what is about none."""
    return {t.alert.township for t in tellings}

"""The figures of a report, and in which values those of two reports differ: what makes a restatement 更正版 due.

Both are the reports' JSON as plain values. What merely goes on after the period is no figure of it: how far a work
order has come, when an outage ended that lasted longer, when and by which program the facts were gathered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Json = Any

#: The parts of a report that are figures of its period.
FIGURES = (
    "counted",
    "without_retroactive",
    "after_exemptions",
    "townships",
    "kinds",
    "services",
    "sites",
    "days",
    "outages",
    "windows",
    "losses",
    "money",
    "minima",
    "lines",
    "unknown",
    "exemptions",
)
#: Of these parts, what is compared; everything of the others. What people say of an outage later is no figure.
_OF_OUTAGE = ("site", "terminal", "start", "start_earliest", "start_latest", "start_how", "end", "over",
              "end_earliest", "end_latest", "end_how", "counted_here", "overdue_here", "exempted")  # fmt: skip
_OF_FUND = ("name", "budget", "registered", "spent_here")
#: Objects whose keys are data, as members of a list are. Of all others a key that the earlier report does not have is
#: one that its program did not know: nothing is said of it.
_MEMBERS = frozenset({"sums", "sites", "terminals", "differing", "outages", "lines", "losses", "heat", "funds",
                      "by_class", "by_township", "by_site", "by_cause", "by_month"})  # fmt: skip
#: What the members of a list go by: the first of these that they have.
_NAMES = ("key", "id", "day", "service", "minimum", "site", "terminal", "why", "order")


class Difference(NamedTuple):
    """`part`: the way to the value, as `counted.sums.village.down`; None: it is not there at all."""

    part: str
    before: Json
    after: Json


def differences(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[Difference]:
    """All of them, in the order of FIGURES."""
    found: list[Difference] = []
    for part in (name for name in FIGURES if name in before):
        found += compared(part, _figures(part, before), _figures(part, after))
    return found


def _figures(part: str, facts: Mapping[str, Json]) -> Json:
    value = facts.get(part)
    if value is None:
        return None
    if part in ("outages", "lines"):
        return {one["key"]: _only(one, _OF_OUTAGE) for one in value}
    if part == "losses":
        return {f"{one['observer']}/{one['channel']}/{one['start']}": one for one in value}
    if part == "money":
        funds = {str(fund["id"]): _only(fund, _OF_FUND) for fund in value["funds"]}
        return {**{k: v for k, v in value.items() if k.startswith("by_")}, "funds": funds}
    return value


def _only(value: Mapping[str, Json], names: Sequence[str]) -> dict[str, Json]:
    return {name: value[name] for name in names if name in value}


def compared(part: str, before: Json, after: Json) -> Iterator[Difference]:
    """The values in which two things differ, the earlier one first; lists whose members have names by these."""
    if before == after:
        return
    a, b = _named(before), _named(after)
    if before == [] or after == []:
        a, b = a or {}, b or {}
    if a is None or b is None:
        yield Difference(part, before, after)
        return
    members = isinstance(before, list) or isinstance(after, list) or part.rpartition(".")[2] in _MEMBERS
    for name in dict.fromkeys((*a, *b)) if members else a:
        yield from compared(f"{part}.{name}", a.get(name), b.get(name))


def _named(value: Json) -> Mapping[str, Json] | None:
    """An object, or a list of objects by their names; None for anything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        name = next((n for n in _NAMES if n in value[0]), None)
        return None if name is None else {str(one[name]): one for one in value}
    return None

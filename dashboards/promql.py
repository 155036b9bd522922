"""Expressions that several dashboards ask. zhdj:* are recorded by deploy/prometheus/zhdj.recording.yml."""

from __future__ import annotations

#: What the variables at the top choose.
LEVEL = 'level=~"$level"'
TOWNSHIP = 'township=~"$township"'
CHOSEN = f"{LEVEL},{TOWNSHIP}"
#: The name of a township beside its code; `group_left(township_name)` keeps it apart from the name of a site.
TOWNSHIP_NAMES = 'label_replace(zhdj_township_info, "township_name", "$1", "name", "(.*)")'
#: A fraction without what lies behind two decimals of its percentage: Grafana rounds, and 99.9996 % is not 100 %.
#: The addend undoes a float's own error: 0.29 * 10000 must not give 2899.
CUT = "floor({} * 10000 + 1e-6) / 10000"
#: The scrapes of the monitor, and what its process says of itself.
JOB = 'job="zhdj-monitor"'


def looks(where: str) -> str:
    """How sites look, by site."""
    return f"zhdj:site_look{{{where}}}"


def counted(look: str, where: str) -> str:
    """How many sites look so; 0 where none does, absent where nothing is known of any."""
    return f"count({looks(where)} == {look}) or 0 * count({looks(where)})"


def due(where: str) -> str:
    """Sites in service and outside planned windows: what is counted."""
    return f"({looks(where)} > 0 < 5)"


def graying(expr: str, by: str, counting: tuple[str, str]) -> str:
    """The values of `expr`, 0 or 1, by the labels `by`; 2 where nothing counts: at night, in windows.

    `counting`: a label, and an expression that has its values for as long as they count.
    """
    return f"max by({by}) ((0 * {expr} + 2 unless on({counting[0]}) {counting[1]}) or {expr})"


def line(where: str, by: str = "township") -> str:
    """Whether the line of a township is up; 2 while none of its sites is in service."""
    serving = ("township", 'zhdj_site_in_service{level!="county"} == 1')
    return graying(f"zhdj_uplink_up{{{where}}}", by, serving)


def share(part: str, whole: str, where: str, by: str = "") -> str:
    """Sums of recorded counts over the chosen time, divided and cut. `by`: labels that stay."""
    group = f" by({by})" if by else ""
    sums = (f"sum{group} (sum_over_time({name}{{{where}}}[$__range]))" for name in (part, whole))
    return CUT.format("({} / {})".format(*sums))


def availability(where: str, by: str = "") -> str:
    """Up by up and down, over the chosen time."""
    return share("zhdj:sites_up", "zhdj:sites_known", where, by)


def coverage(where: str, by: str = "") -> str:
    """Known by due, over the chosen time."""
    return share("zhdj:sites_known", "zhdj:sites_due", where, by)


def with_name(expr: str) -> str:
    """With the township's name in `name`."""
    return f"({expr}) * on(township) group_left(name) zhdj_township_info"


def with_township(expr: str) -> str:
    """With the township's name in `township_name`, beside the name of a site."""
    return f"({expr}) * on(township) group_left(township_name) {TOWNSHIP_NAMES}"


def with_site(expr: str, where: str) -> str:
    """With level, township and names of the sites that `expr` has by `site`."""
    place = f"group_left(name, level, township) ({looks(where)} * 0 + 1)"
    return with_township(f"({expr}) * on(site) {place}")


def outages(where: str) -> str:
    """Counted seconds of the outages that go on, by terminal; a township's line is none of these."""
    return f'zhdj_outage_counted_seconds{{{where},terminal!="uplink"}}'


def repair_share(where: str, by: str) -> str:
    """How much of the repair limit the outage that goes on has used."""
    return CUT.format(f"(max by({by}) ({outages(where)} / zhdj_repair_limit_seconds{{{where}}}))")

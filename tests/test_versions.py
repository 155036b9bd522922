"""Versions of the inventory: what one says survives being kept, and each instant is judged by what held then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.days import start_of
from monitor.core.eras import Era
from monitor.core.sites import UPLINK, Check, Inventory, Kind, Level, Site, Terminal
from monitor.core.timeline import BEGINNING
from monitor.errors import MonitorError
from monitor.inventory.load import JUDGING, Loaded, whole
from monitor.inventory.versions import Version, body_of, eras_of, loaded_of, pack, parameters, unpack
from monitor.settings import ByLevel, Calendar, HoursByLevel, Http, Maintenance, Policy, ServiceHours, Settings

ZONE = ZoneInfo("Asia/Shanghai")
DAYS = st.none() | st.dates(date(2020, 1, 1), date(2030, 1, 1))
SHARES = st.floats(0, 1)
COUNTS = st.integers(0, 500)
HOURS = st.floats(0.1, 100)


@st.composite
def some_settings(draw: st.DrawFn) -> Settings:
    by_level = st.builds(ByLevel, county=COUNTS, township=COUNTS, village=COUNTS)
    limits = st.builds(HoursByLevel, county=HOURS, township=HOURS, village=HOURS)
    hours = st.sampled_from([("00:00-24:00",), ("08:30-12:00", "14:00-18:00"), ("07:00-22:00",)])
    service = st.builds(ServiceHours, days=st.sampled_from(["daily", "workdays"]), hours=hours)
    return Settings(
        policy=draw(st.builds(Policy, terminal=st.sampled_from(["any", "all"]))),
        service=draw(st.dictionaries(st.sampled_from(["village", "township.pc", "county"]), service)),
        maintenance=draw(
            st.builds(
                Maintenance,
                coverage_min=SHARES,
                availability_min=SHARES,
                repair_limit_h=limits,
                planned_sites=by_level,
                planned_terminals=st.none() | by_level,
            )
        ),
        calendar=draw(st.sampled_from([{}, {2031: Calendar(holidays=(date(2031, 1, 1),))}])),
    )


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    names = st.text("村镇abc 1", min_size=1, max_size=5)
    ids = draw(st.lists(st.sampled_from([f"S{n}" for n in range(9)]), unique=True, min_size=1))
    codes = st.sampled_from(["T1", "T2"])
    sites = [
        Site(i, draw(names), draw(st.sampled_from(Level)), draw(codes), draw(names), "", draw(DAYS), draw(DAYS))
        for i in ids
    ]
    places = draw(st.lists(st.tuples(st.sampled_from(ids), st.sampled_from([str(k) for k in Kind])), unique=True))
    terminals = [Terminal(*place, draw(DAYS), draw(DAYS), draw(names)) for place in places]
    watched = [*places, *((i, UPLINK) for i in ids)]
    checks = [
        Check(*place, draw(st.sampled_from(["icmp", "tcp"])), draw(names), draw(st.integers(1, 10**6)))
        for place in draw(st.lists(st.sampled_from(watched), unique=True))
    ]
    return Inventory.of(sites, terminals, checks)


LOADED = st.builds(whole, some_settings(), inventories())
OPERATIONAL = Settings(http=Http(listen="127.0.0.1:9999"), maintenance=Maintenance(coverage_min=0.123))


def rows(loaded: Loaded) -> list[Any]:
    inventory = loaded.inventory
    return [list(table.values()) for table in (inventory.sites, inventory.terminals, inventory.checks)]


@given(LOADED)
def test_what_a_version_says_survives_being_kept(loaded: Loaded) -> None:
    body = body_of(loaded)
    assert body_of(loaded_of(body, OPERATIONAL)) == body
    assert list(json.loads(body)) == ["form", "settings", "sites", "terminals", "checks"]
    for back in (loaded_of(body, OPERATIONAL), unpack(pack(loaded), OPERATIONAL)):
        assert back.digest == loaded.digest
        assert rows(back) == rows(loaded)  # and in their order
        assert all(type(site.level) is Level for site in back.inventory.sites.values())
        assert all(getattr(back.settings, key) == getattr(loaded.settings, key) for key in JUDGING)
        assert back.settings.http.listen == "127.0.0.1:9999"
        assert parameters(back) == parameters(loaded)


def test_the_environment_does_not_change_what_a_version_says(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = whole(Settings(), Inventory.of([SITE], [], []))
    body = body_of(loaded)
    monkeypatch.setenv("ZHDJ_MAINTENANCE__COVERAGE_MIN", "0.5")
    assert loaded_of(body, Settings()).digest == loaded.digest


SITE = Site("V1", "一村", Level.VILLAGE, "T1", "镇一")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"form": 2}, "form 1, found 2"),
        ({"settings": None}, "settings"),
        ({"settings": {}}, "settings.timezone"),
        ({"sites": None}, "sites"),
        ({"sites": [{"site_id": "V1"}]}, "name"),
        ({"sites": [{**{k: "x" for k in Site.__dataclass_fields__}, "level": "galaxy"}]}, "galaxy"),
        ({"terminals": [{"site_id": "V9", "kind": "tv"}]}, "V9"),
        ({"terminals": [{"site_id": "V1", "kind": "tv"}] * 2}, "twice"),
        ({"checks": [{"site_id": "V1", "terminal": "tv", "check": "icmp"}]}, "V1/tv/icmp"),
    ],
)
def test_a_damaged_body_is_refused_with_what_is_wrong(change: dict[str, Any], why: str) -> None:
    body = body_of(whole(Settings(), Inventory.of([SITE], [], [])))
    with pytest.raises(MonitorError, match=why):
        loaded_of(json.dumps({**json.loads(body), **change}).encode(), Settings())


def test_damaged_bytes_are_refused() -> None:
    packed = pack(whole(Settings(), Inventory.of([SITE], [], [])))
    for damaged in (b"", b"x" * 20, packed[:-5]):
        with pytest.raises(MonitorError, match="damaged"):
            unpack(damaged, Settings())


# --- what held when ---------------------------------------------------------------------------------------------------

#: Few different ones, so that neighbours are often equal.
SITES = [Inventory.of([SITE, Site(f"V{n}", "村", Level.VILLAGE, "T1", "镇一")], [], []) for n in (2, 3)]
LIMITS = [Settings(maintenance=Maintenance(coverage_min=share)) for share in (0.5, 0.6, 0.7)]
FIRST_DAY = date(2026, 10, 1)
SINCES = st.one_of(
    st.integers(0, 100).map(lambda n: start_of(ZONE, FIRST_DAY, n)),
    st.integers(start_of(ZONE, FIRST_DAY), start_of(ZONE, FIRST_DAY, 100)),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Version]:
    sinces = [BEGINNING, *sorted(draw(st.lists(SINCES, max_size=5)))]
    loaded = st.builds(whole, st.sampled_from(LIMITS), st.sampled_from(SITES))
    return [Version(n, since, draw(loaded)) for n, since in enumerate(sinces, 1)]


def at(eras: Sequence[Era], instant: int) -> Era:
    return [era for era in eras if era.since <= instant][-1]


def held(versions: Sequence[Version], instant: int) -> Loaded:
    return [version.loaded for version in versions if version.since <= instant][-1]


@settings(max_examples=300)
@given(histories(), st.randoms(use_true_random=False))
def test_each_instant_is_judged_by_what_held_then(versions: list[Version], random: Any) -> None:
    """The model: an instant's sites are those of the last version so far, its limits those of the last version at the
    start of its local month."""
    shuffled = list(versions)
    random.shuffle(shuffled)
    eras = eras_of(shuffled)
    assert eras[0].since == BEGINNING
    assert [era.since for era in eras] == sorted({era.since for era in eras})
    for one, other in pairwise(eras):
        assert (one.inventory, one.parameters) != (other.inventory, other.parameters)
    begin = datetime(2026, 9, 20, tzinfo=ZONE)
    instants = [int((begin + timedelta(days=n)).astimezone(UTC).timestamp() * 1000) for n in range(140)]
    for instant in [*instants, *(v.since + d for v in versions[1:] for d in (-1, 0, 1))]:
        month = datetime.fromtimestamp(instant / 1000, ZONE).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        month_start = int(month.timestamp() * 1000)
        era = at(eras, instant)
        assert era.inventory == held(versions, instant).inventory
        assert era.parameters == parameters(held(versions, month_start))


def test_a_change_in_the_middle_of_a_month_is_two_eras() -> None:
    middle, month = start_of(ZONE, date(2026, 11, 15)), start_of(ZONE, date(2026, 12, 1))
    old, new = whole(LIMITS[0], SITES[0]), whole(LIMITS[1], SITES[1])
    eras = eras_of([Version(1, BEGINNING, old), Version(2, middle, new)])
    assert [(e.since, e.inventory, e.parameters.coverage_min) for e in eras] == [
        (BEGINNING, SITES[0], 0.5),
        (middle, SITES[1], 0.5),
        (month, SITES[1], 0.6),
    ]
    assert eras[0].service is eras[1].service is old.service
    assert eras[2].service is new.service
    on_the_first = eras_of([Version(1, BEGINNING, old), Version(2, month, new)])
    assert [e.since for e in on_the_first] == [BEGINNING, month]
    with pytest.raises(MonitorError):
        eras_of([])

"""The register's rules: at most one device at a position on any day, corrections name what they correct, sheets."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.register import Act, Card, Device, Record, a_mac, cards, check, device, elsewhere, on_day, shared
from monitor.core.register_sheet import SheetRow, plan
from monitor.errors import MonitorError

DAY = date(2020, 3, 2)
TODAY = date(2026, 10, 12)
A, B, C = (Device("DESKTOP-B", serial) for serial in ("A1", "B2", "C3"))


def on(days: int) -> date:
    return DAY + timedelta(days=days)


def a_record(n: int, act: Act, day: int, thing: Device | None = None, corrects: int | None = None) -> Record:
    return Record(n, "V1", "pc", act, on(day), thing, "换新", corrects=corrects)


def write(records: list[Record], record: Record, others: list[Card] | None = None) -> None:
    check(record, [r for r in records if r.position == record.position], others or [], TODAY)
    records.append(record)


def spans(records: list[Record]) -> list[tuple[str, date, date | None]]:
    return [(c.device.serial, c.since, c.until) for c in cards(records)]


def test_a_replacement_closes_one_card_and_opens_the_next_on_the_same_day() -> None:
    records = [a_record(1, Act.INSTALLED, 0, A), a_record(2, Act.REPLACED, 100, B), a_record(3, Act.REMOVED, 200)]
    assert spans(records) == [("A1", on(0), on(100)), ("B2", on(100), on(200))]
    assert [c.device for c in on_day(cards(records), on(100))] == [B]
    assert [c.device for c in on_day(cards(records), on(200))] == []


def test_a_correction_stands_in_the_place_of_what_it_names_and_nothing_is_rubbed_out() -> None:
    records = [a_record(1, Act.INSTALLED, 0, A), a_record(2, Act.REPLACED, 100, B)]
    write(records, a_record(3, Act.REPLACED, 90, C, corrects=2))
    write(records, a_record(4, Act.VOID, 90, corrects=3))
    assert spans(records[:3]) == [("A1", on(0), on(90)), ("C3", on(90), None)]
    assert spans(records) == [("A1", on(0), None)]
    assert len(records) == 4


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (a_record(3, Act.INSTALLED, 150, C), "已有设备"),
        (a_record(3, Act.REMOVED, -1), "没有设备，不能拆除"),
        (a_record(3, Act.REPLACED, -5, C), "没有设备，不能更换"),
        (a_record(3, Act.REPLACED, 9999, C), "只记已发生的事"),
        (a_record(3, Act.REMOVED, 150, C), "拆除不应填写设备"),
        (a_record(3, Act.REPLACED, 150), "更换应填写设备"),
        (a_record(3, Act.VOID, 150), "作废应指明"),
        (a_record(3, Act.VOID, 150, corrects=9), "没有第 9 号记录"),
        (a_record(3, Act.VOID, 0, corrects=1), "没有设备，不能更换"),
    ],
)
def test_what_cannot_have_happened_is_refused(record: Record, says: str) -> None:
    records = [a_record(1, Act.INSTALLED, 0, A), a_record(2, Act.REPLACED, 100, B)]
    with pytest.raises(MonitorError, match=says):
        write(records, record)


def test_what_is_corrected_already_is_corrected_by_its_correction_and_with_a_reason() -> None:
    records = [a_record(1, Act.INSTALLED, 0, A), a_record(2, Act.INSTALLED, 1, B, corrects=1)]
    with pytest.raises(MonitorError, match="请更正第 2 号"):
        write(records, a_record(3, Act.INSTALLED, 2, C, corrects=1))
    with pytest.raises(MonitorError, match="原因"):
        write(records, Record(3, "V1", "pc", Act.VOID, DAY, None, corrects=2))


def test_one_device_stands_at_one_position() -> None:
    there = cards([Record(1, "V2", "pc", Act.INSTALLED, on(10), A), Record(2, "V2", "pc", Act.REMOVED, on(20), None)])
    with pytest.raises(MonitorError, match=f"序列号 A1 自 {on(10)} 至 {on(20)}登记在 V2/pc"):
        write([], a_record(3, Act.INSTALLED, 19, A), there)
    write([], a_record(3, Act.INSTALLED, 20, A), there)


def test_a_void_removal_that_would_put_one_device_at_two_positions_is_refused() -> None:
    records = [a_record(1, Act.INSTALLED, 0, A), a_record(2, Act.REMOVED, 10)]
    there = cards([Record(3, "V2", "pc", Act.INSTALLED, on(20), A)])
    with pytest.raises(MonitorError, match="登记在 V2/pc"):
        write(records, a_record(4, Act.VOID, 10, corrects=2), there)


def test_marks_are_tidied_as_they_are_typed() -> None:
    typed = device(" DESKTOP  B ", "\uff41b 12", "aa-bb-cc-dd-ee-ff", "")
    assert (typed.model, typed.serial, typed.mac) == ("DESKTOP B", "AB12", "AA:BB:CC:DD:EE:FF")
    assert a_mac("aabb.ccdd.eeff") == a_mac("AA:BB:CC:DD:EE:FF")
    with pytest.raises(ValueError, match="12 位"):
        a_mac("aa:bb")
    with pytest.raises(ValueError, match="至少应填一项"):
        device("TV-55")
    with pytest.raises(ValueError, match="型号"):
        device("", "A1")


# --- any history ---

THINGS = st.sampled_from([A, B, C, Device("TV-55", "", "AA:BB:CC:DD:EE:FF", "ZC-1")])
TRIES = st.lists(
    st.tuples(
        st.sampled_from(["V1", "V2"]),
        st.sampled_from(list(Act)),
        st.integers(0, 12),
        THINGS,
        st.none() | st.integers(1, 20),
    ),
    max_size=40,
)


def history(tries: list[tuple[str, Act, int, Device, int | None]]) -> list[Record]:
    """Whatever of these the rules let through, one after the other."""
    records: list[Record] = []
    for site, act, day, thing, corrects in tries:
        bare = act in (Act.REMOVED, Act.VOID)
        record = Record(len(records) + 1, site, "pc", act, on(day), None if bare else thing, "为何", corrects=corrects)
        others = cards([r for r in records if r.site != site])
        try:
            write(records, record, others)
        except MonitorError:
            continue
    return records


def all_cards(records: list[Record]) -> list[Card]:
    of: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        of[record.site].append(record)
    return [card for own in of.values() for card in cards(own)]


@given(TRIES)
def test_on_any_day_a_position_has_at_most_one_device_and_a_device_one_position(
    tries: list[tuple[str, Act, int, Device, int | None]],
) -> None:
    known = all_cards(history(tries))
    for day in range(-1, 14):
        there = list(on_day(known, on(day)))
        assert len({c.position for c in there}) == len(there)
        for i, one in enumerate(there):
            assert not any(shared(one.device, other.device) for other in there[:i])
    assert not any(elsewhere(one, other) for one in known for other in known)


@given(TRIES)
def test_what_was_written_stays_as_it_was_whatever_comes_after(
    tries: list[tuple[str, Act, int, Device, int | None]],
) -> None:
    whole = history(tries)
    for end in range(len(whole)):
        assert history(tries)[:end] == whole[:end]


def as_sheet(known: list[Card]) -> list[SheetRow]:
    return [SheetRow(i, c.site, c.terminal, c.device, c.since, c.until) for i, c in enumerate(known, 2)]


@given(TRIES)
def test_a_sheet_of_what_the_register_says_changes_nothing(
    tries: list[tuple[str, Act, int, Device, int | None]],
) -> None:
    records = history(tries)
    sheet = as_sheet(all_cards(records))
    if len({(r.position, r.since, r.device) for r in sheet}) < len(sheet):
        return  # put up twice on one day: a sheet cannot tell them apart
    found = plan(sheet, records, len(records) + 1, TODAY)
    assert (found.records, found.unchanged, found.wrong) == ([], len(sheet), [])


@given(TRIES)
def test_an_empty_register_takes_any_sheet_of_cards_and_taking_it_again_changes_nothing(
    tries: list[tuple[str, Act, int, Device, int | None]],
) -> None:
    known = all_cards(history(tries))
    sheet = as_sheet(known)
    if len({(r.position, r.since) for r in sheet}) < len(sheet):
        return
    found = plan(sheet, [], 1, TODAY)
    assert found.wrong == []
    made = sorted((c.position, c.since, c.until, c.device.serial) for c in all_cards(found.records))
    assert made == sorted((r.position, r.since, r.until, r.device.serial) for r in sheet)
    again = plan(sheet, found.records, len(found.records) + 1, TODAY)
    assert (again.records, again.unchanged, again.wrong) == ([], len(sheet), [])


# --- sheets, by example ---


def row(number: int, site: str, thing: Device, since: int, until: int | None = None) -> SheetRow:
    return SheetRow(number, site, "pc", thing, on(since), None if until is None else on(until))


def test_a_sheet_with_another_device_since_a_later_day_is_a_replacement() -> None:
    known = [a_record(1, Act.INSTALLED, 0, A)]
    found = plan([row(2, "V1", B, 50)], known, 2, TODAY)
    assert [(r.act, r.on, r.device) for r in found.records] == [(Act.REPLACED, on(50), B)]


def test_a_sheet_that_closes_a_card_and_opens_the_next_is_one_replacement() -> None:
    known = [a_record(1, Act.INSTALLED, 0, A)]
    found = plan([row(2, "V1", A, 0, 50), row(3, "V1", B, 50, 60)], known, 2, TODAY)
    assert [(r.act, r.on) for r in found.records] == [(Act.REPLACED, on(50)), (Act.REMOVED, on(60))]
    assert found.unchanged == 0


def test_a_sheet_that_contradicts_the_register_or_itself_is_refused_row_by_row() -> None:
    known = [a_record(1, Act.INSTALLED, 0, A), a_record(2, Act.REMOVED, 10)]
    sheet = [
        row(2, "V1", B, 0),  # another device, the same day
        row(3, "V1", A, 0, 11),  # removed another day
        row(4, "V2", B, 5),  # two devices at once
        row(5, "V2", C, 6),
        row(6, "V3", B, 7),  # at V2 as well
        row(7, "V4", C, 9999),
    ]
    found = plan(sheet, known, 3, TODAY)
    assert [(w.row, w.column) for w in found.wrong] == [
        (2, "serial"),
        (3, "removed_on"),
        (4, "serial"),
        (5, "installed_on"),
        (6, "serial"),
        (7, "installed_on"),
    ]

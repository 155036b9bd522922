"""The one parser of beats: known texts, a table of bad ones, and any bytes at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import Refused
from monitor.intake.payload import (
    MAX_BATCH,
    MAX_ITEM,
    MAX_ITEMS,
    Beat,
    Item,
    parse_batch,
    parse_beat,
    parse_item,
    split_batch,
)

T = TypeVar("T")
REASONS = {"malformed", "too_large"}


def test_an_empty_payload_is_a_beat() -> None:
    assert parse_beat(b"") == Beat()


def test_every_field_is_read() -> None:
    text = """{"boot": "b1", "seq": 7, "sent_at": "2026-10-01T08:00:00+08:00", "uptime_s": 12, "later": [1],
        "version": "1.2", "services": {"video_conference": "ok", "learning": "fail", "dancing": "ok"}}"""
    assert parse_beat(text.encode()) == Beat(
        "b1", 7, 1_790_812_800_000, 12.0, "1.2", {"video_conference": "ok", "learning": "fail"}
    )


@pytest.mark.parametrize(
    ("sent_at", "expected"),
    [
        ('"2026-10-01T00:00:00Z"', 1_790_812_800_000),
        ('"2026-10-01T08:00:00.250+08:00"', 1_790_812_800_250),
        ("1790812800250", 1_790_812_800_250),
        ("null", None),
    ],
)
def test_sent_at(sent_at: str, expected: int | None) -> None:
    assert parse_beat(f'{{"sent_at": {sent_at}}}'.encode()).sent_at == expected


def test_boot_may_be_a_number() -> None:
    assert parse_beat(b'{"boot": 42}').boot == "42"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", "truncated"),
        (b"null", "object"),
        (b"[]", "object"),
        (b"{} {}", "trailing"),
        (b"\xef\xbb\xbf{}", "malformed"),
        (b'{"boot": "\xff"}', "UTF-8"),
        (b'{"x": "\xff"}', "UTF-8"),
        (b'{"boot": "a\\u0000b"}', "printable"),
        (b'{"boot": "' + b"x" * 65 + b'"}', "64"),
        (b'{"boot": -1}', "boot"),
        (b'{"boot": ' + b"9" * 900 + b"}", "boot"),
        (b'{"version": "1\\n2"}', "printable"),
        (b'{"seq": -1}', "seq"),
        (b'{"seq": 1.5}', "seq"),
        (b'{"seq": 9007199254740993}', "seq"),
        (b'{"uptime_s": NaN}', "invalid"),
        (b'{"uptime_s": 1e999}', "range"),
        (b'{"uptime_s": -1}', "uptime_s"),
        (b'{"sent_at": "2026-10-01T08:00:00"}', "offset"),
        (b'{"sent_at": "yesterday"}', "instant"),
        (b'{"sent_at": "0001-01-01T00:00:00+08:00"}', "1970"),
        (b'{"sent_at": 99999999999999999}', "sent_at"),
        (b'{"sent_at": 253370764800000}', "sent_at"),
        (b'{"sent_at": "9999-01-01T00:00:00Z"}', "instant"),
        (b'{"sent_at": 1.5}', "sent_at"),
        (b'{"services": {"learning": "well"}}', "learning"),
        (b'{"services": {"learning": "ok\\n"}}', "learning"),
        (b'{"services": "ok"}', "services"),
        (b'{"x": ' + b"[" * 1000, "nested"),
        (b"\x00", "malformed"),
    ],
)
def test_a_bad_payload_is_refused_with_what_was_wrong(data: bytes, says: str) -> None:
    with pytest.raises(Refused, match=says) as caught:
        parse_beat(data)
    assert caught.value.reason == "malformed"


def test_a_kibibyte_and_no_more() -> None:
    assert parse_beat(b'{"x": "' + b"y" * 1015 + b'"}') == Beat()
    with pytest.raises(Refused) as caught:
        parse_beat(b'{"x": "' + b"y" * 1016 + b'"}')
    assert caught.value.reason == "too_large"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
_FIELDS = ["boot", "seq", "sent_at", "uptime_s", "version", "services", "site", "terminal", "status"]
_NEARLY = st.dictionaries(st.sampled_from(_FIELDS), _JSON).map(lambda d: json.dumps(d).encode())
_ANY = st.binary(max_size=1200) | _JSON.map(lambda j: json.dumps(j).encode()) | _NEARLY


def outcome(parse: Callable[[Any], T], data: Any) -> T | Refused:
    try:
        return parse(data)
    except Refused as refused:
        return refused


@given(_ANY)
def test_any_bytes_give_a_beat_or_a_named_refusal(data: bytes) -> None:
    beat = outcome(parse_beat, data)
    if isinstance(beat, Refused):
        assert beat.reason in REASONS
        assert len(str(beat)) < 300
        return
    assert beat.boot is None or (len(beat.boot) <= 64 and beat.boot.isprintable())
    assert beat.seq is None or 0 <= beat.seq <= 2**53
    assert beat.sent_at is None or 0 <= beat.sent_at < 2**48
    assert beat.uptime_s is None or 0 <= beat.uptime_s <= 1e10


@given(_ANY)
def test_any_body_gives_items_or_named_refusals(data: bytes) -> None:
    parts = outcome(split_batch, data)
    if isinstance(parts, Refused):
        assert parts.reason in REASONS
        return
    assert 1 <= len(parts) <= MAX_ITEMS
    for part in parts:
        item = outcome(parse_item, part)
        assert item.reason in REASONS if isinstance(item, Refused) else item.site and item.terminal


def test_one_object_or_an_array() -> None:
    one = b' {"site": "s", "terminal": "pc", "seq": 1, "status": "off"}'
    assert [parse_item(p) for p in split_batch(one)] == [Item(site="s", terminal="pc", status="off", seq=1)]
    assert len(split_batch(b"[" + one + b"," + one + b"]")) == 2


def test_a_bad_object_spoils_no_other() -> None:
    good, bad, also_good = split_batch(b'[{"site":"s","terminal":"pc"},7,{"site":"s","terminal":"tv"}]')
    assert parse_item(good).terminal == "pc"
    with pytest.raises(Refused):
        parse_item(bad)
    assert parse_item(also_good).terminal == "tv"


@pytest.mark.parametrize("item", [b"{}", b'{"site":"","terminal":"pc"}', b'{"site":"s","terminal":"pc","status":"?"}'])
def test_an_item_says_who_it_is_from(item: bytes) -> None:
    with pytest.raises(Refused, match=r"site|status"):
        parse_item(item)


def test_a_batch_has_limits() -> None:
    for body in (b"[" + b"{}," * MAX_ITEMS + b"{}]", b"x" * (MAX_BATCH + 1)):
        with pytest.raises(Refused) as caught:
            split_batch(body)
        assert caught.value.reason == "too_large"
    with pytest.raises(Refused) as caught:
        split_batch(b"[]")
    assert caught.value.reason == "malformed"


def test_a_whole_batch_is_read_as_each_of_its_objects_is() -> None:
    """All at once where it can be, one by one where one of them is in the way: the same comes out."""
    good = [
        b'{"site":"s","terminal":"pc","seq":1,"boot":"b","sent_at":1790812800250,"services":{"learning":"ok"}}',
        b'{"site":"s","terminal":"tv","status":"off"}',
    ]
    odd = [
        b'{"site":"s","terminal":"pc","boot":42,"sent_at":"2026-10-01T08:00:00+08:00"}',
        b'{"site":"s","terminal":"pc","services":{"learning\\n":"ok","dancing":"?","emergency":null}}',
    ]
    bad = [
        b'{"site":"s\\n","terminal":"pc"}',
        b'{"site":"s","terminal":"pc","boot":"\\u0000"}',
        b'{"site":"s","terminal":"pc","x":"' + b"y" * MAX_ITEM + b'"}',
        b"7",
    ]
    for parts in (good, good + odd, good + bad, [*good, *odd, *bad], good[:1], bad[:1]):
        body = b"[" + b",".join(parts) + b"]"
        read = parse_batch(body)
        for part, item in zip(parts, read, strict=True):
            alone = outcome(parse_item, part)
            if isinstance(alone, Refused):
                assert isinstance(item, Refused)
                assert (item.reason, str(item)) == (alone.reason, str(alone))
            else:
                assert item == alone
                assert part not in bad


@given(st.lists(_ANY, min_size=1, max_size=4))
def test_a_batch_of_anything_gives_one_outcome_for_each(parts: list[bytes]) -> None:
    read = outcome(parse_batch, b"[" + b",".join(parts) + b"]")
    if not isinstance(read, Refused):
        assert all(isinstance(one, (Item, Refused)) for one in read)

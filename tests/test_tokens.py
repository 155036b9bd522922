"""Who may speak for which terminal: tokens, their kinds, and the files for mosquitto."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from monitor.core.token import DEVICE, KINDS, PING, RELAY, hash_token, make_token
from monitor.intake.limits import BEATS_BURST, BEATS_PER_S, RateLimit
from monitor.intake.mosquitto import acl_file, password_file, password_hash
from monitor.intake.tokens import Token, Tokens, new_token


class At:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.ms = 1_000

    def now(self) -> int:
        return self.ms


def token(
    text: str,
    kind: str = DEVICE,
    terminals: tuple[tuple[str, str], ...] = (("s1", "pc"),),
    *,
    expires_at: int | None = None,
    revoked_at: int | None = None,
    label: str = "",
) -> Token:
    return Token(kind, hash_token(text), frozenset(terminals), 0, expires_at, revoked_at, label)


def refused(tokens: Tokens, bearer: str, site: str, terminal: str) -> str | None:
    """What intake/http answers to a beat of this terminal; None: it is taken."""
    found = tokens.bearer(bearer)
    if found is None:
        return "unauthorized"
    return None if (site, terminal) in found.terminals else "forbidden"


def test_tokens_are_long_random_and_fit_into_a_path() -> None:
    made = {new_token(kind) for kind in KINDS for _ in range(100)}
    assert len(made) == 300
    assert all(re.fullmatch(r"z[drp]_[A-Za-z0-9_-]{27}", text) for text in made)


def test_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="128"):
        make_token(DEVICE, b"short")
    with pytest.raises(ValueError, match="device"):
        make_token("admin", bytes(16))


def test_a_device_speaks_for_its_own_terminal_only() -> None:
    tokens = Tokens([token("d")], At())
    assert refused(tokens, "d", "s1", "pc") is None
    assert refused(tokens, "d", "s1", "tv") == "forbidden"
    assert refused(tokens, "d", "s2", "pc") == "forbidden"
    assert refused(tokens, "x", "s1", "pc") == "unauthorized"
    assert refused(tokens, "", "s1", "pc") == "unauthorized"
    assert refused(tokens, "d" * 10_000, "s1", "pc") == "unauthorized"


def test_a_relay_speaks_for_those_listed_with_it() -> None:
    tokens = Tokens([token("r", RELAY, (("s1", "tv"), ("s2", "tv")))], At())
    assert refused(tokens, "r", "s2", "tv") is None
    assert refused(tokens, "r", "s3", "tv") == "forbidden"
    assert not tokens.signs_in("s1/tv", "r")


def test_a_relay_signs_in_to_a_broker_by_its_label() -> None:
    clock = At()
    tokens = Tokens([token("r", RELAY, (("s1", "tv"), ("s2", "tv")), label="tv-platform", revoked_at=2_000)], clock)
    assert tokens.signs_in("@tv-platform", "r")
    assert not tokens.signs_in("@other", "r")
    assert not tokens.signs_in("s1/tv", "r")
    assert set(tokens.writes("@tv-platform")) == {"s1/tv", "s2/tv"}
    assert set(tokens.writes("s1/pc")) == {"s1/pc"}
    clock.ms = 2_000
    assert not tokens.signs_in("@tv-platform", "r")
    assert not set(tokens.writes("@tv-platform"))


def test_ping_tokens_are_good_for_pings_only() -> None:
    tokens = Tokens([token("p", PING), token("d")], At())
    assert tokens.ping("p") is not None
    assert tokens.ping("d") is None
    assert tokens.bearer("p") is None
    assert not tokens.signs_in("s1/pc", "p")


def test_rotation_overlaps_and_ends() -> None:
    clock = At()
    tokens = Tokens([token("old", expires_at=2_000), token("new"), token("stolen", revoked_at=500)], clock)
    assert refused(tokens, "old", "s1", "pc") is None
    assert refused(tokens, "new", "s1", "pc") is None
    assert refused(tokens, "stolen", "s1", "pc") == "unauthorized"
    clock.ms = 2_000
    assert refused(tokens, "old", "s1", "pc") == "unauthorized"
    tokens.replace([])
    assert refused(tokens, "new", "s1", "pc") == "unauthorized"


def test_signing_in_to_a_broker() -> None:
    tokens = Tokens([token("d")], At())
    assert tokens.signs_in("s1/pc", "d")
    for user in ("s1/tv", "s1", "", "s1/pc/x", "/s1/pc"):
        assert not tokens.signs_in(user, "d")


def test_rows_become_tokens() -> None:
    row: dict[str, Any] = {"kind": RELAY, "hash": "aa", "label": "TV"}
    row |= {"terminals": json.dumps(["s1/tv", "s2/tv"])}
    row |= {"created_at": 1, "expires_at": None, "revoked_at": None}
    assert Token.of_row(row).terminals == {("s1", "tv"), ("s2", "tv")}
    for terminals in ('["s1"]', '["s1/"]', '["a/b/c"]'):
        with pytest.raises(ValueError, match="site/terminal"):
            Token.of_row({**row, "terminals": terminals})
    with pytest.raises(ValueError, match="device"):
        Token.of_row({**row, "kind": "root"})


def test_the_password_line_has_mosquitto_s_form() -> None:
    # Its form; that mosquitto takes it, every test of test_mqtt.py shows.
    line = password_hash("secret", salt=b"123456789012")
    kind, iterations, salt, digest = line[1:].split("$")
    assert (kind, iterations, len(salt), len(digest)) == ("7", "101", 16, 88)
    assert line == password_hash("secret", salt=b"123456789012")
    assert password_hash("secret") != password_hash("secret")


@pytest.mark.parametrize("user", ["a:b", "a+b", "#", "a\nb", ""])
def test_users_that_would_mean_something_else_are_refused(user: str) -> None:
    with pytest.raises(ValueError, match="user of mosquitto"):
        password_file({user: "$7$1$a$b"})


def test_the_acl_names_the_service_and_the_pattern_of_devices() -> None:
    text = acl_file(["zhdj-kaijiang"])
    assert "user zhdj-kaijiang\ntopic read zhdj/v1/#\n" in text
    assert "pattern write zhdj/v1/%u/heartbeat\npattern write zhdj/v1/%u/status\n" in text


def test_a_token_bucket_refills_and_forgets() -> None:
    limit = RateLimit(per_s=2, burst=3, keys=4)
    assert [limit.allow("a", 0) for _ in range(4)] == [True, True, True, False]
    assert limit.allow("b", 0)
    assert [limit.allow("a", 1) for _ in range(3)] == [True, True, False]
    assert not limit.allow("a", 1.1)
    for n in range(100):
        assert limit.allow(n, 1)
        assert len(limit) <= 4
    assert limit.allow("a", 1)


def test_a_burst_is_whole_at_any_time_of_day() -> None:
    """Seconds since 1970 leave few digits for tenths of a second."""
    limit = RateLimit(per_s=BEATS_PER_S, burst=BEATS_BURST)
    taken = [limit.allow("a", 1_790_812_800.123) for _ in range(int(BEATS_BURST) + 5)]
    assert taken == [True] * int(BEATS_BURST) + [False] * 5
    assert [limit.allow("a", 1_790_812_801.123) for _ in range(11)] == [True] * 10 + [False]


def test_nobody_is_refused_because_our_clock_was_set_back() -> None:
    for back in (1, 60, 99, 101, 600, 86_400):
        limit = RateLimit(per_s=BEATS_PER_S, burst=BEATS_BURST)
        assert limit.allow("a", 1_000_000)
        assert all(limit.allow("a", 1_000_000 - back) for _ in range(5))

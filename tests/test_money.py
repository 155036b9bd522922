"""Amounts as people write them, to the fen and back; and splitting them so that nothing is lost."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.allocation import allocate, equally
from monitor.core.money import MAX_FEN, in_percent, in_wan, in_yuan, parse_fen, yuan

FEN = st.integers(-MAX_FEN, MAX_FEN)


@pytest.mark.parametrize(
    ("text", "fen"),
    [
        ("1,234.50", 123_450),
        ("1234.5", 123_450),
        ("￥1,234.50", 123_450),
        ("¥ 1 234.50 元", 123_450),
        ("１，２３４．５０", 123_450),  # noqa: RUF001  # full width is the subject
        ("25万元", 25_000_000),
        ("25 万", 25_000_000),
        ("0.000001万元", 1),
        ("12.3456万元", 12_345_600),
        ("-3.00", -300),
        ("−3", -300),
        ("￥-3", -300),
        ("+0.01", 1),
        ("1.10000", 110),
        ("007", 700),
    ],
)
def test_amounts_are_read_as_people_write_them(text: str, fen: int) -> None:
    assert parse_fen(text) == fen


@pytest.mark.parametrize(
    "text",
    ["", " ", "abc", "1.005", "0.0000001万元", "1,23.00", "12,34", "1.2.3", "1e3", "NaN", "١٢", "--1", "1元元",
     "三百", "(5)", "=1+1", "9" * 30, "1000000000001.00"],
)  # fmt: skip
def test_what_is_no_amount_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="金额"):
        parse_fen(text)


@given(FEN)
def test_what_is_shown_is_read_back_exactly(fen: int) -> None:
    assert parse_fen(in_yuan(fen)) == fen
    assert parse_fen(in_yuan(fen) + "元") == fen
    assert yuan(fen) * 100 == fen


@given(FEN, st.integers(0, 6))
def test_wan_is_rounded_half_up_and_never_further_off_than_half_a_step(fen: int, places: int) -> None:
    shown = Decimal(in_wan(fen, places).replace(",", ""))
    assert abs(shown - Decimal(fen) / 1_000_000) * 2 <= Decimal(1).scaleb(-places)


def test_wan_at_the_edges() -> None:
    assert in_wan(25_000_000) == "25.00"
    assert in_wan(5_000, 2) == "0.01"  # 50 yuan: half up
    assert in_wan(5_000, 2, ROUND_DOWN) == "0.00"
    assert in_wan(123_456_789_012, 2) == "123,456.79"


def test_a_percentage_is_cut_and_never_flatters() -> None:
    assert in_percent(24_999_999, 25_000_000) == "99.99"
    assert in_percent(25_000_000, 25_000_000) == "100.00"
    assert in_percent(0, 1) == "0.00"
    assert in_percent(-1, 3) == "-33.33"
    assert in_percent(1, 0) is None


SITES = st.text("abcdefgh0123", min_size=1, max_size=4)
WEIGHTS = st.one_of(
    st.integers(0, 10**9),
    st.fractions(0, 10**6),
    st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=6),
)
SPLITS = st.dictionaries(SITES, WEIGHTS, min_size=1, max_size=40).filter(lambda weights: any(weights.values()))


@given(FEN, SPLITS)
def test_shares_add_up_for_any_weights_and_are_never_a_fen_off(amount: int, weights: dict[str, Fraction]) -> None:
    shares = allocate(amount, weights)
    assert sum(shares.values()) == amount
    total = sum(Fraction(w) for w in weights.values())
    for site, share in shares.items():
        assert abs(share - Fraction(amount) * Fraction(weights[site]) / total) < 1
        assert share * amount >= 0
        assert weights[site] or share == 0


@given(FEN, SPLITS, st.randoms(use_true_random=False))
def test_the_order_in_which_sites_are_named_changes_nothing(
    amount: int, weights: dict[str, Fraction], rng: object
) -> None:
    names = list(weights)
    rng.shuffle(names)  # type: ignore[attr-defined]
    assert allocate(amount, {name: weights[name] for name in names}) == allocate(amount, weights)


@given(st.integers(0, MAX_FEN), SPLITS)
def test_a_larger_weight_never_gets_less(amount: int, weights: dict[str, Fraction]) -> None:
    shares = allocate(amount, weights)
    ranked = sorted(shares, key=lambda site: Fraction(weights[site]))
    assert all(shares[a] <= shares[b] for a, b in pairwise(ranked) if weights[a] != weights[b])


def test_the_fen_that_are_left_go_to_the_first_sites_of_equal_ones() -> None:
    assert allocate(100, equally(["c", "a", "b"])) == {"a": 34, "b": 33, "c": 33}
    assert allocate(-100, equally(["c", "a", "b"])) == {"a": -34, "b": -33, "c": -33}
    assert allocate(1, equally(["b", "a"])) == {"a": 1, "b": 0}


@pytest.mark.parametrize(
    "weights", [{}, {"a": 0}, {"a": 1, "b": -1}, {"a": Decimal("NaN")}, {"a": Decimal("Infinity")}]
)
def test_weights_that_say_nothing_are_refused(weights: dict[str, Decimal]) -> None:
    with pytest.raises(ValueError, match="权重"):
        allocate(100, weights)

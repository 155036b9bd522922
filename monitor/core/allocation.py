"""Splitting an amount over sites to the fen by largest remainder, so that the shares add up exactly.

Every share is its exact quota rounded down, and the fen that are left go, one each, to the largest remainders; of
equal remainders to the key that sorts first, so that the same request is always split alike (docs/ledger.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from math import isfinite

Weight = int | Fraction | Decimal


def equally(keys: Iterable[str]) -> dict[str, Weight]:
    """The same weight for each."""
    return dict.fromkeys(keys, 1)


def allocate(amount_fen: int, weights: Mapping[str, Weight]) -> dict[str, int]:
    """Shares in fen by key, in order of the keys; their sum is `amount_fen`, their signs are its sign.

    Keys whose weight is 0 get nothing. Raises ValueError, in Chinese, where no weight is above 0 or one is below.
    """
    if any(not isfinite(weight) or weight < 0 for weight in weights.values()):
        raise ValueError("分摊权重应为不小于 0 的数")
    exact = {key: Fraction(weights[key]) for key in sorted(weights)}
    total = sum(exact.values())
    if not total:
        raise ValueError("分摊权重之和应大于 0")
    amount = abs(amount_fen)
    sign = -1 if amount_fen < 0 else 1
    quotas = {key: amount * weight / total for key, weight in exact.items()}
    shares = {key: quota.numerator // quota.denominator for key, quota in quotas.items()}
    left = amount - sum(shares.values())
    # sorted() is stable: of equal remainders the first key comes first.
    for key in sorted(quotas, key=lambda key: shares[key] - quotas[key])[:left]:
        shares[key] += 1
    return {key: sign * share for key, share in shares.items()}

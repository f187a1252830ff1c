"""Amounts (money.md section 1): integers of the minor unit, exact fractions between them, never a float."""

import math
from collections.abc import Sequence
from fractions import Fraction

WHOLE = 10**9
"""The sum of an order's weights."""

CEILING = Fraction(1, 2)
"""The platform's ceiling on a pool, of the order's amount, by default."""

EXPONENTS = {"CNY": 2, "USD": 2, "EUR": 2, "GBP": 2, "HKD": 2, "TWD": 2, "JPY": 0, "KRW": 0, "KWD": 3, "CLF": 4}
"""Decimals of the currencies that the oracle knows (ISO 4217)."""


def largest_remainder(total: int, weights: Sequence[Fraction | int]) -> list[int]:
    """Floor each, then the units left one by one to the largest fractions, ties to the earlier."""
    if total == 0:
        return [0] * len(weights)
    exact = [Fraction(total) * weight / sum(weights) for weight in weights]
    parts = [int(share) for share in exact]
    by_fraction = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_fraction[: total - sum(parts)]:
        parts[i] += 1
    return parts


def half_even(value: Fraction) -> int:
    """Python rounds a Fraction half to even."""
    return round(value)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def percent(text: str) -> Fraction:
    """A rate: "5.0" is 5 %."""
    return Fraction(text) / 100


def units(text: str, exponent: int) -> Fraction:
    """A decimal of the major unit, in minor units. Not whole where a rule written for one currency meets an
    order in another that has fewer decimals: then pools are rounded half to even, caps down, thresholds compared
    exactly (money.md is silent)."""
    return Fraction(text) * Fraction(10**exponent)


def minor_units(text: str, exponent: int) -> int:
    return int(units(text, exponent))


def after_refunds(original: int, amount: int | None, refunded: int) -> int:
    """Where a share stands after refunds of `refunded` in all (section 5): floor(original x (amount - R) / amount).
    Orders without an amount, or of amount 0, are refunded only whole, which does not come here."""
    if not amount:
        return original
    return math.floor(Fraction(original * (amount - refunded), amount))

"""Splits an order's pool over the credited promoters and their chains (money.md, section 3)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tuike import _core
from tuike.books.records import Share

WEIGHT_UNIT = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Split:
    """Shares in order, the platform's last, and the arithmetic that led to them."""

    pool: int
    shares: tuple[Share, ...]
    steps: list[dict[str, Any]]


def split(
    rule: _core.Rule,
    amount: int | None,
    credits: Sequence[tuple[str, int]],
    chain: Callable[[str], list[str]],
    pays: Callable[[str], bool],
) -> Split | None:
    """`credits` are promoters with weights of 1e-9 in the order of their touches; `chain` is a
    promoter's at the order's instant. None: the rule needs an amount and the order has none."""
    pools = [rule.pool(amount) for _ in credits]
    weighted = [weight * pool for (_, weight), pool in zip(credits, pools, strict=True) if pool is not None]
    if len(weighted) != len(pools):
        return None
    total = half_even(sum(weighted), WEIGHT_UNIT)
    # in lowest terms, which keeps the products inside the core's 128 bits
    divisor = math.gcd(*weighted) or 1
    parts = _core.allocate(total, [value // divisor for value in weighted])
    shares: list[Share] = []
    steps: list[dict[str, Any]] = []
    platform = 0
    for (promoter, weight), pool, part in zip(credits, pools, parts, strict=True):
        line = chain(promoter)
        present = [level < len(line) and pays(line[level]) for level in range(rule.levels)]
        levels, rest = rule.split_pool(part, present)
        platform += rest
        shares += [
            Share(line[level], level + 1, promoter, weight, levels[level], levels[level])
            for level in range(rule.levels)
            if present[level]
        ]
        steps.append(
            {
                "promoter": promoter,
                "weight": weight,
                "pool": pool,
                "part": part,
                "chain": line,
                "present": present,
                "levels": levels,
                "platform": rest,
            }
        )
    shares.append(Share("", 0, "", 0, platform, platform))
    return Split(total, tuple(shares), steps)


def half_even(numerator: int, denominator: int) -> int:
    """The quotient of two integers that are not negative, rounded half to even."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2):
        quotient += 1
    return quotient

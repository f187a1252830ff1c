"""The oracle: what money, attribution and the tree must come to, slow, obvious and exact.

Independent of the core and written from the rules alone. Amounts are integers of the minor unit, everything between
them is a Fraction, the only irrational numbers (time decay) have 80 digits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

MAX_LEVELS = 3
CEILING = Fraction(1, 2)
WHOLE = 10**9


# --- shares --------------------------------------------------------------------------------------


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


# --- commission rules ----------------------------------------------------------------------------


def minor_units(text: str, exponent: int) -> int:
    return int(Fraction(text) * 10**exponent)


def refusal(rule: Mapping[str, Any]) -> str | None:
    """The code a well-formed percentage or fixed rule is refused with."""
    if rule["type"] == "percentage" and Fraction(rule["value"]) / 100 > CEILING:
        return "above_ceiling"
    value = Fraction(rule["value"])
    wanted = sum(
        Fraction(level["value"]) if "value" in level else value * Fraction(level["share"]) / 100
        for level in rule.get("levels", [])
    )
    return "levels_above_pool" if wanted > value else None


def pool(rule: Mapping[str, Any], amount: int | None, exponent: int) -> int | None:
    """What the order pays in all. None: the rule needs an amount."""
    if amount is None:
        return minor_units(rule["value"], exponent) if rule["type"] == "fixed" else None
    if amount < minor_units(rule.get("min_amount", "0"), exponent):
        return 0
    if rule["type"] == "fixed":
        base = minor_units(rule["value"], exponent)
    else:
        base = round(amount * Fraction(rule["value"]) / 100)  # Python rounds a Fraction half to even
    if "max_per_order" in rule:
        base = min(base, minor_units(rule["max_per_order"], exponent))
    return min(base, int(CEILING * amount))


def level_weights(rule: Mapping[str, Any]) -> list[Fraction]:
    """Each level's part of the pool, up to the highest named."""
    if "levels" not in rule:
        return [Fraction(1)]
    weights = [Fraction(0)] * max(level["level"] for level in rule["levels"])
    for level in rule["levels"]:
        if "share" in level:
            weights[level["level"] - 1] = Fraction(level["share"]) / 100
        elif Fraction(rule["value"]):
            weights[level["level"] - 1] = Fraction(level["value"]) / Fraction(rule["value"])
    return weights


def split(
    rule: Mapping[str, Any], amount: int | None, present: Sequence[bool], exponent: int
) -> tuple[int, list[int], int] | None:
    """Pool, the levels' parts, the platform's part."""
    total = pool(rule, amount, exponent)
    if total is None:
        return None
    weights = level_weights(rule)
    *levels, platform = largest_remainder(total, [*weights, 1 - sum(weights)])
    there = [i for i in range(len(levels)) if i < len(present) and present[i]]
    freed = sum(levels[i] for i in range(len(levels)) if i not in there)
    levels = [part if i in there else 0 for i, part in enumerate(levels)]
    heirs = [i for i in there if weights[i] > 0]
    if rule.get("missing_level") == "redistribute" and heirs:
        for i, more in zip(heirs, largest_remainder(freed, [weights[i] for i in heirs]), strict=True):
            levels[i] += more
    else:
        platform += freed
    return total, levels, platform


# --- attribution ---------------------------------------------------------------------------------


def decay(age: int, half_life: int) -> Fraction:
    """2^(-age / half_life) to 80 digits; whole half-lives exactly."""
    halvings, rest = divmod(age, half_life)
    with localcontext(prec=80):
        power: Decimal = Decimal(2) ** (Decimal(-rest) / half_life)
        return Fraction(power) * Fraction(1, 2**halvings)


def weights(model: str, times: Sequence[int], half_life: int) -> list[int]:
    """In units of 1e-9, for touches at these times, ascending."""
    n = len(times)
    if n == 0:
        return []
    if model == "first":
        exact = [Fraction(1)] + [Fraction(0)] * (n - 1)
    elif model == "last":
        exact = [Fraction(0)] * (n - 1) + [Fraction(1)]
    elif model == "time_decay":
        exact = [decay(times[-1] - time, half_life) for time in times]
    elif model == "position" and n > 2:
        exact = [Fraction(40, 100), *[Fraction(20, 100) / (n - 2)] * (n - 2), Fraction(40, 100)]
    else:
        exact = [Fraction(1, n)] * n
    return largest_remainder(WHOLE, exact)


# --- the tree ------------------------------------------------------------------------------------


@dataclass
class Tree:
    """Every edge there ever was, in the order it was made: (since, promoter, parent)."""

    edges: list[tuple[int, str, str | None]] = field(default_factory=list)
    changed: int = 0

    def promoters(self) -> list[str]:
        return list(dict.fromkeys(promoter for _, promoter, _ in self.edges))

    def add(self, promoter: str, parent: str | None) -> str | None:
        if promoter in self.promoters():
            return "exists"
        if parent is not None and parent not in self.promoters():
            return "unknown_parent"
        self.edges.append((0, promoter, parent))  # counts from always
        return None

    def set_parent(self, promoter: str, parent: str | None, at: int) -> str | None:
        if promoter not in self.promoters():
            return "unknown_promoter"
        if parent is not None and parent not in self.promoters():
            return "unknown_parent"
        if parent is not None and promoter in self.chain(parent):
            return "loop"
        self.changed = max(self.changed, at)  # no change counts from before the last one
        self.edges.append((self.changed, promoter, parent))
        return None

    def parent(self, promoter: str, at: int | None = None) -> str | None:
        parents = [parent for since, child, parent in self.edges if child == promoter and (at is None or since <= at)]
        return parents[-1]

    def chain(self, promoter: str, at: int | None = None) -> list[str]:
        chain = [promoter]
        while (parent := self.parent(chain[-1], at)) is not None:
            chain.append(parent)
        return chain

    def team(self, promoter: str) -> tuple[int, int, list[int]]:
        """Direct, total, and the count on each level below."""
        depths = [self.chain(other).index(promoter) for other in self.promoters() if promoter in self.chain(other)]
        by_level = [depths.count(level) for level in range(1, max(depths) + 1)]
        return sum(by_level[:1]), sum(by_level), by_level

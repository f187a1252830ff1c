"""Commission rules (money.md section 3): what an order's pool is and how it is split.

Shapes that section 3 leaves open, as decided here:
  * the season is `season: {multiplier, from?, until?}`, for any type;
  * `from` is the first instant that counts, `until` the first that no longer does (RFC 3339);
  * a rule needs an amount (`amount_missing` without one) where its base or a bonus, in force or not, is computed from
    it: a percentage or tiered base, a percentage bonus. An order without amount takes no `promoter_tier_bonus` and no
    bonus with a `min_amount`. What only cuts (`min_amount`, `max_per_order`, the ceiling) does not touch it; the
    season does.
  * an override's `value` is the promoter's own rate: on a tiered rule, or a hybrid on one, it stands in for the tiers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from reference.clock import parse
from reference.money import CEILING, WHOLE, half_even, largest_remainder, percent, units

Rule = Mapping[str, Any]


@dataclass(frozen=True)
class Situation:
    """What a rule looks at. `total`: the promoter's month before this order; `tier`: the promoter's on its day."""

    amount: int | None
    exponent: int
    at: int = 0
    total: int = 0
    tier: str = "bronze"
    ceiling: Fraction = CEILING


# --- the pool ------------------------------------------------------------------------------------


def in_force(term: Rule, at: int) -> bool:
    return ("from" not in term or parse(term["from"]) <= at) and ("until" not in term or at < parse(term["until"]))


def needs_amount(rule: Rule) -> bool:
    """Decided: an order without amount takes no tier bonus, and no bonus that has a `min_amount`."""
    if rule["type"] == "hybrid":
        computed = any(bonus["type"] == "percentage" for bonus in rule.get("bonus", []))
        return needs_amount(rule["base"]) or computed
    return rule["type"] != "fixed"


def below_min_amount(rule: Rule, amount: int | None, exponent: int) -> bool:
    return amount is not None and "min_amount" in rule and amount < units(rule["min_amount"], exponent)


def is_tiered(rule: Rule) -> bool:
    return rule["type"] == "tiered" or (rule["type"] == "hybrid" and is_tiered(rule["base"]))


def base(rule: Rule, s: Situation) -> int:
    """Without bonuses and season. An amount must be there where the rule needs one."""
    if rule["type"] == "fixed":
        return half_even(units(rule["value"], s.exponent))
    assert s.amount is not None
    if rule["type"] == "percentage":
        return half_even(s.amount * percent(rule["value"]))
    starts = [units(tier["from"], s.exponent) for tier in rule["tiers"]]
    rates = [percent(tier["value"]) for tier in rule["tiers"]]
    if rule.get("mode", "slab") == "slab":
        rate = [rate for start, rate in zip(starts, rates, strict=True) if start <= s.total][-1]
        return half_even(s.amount * rate)
    ends = [*starts[1:], Fraction(s.total + s.amount)]  # the last tier has no end
    before, after = Fraction(s.total), Fraction(s.total + s.amount)
    pieces = [max(min(end, after) - max(start, before), Fraction(0)) for start, end in zip(starts, ends, strict=True)]
    return half_even(sum((piece * rate for piece, rate in zip(pieces, rates, strict=True)), Fraction(0)))


def main_part(rule: Rule, s: Situation) -> int:
    """(base + bonuses) x the season's multiplier. Base and each bonus are rounded by themselves, the product again."""
    if rule["type"] == "hybrid":
        total = base(rule["base"], s)
        for bonus in rule.get("bonus", []):
            too_small = "min_amount" in bonus and (s.amount is None or below_min_amount(bonus, s.amount, s.exponent))
            if in_force(bonus, s.at) and not too_small:
                total += base(bonus, s)
    else:
        total = base(rule, s)
    season = rule.get("season")
    return half_even(total * Fraction(season["multiplier"])) if season and in_force(season, s.at) else total


def tier_part(rule: Rule, s: Situation) -> int:
    """The promoter tier's points of the amount: a part of its own for level 1, rounded by itself, not multiplied."""
    points = rule.get("promoter_tier_bonus", {}).get(s.tier)
    return half_even((s.amount or 0) * percent(points)) if points else 0


def parts(rule: Rule, s: Situation) -> tuple[int, int]:
    """Main and tier part of the pool after the caps.

    Decided: the pool (main + tier) is cut to `max_per_order`, then to the ceiling, and each cut shrinks the two parts
    by largest remainder in proportion.
    """
    if below_min_amount(rule, s.amount, s.exponent):
        return 0, 0
    main, tier = main_part(rule, s), tier_part(rule, s)
    if s.amount is None:
        return main, tier
    caps = [math.floor(units(rule["max_per_order"], s.exponent))] if "max_per_order" in rule else []
    for cap in [*caps, math.floor(s.amount * s.ceiling)]:
        if main + tier > cap:
            main, tier = largest_remainder(cap, [main, tier])
    return main, tier


def pool(rule: Rule, amount: int | None, exponent: int, **more: Any) -> int | None:
    """What the order pays in all. None: the rule needs an amount. `more`: the rest of a Situation."""
    if amount is None and needs_amount(rule):
        return None
    return sum(parts(rule, Situation(amount, exponent, **more)))


# --- the levels ----------------------------------------------------------------------------------


def level_weights(rule: Rule) -> list[Fraction]:
    """Each level's part of the pool, up to the highest named."""
    if "levels" not in rule:
        return [Fraction(1)]
    weights = [Fraction(0)] * max(level["level"] for level in rule["levels"])
    for level in rule["levels"]:
        if "share" in level:
            weights[level["level"] - 1] = percent(level["share"])
        elif Fraction(rule["value"]):
            weights[level["level"] - 1] = Fraction(level["value"]) / Fraction(rule["value"])
    return weights


def split_parts(rule: Rule, main: int, tier: int, present: Sequence[bool]) -> tuple[list[int], int]:
    """The levels' parts and the platform's. `present` says who of the chain is there; what it does not say is not.

    The main part goes over all levels of the rule and the platform, the tier part to level 1; then what missing
    levels have (a missing level 1 its tier part too) goes to the platform or is split once more over those present
    that have a weight.
    """
    weights = level_weights(rule)
    *levels, platform = largest_remainder(main, [*weights, 1 - sum(weights)])
    levels[0] += tier
    there = [i for i in range(len(levels)) if i < len(present) and present[i]]
    freed = sum(levels[i] for i in range(len(levels)) if i not in there)
    levels = [part if i in there else 0 for i, part in enumerate(levels)]
    heirs = [i for i in there if weights[i] > 0]
    if rule.get("missing_level") == "redistribute" and heirs:
        for i, more in zip(heirs, largest_remainder(freed, [weights[i] for i in heirs]), strict=True):
            levels[i] += more
    else:
        platform += freed
    return levels, platform


def split(
    rule: Rule, amount: int | None, present: Sequence[bool], exponent: int, **more: Any
) -> tuple[int, list[int], int] | None:
    """Pool, the levels' parts, the platform's part, under one credited promoter. None: the rule needs an amount."""
    if amount is None and needs_amount(rule):
        return None
    main, tier = parts(rule, Situation(amount, exponent, **more))
    levels, platform = split_parts(rule, main, tier, present)
    return main + tier, levels, platform


# --- several credited promoters ------------------------------------------------------------------


def own_rate(base: Rule, value: str) -> dict[str, Any]:
    """A base with one rate, or one fixed value, in place of its own or of its tiers."""
    if base["type"] != "tiered":
        return dict(base, value=value)
    return {key: its for key, its in base.items() if key not in ("tiers", "mode")} | {
        "type": "percentage",
        "value": value,
    }


def overridden(rule: Rule, promoter: str, kind: str) -> Rule:
    """The rule as it is for this promoter: his own override, else that of his kind, else itself."""
    matching = [x for x in rule.get("overrides", []) if x.get("promoter") == promoter]
    matching += [x for x in rule.get("overrides", []) if x.get("kind") == kind]
    if not matching:
        return rule
    own = own_rate(rule["base"] if rule["type"] == "hybrid" else rule, matching[0]["value"])
    changed = dict(rule, base=own) if rule["type"] == "hybrid" else own
    if "levels" in matching[0]:
        changed["levels"] = matching[0]["levels"]
    return changed


@dataclass(frozen=True)
class Credited:
    """A credited promoter: the rule as it is for him, his situation, his chain as (promoter, whether he counts)."""

    weight: int
    rule: Rule
    situation: Situation
    chain: tuple[tuple[str, bool], ...]

    @property
    def promoter(self) -> str:
        return self.chain[0][0]


def price(credited: Sequence[Credited]) -> tuple[dict[tuple[str, int, str], int], int]:
    """What the order pays: {(promoter, level, via): amount} and the platform's part.

    `credited` in the order of their earliest touch. Each one's part of the pool is cut into main and tier part in
    the proportion of his own pool's, by largest remainder, and goes through his own chain.
    """
    own = [parts(one.rule, one.situation) for one in credited]
    weighed = [one.weight * Fraction(sum(its), WHOLE) for one, its in zip(credited, own, strict=True)]
    shares: dict[tuple[str, int, str], int] = {}
    platform = 0
    of_pool = largest_remainder(half_even(sum(weighed, Fraction(0))), weighed)
    for one, its, part in zip(credited, own, of_pool, strict=True):
        main, tier = largest_remainder(part, its)
        levels, rest = split_parts(one.rule, main, tier, [there for _, there in one.chain])
        platform += rest
        for level, ((promoter, there), amount) in enumerate(zip(one.chain, levels, strict=False), start=1):
            if there and amount:
                shares[promoter, level, one.promoter] = amount
    return shares, platform

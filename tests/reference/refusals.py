"""What a commission rule is refused for when written (money.md section 3, "Refused when written").

More than 3 levels, levels above the pool, a base above the ceiling, tiers out of order, a negative value; and what
makes no sense at all. money.md does not rank the codes: `refusals` gives all that apply, `refusal` the first of them
in the order in which this file asks.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import Any

from reference.money import CEILING
from reference.rules import own_rate

MAX_LEVELS = 3
RATE_DECIMALS = 4
MAX_DIGITS = 15
TIER_NAMES = ("bronze", "silver", "gold", "diamond")
TYPES = {
    "percentage": {"value"},
    "fixed": {"value"},
    "tiered": {"tiers", "mode"},
    "hybrid": {"base", "bonus"},
}
COMMON = {
    *("type", "levels", "missing_level", "min_amount", "max_per_order", "daily_budget"),
    *("season", "promoter_tier_bonus", "overrides"),
}


def refusal(rule: Any, exponent: int | None = None, ceiling: Fraction = CEILING) -> str | None:
    """The code a rule is refused with. Without `exponent` the decimals of amounts are not looked at. `ceiling`: the
    platform's, of the amount."""
    return next(refusals(rule, exponent, ceiling), None)


def refusals(rule: Any, exponent: int | None = None, ceiling: Fraction = CEILING) -> Iterator[str]:
    if not isinstance(rule, Mapping) or "type" not in rule:
        yield "bad_rule"
        return
    if rule["type"] not in TYPES:
        yield "unknown_type"
        return
    if set(rule) - TYPES[rule["type"]] - COMMON:
        yield "unknown_key"
    shape = [*terms(rule, exponent, ceiling), *cuts(rule, exponent)]
    yield from shape
    if not shape:
        yield from levels_of(rule, rule, exponent)
        yield from overrides(rule, exponent, ceiling)


def number(text: Any, decimals: int | None) -> Iterator[str]:
    """A decimal string of at most 15 digits."""
    if not isinstance(text, str) or not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        yield "bad_value"
    elif text.startswith("-"):
        yield "negative_value"
    elif decimals is not None and len(text.partition(".")[2]) > decimals:
        yield "too_many_decimals"
    elif len(text.replace(".", "")) > MAX_DIGITS:
        yield "bad_value"


def base(rule: Mapping[str, Any], exponent: int | None, ceiling: Fraction) -> Iterator[str]:
    """A percentage, fixed or tiered base. The rates of tiers need not rise; the first tier begins at 0 and every
    next one higher, else `tiers_out_of_order` (decided: what would be paid below the first tier is not said)."""
    if rule["type"] != "tiered":
        decimals = RATE_DECIMALS if rule["type"] == "percentage" else exponent
        bad = list(number(rule.get("value"), decimals))
        rates = [rule["value"]] if rule["type"] == "percentage" and not bad else []
    else:
        tiers = rule.get("tiers")
        if not isinstance(tiers, list) or not tiers or any(set(tier) != {"from", "value"} for tier in tiers):
            yield "bad_rule"
            return
        bad = [code for tier in tiers for code in number(tier["value"], RATE_DECIMALS)]
        bad += [code for tier in tiers for code in number(tier["from"], exponent)]
        rates = [tier["value"] for tier in tiers]
        if rule.get("mode", "slab") not in ("slab", "marginal"):
            yield "bad_rule"
    yield from bad
    if not bad and any(Fraction(rate) / 100 > ceiling for rate in rates):
        yield "above_ceiling"
    if not bad and rule["type"] == "tiered":
        starts = [Fraction(tier["from"]) for tier in rule["tiers"]]
        if starts[0] != 0 or any(a >= b for a, b in pairwise(starts)):
            yield "tiers_out_of_order"


def terms(rule: Mapping[str, Any], exponent: int | None, ceiling: Fraction) -> Iterator[str]:
    if rule["type"] != "hybrid":
        yield from base(rule, exponent, ceiling)
        return
    inner = rule.get("base")
    if not isinstance(inner, Mapping) or inner.get("type") not in ("percentage", "fixed", "tiered"):
        yield "bad_rule"
        return
    if set(inner) - TYPES[inner["type"]] - {"type"}:
        yield "unknown_key"
    yield from base(inner, exponent, ceiling)
    for bonus in rule.get("bonus", []):
        if bonus.get("type") not in ("percentage", "fixed"):
            yield "unknown_type"
            continue
        if set(bonus) - {"type", "value", "min_amount", "from", "until"}:
            yield "unknown_key"
        yield from number(bonus.get("value"), RATE_DECIMALS if bonus["type"] == "percentage" else exponent)
        if "min_amount" in bonus:
            yield from number(bonus["min_amount"], exponent)
        yield from times(bonus)


def times(term: Mapping[str, Any]) -> Iterator[str]:
    for key in ("from", "until"):
        if key in term:
            try:
                aware = datetime.fromisoformat(term[key]).tzinfo is not None
            except (TypeError, ValueError):
                aware = False
            if not aware:
                yield "bad_value"


def cuts(rule: Mapping[str, Any], exponent: int | None) -> Iterator[str]:
    """What all types may have."""
    for key in ("min_amount", "max_per_order", "daily_budget"):
        if key in rule:
            yield from number(rule[key], exponent)
    if "season" in rule:
        if not isinstance(rule["season"], Mapping) or set(rule["season"]) - {"multiplier", "from", "until"}:
            yield "bad_rule"
        else:
            yield from number(rule["season"].get("multiplier"), RATE_DECIMALS)
            yield from times(rule["season"])
    for name, points in rule.get("promoter_tier_bonus", {}).items():
        if name not in TIER_NAMES:
            yield "unknown_key"
        yield from number(points, RATE_DECIMALS)
    if rule.get("missing_level", "platform") not in ("platform", "redistribute"):
        yield "bad_rule"


def levels_of(holder: Mapping[str, Any], rule: Mapping[str, Any], exponent: int | None) -> Iterator[str]:
    """The levels of a rule or an override, in the unit of the rule. A level's `value` is for percentage and fixed
    rules alone; together they are at most the pool."""
    if "levels" not in holder:
        return
    levels = holder["levels"]
    if not isinstance(levels, list) or not levels:
        yield "bad_level"
        return
    own = rule["type"] in ("percentage", "fixed")
    decimals = exponent if rule["type"] == "fixed" else RATE_DECIMALS
    bad = []
    for level in levels:
        where = level.get("level")
        unit = set(level) - {"level"}
        if type(where) is not int or where < 1 or unit not in ([{"value"}, {"share"}] if own else [{"share"}]):
            bad.append("bad_level")
        elif where > MAX_LEVELS:
            bad.append("too_many_levels")
        elif "value" in level:
            bad += number(level["value"], decimals)
        else:
            bad += number(level["share"], RATE_DECIMALS)
    if len(levels) > MAX_LEVELS:
        bad.append("too_many_levels")
    if len({level.get("level") for level in levels}) < len(levels):
        bad.append("duplicate_level")
    yield from bad
    if not bad and wanted(levels, rule) > (Fraction(rule["value"]) if own else 1):
        yield "levels_above_pool"


def wanted(levels: list[Mapping[str, Any]], rule: Mapping[str, Any]) -> Fraction:
    """What the levels take together: in the rule's own unit, of 1 where it has none."""
    whole = Fraction(rule.get("value", 1))
    parts = [Fraction(x["value"]) if "value" in x else whole * Fraction(x["share"]) / 100 for x in levels]
    return sum(parts, Fraction(0))


def overrides(rule: Mapping[str, Any], exponent: int | None, ceiling: Fraction) -> Iterator[str]:
    """An override replaces `value`, and `levels` if given; it must make a rule that could itself be written.

    Decided: on a hybrid it replaces the base's value, on tiers all of them by one rate. One that names neither or both
    of promoter and kind, or the same as another: `bad_override`.
    """
    seen = []
    for override in rule.get("overrides", []):
        names = {key: override[key] for key in ("promoter", "kind") if key in override}
        if set(override) - {"promoter", "kind", "value", "levels"}:
            yield "unknown_key"
        inner = rule["base"] if rule["type"] == "hybrid" else rule
        if len(names) != 1 or names in seen or "value" not in override:
            yield "bad_override"
            continue
        seen.append(names)
        under = own_rate(inner, override["value"])
        bad = list(base(under, exponent, ceiling))
        yield from bad
        if not bad:
            whole = rule if rule["type"] in ("hybrid", "tiered") else under
            yield from levels_of(override if "levels" in override else rule, whole, exponent)

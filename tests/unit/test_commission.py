"""Commission rules: what an order pays, and to whom."""

import json
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from tuike import _core

EXPONENTS = {"JPY": 0, "CNY": 2, "KWD": 3}
NOON = 1_794_355_200_000  # 2026-11-11T00:00:00Z
WHOLE = reference.WHOLE
AMOUNTS = st.integers(0, 200) | st.integers(0, 10**6) | st.integers(0, 10**15 - 1)


def decimal(units: int, decimals: int) -> str:
    return f"{units // 10**decimals}.{units % 10**decimals:0{decimals}}" if decimals else str(units)


def credit(
    weight: int = WHOLE,
    present: Sequence[bool] = (True, True, True),
    promoter: str = "p",
    kind: str = "member",
    total: int = 0,
    tier: str = "",
) -> tuple[str, str, int, int, str, Sequence[bool]]:
    return promoter, kind, weight, total, tier, present


def split(rule: _core.Rule, amount: int | None, present: Sequence[bool]) -> tuple[int, list[int], int] | None:
    """Pool, levels and platform of an order that is one promoter's."""
    booked = rule.book(amount, 0, [credit(present=present)])
    if booked is None:
        return None
    pool, (part,) = booked
    assert pool == part["pool"] == part["part"]
    return pool, part["levels"], part["platform"]


@st.composite
def rules(draw: st.DrawFn, exponent: int) -> dict[str, Any]:
    """Well-formed rules; a few of them ask for more than there is."""
    kind = draw(st.sampled_from(["percentage", "fixed"]))
    unit, highest = (4, 510_000) if kind == "percentage" else (exponent, 10**6)
    value = draw(st.integers(0, 20) | st.integers(0, highest))
    rule: dict[str, Any] = {"type": kind, "value": decimal(value, unit)}
    numbers = draw(st.lists(st.sampled_from([1, 2, 3]), unique=True, max_size=3))
    if numbers:
        rule["levels"] = [
            {"level": number, "value": decimal(draw(st.integers(0, value // 2 + 1)), unit)}
            if draw(st.booleans())
            else {"level": number, "share": decimal(draw(st.integers(0, 450_000)), 4)}
            for number in numbers
        ]
    if draw(st.booleans()):
        rule["missing_level"] = draw(st.sampled_from(["platform", "redistribute"]))
    for key in ("min_amount", "max_per_order"):
        if draw(st.integers(0, 3)) == 0:
            rule[key] = decimal(draw(st.integers(0, 10**5)), exponent)
    return rule


@given(
    st.data(),
    st.sampled_from(sorted(EXPONENTS)),
    st.none() | AMOUNTS,
    st.lists(st.booleans(), max_size=3),
    st.just(_core.Rule.MAX_CEILING) | st.integers(1, _core.Rule.MAX_CEILING),
)
def test_every_split_is_that_of_the_oracle(
    data: st.DataObject, currency: str, amount: int | None, present: list[bool], ceiling: int
) -> None:
    exponent = EXPONENTS[currency]
    rule = data.draw(rules(exponent))
    under = Fraction(ceiling, 1_000_000)
    if code := reference.refusal(rule, ceiling=under):
        with pytest.raises(ValueError, match=f"^{code}: "):
            _core.Rule(json.dumps(rule), currency, ceiling)
        return
    core = _core.Rule(json.dumps(rule), currency, ceiling)
    expected = reference.split(rule, amount, present, exponent, ceiling=under)
    assert split(core, amount, present) == expected
    if expected:
        pool, levels, platform = expected
        assert core.levels == len(levels)
        assert sum(levels) + platform == pool


@given(st.lists(AMOUNTS, max_size=20), st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_batch_of_splits_is_each_split(amounts: list[int], present: list[bool]) -> None:
    levels = [{"level": 1, "value": "5"}, {"level": 2, "value": "3"}, {"level": 3, "value": "1.1"}]
    rule = _core.Rule(json.dumps({"type": "percentage", "value": "10", "levels": levels}), "CNY")
    parts = struct.unpack(f"<{4 * len(amounts)}q", rule.split_many(amounts, 0, credit(present=present)))
    for i, amount in enumerate(amounts):
        alone = split(rule, amount, present)
        assert alone is not None
        assert parts[4 * i : 4 * i + 4] == (*alone[1], alone[2])


CARD = {"type": "percentage", "value": "10.0", "levels": [{"level": 1, "value": "5.0"}, {"level": 2, "value": "3.0"}]}
SHARES = [{"level": 1, "share": "50"}, {"level": 2, "share": "30"}, {"level": 3, "share": "20"}]


@pytest.mark.parametrize(
    ("rule", "amount", "present", "expected"),
    [
        (CARD, 10_000, [True, True, True], (1_000, [500, 300], 200)),
        (CARD, 10_000, [True, False], (1_000, [500, 0], 500)),
        (CARD | {"missing_level": "redistribute"}, 10_000, [True, False], (1_000, [800, 0], 200)),
        (CARD, 25, [True, True], (2, [1, 1], 0)),
        (CARD, None, [True], None),
        ({"type": "percentage", "value": "7"}, 10_000, [True], (700, [700], 0)),
        ({"type": "fixed", "value": "8.00", "levels": SHARES}, 10_000, [True] * 3, (800, [400, 240, 160], 0)),
        ({"type": "fixed", "value": "8.00", "levels": SHARES}, 1_001, [True] * 3, (500, [250, 150, 100], 0)),
        ({"type": "fixed", "value": "8.00", "max_per_order": "1"}, None, [True], (800, [800], 0)),
        ({"type": "fixed", "value": "8.00", "max_per_order": "1"}, 10_000, [True], (100, [100], 0)),
        ({"type": "fixed", "value": "8.00"}, 0, [True], (0, [0], 0)),
        ({"type": "fixed", "value": "8.00"}, 10_000, [False], (800, [0], 800)),
    ],
)
def test_rules_pay_what_the_table_says(
    rule: dict[str, Any], amount: int | None, present: list[bool], expected: Any
) -> None:
    assert split(_core.Rule(json.dumps(rule), "CNY"), amount, present) == expected
    assert reference.split(rule, amount, present, 2) == expected


@pytest.mark.parametrize("ceiling", [0, -1, 500_001, 2**63 - 1])
def test_a_ceiling_is_above_0_and_at_most_half(ceiling: int) -> None:
    with pytest.raises(ValueError, match=r"^bad_ceiling: .* above 0 and at most 50 %$"):
        _core.Rule(json.dumps(CARD), "CNY", ceiling)


def test_an_order_below_the_minimum_pays_nothing_and_says_so() -> None:
    rule = _core.Rule('{"type": "percentage", "value": "10", "min_amount": "99"}', "CNY")
    assert (rule.below_min_amount(9_899), split(rule, 9_899, [True])) == (True, (0, [0], 0))
    assert (rule.below_min_amount(9_900), split(rule, 9_900, [True])) == (False, (990, [990], 0))
    assert not rule.below_min_amount(None)


def with_levels(*levels: Any) -> dict[str, Any]:
    return {"type": "percentage", "value": "10", "levels": list(levels)}


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ([], "bad_rule"),
        ({}, "bad_rule"),
        ({"type": "percentage"}, "bad_value"),
        ({"type": "percentage", "value": 10}, "bad_value"),
        ({"type": "percentage", "value": 10.5}, "bad_value"),
        ({"type": "percentage", "value": "NaN"}, "bad_value"),
        ({"type": "percentage", "value": "-10"}, "negative_value"),
        ({"type": "percentage", "value": "0.00001"}, "too_many_decimals"),
        ({"type": "percentage", "value": "50.0001"}, "above_ceiling"),
        ({"type": "fixed", "value": "0.001"}, "too_many_decimals"),
        ({"type": "lottery", "value": "1"}, "unknown_type"),
        ({"type": "fixed", "value": "1", "values": "1"}, "unknown_key"),
        ({"type": "fixed", "value": "1", "missing_level": "keep"}, "bad_rule"),
        (with_levels(), "bad_level"),
        (with_levels({"level": 1}), "bad_level"),
        (with_levels({"level": 0, "value": "1"}), "bad_level"),
        (with_levels({"level": True, "value": "1"}), "bad_level"),
        (with_levels({"level": 4, "value": "1"}), "too_many_levels"),
        (with_levels(*[{"level": i, "value": "1"} for i in (1, 2, 3, 4)]), "too_many_levels"),
        (with_levels(*[{"level": 2, "value": "1"}] * 2), "duplicate_level"),
        (with_levels({"level": 1, "value": "6"}, {"level": 2, "value": "4.0001"}), "levels_above_pool"),
        (with_levels({"level": 1, "share": "100.0001"}), "levels_above_pool"),
        (with_levels({"level": 1, "value": "-1"}), "negative_value"),
    ],
)
def test_a_bad_rule_is_refused_with_its_code(rule: Any, code: str) -> None:
    with pytest.raises(ValueError, match=f"^{code}: "):
        _core.Rule(json.dumps(rule), "CNY")


def test_a_rule_in_no_currency_is_refused() -> None:
    with pytest.raises(ValueError, match="bad_currency: "):
        _core.Rule(json.dumps(CARD), "XXX")


EVERYTHING = {
    "type": "hybrid",
    "base": {
        "type": "tiered",
        "mode": "marginal",
        "tiers": [{"from": "0", "value": "5"}, {"from": "100", "value": "8"}],
    },
    "bonus": [
        {"type": "fixed", "value": "1", "min_amount": "150"},
        {"type": "percentage", "value": "0.5", "from": "2026-11-11", "until": "2026-11-12"},
        {"type": "fixed", "value": "9", "until": "2026-11-11T00:00:00Z"},
    ],
    "season": [{"multiplier": "1.5", "from": "2026-11-11T00:00:00+08:00", "until": "2026-11-12T00:00:00+08:00"}],
    "promoter_tier_bonus": {"gold": "1"},
    "max_per_order": "30",
    "daily_budget": "500",
    "overrides": [{"promoter": "ann", "value": "12"}, {"kind": "kol", "value": "20"}],
    "levels": [{"level": 1, "share": "60"}, {"level": 2, "share": "30"}],
    "missing_level": "redistribute",
}


def test_a_booking_says_how_each_part_came_about() -> None:
    rule = _core.Rule(json.dumps(EVERYTHING), "CNY")
    assert (rule.levels, rule.needs_total, rule.needs_tier, rule.daily_budget) == (2, True, True, 50_000)
    booked = rule.book(
        20_000,
        NOON,
        [
            credit(600_000_000, total=5_000, tier="gold"),
            credit(400_000_000, [False, True], "ann", "kol"),
        ],
    )
    # 5 % of 50.00 and 8 % of 150.00, 1.00 and 1.00; 16.50 x 1.5 and 2.00 for level 1 come to 26.75
    # 12 % of 200.00, 1.00 and 1.00; 26.00 x 1.5 is 39.00, cut to 30.00
    assert booked == (
        2_805,  # 0.6 x 26.75 + 0.4 x 30.00
        [
            {
                "override": None,
                "rates": [[5_000, 50_000], [15_000, 80_000]],
                "base": 1_450,
                "bonuses": [100, 100, None],
                "multiplier": 15_000,
                "main": 2_475,
                "tier_bonus": 200,
                "max_per_order": 3_000,
                "ceiling": 10_000,
                "pool": 2_675,
                "part": 1_605,
                "bonus": 120,
                "levels": [1_011, 446],
                "platform": 148,
            },
            {
                "override": "promoter",
                "rates": [[20_000, 120_000]],
                "base": 2_400,
                "bonuses": [100, 100, None],
                "multiplier": 15_000,
                "main": 3_900,
                "tier_bonus": 0,
                "max_per_order": 3_000,
                "ceiling": 10_000,
                "pool": 3_000,
                "part": 1_200,
                "bonus": 0,
                "levels": [0, 1_080],
                "platform": 120,
            },
        ],
    )
    # the evidence is kept as JSON
    assert json.loads(json.dumps(booked)) == [booked[0], booked[1]]


def test_a_rule_with_rates_cannot_book_an_order_without_an_amount() -> None:
    assert _core.Rule(json.dumps(EVERYTHING), "CNY").book(None, NOON, [credit()]) is None


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"type": "tiered"}, "bad_tiers"),
        ({"type": "tiered", "tiers": [{"from": "1", "value": "5"}]}, "tiers_out_of_order"),
        ({"type": "hybrid", "base": CARD, "bonus": []}, "unknown_key"),
        ({"type": "hybrid", "base": {"type": "fixed", "value": "1"}, "bonus": {}}, "bad_bonus"),
        (CARD | {"season": "1.5"}, "bad_season"),
        (CARD | {"season": {"multiplier": "101"}}, "too_large"),
        (CARD | {"overrides": [{"promoter": "ann", "value": "7"}]}, "levels_above_pool"),
        (CARD | {"overrides": [{"value": "7"}]}, "bad_override"),
        (CARD | {"promoter_tier_bonus": {"platinum": "7"}}, "unknown_key"),
    ],
)
def test_what_a_rule_may_have_beside_is_checked_too(rule: Any, code: str) -> None:
    with pytest.raises(ValueError, match=f"^{code}: "):
        _core.Rule(json.dumps(rule), "CNY")


@pytest.mark.parametrize(
    ("amount", "credits", "code"),
    [
        (10**15, [credit()], "bad_amount"),
        (1, [credit(total=10**15)], "bad_amount"),
        (1, [], "bad_weights"),
        (1, [credit(), credit()], "bad_weights"),
        (1, [credit(tier="platinum")], "unknown_tier"),
    ],
)
def test_what_must_not_be_booked_is_refused(amount: int, credits: list[Any], code: str) -> None:
    with pytest.raises(ValueError, match=f"^{code}$"):
        _core.Rule(json.dumps(CARD), "CNY").book(amount, 0, credits)


def test_a_batch_refuses_what_a_booking_does() -> None:
    with pytest.raises(ValueError, match="bad_amount"):
        _core.Rule(json.dumps(CARD), "CNY").split_many([10**15], 0, credit())

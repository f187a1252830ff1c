"""Commission rules: the pool and its split."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from tuike import _core

EXPONENTS = {"JPY": 0, "CNY": 2, "KWD": 3}
AMOUNTS = st.integers(0, 200) | st.integers(0, 10**6) | st.integers(0, 10**15 - 1)


def decimal(units: int, decimals: int) -> str:
    return f"{units // 10**decimals}.{units % 10**decimals:0{decimals}}" if decimals else str(units)


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
)
def test_every_split_is_that_of_the_oracle(
    data: st.DataObject, currency: str, amount: int | None, present: list[bool]
) -> None:
    exponent = EXPONENTS[currency]
    rule = data.draw(rules(exponent))
    if code := reference.refusal(rule):
        with pytest.raises(ValueError, match=f"^{code}: "):
            _core.Rule(json.dumps(rule), currency)
        return
    core = _core.Rule(json.dumps(rule), currency)
    expected = reference.split(rule, amount, present, exponent)
    assert core.split(amount, present) == expected
    assert core.pool(amount) == reference.pool(rule, amount, exponent)
    if expected:
        pool, levels, platform = expected
        assert core.levels == len(levels)
        assert core.split_pool(pool, present) == (levels, platform)
        assert sum(levels) + platform == pool


@given(st.lists(AMOUNTS, max_size=20), st.lists(st.booleans(), min_size=3, max_size=3))
def test_a_batch_of_splits_is_each_split(amounts: list[int], present: list[bool]) -> None:
    levels = [{"level": 1, "value": "5"}, {"level": 2, "value": "3"}, {"level": 3, "value": "1.1"}]
    rule = _core.Rule(json.dumps({"type": "percentage", "value": "10", "levels": levels}), "CNY")
    parts = struct.unpack(f"<{4 * len(amounts)}q", rule.split_many(amounts, present))
    for i, amount in enumerate(amounts):
        split = rule.split(amount, present)
        assert split is not None
        assert parts[4 * i : 4 * i + 4] == (*split[1], split[2])


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
    assert _core.Rule(json.dumps(rule), "CNY").split(amount, present) == expected
    assert reference.split(rule, amount, present, 2) == expected


def test_an_order_below_the_minimum_pays_nothing_and_says_so() -> None:
    rule = _core.Rule('{"type": "percentage", "value": "10", "min_amount": "99"}', "CNY")
    assert (rule.below_min_amount(9_899), rule.pool(9_899)) == (True, 0)
    assert (rule.below_min_amount(9_900), rule.pool(9_900)) == (False, 990)
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


def test_an_amount_of_more_than_15_digits_is_refused() -> None:
    rule = _core.Rule(json.dumps(CARD), "CNY")
    for call in (lambda: rule.pool(10**15), lambda: rule.split(10**15, []), lambda: rule.split_many([10**15], [])):
        with pytest.raises(ValueError, match="bad_amount"):
            call()

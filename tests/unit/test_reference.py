"""The oracle against examples computed by hand: rules, periods, tax."""

import json
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import reference
from reference import Credited, Situation

LEVELS = [{"level": 1, "value": "5"}, {"level": 2, "value": "3"}]
TEN = {"type": "percentage", "value": "10"}
CARD = TEN | {"levels": LEVELS}
EIGHT = {"type": "fixed", "value": "8"}
TIERS = [{"from": "0", "value": "5"}, {"from": "10000", "value": "8"}]
SLAB = {"type": "tiered", "tiers": TIERS}
MARGINAL = SLAB | {"mode": "marginal"}
FINE = {"type": "tiered", "mode": "marginal", "tiers": [{"from": "0", "value": "1"}, {"from": "0.50", "value": "5"}]}
HYBRID = {"type": "hybrid", "base": TEN, "bonus": [TEN, {"type": "fixed", "value": "0.01"}]}
POINTS = {"promoter_tier_bonus": {"silver": "0.5", "gold": "1", "diamond": "2"}}
JANUARY, FEBRUARY = (reference.parse(f"2026-0{month}-01T00:00:00Z") for month in (1, 2))


def season(multiplier: str, **times: str) -> dict[str, Any]:
    return {"season": {"multiplier": multiplier, **times}}


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (101, [1, 1, 1], [34, 34, 33]),
        (5, [3, 7], [2, 3]),  # 1.5 and 3.5: the earlier of equal fractions
        (10, [1, 2, 4], [1, 3, 6]),  # 1.43, 2.86, 5.71: the units over to .86 and .71
        (0, [0, 0], [0, 0]),
    ],
)
def test_units_over_go_to_the_largest_fractions(total: int, weights: list[int], parts: list[int]) -> None:
    assert reference.largest_remainder(total, weights) == parts


# --- rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "amount", "more", "pool"),
    [
        # 10 % of 25, 35 分: 2.5 and 3.5, half to even
        (TEN, 25, {}, 2),
        (TEN, 35, {}, 4),
        # slab: the rate where the total stands before the order, the boundary itself is the higher tier's
        (SLAB, 200_00, {"total": 0}, 10_00),
        (SLAB, 200_00, {"total": 9_999_99}, 10_00),
        (SLAB, 200_00, {"total": 10_000_00}, 16_00),
        # marginal: 100.00 at 5 % and 100.00 at 8 %
        (MARGINAL, 200_00, {"total": 9_900_00}, 13_00),
        (MARGINAL, 200_00, {"total": 9_800_00}, 10_00),
        (MARGINAL, 200_00, {"total": 10_000_00}, 16_00),
        # rounded once: 50 at 1 % and 50 at 5 % are 0.5 + 2.5 = 3 (each by itself would be 0 + 2)
        (FINE, 100, {}, 3),
        # hybrid: base 2.5 -> 2, bonus 2.5 -> 2, fixed 1; the season 1.5 x 5 = 7.5 -> 8
        (HYBRID, 25, {}, 5),
        (HYBRID | season("1.5"), 25, {}, 8),
        # a season counts from its first instant to before its last
        (TEN | season("2", **{"from": "2026-01-01T00:00:00Z"}), 100, {"at": JANUARY - 1}, 10),
        (TEN | season("2", **{"from": "2026-01-01T00:00:00Z"}), 100, {"at": JANUARY}, 20),
        (TEN | season("2", until="2026-02-01T00:00:00Z"), 100, {"at": FEBRUARY - 1}, 20),
        (TEN | season("2", until="2026-02-01T00:00:00Z"), 100, {"at": FEBRUARY}, 10),
        # gold: one point of the amount beside the multiplied main part: 2 x 10.00 + 1.00
        (TEN | POINTS | season("2"), 100_00, {"tier": "gold"}, 21_00),
        (TEN | POINTS, 100_00, {"tier": "bronze"}, 10_00),
        # below the minimum nothing
        (TEN | {"min_amount": "1"}, 99, {}, 0),
        (TEN | {"min_amount": "1"}, 100, {}, 10),
        # the ceiling is floor(50 % x amount)
        ({"type": "fixed", "value": "8"}, 1_001, {}, 500),
        ({"type": "fixed", "value": "8", "max_per_order": "3"}, 1_001, {}, 300),
        ({"type": "fixed", "value": "8"}, 1_001, {"ceiling": Fraction(1, 10)}, 100),
        # without an amount fixed rules pay uncut
        ({"type": "fixed", "value": "8", "max_per_order": "3", "min_amount": "9"}, None, {}, 800),
        ({"type": "hybrid", "base": {"type": "fixed", "value": "8"}, "bonus": []} | season("2"), None, {}, 1_600),
        (TEN, None, {}, None),
        (SLAB, None, {}, None),
        (HYBRID, None, {}, None),
        ({"type": "fixed", "value": "8"} | POINTS, None, {}, 800),
        ({"type": "hybrid", "base": EIGHT, "bonus": [{"type": "fixed", "value": "1"}]}, None, {}, 900),
        ({"type": "hybrid", "base": EIGHT, "bonus": [TEN]}, None, {}, None),
        (
            {"type": "hybrid", "base": EIGHT, "bonus": [{"type": "fixed", "value": "1", "min_amount": "1"}]},
            None,
            {},
            800,
        ),
        ({"type": "hybrid", "base": EIGHT} | POINTS, None, {}, 800),
        ({"type": "hybrid", "base": TEN}, None, {}, None),
    ],
)
def test_a_pool_is_that_of_the_table(rule: Any, amount: int | None, more: Any, pool: int | None) -> None:
    assert reference.refusal(rule, 2) is None
    assert reference.pool(rule, amount, 2, **more) == pool


@pytest.mark.parametrize(("amount", "at", "pool"), [(99, 0, 10), (100, 0, 11), (100, FEBRUARY, 10), (100, -1, 10)])
def test_a_bonus_applies_from_its_amount_and_in_its_time(amount: int, at: int, pool: int) -> None:
    times = {"from": "1970-01-01T00:00:00Z", "until": "2026-02-01T08:00:00+08:00"}
    bonus = {"type": "fixed", "value": "0.01", "min_amount": "1", **times}
    rule = {"type": "hybrid", "base": TEN, "bonus": [bonus]}
    assert reference.pool(rule, amount, 2, at=at) == pool


@pytest.mark.parametrize(
    ("rule", "amount", "tier", "parts"),
    [
        (TEN | POINTS, 100_00, "gold", (1_000, 100)),
        # 12.00 cut to 6.00: 6 x 10/12 and 6 x 2/12
        (TEN | POINTS | {"max_per_order": "6"}, 100_00, "diamond", (500, 100)),
        # 50 % of 101 is 50.5 -> 50, 2 % 2.02 -> 2; cut to 50: 48.08 and 1.92, the unit left to .92
        (TEN | POINTS | {"value": "50"}, 101, "diamond", (48, 2)),
        # 0.5 % of 1.00 is half a 分: to even
        (TEN | POINTS, 100, "silver", (10, 0)),
        (TEN | POINTS, 300, "silver", (30, 2)),
    ],
)
def test_a_cap_shrinks_main_and_tier_part_in_proportion(rule: Any, amount: int, tier: str, parts: Any) -> None:
    assert reference.parts(rule, Situation(amount, 2, tier=tier)) == parts


@pytest.mark.parametrize(
    ("rule", "present", "expected"),
    [
        # 10.00 main: 5.00, 3.00, platform 2.00; the gold point 1.00 is level 1's
        (CARD | POINTS, [True, True], (1_100, [600, 300], 200)),
        (CARD | POINTS | season("2"), [True, True], (2_100, [1_100, 600], 400)),
        (CARD | POINTS, [True, False], (1_100, [600, 0], 500)),
        # a missing level 1 takes its bonus with it
        (CARD | POINTS, [False, True], (1_100, [0, 300], 800)),
        (CARD | POINTS | {"missing_level": "redistribute"}, [False, True], (1_100, [0, 900], 200)),
        (CARD | POINTS | {"missing_level": "redistribute"}, [False, False], (1_100, [0, 0], 1_100)),
    ],
)
def test_the_tier_part_is_of_level_1(rule: Any, present: list[bool], expected: Any) -> None:
    assert reference.split(rule, 100_00, present, 2, tier="gold") == expected


def test_units_of_missing_levels_go_by_weight_and_never_to_a_level_without() -> None:
    levels = [{"level": 1, "share": "0"}, {"level": 2, "share": "40"}, {"level": 3, "share": "20"}]
    rule = {"type": "fixed", "value": "1", "levels": levels, "missing_level": "redistribute"}
    # 100: 0, 40, 20, platform 40; level 2 missing: its 40 go to level 3 alone
    assert reference.split(rule, 1_000, [True, False, True], 2) == (100, [0, 0, 60], 40)
    # only level 1 is there, without a weight: nobody inherits
    assert reference.split(rule, 1_000, [True, False, False], 2) == (100, [0, 0, 0], 100)


OVERRIDES = [
    {"kind": "kol", "value": "20"},
    {"promoter": "ann", "value": "5", "levels": [{"level": 1, "value": "2.5"}, {"level": 2, "value": "1"}]},
]


@pytest.mark.parametrize(
    ("promoter", "kind", "expected"),
    [
        ("bob", "member", (1_000, [500, 300], 200)),
        ("bob", "kol", (2_000, [500, 300], 1_200)),  # levels stay as written: 5 and 3 points of 20
        ("ann", "kol", (500, [250, 100], 150)),  # the promoter beats the kind
    ],
)
def test_the_most_specific_override_wins(promoter: str, kind: str, expected: Any) -> None:
    rule = reference.overridden(CARD | {"overrides": OVERRIDES}, promoter, kind)
    assert reference.split(rule, 100_00, [True, True], 2) == expected


def test_an_override_of_a_hybrid_is_of_its_base() -> None:
    rule = HYBRID | {"overrides": [{"kind": "kol", "value": "20"}]}
    assert reference.pool(reference.overridden(rule, "x", "kol"), 100_00, 2) == 2_000 + 1_000 + 1


def test_an_override_of_tiers_is_the_promoters_own_rate() -> None:
    for rule, expected in ((SLAB, 2_000), ({"type": "hybrid", "base": SLAB, "bonus": [TEN]}, 3_000)):
        ruled = rule | {"overrides": [{"promoter": "ann", "value": "20"}]}
        assert reference.pool(reference.overridden(ruled, "ann", ""), 100_00, 2, total=10**9) == expected


def credited(weight: int, rule: Any, chain: str, amount: int = 100_00, **more: Any) -> Credited:
    """A chain as letters, upper case where the level counts."""
    return Credited(weight, rule, Situation(amount, 2, **more), tuple((c.upper(), c.isupper()) for c in chain))


def test_several_promoters_share_the_pool_each_through_his_own_chain() -> None:
    half = 5 * 10**8
    override = reference.overridden(CARD | {"overrides": OVERRIDES}, "ann", "")
    # pools 10.00 and 5.00, halves of them 5.00 + 2.50 = 7.50; A: 2.50, 1.50, 1.00; B: 1.25, 0.50 (no parent), 0.75
    shares, platform = reference.price([credited(half, CARD, "AP"), credited(half, override, "B")])
    assert shares == {("A", 1, "A"): 250, ("P", 2, "A"): 150, ("B", 1, "B"): 125}
    assert platform == 100 + 125


def test_a_share_of_nothing_is_no_share() -> None:
    # 10 % of 0.05 is half a 分, to even: nothing
    assert reference.price([credited(reference.WHOLE, CARD, "AP", 5)]) == ({}, 0)


def test_units_over_go_to_the_earlier_touch() -> None:
    half = 5 * 10**8
    # 10 % of 10.10 is 101, the halves 50.5 each
    shares, _ = reference.price([credited(half, TEN, "B", 10_10), credited(half, TEN, "A", 10_10)])
    assert shares == {("B", 1, "B"): 51, ("A", 1, "A"): 50}


def test_a_part_of_several_is_cut_into_main_and_tier_part_in_proportion() -> None:
    rule = CARD | POINTS
    # A alone: 1000 + 100; half of it 550: main 500 (250, 150, 100), tier part 50. B: bronze, 500: 250, 150, 100
    two = [credited(5 * 10**8, rule, "Ap", tier="gold"), credited(5 * 10**8, rule, "BP")]
    shares, platform = reference.price(two)
    assert shares == {("A", 1, "A"): 300, ("B", 1, "B"): 250, ("P", 2, "B"): 150}
    assert platform == 250 + 100


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (SLAB | {"tiers": [TIERS[1], TIERS[0]]}, "tiers_out_of_order"),
        (SLAB | {"tiers": [TIERS[0], TIERS[0]]}, "tiers_out_of_order"),
        (SLAB | {"tiers": [TIERS[1]]}, "tiers_out_of_order"),
        (SLAB | {"tiers": [{"from": "0", "value": "50.1"}]}, "above_ceiling"),
        (SLAB | {"tiers": []}, "bad_rule"),
        (SLAB | {"mode": "slabs"}, "bad_rule"),
        (SLAB | {"levels": LEVELS}, "bad_level"),  # values are for percentage and fixed
        (HYBRID | {"levels": LEVELS}, "bad_level"),
        (HYBRID | {"base": HYBRID}, "bad_rule"),
        (HYBRID | {"base": {"type": "percentage", "value": "51"}}, "above_ceiling"),
        (HYBRID | {"bonus": [{"type": "fixed", "value": "-1"}]}, "negative_value"),
        (HYBRID | {"bonus": [{"type": "tiered", "value": "1"}]}, "unknown_type"),
        (HYBRID | {"levels": [{"level": 1, "share": "60"}, {"level": 2, "share": "41"}]}, "levels_above_pool"),
        (CARD | {"overrides": [{"kind": "kol", "value": "7"}]}, "levels_above_pool"),  # 5 + 3 of 7
        (TEN | {"overrides": [{"kind": "kol", "value": "51"}]}, "above_ceiling"),
        (TEN | {"overrides": [{"value": "5"}]}, "bad_override"),
        (SLAB | {"overrides": [{"kind": "kol", "value": "5"}]}, None),
        (SLAB | {"overrides": [{"kind": "kol", "value": "51"}]}, "above_ceiling"),
        (TEN | season("-1"), "negative_value"),
        (TEN | season("1", until="tomorrow"), "bad_value"),
        (TEN | {"promoter_tier_bonus": {"iron": "1"}}, "unknown_key"),
        (TEN | {"daily_budget": "0.001"}, "too_many_decimals"),
        (TEN | {"levels": [{"level": 4, "share": "1"}]}, "too_many_levels"),
        (TEN | {"levels": [{"level": 2, "share": "1"}] * 2}, "duplicate_level"),
        ({"type": "fixed", "value": "1", "levels": [{"level": 1, "value": "1.01"}]}, "levels_above_pool"),
        (CARD | {"tiers": TIERS}, "unknown_key"),
        (HYBRID | {"levels": [{"level": 1, "share": "60"}], "overrides": [{"kind": "kol", "value": "5"}]}, None),
        ([], "bad_rule"),
        ({}, "bad_rule"),
        ({"type": "lottery", "value": "1"}, "unknown_type"),
        (TEN | {"value": 10}, "bad_value"),
        (TEN | {"value": "1e1"}, "bad_value"),
        (TEN | {"value": "0.00001"}, "too_many_decimals"),
        (TEN | {"value": "50"}, None),
        (TEN | {"value": "50.0001"}, "above_ceiling"),
        (TEN | {"missing_level": "keep"}, "bad_rule"),
        (TEN | {"season": []}, "bad_rule"),
        (TEN | {"season": {"multiplier": "1", "name": "spring"}}, "bad_rule"),
        ({"type": "fixed", "value": "9999999999999.99"}, None),
        ({"type": "fixed", "value": "99999999999999.99"}, "bad_value"),
        ({"type": "fixed", "value": "80"}, None),  # a fixed base is cut by the ceiling, not refused
        ({"type": "fixed", "value": "0.001"}, "too_many_decimals"),
        ({"type": "fixed", "value": "1", "levels": [{"level": 1, "value": "0.001"}]}, "too_many_decimals"),
        (TEN | {"levels": [{"level": 1, "value": "0.001"}]}, None),
        (TEN | {"levels": [{"level": 1, "value": "6"}, {"level": 2, "share": "40"}]}, None),  # 6 + 4
        (TEN | {"levels": [{"level": 1, "value": "6"}, {"level": 2, "share": "40.0001"}]}, "levels_above_pool"),
        (TEN | {"levels": []}, "bad_level"),
        (TEN | {"levels": {"level": 1, "value": "1"}}, "bad_level"),
        (TEN | {"levels": [{"level": 1}]}, "bad_level"),
        (TEN | {"levels": [{"level": 1, "value": "1", "share": "1"}]}, "bad_level"),
        (TEN | {"levels": [{"level": 0, "value": "1"}]}, "bad_level"),
        (TEN | {"levels": [{"level": True, "value": "1"}]}, "bad_level"),
        (TEN | {"levels": [{"level": n, "value": "1"} for n in (1, 2, 3)]}, None),
        (SLAB | {"tiers": TIERS[0]}, "bad_rule"),
        (SLAB | {"tiers": [TIERS[0] | {"until": "5"}]}, "bad_rule"),
        (SLAB | {"tiers": [{"from": "0", "value": "-5"}]}, "negative_value"),
        ({"type": "hybrid", "bonus": []}, "bad_rule"),
        ({"type": "hybrid", "base": TEN, "bonus": [{"type": "fixed", "value": "0.001"}]}, "too_many_decimals"),
        ({"type": "hybrid", "base": TEN, "bonus": [{"type": "percentage", "value": "0.001"}]}, None),
        (TEN | {"overrides": [{"kind": "kol", "value": "5"}] * 2}, "bad_override"),
        (TEN | {"overrides": [{"kind": "kol"}]}, "bad_override"),
        (TEN | {"overrides": [{"kind": "kol", "promoter": "ann", "value": "5"}]}, "bad_override"),
    ],
)
def test_a_bad_rule_is_refused_by_the_oracle(rule: Any, code: str | None) -> None:
    assert list(reference.refusals(rule, 2))[:1] == ([code] if code else [])


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (TEN, None),
        (TEN | {"value": "10.0001"}, "above_ceiling"),
        (SLAB | {"tiers": [TIERS[0], {"from": "9999", "value": "10.0001"}]}, "above_ceiling"),
        (TEN | {"overrides": [{"kind": "kol", "value": "10.0001"}]}, "above_ceiling"),
        ({"type": "fixed", "value": "80"}, None),
    ],
)
def test_a_lower_ceiling_refuses_lower_rates(rule: Any, code: str | None) -> None:
    assert reference.refusal(rule, 2, Fraction(1, 10)) == code


# --- periods -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hold_end", "settlement", "zone", "due"),
    [
        ("2026-01-01T12:00:00Z", "T+0", "Asia/Shanghai", "2026-01-01T12:00:00Z"),
        ("2026-01-01T12:00:00Z", "T+1", "Asia/Shanghai", "2026-01-01T16:00:00Z"),
        ("2026-01-01T15:59:59.999Z", "T+1", "Asia/Shanghai", "2026-01-01T16:00:00Z"),
        ("2026-01-01T16:00:00Z", "T+1", "Asia/Shanghai", "2026-01-02T16:00:00Z"),  # strictly after
        ("2026-01-01T12:00:00Z", "T+3", "Asia/Shanghai", "2026-01-03T16:00:00Z"),
        # 2026-01-05 is a Monday
        ("2026-01-01T12:00:00Z", "weekly", "UTC", "2026-01-05T00:00:00Z"),
        ("2026-01-05T00:00:00Z", "weekly", "UTC", "2026-01-12T00:00:00Z"),
        ("2026-01-04T17:00:00Z", "weekly", "Asia/Shanghai", "2026-01-11T16:00:00Z"),
        ("2026-01-31T16:00:00Z", "monthly", "Asia/Shanghai", "2026-02-28T16:00:00Z"),
        ("2026-12-31T23:00:00Z", "monthly", "UTC", "2027-01-01T00:00:00Z"),
        # New York goes to summer time on 2026-03-08 (UTC-5 to UTC-4), back on 2026-11-01
        ("2026-03-08T04:00:00Z", "T+1", "America/New_York", "2026-03-08T05:00:00Z"),
        ("2026-03-08T04:00:00Z", "T+2", "America/New_York", "2026-03-09T04:00:00Z"),
        ("2026-10-31T12:00:00Z", "T+2", "America/New_York", "2026-11-02T05:00:00Z"),
        ("2026-03-07T12:00:00Z", "monthly", "America/New_York", "2026-04-01T04:00:00Z"),
        # in São Paulo the clock went from 2018-11-03 23:59:59 to 2018-11-04 01:00: the day began there
        ("2018-11-03T12:00:00Z", "T+1", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
        ("2018-11-04T03:00:00Z", "T+1", "America/Sao_Paulo", "2018-11-05T02:00:00Z"),
        # Kathmandu is at UTC+5:45
        ("2026-01-01T12:00:00Z", "T+1", "Asia/Kathmandu", "2026-01-01T18:15:00Z"),
    ],
)
def test_a_hold_ends_at_the_first_local_period_end_after_it(
    hold_end: str, settlement: str, zone: str, due: str
) -> None:
    assert reference.due(reference.parse(hold_end), settlement, zone) == reference.parse(due)


# --- tax -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("income", "tax"),
    # up to 800 nothing; (x - 800) x 20 %; x 80 % at 20 %, 30 % less 2,000, 40 % less 7,000
    [(800_00, 0), (800_01, 0), (800_03, 1), (2_000_00, 240_00), (4_000_00, 640_00), (4_000_01, 640_00)]
    + [(8_000_00, 1_280_00), (25_000_00, 4_000_00), (30_000_00, 5_200_00), (60_000_00, 12_400_00)]
    + [(62_500_00, 13_000_00), (100_000_00, 25_000_00)],
)
def test_a_months_labour_tax_is_that_of_the_table(income: int, tax: int) -> None:
    assert reference.withheld("cn_labour", income, (2026, 1), {}, {}) == tax


def test_published_labour_tax_comes_out(shared_data: Path) -> None:
    for vector in json.loads((shared_data / "money/tax_vectors.json").read_text())["published"]:
        assert reference.withheld("cn_labour", vector["income"] * 100, (2026, 1), {}, {}) == vector["tax"] * 100


def test_a_month_of_several_payouts_withholds_what_the_month_owes() -> None:
    paid, taxed, withheld = {(2026, 1): 0}, {(2026, 1): 0}, []
    for amount in (500_00, 500_00, 3_000_00, 100_00):
        withheld.append(reference.withheld("cn_labour", amount, (2026, 1), paid, taxed))
        paid[2026, 1] += amount
        taxed[2026, 1] += withheld[-1]
    # of 500, 1,000, 4,000, 4,100: 0, 40, 640, 656
    assert withheld == [0, 40_00, 600_00, 16_00]


def cumulative(incomes: dict[tuple[int, int], int], gap: str = "restart") -> list[int]:
    paid: dict[tuple[int, int], int] = {}
    taxed: dict[tuple[int, int], int] = {}
    for month, income in incomes.items():
        taxed_now = reference.withheld("cn_platform", income, month, paid, taxed, gap=gap)
        paid[month], taxed[month] = income, taxed_now
    return list(taxed.values())


@pytest.mark.parametrize(
    ("incomes", "gap", "taxes"),
    [
        # money.md: 5,760 - 5,000 at 3 %; 10,560 - 10,000 is 16.80, less than withheld; 16,960 - 15,000 is 58.80
        ({1: 7_200_00, 2: 6_000_00, 3: 8_000_00}, "restart", [22_80, 0, 36_00]),
        # a gap starts anew: March alone 6,400 - 5,000 at 3 % = 42.00
        ({1: 7_200_00, 3: 8_000_00}, "restart", [22_80, 42_00]),
        # or counts: 15,200 x 80 % - 15,000 is below zero
        ({1: 7_200_00, 3: 8_000_00}, "continue", [22_80, 0]),
        # ... and the first month of the year with income is the first that counts: 12,000 x 80 % - 5,000 at 3 %
        ({7: 12_000_00}, "continue", [138_00]),
        # 100,000 x 80 % - 5,000 = 75,000 at 10 % less 2,520
        ({1: 100_000_00}, "restart", [4_980_00]),
    ],
)
def test_the_cumulative_method_runs_over_months_with_income(incomes: Any, gap: str, taxes: list[int]) -> None:
    assert cumulative({(2026, month): income for month, income in incomes.items()}, gap) == taxes


def test_a_year_starts_a_run_anew() -> None:
    # both alone: 22.80 each
    assert cumulative({(2025, 12): 7_200_00, (2026, 1): 7_200_00}) == [22_80, 22_80]
    assert cumulative({(2025, 2): 7_200_00, (2026, 3): 7_200_00}) == [22_80, 22_80]
    assert cumulative({(2025, 2): 7_200_00, (2026, 3): 7_200_00}, "continue") == [22_80, 22_80]


@pytest.mark.parametrize(
    ("base", "rate", "less"),
    [(36_000, 3, 0), (144_000, 10, 2_520), (300_000, 20, 16_920), (420_000, 25, 31_920), (660_000, 30, 52_920)]
    + [(960_000, 35, 85_920), (960_001, 45, 181_920)],
)
def test_the_annual_table_has_its_rows(base: int, rate: int, less: int) -> None:
    income = (base + 5_000) * 100 * 5 // 4  # x 80 % - 5,000 is the base
    assert reference.platform_tax(income, 1) == base * rate - less * 100


def test_a_flat_tax_is_rounded_half_up_and_nothing_is_nothing() -> None:
    assert reference.withheld("flat", 25, (2026, 1), {}, {}, "10") == 3  # 2.5
    assert reference.withheld("flat", 24, (2026, 1), {}, {}, "10") == 2
    assert reference.withheld("none", 25, (2026, 1), {}, {}) == 0


def test_withholding_is_never_below_zero() -> None:
    # 600 is owed nothing, though a payout that failed since left 80.00 withheld
    assert reference.withheld("cn_labour", 100_00, (2026, 1), {(2026, 1): 500_00}, {(2026, 1): 80_00}) == 0
    assert reference.run([(2026, 2), (2026, 3)], (2026, 4), "restart") == [(2026, 2), (2026, 3), (2026, 4)]
    assert reference.local_date(reference.parse("2026-01-01T16:00:00Z"), "Asia/Shanghai") == date(2026, 1, 2)

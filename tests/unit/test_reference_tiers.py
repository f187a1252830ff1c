"""The oracle's books against scenarios computed by hand: tiered rules, promoter tiers."""

from reference_kit import KEY, START, TEN, TIERED, balances, books, only, order

import reference
from reference import DAY


def test_a_tiered_rule_counts_the_orders_booked_before_in_the_local_month() -> None:
    its = books(TIERED, merchant={"timezone": "Asia/Shanghai"})
    midnight = reference.parse("2026-01-31T16:00:00Z")
    order(its, "o1", midnight - 1, 100_00)
    order(its, "o2", midnight - 2, 50_00)  # earlier in time, later in the books
    order(its, "o3", midnight, 50_00)  # February
    assert [only(its, oid).pool for oid in ("o1", "o2", "o3")] == [500, 500, 250]


def test_what_has_no_amount_or_is_elsewhere_is_in_no_total() -> None:
    its = books(TIERED)
    its.merchant("kiosk")
    its.product("gum", merchant="kiosk", commission=TEN)
    its.product("coffee", merchant="shop", commission=TEN | {"daily_budget": "1"})
    order(its, "usd", amount=200_00, currency="USD")
    order(its, "lead", amount=None)
    order(its, "kiosk", pid="gum")
    order(its, "held", pid="coffee")
    order(its, "other", aff="P")
    order(its)
    assert only(its).pool == 500


def test_the_second_look_is_at_what_was_booked_before() -> None:
    its = books(TIERED)
    order(its, "o1", amount=50_00)
    order(its, "o2", amount=50_00)
    order(its, "o3", amount=10_00)  # at 10 %
    order(its, "o4", amount=90_00)
    its.reject(KEY, received=START)
    its.settle(START)
    assert [only(its, f"o{n}").pool for n in range(1, 5)] == [0, 250, 50, 450]  # before o4: 60.00
    its = books(TIERED)
    for n, amount in enumerate((99_00, 1_00, 50_00), start=1):
        order(its, f"o{n}", amount=amount)
    its.reject(("shop", "o3", "tea"), received=START)
    its.settle(START)
    assert [only(its, f"o{n}").pool for n in (1, 2, 3)] == [495, 5, 0]


def test_a_tiered_rule_looks_again_at_release() -> None:
    its = books(TIERED | {"levels": [{"level": 1, "share": "50"}, {"level": 2, "share": "30"}]})
    order(its, "o1", START, 100_00)
    order(its, "o2", START + 1, 100_00)
    assert only(its, "o2").pool == 1_000
    its.refund(KEY, received=START, amount=1, refund_id="r")  # 99.99 before o2: the lower rate
    its.refund(("shop", "o2", "tea"), received=START, amount=50_00, refund_id="r")
    its.settle(START + 1)
    # o2 anew: 5.00, of which half is refunded: 2.50, 1.50, platform 1.00, halved
    assert only(its, "o2").shares == [("A", 1, "A", 125), ("P", 2, "A", 75)]
    assert only(its, "o2").platform == 50
    # o1: 5.00 x 99.99 %: 249.975, 149.985, 99.99
    assert [line.standing for line in only(its, "o1").lines] == [249, 149, 99]
    assert balances(its)["A:available"] == 125 + 249
    assert balances(its)["merchant:shop:payable"] == -(250 + 497)
    its.refund(("shop", "o2", "tea"), received=START, amount=25_00, refund_id="s")
    assert [line.standing for line in only(its, "o2").lines] == [62, 37, 25]


def test_a_hybrid_on_a_tiered_base_looks_again_too() -> None:
    its = books({"type": "hybrid", "base": TIERED, "bonus": [TEN]})
    order(its, "o1", START, 100_00)
    order(its, "o2", START + 1, 100_00)
    its.reject(KEY, received=START)
    its.settle(START + 1)
    assert only(its, "o2").shares == [("A", 1, "A", 1_500)]  # 5 + 10 instead of 10 + 10


def test_the_promoter_tier_of_a_day_is_fixed_by_its_first_order() -> None:
    its = books(TEN | {"promoter_tier_bonus": {"silver": "1"}})
    order(its, "o1", START, 999_99)
    order(its, "o2", START + DAY, 1)
    assert only(its, "o2").tiers == {"A": "bronze"}  # 999.99
    order(its, "o3", START, 1)  # comes late
    order(its, "o4", START + DAY, 100_00)
    assert only(its, "o4").tiers == {"A": "bronze"}  # kept for that day
    order(its, "o5", START + 2 * DAY, 100_00)
    assert (only(its, "o5").tiers, only(its, "o5").pool) == ({"A": "silver"}, 1_100)  # 1,100.01
    order(its, "o6", START + 365 * DAY, 1)
    order(its, "o8", START + 365 * DAY, 1)
    order(its, "o7", START + 366 * DAY, 1)  # o1 is out of its 365 days
    assert [only(its, oid).tiers["A"] for oid in ("o6", "o7")] == ["silver", "bronze"]


def test_a_tier_is_of_all_merchants_in_one_currency_before_the_day() -> None:
    its = books(TEN)
    its.merchant("kiosk")
    its.product("gum", merchant="kiosk", commission=TEN | {"daily_budget": "1"})
    order(its, "o1", START, 999_98)
    order(its, "o2", START, 1, pid="gum")
    order(its, "dollars", START, 1, currency="USD")
    order(its, "held", START, 100_00, pid="gum")
    order(its, "of P", START, 1, aff="P")
    order(its, "o3", START + DAY, 1)
    its.tiers_kept.clear()  # asked anew, of its own day o3 counts nothing
    order(its, "o4", START + DAY, 1)
    assert only(its, "o4").tiers == {"A": "bronze"}  # 999.99
    order(its, "o5", START, 1)
    its.tiers_kept.clear()
    order(its, "o6", START + DAY, 1)
    assert only(its, "o6").tiers == {"A": "silver"}  # 1,000.00


def test_other_currencies_are_bronze_unless_they_have_tiers() -> None:
    for tiers, tier in ((None, "bronze"), ({"USD": {"bronze": 0, "gold": 1}}, "gold")):
        its = books(TEN, merchant={"currency": "USD"}, tiers=tiers)
        order(its, "o1", START, 100_000_00)
        order(its, "o2", START + DAY)
        assert only(its, "o2").tiers == {"A": tier}

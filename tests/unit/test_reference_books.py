"""The oracle's books against scenarios computed by hand: orders, claims, who is credited, tiers."""

from datetime import date
from typing import Any

import pytest
from reference_kit import CARD, KEY, START, TEN, TIERED, balances, books, claim, click, only, order

import reference
from reference import DAY, HOUR

# --- orders --------------------------------------------------------------------------------------


def test_an_order_accrues_is_released_and_a_refund_takes_its_part_back() -> None:
    its = books()
    assert order(its) == ""
    assert only(its).shares == [("A", 1, "A", 500), ("P", 2, "A", 300)]
    assert balances(its) == {
        "merchant:shop:payable": -1_000,
        "A:pending": 500,
        "P:pending": 300,
        "platform:revenue": 200,
    }
    its.settle(START)
    # a third back: floor(500 x 2/3) = 333, floor(300 x 2/3) = 200, floor(200 x 2/3) = 133
    assert its.order("r", received=START, pid="tea", oid="o1", status="refunded", amount=33_34, refund_id="r1") == ""
    # (100.00 - 33.34) / 100.00 = 0.6666: 333.3, 199.98, 133.32
    assert balances(its) == {
        "merchant:shop:payable": -665,
        "A:available": 333,
        "P:available": 199,
        "platform:revenue": 133,
    }
    assert (only(its).status, only(its).refunded) == ("approved", 33_34)
    assert its.order("r", received=START, pid="tea", oid="o1", status="refunded") == ""
    assert balances(its) == {}
    assert (only(its).status, only(its).refunded, only(its).shares) == ("refunded", 100_00, [])


def test_what_was_paid_out_becomes_owed_and_is_taken_from_what_comes() -> None:
    its = books(minimums={"CNY": 1})
    order(its)
    its.settle(START)
    today = date(2026, 1, 10)
    assert its.payout("x", promoter="A", amount=400, today=today) == ""
    its.reject(KEY, received=START)
    assert balances(its)["A:owed"] == -400
    assert balances(its)["A:reserved"] == 400
    assert its.payout("y", promoter="A", amount=1, today=today) == "payout_open"
    its.paid("x")
    assert its.payout("y", promoter="A", amount=1, today=today) == "owed"
    order(its, "o2", amount=60_00)
    its.settle(START)  # 3.00 of it to owed
    assert balances(its)["A:owed"] == -100
    assert "A:available" not in balances(its)
    its.failed("x")  # a bounce of 4.00: 1.00 to owed
    assert balances(its)["A:available"] == 300
    assert "A:owed" not in balances(its)
    assert its.write_off("w", promoter="A", currency="CNY", amount=1) == "above_owed"


@pytest.mark.parametrize(
    ("first", "then", "status", "code"),
    [
        ("pending", "pending", "pending", ""),
        ("pending", "approved", "approved", ""),
        ("pending", "rejected", "rejected", ""),
        ("pending", "refunded", "pending", "illegal_move"),
        ("approved", "pending", "approved", "illegal_move"),
        ("approved", "rejected", "rejected", ""),
        ("approved", "refunded", "refunded", ""),
        ("rejected", "approved", "rejected", "final_status"),
        ("rejected", "rejected", "rejected", ""),
        ("rejected", "refunded", "rejected", "final_status"),
    ],
)
def test_statuses_move_as_section_2_says(first: str, then: str, status: str, code: str) -> None:
    its = books()
    assert order(its, status=first) == ""
    assert order(its, status=then, amount=None) == code
    assert only(its).status == status
    assert bool(balances(its)) == (status in ("pending", "approved"))


def test_a_pending_order_may_change_its_amount_and_a_later_one_not() -> None:
    its = books()
    order(its, status="pending")
    assert order(its, status="pending", amount=200_00) == ""
    assert only(its).shares == [("A", 1, "A", 1_000), ("P", 2, "A", 600)]
    assert order(its, status="approved", amount=300_00) == ""
    assert (only(its).status, only(its).amount, only(its).pool) == ("approved", 300_00, 3_000)
    assert order(its, status="rejected", amount=200_00) == "amount_conflict"
    assert (only(its).status, balances(its)["merchant:shop:payable"]) == ("approved", -3_000)


def test_an_older_status_changes_nothing() -> None:
    its = books()
    order(its, status="approved", stamp=5)
    assert order(its, status="rejected", stamp=4) == "older_status"
    assert order(its, status="refunded", amount=10, refund_id="r", stamp=1) == ""  # a part is no status
    assert order(its, status="rejected", stamp=5) == ""


@pytest.mark.parametrize(
    ("amount", "refunds", "refunded", "status", "code"),
    [
        (100, [(40, "a"), (40, "a")], 40, "approved", ""),
        (100, [(40, "a"), (60, "b")], 100, "refunded", ""),
        (100, [(40, "a"), (70, "b")], 100, "refunded", "over_refund"),
        (100, [(40, "")], 0, "approved", "missing_refund_id"),
        (100, [(100, "")], 100, "refunded", ""),
        (100, [(None, ""), (None, "")], 100, "refunded", ""),
        (100, [(None, ""), (1, "b")], 100, "refunded", "over_refund"),
        (0, [(1, "a")], 0, "approved", "over_refund"),
        (0, [(None, "")], 0, "refunded", ""),
    ],
)
def test_refunds_add_up_to_the_amount_at_most(
    amount: int, refunds: list[tuple[int | None, str]], refunded: int, status: str, code: str
) -> None:
    its = books()
    order(its, amount=amount)
    codes = [its.refund(KEY, received=START, amount=part, refund_id=id) for part, id in refunds]
    assert (only(its).refunded, only(its).status, codes[-1]) == (refunded, status, code)


@pytest.mark.parametrize(("late", "status"), [(7 * DAY, "refunded"), (7 * DAY + 1, "approved")])
def test_a_refund_waits_seven_days_for_its_order(late: int, status: str) -> None:
    its = books()
    assert order(its, status="refunded", amount=None) == "waiting"
    order(its, received=START + late)
    assert only(its).status == status
    assert len(its.dead_letters(START + late)) == (status == "approved")


@pytest.mark.parametrize(
    ("rule", "amount", "aff", "reason"),
    [
        (TEN, 100, "", "no_touch"),
        (TEN, 100, "nobody", "no_touch"),
        (TEN, None, "A", "amount_missing"),
        (TEN | {"min_amount": "2"}, 100, "A", "below_min_amount"),
        (TEN, 100, "A", ""),
    ],
)
def test_an_order_that_pays_nothing_says_why(rule: Any, amount: int | None, aff: str, reason: str) -> None:
    its = books(rule)
    order(its, amount=amount, aff=aff)
    assert (only(its).status, only(its).reason, bool(its.transfers)) == ("approved", reason, reason == "")


def test_a_lead_takes_a_fixed_rule_uncut() -> None:
    its = books({"type": "fixed", "value": "8", "max_per_order": "1"})
    order(its, amount=None)
    assert only(its).shares == [("A", 1, "A", 800)]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"pid": "coffee"}, "unknown_product"),
        ({"merchant": "other"}, "unknown_merchant"),
        ({"status": "lost"}, "unknown_status"),
        ({"oid": ""}, "missing_order_id"),
        ({"pid": ""}, "unknown_product"),
    ],
)
def test_what_makes_no_order_is_set_aside(said: Any, code: str) -> None:
    its = books()
    assert order(its, **said) == code
    assert its.orders == {}


# --- claims and holds ----------------------------------------------------------------------------


def test_a_claim_is_held_and_lends_the_merchants_order_its_visitor() -> None:
    its = books()
    click(its, 1, START - 1)
    assert claim(its, "v") == ""
    assert (only(its).status, only(its).reason, its.transfers) == ("pending", "pixel", [])
    order(its, aff="")
    assert (only(its).status, only(its).reason, only(its).amount) == ("approved", "", 100_00)
    assert only(its).credits == {"A": reference.WHOLE}


def test_claims_by_different_visitors_lend_nothing_and_hold_the_order() -> None:
    its = books()
    click(its, 1, START - 1)
    claim(its, "v")
    claim(its, "w")
    assert order(its, aff="") == ""
    assert (only(its).status, only(its).reason) == ("pending", "claim_conflict")
    its.approve(KEY, received=START)
    assert (only(its).status, only(its).reason) == ("approved", "no_touch")


def test_an_order_with_a_visitor_of_its_own_asks_no_claim() -> None:
    its = books()
    click(its, 1, START - 1)
    claim(its, "w")
    claim(its, "u")
    order(its, aff="", click="c1")
    assert (only(its).status, only(its).credits) == ("approved", {"A": reference.WHOLE})


def test_a_claim_is_worth_what_the_product_says() -> None:
    its = books(product={"pixel_conversions": "reject"})
    assert claim(its, "v") == "pixel_rejected"
    its = books(product={"pixel_conversions": "accept"})
    click(its, 1, START - 1)
    claim(its, "v", aff="P")
    assert (only(its).status, only(its).credits, only(its).pool) == ("approved", {"A": reference.WHOLE}, 900)
    assert order(its, amount=100_00) == "amount_conflict"


def test_a_claim_alone_can_be_approved() -> None:
    its = books()
    click(its, 1, START - 1)
    claim(its, "v")
    assert its.approve(KEY, received=START) == ""
    assert (only(its).status, only(its).reason, only(its).pool) == ("approved", "", 900)


def test_a_flagged_order_accrues_but_is_not_released_before_its_approval() -> None:
    its = books()
    order(its, flagged=True)
    assert (only(its).status, only(its).reason, only(its).pool) == ("pending", "fraud", 1_000)
    assert order(its) == ""
    assert only(its).status == "pending"
    its.settle(START + DAY)
    assert balances(its)["A:pending"] == 500
    its.approve(KEY, received=START + 2 * DAY)
    its.settle(START + 2 * DAY)
    assert balances(its)["A:available"] == 500


def test_a_day_over_its_budget_holds_the_order_whole() -> None:
    its = books(TEN | {"daily_budget": "15"}, merchant={"timezone": "Asia/Shanghai"})
    evening = reference.parse("2026-01-10T15:59:59Z")  # 23:59:59 there
    for oid, at, amount in (("o1", evening - HOUR, 100_00), ("o2", evening, 60_00), ("o3", evening, 50_00)):
        order(its, oid, at, amount)
    assert [only(its, oid).reason for oid in ("o1", "o2", "o3")] == ["", "budget", ""]  # 10, 10 + 6, 10 + 5
    order(its, "o4", evening + 1_000, 150_00)  # the next day
    assert only(its, "o4").reason == ""
    its.refund(KEY, received=START, amount=60_00, refund_id="r")  # frees 6.00
    order(its, "o5", evening, 60_00)
    assert only(its, "o5").reason == ""
    its.approve(("shop", "o2", "tea"), received=evening)  # whatever the budget
    assert (only(its, "o2").status, only(its, "o2").reason, only(its, "o2").pool) == ("approved", "", 600)


# --- who -----------------------------------------------------------------------------------------


def test_levels_that_are_blocked_bought_it_or_are_the_same_person_are_missing() -> None:
    for change, shares in (
        ({"blocked": True}, [("A", 1, "A", 500)]),
        ({"customers": [("shop", "k")]}, [("A", 1, "A", 500)]),
        ({"customers": [("other", "k")]}, [("A", 1, "A", 500), ("P", 2, "A", 300)]),
        ({"person": "ann"}, [("A", 1, "A", 500)]),
    ):
        its = books()
        its.change_promoter("A", person="ann")
        its.change_promoter("P", **change)
        order(its, cust="k")
        assert (only(its).shares, only(its).pool) == (shares, 1_000)


def test_an_own_purchase_credits_nobody_unless_the_product_says_so_and_pays_its_buyer_never() -> None:
    its = books()
    its.change_promoter("A", customers=[("shop", "k")])
    order(its, cust="k")
    assert only(its).reason == "no_touch"
    its.change_product("tea", attribution={"self_purchase": True})
    order(its, "o2", cust="k")
    assert only(its, "o2").shares == [("P", 2, "A", 300)]
    its.signed_in("A", "v")
    order(its, "o3", visitor="v")
    assert only(its, "o3").shares == [("P", 2, "A", 300)]


def test_the_chain_and_the_rule_are_those_of_the_orders_instant() -> None:
    its = books()
    its.promoter("Q")
    its.set_parent("A", "Q", at=START)
    assert its.rule("tea", CARD | {"value": "20"}, effective_from=START - 1, now=START) == "effective_in_past"
    assert its.rule("tea", CARD | {"value": "20"}, effective_from=START, now=START) == ""
    order(its, "o1", START - 1)
    order(its, "o2", START)
    assert (only(its, "o1").shares[1:], only(its, "o1").pool) == ([("P", 2, "A", 300)], 1_000)
    assert (only(its, "o2").shares[1:], only(its, "o2").pool) == ([("Q", 2, "A", 300)], 2_000)
    assert [its.bind("A", "P", at=START), its.bind("Q", "A", at=START)] == ["already_bound", "loop"]


def test_an_order_older_than_the_first_version_is_paid_by_the_first() -> None:
    its = books(TEN, product={"now": START})
    its.rule("tea", CARD | {"value": "20"}, effective_from=START + DAY, now=START)
    order(its, at=START - DAY)
    assert only(its).pool == 1_000


def test_an_order_spends_the_path_and_a_rejected_one_nothing() -> None:
    its = books(product={"attribution": {"path_reset": True}})
    click(its, 1, START - 2)
    order(its, "o1", aff="", visitor="v")
    order(its, "o2", aff="", visitor="v")
    order(its, "o3", aff="", visitor="v", at=START - 1)  # the previous one is not before it
    assert [only(its, oid).reason for oid in ("o1", "o2", "o3")] == ["", "no_touch", ""]
    its.reject(KEY, received=START)
    its.reject(("shop", "o3", "tea"), received=START)
    order(its, "o4", aff="", visitor="v")
    assert only(its, "o4").reason == ""


# --- tiers ---------------------------------------------------------------------------------------


def test_a_tiered_rule_counts_the_orders_booked_before_in_the_local_month() -> None:
    its = books(TIERED, merchant={"timezone": "Asia/Shanghai"})
    midnight = reference.parse("2026-01-31T16:00:00Z")
    order(its, "o1", midnight - 1, 100_00)
    order(its, "o2", midnight - 2, 50_00)  # earlier in time, later in the books
    order(its, "o3", midnight, 50_00)  # February
    assert [only(its, oid).pool for oid in ("o1", "o2", "o3")] == [500, 500, 250]


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
    order(its, "o7", START + 366 * DAY, 1)  # o1 is out of its 365 days
    assert [only(its, oid).tiers["A"] for oid in ("o6", "o7")] == ["silver", "bronze"]


def test_other_currencies_are_bronze_unless_they_have_tiers() -> None:
    for tiers, tier in ((None, "bronze"), ({"USD": {"bronze": 0, "gold": 1}}, "gold")):
        its = books(TEN, merchant={"currency": "USD"}, tiers=tiers)
        order(its, "o1", START, 100_000_00)
        order(its, "o2", START + DAY)
        assert only(its, "o2").tiers == {"A": tier}

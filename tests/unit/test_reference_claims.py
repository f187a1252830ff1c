"""The oracle's books against scenarios computed by hand: claims and what is held."""

from reference_kit import KEY, START, TEN, balances, books, claim, click, only, order

import reference
from reference import DAY, HOUR


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
    for visitor in ("w", "u"):
        claim(its, visitor, oid="o2")
    order(its, "o2", aff="", visitor="v")
    assert only(its, "o2").credits == {"A": reference.WHOLE}


def test_the_merchants_word_takes_over_a_claim_but_once() -> None:
    its = books()
    claim(its, "v")
    claim(its, "w")
    order(its, aff="", stamp=5)
    assert only(its).reason == "claim_conflict"
    assert order(its, aff="", stamp=4) == "older_status"
    its = books()
    claim(its, "v")
    its.reject(KEY, received=START)
    assert order(its) == "final_status"


def test_an_accepted_claim_over_its_budget_is_held_for_that() -> None:
    its = books(TEN | {"daily_budget": "1"}, product={"pixel_conversions": "accept"})
    click(its, 1, START - 1)
    for visitor in ("v", "w", "u"):
        claim(its, visitor)
    assert (only(its).reason, only(its).credits) == ("budget", {"A": reference.WHOLE})


def test_a_decision_is_not_held_again() -> None:
    its = books(TEN | {"daily_budget": "15"})
    claim(its, "v")
    claim(its, "w")
    order(its, aff="", flagged=True)
    assert only(its).reason == "claim_conflict"
    its.approve(KEY, received=START)
    assert (only(its).status, only(its).reason) == ("approved", "no_touch")
    order(its, "o1b")
    order(its, "o2")
    assert only(its, "o2").reason == "budget"
    its.approve(("shop", "o2", "tea"), received=START)
    order(its, "o3", aff="", flagged=True)  # nothing to hold, though the day is over its budget
    assert (only(its, "o3").status, only(its, "o3").reason) == ("approved", "no_touch")


def test_an_aff_is_believed_in_the_merchants_own_word_alone() -> None:
    its = books(product={"pixel_conversions": "accept"})
    claim(its, "v", aff="A")
    assert only(its).reason == "no_touch"


def test_a_budget_is_of_its_product_currency_and_day() -> None:
    its = books(TEN | {"daily_budget": "15"})
    its.product("coffee", merchant="shop", commission=TEN)
    order(its, "o1", pid="coffee")
    order(its, "o2", currency="USD")
    order(its, "o3", START - 1)
    order(its, "o4")
    assert (only(its, "o4").reason, only(its, "o2").reason) == ("", "")


def test_a_claim_is_worth_what_the_product_says() -> None:
    its = books(product={"pixel_conversions": "reject"})
    assert claim(its, "v") == "pixel_rejected"
    its = books(product={"pixel_conversions": "accept"})
    click(its, 1, START - 1)
    claim(its, "v", aff="P")
    assert (only(its).status, only(its).credits, only(its).pool) == ("approved", {"A": reference.WHOLE}, 900)
    assert order(its, amount=100_00) == "amount_conflict"


def test_claims_that_differ_lend_nothing_to_their_own_approval() -> None:
    its = books()
    for id, visitor in ((1, "v"), (2, "w")):
        click(its, id, START - 1, visitor=visitor)
        claim(its, "" if id == 2 else visitor, click=f"c{id}" if id == 2 else "")  # a click names its visitor
    assert only(its).reason == "pixel"
    its.approve(KEY, received=START)
    assert only(its).reason == "no_touch"


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

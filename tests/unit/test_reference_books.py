"""The oracle's books against scenarios computed by hand: orders, who is credited."""

from datetime import date
from typing import Any

import pytest
from reference_kit import CARD, KEY, START, TEN, balances, books, claim, click, only, order

from reference import DAY

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


def test_a_repeated_approval_does_not_move_the_hold() -> None:
    its = books(product={"hold_days": 1})
    order(its)
    assert order(its, received=START + DAY) == ""
    assert its.approve(KEY, received=START + DAY) == ""
    assert only(its).approved_at == START


def test_a_pending_order_may_change_its_amount_and_a_later_one_not() -> None:
    its = books()
    order(its, status="pending")
    assert order(its, status="pending", amount=200_00) == ""
    assert only(its).shares == [("A", 1, "A", 1_000), ("P", 2, "A", 600)]
    assert order(its, status="approved", amount=300_00) == ""
    assert (only(its).status, only(its).amount, only(its).pool) == ("approved", 300_00, 3_000)
    assert order(its, status="approved", amount=200_00) == "amount_conflict"
    assert (only(its).status, balances(its)["merchant:shop:payable"]) == ("approved", -3_000)
    assert order(its, status="rejected", amount=200_00) == ""  # whatever its amount
    assert (only(its).status, balances(its)) == ("rejected", {})


def test_an_older_status_changes_nothing() -> None:
    its = books()
    order(its, status="approved", stamp=5)
    assert order(its, status="rejected", stamp=4) == "older_status"
    assert order(its, status="refunded", amount=10, refund_id="r", stamp=1) == ""  # a part is no status
    assert order(its, status="rejected", stamp=5) == ""


def test_a_whole_refund_is_a_status_with_its_ts() -> None:
    its = books()
    order(its, stamp=1)
    assert order(its, status="refunded", amount=None, currency="USD", stamp=5) == ""  # it names no amount
    assert order(its, status="approved", stamp=4) == "older_status"
    assert order(its, status="approved", stamp=5) == "final_status"


def test_what_has_no_ts_is_never_older() -> None:
    its = books()
    order(its, status="pending")
    assert order(its, status="pending", stamp=5) == ""
    assert order(its, status="approved") == ""
    assert order(its, status="rejected", stamp=4) == "older_status"
    assert order(its, status="refunded", amount=None, stamp=4) == "older_status"
    assert order(its, status="refunded", amount=None) == ""


def test_a_refund_is_in_the_orders_currency() -> None:
    its = books()
    order(its, currency="USD")
    said: dict[str, Any] = {"status": "refunded", "amount": 10, "refund_id": "r"}
    assert order(its, **said, currency="CNY") == "amount_conflict"
    assert order(its, **said) == ""
    assert only(its).refunded == 10


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
        (None, [(1, "a")], 0, "approved", "over_refund"),
        (None, [(None, "")], 0, "refunded", ""),
    ],
)
def test_refunds_add_up_to_the_amount_at_most(
    amount: int | None, refunds: list[tuple[int | None, str]], refunded: int, status: str, code: str
) -> None:
    its = books({"type": "fixed", "value": "8"})
    order(its, amount=amount)
    codes = [its.refund(KEY, received=START, amount=part, refund_id=id) for part, id in refunds]
    assert (only(its).refunded, only(its).status, codes[-1]) == (refunded, status, code)
    assert (status == "refunded") <= (balances(its) == {})


@pytest.mark.parametrize(("late", "status"), [(7 * DAY, "refunded"), (7 * DAY + 1, "approved")])
def test_a_refund_waits_seven_days_for_its_order(late: int, status: str) -> None:
    its = books()
    assert order(its, status="refunded", amount=None) == "waiting"
    order(its, received=START + late)
    assert only(its).status == status
    assert len(its.dead_letters(START + late)) == (status == "approved")


def test_a_refund_waits_for_its_own_order() -> None:
    its = books()
    order(its, "o2", status="refunded", amount=None)
    order(its)
    assert only(its).status == "approved"
    assert [len(its.dead_letters(START + 7 * DAY + late)) for late in (0, 1)] == [0, 1]


@pytest.mark.parametrize(
    ("rule", "amount", "aff", "reason"),
    [
        (TEN, 100, "", "no_touch"),
        (TEN, 100, "nobody", "no_touch"),
        (TEN | {"min_amount": "2"}, 100, "A", "below_min_amount"),
        (TEN, 100, "A", ""),
    ],
)
def test_an_order_that_pays_nothing_says_why(rule: Any, amount: int | None, aff: str, reason: str) -> None:
    its = books(rule)
    order(its, amount=amount, aff=aff)
    assert (only(its).status, only(its).reason, bool(its.transfers)) == ("approved", reason, reason == "")


def test_an_order_whose_rule_needs_an_amount_is_set_aside_without_one() -> None:
    its = books(TEN)
    assert order(its, amount=None, aff="A") == "amount_missing"
    assert not its.orders
    assert order(its, amount=100, aff="A") == ""


def test_an_approval_leaves_the_reason_of_what_pays_nothing() -> None:
    its = books()
    order(its, aff="", status="pending")
    order(its, status="approved")
    assert (only(its).status, only(its).reason) == ("approved", "no_touch")


def test_a_lead_takes_a_fixed_rule_uncut() -> None:
    its = books({"type": "fixed", "value": "8", "max_per_order": "1"})
    order(its, amount=None)
    assert only(its).shares == [("A", 1, "A", 800)]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"pid": "coffee"}, "unknown_product"),
        ({"merchant": "other"}, "unknown_merchant"),
        ({"merchant": "kiosk"}, "unknown_product"),
        ({"status": "lost"}, "unknown_status"),
        ({"oid": ""}, "missing_order_id"),
        ({"pid": ""}, "unknown_product"),
    ],
)
def test_what_makes_no_order_is_set_aside(said: Any, code: str) -> None:
    its = books()
    its.merchant("kiosk")
    assert order(its, **said) == code
    assert its.orders == {}


def test_without_a_product_the_clicks_counts_and_without_an_order_id_the_click() -> None:
    its = books(merchant={"currency": "USD"})
    click(its, 1, START - 1)
    assert order(its, "", pid="", click="c1", merchant="shop") == ""
    assert only(its, "c1").shares == [("A", 1, "A", 500), ("P", 2, "A", 300)]
    assert claim(its, "v", oid="", pid="", click="c1") == ""
    assert claim(its, "v", oid="o2", pid="", click="c1") == ""
    assert [(x.oid, x.currency) for x in its.orders.values()] == [("c1", "USD"), ("o2", "USD")]


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


def test_an_own_purchase_credits_nobody_unless_the_product_says_so() -> None:
    its = books()
    its.change_promoter("A", customers=[("shop", "k")])
    order(its, cust="k")
    assert only(its).reason == "no_touch"
    its.change_product("tea", attribution={"self_purchase": True})
    order(its, "o2", cust="k")
    assert only(its, "o2").shares == [("A", 1, "A", 500), ("P", 2, "A", 300)]
    its.change_product("tea", attribution={})
    its.signed_in("A", "v")
    order(its, "o3", visitor="v")
    assert only(its, "o3").reason == "no_touch"


def test_a_coupon_credits_its_promoter_at_its_merchant() -> None:
    its = books(TEN)
    its.merchant("kiosk")
    assert its.coupon("SALE", merchant="shop", promoter="A") == ""
    assert its.coupon("SALE", merchant="shop", promoter="P") == "exists"
    assert its.coupon("SALE", merchant="kiosk", promoter="P") == ""
    assert its.coupon("SALE", merchant="other", promoter="P") == "unknown_merchant"
    assert its.coupon("SALE", merchant="shop", promoter="nobody") == "unknown_promoter"
    order(its, aff="", coupon="SALE")
    assert list(only(its).credits) == ["A"]


def test_confirmed_fraud_counts_no_more_and_what_is_booked_stays() -> None:
    its = books(TEN)
    click(its, 1, START - 1)
    order(its, "o1", aff="", visitor="v")
    assert (its.confirm_fraud(1), its.confirm_fraud(2)) == ("", "unknown_touch")
    order(its, "o2", aff="", visitor="v")
    assert [only(its, oid).reason for oid in ("o1", "o2")] == ["", "no_touch"]


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


def test_an_order_by_a_click_spends_its_visitors_path_up_to_the_newest() -> None:
    its = books(product={"attribution": {"path_reset": True}})
    click(its, 1, START - 9)
    order(its, "o1", aff="", click="c1", at=START - 8)
    click(its, 2, START - 7)
    order(its, "o2", aff="", click="c2", at=START - 6)
    order(its, "o3", aff="", visitor="v", at=START)
    assert [only(its, oid).reason for oid in ("o1", "o2", "o3")] == ["", "", "no_touch"]


def test_an_order_of_another_visitor_or_merchant_spends_nothing() -> None:
    its = books(product={"attribution": {"path_reset": True}})
    its.merchant("kiosk")
    its.product("gum", merchant="kiosk", commission=TEN)
    click(its, 1, START - 2)
    click(its, 2, START - 2, visitor="", cust="k")
    order(its, "o1", visitor="w")
    order(its, "o2", pid="gum", visitor="v")
    order(its, "o3")
    order(its, "o4", aff="", visitor="v")
    order(its, "o5", aff="", cust="k")  # nobody's path
    order(its, "o6", aff="", cust="k")
    assert [only(its, oid).reason for oid in ("o4", "o5", "o6")] == ["", "", ""]


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

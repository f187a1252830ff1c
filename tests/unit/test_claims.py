"""What browsers claim and what is held: money.md section 2, and decisions on it, on a real database."""

from pathlib import Path

import pytest
from books_kit import (
    ALICE_CLICK,
    BOB_CLICK,
    MINUTE,
    NOW,
    OTHER_VISITOR,
    TEN_PERCENT,
    VISITOR,
    Books,
    accrued,
    touch,
)
from sqlalchemy import select

from tuike.books.orders import MAX_CLAIMS
from tuike.books.records import conversion_id
from tuike.stores import schema

ORDER = conversion_id("shop", "o1", "tea")


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books.with_click(tmp_path)


def stands(books: Books, oid: str = "o1") -> tuple[str, str]:
    return books.conversion(oid)["status"], books.conversion(oid)["reason"]


# --- claims ----------------------------------------------------------------------------------------


def test_a_held_claim_accrues_nothing_until_it_is_approved(books: Books) -> None:
    books.claim(visitor=VISITOR)
    assert (stands(books), books.balances()) == (("pending", "pixel"), {})
    outcome = books.decide("conversion.approve", ORDER)
    assert (outcome["http"], outcome["result"]["status"], outcome["result"]["reason"]) == (200, "approved", "")
    assert outcome["result"]["credits"][0] == {
        "promoter": "alice",
        "level": 1,
        "via": "alice",
        "weight": 1.0,
        "amount": "5.00",
    }
    assert books.balances() == accrued()


def test_a_held_claim_ends_by_rejection(books: Books) -> None:
    books.claim(visitor=VISITOR)
    assert books.decide("conversion.reject", ORDER)["result"]["status"] == "rejected"
    assert books.decide("conversion.approve", ORDER)["http"] == 409
    assert books.transfers() == []


def test_the_merchant_may_reject_what_was_claimed(books: Books) -> None:
    books.claim(visitor=VISITOR)
    books.order(status="rejected")
    assert (books.conversion()["status"], books.transfers()) == ("rejected", [])


def test_an_order_is_booked_from_its_own_identifiers_whatever_was_claimed(books: Books) -> None:
    books.touches.add(touch("bob", NOW - MINUTE, BOB_CLICK, visitor=OTHER_VISITOR))
    books.claim(visitor=VISITOR)
    books.claim(visitor=f"{9:032x}")
    books.order(click=BOB_CLICK, amount=500)
    assert (stands(books), books.conversion()["amount"], books.credits()) == (("approved", ""), 500, {"bob": 25})


@pytest.mark.parametrize("status", ["pending", "approved"])
def test_a_claim_lends_its_visitor_where_the_order_has_none(books: Books, status: str) -> None:
    books.claim(visitor=VISITOR)
    books.claim(visitor=VISITOR)
    books.claim()  # from a browser that keeps no cookies
    books.order(status=status)
    assert (stands(books), books.balances()) == ((status, ""), accrued())


def test_a_claim_that_comes_after_the_order_accrues_nothing(books: Books) -> None:
    books.order()
    assert books.claim(visitor=VISITOR)["code"] == ""
    assert (stands(books), books.balances()) == (("approved", "no_touch"), {})
    assert books.claim(visitor=VISITOR, amount=1)["code"] == ""
    assert books.conversion()["amount"] == 10_000


def test_claims_by_different_visitors_lend_nothing_and_hold_the_order(books: Books) -> None:
    books.claim(visitor=VISITOR)
    books.claim(visitor=OTHER_VISITOR)
    books.order()
    assert (stands(books), books.balances()) == (("pending", "claim_conflict"), {})
    books.order()
    assert stands(books) == ("pending", "claim_conflict")
    books.decide("conversion.approve", ORDER)
    assert (stands(books), books.balances()) == (("approved", "no_touch"), {})


def test_of_very_many_claims_some_are_remembered(books: Books) -> None:
    for n in range(MAX_CLAIMS + 5):
        books.claim(visitor=f"{n:032x}")
    assert len(books.conversion()["evidence"]["claims"]) == MAX_CLAIMS
    books.order()
    assert stands(books) == ("pending", "claim_conflict")


def test_an_accepted_claim_is_itself_an_order(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(pixel_conversions="accept")
    books.touches.add(touch("alice", NOW - MINUTE))
    assert books.claim(visitor=VISITOR)["code"] == ""
    assert (stands(books), books.credits()) == (("approved", ""), {"alice": 1_000})
    assert books.claim(visitor=VISITOR, amount=1)["code"] == "amount_conflict"
    assert books.order()["code"] == ""
    assert books.transfers() == ["accrue:1"]


def test_a_rejected_claim_is_set_aside(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(pixel_conversions="reject")
    outcome = books.claim(visitor=VISITOR)
    assert (outcome["status"], outcome["code"]) == ("set_aside", "pixel_rejected")
    assert books.rows(select(schema.conversions)) == []


def test_a_browser_cannot_name_a_promoter(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(pixel_conversions="accept")
    books.claim(aff="alice")
    assert stands(books) == ("approved", "no_touch")
    books.ask("product.update", id="tea", pixel_conversions="hold")
    books.claim("o2", aff="alice")
    books.decide("conversion.approve", conversion_id("shop", "o2", "tea"))
    assert stands(books, "o2") == ("approved", "no_touch")


# --- held for the budget ---------------------------------------------------------------------------


@pytest.fixture
def tight(tmp_path: Path) -> Books:
    """A shop that pays 15.00 a day."""
    books = Books(tmp_path)
    books.shop(TEN_PERCENT | {"daily_budget": "15"})
    return books


def test_an_order_that_would_pass_the_daily_budget_is_held_whole(tight: Books) -> None:
    tight.order(aff="alice")
    tight.order("o2", aff="alice")
    tight.order("o3", aff="alice", amount=5_000)
    assert [stands(tight, oid) for oid in ("o1", "o2", "o3")] == [
        ("approved", ""),
        ("pending", "budget"),
        ("approved", ""),
    ]
    assert tight.balances()["promoter:alice:pending"] == 1_500


def test_orders_of_one_batch_share_the_budget(tight: Books) -> None:
    sale = {"merchant": "shop", "pid": "tea", "currency": "CNY", "amount": 10_000, "aff": "alice"}
    tight.apply(orders=[tight.item("order", oid=oid, **sale) for oid in ("o1", "o2")])
    assert (stands(tight), stands(tight, "o2")) == (("approved", ""), ("pending", "budget"))


def test_what_is_held_for_the_budget_leaves_by_a_decision_not_by_a_repeat(tight: Books) -> None:
    tight.order(aff="alice")
    tight.order("o2", aff="alice")
    tight.order("o2", aff="alice")
    tight.order("o2", aff="alice", status="approved", stamp=9)
    assert stands(tight, "o2") == ("pending", "budget")
    held = conversion_id("shop", "o2", "tea")
    assert tight.decide("conversion.approve", held)["result"]["status"] == "approved"
    assert (stands(tight, "o2"), tight.balances()["promoter:alice:pending"]) == (("approved", ""), 2_000)
    tight.order("o3", aff="alice", amount=10)
    assert stands(tight, "o3") == ("pending", "budget")
    tight.order("o3", status="rejected")
    assert tight.conversion("o3")["status"] == "rejected"


def test_what_is_taken_back_is_free_for_the_days_other_orders(tight: Books) -> None:
    tight.order(aff="alice")
    tight.order(status="refunded", amount=9_000, refund_id="r")
    tight.order("o2", aff="alice")
    assert stands(tight, "o2") == ("approved", "")


def test_while_it_is_held_another_amount_is_noted(tight: Books) -> None:
    tight.order(aff="alice", amount=50_000)
    tight.order(status="pending", amount=10_000)
    assert (stands(tight), tight.conversion()["amount"], tight.transfers()) == (("pending", "budget"), 10_000, [])
    tight.decide("conversion.approve", ORDER)
    assert tight.balances()["promoter:alice:pending"] == 1_000


# --- decisions -------------------------------------------------------------------------------------


def test_decisions_refund_by_amount_and_name(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    assert books.decide("conversion.refund", ORDER, amount="1.234", refund_id="r")["code"] == "bad_amount"
    part = books.decide("conversion.refund", ORDER, amount="40.00", refund_id="r")
    assert (part["result"]["refunded"], part["result"]["credits"][0]["amount"]) == ("40.00", "3.00")
    whole = books.decide("conversion.refund", ORDER)
    assert (whole["result"]["status"], books.balances()) == ("refunded", {})
    assert books.decide("conversion.refund", "0" * 32)["http"] == 404


def test_decisions_stand_in_the_audit(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    books.decide("conversion.reject", ORDER, reason="test order")
    (row,) = books.rows(select(schema.audit).where(schema.audit.c.action == "conversion.reject"))
    assert (row["actor"], row["target"]) == ("token:1", f"conversion:{ORDER}")


def test_a_decision_twice_is_once(books: Books) -> None:
    books.order(click=ALICE_CLICK, status="pending")
    for _ in range(2):
        assert books.decide("conversion.approve", ORDER)["result"]["status"] == "approved"
    assert len(books.rows(select(schema.dues))) == 1
    for _ in range(2):
        assert books.decide("conversion.reject", ORDER)["result"]["status"] == "rejected"
    assert books.transfers() == ["accrue:1", "reject"]

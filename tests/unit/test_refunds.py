"""Refunds: what money.md section 2 says of them, on a real database."""

from pathlib import Path

import pytest
from books_kit import ALICE_CLICK, DAY, NOW, OTHER_VISITOR, VISITOR, Books, accrued
from sqlalchemy import select

from tuike.books import waiting
from tuike.books.orders import MAX_REFUNDS
from tuike.books.waiting import WAIT_DAYS
from tuike.stores import schema

EARLIER = 7  # received this much before NOW


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books.with_click(tmp_path)


def test_shares_fall_to_the_floor_of_what_is_left(books: Books) -> None:
    books.order(click=ALICE_CLICK, amount=9_999)
    before = books.shares()
    books.order(status="refunded", amount=3_333, refund_id="r1")
    for (*_, original), (*_, amount) in zip(before, books.shares(), strict=True):
        assert amount == original * 6_666 // 9_999
    assert (books.conversion()["status"], books.conversion()["refunded"]) == ("approved", 3_333)
    assert books.sums()["alice", "wechat", 0, ""][:2] == (1, 6_666)


def test_shares_fall_from_what_they_were_at_first_and_end_at_exactly_zero(books: Books) -> None:
    books.order(click=ALICE_CLICK, amount=9_999)
    before = books.shares()
    for part in range(3):
        books.order(status="refunded", amount=3_333, refund_id=f"r{part}")
        left = 9_999 - 3_333 * (part + 1)
        assert [share[3] for share in books.shares()] == [share[3] * left // 9_999 for share in before]
    assert (books.conversion()["status"], books.balances()) == ("refunded", {})


def test_a_refund_repeated_is_a_no_op(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    for _ in range(3):
        assert books.order(status="refunded", amount=2_500, refund_id="r1")["code"] == ""
    assert books.conversion()["refunded"] == 2_500
    for _ in range(2):
        assert books.order(status="refunded", amount=None)["code"] == ""
    assert books.order(status="refunded", amount=2_500, refund_id="r1")["code"] == ""
    assert (books.conversion()["refunded"], books.balances()) == (10_000, {})


def test_a_partial_refund_needs_a_name_and_a_whole_one_needs_none(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    assert books.order(status="refunded", amount=2_500)["code"] == "missing_refund_id"
    assert books.order(status="refunded", amount=10_000)["code"] == ""
    assert books.conversion()["status"] == "refunded"


def test_more_than_the_amount_is_capped_and_the_rest_set_aside(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    books.order(status="refunded", amount=6_000, refund_id="r1")
    outcome = books.order(status="refunded", amount=6_000, refund_id="r2")
    assert (outcome["status"], outcome["code"]) == ("applied", "over_refund")
    assert (books.conversion()["status"], books.conversion()["refunded"], books.balances()) == ("refunded", 10_000, {})
    outcome = books.order(status="refunded", amount=1, refund_id="r3")
    assert (outcome["status"], outcome["code"]) == ("set_aside", "over_refund")


def test_an_order_of_nothing_is_refunded_only_whole(books: Books) -> None:
    books.order(click=ALICE_CLICK, amount=0)
    assert books.order(status="refunded", amount=None)["code"] == ""
    assert books.conversion()["status"] == "refunded"


def test_an_order_without_amount_is_refunded_only_whole(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop({"type": "fixed", "value": "8"})
    books.order(amount=None, aff="alice")
    assert books.order(status="refunded", amount=None)["code"] == ""
    assert (books.conversion()["status"], books.balances()) == ("refunded", {})


def test_a_refund_in_another_currency_is_a_conflict(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    assert books.order(status="refunded", currency="USD", refund_id="r1")["code"] == "amount_conflict"
    assert books.order(status="refunded", currency="USD", amount=None)["code"] == ""


def test_partial_refunds_are_taken_in_any_order_of_their_stamps(books: Books) -> None:
    books.order(click=ALICE_CLICK, stamp=10)
    books.order(status="refunded", amount=1_000, refund_id="r2", stamp=30)
    books.order(status="refunded", amount=1_000, refund_id="r1", stamp=20)
    assert books.conversion()["refunded"] == 2_000


def test_a_whole_refund_older_than_the_last_status_changes_nothing(books: Books) -> None:
    books.order(click=ALICE_CLICK, stamp=10)
    assert books.order(status="refunded", stamp=9)["code"] == "older_status"
    assert books.balances() == accrued()


def test_an_order_is_refunded_in_so_many_parts_and_then_whole(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    sale = {"merchant": "shop", "pid": "tea", "oid": "o1", "amount": 1, "currency": "CNY", "status": "refunded"}
    books.apply(orders=[books.item("order", refund_id=f"r{n}", **sale) for n in range(MAX_REFUNDS)])
    assert books.order(status="refunded", amount=1, refund_id="one more")["code"] == "too_many_refunds"
    assert books.order(status="refunded", amount=None)["code"] == ""
    assert books.balances() == {}


# --- of orders that are not there yet --------------------------------------------------------------


def test_a_refund_of_an_unknown_order_waits_for_it(books: Books) -> None:
    outcome = books.order(status="refunded", amount=2_500, refund_id="r", stamp=20)
    assert (outcome["status"], outcome["code"], outcome["http"]) == ("waiting", "unknown_order", 202)
    assert books.rows(select(schema.conversions)) == []
    books.order(click=ALICE_CLICK, stamp=10)
    assert (books.conversion()["refunded"], books.balances()) == (2_500, accrued(750))
    event = books.journal[-1].event
    assert (books.outcome(event)["status"], books.outcome(event)["code"]) == ("applied", "")
    assert books.rows(select(schema.waiting)) == []


def test_it_waits_whatever_is_stamped_and_whoever_keeps_the_books(books: Books) -> None:
    waits = [
        books.order(status="refunded", amount=2_500, refund_id="r", stamp=20),
        books.order(status="refunded", amount=None, stamp=25),
    ]
    assert [outcome["status"] for outcome in waits] == ["waiting", "waiting"]
    books.open()
    books.order(click=ALICE_CLICK, stamp=30)  # sent again by a merchant whose first try was lost
    assert (books.conversion()["status"], books.conversion()["refunded"], books.balances()) == ("refunded", 10_000, {})


def test_it_waits_for_the_merchants_word_not_for_a_claim(books: Books) -> None:
    refund = {"status": "refunded", "amount": None}
    assert books.order(**refund)["status"] == "waiting"
    books.claim(visitor=VISITOR)
    assert (books.conversion()["status"], len(books.rows(select(schema.waiting)))) == ("pending", 1)
    assert books.order(**refund)["status"] == "waiting"
    books.order()
    assert (books.conversion()["status"], books.rows(select(schema.waiting))) == ("refunded", [])
    assert books.transfers() == ["accrue:1", "refund"]


def test_after_seven_days_it_is_a_dead_letter(books: Books) -> None:
    books.order(status="refunded", amount=None, received=NOW)
    event = books.journal[-1].event
    books.step(NOW + WAIT_DAYS * DAY)
    assert books.outcome(event)["status"] == "waiting"
    books.step(NOW + WAIT_DAYS * DAY + 1)
    outcome = books.outcome(event)
    assert (outcome["status"], outcome["code"]) == ("set_aside", "unknown_order")
    assert (outcome["result"]["merchant"], books.rows(select(schema.waiting))) == ("shop", [])
    books.order(click=ALICE_CLICK)
    assert books.balances() == accrued()


def test_refunds_wait_in_memory_so_not_too_many_of_them(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITING", 1)
    assert books.order(status="refunded", amount=None)["status"] == "waiting"
    outcome = books.order("o2", status="refunded", amount=None)
    assert (outcome["status"], outcome["code"]) == ("set_aside", "unknown_order")


def test_a_refund_of_a_pending_order_is_no_move(books: Books) -> None:
    books.order(status="refunded", amount=None)
    event = books.journal[-1].event
    books.order(click=ALICE_CLICK, status="pending", visitor=OTHER_VISITOR)
    assert (books.outcome(event)["status"], books.outcome(event)["code"]) == ("set_aside", "illegal_move")
    assert books.balances() == accrued()

"""Orders and their moves: what money.md section 2 says of them, on a real database."""

from pathlib import Path

import pytest
from books_kit import ALICE_CLICK, BOB_CLICK, DAY, NOW, THREE_LEVELS, Books, accrued, codes
from sqlalchemy import select

from tuike.books.records import conversion_id
from tuike.stores import schema

ORDER = conversion_id("shop", "o1", "tea")


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books.with_click(tmp_path)


# --- what an order is ------------------------------------------------------------------------------


def test_an_order_pays_the_chain_of_the_click(books: Books) -> None:
    outcome = books.order(click=ALICE_CLICK)
    assert (outcome["status"], outcome["code"], outcome["result"]) == (
        "applied",
        "",
        {"merchant": "shop", "conversion": ORDER},
    )
    assert books.shares() == [
        ("alice", 1, "alice", 500),
        ("bob", 2, "alice", 300),
        ("carol", 3, "alice", 100),
        ("", 0, "", 100),
    ]
    assert books.balances() == accrued()
    assert books.sums() == {
        ("alice", "wechat", 0, ""): (1, 10_000, 900),
        ("alice", "wechat", 1, "red"): (1, 10_000, 900),
    }


def test_merchant_order_id_and_product_together_are_the_order(books: Books) -> None:
    books.ask("product.create", id="cup", merchant="shop", url="https://s.example/", commission=THREE_LEVELS)
    for fields in ({}, {"pid": "cup"}, {"oid": "o2"}):
        books.order(click=ALICE_CLICK, **fields)
    found = books.rows(select(schema.conversions.c.order_id, schema.conversions.c.product))
    assert [(row["order_id"], row["product"]) for row in found] == [("o1", "tea"), ("o1", "cup"), ("o2", "tea")]
    assert books.balances() == accrued(3_000)


def test_without_an_order_id_the_click_id_is_the_order(books: Books) -> None:
    books.order(oid="", click=ALICE_CLICK)
    books.order(oid="", click=ALICE_CLICK)
    assert books.conversion(ALICE_CLICK)["order_id"] == ALICE_CLICK
    assert books.transfers() == ["accrue:1"]


def test_without_a_product_the_clicks_counts(books: Books) -> None:
    assert books.order(pid="", click=ALICE_CLICK)["code"] == ""
    assert books.conversion()["product"] == "tea"


def test_the_orders_instant_is_its_time(books: Books) -> None:
    books.order(click=ALICE_CLICK, at=NOW - DAY + 1, received=NOW + 9)
    assert (books.conversion()["at"], books.conversion()["created"]) == (NOW - DAY + 1, NOW + 9)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"pid": "coffee"}, "unknown_product"),
        ({"pid": ""}, "unknown_product"),
        ({"pid": "", "click": BOB_CLICK}, "unknown_product"),
        ({"merchant": "other"}, "unknown_merchant"),
        ({"oid": ""}, "missing_order_id"),
        ({"status": "shipped"}, "unknown_status"),
        ({"amount": None, "click": ALICE_CLICK}, "amount_missing"),
    ],
)
def test_what_cannot_be_booked_is_set_aside(books: Books, fields: dict[str, str], code: str) -> None:
    outcome = books.order(**fields)
    assert (outcome["status"], outcome["code"]) == ("set_aside", code)
    assert books.rows(select(schema.conversions)) == []
    assert books.balances() == {}


def test_a_fixed_rule_pays_an_order_without_amount_uncut(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop({"type": "fixed", "value": "8", "max_per_order": "5"})
    books.order(amount=None, aff="alice")
    assert books.balances() == {"merchant:shop:payable": -800, "promoter:alice:pending": 800}


def test_an_order_without_a_touch_is_kept_and_pays_nobody(books: Books) -> None:
    assert books.order()["status"] == "applied"
    assert (books.conversion()["reason"], books.conversion()["status"]) == ("no_touch", "approved")
    assert (books.shares(), books.transfers(), books.sums()) == ([], [], {})


def test_an_order_is_paid_along_the_tree_and_by_the_rule_of_its_instant(books: Books) -> None:
    item = books.request(
        "registry", "promoter.parent", {"id": "alice", "parent": "carol", "reason": "moved"}, at=NOW + 10
    )
    rule = books.request(
        "registry", "product.update", {"id": "tea", "commission": THREE_LEVELS | {"value": "20"}}, at=NOW + 10
    )
    books.apply(registry=[item, rule])
    books.open()
    books.order(click=ALICE_CLICK, at=NOW + 9)
    books.order("o2", click=ALICE_CLICK, at=NOW + 10)
    assert [share[0] for share in books.shares()] == ["alice", "bob", "carol", ""]
    assert [share[0] for share in books.shares("o2")] == ["alice", "carol", ""]
    assert (books.conversion()["rule_version"], books.conversion("o2")["rule_version"]) == (1, 2)


# --- repeats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["pending", "approved", "rejected"])
def test_the_same_message_again_changes_nothing(books: Books, status: str) -> None:
    first = books.order(click=ALICE_CLICK, stamp=5, status=status)
    stands = books.conversion(), books.transfers(), books.balances(), books.sums()
    again = books.order(click=ALICE_CLICK, stamp=5, status=status)
    assert (again["status"], again["code"], again["result"]) == (first["status"], first["code"], first["result"])
    assert (books.conversion(), books.transfers(), books.balances(), books.sums()) == stands
    assert books.journal[-1].effect is None


def test_an_event_that_is_read_twice_is_applied_once(books: Books) -> None:
    fields = {"merchant": "shop", "pid": "tea", "oid": "o1", "amount": 10_000, "currency": "CNY", "click": ALICE_CLICK}
    item = books.item("order", **fields)
    books.apply(orders=[item, item])
    books.apply(orders=[item])
    assert (books.balances(), books.transfers()) == (accrued(), ["accrue:1"])


def test_messages_of_one_order_in_one_batch_see_each_other(books: Books) -> None:
    fields = {"merchant": "shop", "pid": "tea", "oid": "o1", "amount": 10_000, "currency": "CNY", "click": ALICE_CLICK}
    items = [
        books.item("order", **fields | more)
        for more in (
            {"status": "pending"},
            {"status": "approved", "amount": 20_000},
            {"status": "refunded", "amount": 5_000, "refund_id": "r"},
            {"status": "refunded", "amount": None},
        )
    ]
    books.apply(orders=items)
    assert codes(books.outcome(item.message.id) for item in items) == ["", "", "", ""]
    assert (books.conversion()["status"], books.conversion()["refunded"], books.balances()) == ("refunded", 20_000, {})


# --- moves -----------------------------------------------------------------------------------------


def test_pending_accrues_and_approval_moves_no_money(books: Books) -> None:
    books.order(click=ALICE_CLICK, status="pending")
    assert books.rows(select(schema.dues)) == []
    books.order(click=ALICE_CLICK, status="approved")
    assert books.conversion()["status"] == "approved"
    assert (books.transfers(), books.balances()) == (["accrue:1"], accrued())
    assert [row["due"] for row in books.rows(select(schema.dues))] == [books.conversion()["due"]]


def test_while_pending_another_amount_is_booked_anew(books: Books) -> None:
    books.order(click=ALICE_CLICK, status="pending")
    books.order(status="pending", amount=20_000)
    assert (books.conversion()["amount"], books.conversion()["status"]) == (20_000, "pending")
    assert books.transfers() == ["accrue:1", "reverse:1", "accrue:2"]
    assert books.balances() == accrued(2_000)
    assert books.sums()["alice", "wechat", 0, ""] == (1, 20_000, 1_800)
    assert [row["net"] for row in books.rows(select(schema.sales))] == [20_000]


def test_an_approval_may_bring_the_final_amount(books: Books) -> None:
    books.order(click=ALICE_CLICK, status="pending")
    books.order(status="approved", amount=20_000)
    assert (books.conversion()["status"], books.balances()) == ("approved", accrued(2_000))
    assert len(books.rows(select(schema.dues))) == 1


def test_booked_anew_an_order_is_credited_to_the_touches_that_it_had(books: Books) -> None:
    books.order(click=ALICE_CLICK, status="pending")
    books.touches.hits = []
    books.order(status="pending", amount=20_000)
    assert books.credits() == {"alice": 1_000}


def test_later_another_amount_is_a_conflict(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    outcome = books.order(amount=20_000)
    assert (outcome["status"], outcome["code"]) == ("set_aside", "amount_conflict")
    assert books.order(currency="USD")["code"] == "amount_conflict"
    assert books.balances() == accrued()


@pytest.mark.parametrize("status", ["pending", "approved"])
def test_rejection_takes_everything_back(books: Books, status: str) -> None:
    books.order(click=ALICE_CLICK, status=status)
    books.order(status="rejected")
    assert books.conversion()["status"] == "rejected"
    assert (books.balances(), books.sums()) == ({}, {})
    assert [amount for *_, amount in books.shares()] == [0, 0, 0, 0]


def test_an_order_may_come_rejected(books: Books) -> None:
    books.order(click=ALICE_CLICK, status="rejected")
    assert (books.conversion()["status"], books.transfers()) == ("rejected", [])


@pytest.mark.parametrize(
    ("before", "status", "code"),
    [
        ("rejected", "pending", "final_status"),
        ("rejected", "approved", "final_status"),
        ("rejected", "refunded", "final_status"),
        ("refunded", "pending", "final_status"),
        ("refunded", "approved", "final_status"),
        ("refunded", "rejected", "final_status"),
        ("pending", "refunded", "illegal_move"),
        ("approved", "pending", "illegal_move"),
    ],
)
def test_other_moves_are_set_aside(books: Books, before: str, status: str, code: str) -> None:
    books.order(click=ALICE_CLICK, status="approved" if before == "refunded" else before)
    if before == "refunded":
        books.order(status="refunded", amount=None)
    stands = books.conversion(), books.balances()
    outcome = books.order(status=status)
    assert (outcome["status"], outcome["code"]) == ("set_aside", code)
    assert (books.conversion(), books.balances()) == stands


def test_a_partly_refunded_order_may_be_rejected(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    books.order(status="refunded", amount=2_500, refund_id="r")
    assert books.order(status="rejected")["code"] == ""
    assert (books.conversion()["status"], books.balances(), books.sums()) == ("rejected", {}, {})


def test_a_status_older_than_the_last_applied_changes_nothing(books: Books) -> None:
    books.order(click=ALICE_CLICK, status="approved", stamp=20)
    assert books.order(status="rejected", stamp=19)["code"] == "older_status"
    assert books.conversion()["status"] == "approved"
    assert books.order(status="rejected", stamp=20)["code"] == ""
    assert books.conversion()["status"] == "rejected"


def test_an_older_status_brings_no_amount_either(books: Books) -> None:
    books.order(click=ALICE_CLICK, status="pending", stamp=20)
    assert books.order(status="pending", amount=1, stamp=19)["code"] == "older_status"
    assert books.balances() == accrued()

"""`path_reset`: touches before a visitor's last credited order are spent (money.md, section 4), on a real database."""

from pathlib import Path
from typing import Any

import pytest
from books_kit import ALICE_CLICK, BOB_CLICK, DAY, MINUTE, NOW, OTHER_VISITOR, TEN_PERCENT, VISITOR, Books, touch
from sqlalchemy import select

from tuike.stores import schema

HOUR = 60 * MINUTE


@pytest.fixture
def books(tmp_path: Path) -> Books:
    """Alice's click and, an hour ago, an order that it paid for."""
    books = Books(tmp_path)
    books.shop(attribution={"path_reset": True, "model": "linear", "collapse_minutes": 0})
    books.touches.add(touch("alice", NOW - DAY, ALICE_CLICK))
    books.order("first", visitor=VISITOR, at=NOW - HOUR)
    return books


def why(books: Books, oid: str = "o1", **fields: Any) -> list[tuple[str, str]]:
    books.order(oid, **{"visitor": VISITOR} | fields)
    return books.touched(oid)


def test_by_default_one_click_pays_for_every_order_in_its_window(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop()
    books.touches.add(touch("alice", NOW - DAY, ALICE_CLICK))
    for oid in ("o1", "o2"):
        books.order(oid, visitor=VISITOR)
    assert books.balances()["promoter:alice:pending"] == 2_000
    assert books.rows(select(schema.path_ends)) == []


def test_touches_at_or_before_the_visitors_previous_credited_order_are_spent(books: Books) -> None:
    books.touches.add(
        touch("carol", NOW - HOUR - 1), touch("carol", NOW - HOUR), touch("bob", NOW - HOUR + 1, BOB_CLICK)
    )
    assert why(books) == [("alice", "spent"), ("carol", "spent"), ("carol", "spent"), ("bob", "")]


def test_with_every_touch_spent_the_order_pays_nobody(books: Books) -> None:
    assert why(books) == [("alice", "spent")]
    assert books.conversion()["reason"] == "no_touch"


def test_the_visitor_is_the_orders_own_else_its_clicks(books: Books) -> None:
    assert why(books, "o1", visitor="", click=ALICE_CLICK) == [("alice", "spent")]
    assert why(books, "o2", visitor=OTHER_VISITOR, click=ALICE_CLICK) == [("alice", "")]
    books.touches.add(touch("bob", NOW - 2, BOB_CLICK, visitor=f"{9:032x}"))
    books.order("o3", click=BOB_CLICK)
    assert why(books, "o4", visitor=f"{9:032x}") == [("bob", "spent")]


def test_who_is_no_visitor_has_spent_nothing(books: Books) -> None:
    books.touches.add(touch("alice", NOW - DAY, BOB_CLICK, visitor="", cust="c"))
    for oid in ("o1", "o2"):
        assert why(books, oid, visitor="", cust="c") == [("alice", "")]


@pytest.mark.parametrize("status", ["rejected", "refunded"])
def test_a_rejected_or_fully_refunded_order_spends_nothing(books: Books, status: str) -> None:
    books.order("first", status=status, amount=None)
    assert why(books) == [("alice", "")]


def test_then_the_one_before_it_counts(books: Books) -> None:
    books.touches.add(touch("bob", NOW - HOUR + 1))
    books.order("second", visitor=VISITOR, at=NOW - HOUR + 2)
    books.order("second", status="rejected")
    assert why(books) == [("alice", "spent"), ("bob", "")]


def test_a_partly_refunded_order_has_spent_its_touches(books: Books) -> None:
    books.order("first", status="refunded", amount=1, refund_id="r")
    assert why(books) == [("alice", "spent")]


def test_an_order_that_credited_nobody_spends_nothing(books: Books) -> None:
    books.ask("promoter.update", id="alice", status="blocked")
    books.touches.add(touch("alice", NOW - HOUR + 1))
    why(books, "nobody", at=NOW - HOUR + 2)
    books.ask("promoter.update", id="alice", status="active")
    assert why(books) == [("alice", "spent"), ("alice", "")]


def test_an_order_held_for_the_budget_spends_its_touches_once_it_is_approved(books: Books) -> None:
    books.ask("product.update", id="tea", commission=TEN_PERCENT | {"daily_budget": "1"})
    books.touches.add(touch("bob", NOW - 9))
    held = books.order("held", visitor=VISITOR)["result"]["conversion"]
    assert (books.conversion("held")["reason"], why(books, "o1")[1]) == ("budget", ("bob", ""))
    books.decide("conversion.approve", held)
    assert why(books, "o2")[1] == ("bob", "spent")


def test_an_order_of_an_earlier_instant_is_not_spent_by_a_later_one(books: Books) -> None:
    assert why(books, at=NOW - HOUR - 1) == [("alice", "")]


def test_of_another_merchant_nothing_is_spent(books: Books) -> None:
    books.ask("merchant.create", id="other", name="Other", currency="CNY", secret="sealed")
    body = {"merchant": "other", "url": "https://s.example/", "commission": TEN_PERCENT}
    books.ask("product.create", id="cup", attribution={"path_reset": True}, **body)
    books.touches.add(touch("bob", NOW - DAY, BOB_CLICK, merchant="other", pid="cup"))
    books.order("o1", merchant="other", pid="cup", visitor=VISITOR)
    assert books.balances()["promoter:bob:pending"] == 1_000


def test_any_products_order_of_the_merchant_ends_the_path_but_only_as_this_product_says(books: Books) -> None:
    books.ask("product.create", id="cup", merchant="shop", url="https://s.example/", commission=TEN_PERCENT)
    books.touches.add(touch("bob", NOW - 9))
    books.order("cup", pid="cup", visitor=VISITOR, at=NOW - 8)
    assert books.balances()["promoter:bob:pending"] == 1_000  # alice's too, but the last counts
    assert why(books) == [("alice", "spent"), ("bob", "spent")]


def test_what_the_order_itself_names_is_not_spent(books: Books) -> None:
    books.ask("link.create", promoter="bob", product="tea", coupon="SAVE")
    for oid, fields in (("o1", {"aff": "carol"}), ("o2", {"coupon": "SAVE"})):
        books.order(oid, visitor=VISITOR, at=NOW - HOUR, **fields)
        assert books.touched(oid)[-1][1] == ""


@pytest.mark.parametrize("end", ["", "rejected"])
def test_orders_of_one_batch_spend_for_each_other(books: Books, end: str) -> None:
    books.touches.add(touch("bob", NOW - 9))
    sale = {"merchant": "shop", "pid": "tea", "currency": "CNY", "amount": 10_000}
    items = [books.item("order", oid="o1", visitor=VISITOR, **sale)]
    if end:
        items.append(books.item("order", oid="o1", status=end, **sale))
        items.append(books.item("order", oid="first", status=end, **sale))
    items.append(books.item("order", oid="o2", visitor=VISITOR, **sale))
    books.apply(orders=items)
    assert books.touched() == [("alice", "spent"), ("bob", "")]
    assert books.touched("o2") == ([("alice", ""), ("bob", "")] if end else [("alice", "spent"), ("bob", "spent")])


def test_the_books_know_it_again_after_a_start(books: Books) -> None:
    books.open()
    assert why(books) == [("alice", "spent")]

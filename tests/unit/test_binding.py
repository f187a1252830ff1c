"""Binding, whose customer a buyer is: money.md section 4, on a real database."""

from pathlib import Path
from typing import Any

import pytest
from books_kit import ALICE_CLICK, BOB_CLICK, DAY, NOW, OTHER_VISITOR, THREE_LEVELS, VISITOR, Books, touch

ANY_TIME = 10_000 * DAY


def shop(path: Path, mode: str, **attribution: Any) -> Books:
    books = Books(path)
    books.shop(THREE_LEVELS, attribution={"binding": mode} | attribution)
    return books


def click(promoter: str, at: int, id: str | None = None, **more: Any) -> dict[str, Any]:
    return touch(promoter, at, id, binds=True, **more)


def bound(books: Books, oid: str = "o1", **fields: Any) -> str:
    """Who has the customer, as a new order finds."""
    books.order(oid, **{"visitor": VISITOR} | fields)
    return str(books.conversion(oid)["evidence"].get("bound", ""))


def test_by_default_nobody_is_bound(tmp_path: Path) -> None:
    books = shop(tmp_path, "none")
    books.touches.add(click("bob", NOW - 2), click("alice", NOW - 1))
    assert bound(books) == ""
    assert books.found_by() == "visitor"


@pytest.mark.parametrize(
    ("mode", "promoter"), [("first", "carol"), ("last", "alice"), ("mixed", "bob")], ids=["first", "last", "mixed"]
)
def test_the_product_says_which_click_binds(tmp_path: Path, mode: str, promoter: str) -> None:
    books = shop(tmp_path, mode)
    # carol's protection ends before bob, bob's has not when alice comes
    books.touches.add(click("carol", NOW - 30 * DAY), click("bob", NOW - 20 * DAY), click("alice", NOW - 14 * DAY))
    assert bound(books) == promoter
    assert books.credits() == {promoter: 500}
    assert books.balances()[f"promoter:{promoter}:pending"] == 500


def test_first_keeps_the_first_for_good(tmp_path: Path) -> None:
    books = shop(tmp_path, "first")
    books.touches.add(click("bob", NOW - ANY_TIME), click("alice", NOW))
    assert bound(books) == "bob"


def test_within_protection_a_click_never_takes_over_and_after_it_starts_a_new_one(tmp_path: Path) -> None:
    books = shop(tmp_path, "mixed", protect_days=3)
    start = NOW - 20 * DAY
    books.touches.add(
        click("carol", start),
        click("alice", start + 3 * DAY - 1),
        click("bob", start + 3 * DAY),
        click("alice", start + 6 * DAY - 1),
    )
    for at, promoter in ((0, "carol"), (3 * DAY - 1, "carol"), (3 * DAY, "bob"), (20 * DAY, "bob")):
        assert bound(books, str(at), at=start + at) == promoter


def test_clicks_of_one_instant_bind_in_the_order_of_their_ids(tmp_path: Path) -> None:
    books = shop(tmp_path, "last")
    books.touches.add(click("bob", NOW - 1, BOB_CLICK), click("alice", NOW - 1, ALICE_CLICK))
    assert bound(books) == "bob"
    books.ask("product.update", id="tea", attribution={"binding": "first"})
    assert bound(books, "o2") == "alice"


def test_a_click_after_the_order_does_not_bind_it(tmp_path: Path) -> None:
    books = shop(tmp_path, "last")
    books.touches.add(click("bob", NOW), click("alice", NOW + 1))
    assert bound(books) == "bob"


# --- whose customer --------------------------------------------------------------------------------


def test_the_customer_that_the_order_names_is_asked_before_its_visitor(tmp_path: Path) -> None:
    books = shop(tmp_path, "first")
    books.touches.add(click("alice", NOW - 3), click("bob", NOW - 2, visitor=OTHER_VISITOR, cust="c1"))
    assert bound(books, "o1", cust="c1") == "bob"
    assert bound(books, "o2", cust="c2") == "alice"
    assert bound(books, "o3") == "alice"


def test_the_visitor_is_the_orders_own_else_its_clicks(tmp_path: Path) -> None:
    books = shop(tmp_path, "first")
    books.touches.add(click("bob", NOW - 3), click("alice", NOW - 2, ALICE_CLICK))
    assert bound(books, "o1", visitor="", click=ALICE_CLICK) == "bob"
    assert bound(books, "o2", visitor=OTHER_VISITOR, click=ALICE_CLICK) == ""


def test_customers_are_each_merchants_own(tmp_path: Path) -> None:
    books = shop(tmp_path, "first")
    books.touches.add(click("bob", NOW - 3, merchant="other"), touch("alice", NOW - 2))
    assert bound(books) == ""
    assert books.credits() == {"alice": 500}


# --- which clicks ----------------------------------------------------------------------------------


def test_only_clicks_of_products_that_bind_do(tmp_path: Path) -> None:
    books = shop(tmp_path, "first")
    books.touches.add(touch("bob", NOW - 3), click("alice", NOW - 2))
    assert bound(books) == "alice"


@pytest.mark.parametrize("why", ["blocked", "unknown", "own"])
def test_a_click_that_never_counts_does_not_bind(tmp_path: Path, why: str) -> None:
    books = shop(tmp_path, "first")
    books.touches.add(click("nobody" if why == "unknown" else "bob", NOW - 3), click("alice", NOW - 2))
    if why == "blocked":
        books.ask("promoter.update", id="bob", status="blocked")
    if why == "own":
        books.ask("promoter.update", id="bob", customers=[{"merchant": "shop", "cust": "c1"}])
    assert bound(books, cust="c1") == "alice"


# --- what it does ----------------------------------------------------------------------------------


def test_the_bound_promoter_is_credited_alone_whatever_the_touches(tmp_path: Path) -> None:
    books = shop(tmp_path, "first", model="linear", collapse_minutes=0)
    books.ask("link.create", promoter="carol", product="tea", coupon="SAVE")
    books.touches.add(
        click("bob", NOW - 40 * DAY, BOB_CLICK, channel="wechat", sub1="red"),
        touch("alice", NOW - 2),
        touch("carol", NOW - 1, embedded=True),
    )
    assert bound(books, coupon="SAVE", aff="alice") == "bob"
    assert books.shares() == [("bob", 1, "bob", 500), ("carol", 2, "bob", 300), ("", 0, "", 200)]
    assert books.found_by() == "binding"
    evidence = books.conversion()["evidence"]["candidates"]
    assert evidence[0] == {
        "id": BOB_CLICK,
        "at": NOW - 40 * DAY,
        "kind": "binding",
        "promoter": "bob",
        "product": "tea",
        "weight": 1_000_000_000,
    }
    assert books.sums()["bob", "wechat", 1, "red"] == (1, 10_000, 800)


def test_touches_of_a_bound_customer_say_that_they_were_passed_over(tmp_path: Path) -> None:
    books = shop(tmp_path, "first", model="linear", collapse_minutes=0)
    books.touches.add(
        click("bob", NOW - 4),
        touch("alice", NOW - 3),
        touch("bob", NOW - 2),
        touch("carol", NOW - 1, embedded=True),
    )
    assert bound(books) == "bob"
    assert books.touched() == [("bob", ""), ("alice", "bound"), ("bob", "bound"), ("carol", "embedded")]


def test_with_fallback_it_credits_only_where_no_touch_counts(tmp_path: Path) -> None:
    books = shop(tmp_path, "first", binding_fallback=True)
    books.touches.add(click("bob", NOW - 40 * DAY), touch("alice", NOW - DAY))
    assert bound(books) == ""
    assert books.credits() == {"alice": 500}
    books.touches.hits[-1]["embedded"] = True
    assert bound(books, "o2") == "bob"
    assert books.credits("o2") == {"bob": 500}
    assert books.touched("o2") == [("bob", ""), ("alice", "embedded")]


def test_nobody_bound_the_touches_count(tmp_path: Path) -> None:
    books = shop(tmp_path, "first")
    books.touches.add(touch("alice", NOW - DAY))
    assert bound(books) == ""
    assert books.credits() == {"alice": 500}


def test_booked_anew_the_customer_stays_whose_it_was(tmp_path: Path) -> None:
    books = shop(tmp_path, "last")
    books.touches.add(click("bob", NOW - 1))
    bound(books, status="pending")
    books.touches.hits = []
    books.order(status="approved", amount=20_000)
    assert (books.credits(), books.conversion()["evidence"]["bound"]) == ({"bob": 1_000}, "bob")

"""Which touches count: money.md section 4, *Touches*, on a real database."""

from pathlib import Path

import msgspec
import pytest
from books_kit import (
    ALICE_CLICK,
    BOB_CLICK,
    DAY,
    MINUTE,
    NOW,
    OTHER_VISITOR,
    VISITOR,
    Books,
    touch,
)

from tuike.books.candidates import MAX_OTHERS, MAX_TOUCHES
from tuike.books.orders import MAX_REFUNDS
from tuike.books.records import conversion_id

MAX_AMOUNT = 10**15 - 1
MAX_EVENT = 1 << 20  # what the journal takes
HOUR = 60 * MINUTE


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books.with_click(tmp_path)


@pytest.fixture
def linear(tmp_path: Path) -> Books:
    books = Books(tmp_path)
    books.shop(attribution={"model": "linear", "collapse_minutes": 0})
    return books


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"counted": False, "bot": True, "reason": "bot"}, "bot"),
        ({"counted": False, "reason": "prefetch"}, "prefetch"),
        ({"counted": False, "reason": "blocked_promoter"}, "blocked_promoter"),
        ({"embedded": True}, "embedded"),
        ({"kind": "view"}, "view"),
        ({"aff": "nobody"}, "unknown_promoter"),
    ],
)
def test_what_never_counts_is_shown_with_its_reason(books: Books, more: dict[str, object], why: str) -> None:
    books.touches.hits = [touch("alice", NOW - MINUTE) | more]
    books.order(visitor=VISITOR)
    assert books.conversion()["reason"] == "no_touch"
    assert [found for _, found in books.touched()] == [why]


def test_a_blocked_promoter_is_no_touch_and_a_missing_level(books: Books) -> None:
    books.ask("promoter.update", id="bob", status="blocked")
    books.order(click=ALICE_CLICK)
    assert books.shares() == [("alice", 1, "alice", 500), ("carol", 3, "alice", 100), ("", 0, "", 400)]
    books.touches.add(touch("bob", NOW - MINUTE, BOB_CLICK, visitor=OTHER_VISITOR))
    books.order("o2", click=BOB_CLICK)
    assert (books.conversion("o2")["reason"], books.touched("o2")) == ("no_touch", [("bob", "blocked_promoter")])


# --- views -----------------------------------------------------------------------------------------


@pytest.fixture
def viewed(tmp_path: Path) -> Books:
    books = Books(tmp_path)
    books.shop(attribution={"view_through": True})
    return books


def test_views_count_only_where_no_click_does(viewed: Books) -> None:
    viewed.touches.add(touch("bob", NOW - MINUTE, kind="view"), touch("carol", NOW - DAY, embedded=True))
    viewed.order(visitor=VISITOR)
    assert viewed.touched() == [("carol", "embedded"), ("bob", "")]
    viewed.touches.add(touch("alice", NOW - 2 * DAY))
    viewed.order("o2", visitor=VISITOR)
    assert viewed.touched("o2") == [("alice", ""), ("carol", "embedded"), ("bob", "click_counts")]


def test_views_count_for_as_long_as_the_product_says(viewed: Books) -> None:
    viewed.touches.add(touch("alice", NOW - DAY - 1, kind="view"), touch("bob", NOW - DAY, kind="view"))
    viewed.order(visitor=VISITOR)
    assert viewed.touched() == [("alice", "view_window"), ("bob", "")]
    viewed.ask("product.update", id="tea", attribution={"view_window_hours": 23})
    viewed.order("o2", visitor=VISITOR)
    assert viewed.conversion("o2")["reason"] == "no_touch"


# --- touches close together ------------------------------------------------------------------------


def test_touches_of_one_promoter_close_together_are_one_the_latest(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(attribution={"model": "linear"})
    minutes = (("alice", 62), ("alice", 32), ("bob", 31), ("alice", 1))
    books.touches.add(*(touch(promoter, NOW - minute * MINUTE) for promoter, minute in minutes))
    books.order(visitor=VISITOR)
    assert books.touched() == [("alice", "collapsed"), ("alice", ""), ("bob", ""), ("alice", "")]
    assert books.credits() == {"alice": 667, "bob": 333}


def test_of_zero_minutes_none_are_one(linear: Books) -> None:
    linear.touches.add(touch("alice", NOW, ALICE_CLICK), touch("alice", NOW, BOB_CLICK))
    linear.order(visitor=VISITOR)
    assert linear.touched() == [("alice", ""), ("alice", "")]


# --- own purchases ---------------------------------------------------------------------------------


def own(books: Books, promoter: str, *custs: str, merchant: str = "shop") -> None:
    customers = [{"merchant": merchant, "cust": cust} for cust in custs]
    books.ask("promoter.update", id=promoter, customers=customers)


def test_a_promoter_earns_nothing_by_an_own_purchase(books: Books) -> None:
    own(books, "alice", "c1", "c2")
    books.touches.add(touch("bob", NOW - 2 * DAY))
    books.order(click=ALICE_CLICK, cust="c2")
    assert (books.touched(), books.credits()) == ([("bob", ""), ("alice", "own_purchase")], {"bob": 500})
    books.order("o2", click=ALICE_CLICK, cust="c3")
    assert next(iter(books.credits("o2"))) == "alice"


def test_nor_on_a_level_of_the_chain(books: Books) -> None:
    own(books, "bob", "c1")
    books.order(click=ALICE_CLICK, cust="c1")
    assert books.shares() == [("alice", 1, "alice", 500), ("carol", 3, "alice", 100), ("", 0, "", 400)]


def test_a_visitor_once_signed_in_as_the_promoter_is_the_promoter(books: Books) -> None:
    own(books, "alice", "c1")
    books.touches.add(touch("bob", NOW - 40 * DAY, kind="view", cust="c1"))
    for oid, fields in (("o1", {"visitor": VISITOR}), ("o2", {"click": ALICE_CLICK})):
        books.order(oid, **fields)
        assert books.touched(oid) == [("alice", "own_purchase")]
    books.touches.add(touch("alice", NOW - DAY, BOB_CLICK, visitor=OTHER_VISITOR))
    books.order("o3", click=BOB_CLICK)
    assert books.credits("o3") == {"alice": 500}


def test_a_coupon_and_a_named_promoter_are_own_purchases_too(books: Books) -> None:
    own(books, "alice", "c1")
    books.ask("link.create", promoter="alice", product="tea", coupon="MINE")
    books.order(cust="c1", coupon="MINE")
    assert books.touched() == [("alice", "own_purchase")]
    books.order("o2", cust="c1", aff="alice")
    assert books.touched("o2") == [("alice", "own_purchase")]


def test_another_merchants_customer_is_somebody_else(books: Books) -> None:
    own(books, "alice", "c1", merchant="other")
    books.order(click=ALICE_CLICK, cust="c1")
    assert books.credits() == {"alice": 500}


def test_own_purchases_count_where_the_product_says_so(books: Books) -> None:
    own(books, "alice", "c1")
    books.ask("product.update", id="tea", attribution={"self_purchase": True})
    books.order(click=ALICE_CLICK, cust="c1")
    assert books.credits() == {"alice": 500}


def test_a_customer_who_is_taken_off_is_nobody(books: Books) -> None:
    own(books, "alice", "c1")
    own(books, "alice")
    books.order(click=ALICE_CLICK, cust="c1")
    assert books.credits() == {"alice": 500}


def test_an_order_that_is_booked_anew_keeps_who_bought_it(books: Books) -> None:
    own(books, "bob", "c1")
    books.order(click=ALICE_CLICK, cust="c1", status="pending")
    own(books, "bob")
    books.order(status="approved", amount=20_000)
    assert [share[0] for share in books.shares()] == ["alice", "carol", ""]


# --- weights ---------------------------------------------------------------------------------------


def test_several_credited_promoters_share_the_pool_by_weight(linear: Books) -> None:
    linear.touches.add(touch("alice", NOW - 3), touch("bob", NOW - 2), touch("carol", NOW - 1), touch("alice", NOW))
    linear.order(visitor=VISITOR, amount=10_010)
    # a pool of 1001: half to alice, a quarter each to bob and carol; the unit left goes to the largest fraction
    assert [share[::3] for share in linear.shares()] == [("alice", 501), ("bob", 250), ("carol", 250), ("", 0)]
    assert next(iter(linear.sums()))[0] == "alice"


@pytest.mark.parametrize(
    ("model", "credits"),
    [
        ("first", {"carol": 1_000}),
        ("last", {"alice": 1_000}),
        ("linear", {"carol": 334, "bob": 333, "alice": 333}),
        ("position", {"carol": 400, "bob": 200, "alice": 400}),
        ("time_decay", {"carol": 143, "bob": 286, "alice": 571}),
    ],
)
def test_the_products_model_weighs_the_touches(tmp_path: Path, model: str, credits: dict[str, int]) -> None:
    books = Books(tmp_path)
    books.shop(attribution={"model": model})
    books.touches.add(touch("carol", NOW - 14 * DAY), touch("bob", NOW - 7 * DAY), touch("alice", NOW))
    books.order(visitor=VISITOR)
    assert books.credits() == credits


@pytest.mark.parametrize(("days", "ms"), [(7, 7 * DAY), (0.7, 60_480_000), (1 / 24, HOUR), (0.041667, 3_600_029)])
def test_a_half_life_is_taken_from_its_decimal_exactly(tmp_path: Path, days: float, ms: int) -> None:
    books = Books(tmp_path)
    books.shop(attribution={"half_life_days": days})
    assert books.bookkeeper.registry.products["tea"].attribution.half_life == ms


# --- what is kept of it ----------------------------------------------------------------------------


def test_of_too_many_touches_the_first_and_the_newest_count(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(attribution={"model": "position", "collapse_minutes": 0})
    clicks = MAX_TOUCHES + 3
    books.touches.add(touch("carol", NOW - clicks), *(touch("bob", NOW - n) for n in range(1, clicks)))
    books.touches.add(touch("alice", NOW), *(touch("bob", NOW - DAY - n, embedded=True) for n in range(MAX_OTHERS)))
    books.order(visitor=VISITOR)
    counted = [promoter for promoter, why in books.touched() if not why]
    assert (len(counted), counted[0], counted[-1]) == (MAX_TOUCHES, "carol", "alice")
    assert [why for _, why in books.touched() if why][-4:] == ["too_many_touches"] * 4
    assert len(books.touched()) == MAX_TOUCHES + MAX_OTHERS
    assert books.credits() == {"carol": 400, "bob": 200, "alice": 400}


def test_the_longest_evidence_fits_into_an_event(tmp_path: Path) -> None:
    """Whatever a visitor did before the order: the books must be able to write down what they decided."""
    books = Books(tmp_path)
    tiers = [{"from": str(n), "value": "1"} for n in range(1_900)]
    bonuses = [{"type": "percentage", "value": "0.5"}] * 64
    levels = [{"level": level, "share": "30"} for level in (1, 2, 3)]
    base = {"type": "tiered", "mode": "marginal", "tiers": tiers}
    books.shop(
        {"type": "hybrid", "base": base, "bonus": bonuses, "levels": levels},
        attribution={"model": "linear", "collapse_minutes": 0},
    )
    ids = [f"{n:064d}" for n in range(MAX_TOUCHES)]
    for parent, id in zip([None, None, None, *ids], ids, strict=False):
        books.ask("promoter.create", id=id, name="P", parent=parent)
    text = "\x01" * 512
    labels = {"channel": text} | {f"sub{n}": text for n in range(1, 6)}
    books.touches.add(*(touch(id, NOW - n, **labels) for n, id in enumerate(ids)))
    for n in range(2_000):
        books.touches.add(touch(text, NOW - DAY - n, counted=False, reason="unknown_promoter", **labels))
    texts = {"oid": text, "cust": text, "did": text, "coupon": text}
    assert books.order(visitor=VISITOR, amount=MAX_AMOUNT, **texts)["code"] == ""
    refunds = [{"status": "refunded", "amount": 1, "refund_id": f"{n}{text}"[:512]} for n in range(MAX_REFUNDS)]
    sales = {"merchant": "shop", "pid": "tea", "oid": text, "currency": "CNY", "source": "postback"}
    books.apply(orders=[books.item("order", **sales | refund) for refund in refunds])
    books.decide("conversion.refund", conversion_id("shop", text, "tea"), reason=text)
    effect = books.journal[-1].effect
    assert effect is not None and effect.standing is not None
    assert len(effect.standing.shares) > 2 * MAX_TOUCHES
    steps = msgspec.json.encode(effect.standing.conversion.evidence["split"])
    # once more where a second look has changed them
    assert max(len(msgspec.json.encode(booked)) for booked in books.journal) + len(steps) < MAX_EVENT - 200_000

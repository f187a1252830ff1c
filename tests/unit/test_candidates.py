"""Where an order's touches are looked for: money.md section 4, *Candidates*, on a real database."""

from pathlib import Path

import pytest
from books_kit import ALICE_CLICK, BOB_CLICK, DAY, MINUTE, NOW, OTHER_VISITOR, VISITOR, Books, touch

TODAY, YESTERDAY = f"{21:032x}", f"{22:032x}"  # fingerprints
NOBODY = f"{99:032x}"


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books.with_click(tmp_path)


def coupon(books: Books, promoter: str, text: str, **link: object) -> dict[str, object]:
    return books.ask("link.create", promoter=promoter, product="tea", coupon=text, **link)


def test_the_path_ends_at_the_click_that_the_order_names(books: Books) -> None:
    books.touches.add(touch("bob", NOW - MINUTE, BOB_CLICK))
    books.order(click=ALICE_CLICK)
    assert (books.found_by(), books.touched()) == ("click", [("alice", "")])
    books.order("o2", visitor=VISITOR)
    assert (books.found_by("o2"), next(iter(books.credits("o2")))) == ("visitor", "bob")


def test_the_path_of_a_click_is_its_visitors_up_to_it_in_the_order_of_time_and_id(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(attribution={"model": "linear", "collapse_minutes": 0})
    ids = [f"{n:032x}" for n in range(3)]
    books.touches.add(*(touch(who, NOW, id) for who, id in zip(("carol", "bob", "alice"), ids, strict=True)))
    books.touches.add(touch("carol", NOW - 1, visitor=OTHER_VISITOR))
    books.order(click=ids[1])
    assert books.touched() == [("carol", ""), ("bob", "")]


def test_an_anonymous_click_is_a_path_of_one(books: Books) -> None:
    books.touches.add(touch("bob", NOW - MINUTE, BOB_CLICK, visitor=""))
    books.order(click=BOB_CLICK)
    assert books.credits() == {"bob": 500}


@pytest.mark.parametrize(
    "more", [{"at": NOW + 1}, {"at": NOW - 30 * DAY - 1}, {"merchant": "other"}], ids=["later", "too old", "another's"]
)
def test_a_click_that_cannot_have_led_to_the_order_finds_nothing(books: Books, more: dict[str, object]) -> None:
    books.touches.add(touch("bob", NOW, BOB_CLICK, visitor=OTHER_VISITOR) | more)
    books.order(click=BOB_CLICK, cust="c", aff="carol")
    assert (books.found_by(), books.touched()) == ("aff", [("carol", "")])


@pytest.mark.parametrize(
    "more", [{"at": NOW + 1}, {"at": NOW - 30 * DAY - 1}, {"embedded": True}], ids=["later", "too old", "no touch"]
)
def test_a_named_click_that_finds_nothing_does_not_lend_its_visitor(books: Books, more: dict[str, object]) -> None:
    books.touches.add(touch("bob", NOW - 2 * DAY, BOB_CLICK) | more)
    books.order(click=BOB_CLICK)
    assert (books.found_by(), books.credits()) == ("", {})
    books.order("o2", click=BOB_CLICK, visitor=VISITOR)
    assert (books.found_by("o2"), books.credits("o2")) == ("visitor", {"alice": 500})


def test_identifiers_are_asked_in_their_order_until_one_finds_a_touch_that_counts(books: Books) -> None:
    books.touches.hits = []
    coupon(books, "alice", "SAVE")
    asked = {
        "click": {"click": ALICE_CLICK},
        "coupon": {"coupon": "SAVE"},
        "visitor": {"visitor": VISITOR},
        "cust": {"cust": "c1"},
        "did": {"did": "d1"},
        "aff": {"aff": "carol"},
    }
    books.touches.add(
        touch("bob", NOW - 4, ALICE_CLICK, visitor=""),
        touch("bob", NOW - 3),
        touch("bob", NOW - 2, visitor="", cust="c1"),
        touch("bob", NOW - 1, visitor="", did="d1"),
    )
    names = list(asked)
    for place, first in enumerate(names):
        fields = {name: value for later in names[place:] for name, value in asked[later].items()}
        books.order(first, **fields)
        assert books.found_by(first) == first


def test_what_was_looked_at_on_the_way_is_shown(books: Books) -> None:
    books.touches.hits = [
        touch("bob", NOW - 2, visitor=OTHER_VISITOR, embedded=True),
        touch("carol", NOW - 1, visitor="", did="d1", kind="view"),
    ]
    books.order(visitor=OTHER_VISITOR, did="d1", aff="alice")
    assert (books.found_by(), books.touched()) == ("aff", [("bob", "embedded"), ("carol", "view"), ("alice", "")])


def test_a_touch_that_does_not_count_is_found_all_the_same(books: Books) -> None:
    books.touches.hits = [touch("carol", NOW - 1, counted=False, reason="bot")]
    books.order(visitor=VISITOR, aff="alice")
    assert (books.found_by(), books.touched()) == ("visitor", [("carol", "bot")])


def test_touches_are_of_the_same_merchant_whatever_its_product(books: Books) -> None:
    books.touches.hits = [touch("alice", NOW - 2, pid="cup"), touch("bob", NOW - 1, merchant="other")]
    books.order(visitor=VISITOR)
    assert books.touched() == [("alice", "")]


def test_the_window_includes_its_first_and_its_last_instant(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(attribution={"window_days": 1, "model": "linear", "collapse_minutes": 0})
    books.touches.add(*(touch("alice", at) for at in (NOW - DAY - 1, NOW - DAY, NOW, NOW + 1)))
    books.order(visitor=VISITOR)
    assert [c["at"] for c in books.conversion()["evidence"]["candidates"]] == [NOW - DAY, NOW]


# --- coupons ---------------------------------------------------------------------------------------


def test_a_coupon_is_a_touch_of_its_promoter_at_the_orders_instant_alone(books: Books) -> None:
    coupon(books, "bob", "SAVE", channel="leaflet", sub2="hall 4")
    books.order(coupon="SAVE", visitor=VISITOR)
    (candidate,) = books.conversion()["evidence"]["candidates"]
    assert (candidate["kind"], candidate["at"], candidate["promoter"]) == ("coupon", NOW, "bob")
    assert books.sums()["bob", "leaflet", 2, "hall 4"] == (1, 10_000, 800)


@pytest.mark.parametrize(("first", "promoter"), [(False, "alice"), (True, "bob")])
def test_a_coupon_is_asked_first_of_all_where_the_product_says_so(books: Books, first: bool, promoter: str) -> None:
    books.ask("product.update", id="tea", attribution={"coupon_first": first})
    coupon(books, "bob", "SAVE")
    books.order(coupon="SAVE", click=ALICE_CLICK)
    assert next(iter(books.credits())) == promoter


def test_an_unknown_coupon_finds_nothing_nor_does_another_merchants(books: Books) -> None:
    books.ask("merchant.create", id="other", name="Other", currency="CNY", secret="sealed")
    body = {"merchant": "other", "url": "https://s.example/", "commission": {"type": "percentage", "value": "1"}}
    books.ask("product.create", id="cup", **body)
    books.ask("link.create", promoter="bob", product="cup", coupon="SAVE")
    for oid, text in (("o1", "SAVE"), ("o2", "NONE")):
        books.order(oid, coupon=text)
        assert books.conversion(oid)["reason"] == "no_touch"


def test_an_inactive_coupon_finds_nothing(books: Books) -> None:
    made = coupon(books, "bob", "SAVE", expires=NOW)
    books.order("before", coupon="SAVE", at=NOW - 1)
    books.order("after", coupon="SAVE", at=NOW)
    books.ask("link.update", code=made["result"]["code"], status="paused")
    books.order("paused", coupon="SAVE", at=NOW - 1)
    assert [books.found_by(oid) for oid in ("before", "after", "paused")] == ["coupon", "", ""]


def test_a_coupon_that_stands_on_several_links_counts_while_one_of_them_is_active(books: Books) -> None:
    links = [coupon(books, "bob", "SAVE", code=code, channel=code)["result"]["code"] for code in ("a", "b")]
    books.order("o1", coupon="SAVE")
    books.ask("link.update", code=links[0], status="paused")
    books.order("o2", coupon="SAVE")
    books.open()
    books.order("o3", coupon="SAVE")
    books.ask("link.update", code=links[1], status="paused")
    books.order("o4", coupon="SAVE")
    assert [books.found_by(f"o{n}") for n in range(1, 5)] == ["coupon", "coupon", "coupon", ""]
    assert {channel for _, channel, _, _ in books.sums()} == {"a", "b"}
    assert books.ask("link.create", promoter="bob", product="tea", coupon="SAVE", code="c")["http"] == 201


# --- fingerprints ----------------------------------------------------------------------------------


@pytest.fixture
def accepting(tmp_path: Path) -> Books:
    books = Books(tmp_path)
    books.shop(pixel_conversions="accept", attribution={"model": "linear"})
    return books


def test_a_fingerprint_finds_touches_of_24_hours_at_most(accepting: Books) -> None:
    accepting.touches.add(touch("bob", NOW - DAY - 1, fingerprint=TODAY), touch("alice", NOW - DAY, fingerprint=TODAY))
    accepting.claim(fingerprint=TODAY)
    assert (accepting.found_by(), accepting.touched()) == ("fingerprint", [("alice", "")])


def test_a_fingerprint_of_yesterday_is_the_same_browsers(accepting: Books) -> None:
    accepting.touches.add(
        touch("bob", NOW - 3, fingerprint=YESTERDAY),
        touch("alice", NOW - 2, fingerprint=TODAY),
        touch("carol", NOW - DAY - 1, fingerprint=YESTERDAY),
    )
    accepting.claim(fingerprint=TODAY, fingerprint_before=YESTERDAY)
    assert accepting.touched() == [("bob", ""), ("alice", "")]
    accepting.claim("o2", fingerprint=NOBODY, fingerprint_before=YESTERDAY)
    assert accepting.touched("o2") == [("bob", "")]


# --- aff -------------------------------------------------------------------------------------------


def test_the_merchants_word_names_a_promoter(books: Books) -> None:
    books.order(aff="bob")
    (candidate,) = books.conversion()["evidence"]["candidates"]
    assert (candidate["kind"], candidate["at"], candidate["promoter"]) == ("aff", NOW, "bob")


@pytest.mark.parametrize(("promoter", "why"), [("nobody", "unknown_promoter"), ("bob", "blocked_promoter")])
def test_a_promoter_who_may_not_earn_is_named_in_vain(books: Books, promoter: str, why: str) -> None:
    books.ask("promoter.update", id="bob", status="blocked")
    books.order(aff=promoter)
    assert (books.conversion()["reason"], books.touched()) == ("no_touch", [(promoter, why)])

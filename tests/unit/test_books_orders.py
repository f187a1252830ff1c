"""Orders, claims and decisions: what money.md section 2 says of them, on a real database."""

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
    THREE_LEVELS,
    VISITOR,
    Books,
    touch,
)
from sqlalchemy import select

from tuike.books.candidates import MAX_OTHERS, MAX_TOUCHES
from tuike.books.orders import MAX_REFUNDS
from tuike.books.records import conversion_id
from tuike.stores import schema

ORDER = conversion_id("shop", "o1", "tea")
MAX_AMOUNT = 10**15 - 1
MAX_EVENT = 1 << 20  # what the journal takes


@pytest.fixture
def books(tmp_path: Path) -> Books:
    books = Books(tmp_path)
    books.shop(THREE_LEVELS)
    books.touches.add(touch("alice", NOW - DAY, ALICE_CLICK, channel="wechat", sub1="red"))
    return books


def accrued(pool: int = 1_000) -> dict[str, int]:
    """Balances after alice's order: levels 5, 3, 1 of 10 percent, the platform the rest."""
    parts = {"promoter:alice:pending": 5, "promoter:bob:pending": 3, "promoter:carol:pending": 1, "platform:revenue": 1}
    return {name: part * pool // 10 for name, part in parts.items()} | {"merchant:shop:payable": -pool}


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


def test_the_same_message_again_changes_nothing(books: Books) -> None:
    first = books.order(click=ALICE_CLICK, stamp=5)
    again = books.order(click=ALICE_CLICK, stamp=5)
    assert (again["status"], again["code"], again["result"]) == (first["status"], first["code"], first["result"])
    assert (books.transfers(), books.balances()) == (["accrue:1"], accrued())


def test_an_event_that_is_read_twice_is_applied_once(books: Books) -> None:
    fields = {"merchant": "shop", "pid": "tea", "oid": "o1", "amount": 10_000, "currency": "CNY", "click": ALICE_CLICK}
    item = books.item("order", **fields)
    books.apply(orders=[item, item])
    books.apply(orders=[item])
    assert books.balances() == accrued()
    assert len(books.journal[-1].effect.transfers) == 1


def test_without_a_product_the_clicks_counts(books: Books) -> None:
    assert books.order(pid="", click=ALICE_CLICK)["code"] == ""
    assert books.conversion()["product"] == "tea"


def test_without_an_order_id_the_click_id_is_the_order(books: Books) -> None:
    books.order(oid="", click=ALICE_CLICK)
    assert books.conversion(ALICE_CLICK)["order_id"] == ALICE_CLICK


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"pid": "coffee"}, "unknown_product"),
        ({"pid": ""}, "unknown_product"),
        ({"merchant": "other"}, "unknown_merchant"),
        ({"oid": ""}, "missing_order_id"),
        ({"status": "shipped"}, "unknown_status"),
        ({"status": "refunded"}, "unknown_order"),
        ({"amount": None, "click": ALICE_CLICK}, "amount_missing"),
    ],
)
def test_what_cannot_be_booked_is_set_aside(books: Books, fields: dict[str, str], code: str) -> None:
    outcome = books.order(**fields)
    assert (outcome["status"], outcome["code"]) == ("set_aside", code)
    assert books.rows(select(schema.conversions)) == []
    assert books.balances() == {}


def test_an_order_without_a_touch_is_kept_and_pays_nobody(books: Books) -> None:
    assert books.order()["status"] == "applied"
    assert (books.conversion()["reason"], books.shares(), books.balances(), books.sums()) == ("no_touch", [], {}, {})


def test_a_fixed_rule_pays_an_order_without_amount(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop({"type": "fixed", "value": "8"})
    books.order(amount=None, aff="alice")
    assert books.balances() == {"merchant:shop:payable": -800, "promoter:alice:pending": 800}


# --- moves -----------------------------------------------------------------------------------------


def test_pending_accrues_and_approval_moves_no_money(books: Books) -> None:
    books.order(click=ALICE_CLICK, status="pending")
    books.order(click=ALICE_CLICK, status="approved")
    assert books.conversion()["status"] == "approved"
    assert (books.transfers(), books.balances()) == (["accrue:1"], accrued())


def test_while_pending_another_amount_is_booked_anew(books: Books) -> None:
    books.order(click=ALICE_CLICK, status="pending")
    books.order(status="pending", amount=20_000)
    assert (books.conversion()["amount"], books.conversion()["status"]) == (20_000, "pending")
    assert books.transfers() == ["accrue:1", "reverse:1", "accrue:2"]
    assert books.balances() == accrued(2_000)
    assert books.sums()["alice", "wechat", 0, ""] == (1, 20_000, 1_800)


def test_later_another_amount_is_a_conflict(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    assert books.order(amount=20_000)["code"] == "amount_conflict"
    assert books.balances() == accrued()


@pytest.mark.parametrize("status", ["pending", "approved"])
def test_rejection_takes_everything_back(books: Books, status: str) -> None:
    books.order(click=ALICE_CLICK, status=status)
    books.order(status="rejected")
    assert books.conversion()["status"] == "rejected"
    assert (books.balances(), books.sums()) == ({}, {})
    assert [amount for *_, amount in books.shares()] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("before", "status", "code"),
    [
        ("rejected", "approved", "final_status"),
        ("rejected", "refunded", "final_status"),
        ("pending", "refunded", "illegal_move"),
        ("approved", "pending", "illegal_move"),
    ],
)
def test_other_moves_are_set_aside(books: Books, before: str, status: str, code: str) -> None:
    books.order(click=ALICE_CLICK, status=before)
    assert books.order(status=status)["code"] == code
    assert books.conversion()["status"] == before


def test_a_status_older_than_the_last_applied_changes_nothing(books: Books) -> None:
    books.order(click=ALICE_CLICK, status="approved", stamp=20)
    assert books.order(status="rejected", stamp=19)["code"] == "older_status"
    assert books.order(status="rejected", stamp=20)["code"] == ""
    assert books.conversion()["status"] == "rejected"


# --- refunds ---------------------------------------------------------------------------------------


def test_shares_fall_to_the_floor_of_what_is_left(books: Books) -> None:
    books.order(click=ALICE_CLICK, amount=9_999)
    before = books.shares()
    books.order(status="refunded", amount=3_333, refund_id="r1")
    for (*_, original), (*_, amount) in zip(before, books.shares(), strict=True):
        assert amount == original * 6_666 // 9_999
    assert (books.conversion()["status"], books.conversion()["refunded"]) == ("approved", 3_333)
    assert books.sums()["alice", "wechat", 0, ""][:2] == (1, 6_666)


def test_a_refund_repeated_is_a_no_op(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    for _ in range(3):
        assert books.order(status="refunded", amount=2_500, refund_id="r1")["code"] == ""
    assert books.conversion()["refunded"] == 2_500


def test_refunds_in_parts_end_at_exactly_zero(books: Books) -> None:
    books.order(click=ALICE_CLICK, amount=10_007)
    for part, amount in enumerate((3_001, 1, 4_000, 3_005)):
        books.order(status="refunded", amount=amount, refund_id=f"r{part}")
    assert books.conversion()["status"] == "refunded"
    assert books.balances() == {}


def test_what_is_refunded_beyond_the_amount_is_set_aside(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    assert books.order(status="refunded", amount=6_000, refund_id="r1")["code"] == ""
    assert books.order(status="refunded", amount=6_000, refund_id="r2")["code"] == "over_refund"
    assert (books.conversion()["refunded"], books.conversion()["status"]) == (10_000, "refunded")
    assert books.order(status="refunded", amount=1, refund_id="r3")["code"] == "over_refund"


def test_a_partial_refund_needs_a_name_and_a_whole_one_does_not(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    assert books.order(status="refunded", amount=1)["code"] == "missing_refund_id"
    assert books.order(status="refunded", amount=None)["code"] == ""
    assert books.order(status="refunded", amount=None)["code"] == ""
    assert (books.transfers(), books.balances()) == (["accrue:1", "refund"], {})


def test_a_refund_in_another_currency_is_set_aside(books: Books) -> None:
    """A postback without a currency is in the merchant's own: 50 of an order in yen are not 5,000 of them."""
    books.order(click=ALICE_CLICK, currency="JPY", amount=100)
    assert books.order(status="refunded", amount=5_000, refund_id="r1")["code"] == "amount_conflict"
    assert (books.conversion()["refunded"], books.conversion()["status"]) == (0, "approved")
    assert books.order(status="refunded", amount=50, currency="JPY", refund_id="r1")["status"] == "applied"
    assert books.order(status="refunded", amount=None, refund_id="r2")["status"] == "applied"
    assert books.conversion()["status"] == "refunded"


def test_an_order_is_refunded_in_so_many_parts_and_then_whole(books: Books) -> None:
    books.order(click=ALICE_CLICK)
    refunds = [{"status": "refunded", "amount": 1, "refund_id": f"r{n}"} for n in range(MAX_REFUNDS)]
    sales = {"merchant": "shop", "pid": "tea", "oid": "o1", "currency": "CNY", "source": "postback"}
    books.apply(orders=[books.item("order", **sales | refund) for refund in refunds])
    assert books.conversion()["refunded"] == MAX_REFUNDS
    assert books.order(status="refunded", amount=1, refund_id="one more")["code"] == "too_many_refunds"
    assert books.order(status="refunded", amount=1, refund_id="r0")["code"] == ""
    assert books.order(status="refunded", amount=None)["code"] == ""
    assert (books.conversion()["status"], books.balances()) == ("refunded", {})


def test_partial_refunds_are_taken_in_any_order_of_their_stamps(books: Books) -> None:
    books.order(click=ALICE_CLICK, stamp=10)
    books.order(status="refunded", amount=1_000, refund_id="r2", stamp=30)
    books.order(status="refunded", amount=1_000, refund_id="r1", stamp=20)
    assert books.conversion()["refunded"] == 2_000


# --- attribution -----------------------------------------------------------------------------------


def test_the_path_ends_at_the_click_that_the_order_names(books: Books) -> None:
    books.touches.add(touch("bob", NOW - MINUTE, BOB_CLICK))
    books.order(click=ALICE_CLICK)
    assert books.shares()[0][:3] == ("alice", 1, "alice")
    books.order(oid="o2", visitor=VISITOR)
    assert books.shares("o2")[0][:3] == ("bob", 1, "bob")


def test_an_anonymous_click_is_a_path_of_one(books: Books) -> None:
    books.touches.add(touch("bob", NOW - MINUTE, BOB_CLICK, visitor=""))
    books.order(click=BOB_CLICK)
    assert books.shares()[0][0] == "bob"


def test_identifiers_are_asked_in_their_order_until_one_counts(books: Books) -> None:
    books.touches.add(
        touch("bob", NOW - 2, visitor=OTHER_VISITOR, cust="c1"),
        touch("carol", NOW - 1, visitor="", did="d1", embedded=True),
    )
    books.order(did="d1", cust="c1")
    assert books.conversion()["evidence"]["found_by"] == "cust"
    books.order(oid="o2", did="d1", aff="alice")
    assert books.conversion("o2")["evidence"]["found_by"] == "aff"
    assert [c["why"] for c in books.conversion("o2")["evidence"]["candidates"]] == ["embedded", ""]


def test_the_window_includes_its_first_and_its_last_instant(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(attribution={"window_days": 1, "model": "linear", "collapse_minutes": 0})
    books.touches.add(*(touch("alice", at) for at in (NOW - DAY - 1, NOW - DAY, NOW, NOW + 1)))
    books.order(visitor=VISITOR)
    assert [c["at"] for c in books.conversion()["evidence"]["candidates"]] == [NOW - DAY, NOW]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"counted": False, "bot": True, "reason": "bot"}, "bot"),
        ({"counted": False, "reason": "prefetch"}, "prefetch"),
        ({"embedded": True}, "embedded"),
        ({"kind": "view"}, "view"),
        ({"aff": "nobody"}, "unknown_promoter"),
    ],
)
def test_what_never_counts_is_shown_with_its_reason(books: Books, more: dict[str, object], why: str) -> None:
    books.touches.hits = [touch("alice", NOW - MINUTE) | more]
    books.order(visitor=VISITOR)
    assert books.conversion()["reason"] == "no_touch"
    assert [c["why"] for c in books.conversion()["evidence"]["candidates"]] == [why]


def test_a_blocked_promoter_is_no_touch_and_a_missing_level(books: Books) -> None:
    books.ask("promoter.update", id="bob", status="blocked")
    books.order(click=ALICE_CLICK)
    assert books.shares() == [("alice", 1, "alice", 500), ("carol", 3, "alice", 100), ("", 0, "", 400)]
    books.touches.add(touch("bob", NOW - MINUTE, BOB_CLICK, visitor=OTHER_VISITOR))
    books.order(oid="o2", click=BOB_CLICK)
    assert books.conversion("o2")["reason"] == "no_touch"


def test_views_count_only_where_no_click_does(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(attribution={"view_through": True})
    books.touches.add(touch("bob", NOW - MINUTE, kind="view"))
    books.order(visitor=VISITOR)
    assert books.shares()[0][0] == "bob"
    books.touches.add(touch("alice", NOW - DAY))
    books.order(oid="o2", visitor=VISITOR)
    assert books.shares("o2")[0][0] == "alice"
    books.touches.hits = [touch("bob", NOW - DAY - 1, kind="view")]
    books.order(oid="o3", visitor=VISITOR)
    assert [c["why"] for c in books.conversion("o3")["evidence"]["candidates"]] == ["view_window"]


def test_touches_of_one_promoter_close_together_are_one_the_latest(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(attribution={"model": "linear"})
    books.touches.add(touch("alice", NOW - 61 * MINUTE), touch("alice", NOW - 31 * MINUTE), touch("bob", NOW - MINUTE))
    books.order(visitor=VISITOR)
    assert [c["why"] for c in books.conversion()["evidence"]["candidates"]] == ["collapsed", "", ""]
    assert [share[::3] for share in books.shares()] == [("alice", 500), ("bob", 500), ("", 0)]


def test_of_too_many_touches_the_first_and_the_newest_count(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(attribution={"model": "position", "collapse_minutes": 0})
    clicks = MAX_TOUCHES + 3
    books.touches.add(touch("carol", NOW - clicks), *(touch("bob", NOW - n) for n in range(1, clicks)))
    books.touches.add(touch("alice", NOW), *(touch("bob", NOW - DAY - n, embedded=True) for n in range(MAX_OTHERS)))
    books.order(visitor=VISITOR)
    candidates = books.conversion()["evidence"]["candidates"]
    counted = [c for c in candidates if not c["why"]]
    assert (len(counted), counted[0]["promoter"], counted[-1]["promoter"]) == (MAX_TOUCHES, "carol", "alice")
    assert [c["why"] for c in candidates if c["why"]][-4:] == ["too_many_touches"] * 4
    assert len(candidates) == MAX_TOUCHES + MAX_OTHERS
    assert [share[::3] for share in books.shares()] == [("carol", 400), ("bob", 200), ("alice", 400), ("", 0)]


def test_the_longest_evidence_fits_into_an_event(books: Books) -> None:
    """Whatever a visitor did before the order: the books must be able to write down what they decided."""
    books.ask("product.update", id="tea", attribution={"model": "linear", "collapse_minutes": 0})
    ids = [f"{n:064d}" for n in range(MAX_TOUCHES)]
    for parent, id in zip([None, None, None, *ids], ids, strict=False):
        books.ask("promoter.create", id=id, name="P", parent=parent)
    text = "\x01" * 512
    labels = {"channel": text} | {f"sub{n}": text for n in range(1, 6)}
    books.touches.add(*(touch(id, NOW - n, **labels) for n, id in enumerate(ids)))
    for n in range(2_000):
        books.touches.add(touch(text, NOW - DAY - n, counted=False, reason="unknown_promoter", **labels))
    texts = {"oid": text, "cust": text, "did": text, "coupon": text}
    books.order(visitor=VISITOR, amount=MAX_AMOUNT, **texts)
    refunds = [{"status": "refunded", "amount": 1, "refund_id": f"{n}{text}"[:512]} for n in range(MAX_REFUNDS)]
    sales = {"merchant": "shop", "pid": "tea", "oid": text, "currency": "CNY", "source": "postback"}
    books.apply(orders=[books.item("order", **sales | refund) for refund in refunds])
    books.decide("conversion.refund", conversion_id("shop", text, "tea"), reason=text)
    whole = books.journal[-1]
    assert whole.standing is not None and len(whole.standing.shares) > 2 * MAX_TOUCHES
    assert max(len(msgspec.json.encode(booked)) for booked in books.journal) < MAX_EVENT - 1_000


def test_several_credited_promoters_share_the_pool_by_weight(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(attribution={"model": "linear", "collapse_minutes": 0})
    books.touches.add(touch("alice", NOW - 3), touch("bob", NOW - 2), touch("carol", NOW - 1), touch("alice", NOW))
    books.order(visitor=VISITOR, amount=10_010)
    # a pool of 1001: half to alice, a quarter each to bob and carol; the unit left goes to the largest fraction
    assert [share[::3] for share in books.shares()] == [("alice", 501), ("bob", 250), ("carol", 250), ("", 0)]
    assert next(iter(books.sums()))[0] == "alice"


def test_the_merchants_word_names_a_promoter_and_a_browsers_does_not(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(pixel_conversions="accept")
    books.order(aff="alice")
    books.claim("o2", aff="alice")
    assert books.shares()[0][0] == "alice"
    assert books.conversion("o2")["reason"] == "no_touch"


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


# --- claims and decisions --------------------------------------------------------------------------


def test_a_held_claim_accrues_nothing_until_it_is_approved(books: Books) -> None:
    books.claim(visitor=VISITOR)
    assert (books.conversion()["status"], books.conversion()["reason"], books.balances()) == ("pending", "pixel", {})
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


def test_the_merchants_order_lends_the_claims_visitor_only_where_it_has_nothing(books: Books) -> None:
    books.touches.add(touch("bob", NOW - MINUTE, BOB_CLICK, visitor=OTHER_VISITOR))
    books.claim(visitor=VISITOR)
    books.order()
    assert (books.conversion()["status"], books.shares()[0][0]) == ("approved", "alice")
    books.claim("o2", visitor=VISITOR)
    books.order("o2", click=BOB_CLICK, amount=500)
    assert (books.conversion("o2")["amount"], books.shares("o2")[0][0]) == (500, "bob")


def test_claims_by_different_visitors_lend_nothing_and_hold_the_order(books: Books) -> None:
    books.claim(visitor=VISITOR)
    books.claim(visitor=OTHER_VISITOR)
    books.order()
    assert (books.conversion()["status"], books.conversion()["reason"]) == ("pending", "claim_conflict")
    assert books.balances() == {}
    books.order()
    assert books.conversion()["reason"] == "claim_conflict"


def test_claims_are_taken_as_the_product_says(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(pixel_conversions="reject")
    books.touches.add(touch("alice", NOW - MINUTE))
    assert books.claim(visitor=VISITOR)["code"] == "pixel_rejected"
    books.ask("product.update", id="tea", pixel_conversions="accept")
    assert books.claim("o2", visitor=VISITOR)["code"] == ""
    assert books.conversion("o2")["status"] == "approved"
    assert books.claim("o2", visitor=VISITOR, amount=1)["code"] == "amount_conflict"


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

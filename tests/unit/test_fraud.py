"""Fraud's flags in the books: what raises them, what they hold, and what becomes of the order when they are decided."""

import json
from pathlib import Path
from typing import Any

import pytest
from books_kit import ALICE_CLICK, DAY, MINUTE, NOW, OTHER_VISITOR, THREE_LEVELS, VISITOR, Books, accrued, touch
from sqlalchemy import insert, select, update

from tuike.stores import schema

HOUR = 60 * MINUTE
OFF: dict[str, Any] = {"min_seconds_to_order": 0}
# beside what is on by default
ALL: dict[str, Any] = {
    "max_clicks_before_order": 20,
    "max_visitors_per_fingerprint": 50,
    "max_flood_score": 10,
    "max_refund_percent": 50,
    "self_referral": True,
    "mismatch": True,
}


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books.with_click(tmp_path, fraud=ALL)


def hasty(books: Books, oid: str = "o1", **fields: Any) -> str:
    """An order two seconds after alice's click; its flag."""
    books.touches.add(touch("alice", NOW - 2_000, f"{9:032x}"))
    books.order(oid, visitor=VISITOR, **fields)
    return str(flags(books)[0]["id"])


def flags(books: Books) -> list[dict[str, Any]]:
    rows = books.rows(select(schema.fraud_flags).order_by(schema.fraud_flags.c.number))
    return [row | {"evidence": json.loads(row["evidence"])} for row in rows]


def found(books: Books) -> list[tuple[str, str]]:
    return [(flag["rule"], flag["status"]) for flag in flags(books)]


def stands(books: Books, oid: str = "o1") -> tuple[str, str]:
    order = books.conversion(oid)
    return order["status"], order["reason"]


def decide(books: Books, op: str, flag: str, **more: Any) -> dict[str, Any]:
    return books.decide(f"fraud.{op}", flag, **more)


# --- what raises a flag ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "rule", "value"),
    [
        ({"address_clicks": 101}, "clicks_per_ip_day", 101),
        ({"devices": 6}, "devices", 6),
        ({"clicks_before": 21}, "clicks_before_order", 21),
        ({"fingerprint_visitors": 51}, "visitors_per_fingerprint", 51),
        ({"agents": 2}, "agent_mismatch", 1),
        ({"referrer": "https://s.example"}, "referrer_mismatch", 1),
    ],
)
def test_a_rule_holds_an_order_past_its_limit(tmp_path: Path, seen: dict[str, Any], rule: str, value: int) -> None:
    books = Books(tmp_path)
    books.shop(THREE_LEVELS, fraud=ALL)
    books.touches.add(touch("alice", NOW - HOUR, ALICE_CLICK, **seen))
    books.order(visitor=VISITOR)
    (flag,) = flags(books)
    assert (flag["rule"], flag["status"], flag["promoter"], flag["product"]) == (rule, "open", "alice", "tea")
    assert (flag["evidence"]["value"], flag["evidence"]["touch"]) == (value, ALICE_CLICK)
    assert stands(books) == ("pending", "fraud")


def test_what_is_at_its_limit_is_no_fraud(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(THREE_LEVELS, fraud=ALL)
    at = {"address_clicks": 100, "devices": 5, "clicks_before": 20, "fingerprint_visitors": 50, "agents": 1}
    books.touches.add(touch("alice", NOW - 5_000, ALICE_CLICK, referrer="https://blog.example", **at))
    books.order(visitor=VISITOR)
    assert (flags(books), stands(books)) == ([], ("approved", ""))


def test_the_time_to_an_order_is_from_its_click_to_its_own_instant(books: Books) -> None:
    hasty(books, received=NOW + DAY)
    assert found(books) == [("seconds_to_order", "open")]
    assert flags(books)[0]["evidence"]["value"] == 2_000
    books.order("o2", visitor=VISITOR, at=NOW + 3_000)
    assert stands(books, "o2") == ("approved", "")


def test_what_no_click_led_to_is_not_hasty(books: Books) -> None:
    books.order(aff="alice")
    assert (flags(books), stands(books)) == ([], ("approved", ""))


def test_a_product_turns_rules_off(tmp_path: Path) -> None:
    books = Books(tmp_path)
    books.shop(THREE_LEVELS, fraud=OFF)
    books.touches.add(touch("alice", NOW - 1, ALICE_CLICK))
    books.order(visitor=VISITOR)
    assert stands(books) == ("approved", "")


def test_what_the_contract_does_not_name_is_off_by_default(tmp_path: Path) -> None:
    books = Books.with_click(tmp_path)
    seen = {"clicks_before": 99, "fingerprint_visitors": 99, "agents": 9, "referrer": "https://s.example"}
    books.touches.add(touch("alice", NOW - HOUR, f"{3:032x}", **seen))
    books.ask("promoter.update", id="bob", customers=[{"merchant": "shop", "cust": "b"}])
    books.order(visitor=VISITOR, cust="b")
    assert (flags(books), stands(books)) == ([], ("approved", ""))


@pytest.mark.parametrize(("rules", "asked"), [(OFF, False), (ALL, True)])
def test_tables_are_asked_only_for_rules_that_are_on(tmp_path: Path, rules: dict[str, Any], asked: bool) -> None:
    books = Books.with_click(tmp_path, fraud=rules)
    said: list[str] = []
    with books.engine.begin() as connection:
        connection.connection.driver_connection.set_trace_callback(said.append)  # type: ignore[union-attr]
    books.order(visitor=VISITOR)
    assert any("FROM promoter_hours" in text for text in said) is asked
    assert any("ORDER BY sales.day DESC" in text for text in said) is asked


def test_a_product_of_an_older_version_has_the_other_rules_by_default(books: Books) -> None:
    with books.engine.begin() as connection:
        connection.execute(update(schema.products).values(fraud='{"min_seconds_to_order": 0}'))
    books.open()
    books.touches.add(touch("alice", NOW - HOUR, f"{3:032x}", devices=9))
    books.order(visitor=VISITOR)
    assert found(books) == [("devices", "open")]


def test_an_hour_far_above_the_promoters_own_is_a_flood(books: Books) -> None:
    now = NOW // HOUR * HOUR // 1000
    hours = [(now - 3_600 * n, 20 + n % 7) for n in range(1, 50)] + [(now, 900)]
    with books.engine.begin() as connection:
        rows = [
            {"promoter": "alice", "merchant": "shop", "hour": hour, "partition": part, "clicks": clicks}
            for hour, clicks in hours
            for part in (0, 1)
        ]
        connection.execute(insert(schema.promoter_hours), rows)
    books.touches.add(touch("alice", NOW - 20_000, f"{3:032x}"))
    books.order(visitor=VISITOR)
    books.order("o2", visitor=VISITOR, at=NOW - HOUR)  # by the click of yesterday, in a quiet hour
    assert found(books) == [("flood", "open")]
    assert stands(books, "o2") == ("approved", "")


def test_a_promoter_whose_orders_come_to_nothing_is_looked_at(books: Books) -> None:
    for n in range(20):
        books.order(f"r{n}", visitor=VISITOR)
    for n in range(11):
        books.order(f"r{n}", status="refunded", amount=None)
    books.order(visitor=VISITOR)
    assert found(books) == [("refunds", "open")]
    assert flags(books)[0]["evidence"]["value"] == 55


def test_who_earns_above_what_he_buys_refers_himself(books: Books) -> None:
    books.ask("promoter.update", id="bob", customers=[{"merchant": "shop", "cust": "b"}])
    books.ask("promoter.create", id="dan", name="Dan", parent="carol", customers=[{"merchant": "shop", "cust": "d"}])
    books.order(visitor=VISITOR, cust="b")  # bob stands above alice
    books.order("o2", visitor=VISITOR, cust="d")  # dan does not
    assert found(books) == [("self_referral", "open")]
    assert flags(books)[0]["evidence"]["buyers"] == ["bob"]
    assert stands(books, "o2") == ("approved", "")


def test_another_account_of_the_same_person_refers_himself(books: Books) -> None:
    one = {"scheme": "none", "person": "one"}
    books.ask("promoter.update", id="alice", tax=one)
    books.ask("promoter.create", id="dan", name="Dan", tax=one, customers=[{"merchant": "shop", "cust": "d"}])
    books.order(visitor=VISITOR, cust="d")
    assert found(books) == [("self_referral", "open")]


def test_promoters_who_buy_from_one_another_in_a_circle_are_a_ring(books: Books) -> None:
    for name in ("x", "y", "z"):
        books.ask("promoter.create", id=name, name=name, customers=[{"merchant": "shop", "cust": name}])
        books.touches.add(touch(name, NOW - DAY, f"{ord(name):032x}", visitor=f"{ord(name):032x}"))

    def buys(buyer: str, seller: str, oid: str) -> None:
        books.order(oid, visitor=f"{ord(seller):032x}", cust=buyer)

    buys("x", "y", "1")
    buys("y", "z", "2")
    assert found(books) == []
    buys("z", "x", "3")
    assert found(books) == [("ring", "open")]
    assert flags(books)[0]["evidence"]["value"] == 3
    buys("y", "x", "4")
    assert [flag["evidence"]["value"] for flag in flags(books)] == [3, 2]


def test_a_ring_is_closed_within_one_batch_as_well(books: Books) -> None:
    for name in ("x", "y"):
        books.ask("promoter.create", id=name, name=name, customers=[{"merchant": "shop", "cust": name}])
        books.touches.add(touch(name, NOW - DAY, f"{ord(name):032x}", visitor=f"{ord(name):032x}"))
    sale = {"merchant": "shop", "pid": "tea", "currency": "CNY", "amount": 10_000}
    orders = [
        books.item("order", oid=buyer, cust=buyer, visitor=f"{ord(seller):032x}", **sale)
        for buyer, seller in (("x", "y"), ("y", "x"))
    ]
    books.apply(orders=orders)
    assert found(books) == [("ring", "open")]


def test_a_click_from_a_listed_network_is_looked_at(books: Books) -> None:
    done = books.ask("fraud.networks", id="clouds", networks=["192.0.2.0/23", "198.51.100.7/32"])
    assert (done["result"]["networks"], done["result"]["narrow"]) == (1, 1)
    bad = books.ask("fraud.networks", id="clouds", networks=["192.0.2.0/23", "nowhere"])
    assert (bad["code"], bad["http"]) == ("bad_network", 422)
    books.touches.add(touch("alice", NOW - HOUR, f"{3:032x}", prefix="192.0.3.0/24"))
    books.order(visitor=VISITOR)
    books.open()  # the list is there after a start
    books.order("o2", visitor=VISITOR)
    assert found(books) == [("datacentre", "open")] * 2
    books.ask("fraud.networks", id="clouds", networks=[])
    books.order("o3", visitor=VISITOR)
    assert stands(books, "o3") == ("approved", "")


def test_each_rule_of_an_order_is_a_flag_of_its_own(books: Books) -> None:
    books.touches.add(touch("alice", NOW - 2_000, f"{9:032x}", devices=9))
    books.order(visitor=VISITOR)
    assert found(books) == [("seconds_to_order", "open"), ("devices", "open")]


# --- what it holds, and how it ends ----------------------------------------------------------------


def test_a_flagged_order_accrues_and_is_not_released(books: Books) -> None:
    hasty(books)
    assert books.balances() == accrued()
    assert (books.rows(select(schema.dues)), books.conversion()["due"]) == ([], 0)


@pytest.mark.parametrize("given", ["approved", "pending"])
def test_a_cleared_order_goes_on_to_the_status_that_the_merchant_gave(books: Books, given: str) -> None:
    flag = hasty(books, status=given)
    assert stands(books) == ("pending", "fraud")
    done = decide(books, "clear", flag, note="a regular")
    assert (done["http"], done["result"]["status"], done["result"]["decided_by"]) == (200, "cleared", "token:1")
    assert done["result"]["note"] == "a regular"
    assert stands(books) == (given, "")
    assert books.balances() == accrued()
    assert len(books.rows(select(schema.dues))) == (given == "approved")


def test_an_approval_that_came_meanwhile_counts_when_it_is_cleared(books: Books) -> None:
    flag = hasty(books, status="pending")
    books.order(status="approved")
    assert stands(books) == ("pending", "fraud")
    decide(books, "clear", flag)
    assert stands(books) == ("approved", "")


def test_an_order_leaves_when_all_its_flags_are_cleared(books: Books) -> None:
    books.touches.add(touch("alice", NOW - 2_000, f"{9:032x}", devices=9))
    books.order(visitor=VISITOR)
    first, second = [flag["id"] for flag in flags(books)]
    decide(books, "clear", second)
    assert stands(books) == ("pending", "fraud")
    decide(books, "clear", first)
    assert stands(books) == ("approved", "")


def test_a_confirmed_flag_rejects_the_order_and_its_click_never_counts_again(books: Books) -> None:
    flag = hasty(books)
    done = decide(books, "confirm", flag)
    assert (done["http"], done["result"]["status"]) == (200, "confirmed")
    assert stands(books)[0] == "rejected"
    assert not any(books.balances().values())
    books.order("o2", visitor=VISITOR, at=NOW + DAY)
    assert books.touched("o2") == [("alice", ""), ("alice", "confirmed_fraud")]
    books.open()  # as after a start
    books.order("o3", visitor=VISITOR, at=NOW + DAY)
    assert books.touched("o3") == books.touched("o2")


def test_one_confirmed_flag_of_several_rejects_the_order(books: Books) -> None:
    books.touches.add(touch("alice", NOW - 2_000, f"{9:032x}", devices=9))
    books.order(visitor=VISITOR)
    first, second = [flag["id"] for flag in flags(books)]
    decide(books, "clear", first)
    decide(books, "confirm", second)
    assert found(books) == [("seconds_to_order", "cleared"), ("devices", "confirmed")]
    assert stands(books)[0] == "rejected"


def test_what_is_decided_stays_decided(books: Books) -> None:
    flag = hasty(books)
    decide(books, "clear", flag)
    assert decide(books, "clear", flag)["http"] == 200
    again = decide(books, "confirm", flag)
    assert (again["http"], again["code"]) == (409, "flag_decided")
    assert (stands(books), decide(books, "clear", "0" * 32)["code"]) == (("approved", ""), "unknown_flag")


@pytest.mark.parametrize(("op", "status"), [("conversion.approve", "approved"), ("conversion.reject", "rejected")])
def test_a_decision_on_the_order_itself_closes_its_flags(books: Books, op: str, status: str) -> None:
    hasty(books)
    books.decide(op, books.conversion()["id"], reason="seen")
    assert (stands(books)[0], found(books)) == (status, [("seconds_to_order", "cleared")])
    assert (flags(books)[0]["decided_by"], flags(books)[0]["note"]) == ("token:1", "seen")


def test_the_merchant_may_reject_and_refund_what_is_held(books: Books) -> None:
    flag = hasty(books)
    books.order(status="refunded", amount=2_500, refund_id="part")
    assert (stands(books), books.conversion()["refunded"]) == (("pending", "fraud"), 2_500)
    decide(books, "clear", flag)
    assert stands(books) == ("approved", "")
    books.touches.add(touch("alice", NOW - 1_000, f"{10:032x}", visitor=OTHER_VISITOR))
    for oid, status in (("o2", "refunded"), ("o3", "rejected")):
        books.order(oid, visitor=OTHER_VISITOR)
        assert stands(books, oid) == ("pending", "fraud")
        books.order(oid, status=status, amount=None)
        assert stands(books, oid)[0] == status
    assert [flag["status"] for flag in flags(books)] == ["cleared"] * 3
    assert flags(books)[1]["decided_by"] == "merchant:shop"


def test_another_amount_while_it_is_held_is_booked_anew_and_stays_held(books: Books) -> None:
    flag = hasty(books)
    books.order(amount=20_000)
    assert (stands(books), books.balances()) == (("pending", "fraud"), accrued(2_000))
    decide(books, "clear", flag)
    assert (stands(books), len(flags(books))) == (("approved", ""), 1)


def test_an_order_is_judged_once(books: Books) -> None:
    flag = hasty(books, status="pending")
    decide(books, "clear", flag)
    books.order(amount=20_000)
    assert (stands(books), len(flags(books))) == (("approved", ""), 1)


def test_an_approved_claim_was_looked_at_by_a_person(books: Books) -> None:
    books.touches.add(touch("alice", NOW - 1_000, f"{9:032x}"))
    books.claim(visitor=VISITOR)
    books.decide("conversion.approve", books.conversion()["id"], reason="seen")
    assert (stands(books), flags(books)) == (("approved", ""), [])

"""Payouts (money.md, sections 5 and 6): what may be reserved, and how it ends."""

from pathlib import Path
from typing import Any

import pytest
from books_kit import DAY, NOW
from money_kit import PASSED, MoneyBooks, made
from sqlalchemy import select

from tuike.stores import schema

TODAY = "2026-01-07"  # of NOW + PASSED


@pytest.fixture
def books(tmp_path: Path) -> MoneyBooks:
    """alice has 1,000.00 available, bob 50.00."""
    books = made(tmp_path)
    books.sell("o1", 1_000_000)
    books.sell("o2", 50_000, aff="bob")
    books.settle()
    return books


def test_a_payout_takes_all_that_is_available_and_is_dated_today(books: MoneyBooks) -> None:
    made = books.payout()
    assert (made["status"], made["http"]) == ("applied", 201)
    expected = {"promoter": "alice", "currency": "CNY", "amount": "1000.00", "tax": "0.00", "net": "1000.00"}
    expected |= {"status": "reserved", "date": TODAY, "scheme": "none", "person": "promoter:alice", "note": ""}
    assert made["result"] | expected == made["result"]
    assert books.purses() == {"reserved": 100_000}
    books.proved()


@pytest.mark.parametrize(
    ("body", "http", "code"),
    [
        ({"promoter": "nobody"}, 404, "unknown_promoter"),
        ({"promoter": "carol"}, 422, "currency_needed"),
        ({"promoter": "bob"}, 422, "below_minimum"),
        ({"promoter": "bob", "amount": "100.00"}, 422, "insufficient"),
        ({"promoter": "carol", "currency": "CNY"}, 422, "below_minimum"),
        ({"promoter": "alice", "amount": "99.99"}, 422, "below_minimum"),
        ({"promoter": "alice", "amount": "1000.01"}, 422, "insufficient"),
        ({"promoter": "alice", "amount": "100.001"}, 422, "bad_amount"),
        ({"promoter": "alice", "currency": "XYZ"}, 422, "bad_currency"),
        ({"promoter": "alice", "currency": "USD"}, 422, "no_minimum"),
        ({"promoter": "alice", "date": "2026-01-08"}, 422, "bad_date"),
        ({"promoter": "alice", "date": "2026-02-30"}, 422, "bad_date"),
    ],
)
def test_a_payout_that_cannot_be_is_refused(books: MoneyBooks, body: dict[str, Any], http: int, code: str) -> None:
    before = books.balances()
    refused = books.payout(**body)
    assert (refused["http"], refused["code"], refused["status"]) == (http, code, "set_aside")
    assert books.balances() == before
    assert books.rows(select(schema.payouts)) == []


def test_with_a_debt_nothing_is_reserved(books: MoneyBooks) -> None:
    books.payout(amount="900.00")
    books.sell("o1", status="rejected", amount=1_000_000)
    assert books.purses() == {"reserved": 90_000, "owed": -90_000}
    assert books.payout()["code"] == "payout_open"
    (payout,) = books.rows(select(schema.payouts.c.id))
    books.ask_money("payout.paid", id=payout["id"])
    refused = books.payout()
    assert (refused["http"], refused["code"]) == (422, "owed")


def test_the_least_payout_of_other_currencies_is_a_setting(tmp_path: Path) -> None:
    books = MoneyBooks(tmp_path, {"CNY": 10_000, "USD": 5_000})
    books.shop()
    books.ask("merchant.update", id="shop", settlement="T+0")
    books.sell("o1", 60_000, currency="USD")
    books.settle()
    assert books.payout(amount="49.99")["code"] == "below_minimum"
    made = books.payout(amount="50.00")
    assert (made["result"]["currency"], made["result"]["amount"]) == ("USD", "50.00")


def test_which_currency_has_to_be_said_where_there_are_two(books: MoneyBooks) -> None:
    books.sell("o3", 60_000, currency="USD")
    books.settle()
    assert books.payout()["code"] == "currency_needed"
    assert books.payout(currency="CNY")["http"] == 201


def test_one_payout_is_open_per_promoter_and_currency(books: MoneyBooks) -> None:
    first = books.payout(amount="100.00")
    refused = books.payout(amount="100.00")
    assert (refused["http"], refused["code"]) == (409, "payout_open")
    books.ask_money("payout.paid", id=first["result"]["id"])
    assert books.payout(amount="100.00")["http"] == 201


def test_a_paid_payout_is_in_paid_and_tax(books: MoneyBooks) -> None:
    books.ask("promoter.update", id="alice", tax={"scheme": "flat", "percent": "12.5"})
    made = books.payout(amount="100.01")["result"]
    assert (made["tax"], made["net"], made["basis"]) == ("12.50", "87.51", {"percent": "12.5"})
    assert books.ask_money("payout.paid", id=made["id"])["result"]["status"] == "paid"
    assert books.purses() == {"available": 89_999, "paid": 8_751, "tax": 1_250}
    assert books.ask_money("payout.paid", id=made["id"])["http"] == 200
    assert books.purses() == {"available": 89_999, "paid": 8_751, "tax": 1_250}
    books.proved()


def test_a_failed_payout_returns_to_available(books: MoneyBooks) -> None:
    made = books.payout(amount="100.00")["result"]
    assert books.ask_money("payout.failed", id=made["id"])["result"]["status"] == "failed"
    assert books.purses() == {"available": 100_000}
    assert books.ask_money("payout.failed", id=made["id"])["http"] == 200
    refused = books.ask_money("payout.paid", id=made["id"])
    assert (refused["http"], refused["code"]) == (409, "illegal_move")
    assert books.purses() == {"available": 100_000}


def test_what_is_owed_is_taken_from_a_failed_payout(books: MoneyBooks) -> None:
    made = books.payout(amount="900.00")["result"]
    books.sell("o1", status="refunded", amount=500_000, refund_id="r1")
    assert books.purses() == {"reserved": 90_000, "owed": -40_000}
    books.ask_money("payout.failed", id=made["id"])
    assert books.purses() == {"available": 50_000}


def test_a_paid_payout_bounces_while_its_month_is_open(books: MoneyBooks) -> None:
    books.ask("promoter.update", id="alice", tax={"scheme": "flat", "percent": "10"})
    made = books.payout(date="2025-12-31")["result"]
    books.ask_money("payout.paid", id=made["id"])
    assert books.ask_money("payout.failed", id=made["id"])["result"]["status"] == "bounced"
    assert books.purses() == {"available": 100_000}
    assert books.ask_money("payout.failed", id=made["id"])["http"] == 200
    books.proved()


def test_a_payout_of_a_closed_month_bounces_no_more_and_no_other_is_dated_in_it(books: MoneyBooks) -> None:
    made = books.payout(amount="100.00", date="2025-12-31")["result"]
    books.ask_money("payout.paid", id=made["id"])
    assert books.ask_money("ledger.remit", month="2025-12", reason="tax office")["http"] == 201
    refused = books.ask_money("payout.failed", id=made["id"])
    assert (refused["http"], refused["code"]) == (409, "month_closed")
    assert books.payout(date="2025-12-31")["code"] == "bad_date"
    assert books.payout(date="2026-01-01")["http"] == 201


def test_a_payout_is_not_dated_before_the_last_one_that_counts(books: MoneyBooks) -> None:
    first = books.payout(amount="100.00", date="2026-01-05")["result"]
    books.ask_money("payout.paid", id=first["id"])
    assert books.payout(amount="100.00", date="2026-01-04")["code"] == "bad_date"
    second = books.payout(amount="100.00", date="2026-01-05")["result"]
    books.ask_money("payout.failed", id=second["id"])
    books.ask_money("payout.failed", id=first["id"])
    assert books.payout(amount="100.00", date="2026-01-04")["http"] == 201


def test_today_is_the_date_in_utc(books: MoneyBooks) -> None:
    midnight = (NOW + PASSED) // DAY * DAY + DAY
    assert books.payout(date="2026-01-08", received=midnight - 1)["code"] == "bad_date"
    assert books.payout(date="2026-01-08", received=midnight)["http"] == 201


def test_an_unknown_payout_is_told_apart(books: MoneyBooks) -> None:
    for op in ("payout.paid", "payout.failed"):
        refused = books.ask_money(op, id="0" * 32)
        assert (refused["http"], refused["code"]) == (404, "unknown_payout")


def test_the_same_key_reserves_once(books: MoneyBooks) -> None:
    first = books.payout(amount="100.00", idem="k")
    again = books.payout(amount="100.00", idem="k")
    assert again["result"] == first["result"]
    assert books.purses() == {"available": 90_000, "reserved": 10_000}


def test_a_payout_takes_a_note(books: MoneyBooks) -> None:
    made = books.payout(amount="100.00")["result"]
    books.ask_money("payout.note", id=made["id"], note="batch 7")
    assert books.ask_money("payout.paid", id=made["id"])["result"]["note"] == "batch 7"


def test_decisions_on_payouts_are_audited(books: MoneyBooks) -> None:
    made = books.payout(amount="100.00")["result"]
    books.ask_money("payout.paid", id=made["id"], reason="bank file 7")
    books.ask_money("payout.paid", id=made["id"], reason="again")
    rows = books.rows(select(schema.audit).where(schema.audit.c.target == f"payout:{made['id']}"))
    assert [row["action"] for row in rows] == ["payout.create", "payout.paid"]
    assert "bank file 7" in rows[1]["detail"]

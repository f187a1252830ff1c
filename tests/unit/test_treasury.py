"""Decisions that move money by themselves (money.md, section 5): fund, prize, adjust, write_off, remit."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from money_kit import MoneyBooks, made
from sqlalchemy import select

from tuike.books import treasury
from tuike.books.backlog import Backlog
from tuike.books.bookkeeper import Bookkeeper
from tuike.stores import schema

ALICE = "promoter:alice"


@pytest.fixture
def books(tmp_path: Path) -> MoneyBooks:
    """alice has 1,000.00 available, and as much pending."""
    books = made(tmp_path)
    books.sell("o1", 1_000_000)
    books.settle()
    books.sell("o2", 1_000_000, status="pending")
    return books


def at(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def owing(books: MoneyBooks) -> None:
    """alice owes 400.00 and has nothing available."""
    books.payout(amount="400.00")
    books.sell("o1", status="rejected", amount=1_000_000)
    assert books.purses() == {"pending": 100_000, "reserved": 40_000, "owed": -40_000}


def test_a_fund_is_a_merchants_payment_in(books: MoneyBooks) -> None:
    before = books.account("merchant:shop:payable")
    done = books.ask_money("ledger.fund", merchant="shop", amount="250.50", reason="bank")
    assert done["http"] == 201
    assert [entry["account"] for entry in done["result"]["entries"]] == ["platform:cash", "merchant:shop:payable"]
    assert books.account("merchant:shop:payable") == before + 25_050
    assert books.account("platform:cash") == -25_050
    (fund,) = books.rows(select(schema.funding))
    assert (fund["funded"], fund["released"]) == (25_050, 100_000)
    books.proved()


def test_a_prize_comes_out_of_revenue_and_pays_what_is_owed_first(books: MoneyBooks) -> None:
    owing(books)
    books.ask_money("ledger.prize", promoter="alice", currency="CNY", amount="300.00", reason="contest")
    assert books.purses()["owed"] == -10_000
    books.ask_money("ledger.prize", promoter="alice", currency="CNY", amount="300.00", reason="contest")
    assert books.purses() == {"pending": 100_000, "reserved": 40_000, "available": 20_000}
    assert books.account("platform:revenue") == -60_000
    books.proved()


def test_a_write_off_makes_a_debt_the_platforms_loss(books: MoneyBooks) -> None:
    owing(books)
    books.ask_money("ledger.write_off", promoter="alice", currency="CNY", amount="150.00", reason="agreed")
    assert books.purses()["owed"] == -25_000
    assert books.ask_money("ledger.write_off", promoter="alice", currency="CNY", reason="gone")["http"] == 201
    assert "owed" not in books.purses()
    assert books.account("platform:revenue") == -40_000


@pytest.mark.parametrize(
    ("source", "target", "amount", "expected"),
    [
        (f"{ALICE}:available", "platform:revenue", "10.00", {"available": 99_000, "pending": 100_000}),
        ("platform:revenue", f"{ALICE}:available", "10.00", {"available": 101_000, "pending": 100_000}),
        ("platform:revenue", f"{ALICE}:pending", "10.00", {"available": 100_000, "pending": 101_000}),
        ("merchant:shop:payable", f"{ALICE}:available", "10.00", {"available": 101_000, "pending": 100_000}),
        (f"{ALICE}:owed", "platform:cash", "10.00", {"available": 100_000, "pending": 100_000, "owed": -1_000}),
        (f"{ALICE}:available", f"{ALICE}:tax", "10.00", {"available": 99_000, "pending": 100_000, "tax": 1_000}),
    ],
)
def test_an_adjustment_moves_an_amount_between_two_accounts(
    books: MoneyBooks, source: str, target: str, amount: str, expected: dict[str, int]
) -> None:
    moved = {"from": source, "to": target, "currency": "CNY", "amount": amount, "reason": "correction"}
    assert books.ask_money("ledger.adjust", **moved)["http"] == 201
    assert books.purses() == expected


def test_an_adjustment_into_available_pays_what_is_owed_first(books: MoneyBooks) -> None:
    owing(books)
    moved = {"from": "platform:revenue", "to": f"{ALICE}:available", "currency": "CNY"}
    books.ask_money("ledger.adjust", **moved, amount="500.00", reason="correction")
    assert books.purses() == {"pending": 100_000, "reserved": 40_000, "available": 10_000}


@pytest.mark.parametrize(
    ("op", "body", "http", "code"),
    [
        ("fund", {"merchant": "nobody", "amount": "1"}, 404, "unknown_merchant"),
        ("fund", {"merchant": "shop", "amount": "0"}, 422, "bad_amount"),
        ("fund", {"merchant": "shop", "amount": "1.001"}, 422, "bad_amount"),
        ("fund", {"merchant": "shop", "amount": "1", "currency": "XYZ"}, 422, "bad_currency"),
        ("prize", {"promoter": "nobody", "currency": "CNY", "amount": "1"}, 404, "unknown_promoter"),
        ("prize", {"promoter": "alice", "currency": "CNY", "amount": "0.00"}, 422, "bad_amount"),
        ("write_off", {"promoter": "nobody", "currency": "CNY"}, 404, "unknown_promoter"),
        ("write_off", {"promoter": "alice", "currency": "CNY"}, 422, "above_owed"),
        ("write_off", {"promoter": "alice", "currency": "XYZ"}, 422, "bad_currency"),
        ("prize", {"promoter": "alice", "currency": "XYZ", "amount": "1"}, 422, "bad_currency"),
        (
            "adjust",
            {"from": "platform:cash", "to": f"{ALICE}:paid", "amount": "1", "currency": "XYZ"},
            422,
            "bad_currency",
        ),
        ("write_off", {"promoter": "alice", "currency": "CNY", "amount": "1"}, 422, "above_owed"),
        ("adjust", {"from": f"{ALICE}:available", "to": "platform:cash", "amount": "1000.01"}, 422, "insufficient"),
        ("adjust", {"from": f"{ALICE}:pending", "to": "platform:cash", "amount": "1000.01"}, 422, "insufficient"),
        ("adjust", {"from": f"{ALICE}:reserved", "to": "platform:cash", "amount": "0.01"}, 422, "insufficient"),
        ("adjust", {"from": "platform:cash", "to": f"{ALICE}:owed", "amount": "0.01"}, 422, "insufficient"),
        ("adjust", {"from": "platform:cash", "to": "platform:cash", "amount": "1"}, 422, "same_account"),
        ("adjust", {"from": "platform:cash", "to": "platform:gold", "amount": "1"}, 404, "unknown_account"),
        ("adjust", {"from": "platform:cash", "to": "promoter:nobody:paid", "amount": "1"}, 404, "unknown_account"),
        ("adjust", {"from": "platform:cash", "to": f"{ALICE}:gold", "amount": "1"}, 404, "unknown_account"),
        ("adjust", {"from": "merchant:shop:paid", "to": "platform:cash", "amount": "1"}, 404, "unknown_account"),
    ],
)
def test_a_decision_that_cannot_be_is_refused(
    books: MoneyBooks, op: str, body: dict[str, Any], http: int, code: str
) -> None:
    before = books.balances()
    given = {"currency": "CNY"} | body if op == "adjust" else body
    refused = books.ask_money(f"ledger.{op}", **given, reason="r")
    assert (refused["http"], refused["code"]) == (http, code)
    assert books.balances() == before


def test_a_decision_is_audited_with_its_reason_and_done_once_under_its_key(books: MoneyBooks) -> None:
    body = {"promoter": "alice", "currency": "CNY", "amount": "1.00", "reason": "contest of May"}
    first = books.ask_money("ledger.prize", idem="k", **body)
    assert books.ask_money("ledger.prize", idem="k", **body)["result"] == first["result"]
    assert books.ask_money("ledger.prize", idem="k", **body | {"amount": "2.00"})["code"] == "idempotency_conflict"
    assert books.purses()["available"] == 100_100
    (row,) = books.rows(select(schema.audit).where(schema.audit.c.action == "ledger.prize"))
    assert (row["actor"], row["target"]) == ("token:1", ALICE)
    assert "contest of May" in row["detail"]


# --- remit ----------------------------------------------------------------------------------------


def withheld(books: MoneyBooks) -> list[str]:
    """Paid payouts of alice and bob in December, with 10 % of tax each; their ids."""
    books.sell("o3", 1_000_000, aff="bob")
    books.settle()
    ids = []
    for promoter in ("alice", "bob"):
        books.ask("promoter.update", id=promoter, tax={"scheme": "flat", "percent": "10"})
        made = books.payout(promoter, amount="500.00", date="2025-12-10")["result"]
        books.ask_money("payout.paid", id=made["id"])
        ids.append(made["id"])
    return ids


def test_a_remittance_hands_over_a_months_tax_once_and_closes_it(books: MoneyBooks) -> None:
    withheld(books)
    done = books.ask_money("ledger.remit", month="2025-12", reason="tax office")
    assert done["http"] == 201
    assert done["result"] == {
        "month": "2025-12",
        "items": [{"currency": "CNY", "amount": "100.00", "promoters": 2}],
    }
    assert "tax" not in books.purses("alice") | books.purses("bob")
    assert books.account("platform:cash") == 10_000
    again = books.ask_money("ledger.remit", month="2025-12", reason="tax office")
    assert again["result"] == done["result"]
    assert books.account("platform:cash") == 10_000
    books.proved()


def test_only_the_months_own_paid_payouts_are_handed_over(books: MoneyBooks) -> None:
    withheld(books)
    later = books.payout("bob", amount="200.00", date="2026-01-02")["result"]
    books.ask_money("payout.paid", id=later["id"])
    bounced = books.payout("alice", amount="200.00", date="2025-12-20")["result"]
    books.ask_money("payout.paid", id=bounced["id"])
    books.ask_money("payout.failed", id=bounced["id"])
    done = books.ask_money("ledger.remit", month="2025-12", reason="tax office")
    assert done["result"]["items"][0]["amount"] == "100.00"
    assert books.purses("bob")["tax"] == 2_000


def test_a_month_with_an_open_payout_is_not_closed(books: MoneyBooks) -> None:
    withheld(books)
    open_one = books.payout("alice", amount="200.00", date="2025-12-20")["result"]
    refused = books.ask_money("ledger.remit", month="2025-12", reason="r")
    assert (refused["http"], refused["code"]) == (409, "payout_open")
    books.ask_money("payout.failed", id=open_one["id"])
    assert books.ask_money("ledger.remit", month="2025-12", reason="r")["http"] == 201


@pytest.mark.parametrize(
    ("month", "currency", "now", "code"),
    [
        ("2025-12", None, "2025-12-31T23:59:59", "month_open"),
        ("2026-01", None, "2025-12-31", "month_open"),
        ("2025-11", None, "2026-02-01", "nothing_to_remit"),
        ("2025-13", None, "2026-02-01", "bad_month"),
        ("9999-12", None, "2026-02-01", "bad_month"),
        ("2025-12", "XYZ", "2026-02-01", "bad_currency"),
    ],
)
def test_a_month_that_cannot_be_handed_over_is_refused(
    books: MoneyBooks, month: str, currency: str | None, now: str, code: str
) -> None:
    withheld(books)
    refused = books.ask_money("ledger.remit", month=month, currency=currency, reason="r", received=at(now))
    assert (refused["http"], refused["code"]) == (422, code)
    assert books.rows(select(schema.closings)) == []


def test_a_month_is_closed_at_its_end_in_utc(books: MoneyBooks) -> None:
    withheld(books)
    done = books.ask_money("ledger.remit", month="2025-12", reason="r", received=at("2026-01-01"))
    assert done["http"] == 201


def test_a_currency_is_closed_by_itself(books: MoneyBooks) -> None:
    withheld(books)
    done = books.ask_money("ledger.remit", month="2025-12", currency="USD", reason="r")
    assert done["result"]["items"] == [{"currency": "USD", "amount": "0.00", "promoters": 0}]
    assert books.payout("alice", amount="100.00", date="2025-12-20")["http"] == 201


def test_a_remittance_in_parts_that_is_killed_between_them_is_finished_by_the_next(
    books: MoneyBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(treasury, "ENTRIES_PER_PART", 1)
    withheld(books)
    item = books.decision("ledger.remit", {"month": "2025-12", "reason": "r"}, received=at("2026-02-01"))
    before = len(books.journal)

    def die(self: Bookkeeper, connection: Any, booked: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bookkeeper, "_post", die)
        with pytest.raises(KeyboardInterrupt):
            books.apply(orders=[item])
    # of the three parts only the first one has reached the disk
    assert [record.outcome is None for record in books.journal[before:]] == [True, True, False]
    del books.journal[before + 1 :]
    books.open()
    with books.engine.begin() as connection:
        books.bookkeeper.recover(connection, books.journal, Backlog())
    assert books.account("platform:cash") == 5_000
    books.apply(orders=[item])
    assert books.outcome(item.message.id)["result"]["items"][0]["amount"] == "100.00"
    assert books.account("platform:cash") == 10_000
    assert len(books.journal) == before + 3
    books.proved()

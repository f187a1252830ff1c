"""Tax (money.md, section 6): what payouts withhold per person and month."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from money_kit import MoneyBooks, made
from sqlalchemy import select

from tuike.stores import schema

LABOUR = {"scheme": "cn_labour"}
PLATFORM = {"scheme": "cn_platform"}


@pytest.fixture
def books(tmp_path: Path) -> MoneyBooks:
    """alice and bob have a lot of money at the end of 2025."""
    books = made(tmp_path, minimum={"CNY": 1})
    for aff in ("alice", "bob"):
        books.sell(f"o-{aff}", 10_000_000_000, aff=aff)
    books.settle()
    return books


def noon(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp() * 1000) + 43_200_000


def pay(books: MoneyBooks, yuan: str, day: str, promoter: str = "alice", end: str = "payout.paid") -> str:
    """A payout of that day that is paid; its tax."""
    reserved = books.payout(promoter, amount=yuan, date=day, received=noon("2026-12-31"))
    assert reserved["status"] == "applied", reserved
    if end:
        assert books.ask_money(end, id=reserved["result"]["id"])["http"] == 200
    return str(reserved["result"]["tax"])


def taxes(books: MoneyBooks, payouts: Sequence[tuple[str, str]], promoter: str = "alice") -> list[str]:
    return [pay(books, yuan, day, promoter) for yuan, day in payouts]


def scheme(books: MoneyBooks, promoter: str = "alice", **settings: str) -> None:
    assert books.ask("promoter.update", id=promoter, tax=settings)["http"] == 200


def test_published_taxes_of_single_payments_are_met(books: MoneyBooks, shared_data: Path) -> None:
    vectors = json.loads((shared_data / "money" / "tax_vectors.json").read_text())["published"]
    scheme(books, **LABOUR)
    for month, vector in enumerate(vectors, start=1):
        tax = pay(books, str(vector["income"]), f"2026-{month:02}-10")
        assert tax == f"{vector['tax']}.00", vector


@pytest.mark.parametrize(
    ("settings", "payouts", "expected"),
    [
        ({"scheme": "none"}, [("5000", "2026-01-10")], ["0.00"]),
        ({"scheme": "flat", "percent": "20"}, [("100.03", "2026-01-10"), ("100.02", "2026-01-10")], ["20.01", "20.00"]),
        ({"scheme": "flat", "percent": "12.3456"}, [("1000", "2026-01-10")], ["123.46"]),
        # the month's tax so far less what was withheld: 800 are free, then 20 % of what is above them
        (LABOUR, [("800", "2026-01-01"), ("100", "2026-01-02"), ("3100", "2026-01-31")], ["0.00", "20.00", "620.00"]),
        (LABOUR, [("800.03", "2026-01-01")], ["0.01"]),
        (LABOUR, [("4000", "2026-01-01"), ("100", "2026-01-02")], ["640.00", "16.00"]),
        (LABOUR, [("25000", "2026-01-01"), ("37500", "2026-01-02")], ["4000.00", "9000.00"]),
        (LABOUR, [("62500.03", "2026-01-01")], ["13000.01"]),
        # each month for itself
        (LABOUR, [("2000", "2026-01-31"), ("2000", "2026-02-01")], ["240.00", "240.00"]),
        (
            PLATFORM,
            [("7200", "2026-01-10"), ("6000", "2026-02-10"), ("8000", "2026-03-10")],
            ["22.80", "0.00", "36.00"],
        ),
        (PLATFORM, [("6250", "2026-01-10"), ("6250.50", "2026-01-11")], ["0.00", "150.01"]),
        # a month without income begins anew
        (
            PLATFORM,
            [("7200", "2026-01-10"), ("6250", "2026-03-10"), ("7200", "2026-04-10")],
            ["22.80", "0.00", "22.80"],
        ),
        # and so does a year
        (PLATFORM, [("5000", "2025-12-10"), ("7200", "2026-01-10")], ["0.00", "22.80"]),
        # with `continue` it counts: 5,000 are free in it as well
        (PLATFORM | {"gap": "continue"}, [("7200", "2026-01-10"), ("12500", "2026-03-10")], ["22.80", "0.00"]),
        (PLATFORM | {"gap": "continue"}, [("7200", "2026-01-10"), ("15000", "2026-03-10")], ["22.80", "60.00"]),
        (PLATFORM, [("100000", "2026-01-10"), ("100", "2026-02-10")], ["4980.00", "0.00"]),
    ],
)
def test_what_payouts_withhold(
    books: MoneyBooks, settings: dict[str, str], payouts: list[tuple[str, str]], expected: list[str]
) -> None:
    scheme(books, **settings)
    assert taxes(books, payouts) == expected
    books.proved()


def test_several_accounts_of_one_person_are_taxed_as_one(books: MoneyBooks) -> None:
    for promoter in ("alice", "bob"):
        scheme(books, promoter, **LABOUR, person="id-1")
    assert pay(books, "2000", "2026-01-10") == "240.00"
    assert pay(books, "2000", "2026-01-11", "bob") == "400.00"
    people = books.rows(select(schema.payouts.c.person))
    assert [row["person"] for row in people] == ["id-1", "id-1"]


def test_who_is_joined_later_counts_with_what_was_paid_before(books: MoneyBooks) -> None:
    for promoter in ("alice", "bob"):
        scheme(books, promoter, **LABOUR)
    assert pay(books, "2000", "2026-01-10") == "240.00"
    for promoter in ("alice", "bob"):
        scheme(books, promoter, **LABOUR, person="id-1")
    assert pay(books, "2000", "2026-01-11", "bob") == "400.00"


def test_accounts_without_a_person_are_taxed_alone(books: MoneyBooks) -> None:
    for promoter in ("alice", "bob"):
        scheme(books, promoter, **LABOUR)
        assert pay(books, "2000", "2026-01-10", promoter) == "240.00"


def test_a_persons_payouts_are_dated_in_order_whichever_account_they_are_of(books: MoneyBooks) -> None:
    for promoter in ("alice", "bob"):
        scheme(books, promoter, **PLATFORM, person="id-1")
    pay(books, "2000", "2026-03-10")
    refused = books.payout("bob", amount="2000", date="2026-02-10", received=noon("2026-12-31"))
    assert refused["code"] == "bad_date"


@pytest.mark.parametrize("end", ["payout.failed", "bounce"])
def test_what_failed_or_bounced_is_no_income(books: MoneyBooks, end: str) -> None:
    scheme(books, **LABOUR)
    reserved = books.payout(amount="2000", date="2026-01-10", received=noon("2026-12-31"))["result"]
    if end == "bounce":
        books.ask_money("payout.paid", id=reserved["id"])
    books.ask_money("payout.failed", id=reserved["id"])
    assert pay(books, "2000", "2026-01-10") == "240.00"


def test_what_is_reserved_counts_already(books: MoneyBooks) -> None:
    for promoter in ("alice", "bob"):
        scheme(books, promoter, **LABOUR, person="id-1")
    pay(books, "2000", "2026-01-10", end="")
    assert pay(books, "2000", "2026-01-10", "bob") == "400.00"


def test_the_tax_is_fixed_when_the_payout_is_reserved(books: MoneyBooks) -> None:
    scheme(books, **LABOUR)
    reserved = books.payout(amount="2000", date="2026-01-10", received=noon("2026-12-31"))["result"]
    scheme(books, scheme="none")
    paid = books.ask_money("payout.paid", id=reserved["id"])["result"]
    assert (paid["tax"], paid["net"], paid["scheme"]) == ("240.00", "1760.00", "cn_labour")
    assert paid["basis"] == {"months": 1, "income": "2000.00", "due": "240.00", "withheld": "0.00"}


def test_never_less_than_nothing_is_withheld_nor_more_than_the_payout(books: MoneyBooks) -> None:
    scheme(books, **LABOUR)
    pay(books, "100000", "2026-01-10")
    scheme(books, scheme="none")
    pay(books, "100000", "2026-02-10")
    scheme(books, **LABOUR)
    # the month's tax of 25,000 and more was not withheld at the first payout: the second cannot make up for it
    assert pay(books, "100", "2026-02-11") == "100.00"


@pytest.mark.parametrize("settings", [LABOUR, PLATFORM])
def test_chinese_schemes_are_for_chinese_money(books: MoneyBooks, settings: dict[str, str]) -> None:
    scheme(books, **settings)
    books.sell("usd", 10_000_000, currency="USD")
    books.settle()
    refused = books.payout(currency="USD")
    assert (refused["http"], refused["code"]) == (422, "scheme_currency")


def test_income_that_no_tax_is_known_of_is_refused(books: MoneyBooks) -> None:
    scheme(books, **LABOUR)
    for n in range(3):
        books.sell(f"huge{n}", 999_999_999_999_999)
        books.ask_money(
            "ledger.prize", promoter="alice", currency="CNY", amount="9999999999999.99", reason="to be seen"
        )
    refused: dict[str, Any] = books.payout()
    assert (refused["http"], refused["code"]) == (422, "too_large")

"""The oracle's books against scenarios computed by hand: release, payouts, tax."""

from datetime import date
from typing import Any

import pytest
from reference_kit import KEY, START, TEN, balances, books, only, order

from reference import DAY, Books

# --- release -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hold_days", "refund_days", "approved_at", "due"),
    [(0, 0, START, START), (2, 0, START, START + 2 * DAY), (2, 3, START, START + 3 * DAY)]
    + [(2, 0, START + DAY, START + 3 * DAY), (2, 0, START - DAY, START + 2 * DAY)],
)
def test_a_hold_is_counted_from_the_later_of_order_and_approval(
    hold_days: int, refund_days: int, approved_at: int, due: int
) -> None:
    its = books(merchant={"refund_days": refund_days}, product={"hold_days": hold_days})
    order(its, status="pending")
    its.approve(KEY, received=approved_at)
    its.settle(due - 1)
    assert not only(its).released
    assert its.settle(due, now=due - 1) == "future_as_of"
    assert [its.settle(due, now=due), its.settle(due, now=due)] == ["", ""]
    assert balances(its)["A:available"] == 500


def test_a_funded_merchants_orders_are_released_in_order_while_the_fund_lasts() -> None:
    its = books(TEN, merchant={"release_when": "funded"})
    order(its, "o2", START + 1, 200_00)
    order(its, "o1", START, 100_00)
    order(its, "o3", START + 2, 10_00)
    its.fund("f", merchant="shop", amount=29_99)
    its.settle(START + DAY)
    assert [only(its, oid).released for oid in ("o1", "o2", "o3")] == [True, False, False]  # 10, 30 no more
    its.fund("f", merchant="shop", amount=29_99)  # the same decision
    its.fund("g", merchant="shop", amount=1)
    its.settle(START + DAY)
    assert [only(its, oid).released for oid in ("o1", "o2", "o3")] == [True, True, False]
    its.reject(KEY, received=START)
    its.settle(START + DAY)
    assert only(its, "o3").released


def test_a_fund_is_of_its_merchant_and_currency() -> None:
    its = books(TEN, merchant={"release_when": "funded"})
    its.merchant("kiosk", settlement="T+0")
    its.product("gum", merchant="kiosk", commission=TEN)
    order(its, "o0", pid="gum")
    order(its)
    its.fund("f", merchant="shop", amount=10_00, currency="USD")
    its.fund("g", merchant="kiosk", amount=10_00)
    its.settle(START)
    assert not only(its).released
    its.fund("h", merchant="shop", amount=10_00)
    its.settle(START)
    assert only(its).released


# --- payouts and tax -----------------------------------------------------------------------------


def earned(amount: int = 1_000_000_00, **tax: Any) -> Books:
    its = books()
    for promoter in ("P", "A"):
        its.prize(f"prize {promoter}", promoter=promoter, currency="CNY", amount=amount)
        its.change_promoter(promoter, **tax)
    return its


def pay(its: Books, id: str, amount: int, day: date, promoter: str = "A") -> int:
    """Reserves and pays; the tax."""
    assert its.payout(id, promoter=promoter, amount=amount, date=day, today=date(2026, 12, 31)) == ""
    its.paid(id)
    return its.payouts[id].tax


def test_the_cumulative_method_as_in_money_md() -> None:
    its = earned(scheme="cn_platform")
    months = [(1, 7_200_00), (2, 6_000_00), (3, 8_000_00)]
    taxes = [pay(its, str(month), amount, date(2026, month, 15)) for month, amount in months]
    assert taxes == [22_80, 0, 36_00]
    assert (balances(its)["A:paid"], balances(its)["A:tax"]) == (21_200_00 - 58_80, 58_80)


def test_accounts_of_one_person_are_taxed_together() -> None:
    its = earned(scheme="cn_labour", person="ann")
    assert pay(its, "1", 800_00, date(2026, 1, 5)) == 0
    assert pay(its, "2", 200_00, date(2026, 1, 5), "P") == 40_00  # of 1,000
    assert its.withheld_by_month() == {("ann", "CNY", (2026, 1)): 40_00}


def test_what_failed_or_bounced_is_no_income() -> None:
    its = earned(scheme="cn_labour")
    day = date(2026, 1, 5)
    assert pay(its, "1", 1_000_00, day) == 40_00
    assert its.failed("1") == ""
    assert (its.payouts["1"].status, its.payouts["1"].net) == ("bounced", 960_00)
    assert balances(its)["A:available"] == 1_000_000_00
    assert "A:tax" not in balances(its)
    its.payout("2", promoter="A", amount=900_00, date=day, today=day)
    its.failed("2")
    assert its.payouts["2"].status == "failed"
    assert pay(its, "3", 800_00, day) == 0


def test_a_remitted_month_is_closed() -> None:
    its = earned(scheme="cn_labour")
    its.payout("1", promoter="A", amount=1_000_00, date=date(2026, 1, 31), today=date(2026, 2, 1))
    assert its.remit((2026, 1)) == "payout_open"
    its.paid("1")
    assert [its.remit((2026, 1)), its.remit((2026, 1))] == ["", ""]
    assert (balances(its)["platform:cash"], balances(its).get("A:tax")) == (40_00, None)
    assert its.failed("1") == "month_closed"
    assert its.payout("2", promoter="A", amount=200_00, date=date(2026, 1, 31), today=date(2026, 2, 1)) == "bad_date"


def test_a_remittance_is_of_what_was_paid_in_its_month_and_currency() -> None:
    its = earned(scheme="flat", percent="10")
    its.prize("dollars", promoter="A", currency="USD", amount=500_00)
    its.minimums["USD"] = 1
    pay(its, "1", 200_00, date(2026, 1, 5))
    pay(its, "2", 300_00, date(2026, 1, 6))
    its.failed("2")
    its.payout("3", promoter="A", currency="USD", date=date(2026, 1, 6), today=date(2026, 1, 6))
    pay(its, "4", 400_00, date(2026, 2, 5))
    its.remit((2026, 1))
    assert (balances(its)["platform:cash"], balances(its)["A:tax"]) == (20_00, 40_00)
    assert its.withheld_by_month() == {
        ("A", "CNY", (2026, 1)): 20_00,
        ("A", "USD", (2026, 1)): 50_00,
        ("A", "CNY", (2026, 2)): 40_00,
    }


def test_other_persons_and_currencies_are_other_peoples_months() -> None:
    its = earned(scheme="flat", percent="10")
    its.prize("dollars", promoter="A", currency="USD", amount=500_00)
    its.minimums["USD"] = 1
    its.payout("1", promoter="A", currency="USD", date=date(2026, 2, 1), today=date(2026, 2, 1))
    its.change_promoter("A", scheme="cn_labour")
    assert pay(its, "2", 800_00, date(2026, 1, 5)) == 0
    pay(its, "3", 800_00, date(2026, 1, 9), "P")
    assert pay(its, "4", 200_00, date(2026, 1, 8)) == 40_00
    its.paid("1")
    early = its.payout("5", promoter="A", amount=200_00, date=date(2026, 1, 7), today=date(2026, 2, 1))
    assert early == "bad_date"  # the last was on the 8th, not the 5th


def test_an_adjustment_goes_through_owed_and_write_off_ends_it() -> None:
    its = books()
    assert its.adjust("a", promoter="A", currency="CNY", amount=5) == ""
    assert its.adjust("b", promoter="A", currency="CNY", amount=-8) == ""
    assert balances(its) == {"platform:revenue": 3, "A:owed": -3}
    assert its.write_off("c", promoter="A", currency="CNY", amount=3) == ""
    assert balances(its) == {}
    assert its.adjust("d", promoter="nobody", currency="CNY", amount=1) == "unknown_promoter"
    assert its.prize("d", promoter="nobody", currency="CNY", amount=1) == "unknown_promoter"
    assert its.write_off("d", promoter="nobody", currency="CNY", amount=1) == "unknown_promoter"
    assert its.fund("d", merchant="nobody", amount=1) == "unknown_merchant"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"amount": 99_99}, "below_minimum"),
        ({"amount": 100_00}, ""),
        ({"amount": 1_000_01}, "insufficient"),
        ({}, ""),
        ({"promoter": "nobody"}, "unknown_promoter"),
        ({"date": date(2026, 3, 2)}, "bad_date"),
        ({"date": date(2026, 1, 9)}, "bad_date"),  # before the last payout's
        ({"currency": "USD"}, "scheme_currency"),
        ({"currency": "USD", "promoter": "P"}, "no_minimum"),
    ],
)
def test_a_payout_is_reserved_or_refused_with_its_code(asked: Any, code: str) -> None:
    its = earned(1_200_00)
    its.change_promoter("A", scheme="cn_labour")
    pay(its, "first", 200_00, date(2026, 1, 10))
    assert its.payout("x", **({"promoter": "A", "today": date(2026, 3, 1)} | asked)) == code
    if not code:
        assert its.payout("x", promoter="A", today=date(2026, 3, 1)) == ""  # the same again
        assert its.payout("y", promoter="A", today=date(2026, 3, 1)) == "payout_open"
        assert its.paid("x") == its.paid("x") == ""

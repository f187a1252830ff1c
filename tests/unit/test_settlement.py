"""Releases (money.md, section 5): what is due, when, in which order, and what is left to a second run."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from books_kit import DAY, NOW, THREE_LEVELS
from money_kit import PASSED, MoneyBooks, made
from sqlalchemy import select

from tuike.books import bookkeeper, settlement
from tuike.books.backlog import Backlog
from tuike.books.periods import release_instant
from tuike.stores import schema

TIERED = {"type": "tiered", "tiers": [{"from": "0", "value": "5"}, {"from": "150", "value": "10"}]}


@pytest.fixture
def books(tmp_path: Path) -> MoneyBooks:
    return made(tmp_path)


def instant(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("ends", "rule", "zone", "due"),
    [
        ("2025-10-09T08:00", "T+0", "Asia/Shanghai", "2025-10-09T08:00"),
        ("2025-10-09T08:00", "T+1", "Asia/Shanghai", "2025-10-10T00:00"),
        ("2025-10-09T00:00", "T+1", "Asia/Shanghai", "2025-10-10T00:00"),
        ("2025-10-09T23:59", "T+3", "Asia/Shanghai", "2025-10-12T00:00"),
        ("2025-12-31T08:00", "T+1", "UTC", "2026-01-01T00:00"),
        ("2025-10-09T08:00", "weekly", "Asia/Shanghai", "2025-10-13T00:00"),
        ("2025-10-13T00:00", "weekly", "Asia/Shanghai", "2025-10-20T00:00"),
        ("2025-10-12T23:59", "weekly", "Asia/Shanghai", "2025-10-13T00:00"),
        ("2025-10-09T08:00", "monthly", "Asia/Shanghai", "2025-11-01T00:00"),
        ("2025-12-01T00:00", "monthly", "Asia/Shanghai", "2026-01-01T00:00"),
        # clocks go forward on 2026-03-29, back on 2025-10-26: days of 23 and of 25 hours
        ("2026-03-28T12:00", "T+2", "Europe/Berlin", "2026-03-30T00:00"),
        ("2025-10-25T12:00", "T+2", "Europe/Berlin", "2025-10-27T00:00"),
        # where the day begins at 01:00, because midnight is skipped
        ("2025-04-24T12:00", "T+1", "Africa/Cairo", "2025-04-25T01:00"),
    ],
)
def test_a_period_ends_at_the_merchants_local_midnight(ends: str, rule: str, zone: str, due: str) -> None:
    assert release_instant(instant(ends, zone), rule, ZoneInfo(zone)) == instant(due, zone)


def test_an_approved_order_is_released_once_its_hold_and_period_are_over(tmp_path: Path) -> None:
    books = MoneyBooks(tmp_path)
    books.shop(hold_days=7)
    books.ask("merchant.update", id="shop", timezone="Asia/Shanghai", settlement="T+1", refund_days=3)
    books.sell("o1")
    due = instant("2025-10-17T00:00", "Asia/Shanghai")  # a week after NOW, and then the next midnight
    assert books.settle(due - 1)["result"]["released"] == 0
    assert books.purses() == {"pending": 1_000}
    run = books.settle(due)
    assert (run["http"], run["kind"]) == (201, "decision")
    assert (run["result"]["released"], run["result"]["amounts"]) == (1, [{"currency": "CNY", "amount": "10.00"}])
    assert books.purses() == {"available": 1_000}
    assert books.settle()["result"]["released"] == 0
    assert books.purses() == {"available": 1_000}


def test_the_longer_of_hold_days_and_refund_days_counts(tmp_path: Path) -> None:
    books = made(tmp_path, hold_days=2)
    books.ask("merchant.update", id="shop", refund_days=5)
    books.sell("o1")
    assert books.settle(NOW + 5 * DAY - 1)["result"]["released"] == 0
    assert books.settle(NOW + 5 * DAY)["result"]["released"] == 1


def test_the_hold_begins_with_the_approval_where_that_is_later_than_the_order(tmp_path: Path) -> None:
    books = made(tmp_path, hold_days=2)
    books.sell("o1", status="pending")
    assert books.settle()["result"]["released"] == 0
    books.sell("o1", received=NOW + 10 * DAY)
    assert books.settle(NOW + 12 * DAY - 1)["result"]["released"] == 0
    assert books.settle(NOW + 12 * DAY)["result"]["released"] == 1


def test_all_levels_are_released_with_their_order_and_the_platforms_line_stays(tmp_path: Path) -> None:
    books = made(tmp_path, THREE_LEVELS)
    books.sell("o1")
    books.settle()
    assert books.balances() == {
        "merchant:shop:payable": -1_000,
        "promoter:alice:available": 500,
        "promoter:bob:available": 300,
        "promoter:carol:available": 100,
        "platform:revenue": 100,
    }
    books.proved()


def test_what_is_rejected_or_refunded_before_is_not_released(books: MoneyBooks) -> None:
    for oid in ("rejected", "refunded", "partly"):
        books.sell(oid)
    books.sell("rejected", status="rejected")
    books.sell("refunded", status="refunded", amount=None)
    books.sell("partly", status="refunded", amount=5_000, refund_id="r1")
    assert books.settle()["result"]["released"] == 1
    assert books.purses() == {"available": 500}
    assert books.rows(select(schema.dues)) == []
    books.proved()


def test_a_refund_after_the_release_comes_out_of_available_and_what_is_missing_is_owed(books: MoneyBooks) -> None:
    books.sell("o1", 200_000)
    books.settle()
    books.payout(amount="150.00")
    books.sell("o1", amount=100_000, status="refunded", refund_id="r1")
    assert books.purses() == {"reserved": 15_000, "owed": -5_000}
    books.sell("o1", amount=None, status="refunded")
    assert books.purses() == {"reserved": 15_000, "owed": -15_000}
    books.proved()


def test_what_is_owed_is_taken_from_the_next_release(books: MoneyBooks) -> None:
    books.sell("o1", 200_000)
    books.settle()
    books.payout()
    books.sell("o1", status="rejected", amount=200_000)
    assert books.purses() == {"reserved": 20_000, "owed": -20_000}
    for oid in ("o2", "o3"):
        books.sell(oid, 150_000)
    assert books.settle()["result"]["amounts"] == [{"currency": "CNY", "amount": "300.00"}]
    assert books.purses() == {"reserved": 20_000, "available": 10_000}
    books.proved()


def test_a_settlement_in_the_future_is_refused(books: MoneyBooks) -> None:
    refused = books.ask_money("settlement.run", received=NOW, as_of=NOW + 1)
    assert (refused["http"], refused["code"]) == (422, "as_of_in_future")
    assert books.ask_money("settlement.run", as_of=-62_135_683_140_000)["code"] == "bad_time"
    assert not books.step()


def test_a_settlement_that_still_runs_is_waiting(books: MoneyBooks) -> None:
    books.sell("o1")
    begun = books.ask_money("settlement.run")
    assert (begun["status"], begun["http"], begun["result"]["status"]) == ("waiting", 202, "running")
    assert books.step()
    ended = books.outcome(begun["event_id"])
    assert (ended["status"], ended["http"], ended["result"]["status"]) == ("applied", 201, "done")


def test_settlements_run_one_after_the_other(books: MoneyBooks) -> None:
    books.sell("o1")
    first, second = (books.ask_money("settlement.run") for _ in range(2))
    while books.step():
        pass
    ended = [books.outcome(begun["event_id"]) for begun in (first, second)]
    assert [(one["status"], one["result"]["released"]) for one in ended] == [("applied", 1), ("applied", 0)]


def test_a_repeat_under_the_same_key_is_told_of_the_first_run(books: MoneyBooks) -> None:
    books.sell("o1")
    first = books.ask_money("settlement.run", idem="k")
    again = books.ask_money("settlement.run", idem="k")
    assert (again["http"], again["result"]) == (202, {"event_id": first["event_id"]})
    while books.step():
        pass
    late = books.ask_money("settlement.run", idem="k")
    assert late["result"] == books.outcome(first["event_id"])["result"]
    assert len(books.rows(select(schema.settlements))) == 1


@pytest.mark.parametrize(("orders", "parts"), [(1, 1), (1, 4), (2, 1), (2, 2), (3, 1)])
def test_a_run_in_steps_that_is_interrupted_ends_as_one_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orders: int, parts: int
) -> None:
    monkeypatch.setattr(settlement, "ORDERS_PER_STEP", orders)
    monkeypatch.setattr(bookkeeper, "PARTS_PER_STEP", parts)
    ledgers = []
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
        books = made(tmp_path / name, THREE_LEVELS)
        for n in range(6):
            books.sell(f"o{n}", 10_000 + n, received=NOW + n)
        begun = books.ask_money("settlement.run")
        while books.step():
            if name == "cut":
                books.open()
        assert books.outcome(begun["event_id"])["result"]["released"] == 6
        ledgers.append(books.ledger())
        books.proved()
    assert ledgers[0] == ledgers[1]


def test_a_step_holds_no_more_than_an_event_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "BYTES_PER_STEP", 1_000)
    books = made(tmp_path, THREE_LEVELS)
    for n in range(20):
        books.sell(f"o{n}")
    assert books.settle()["result"]["released"] == 20
    steps = [record for record in books.journal if record.kind == "settle"]
    assert len(steps) > 5
    assert sum(len(record.effect.released) for record in steps if record.effect) == 20


# --- release_when: funded -------------------------------------------------------------------------


def test_a_funded_merchants_orders_are_released_as_far_as_the_payments_in_reach(books: MoneyBooks) -> None:
    books.ask("merchant.update", id="shop", release_when="funded")
    for n, amount in enumerate((10_000, 20_000, 5_000)):
        books.sell(f"o{n}", amount, received=NOW + n)
    assert books.settle()["result"]["released"] == 0
    books.ask_money("ledger.fund", merchant="shop", amount="16.00", reason="paid in")
    # the first takes 10.00 of it, the second needs 20.00, and the third comes after the second
    assert books.settle()["result"]["released"] == 1
    books.ask_money("ledger.fund", merchant="shop", amount="14.00", reason="paid in")
    assert books.settle()["result"]["released"] == 1
    books.ask_money("ledger.fund", merchant="shop", amount="5.00", reason="paid in")
    assert books.settle()["result"]["released"] == 1
    assert books.purses() == {"available": 3_500}
    books.proved()


def test_a_refund_after_the_release_gives_its_payment_in_free(books: MoneyBooks) -> None:
    books.ask("merchant.update", id="shop", release_when="funded")
    books.sell("o1")
    books.sell("o2", received=NOW + 1)
    books.ask_money("ledger.fund", merchant="shop", amount="10.00", reason="paid in")
    assert books.settle()["result"]["released"] == 1
    books.sell("o1", status="rejected")
    assert books.settle()["result"]["released"] == 1
    assert books.purses() == {"available": 1_000}


def test_one_merchants_missing_payment_holds_nobody_else_up(books: MoneyBooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settlement, "ORDERS_PER_STEP", 2)
    monkeypatch.setattr(bookkeeper, "PARTS_PER_STEP", 1)
    books.ask("merchant.update", id="shop", release_when="funded")
    books.ask("merchant.create", id="other", name="Other", currency="CNY", secret="sealed", settlement="T+0")
    rule = {"type": "percentage", "value": "10"}
    books.ask("product.create", id="cup", merchant="other", name="Cup", url="https://o.example/", commission=rule)
    for n in range(5):
        books.sell(f"o{n}", received=NOW + 2 * n)
        books.sell(f"p{n}", received=NOW + 2 * n + 1, merchant="other", pid="cup", aff="bob")
    begun = books.ask_money("settlement.run")
    while books.step():
        books.open()
    assert books.outcome(begun["event_id"])["result"]["released"] == 5
    assert (books.purses("alice"), books.purses("bob")) == ({"pending": 5_000}, {"available": 5_000})


# --- the second look ------------------------------------------------------------------------------


def test_a_lower_tier_at_the_release_takes_the_difference_back(tmp_path: Path) -> None:
    books = made(tmp_path, TIERED)
    books.sell("o1", 15_000)  # 5 %: 7.50
    books.sell("o2", 10_000, received=NOW + 1)  # the total stands at 150.00: 10 %, 10.00
    assert books.purses() == {"pending": 1_750}
    books.sell("o1", status="refunded", amount=5_000, refund_id="r1")  # 100.00 are left
    run = books.settle()
    assert run["result"]["amounts"] == [{"currency": "CNY", "amount": "10.00"}]
    assert books.purses() == {"available": 1_000}  # 5.00 each
    assert books.account("merchant:shop:payable") == -1_000
    (order,) = books.rows(select(schema.conversions.c.evidence).where(schema.conversions.c.order_id == "o2"))
    assert '"second_look":{"pool":500,"totals":[10000],"originals":[500,0]}' in order["evidence"]
    books.proved()


def test_a_tier_that_still_stands_is_released_whole(tmp_path: Path) -> None:
    books = made(tmp_path, TIERED)
    books.sell("o1", 20_000)
    books.sell("o2", 10_000, received=NOW + 1)
    books.sell("o1", status="refunded", amount=5_000, refund_id="r1")
    books.settle()
    assert books.purses() == {"available": 750 + 1_000}


def test_after_a_second_look_a_refund_goes_by_what_it_left(tmp_path: Path) -> None:
    books = made(tmp_path, TIERED)
    books.sell("o1", 15_000)
    books.sell("o2", 10_000, received=NOW + 1)
    books.sell("o1", status="rejected", amount=15_000)
    books.settle()
    assert books.purses() == {"available": 500}
    books.sell("o2", status="refunded", amount=1_000, refund_id="r1")
    assert books.purses() == {"available": 450}
    books.sell("o2", status="refunded", amount=None)
    assert books.purses() == {}
    assert books.account("merchant:shop:payable") == 0


def test_the_second_look_sees_only_sales_that_were_booked_before(tmp_path: Path) -> None:
    books = made(tmp_path, TIERED)
    books.sell("o1", 10_000)
    books.sell("o2", 10_000, received=NOW + 1)
    books.sell("o3", 10_000, received=NOW + 2)  # 10 %
    books.settle()
    assert books.purses() == {"available": 500 + 500 + 1_000}


def test_what_is_short_of_funds_has_its_second_look_when_it_is_released(tmp_path: Path) -> None:
    books = made(tmp_path, TIERED)
    books.ask("merchant.update", id="shop", release_when="funded")
    books.sell("o1", 15_000)
    books.sell("o2", 10_000, received=NOW + 1)
    books.sell("o1", status="rejected", amount=15_000)
    books.ask_money("ledger.fund", merchant="shop", amount="4.99", reason="paid in")
    assert books.settle()["result"]["released"] == 0
    assert books.purses() == {"pending": 1_000}
    books.ask_money("ledger.fund", merchant="shop", amount="0.01", reason="paid in")
    assert books.settle()["result"]["released"] == 1
    assert books.purses() == {"available": 500}


def test_a_settlement_takes_a_note_while_it_runs_and_after(books: MoneyBooks) -> None:
    books.sell("o1")
    begun = books.ask_money("settlement.run")
    assert books.ask_money("settlement.note", id=begun["event_id"], note="week 41")["result"]["note"] == "week 41"
    while books.step():
        pass
    assert books.outcome(begun["event_id"])["result"]["note"] == "week 41"
    unknown = books.ask_money("settlement.note", id="0" * 32, note="x")
    assert (unknown["http"], unknown["code"]) == (404, "unknown_settlement")


def test_a_journalled_step_is_posted_as_it_was_decided(books: MoneyBooks, tmp_path: Path) -> None:
    books.sell("o1")
    books.sell("o2")
    books.settle(received=NOW + PASSED)
    (tmp_path / "again").mkdir()
    again = made(tmp_path / "again")
    with again.engine.begin() as connection:
        again.bookkeeper.recover(connection, books.journal, Backlog())
    assert again.ledger() == books.ledger()
    assert not again.step()
    for table in (schema.settlements, schema.dues, schema.releases, schema.outcomes):
        assert again.rows(select(table)) == books.rows(select(table))

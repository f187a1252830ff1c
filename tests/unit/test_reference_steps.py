"""The oracle's books under random steps: they balance, and a repeat changes nothing."""

from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from reference_kit import CARD, START, TEN, TIERED, books, click, order

import reference
from reference import HOUR, Books

RULES = [
    CARD,
    CARD | {"missing_level": "redistribute", "daily_budget": "40"},
    TIERED | {"mode": "marginal", "levels": [{"level": 1, "share": "33.3333"}, {"level": 2, "share": "66.6667"}]},
    {"type": "hybrid", "base": TIERED, "bonus": [TEN], "promoter_tier_bonus": {"bronze": "1"}, "max_per_order": "9"},
]
AMOUNTS = st.sampled_from([None, 0, 1, 99, 100_00, 199_99]) | st.integers(0, 300_00)
STEPS = st.lists(
    st.tuples(st.just("touch"), st.sampled_from("AP"), st.sampled_from("vw"))
    | st.tuples(
        st.just("order"),
        st.sampled_from("123"),
        AMOUNTS,
        st.sampled_from(["pending", "approved", "approved", "refunded", "rejected"]),
        st.sampled_from(["", "", "r", "s"]),
        st.integers(0, 9).map(lambda n: n == 9),
    )
    | st.tuples(st.just("claim"), st.sampled_from("123"), st.sampled_from("vw"))
    | st.tuples(st.sampled_from(["approve", "reject", "settle", "block"]), st.sampled_from("123"))
    | st.tuples(st.sampled_from(["payout", "paid", "failed", "write_off"]), st.sampled_from("AP")),
    min_size=10,
    max_size=40,
)


def step(its: Books, n: int, what: str, *how: Any) -> None:
    at = START + n * HOUR
    if what == "touch":
        click(its, n, at, *how)
    elif what == "order":
        oid, amount, status, refund_id, flagged = how
        more = {"status": status, "refund_id": refund_id, "flagged": flagged}
        order(its, oid, at, amount, visitor="" if oid == "3" else "v", **more)
    elif what == "claim":
        its.claim(str(n), pid="tea", oid=how[0], visitor=how[1], amount=50_00, received=at)
    elif what in ("approve", "reject"):
        getattr(its, what)(("shop", how[0], "tea"), received=at)
    elif what == "settle":
        its.settle(at)
    elif what == "block":
        its.change_promoter("P", blocked=how[0] == "1")
    elif what == "payout":
        its.payout(how[0] + str(n), promoter=how[0], today=date(2026, 1, 31))
    elif what == "write_off":
        its.write_off(str(n), promoter=how[0], currency="CNY")
    else:
        for id in [id for id in its.payouts if id.startswith(how[0])][-1:]:
            getattr(its, what)(id)


def check(its: Books) -> None:
    accounts = its.accounts
    assert sum(accounts.values()) == 0
    pending = sum(amount for (name, _), amount in accounts.items() if name.endswith(":pending"))
    lines = [(x, line) for x in its.orders.values() for line in x.lines]
    assert pending == sum(line.standing for x, line in lines if line.promoter and not x.released)
    payable = accounts.get(("merchant:shop:payable", "CNY"), 0)
    assert payable == -sum(line.standing for _, line in lines)
    for promoter in "AP":
        places = {
            p: its.balance(f"promoter:{promoter}:{p}", "CNY") for p in ("pending", "available", "reserved", "owed")
        }
        assert min(places["pending"], places["available"], places["reserved"], -places["owed"]) >= 0
        assert not (places["owed"] and places["available"])
    for x, line in lines:
        assert 0 <= line.standing <= line.original
        assert x.booked
        assert x.stands or line.standing == 0
    for x in its.orders.values():
        assert x.pool <= (x.amount or 0) // 2
        assert not x.credits or sum(x.credits.values()) == reference.WHOLE


@settings(deadline=None)
@given(st.sampled_from(RULES), st.sampled_from(["last", "linear", "time_decay"]), STEPS)
def test_the_books_balance_after_any_steps_and_a_repeat_changes_nothing(rule: Any, model: str, steps: Any) -> None:
    its = books(rule, product={"attribution": {"model": model}}, minimums={"CNY": 1})
    click(its, -2, START - 2 * HOUR, "A")
    click(its, -1, START - HOUR, "P")
    for n, (what, *how) in enumerate(steps):
        step(its, n, what, *how)
        check(its)
        before = len(its.transfers)
        if what in ("approve", "reject", "settle") or (what == "order" and how[2] != "refunded"):
            step(its, n, what, *how)
            assert len(its.transfers) == before

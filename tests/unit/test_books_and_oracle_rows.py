"""Short stories told to the books and to the oracle, which must agree after every step and at the end be as written:
differences that random cases found, shrunk, and questions that they seldom ask."""

from typing import Any

import pytest
from pair import DAY, PRODUCTS, Pair, Step

TEN = {"type": "percentage", "value": "10"}
BUDGET = TEN | {"daily_budget": "5"}
TIERED = {"type": "tiered", "tiers": [{"from": "0", "value": "5"}, {"from": "100", "value": "10"}]}
OWN_RATES = {"overrides": [{"promoter": "kid", "value": "20"}, {"kind": "member", "value": "2"}]}
ORDER: dict[str, Any] = {"pid": "tea", "oid": "o1", "amount": 100_00, "currency": "CNY", "status": "approved"}
ORDER |= dict.fromkeys(("refund_id", "click", "visitor", "cust", "coupon"), "") | {
    "aff": "kid",
    "stamp": None,
    "ago": 0,
}
CLAIM: dict[str, Any] = {"pid": "tea", "oid": "o1", "amount": 100_00, "currency": "CNY", "visitor": ""}


def order(**said: Any) -> Step:
    return "order", ORDER | said


def refund(**said: Any) -> Step:
    return order(status="refunded", amount=None, **said)


def claim(**said: Any) -> Step:
    return "claim", CLAIM | said


WEEK: Step = ("wait", {"time": 7 * DAY - 3})
"""To the ms: telling takes three."""


def wait(days: int) -> Step:
    return "wait", {"time": days * DAY}


CRASH: Step = ("crash", {})
SETTLE: Step = ("settle", {})
APPROVE: Step = ("judge", {"how": "approve", "oid": "o1", "pid": "tea"})


@pytest.mark.parametrize(
    ("rule", "pixel", "steps", "expected"),
    [
        # a refund waits seven days and no longer, whenever the processor looks
        pytest.param(TEN, "hold", [refund(), WEEK, order()], [("refunded", "", 0)], id="waited a week"),
        pytest.param(TEN, "hold", [refund(), wait(8), order()], [("approved", "", 1_000)], id="waited in vain"),
        pytest.param(TEN, "hold", [refund(), wait(8), CRASH, order(), SETTLE], [("approved", "", 1_000)], id="killed"),
        # it follows an order that an admin approves out of a claim, if it has not waited in vain by then
        pytest.param(TEN, "hold", [claim(), refund(), APPROVE], [("refunded", "no_touch", 0)], id="a claim approved"),
        pytest.param(
            TEN, "hold", [claim(), refund(), wait(8), APPROVE], [("approved", "no_touch", 0)], id="approved too late"
        ),
        # a repeat of what is final changes nothing, and is the last status all the same
        pytest.param(
            TEN,
            "hold",
            [order(status="rejected"), order(status="rejected", stamp=3), order(stamp=1)],
            [("rejected", "", 0)],
            id="older than a repeat",
        ),
        # a budget is spent by what a rule with a budget has paid
        pytest.param(
            BUDGET,
            "hold",
            [
                order(amount=1, status="pending"),
                ("rule", {"product": "tea", "rule": TEN}),
                order(oid="o2"),
                order(amount=40_00),
            ],
            [("approved", "", 400), ("approved", "", 1_000)],
            id="paid under another version",
        ),
        # of a held order another amount is noted, but no word of the merchant's lets it go
        pytest.param(BUDGET, "hold", [order(), order(amount=30_00)], [("pending", "budget", 0)], id="still held"),
        pytest.param(
            BUDGET,
            "hold",
            [order(), order(amount=30_00), APPROVE],
            [("approved", "", 300)],
            id="approved with the amount noted",
        ),
        # what pays nothing passes no budget, though the day is over it; it is released as any order is
        pytest.param(
            BUDGET | {"min_amount": "1"},
            "hold",
            [
                order(),
                ("judge", {"how": "approve", "oid": "o1", "pid": "tea"}),
                order(oid="o2", amount=1),
                wait(2),
                SETTLE,
            ],
            [("approved", "", 1_000), ("approved", "below_min_amount", 0)],
            id="too small for a budget",
        ),
        # an order's own status comes with its own time
        pytest.param(TEN, "hold", [order(stamp=5), refund(stamp=5)], [("refunded", "", 0)], id="the same ts"),
        pytest.param(TEN, "hold", [order(), refund(stamp=5)], [("refunded", "", 0)], id="a ts after none"),
        pytest.param(TEN, "hold", [order(stamp=5), refund(stamp=4)], [("approved", "", 1_000)], id="an older ts"),
        # the second look finds nothing else
        pytest.param(
            TIERED,
            "hold",
            [order(), order(oid="o2"), wait(2), SETTLE],
            [("approved", "", 500), ("approved", "", 1_000)],
            id="tiers",
        ),
        # an override is the promoter's own rate, of tiers too
        pytest.param(
            TIERED | OWN_RATES,
            "hold",
            [order(), order(oid="o2"), order(oid="o3", aff="gran"), wait(2), SETTLE],
            [("approved", "", 2_000), ("approved", "", 2_000), ("approved", "", 200)],
            id="own rates",
        ),
        # a claim that is an order is set aside where it says otherwise
        pytest.param(
            TEN,
            "accept",
            [order(), claim(), claim(currency="USD"), claim(amount=1), claim(amount=None), claim(currency="")],
            [("approved", "", 1_000)],
            id="claims of an order that is there",
        ),
        pytest.param(TEN, "accept", [order(), refund(), claim()], [("refunded", "", 0)], id="a claim of a final order"),
        pytest.param(
            TEN,
            "hold",
            [order(currency="USD"), order(currency=""), order(), refund(currency="")],
            [("refunded", "", 0)],
            id="without a currency it is in the order's",
        ),
    ],
)
def test_both_books_tell_the_same(
    rule: dict[str, Any], pixel: str, steps: list[Step], expected: list[tuple[str, str, int]]
) -> None:
    merchant = {"timezone": "UTC", "settlement": "T+0", "refund_days": 0, "release_when": "approved"}
    product: dict[str, Any] = {"commission": rule, "attribution": {}, "hold_days": 0, "pixel_conversions": pixel}
    pair = Pair(dict.fromkeys(("shop", "mart"), merchant), dict.fromkeys(PRODUCTS, product))
    pair.play(steps)
    assert [(one.status, one.reason, one.pool) for one in pair.oracle.orders.values()] == expected

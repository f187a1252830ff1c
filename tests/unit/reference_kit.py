"""What the tests of the oracle's books share: a shop, its tea, two promoters."""

from typing import Any

import reference
from reference import Books

CARD = {"type": "percentage", "value": "10", "levels": [{"level": 1, "value": "5"}, {"level": 2, "value": "3"}]}
TEN = {"type": "percentage", "value": "10"}
START = reference.parse("2026-01-10T00:00:00Z")
KEY = ("shop", "o1", "tea")
TIERED = {"type": "tiered", "tiers": [{"from": "0", "value": "5"}, {"from": "100", "value": "10"}]}


def books(rule: Any = CARD, merchant: Any = None, product: Any = None, **more: Any) -> Books:
    """A shop in UTC, its tea, and a promoter A under P."""
    its = Books(**more)
    its.merchant("shop", **({"settlement": "T+0"} | (merchant or {})))
    assert its.product("tea", merchant="shop", commission=rule, **(product or {})) == ""
    its.promoter("P")
    its.promoter("A", parent="P")
    return its


def order(its: Books, oid: str = "o1", at: int = START, amount: int | None = 100_00, **more: Any) -> str:
    said: dict[str, Any] = {"pid": "tea", "aff": "A", "oid": oid, "amount": amount, "at": at, "received": at}
    return its.order(oid, **(said | more))


def balances(its: Books, currency: str = "CNY") -> dict[str, int]:
    return {
        name.replace("promoter:", ""): amount for (name, its_own), amount in its.accounts.items() if its_own == currency
    }


def only(its: Books, oid: str = "o1") -> reference.Order:
    return its.orders["shop", oid, "tea"]


def click(its: Books, id: int, at: int, aff: str = "A", visitor: str = "v", **more: Any) -> None:
    assert its.touch(id, at=at, pid="tea", aff=aff, visitor=visitor, click=f"c{id}", **more) == ""


def claim(its: Books, visitor: str, at: int = START, **more: Any) -> str:
    said: dict[str, Any] = {"pid": "tea", "oid": "o1", "amount": 90_00, "received": at}
    return its.claim("claim", visitor=visitor, **(said | more))

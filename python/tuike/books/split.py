"""Splits an order's pool over the credited promoters and their chains (money.md, section 3)."""

from collections.abc import Sequence
from typing import Any

import msgspec

from tuike import _core
from tuike.books.records import Share

WEIGHT_UNIT = 1_000_000_000
# The arithmetic stands in one event of the journal: so many rates and bonuses of all credits together are listed.
# Those of the first always are: a rule is 64 KiB long at most.
MAX_LISTED = 3_000
LISTS = ("rates", "bonuses")


class Credit(msgspec.Struct, frozen=True):
    """A promoter who is credited: the weight of 1e-9, and what the rule asks of him at the order's instant.

    `total` are the month's sales before the order, `present` says of each level of the chain whether it is paid, and
    where one is not, `unpaid` why each is not (empty: it is)."""

    promoter: str
    kind: str
    weight: int
    total: int
    tier: str
    chain: Sequence[str]
    present: Sequence[bool]
    unpaid: Sequence[str] = ()


class Split(msgspec.Struct, frozen=True):
    """Shares in order, the platform's last, and the arithmetic that led to them."""

    pool: int
    shares: tuple[Share, ...]
    steps: list[dict[str, Any]]


def split(rule: _core.Rule, amount: int | None, at: int, credits: Sequence[Credit]) -> Split | None:
    """`credits` in the order of their touches. None: the rule needs an amount and the order has none."""
    booked = rule.book(
        amount,
        at,
        [
            (credit.promoter, credit.kind, credit.weight, credit.total, credit.tier, credit.present)
            for credit in credits
        ],
    )
    if booked is None:
        return None
    pool, parts = booked
    shares: list[Share] = []
    steps: list[dict[str, Any]] = []
    platform = listed = 0
    for credit, part in zip(credits, parts, strict=True):
        platform += part["platform"]
        shares += [
            Share(promoter, level, credit.promoter, credit.weight, amount, amount)
            for level, (promoter, present, amount) in enumerate(
                zip(credit.chain, credit.present, part["levels"], strict=False), start=1
            )
            if present
        ]
        listed += sum([len(part[name]) for name in LISTS])
        if listed > MAX_LISTED:
            part = {name: value for name, value in part.items() if name not in LISTS}
        if credit.unpaid:
            part["unpaid"] = credit.unpaid
        steps.append(
            {
                "promoter": credit.promoter,
                "kind": credit.kind,
                "weight": credit.weight,
                "total": credit.total,
                "tier": credit.tier,
                "chain": credit.chain,
                "present": credit.present,
                **part,
            }
        )
    shares.append(Share("", 0, "", 0, platform, platform))
    return Split(pool, tuple(shares), steps)


def split_again(rule: _core.Rule, amount: int | None, at: int, steps: Sequence[dict[str, Any]]) -> Split | None:
    """The split that an order's evidence asks for, from its steps alone."""
    names = ("promoter", "kind", "weight", "total", "tier", "chain", "present", "unpaid")
    return split(rule, amount, at, [Credit(**{name: step[name] for name in names if name in step}) for step in steps])

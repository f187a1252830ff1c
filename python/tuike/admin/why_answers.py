"""What is answered to why an order pays whom, for openapi.json."""

from typing import Any

from msgspec import UNSET, UnsetType

from tuike.admin.answers import Answer


class WhyCandidate(Answer):
    """A touch that was looked at. `code` is empty where it counts, `why` says it in words.

    `kind` is `click` or `view`; `coupon` or `aff` where the order itself names the promoter; `binding` for the click
    that bound the customer."""

    id: str
    at: str
    kind: str
    promoter: str
    product: str
    counted: bool
    code: str
    why: str
    weight: float


class WhyLevel(Answer):
    """A level of the rule: `amount` as it was split, `stands_at` after a second look and refunds. `code` is empty
    where it is paid, `why` says it in words. Another promoter's shows no more than that there is one."""

    level: int
    promoter: str
    paid: bool | UnsetType = UNSET
    code: str | UnsetType = UNSET
    why: str | UnsetType = UNSET
    amount: str | UnsetType = UNSET
    stands_at: str | UnsetType = UNSET


class WhyRate(Answer):
    amount: str
    percent: str


class WhySplit(Answer):
    """A credited promoter's part: (base + bonuses) x multiplier = main; main + tier_bonus, capped, = pool; of the
    order's whole pool it is `part`, of which `bonus` is level 1's own; `levels` and `platform` sum to `part`.

    Of another promoter's credit, only the levels on which the asking promoter stands. Very long lists are null."""

    promoter: str
    levels: list[WhyLevel]
    kind: str | UnsetType = UNSET
    weight: float | UnsetType = UNSET
    month_total: str | UnsetType = UNSET
    month_total_at_release: str | UnsetType | None = UNSET
    tier: str | UnsetType = UNSET
    override: str | UnsetType | None = UNSET
    rates: list[WhyRate] | UnsetType | None = UNSET
    bonuses: list[str | None] | UnsetType | None = UNSET
    multiplier: str | UnsetType = UNSET
    base: str | UnsetType = UNSET
    main: str | UnsetType = UNSET
    tier_bonus: str | UnsetType = UNSET
    max_per_order: str | UnsetType | None = UNSET
    ceiling: str | UnsetType | None = UNSET
    pool: str | UnsetType = UNSET
    part: str | UnsetType = UNSET
    bonus: str | UnsetType = UNSET
    platform: str | UnsetType = UNSET


class WhyRule(Answer):
    """`ceiling`: in percent of the amount, what an order under this version pays at most."""

    version: int
    effective_from: str
    ceiling: str
    commission: dict[str, Any]


class WhyRefund(Answer):
    """`step` is the refund's transfer in the ledger."""

    step: str
    amount: str


class WhyLook(Answer):
    """What the order pays by the sales that still stood at its release."""

    pool: str | None


class Why(Answer):
    """`code` and `why` say of each touch and level what became of it; the order's own are `reason` and `why`.

    A promoter sees the own touches and credit, and of others how many there are; `pool` is null where there are other
    credits."""

    id: str
    order_id: str
    merchant: str
    product: str
    currency: str
    status: str
    model: str
    reason: str
    why: str
    amount: str | None
    at: str
    claims: int
    found_by: str
    bound: str
    binding: WhyCandidate | None
    candidates: list[WhyCandidate]
    other_candidates: int
    rule: WhyRule | None
    pool: str | None
    daily_budget: str | None
    second_look: WhyLook | None
    split: list[WhySplit]
    others: int
    refunded: str
    refunds: list[WhyRefund]
    due: str | None
    released: bool

"""What is answered to why an order pays whom, for openapi.json."""

from typing import Any

from tuike.admin.answers import Answer


class WhyCandidate(Answer):
    """A touch that was looked at. `code` is empty where it counts, `why` says it in words."""

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
    """A level of the chain: `amount` as it was split, `stands_at` after refunds. Null: another promoter's."""

    level: int
    promoter: str
    paid: bool
    amount: str | None
    stands_at: str | None


class WhyRate(Answer):
    amount: str
    percent: float


class WhySplit(Answer):
    """A credited promoter's part: (base + bonuses) x multiplier = main; main + tier_bonus, capped, = pool; of the
    order's whole pool it is `part`, of which `bonus` is level 1's own."""

    promoter: str
    weight: float
    month_total: str
    tier: str
    override: str | None
    rates: list[WhyRate]
    bonuses: list[str | None]
    multiplier: float
    levels: list[WhyLevel]
    base: str
    main: str
    tier_bonus: str
    max_per_order: str | None
    ceiling: str | None
    pool: str
    part: str
    bonus: str
    platform: str


class WhyRule(Answer):
    version: int
    commission: dict[str, Any]


class Why(Answer):
    """A promoter sees the own touches and credit, and of others how many there are."""

    id: str
    order_id: str
    merchant: str
    product: str
    currency: str
    status: str
    model: str
    reason: str
    amount: str | None
    at: str
    found_by: str
    rule: WhyRule | None
    pool: str | None
    refunded: str
    due: str | None
    released: bool
    second_look: bool
    bound: str
    candidates: list[WhyCandidate]
    other_candidates: int
    split: list[WhySplit]
    others: int

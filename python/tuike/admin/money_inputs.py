"""Bodies of decisions about money that are about no order, and of a rule's preview."""

from datetime import date as Day
from typing import Annotated

from msgspec import Meta

from tuike.admin.inputs import MAX_REASON, Amount, Code, Currency, Input, Instant, Reason, Rule, check_depth

MAX_DEPTH = 3
MAX_ACCOUNT = 96

Note = Annotated[str, Meta(max_length=MAX_REASON)]
Account = Annotated[str, Meta(max_length=MAX_ACCOUNT, description="e.g. `promoter:alice:available`")]
Month = Annotated[str, Meta(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])(?!\n)$", description="e.g. 2025-10")]


class SettlementBody(Input):
    """What is due at `as_of` is released: now by default, and never in the future."""

    as_of: Instant | None = None


class PayoutBody(Input):
    """All that is available, in the only currency that has any, dated today (UTC): where nothing else is said.
    `date` is the accounting date and sets the tax month."""

    promoter: Code
    currency: Currency | None = None
    amount: Amount | None = None
    date: Annotated[Day, Meta(description="YYYY-MM-DD")] | None = None


class SettledBody(Input):
    """Of a payout's `paid` or `failed`; may be empty."""

    reason: Reason | None = None


class NoteBody(Input):
    """A note for people; the rest of a payout or settlement is changed by decisions alone."""

    note: Note


class FundBody(Input):
    """In the merchant's own currency by default."""

    merchant: Code
    amount: Amount
    reason: Reason
    currency: Currency | None = None


class PrizeBody(Input):
    promoter: Code
    currency: Currency
    amount: Amount
    reason: Reason


class WriteOffBody(Input):
    """All that is owed by default."""

    promoter: Code
    currency: Currency
    reason: Reason
    amount: Amount | None = None


class AdjustBody(Input, rename={"source": "from", "target": "to"}):
    """Moves an amount from one account to another, by their names."""

    source: Account
    target: Account
    currency: Currency
    amount: Amount
    reason: Reason


class RemitBody(Input):
    """In each currency that the month has payouts in by default."""

    month: Month
    reason: Reason
    currency: Currency | None = None


class PreviewBody(Input):
    """`depth` is how many levels the chain has. Without `amount` it is a lead."""

    rule: Rule
    currency: Currency
    amount: Amount | None = None
    depth: Annotated[int, Meta(ge=1, le=MAX_DEPTH)] = MAX_DEPTH

    def __post_init__(self) -> None:
        check_depth(self.rule)

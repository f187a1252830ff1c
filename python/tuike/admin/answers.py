"""What is answered, for openapi.json; the tests hold the real answers against it."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from tuike.admin import inputs

Status = Literal["active", "paused", "blocked"]
Next = str | None  # the cursor of the next page


class Answer(Struct, forbid_unknown_fields=True):
    """Times are RFC 3339 in UTC, money is a decimal string in major units."""


class Accepted(Answer):
    """The books did not answer in time: ask `/v1/events/{event_id}`."""

    event_id: str
    secret: str | UnsetType = UNSET
    token: str | UnsetType = UNSET


class Problem(Answer):
    """RFC 9457; `code` is stable."""

    type: str
    title: str
    status: int
    code: str
    detail: str


class Merchant(Answer):
    id: str
    name: str
    currency: str
    timezone: str
    settlement: str
    refund_days: int
    release_when: inputs.ReleaseWhen
    status: Status
    created: str
    old_secret_until: str | None
    """Until when the postback key before the present one is valid too."""
    dialect: inputs.Tracker | inputs.DialectMaps | None
    postback_token: bool
    """Whether there is a token that authenticates postbacks in the dialect."""


class NewMerchant(Merchant):
    """`secret`, the key of signed postbacks, is shown to whoever made the merchant or the key, this once."""

    secret: str | UnsetType = UNSET


class MerchantToken(Merchant):
    """`token` authenticates postbacks in the merchant's dialect. It is shown to whoever made it, this once."""

    token: str | UnsetType = UNSET


class Merchants(Answer):
    items: list[Merchant]
    next: Next


class Product(Answer):
    """`commission` is the rule in force. A promoter does not see `fraud`."""

    id: str
    merchant: str
    name: str
    category: str
    url: str
    fallback_url: str | None
    allowed_hosts: list[str]
    cookie_days: int
    hold_days: int
    pixel_conversions: inputs.Pixel
    attribution: inputs.Attribution
    commission: dict[str, Any]
    rule_version: int
    status: Status
    created: str
    fraud: inputs.Fraud | UnsetType = UNSET


class Products(Answer):
    items: list[Product]
    next: Next


class Promoter(Answer):
    id: str
    name: str
    parent: str | None
    kind: inputs.Kind
    tax: inputs.Tax
    customers: list[inputs.Customer]
    status: Status
    created: str


class Promoters(Answer):
    items: list[Promoter]
    next: Next


class ChainLevel(Answer):
    level: int
    id: str


class Chain(Answer):
    """Level 1 is the promoter, 2 the parent, 3 the grandparent."""

    chain: list[ChainLevel]


class Team(Answer):
    """`by_level`: "1" are the direct ones, "2" theirs, and so on."""

    direct: int
    total: int
    by_level: dict[str, int]


class BalanceItem(Answer):
    currency: str
    pending: str
    available: str
    reserved: str
    paid: str
    tax: str
    owed: str


class Balance(Answer):
    items: list[BalanceItem]


class Link(Answer):
    """`url` is the link to share, `target` is where it leads."""

    code: str
    url: str
    target: str
    promoter: str
    product: str
    channel: str
    sub1: str
    sub2: str
    sub3: str
    sub4: str
    sub5: str
    coupon: str
    expires: str | None
    status: Status
    created: str


class Links(Answer):
    items: list[Link]
    next: Next


class Credit(Answer):
    """`via` is the promoter whose touch counted, `weight` that promoter's part of the order.
    Promoters see `via` only where it is themselves; otherwise it is empty."""

    promoter: str
    level: int
    via: str
    weight: float
    amount: str


class Conversion(Answer):
    """`platform` is what is left to it. A promoter sees the own `credits`, and the number of `others` instead."""

    id: str
    order_id: str
    merchant: str
    product: str
    amount: str | None
    currency: str
    status: Literal["pending", "approved", "rejected", "refunded"]
    refunded: str
    model: inputs.Model
    credits: list[Credit]
    reason: str
    created: str
    platform: str | UnsetType = UNSET
    others: int | UnsetType = UNSET


class Conversions(Answer):
    items: list[Conversion]
    next: Next


class Event(Answer):
    """`code` says why it was set aside; `result` is what it came to."""

    event_id: str
    kind: str | None
    status: Literal["waiting", "applied", "set_aside"]
    code: str | None
    detail: str | None
    result: dict[str, Any]


class Entry(Answer):
    account: str
    amount: str


class Transfer(Answer):
    """Debits are negative; entries sum to zero."""

    number: int
    id: str
    kind: str
    conversion: str | None
    currency: str
    entries: list[Entry]
    at: str
    hash: str


class Transfers(Answer):
    items: list[Transfer]
    next: Next


class AccountItem(Answer):
    account: str
    currency: str
    balance: str


class Account(Answer):
    id: str
    items: list[AccountItem]


class Accounts(Answer):
    items: list[AccountItem]
    next: Next


class Token(Answer):
    id: str
    role: str
    expires: str | None
    revoked: bool
    created: str


class NewToken(Token):
    """`token` is shown to whoever made it, this once."""

    token: str | UnsetType = UNSET


class Tokens(Answer):
    items: list[Token]
    next: Next


class AuditEntry(Answer):
    number: int
    at: str
    actor: str
    action: str
    target: str
    detail: dict[str, Any]


class AuditPage(Answer):
    items: list[AuditEntry]
    next: Next

"""What is answered about settlements, payouts, decisions on the ledger, taxes and previews, for openapi.json."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from tuike.admin.answers import Answer, Entry, Next


class Amount(Answer):
    currency: str
    amount: str


class Settlement(Answer):
    """`released` are orders so far, `amounts` what promoters got of them."""

    id: str
    as_of: str
    status: Literal["running", "done"]
    released: int
    amounts: list[Amount]
    note: str
    created: str


class Settlements(Answer):
    items: list[Settlement]
    next: Next


class Basis(Struct, forbid_unknown_fields=True):
    """The arithmetic of a tax: of `flat` the `percent`; otherwise the `income` of so many `months` of the person with
    this payout, the tax `due` on it, and what was `withheld` of that before."""

    percent: str | UnsetType = UNSET
    months: int | UnsetType = UNSET
    income: str | UnsetType = UNSET
    due: str | UnsetType = UNSET
    withheld: str | UnsetType = UNSET


class Payout(Answer):
    """`net` is what is paid, `tax` what is withheld, both of `amount`."""

    id: str
    promoter: str
    currency: str
    amount: str
    tax: str
    net: str
    status: Literal["reserved", "paid", "failed", "bounced"]
    date: str
    scheme: str
    person: str
    basis: Basis
    note: str
    created: str


class Payouts(Answer):
    items: list[Payout]
    next: Next


class Moved(Answer):
    """A transfer that a decision made; debits are negative."""

    id: str
    kind: str
    currency: str
    entries: list[Entry]
    at: str


class RemittedAmount(Answer):
    currency: str
    amount: str
    promoters: int


class Remitted(Answer):
    month: str
    items: list[RemittedAmount]


class LevelAmount(Answer):
    level: int
    amount: str


class Preview(Answer):
    """`base` and `bonuses` (null for one that does not apply) times `multiplier`, and `tier_bonus`, shrunk to the caps
    `max_per_order` and `ceiling` (null: none), are the `pool`; it is split over `levels` and `platform`."""

    amount: str | None
    currency: str
    base: str
    bonuses: list[str | None]
    multiplier: str
    tier_bonus: str
    max_per_order: str | None
    ceiling: str | None
    pool: str
    levels: list[LevelAmount]
    platform: str


class WithheldItem(Answer):
    """Of a person's payouts of the month that are reserved or paid."""

    person: str
    currency: str
    scheme: str
    payouts: int
    amount: str
    tax: str
    net: str


class Withheld(Answer):
    """`closed`: the currencies whose tax of that month is handed over."""

    month: str
    closed: list[str]
    items: list[WithheldItem]

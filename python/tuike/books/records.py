"""What the bookkeeper reads, decides and posts, as records.

A `Booked` record is all that posting needs: it is journalled before it is posted, and posting it again
after a crash, or in a replay, asks nobody anything.
"""

import hashlib
from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True):
    """An order, a claim, a decision or a registry write, as it stands in the journal."""

    id: str
    kind: str
    at: int = 0
    received: int = 0
    merchant: str = ""
    pid: str = ""
    oid: str = ""
    amount: int | None = None
    currency: str = ""
    status: str = ""
    click: str = ""
    visitor: str = ""
    cust: str = ""
    did: str = ""
    fingerprint: str = ""
    aff: str = ""
    coupon: str = ""
    stamp: int = 0
    refund_id: str = ""
    source: str = ""
    body: bytes = b""


class Request(msgspec.Struct, frozen=True):
    """The body of a registry write or a decision."""

    op: str
    data: dict[str, Any]
    actor: str = ""
    idem: str | None = None
    fingerprint: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of a message; `http` and `result` are what the API answers."""

    status: str
    code: str = ""
    http: int = 200
    result: dict[str, Any] = {}

    @classmethod
    def applied(cls, result: dict[str, Any] | None = None, *, http: int = 200, code: str = "") -> "Outcome":
        return cls("applied", code, http, result or {})

    @classmethod
    def refused(cls, code: str, detail: str, *, http: int = 422) -> "Outcome":
        return cls("set_aside", code, http, {"code": code, "detail": detail})


class Share(msgspec.Struct, frozen=True, array_like=True):
    """One line of a split. The platform's has no promoter and level 0."""

    promoter: str
    level: int
    via: str
    weight: int
    original: int
    amount: int


class Conversion(msgspec.Struct, frozen=True):
    """A row of `conversions`."""

    id: str
    number: int
    merchant: str
    order_id: str
    product: str
    amount: int | None
    currency: str
    status: str
    refunded: int
    model: str
    reason: str
    rule_version: int
    stamp: int
    at: int
    created: int
    source: str
    event_id: str
    evidence: dict[str, Any]


class Standing(msgspec.Struct, frozen=True):
    """An order as it stands: its row and its shares."""

    conversion: Conversion
    shares: tuple[Share, ...]

    @property
    def credited(self) -> bool:
        return any(share.promoter for share in self.shares)


class Transfer(msgspec.Struct, frozen=True, array_like=True):
    """Entries of (account, amount) that sum to zero; debits are negative."""

    id: str
    kind: str
    conversion: str
    currency: str
    at: int
    entries: tuple[tuple[str, int], ...]


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """What an order adds to `order_rollups`."""

    bucket: int
    merchant: str
    product: str
    promoter: str
    channel: str
    label_number: int
    label: str
    currency: str
    conversions: int
    sales: int
    commission: int


class Booked(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole effect of one message; `target` names what changed, for the audit, where an admin changed it.

    A registry write's effect is its own body: the journal keeps only its number (see `journalled`).
    """

    number: int
    event: str
    kind: str
    at: int
    outcome: Outcome | None = None
    standing: Standing | None = None
    transfers: tuple[Transfer, ...] = ()
    deltas: tuple[Delta, ...] = ()
    request: Request | None = None
    target: str = ""

    @property
    def journalled(self) -> "Booked":
        return Booked(self.number, self.event, self.kind, self.at) if self.kind == "registry" else self


def conversion_id(merchant: str, order_id: str, product: str) -> str:
    return hashlib.sha256(f"{merchant}\0{order_id}\0{product}".encode()).hexdigest()[:32]

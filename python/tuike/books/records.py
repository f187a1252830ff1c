"""What the bookkeeper reads, decides and posts, as records.

A `Booked` record is all that posting needs: it is in the journal before what it posts is committed, and posting it
again after a crash, or in a replay, asks nobody anything.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

WAITING = "waiting"
# An order that is one of these stays it, and earns nothing.
FINAL = ("rejected", "refunded")


class Message(msgspec.Struct, frozen=True):
    """An order, a claim, a decision, a registry write or a refused postback, as it stands in the journal."""

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
    fingerprint_before: str = ""
    aff: str = ""
    coupon: str = ""
    stamp: int = 0
    refund_id: str = ""
    source: str = ""
    reason: str = ""
    body: bytes = b""


class Request(msgspec.Struct, frozen=True):
    """The body of a registry write or a decision."""

    op: str
    data: dict[str, Any]
    actor: str = ""
    idem: str | None = None
    fingerprint: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of a message: `applied`, `set_aside` or `waiting`; `http` and `result` are what the API answers."""

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

    @classmethod
    def waits(cls, code: str = "", result: dict[str, Any] | None = None) -> "Outcome":
        return cls(WAITING, code, 202, result or {})


class Refusal(Exception):
    """Ends a registry write or a decision with a refused outcome; whoever began it catches it."""

    def __init__(self, code: str, detail: str, http: int = 422) -> None:
        super().__init__(code)
        self.outcome = Outcome.refused(code, detail, http=http)


class Share(msgspec.Struct, frozen=True, array_like=True):
    """One line of a split. The platform's has no promoter and level 0."""

    promoter: str
    level: int
    via: str
    weight: int
    original: int
    amount: int


class Conversion(msgspec.Struct, frozen=True):
    """A row of `conversions`, and of `releases` the number of the step that has `released` it; 0: none has."""

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
    day: int
    created: int
    due: int
    source: str
    event_id: str
    evidence: dict[str, Any]
    released: int = 0


class Standing(msgspec.Struct, frozen=True):
    """An order as it stands: its row and its shares."""

    conversion: Conversion
    shares: tuple[Share, ...]

    @property
    def claimed(self) -> bool:
        """Whether only browsers have spoken of it, and it is held for that."""
        return self.conversion.reason == "pixel" and self.conversion.status == "pending"


class Transfer(msgspec.Struct, frozen=True, array_like=True):
    """Entries of (account, amount) that sum to zero; debits are negative.

    `conversion` is the order's number and `step` what of it this is; where it is about no order, 0, and `step` alone
    names the transfer: the two together are never posted twice."""

    conversion: int
    step: str
    kind: str
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


class Sale(msgspec.Struct, frozen=True, array_like=True):
    """What an order counts, as it stands, among the sales of a promoter credited with it: a row of `sales`.
    `booked` is the number it was booked under, `change` what the net is more than before."""

    promoter: str
    currency: str
    day: int
    merchant: str
    conversion: int
    booked: int
    net: int
    change: int


class Tier(msgspec.Struct, frozen=True, array_like=True):
    """A promoter's tier on a day, fixed with the first order of that day: a row of `tiers`."""

    promoter: str
    currency: str
    day: int
    tier: str
    net: int


class Spent(msgspec.Struct, frozen=True, array_like=True):
    """What an order adds to what a product's daily budget has paid: a row of `budgets`."""

    product: str
    currency: str
    day: int
    amount: int


class PathEnd(msgspec.Struct, frozen=True, array_like=True):
    """Where an order that credited somebody ends its visitor's path: a row of `path_ends`."""

    merchant: str
    visitor: str
    at: int
    conversion: int


class Finding(msgspec.Struct, frozen=True, array_like=True):
    """What a fraud rule says of an order, about one promoter it is credited to. The score is 1 to 100."""

    rule: str
    score: int
    promoter: str
    evidence: dict[str, Any]


class Flag(msgspec.Struct, frozen=True):
    """A finding that holds an order until a person decides: a row of `fraud_flags`. `status` is `open`, `cleared` or
    `confirmed`; `number` is that of the books times 16 and its place among the order's flags, `conversion` the
    order's."""

    id: str
    number: int
    conversion: int
    rule: str
    score: int
    evidence: dict[str, Any]
    status: str
    promoter: str
    merchant: str
    product: str
    created: int
    decided_by: str = ""
    decided_at: int = 0
    note: str = ""


class Purchase(msgspec.Struct, frozen=True, array_like=True):
    """A promoter's own order that is credited to another: a row of `promoter_purchases`."""

    merchant: str
    buyer: str
    promoter: str
    conversion: int


class Funding(msgspec.Struct, frozen=True, array_like=True):
    """What is added to a merchant's payments in, and to what was released of its orders: a row of `funding`."""

    merchant: str
    currency: str
    funded: int
    released: int


class Payout(msgspec.Struct, frozen=True):
    """A row of `payouts`. `day` is the accounting date (days since 1970-01-01), `detail` the arithmetic of the tax."""

    id: str
    number: int
    promoter: str
    currency: str
    amount: int
    tax: int
    net: int
    status: str
    day: int
    scheme: str
    person: str
    created: int
    note: str
    detail: dict[str, Any]


class Winner(msgspec.Struct, frozen=True):
    """Who was paid a prize: the place (1, 2, ...), the rank, which equal figures share, and the figure."""

    place: int
    rank: int
    promoter: str
    figure: int
    amount: int


class Contest(msgspec.Struct, frozen=True):
    """A row of `contests`. `since` and `until` in seconds; `prizes` and `winners` from the first place on."""

    id: str
    number: int
    name: str
    since: int
    until: int
    timezone: str
    metric: str
    currency: str
    status: str
    created: int
    prizes: tuple[int, ...]
    winners: tuple[Winner, ...] = ()


class Settlement(msgspec.Struct, frozen=True):
    """A row of `settlements`: a run, and how far it has come in the order of (due, conversion).
    `released` are orders, `amounts` what they released to promoters, per currency."""

    id: str
    number: int
    as_of: int
    status: str
    released: int
    last_due: int
    last_conversion: int
    created: int
    note: str = ""
    amounts: dict[str, int] = {}


class Day(msgspec.Struct, frozen=True):
    """A closed day of the ledger: a row of `days`. The root is over the entries of transfers `first` to `last`."""

    day: int
    first: int
    last: int
    leaves: int
    root: str


class Closing(msgspec.Struct, frozen=True, array_like=True):
    """A month whose tax is handed over: a row of `closings`. `month` is a year times 12 and a month from 0."""

    month: int
    currency: str
    number: int


class Look(msgspec.Struct, frozen=True, array_like=True):
    """A second look that has changed an order: what it adds to the order's evidence, the shares' originals among it,
    and what the shares stand at since."""

    number: int
    second_look: dict[str, Any]
    amounts: tuple[int, ...]


class Waiting(msgspec.Struct, frozen=True):
    """A refund of an order that is not there yet: a row of `waiting`. Its message has no `stamp`: whenever its order
    comes, it comes after it."""

    conversion: str
    number: int
    message: Message


class Effect(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that one message changes in the books; `code` says what of the message was set aside.

    `due` are (instant, number) of the order where it is to be released, `settled` of those that no longer are;
    `released` are (number, step) of what a settlement's step has released, `looked_at` what it has changed of it.
    `flags` are raised or decided; `bad_touches` are (touch, order's number) of clicks that count no more; `dismissed`
    is the event of a postback that did not count and need not be seen any more."""

    standing: Standing | None = None
    transfers: tuple[Transfer, ...] = ()
    deltas: tuple[Delta, ...] = ()
    sales: tuple[Sale, ...] = ()
    tiers: tuple[Tier, ...] = ()
    spent: tuple[Spent, ...] = ()
    path_ends: tuple[PathEnd, ...] = ()
    funding: tuple[Funding, ...] = ()
    due: tuple[tuple[int, int], ...] = ()
    settled: tuple[tuple[int, int], ...] = ()
    released: tuple[tuple[int, int], ...] = ()
    looked_at: tuple[Look, ...] = ()
    payout: Payout | None = None
    contest: Contest | None = None
    settlement: Settlement | None = None
    closing: Closing | None = None
    day: Day | None = None
    waiting: Waiting | None = None
    flags: tuple[Flag, ...] = ()
    purchases: tuple[Purchase, ...] = ()
    bad_touches: tuple[tuple[str, int], ...] = ()
    dismissed: str = ""
    code: str = ""

    def then(self, later: "Effect") -> "Effect":
        """Both, this one first, as one: what an order is left at by the later one stands."""
        return msgspec.structs.replace(
            later,
            standing=later.standing or self.standing,
            transfers=self.transfers + later.transfers,
            deltas=self.deltas + later.deltas,
            sales=self.sales + later.sales,
            tiers=self.tiers + later.tiers,
            spent=self.spent + later.spent,
            path_ends=self.path_ends + later.path_ends,
            funding=self.funding + later.funding,
            due=self.due + later.due,
            flags=self.flags + later.flags,
            purchases=self.purchases + later.purchases,
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What a decision about no order came to: its outcome, what moves, in parts that are an event each, and what it
    concerns for the audit (empty: nothing).

    Killed between two parts it is decided anew: what the first ones have done must not be done again."""

    outcome: Outcome
    effects: tuple[Effect, ...] = ()
    target: str = ""


class Booked(msgspec.Struct, frozen=True, omit_defaults=True):
    """The effect of one message (of a large decision: a part of it, the outcome with the last), or of a step that the
    bookkeeper takes by itself (`settle`, `expire`, `day`).

    `target` names what changed, for the audit, where an admin changed it. A registry write's effect is its own
    body, in its `message`: the journal keeps only its number (see `journalled`). A postback that did not count has its
    `message` too, for the list of those. `again`: the event has an outcome that this replaces.
    `seen` says how far hits were folded when this was decided, where that is further than the records before say:
    incarnation (hex) to sequence number.
    """

    number: int
    event: str
    kind: str
    at: int
    outcome: Outcome | None = None
    effect: Effect | None = None
    request: Request | None = None
    target: str = ""
    again: bool = False
    seen: dict[str, int] = {}
    message: Message | None = None

    @property
    def journalled(self) -> "Booked":
        """On one machine the message is in the journal already."""
        return Booked(self.number, self.event, self.kind, self.at) if self.kind == "registry" else self


def conversion_id(merchant: str, order_id: str, product: str) -> str:
    return hashlib.sha256(f"{merchant}\0{order_id}\0{product}".encode()).hexdigest()[:32]

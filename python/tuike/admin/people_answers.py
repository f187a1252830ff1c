"""What is answered about visitors and customers, for openapi.json."""

from typing import Any, Literal

from tuike.admin.answers import Answer, Next


class Customer(Answer):
    merchant: str
    cust: str


class AlsoKnownAs(Answer):
    """Who else stands in the same events: ask for them, or erase them, one by one."""

    visitors: list[str]
    customers: list[Customer]
    devices: list[str]


class PathEnd(Answer):
    merchant: str
    at: str
    conversion: int


class PersonOrder(Answer):
    """An order that names the person, with all that was kept of how it was decided."""

    conversion: str
    order_id: str
    merchant: str
    product: str
    amount: str | None
    currency: str
    status: str
    at: str
    evidence: dict[str, Any]


class Export(Answer):
    """All that is stored about a visitor or customer. `events` are hits, orders and claims as the journal has them, or
    the touch store where the journal no longer does (clicks that bind: `binds`); of more than 10,000 events or orders
    the first are given, and `whole` is false. `promoters` are those who say that this customer is they."""

    kind: Literal["visitor", "customer"]
    id: str
    merchant: str
    whole: bool
    events: list[dict[str, Any]]
    orders: list[PersonOrder]
    path_ends: list[PathEnd]
    waiting_refunds: list[dict[str, Any]]
    promoters: list[str]
    also_known_as: AlsoKnownAs


class Asked(Answer):
    """An erasure that was asked for: `/v1/erasures/{id}` says how far it has come."""

    id: str
    state: Literal["waiting"]


class Pending(Answer):
    """Segments of a machine's journal that are still to be written again: the last one is written to, and waits for its
    end."""

    machine: str
    journal: str
    segments: list[int]


class Erasure(Answer):
    """`waiting`: for the books to come to `at`, what was received later is not erased; `journals`: tables and touches
    are done; `done`: nothing is left that says who it was."""

    id: str
    kind: Literal["visitor", "customer"]
    merchant: str
    state: Literal["waiting", "journals", "done"]
    at: str
    done: str | None
    touches: int
    orders: int
    pending: list[Pending]


class Erasures(Answer):
    items: list[Erasure]
    next: Next


class Kept(Answer):
    """`days` after which `then` happens, null: not by itself; `before`: it happened to what was received earlier."""

    kind: str
    days: int | None
    before: str | None
    then: str


class Retention(Answer):
    items: list[Kept]

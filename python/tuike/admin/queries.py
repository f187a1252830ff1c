"""Query strings of the API, by name. A name that is not known is refused: a mistyped filter must not pass for none."""

from collections.abc import Mapping
from datetime import date as Day
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from multidict import MultiMapping

from tuike.admin.money_inputs import Month
from tuike.admin.problems import Problem

T = TypeVar("T")

MAX_LIMIT = 500
DEFAULT_LIMIT = 50


class Query(Struct, forbid_unknown_fields=True):
    """Empty is missing."""


Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT)]
Cursor = Annotated[str, Meta(description="`next` of the page before", extra_json_schema={"format": "cursor"})]


class Page(Query):
    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor = ""


class Products(Page):
    merchant: str = ""


class Promoters(Page):
    parent: str = ""
    roots: Annotated[bool, Meta(description="only those without a parent")] = False
    kind: Literal["", "member", "kol"] = ""


class Links(Page):
    promoter: str = ""
    product: str = ""


class Conversions(Page):
    """The newest first."""

    order_id: str = ""
    merchant: str = ""
    product: str = ""
    promoter: Annotated[str, Meta(description="who has a share in it")] = ""
    status: Literal["", "pending", "approved", "rejected", "refunded"] = ""


class Transfers(Page):
    """In the order of booking."""

    account: Annotated[str, Meta(description="with an entry on it, e.g. `promoter:alice:pending`")] = ""
    conversion: str = ""


class Payouts(Query):
    promoter: str = ""
    status: Literal["", "reserved", "paid", "failed", "bounced"] = ""
    currency: str = ""
    date: Annotated[Day, Meta(description="accounting date, YYYY-MM-DD")] | None = None


class PayoutPage(Payouts):
    """The newest first."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Cursor = ""


class Withheld(Query):
    """This month (UTC) by default."""

    month: Month = ""
    format: Literal["json", "csv"] = "json"


FileFormat = Literal["csv", "ndjson"]


class Export(Query):
    format: FileFormat = "csv"


class ExportOrders(Export, rename={"since": "from", "until": "to"}):
    """Of orders received `from` a day `to` another, inclusive, in UTC."""

    merchant: str = ""
    product: str = ""
    promoter: Annotated[str, Meta(description="who has a share in it")] = ""
    status: Literal["", "pending", "approved", "rejected", "refunded"] = ""
    since: Annotated[Day, Meta(description="YYYY-MM-DD; the beginning by default")] | None = None
    until: Annotated[Day, Meta(description="YYYY-MM-DD; today by default")] | None = None


class Statements(Page):
    month: Annotated[Month, Meta(description="YYYY-MM; all by default")] | None = None


class Person(Query):
    """A visitor by the id that events show, or a customer by the merchant's."""

    merchant: Annotated[str, Meta(description="the id is this merchant's of a customer")] = ""


class Audit(Page):
    """The newest first."""

    actor: str = ""
    action: str = ""
    target: str = ""


def read(given: MultiMapping[str], kind: type[T]) -> T:
    """Problem `bad_parameter` names what is wrong."""
    names = [name for name, _ in given.items()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Problem("bad_parameter", f"`{twice}` is given twice")
    present: Mapping[str, str] = {name: value for name, value in given.items() if value != ""}
    try:
        return msgspec.convert(present, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Problem("bad_parameter", str(error)) from error

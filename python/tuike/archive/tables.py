"""The archive's tables: plain columns that any reader of Parquet knows. Texts are empty where there is nothing, amounts
are integers of the minor unit, times are instants in microseconds of UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Type = Literal["VARCHAR", "BIGINT", "BOOLEAN", "TIMESTAMPTZ"]
TEXT: Type = "VARCHAR"
INTEGER: Type = "BIGINT"
FLAG: Type = "BOOLEAN"
TIME: Type = "TIMESTAMPTZ"

LABELS = ("sub1", "sub2", "sub3", "sub4", "sub5")


@dataclass(frozen=True, slots=True)
class Table:
    """Columns in the order of the file. A row that is written has times as milliseconds."""

    name: str
    columns: Mapping[str, Type]


def _texts(*names: str) -> dict[str, Type]:
    return dict.fromkeys(names, TEXT)


# Of a person: `visitor`, `customer`, `referrer`, and nothing else (see `forgetting`).
HITS = Table(
    "hits",
    _texts("id")
    | {"time": TIME, "received": TIME}
    | _texts("kind", "outcome", "merchant", "product", "promoter", "link", "channel", *LABELS, "coupon")
    | _texts("referrer", "visitor", "customer")
    | {"private": FLAG}
    | _texts("refused")
    | {"embedded": FLAG},
)

# `promoter`, `channel` and labels are those that reports count the order on: empty where nobody is credited.
CONVERSIONS = Table(
    "conversions",
    _texts("id", "order_id", "merchant", "product", "promoter", "channel", *LABELS)
    | {"amount": INTEGER, "refunded": INTEGER, "commission": INTEGER}
    | _texts("currency", "status", "model", "reason", "source")
    | {"rule_version": INTEGER, "time": TIME, "created": TIME},
)

SHARES = Table(
    "shares",
    _texts("conversion")
    | {"position": INTEGER}
    | _texts("promoter")
    | {"level": INTEGER}
    | _texts("via")
    | {"weight": INTEGER, "original": INTEGER, "amount": INTEGER}
    | _texts("currency"),
)

TRANSFERS = Table(
    "transfers",
    {"transfer": INTEGER, "position": INTEGER}
    | _texts("conversion", "step", "kind", "account")
    | {"amount": INTEGER}
    | _texts("currency")
    | {"time": TIME},
)

TABLES = (HITS, CONVERSIONS, SHARES, TRANSFERS)

"""What edges must know of each entity: the entries of the registry log, from rows."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, select

from tuike.stores import schema

Row = Mapping[Any, Any]
Entry = dict[str, Any]

READY: Entry = {"t": "ready"}


def merchant(row: Row) -> Entry:
    return _entry("merchant", row, "id", "currency", "secret", "status")


def product(row: Row) -> Entry:
    entry = _entry(
        "product", row, "id", "merchant", "url", "fallback_url", "cookie_days", "pixel_conversions", "status"
    )
    binds = json.loads(row["attribution"])["binding"] != "none"
    return entry | {"allowed_hosts": json.loads(row["allowed_hosts"]), "binds": binds}


def promoter(row: Row) -> Entry:
    return _entry("promoter", row, "id", "status")


def link(row: Row) -> Entry:
    labels = tuple(f"sub{n}" for n in range(1, 6))
    names = ("code", "promoter", "product", "url", "channel", *labels, "coupon", "expires", "status")
    return _entry("link", row, *names)


def daily_key(row: Row) -> Entry:
    return _entry("key", row, "day", "key")


def snapshot(connection: Connection) -> Iterator[Entry]:
    """All that edges must know, what is referred to before what refers to it."""
    for table, entry in (
        (schema.daily_keys, daily_key),
        (schema.merchants, merchant),
        (schema.products, product),
        (schema.promoters, promoter),
        (schema.links, link),
    ):
        for row in connection.execute(select(table), execution_options={"yield_per": 1_000}).mappings():
            yield entry(row)
    yield READY


def _entry(kind: str, row: Row, *names: str) -> Entry:
    return {"t": kind} | {name: row[name] for name in names}

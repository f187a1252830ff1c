"""What edges must know of each entity: the entries of the registry log, and the rows of its snapshot, from SQL."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from tuike.books import trackers
from tuike.stores import dialects, schema

Row = Mapping[Any, Any]
Entry = dict[str, Any]

SNAPSHOT: Entry = {"t": "snapshot"}
"""The file beside the log is there, with all promoters and links."""
READY: Entry = {"t": "ready"}
"""What the log begins with is complete."""
NUMBER: Entry = {"t": "number"}
"""Nothing has changed but the books' number."""

PROMOTER = ("id", "status")
LINK = (
    *("code", "promoter", "product", "url", "channel", "sub1", "sub2", "sub3", "sub4", "sub5", "coupon"),
    *("expires", "status"),
)


def merchant(row: Row) -> Entry:
    entry = _entry("merchant", row, "id", "currency", "secret", "status")
    if row["old_secret"]:
        entry |= _entry("merchant", row, "old_secret", "old_secret_until")
    if row["dialect"] is not None:
        entry |= {"dialect": trackers.resolved(row["dialect"]), "tokens": json.loads(row["tokens"] or "[]")}
    return entry


def product(row: Row) -> Entry:
    entry = _entry(
        "product", row, "id", "merchant", "url", "fallback_url", "cookie_days", "pixel_conversions", "status"
    )
    binds = json.loads(row["attribution"])["binding"] != "none"
    return entry | {"allowed_hosts": json.loads(row["allowed_hosts"]), "binds": binds}


def promoter(row: Row) -> Entry:
    return _entry("promoter", row, *PROMOTER)


def link(row: Row) -> Entry:
    return _entry("link", row, *LINK)


def daily_key(row: Row) -> Entry:
    return _entry("key", row, "day", "key")


def keys(connection: Connection, since: int) -> list[Entry]:
    """The daily keys of a day and those after it, in turn."""
    table = schema.daily_keys
    rows = connection.execute(select(table).where(table.c.day >= since).order_by(table.c.day))
    return [daily_key(row) for row in rows.mappings()]


def few(connection: Connection, first_day: int = 0) -> Iterator[Entry]:
    """All that edges must know but promoters and links, what is referred to before what refers to it; keys from
    `first_day` on."""
    yield from keys(connection, first_day)
    for table, entry in (
        (schema.merchants, merchant),
        (schema.products, product),
    ):
        for row in connection.execute(select(table)).mappings():
            yield entry(row)


def rows(table: Table, names: tuple[str, ...]) -> Select[tuple[str]]:
    """The rows as the snapshot's builder takes them: each a JSON array."""
    return select(dialects.json_array(*(table.c[name] for name in names)))


def _entry(kind: str, row: Row, *names: str) -> Entry:
    return {"t": kind} | {name: row[name] for name in names}
